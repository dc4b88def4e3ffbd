import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
Narrow = NDArray[np.int32]

def cut(
    lo: Integers,
    hi: Integers,
    node_branches: Narrow,
    count: int,
    branches: Narrow,
    sizes: Narrow,
    literals: Narrow,
    watched: Narrow,
    most_cuts: int,
) -> Integers: ...
