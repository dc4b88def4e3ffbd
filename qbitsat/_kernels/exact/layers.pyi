from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ...arithmetic.steps import Steps
from ...network.affine import AffineMap

class Layers:
    def __init__(
        self,
        num_inputs: int,
        layers: Sequence[tuple[AffineMap, NDArray[np.int32], int, Sequence[Steps]]],
        pairs: NDArray[np.int64] | None = None,
    ) -> None: ...
    @property
    def num_values(self) -> int: ...
    def stepped(self, k: int) -> bool: ...
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
