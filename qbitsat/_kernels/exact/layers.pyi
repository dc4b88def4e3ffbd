from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from ...arithmetic.steps import Steps
from ...network.affine import AffineMap

def bends(starts: NDArray[np.int64]) -> NDArray[np.int32]: ...

class Layers:
    def __init__(
        self,
        num_inputs: int,
        layers: Sequence[tuple[AffineMap, NDArray[np.int32], int, Sequence[Steps]]],
        tick: Callable[[], None] | None = None,
    ) -> None: ...
    @property
    def num_values(self) -> int: ...
    def outputs(self, k: int) -> int: ...

class Atoms:
    def __init__(
        self,
        num_values: int,
        starts: NDArray[np.int64],
        values: NDArray[np.int64],
        coefficients: NDArray[np.int64],
        bounds: NDArray[np.int64],
    ) -> None: ...
