"""Exact integer inference and interval arithmetic, a layer at a time."""

import numpy as np

from qbitsat._kernels.exact.layers cimport Layers, Room, layer_t, room_t
from qbitsat._kernels.types cimport int64_t

cdef extern from "forward.h":
    void forward_point(const layer_t *layer, const int64_t *values, const room_t *room, int64_t *acc) noexcept nogil
    void forward_box(const layer_t *layer, const int64_t *lo, const int64_t *hi, const room_t *room, int64_t *acc_lo,
                     int64_t *acc_hi) noexcept nogil
    void forward_requantize(const layer_t *layer, const int64_t *acc, int64_t *y) noexcept nogil


def accumulate(Layers layers, Py_ssize_t k, const int64_t[:, ::1] values, int64_t[:, ::1] acc):
    """Accumulators of layer k for a batch of points: acc[b] = W cells + bias, where the cells are among values[b].

    values int64[batch, num_values], of which those that the layer reads fit into 32 bits; acc int64[batch, n_out]. The caller guarantees
    that no sum leaves int64. Raises ValueError when shapes do not fit together.
    """
    cdef Py_ssize_t b
    cdef Room room = Room(layers)
    _check(layers, k, values.shape[0], values.shape[1], acc.shape[0], acc.shape[1])
    with nogil:
        for b in range(values.shape[0]):
            forward_point(&layers.layers[k], &values[b, 0], &room.at, &acc[b, 0])


def accumulate_ranges(Layers layers, Py_ssize_t k, const int64_t[:, ::1] lo, const int64_t[:, ::1] hi, int64_t[:, ::1] acc_lo,
                      int64_t[:, ::1] acc_hi):
    """The smallest and largest accumulators of layer k for a batch of boxes lo <= values <= hi, each cell by itself.

    With P and N the positive and negative parts of W (W = P + N): acc_lo = P lo + N hi + bias, acc_hi = P hi + N lo + bias. Shapes are
    those of `accumulate`; the caller guarantees that twice a sum stays inside int64. Raises ValueError when shapes do not fit together.
    """
    cdef Py_ssize_t b
    cdef Room room = Room(layers)
    _check(layers, k, lo.shape[0], lo.shape[1], acc_lo.shape[0], acc_lo.shape[1])
    _check(layers, k, hi.shape[0], hi.shape[1], acc_hi.shape[0], acc_hi.shape[1])
    if hi.shape[0] != lo.shape[0]:
        raise ValueError("lo and hi must have a row for each box")
    with nogil:
        for b in range(lo.shape[0]):
            forward_box(&layers.layers[k], &lo[b, 0], &hi[b, 0], &room.at, &acc_lo[b, 0], &acc_hi[b, 0])


def requantize(Layers layers, Py_ssize_t k, const int64_t[:, ::1] acc):
    """Outputs of layer k for a batch of accumulators: int64[batch, n_out] -> int64[batch, n_out], as `Layer.requantize` gives them.

    Raises ValueError when shapes do not fit together, or some outputs have no steps.
    """
    cdef Py_ssize_t b
    if not layers.stepped(k) or acc.shape[1] != layers.outputs(k):
        raise ValueError(f"{acc.shape[1]} accumulators of layer {k}, which must be {layers.outputs(k)}, all with steps")
    if layers.layers[k].n_out % layers.layers[k].num_steps:
        raise ValueError(f"steps of layer {k} must be as many for each of its outputs")
    outputs = np.empty((acc.shape[0], acc.shape[1]), np.int64)
    cdef int64_t[:, ::1] y = outputs
    with nogil:
        for b in range(acc.shape[0]):
            forward_requantize(&layers.layers[k], &acc[b, 0], &y[b, 0])
    return outputs


def _check(Layers layers, k, batch, values, rows, outputs):
    expected = (batch, layers.num_values), (batch, layers.outputs(k))
    if ((batch, values), (rows, outputs)) != expected:
        raise ValueError(f"values and accumulators of shapes {(batch, values)} and {(rows, outputs)}, which must be {expected}")
