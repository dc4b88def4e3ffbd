from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

class Ascent:
    def __init__(
        self,
        num_inputs: int,
        layers: list[tuple[Floats, Floats, int, int]],
        atoms: tuple[NDArray[np.int64], NDArray[np.int32], Floats, Floats],
        tick: Callable[[], None] | None = None,
    ) -> None: ...
    def pose(self, atoms: tuple[NDArray[np.int64], NDArray[np.int32], Floats, Floats]) -> None: ...
    def run(
        self,
        atoms: NDArray[np.int32],
        x_lo: Floats,
        x_hi: Floats,
        corner_acc: Floats,
        corner_y: Floats,
        slopes: Floats,
        held: NDArray[np.int32],
        fresh: NDArray[np.uint8],
        multipliers: Floats,
        shares: Floats,
        steps: int,
        rate: float,
        decay: float,
        polish: int = 0,
    ) -> tuple[Floats, Floats, Floats, Floats, Floats, Floats, int]: ...
