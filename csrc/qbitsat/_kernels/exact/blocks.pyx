"""The layers of a query as kernels see them: blocks.h with numpy around it."""

cimport cython
from libc.stdlib cimport free, malloc

import numpy as np

from qbitsat._kernels.exact.flat cimport check_flat
from qbitsat._kernels.types cimport int32_t, int64_t


cdef int check_rows(
    const int64_t[::1] indptr, const int32_t[::1] indices, const int64_t[::1] weights, Py_ssize_t n_out, Py_ssize_t n_in
) except -1:
    """Raise ValueError unless these are n_out compressed rows over n_in inputs, so that the loops stay inside them."""
    cdef Py_ssize_t i, k
    if indptr.shape[0] != n_out + 1 or indices.shape[0] != weights.shape[0] or indptr[n_out] != weights.shape[0]:
        raise ValueError("indptr must have an entry more than bias, and indices and weights indptr[-1] entries")
    with nogil:
        for i in range(n_out):
            if not 0 <= indptr[i] <= indptr[i + 1]:
                with gil:
                    raise ValueError(f"indptr falls from {indptr[i]} to {indptr[i + 1]} at row {i}")
        for k in range(indices.shape[0]):
            if not 0 <= indices[k] < n_in:
                with gil:
                    raise ValueError(f"index {indices[k]} is outside the {n_in} inputs")
    return 0


# Entries of tables of steps between two ticks.
BENDS_TOGETHER = 1 << 18


def bends(const int64_t[:, ::1] steps):
    """int32[channels, levels]: for every step the next one, or levels, that has not two neighbours as long as itself, and some length.

    Along the others a function that is linear in (acc, y) is linear in y, and no step is missing.
    """
    lengths = np.diff(steps, axis=1)
    levels = lengths.shape[1]
    places = np.tile(np.arange(levels, dtype=np.int32), (len(lengths), 1))
    inner = lengths[:, 1:-1]
    places[:, 1:-1][(lengths[:, :-2] == inner) & (lengths[:, 2:] == inner) & (inner > 0)] = levels
    following = np.full_like(places, levels)
    following[:, :-1] = np.minimum.accumulate(places[:, :0:-1], axis=1)[:, ::-1]
    return following


