from qbitsat._kernels.exact.layers cimport Layers, layer_t
from qbitsat._kernels.types cimport int32_t, int64_t

cdef extern from "floats.h":
    ctypedef struct float_layer_t:
        const layer_t *map
        const float *rows
        const float *bias
        int reads_neurons

    ctypedef struct floats_t:
        int num_layers, num_inputs, num_neurons, most_cells, most_taps
        const float_layer_t *layers

    ctypedef struct inequality_t:
        int size
        const int *values
        const float *coefficients
        float bound


cdef class Floats:
    cdef floats_t plan
    cdef float_layer_t *layers
    cdef list kept

    cdef _set(self, float_layer_t *layer, const layer_t *map)
    cdef float *_room(self, Py_ssize_t k, Py_ssize_t width) except NULL


cdef class Inequalities:
    cdef inequality_t *all
    cdef int count
    cdef tuple kept

    cdef int fill(self, const int32_t[:, ::1] named, Py_ssize_t row, const inequality_t **mine) noexcept nogil
