"""Exact integer bounds of everything a query computes, and what they decide."""

from .decide import collect, simplify
from .intervals import Bounds, LayerBounds, NetworkBounds, propagate

__all__ = ["Bounds", "LayerBounds", "NetworkBounds", "collect", "propagate", "simplify"]
