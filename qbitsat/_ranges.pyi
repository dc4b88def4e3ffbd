import numpy as np
from numpy.typing import NDArray

from ._blocks import Blocks

Integers = NDArray[np.int64]
Floats = NDArray[np.float32]

def propagate(blocks: Blocks, lo: Integers, hi: Integers, acc_lo: Integers, acc_hi: Integers, inputs: bool) -> NDArray[np.uint8]: ...
def corners(blocks: Blocks, lo: Integers, hi: Integers, acc_lo: Integers, acc_hi: Integers) -> tuple[Floats, Floats, Floats]: ...
def choose(
    blocks: Blocks, lo: Integers, hi: Integers, acc_lo: Integers, acc_hi: Integers, coefficients: Floats, acc: Floats, y: Floats
) -> tuple[Integers, Integers]: ...
