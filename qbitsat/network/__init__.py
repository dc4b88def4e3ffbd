"""Networks as exact integer functions: frozen records, their checks, and their inference."""

from .inference import classify, forward, forward_all
from .layers import AffineMap, Dense, Layer
from .network import Network, TensorFormat

__all__ = ["AffineMap", "Dense", "Layer", "Network", "TensorFormat", "classify", "forward", "forward_all"]
