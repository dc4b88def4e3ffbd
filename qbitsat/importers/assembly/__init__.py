"""Networks in the making, whatever file they come from.

wires        which value of the network, or which constant, each element of a tensor is
builder      the layers so far, and what they read
convolving   dense layers, convolutions and sums over windows, without what is constant
summing      sums of few values: additions, maxima
functions    tables of single values
products     of two elements that are both computed
clamping     integers that are clamped once more
pruning      outputs that nobody reads are taken away
"""

from .builder import A_CONSTANT, Builder
from .clamping import clamped
from .convolving import Kernel, convolve, out_size
from .functions import mapped
from .products import multiplied
from .pruning import pruned
from .summing import Term, combined, larger, largest, once, pooled
from .wires import CONSTANT, Wires, stepped

__all__ = [
    "A_CONSTANT", "CONSTANT", "Builder", "Kernel", "Term", "Wires", "clamped", "combined", "convolve", "larger", "largest",
    "mapped", "multiplied", "once", "out_size", "pooled", "pruned", "stepped",
]  # fmt: skip
