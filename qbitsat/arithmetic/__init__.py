"""The meaning of rounding, saturation, wrap-around and requantizers, on exact integers.

Everything else in the house (bounds, encoder, kernels, reference) takes the meaning of a requantizer from here.
"""

from .floating import Float32Requantizer, Float64Requantizer
from .requantizers import Requantizer, ShiftRequantizer
from .rounding import INT32, MAX_SHIFT, OVERFLOWS, ROUNDINGS, divide_pow2, integer, saturate, smallest, wrap
from .scaled import FORMS, DivisionRequantizer, MultiplierRequantizer
from .table import TableRequantizer, ThresholdRequantizer

__all__ = [
    "FORMS",
    "INT32",
    "MAX_SHIFT",
    "OVERFLOWS",
    "ROUNDINGS",
    "DivisionRequantizer",
    "Float32Requantizer",
    "Float64Requantizer",
    "MultiplierRequantizer",
    "Requantizer",
    "ShiftRequantizer",
    "TableRequantizer",
    "ThresholdRequantizer",
    "divide_pow2",
    "integer",
    "saturate",
    "smallest",
    "wrap",
]
