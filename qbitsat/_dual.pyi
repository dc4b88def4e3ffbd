import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
Floats = NDArray[np.float32]

NOTHING: int
BOUND: int
EMPTY: int
OVERFLOW: int

def bends(steps: Integers) -> NDArray[np.int32]: ...

class Dual:
    def __init__(
        self,
        num_inputs: int,
        layers: list[tuple[NDArray[np.int32], Integers, Integers, int, int]],
        atoms: list[tuple[Integers, Integers, int]],
    ) -> None: ...
    def run(
        self,
        lo: Integers,
        hi: Integers,
        acc_lo: Integers,
        acc_hi: Integers,
        rows: Integers,
        atoms: NDArray[np.int32],
        shares: Floats,
        multipliers: Floats,
    ) -> tuple[NDArray[np.uint8], Integers, Integers, Integers]: ...
