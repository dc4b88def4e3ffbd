"""Bit-exact verification of quantized neural networks.

    network = qbitsat.load("network.npz")
    verdict = qbitsat.verify(qbitsat.robustness(network, x, eps=1, label=7))

Everything is decided over the integers that run on the device: see docs/reference/semantics.md.
"""

from . import examples
from .certificate.check import check
from .importers import load, save
from .network import Network
from .properties import Query, robustness
from .verify import HOLDS, UNKNOWN, VIOLATED, Verdict, verify

__version__ = "0.1.0"

__all__ = [
    "HOLDS", "UNKNOWN", "VIOLATED", "Network", "Query", "Verdict", "__version__", "check", "examples", "load",
    "robustness", "save", "verify",
]  # fmt: skip
