"""Exact integer interval arithmetic: the range of every accumulator over a box of inputs."""

from qbitsat._kernels.exact.forward cimport check_rows
from qbitsat._kernels.types cimport int32_t, int64_t


def affine(
    const int64_t[::1] indptr,
    const int32_t[::1] indices,
    const int64_t[::1] weights,
    const int64_t[::1] bias,
    const int64_t[:, ::1] x_lo,
    const int64_t[:, ::1] x_hi,
    int64_t[:, ::1] acc_lo,
    int64_t[:, ::1] acc_hi,
):
    """The smallest and largest value of each accumulator over x_lo <= x <= x_hi, for a batch of boxes; both are reached.

    The numpy equivalent, with P and N the positive and negative parts of W (W = P + N), is
    `acc_lo[:] = x_lo @ P.T + x_hi @ N.T + bias` and `acc_hi[:] = x_hi @ P.T + x_lo @ N.T + bias`.
    The caller guarantees that no sum leaves int64. Raises ValueError when shapes do not fit together.
    """
    cdef Py_ssize_t b, i, k, batch = x_lo.shape[0], n_in = x_lo.shape[1], n_out = bias.shape[0]
    cdef int64_t low, high, w
    if x_hi.shape[0] != batch or acc_lo.shape[0] != batch or acc_hi.shape[0] != batch:
        raise ValueError("x_lo, x_hi, acc_lo and acc_hi must have a row for each box")
    if x_hi.shape[1] != n_in or acc_lo.shape[1] != n_out or acc_hi.shape[1] != n_out:
        raise ValueError("x_hi, acc_lo and acc_hi must match x_lo and bias")
    check_rows(indptr, indices, weights, n_out, n_in)
    with nogil:
        for b in range(batch):
            for i in range(n_out):
                low = high = bias[i]
                for k in range(indptr[i], indptr[i + 1]):
                    w = weights[k]
                    if w > 0:
                        low += w * x_lo[b, indices[k]]
                        high += w * x_hi[b, indices[k]]
                    else:
                        low += w * x_hi[b, indices[k]]
                        high += w * x_lo[b, indices[k]]
                acc_lo[b, i] = low
                acc_hi[b, i] = high
