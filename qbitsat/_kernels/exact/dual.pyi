import numpy as np
from numpy.typing import NDArray

from .layers import Atoms, Layers

Integers = NDArray[np.int64]
Floats = NDArray[np.float32]

NOTHING: int
BOUND: int
EMPTY: int
OVERFLOW: int

class Dual:
    def __init__(self, layers: Layers, atoms: Atoms) -> None: ...
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
    def explain(
        self,
        root: tuple[Integers, Integers, Integers, Integers],
        lo: Integers,
        hi: Integers,
        rows: Integers,
        atoms: NDArray[np.int32],
        shares: Floats,
        multipliers: Floats,
        most: int,
    ) -> tuple[NDArray[np.int32], NDArray[np.int32], Integers, Integers, Integers, Integers]: ...
