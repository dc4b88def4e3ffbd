"""Exact integer inference: accumulators of an affine map for a batch of inputs."""

from qbitsat._kernels.types cimport int32_t, int64_t


cdef int check_rows(
    const int64_t[::1] indptr, const int32_t[::1] indices, const int64_t[::1] weights, Py_ssize_t n_out, Py_ssize_t n_in
) except -1:
    """Raise ValueError unless these are n_out compressed rows over n_in inputs, so that the loops stay inside them."""
    cdef Py_ssize_t i, k
    if indptr.shape[0] != n_out + 1 or indices.shape[0] != weights.shape[0] or indptr[n_out] != weights.shape[0]:
        raise ValueError("indptr must have an entry more than bias, and indices and weights indptr[-1] entries")
    with nogil:
        for i in range(n_out):
            if not 0 <= indptr[i] <= indptr[i + 1]:
                with gil:
                    raise ValueError(f"indptr falls from {indptr[i]} to {indptr[i + 1]} at row {i}")
        for k in range(indices.shape[0]):
            if not 0 <= indices[k] < n_in:
                with gil:
                    raise ValueError(f"index {indices[k]} is outside the {n_in} inputs")
    return 0


cdef int check_flat(const int64_t[::1] starts, Py_ssize_t values, Py_ssize_t coefficients, Py_ssize_t count) except -1:
    """Raise ValueError unless starts cuts so many values, and as many coefficients, into `count` inequalities."""
    cdef Py_ssize_t k
    if values != coefficients:
        raise ValueError(f"inequalities have {values} values and {coefficients} coefficients")
    if starts.shape[0] != count + 1 or starts[0] != 0 or starts[count] != values:
        raise ValueError(f"expected where {count} inequalities start among {values} values, and their end")
    for k in range(count):
        if starts[k] > starts[k + 1]:
            raise ValueError(f"inequality {k} ends before it starts")
    return 0


def affine(
    const int64_t[::1] indptr,
    const int32_t[::1] indices,
    const int64_t[::1] weights,
    const int64_t[::1] bias,
    const int64_t[:, ::1] x,
    int64_t[:, ::1] acc,
):
    """acc[b, i] = bias[i] + sum over the nonzeros k of row i of weights[k] * x[b, indices[k]].

    indptr[n_out + 1], indices[nnz], weights[nnz], bias[n_out] are an `AffineMap`; x[batch, n_in], acc[batch, n_out].
    The numpy equivalent is `acc[:] = x @ W.T + bias` in int64. The caller guarantees that no sum leaves int64.
    Raises ValueError when shapes do not fit together.
    """
    cdef Py_ssize_t b, i, k
    cdef Py_ssize_t batch = x.shape[0], n_in = x.shape[1], n_out = bias.shape[0]
    cdef int64_t total
    if acc.shape[0] != batch or acc.shape[1] != n_out:
        raise ValueError("acc must match x and bias")
    check_rows(indptr, indices, weights, n_out, n_in)
    with nogil:
        for b in range(batch):
            for i in range(n_out):
                total = bias[i]
                for k in range(indptr[i], indptr[i + 1]):
                    total += weights[k] * x[b, indices[k]]
                acc[b, i] = total
