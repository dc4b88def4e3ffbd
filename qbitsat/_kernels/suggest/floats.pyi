import numpy as np
from numpy.typing import NDArray

from ..exact.layers import Layers

Array = NDArray[np.float32]

class Floats:
    def __init__(self, layers: Layers) -> None: ...
    def apply(self, k: int, values: Array) -> Array: ...
    def back(self, k: int, outputs: Array, values: Array) -> None: ...
