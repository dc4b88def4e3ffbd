from qbitsat._kernels.types cimport int32_t, int64_t

cdef extern from "blocks.h":
    ctypedef struct block_t:
        int n_out, n_in, source, neuron, channels, levels
        int64_t y_min
        double heaviest
        const int32_t *matrix
        const int32_t *indices
        const int32_t *bends
        const int64_t *indptr
        const int64_t *weights
        const int64_t *bias
        const int64_t *steps
        const int64_t *y_first
        const int64_t *y_last

    ctypedef struct blocks_t:
        int num_blocks, num_inputs, num_neurons
        const block_t *blocks

    ctypedef struct atom_t:
        int size
        const int64_t *values
        const int64_t *coefficients
        int64_t bound

    ctypedef struct ranges_t:
        int64_t *lo
        int64_t *hi
        int64_t *acc_lo
        int64_t *acc_hi


cdef class Blocks:
    cdef blocks_t plan
    cdef block_t *blocks
    cdef list kept
    cdef object tick

    cdef _set(self, Py_ssize_t k, affine, const int64_t[:, ::1] steps, y_min, source, const int64_t[::1] y_first, const int64_t[::1] y_last)
    cdef _set_affine(self, block_t *block, affine)
    cdef Py_ssize_t check(self, lo, hi, acc_lo, acc_hi) except -1


cdef class Atoms:
    cdef atom_t *atoms
    cdef int count
    cdef list kept

    cdef int fill(self, const int32_t[:, ::1] atoms, Py_ssize_t row) except -1 nogil
