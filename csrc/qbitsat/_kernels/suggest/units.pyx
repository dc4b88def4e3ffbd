"""What of layers is computed together where descents go side by side, and which of it matters: wide_units.h with numpy around it."""

cimport cython
from libc.stdlib cimport free, malloc

import numpy as np

from qbitsat._kernels.exact.layers cimport LAYER_PATCHES, LAYER_ROWS

cdef extern from "wide_units.h":
    long chosen_ints(const units_t *all) noexcept nogil
    long chosen_marks(const units_t *all) noexcept nogil
    chosen_t share_out_chosen(const units_t *all, int *ints, lanes_t *marks, unsigned char *moves) noexcept nogil


@cython.final
cdef class Units:
    """The units of layers, and room for those that matter; nothing is marked yet."""

    def __cinit__(self, Floats floats):
        cdef Py_ssize_t k, i
        cdef int[::1] ints
        cdef unsigned short[::1] marks
        cdef unsigned char[::1] moves
        self.floats = floats
        self.first_unit = <int *> malloc((floats.plan.num_layers + 1) * sizeof(int))
        if self.first_unit == NULL:
            raise MemoryError("no memory for layers")
        p = &self.plan
        p.floats, p.first_unit, p.num_units, p.most_reads = &floats.plan, self.first_unit, 0, 1
        for k in range(floats.plan.num_layers):
            map = floats.layers[k].map
            self.first_unit[k] = p.num_units
            p.num_units += map.positions if map.kind == LAYER_PATCHES else map.n_out
            if map.kind != LAYER_ROWS:
                p.most_reads = max(p.most_reads, map.taps)
                continue
            for i in range(map.n_out):
                p.most_reads = max(p.most_reads, <int> (map.indptr[i + 1] - map.indptr[i]))
        ints, marks = np.zeros(chosen_ints(p), np.int32), np.zeros(chosen_marks(p) + 1, np.uint16)
        moves = np.zeros(floats.plan.num_neurons + 1, np.uint8)
        self.ints, self.marks, self.moves = ints, marks, moves
        self.chosen = share_out_chosen(p, &ints[0], &marks[0], &moves[0])

    def __dealloc__(self):
        free(self.first_unit)


cdef wide_t *wides_of(float[::1] room):
    """Where wides may stand in this room: at multiples of their size."""
    cdef size_t at = <size_t> &room[0], size = sizeof(float) * WIDE
    return <wide_t *> ((at + size - 1) // size * size)
