"""Bit-exact verification of quantized neural networks.

    network = qbitsat.load("network.npz")
    verdict = qbitsat.verify(qbitsat.robustness(network, x, eps=1, label=7))

Everything is decided over the integers that run on the device: see docs/reference/semantics.md.
"""

import logging as _logging
import sys as _sys
from importlib.machinery import PathFinder as _PathFinder

from . import starting as _starting  # noqa: F401 (first of all, see there)

if _PathFinder.find_spec(f"{__name__}._kernels.exact.forward", [f"{part}/_kernels/exact" for part in __path__]) is None:
    raise ImportError(
        f"the kernels of {__path__[0]} are not built for this Python, {_sys.implementation.cache_tag}; in its clone run: "
        f"{_sys.executable} -m pip install -e ."
    )

__version__ = "0.1.0"

from . import examples
from .bits import bits, mixed_bits
from .certificate.check import check
from .errors import FloatModelError, InputError, MissingExtraError, QbitsatError, UnsupportedError
from .importers import load, save
from .importers.float_models import load_float
from .limits import Progress
from .network import Network
from .network.float_network import FloatNetwork
from .optimize import EMPTY, OPTIMAL, Optimum, maximize
from .properties import Query, robustness
from .properties.question_file import load_question
from .quantize import quantize, quantize_with_report
from .radii import Radius, radius
from .reach import LayerWidth, OutputRange, output_ranges, overflow
from .verify import HOLDS, MISCLASSIFIED, SKIPPED, UNKNOWN, VIOLATED, Verdict, verify

_logging.getLogger(__name__).addHandler(_logging.NullHandler())

__all__ = [
    "EMPTY", "HOLDS", "MISCLASSIFIED", "OPTIMAL", "SKIPPED", "UNKNOWN", "VIOLATED", "FloatModelError", "FloatNetwork", "InputError",
    "LayerWidth", "MissingExtraError", "Network", "Optimum", "OutputRange", "Progress", "QbitsatError", "Query",
    "Radius", "UnsupportedError", "Verdict", "__version__", "bits", "check", "examples", "load", "load_float", "load_question",
    "maximize", "mixed_bits", "output_ranges", "overflow", "quantize", "quantize_with_report", "radius", "robustness", "save", "verify",
]  # fmt: skip
