import numpy as np
from numpy.typing import NDArray

from .layers import Layers

Integers = NDArray[np.int64]

def accumulate(layers: Layers, k: int, values: Integers, acc: Integers) -> None: ...
def accumulate_ranges(layers: Layers, k: int, lo: Integers, hi: Integers, acc_lo: Integers, acc_hi: Integers) -> None: ...
def requantize(layers: Layers, k: int, acc: Integers) -> Integers: ...
