import numpy as np
from numpy.typing import NDArray

from .ascent import Floats

class Simplex:
    def __init__(
        self,
        num_inputs: int,
        layers: list[tuple[Floats, Floats, int, int]],
        atoms: tuple[NDArray[np.int64], NDArray[np.int32], Floats, Floats],
        unit: NDArray[np.float64],
        active: NDArray[np.bool_],
        x_lo: Floats,
        most: int,
        pool: int,
    ) -> None: ...
    def run(
        self,
        atoms: NDArray[np.int32],
        x_lo: Floats,
        x_hi: Floats,
        corner_acc: Floats,
        corner_y: Floats,
        slopes: Floats,
        aims: NDArray[np.float64],
        bases: NDArray[np.int64],
        multipliers: Floats,
        shares: Floats,
        limit: int,
    ) -> tuple[Floats, Floats, Floats, Floats, Floats, int]: ...
