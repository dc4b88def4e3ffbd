"""Float models as integer networks, in any format.

numbers      fixed-point numbers: rounding and overflow, exactly
formats      what a format says, and how it is written
calibration  which scales suit what tensors hold
prepare      float models in fewer kinds of layers
lowering     layers one after the other; fixed_point, hls4ml and int8 say what each becomes, casts how sums become numbers
losses       what was clipped, and how far every layer is from the float model's
quantizing   all of it together
"""

from .calibration import Method
from .formats import FixedPoint, Format, Int8, LayerFormat, parse_format
from .losses import LayerReport, Loss, Report
from .numbers import Fixed
from .quantizing import Quantized, doubtful_units, integers_of, quantize, quantize_with_report

__all__ = [
    "Fixed", "FixedPoint", "Format", "Int8", "LayerFormat", "LayerReport", "Loss", "Method", "Quantized", "Report", "doubtful_units",
    "integers_of", "parse_format", "quantize", "quantize_with_report",
]  # fmt: skip
