"""Affine maps in float32, for what only suggests: floats_loops.c with numpy around it."""

cimport cython
from libc.stdlib cimport free, malloc

import numpy as np

from qbitsat._kernels.types cimport int32_t, int64_t


cdef extern from "floats.h":
    void c_apply "apply"(const floats_t *map, const float *values, long width, float *acc, long batch, float *work) noexcept nogil
    void c_back "back"(const floats_t *map, const float *m, float *values, long width, long batch, float *work) noexcept nogil


@cython.final
cdef class Floats:
    """acc = W x for cells x of some values: a `network.AffineMap` without its bias.

    view int32[n_in]: the value among `num_values` that a cell is, or -1 for `padding`.
    """

    def __cinit__(self, affine, view, int num_values, float padding=0):
        cdef const int32_t[::1] cells = np.ascontiguousarray(view, np.int32)
        if len(view) != affine.n_in or not len(view) or not -1 <= np.min(view) <= np.max(view) < num_values:
            raise ValueError(f"a view of {len(view)} cells among {num_values} values for a map of {affine.n_in}")
        self.num_values, self.kept = num_values, [cells]
        self.map.n_in, self.map.n_out, self.map.padding, self.map.view = affine.n_in, affine.n_out, padding, &cells[0]
        self.map.run = cells[0] if np.array_equal(view, np.arange(view[0], view[0] + len(view))) else -1
        if hasattr(affine, "indptr"):
            self._set_rows(affine)
        else:
            self._set_patches(affine)

    cdef _set_patches(self, affine):
        cdef const int32_t[::1] start = affine.start, offset = affine.offset
        cdef const float[::1] rows
        m = &self.map
        groups, channels, taps = affine.rows.shape
        m.positions, m.groups, m.channels, m.taps, m.stride = <int> start.shape[0], groups, channels, taps, affine.stride
        m.start, m.offset = &start[0], &offset[0]
        first, last = int(np.min(start)) + int(np.min(offset)), int(np.max(start)) + int(np.max(offset)) + (groups - 1) * affine.stride
        if affine.stride < 0 or first < 0 or last >= m.n_in or m.n_out != m.positions * groups * channels:
            raise ValueError(f"patches of cells {first} to {last} in a map of {m.n_in}")
        m.kind = DENSE if affine.is_dense else CHANNELWISE if channels == 1 and affine.stride == 1 and groups > 1 else PATCHES
        weights = affine.rows.reshape(groups, taps).T if m.kind == CHANNELWISE else affine.rows
        rows = np.ascontiguousarray(weights, np.float32).ravel()
        m.rows = &rows[0]
        self.kept += [start, offset, rows]

    cdef _set_rows(self, affine):
        cdef const int64_t[::1] indptr = affine.indptr
        cdef const int32_t[::1] indices = affine.indices
        cdef const float[::1] rows = np.append(affine.weights, 0).astype(np.float32)
        m = &self.map
        count = indices.shape[0]
        if len(indptr) != m.n_out + 1 or indptr[0] or indptr[m.n_out] != count or np.any(np.diff(indptr) < 0) or rows.shape[0] != count + 1:
            raise ValueError("compressed rows that do not follow each other")
        if count and not 0 <= np.min(indices) <= np.max(indices) < m.n_in:
            raise ValueError(f"rows of cells {np.min(indices)} to {np.max(indices)} in a map of {m.n_in}")
        m.kind, m.indptr, m.indices, m.rows = ROWS, &indptr[0], &indices[0] if count else NULL, &rows[0]
        self.kept += [indptr, indices, rows]

    @property
    def n_out(self):
        return self.map.n_out

    def apply(self, const float[:, ::1] values):
        """W x for a batch, float32[batch, num_values] -> float32[batch, n_out]; values of a number of columns that is enough will do."""
        result = np.zeros((values.shape[0], self.map.n_out), np.float32)
        cdef float[:, ::1] out = result
        cdef float *work = self._room(values.shape[1])
        try:
            if values.shape[0]:
                with nogil:
                    c_apply(&self.map, &values[0, 0], values.shape[1], &out[0, 0], values.shape[0], work)
        finally:
            free(work)
        return result

    def back(self, const float[:, ::1] outputs, float[:, ::1] values):
        """values += outputs W, in place: float32[batch, n_out] and float32[batch, num_values]."""
        if outputs.shape[0] != values.shape[0] or outputs.shape[1] != self.map.n_out:
            raise ValueError(f"{outputs.shape[0]} rows of {outputs.shape[1]} numbers for {values.shape[0]} of {self.map.n_out}")
        cdef float *work = self._room(values.shape[1])
        try:
            if values.shape[0]:
                with nogil:
                    c_back(&self.map, &outputs[0, 0], &values[0, 0], values.shape[1], values.shape[0], work)
        finally:
            free(work)

    cdef float *_room(self, Py_ssize_t width) except NULL:
        """Memory for cells and taps, if rows of values are as wide as they have to be."""
        if width < self.num_values:
            raise ValueError(f"rows of {width} values, expected {self.num_values}")
        cdef float *work = <float *> malloc((self.map.n_in + self.map.taps + 1) * sizeof(float))
        if work == NULL:
            raise MemoryError("no memory for cells")
        return work
