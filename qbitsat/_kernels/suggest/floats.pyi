import numpy as np
from numpy.typing import NDArray

from ...network.affine import AffineMap

Array = NDArray[np.float32]

class Floats:
    num_values: int
    def __init__(self, affine: AffineMap, view: NDArray[np.int32], num_values: int, padding: float = 0) -> None: ...
    @property
    def n_out(self) -> int: ...
    def apply(self, values: Array) -> Array: ...
    def back(self, outputs: Array, values: Array) -> None: ...
