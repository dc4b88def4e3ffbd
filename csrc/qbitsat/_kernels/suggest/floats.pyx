"""Layers and inequalities in float32, for what only suggests: floats.h with numpy around it."""

cimport cython
from libc.stdlib cimport free, malloc

import numpy as np

from qbitsat._kernels.exact.flat cimport check_flat
from qbitsat._kernels.exact.layers cimport Layers, layer_t
from qbitsat._kernels.types cimport int32_t, int64_t


cdef extern from "floats.h":
    void floats_apply(const float_layer_t *layer, const float *values, long width, float *acc, long batch, float *work) noexcept nogil
    void floats_back(const float_layer_t *layer, const float *m, float *values, long width, long batch, float *work) noexcept nogil


@cython.final
cdef class Floats:
    """The same layers with weights and biases of 32 bits."""

    def __cinit__(self, Layers layers):
        cdef Py_ssize_t k
        self.kept = [layers]
        self.layers = <float_layer_t *> malloc((layers.plan.num_layers + 1) * sizeof(float_layer_t))
        if self.layers == NULL:
            raise MemoryError("no memory for layers")
        p = &self.plan
        p.num_layers, p.num_inputs, p.num_neurons = layers.plan.num_layers, layers.plan.num_inputs, layers.plan.num_neurons
        p.most_cells, p.most_taps, p.layers = layers.plan.most_cells, layers.plan.most_taps, self.layers
        for k in range(p.num_layers):
            self._set(&self.layers[k], &layers.layers[k])

    cdef _set(self, float_layer_t *layer, const layer_t *map):
        cdef float[::1] rows = np.empty(map.num_rows + 1, np.float32), bias = np.empty(map.n_out + 1, np.float32)
        cdef int64_t i
        for i in range(map.num_rows):
            rows[i] = <float> map.rows[i]
        for i in range(map.n_out):
            bias[i] = <float> map.bias[i]
        layer.map, layer.rows, layer.bias, layer.reads_neurons = map, &rows[0], &bias[0], False
        for i in range(map.n_in):
            if map.view[i] >= self.plan.num_inputs:
                layer.reads_neurons = True
                break
        self.kept += [rows, bias]

    def __dealloc__(self):
        free(self.layers)

    def apply(self, Py_ssize_t k, const float[:, ::1] values):
        """Accumulators of layer k for a batch, less biases: float32[batch, values before it, or more] -> float32[batch, n_out]."""
        cdef float *work = self._room(k, values.shape[1])
        cdef float[:, ::1] out
        try:
            result = np.zeros((values.shape[0], self.layers[k].map.n_out), np.float32)
            out = result
            if values.shape[0]:
                with nogil:
                    floats_apply(&self.layers[k], &values[0, 0], values.shape[1], &out[0, 0], values.shape[0], work)
        finally:
            free(work)
        return result

    def back(self, Py_ssize_t k, const float[:, ::1] outputs, float[:, ::1] values):
        """values += outputs W of layer k, in place; what falls on padding is lost.

        outputs float32[batch, n_out], values float32[batch, values before it, or more].
        """
        cdef float *work = self._room(k, values.shape[1])
        try:
            if outputs.shape[0] != values.shape[0] or outputs.shape[1] != self.layers[k].map.n_out:
                raise ValueError(f"{outputs.shape[0]} rows of {outputs.shape[1]} numbers for {values.shape[0]} rows of values")
            if values.shape[0]:
                with nogil:
                    floats_back(&self.layers[k], &outputs[0, 0], &values[0, 0], values.shape[1], values.shape[0], work)
        finally:
            free(work)

    cdef float *_room(self, Py_ssize_t k, Py_ssize_t width) except NULL:
        """Memory for cells and taps, if there is such a layer and values that it may read."""
        if not 0 <= k < self.plan.num_layers:
            raise IndexError(f"layer {k} of {self.plan.num_layers}")
        before = self.plan.num_inputs + self.layers[k].map.neuron
        if width < before:
            raise ValueError(f"rows of {width} values, expected {before}")
        cdef float *work = <float *> malloc((self.plan.most_cells + self.plan.most_taps + 1) * sizeof(float))
        if work == NULL:
            raise MemoryError("no memory for cells")
        return work


@cython.final
cdef class Inequalities:
    """Inequalities over `num_values` values, flat as in `bounds.layout.Inequalities`.

    flat: (starts int64[count + 1], values int32, coefficients float32, bounds float32[count]).
    """

    def __cinit__(self, Py_ssize_t num_values, tuple flat):
        cdef Py_ssize_t k
        cdef const int64_t[::1] starts = flat[0]
        cdef const int32_t[::1] values = flat[1]
        cdef const float[::1] coefficients = flat[2], bounds = flat[3]
        check_flat(starts, values.shape[0], coefficients.shape[0], bounds.shape[0])
        for k in range(values.shape[0]):
            if not 0 <= values[k] < num_values:
                raise ValueError(f"an inequality names value {values[k]}, which does not exist")
        self.all = <inequality_t *> malloc((bounds.shape[0] + 1) * sizeof(inequality_t))
        if self.all == NULL:
            raise MemoryError("no memory for inequalities")
        self.count, self.kept = <int> bounds.shape[0], flat
        for k in range(self.count):
            self.all[k].size, self.all[k].bound = <int> (starts[k + 1] - starts[k]), bounds[k]
            self.all[k].values = <const int *> &values[starts[k]] if self.all[k].size else NULL
            self.all[k].coefficients = &coefficients[starts[k]] if self.all[k].size else NULL

    cdef int fill(self, const int32_t[:, ::1] named, Py_ssize_t row, const inequality_t **mine) noexcept nogil:
        """How many inequalities a node has before its -1s, and which."""
        cdef int k = 0
        while k < named.shape[1] and named[row, k] >= 0:
            mine[k] = &self.all[named[row, k]]
            k += 1
        return k

    def __dealloc__(self):
        free(self.all)
