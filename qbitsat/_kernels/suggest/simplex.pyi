import numpy as np
from numpy.typing import NDArray

from .floats import Array, Floats

class Simplex:
    def __init__(
        self,
        floats: Floats,
        atoms: tuple[NDArray[np.int64], NDArray[np.int32], Array, Array],
        x_lo: Array,
        neurons: tuple[NDArray[np.bool_], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]],
        columns: tuple[NDArray[np.int32], NDArray[np.int64], Array],
        most: int,
        pool: int,
    ) -> None: ...
    def run(
        self,
        atoms: NDArray[np.int32],
        x_lo: Array,
        x_hi: Array,
        vertex_acc: Array,
        vertex_y: Array,
        slopes: Array,
        normalizations: NDArray[np.float64],
        bases: NDArray[np.int64],
        multipliers: Array,
        shares: Array,
        limit: int,
    ) -> tuple[Array, Array, Array, Array, Array, int]: ...
