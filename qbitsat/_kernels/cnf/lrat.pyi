from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

DONE: int
CUT: int
VARIABLE: int
OPEN: int
NOT_RUP: int

def trim(
    num_vars: int, clauses: NDArray[np.int32], proof: NDArray[np.uint8] | bytes, tick: Callable[[], None]
) -> tuple[int, NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]: ...
