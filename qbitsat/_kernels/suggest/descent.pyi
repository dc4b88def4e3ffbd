from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from .floats import Array, Floats

class Descent:
    def __init__(
        self,
        floats: Floats,
        atoms: tuple[NDArray[np.int64], NDArray[np.int32], Array, Array],
        tick: Callable[[], None] | None = None,
        wide: bool = False,
    ) -> None: ...
    @staticmethod
    def bytes_for(inputs: int, neurons: int) -> int: ...
    def pose(self, atoms: tuple[NDArray[np.int64], NDArray[np.int32], Array, Array]) -> None: ...
    def run(
        self,
        atoms: NDArray[np.int32],
        x_lo: Array,
        x_hi: Array,
        vertex_acc: Array,
        vertex_y: Array,
        slopes: Array,
        anchor: NDArray[np.int32],
        cold: NDArray[np.uint8],
        multipliers: Array,
        shares: Array,
        steps: int,
        rate: float,
        decay: float,
        polish: int = 0,
    ) -> tuple[Array, Array, Array, Array, Array, Array, int]: ...
