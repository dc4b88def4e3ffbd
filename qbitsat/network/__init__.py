"""Networks as exact integer functions: frozen records, their checks, and their inference."""

from .affine import AffineMap, Patches, SparseRows
from .convolution import Convolution
from .inference import classify, forward, forward_all
from .layers import Dense, Layer, Linear
from .network import Network, TensorFormat

__all__ = [
    "AffineMap", "Convolution", "Dense", "Layer", "Linear", "Network", "Patches", "SparseRows", "TensorFormat", "classify", "forward",
    "forward_all",
]  # fmt: skip
