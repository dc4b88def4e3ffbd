import numpy as np
from numpy.typing import NDArray

def layer(
    matrix: NDArray[np.int32],
    heaviest: int,
    bias: NDArray[np.int64],
    steps: NDArray[np.int64],
    y_min: int,
    acc_lo: NDArray[np.int64],
    acc_hi: NDArray[np.int64],
    lo: NDArray[np.int64],
    hi: NDArray[np.int64],
    multipliers: NDArray[np.int64],
    coefficients: NDArray[np.int64],
    behind: NDArray[np.int64],
) -> tuple[int, bool]: ...
def box(lo: NDArray[np.int64], hi: NDArray[np.int64], coefficients: NDArray[np.int64]) -> int: ...
