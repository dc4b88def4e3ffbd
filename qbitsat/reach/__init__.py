"""How far numbers inside a network reach: the ranges of outputs, and how wide accumulators must be."""

from .output_ranges import OutputRange, output_ranges
from .overflow import LayerWidth, overflow

__all__ = ["LayerWidth", "OutputRange", "output_ranges", "overflow"]
