"""Exact integer bounds of everything a query computes, and what they decide."""

from .decide import simplify
from .intervals import propagate
from .ranges import Ranges

__all__ = ["Ranges", "propagate", "simplify"]
