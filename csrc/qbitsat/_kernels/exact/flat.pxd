from qbitsat._kernels.types cimport int64_t


cdef inline int check_flat(const int64_t[::1] starts, Py_ssize_t values, Py_ssize_t coefficients, Py_ssize_t count) except -1:
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
