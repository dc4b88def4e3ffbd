from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from .floats import Array, Floats

class Objectives:
    def __init__(
        self,
        floats: Floats,
        x_lo: Array,
        x_hi: Array,
        vertex_acc: Array,
        vertex_y: Array,
        slopes: Array,
        tick: Callable[[], None] | None = None,
    ) -> None: ...
    @staticmethod
    def bytes_for(inputs: int, neurons: int) -> int: ...
    def run(
        self, objectives: tuple[NDArray[np.int64], NDArray[np.int32], Array, Array], steps: int, rate: float, decay: float
    ) -> tuple[Array, Array]: ...
