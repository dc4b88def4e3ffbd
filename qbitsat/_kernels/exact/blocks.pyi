from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ...network.layers import AffineMap

Integers = NDArray[np.int64]

def bends(steps: Integers) -> NDArray[np.int32]: ...

class Blocks:
    def __init__(
        self,
        num_inputs: int,
        layers: list[tuple[AffineMap, Integers, int, int, Integers, Integers]],
        tick: Callable[[], None] | None = None,
    ) -> None: ...

class Atoms:
    def __init__(self, num_values: int, starts: Integers, values: Integers, coefficients: Integers, bounds: Integers) -> None: ...
