import numpy as np
from numpy.typing import NDArray

def affine(
    indptr: NDArray[np.int64],
    indices: NDArray[np.int32],
    weights: NDArray[np.int64],
    bias: NDArray[np.int64],
    x_lo: NDArray[np.int64],
    x_hi: NDArray[np.int64],
    acc_lo: NDArray[np.int64],
    acc_hi: NDArray[np.int64],
) -> None: ...
