from qbitsat._kernels.types cimport int32_t, int64_t

cdef int check_rows(
    const int64_t[::1] indptr, const int32_t[::1] indices, const int64_t[::1] weights, Py_ssize_t n_out, Py_ssize_t n_in
) except -1

cdef int check_flat(const int64_t[::1] starts, Py_ssize_t values, Py_ssize_t coefficients, Py_ssize_t count) except -1
