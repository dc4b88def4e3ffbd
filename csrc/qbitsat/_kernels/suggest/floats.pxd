from qbitsat._kernels.types cimport int32_t, int64_t

cdef extern from "floats.h":
    ctypedef struct floats_t:
        int kind, n_in, n_out, run
        float padding
        int positions, groups, channels, taps, stride
        const int32_t *view
        const int32_t *start
        const int32_t *offset
        const int32_t *indices
        const int64_t *indptr
        const float *rows

    int DENSE, PATCHES, CHANNELWISE, ROWS


cdef class Floats:
    cdef floats_t map
    cdef readonly int num_values
    cdef list kept

    cdef _set_patches(self, affine)
    cdef _set_rows(self, affine)
    cdef float *_room(self, Py_ssize_t width) except NULL
