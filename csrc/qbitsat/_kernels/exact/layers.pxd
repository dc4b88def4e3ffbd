from qbitsat._kernels.types cimport int32_t, int64_t

cdef extern from "layer.h":
    int STEP_NONE, STEP_TABLE, STEP_SHIFT, STEP_POINTS
    int LAYER_PATCHES, LAYER_LANES, LAYER_ROWS

    ctypedef struct step_t:
        int kind, shift, rounding, count, full
        int64_t lo, hi, offset, first
        double inverse
        const int64_t *table
        const int32_t *breakpoints

    ctypedef struct layer_t:
        int kind, n_in, n_out, neuron, run, reads_inputs, reads_neurons
        int64_t padding
        const int32_t *view
        int positions, groups, channels, taps, stride, adjacent
        const int32_t *start
        const int32_t *offset
        const int64_t *indptr
        const int32_t *indices
        const int32_t *rows
        int64_t num_rows
        const int64_t *bias
        double max_weight
        int num_steps
        const step_t *steps

    ctypedef struct pair_t:
        int a, b, e, d
        int64_t e_lo, e_hi
        const step_t *step_a
        const step_t *step_b

    ctypedef struct layers_t:
        int num_layers, num_inputs, num_neurons, most_cells, most_outputs, most_taps, num_pairs
        const layer_t *layers
        const pair_t *pairs

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

    ctypedef struct room_t:
        int64_t *sum
        int64_t *width
        int64_t *taps
        int64_t *low
        int64_t *high
        int32_t *narrow_sum
        int32_t *narrow_width
        int32_t *narrow_taps
        int32_t *narrow_outputs


cdef class Layers:
    cdef layers_t plan
    cdef layer_t *layers
    cdef step_t *steps
    cdef pair_t *pairs
    cdef list kept

    cdef _set(self, layer_t *layer, affine, const int32_t[::1] view)
    cdef _set_patches(self, layer_t *layer, affine)
    cdef _set_rows(self, layer_t *layer, affine)
    cdef _set_steps(self, layer_t *layer, step_t *step, steps)
    cdef _set_pairs(self, const int64_t[:, ::1] pairs)
    cdef const step_t *_step_of(self, int64_t neuron) except NULL
    cdef Py_ssize_t check(self, lo, hi, acc_lo, acc_hi) except -1


cdef class Room:
    cdef room_t at
    cdef list kept


cdef class Atoms:
    cdef atom_t *atoms
    cdef int count
    cdef list kept

    cdef int fill(self, const int32_t[:, ::1] atoms, Py_ssize_t row) except -1 nogil