@cython.final
cdef class Blocks:
    """num_inputs, and of every layer, each after what it reads: (affine, steps, smallest output, first value read, y_first, y_last).

    affine is a `network.layers.AffineMap`. Values are inputs, then the outputs of layers, which are the neurons, in order.
    tick: called now and then, and may raise to stop; or None.
    steps int64[channels, levels + 1]: [k, v - smallest] is the smallest accumulator that reaches v, for outputs i with i % channels == k, and beyond
    all accumulators for the last; no channels: outputs do not grow with accumulators. y_first, y_last int64[n_out]: where outputs saturate.
    """

    def __cinit__(self, int num_inputs, list layers, tick=None):
        cdef Py_ssize_t k
        self.kept, self.tick = [], tick
        self.blocks = <block_t *> malloc((len(layers) + 1) * sizeof(block_t))
        if self.blocks == NULL:
            raise MemoryError("no memory for layers")
        self.plan.num_inputs, self.plan.num_neurons, self.plan.num_blocks, self.plan.blocks = num_inputs, 0, <int> len(layers), self.blocks
        for k, (affine, steps, y_min, source, y_first, y_last) in enumerate(layers):
            self._set(k, affine, steps, y_min, source, y_first, y_last)

    cdef _set(self, Py_ssize_t k, affine, const int64_t[:, ::1] steps, y_min, source, const int64_t[::1] y_first, const int64_t[::1] y_last):
        cdef block_t *block = &self.blocks[k]
        cdef const int32_t[:, ::1] following
        self._set_affine(block, affine)
        if not 0 <= source <= self.plan.num_inputs + self.plan.num_neurons - block.n_in:
            raise ValueError(f"layer {k} does not follow from those before")
        if not y_first.shape[0] == y_last.shape[0] == block.n_out:
            raise ValueError(f"layer {k}: expected {block.n_out} ends")
        block.source, block.neuron, block.y_min = source, self.plan.num_neurons, y_min
        block.channels, block.levels = <int> steps.shape[0], max(0, <int> steps.shape[1] - 1)
        block.steps = block.bends = block.y_first = block.y_last = NULL
        if block.channels and not block.levels:
            raise ValueError(f"layer {k} has no steps")
        if block.channels and block.n_out:
            following = self._bends(steps)
            block.steps, block.bends, block.y_first, block.y_last = &steps[0, 0], &following[0, 0], &y_first[0], &y_last[0]
            self.kept.append(following)
        self.kept.extend((affine, steps, y_first, y_last))
        self.plan.num_neurons += block.n_out

    def _bends(self, steps):
        """`bends` of some channels at a time."""
        channels, levels = len(steps), steps.shape[1] - 1
        following, size = np.empty((channels, levels), np.int32), max(1, BENDS_TOGETHER // levels)
        for start in range(0, channels, size):
            if self.tick is not None:
                self.tick()
            following[start : start + size] = bends(steps[start : start + size])
        return following

    cdef _set_affine(self, block_t *block, affine):
        cdef const int32_t[:, ::1] matrix = affine.whole
        rows = affine.unrolled
        cdef const int64_t[::1] bias = rows.bias, indptr = rows.indptr, weights = rows.weights.astype(np.int64)
        cdef const int32_t[::1] indices = rows.indices
        if matrix.shape[0] != bias.shape[0]:
            raise ValueError(f"expected a matrix of {bias.shape[0]} rows")
        check_rows(indptr, indices, weights, bias.shape[0], matrix.shape[1])
        block.n_out, block.n_in = <int> matrix.shape[0], <int> matrix.shape[1]
        block.heaviest = max(-float(np.min(matrix, initial=0)), float(np.max(matrix, initial=0)))
        block.indptr = &indptr[0]
        block.matrix, block.bias = &matrix[0, 0] if matrix.shape[0] and matrix.shape[1] else NULL, &bias[0] if bias.shape[0] else NULL
        self.kept.append(weights)
        block.indices, block.weights = &indices[0] if indices.shape[0] else NULL, &weights[0] if weights.shape[0] else NULL

    cdef Py_ssize_t check(self, lo, hi, acc_lo, acc_hi) except -1:
        """The number of nodes, if these arrays have a row for each; else ValueError."""
        values, neurons = self.plan.num_inputs + self.plan.num_neurons, self.plan.num_neurons
        for array, width in (lo, values), (hi, values), (acc_lo, neurons), (acc_hi, neurons):
            if array.shape != (len(lo), width):
                raise ValueError(f"ranges of shape {array.shape}, expected {(len(lo), width)}")
        return len(lo)

    def __dealloc__(self):
        free(self.blocks)


@cython.final
cdef class Atoms:
    """Inequalities over `num_values` values, flat: number k is values and coefficients from starts[k] to starts[k + 1], and bounds[k].

    int64 each. sum of coefficients * values <= bound, each value once, and all such sums within int64.
    """

    def __cinit__(self, int num_values, const int64_t[::1] starts, const int64_t[::1] values, const int64_t[::1] coefficients,
                  const int64_t[::1] bounds):
        cdef Py_ssize_t k
        check_flat(starts, values.shape[0], coefficients.shape[0], bounds.shape[0])
        for k in range(values.shape[0]):
            if not 0 <= values[k] < num_values:
                raise ValueError(f"an inequality names value {values[k]}, which does not exist")
        self.kept, self.count = [starts, values, coefficients, bounds], <int> bounds.shape[0]
        self.atoms = <atom_t *> malloc((self.count + 1) * sizeof(atom_t))
        if self.atoms == NULL:
            raise MemoryError("no memory for inequalities")
        for k in range(self.count):
            self.atoms[k].size, self.atoms[k].bound = <int> (starts[k + 1] - starts[k]), bounds[k]
            self.atoms[k].values = &values[starts[k]] if self.atoms[k].size else NULL
            self.atoms[k].coefficients = &coefficients[starts[k]] if self.atoms[k].size else NULL

    cdef int fill(self, const int32_t[:, ::1] atoms, Py_ssize_t row) except -1 nogil:
        """How many inequalities a node has before its -1s; ValueError if one does not exist."""
        cdef int a
        for a in range(atoms.shape[1]):
            if atoms[row, a] >= self.count:
                with gil:
                    raise ValueError("a node names an inequality that does not exist")
            if atoms[row, a] < 0:
                return a
        return <int> atoms.shape[1]

    def __dealloc__(self):
        free(self.atoms)
