"""The layers of networks as kernels see them: layer.h with numpy around it."""

cimport cython
from libc.stdlib cimport calloc, free, malloc

import numpy as np

from qbitsat._kernels.exact.flat cimport check_flat
from qbitsat._kernels.types cimport int32_t, int64_t

# Positions of so few taps are laid side by side, with the weights repeated.
FEW = 8


cdef const int32_t *words(const int32_t[::1] array) noexcept:
    return &array[0] if array.shape[0] else NULL


cdef const int64_t *longs(const int64_t[::1] array) noexcept:
    return &array[0] if array.shape[0] else NULL


@cython.final
cdef class Layers:
    """num_inputs, and of every layer, each after what it reads: (affine, view, padding, steps).

    affine is a `network.Patches` or `network.SparseRows`; cell j is value view[j], or `padding` where view int32[n_in] is -1. Values are
    the inputs, then the outputs of layers, which are the neurons, in order. steps are those of outputs as `arithmetic.steps` gives them,
    output i has steps[i % len(steps)]; none at all for who only needs accumulators. pairs int64[n, 6] are the a, b, e, d, e_lo and e_hi of
    layer.h, neurons with steps, each d behind the others and behind the d before.
    Raises ValueError for what does not fit together.
    """

    def __cinit__(self, int num_inputs, layers, pairs=None):
        cdef Py_ssize_t k, used = 0
        cdef layer_t *layer
        self.kept = []
        self.layers = <layer_t *> calloc(len(layers) + 1, sizeof(layer_t))
        self.steps = <step_t *> calloc(sum(len(part[3]) for part in layers) + 1, sizeof(step_t))
        if self.layers == NULL or self.steps == NULL:
            raise MemoryError("no memory for layers")
        self.plan.num_inputs, self.plan.num_layers, self.plan.layers = num_inputs, <int> len(layers), self.layers
        for k, (affine, view, padding, steps) in enumerate(layers):
            layer = &self.layers[k]
            layer.padding, layer.neuron = padding, self.plan.num_neurons
            self._set(layer, affine, view)
            self._set_steps(layer, self.steps + used, steps)
            used += len(steps)
            self.plan.num_neurons += layer.n_out
            self.plan.most_cells = max(self.plan.most_cells, layer.n_in)
            self.plan.most_outputs = max(self.plan.most_outputs, layer.n_out)
            self.plan.most_taps = max(self.plan.most_taps, layer.taps)
        if pairs is not None and len(pairs):
            self._set_pairs(pairs)

    cdef _set(self, layer_t *layer, affine, const int32_t[::1] view):
        cdef const int64_t[::1] bias = affine.biases
        cells = np.asarray(view)
        if len(cells) != affine.n_in or not affine.n_in or cells.min() < -1 or cells.max() >= self.plan.num_inputs + layer.neuron:
            raise ValueError(f"a layer of {affine.n_in} cells reads {len(cells)} values, or some that are not before it")
        layer.n_in, layer.n_out, layer.max_weight = affine.n_in, affine.n_out, affine.max_weight
        if bias.shape[0] != layer.n_out:
            raise ValueError(f"{bias.shape[0]} biases of {layer.n_out} accumulators")
        layer.view, layer.bias = words(view), longs(bias)
        layer.reads_inputs = bool(((cells >= 0) & (cells < self.plan.num_inputs)).any())
        layer.reads_neurons = bool((cells >= self.plan.num_inputs).any())
        layer.run = int(cells[0]) if cells[0] >= 0 and (np.diff(cells) == 1).all() else -1
        self.kept.extend((affine, view, bias))
        if hasattr(affine, "start"):
            self._set_patches(layer, affine)
        else:
            self._set_rows(layer, affine)

    cdef _set_patches(self, layer_t *layer, affine):
        start, offset, rows = affine.start, affine.offset, affine.rows
        positions, (groups, channels, taps), stride = len(start), rows.shape, affine.stride
        if positions * groups * channels != layer.n_out or len(offset) != taps or not rows.size:
            raise ValueError(f"{positions} positions of rows {rows.shape} over {len(offset)} cells are not {layer.n_out} accumulators")
        steps = 0, (groups - 1) * stride
        if min(start) + min(steps) + min(offset) < 0 or max(start) + max(steps) + max(offset) >= layer.n_in:
            raise ValueError(f"a position reads beyond the {layer.n_in} cells")
        layer.kind = LAYER_PATCHES
        if groups == channels == 1 and 1 < positions and taps <= FEW and (np.diff(start) == 1).all():
            layer.kind, start, groups, positions, stride, rows = LAYER_LANES, start[:1], positions, 1, 1, np.tile(rows, (positions, 1, 1))
        elif channels == stride == 1 and groups > 1:
            layer.kind = LAYER_LANES
        rows = np.ascontiguousarray(rows[:, 0].T if layer.kind == LAYER_LANES else rows).ravel()
        layer.positions, layer.groups, layer.channels, layer.taps, layer.stride = positions, groups, channels, taps, stride
        layer.adjacent = bool((np.diff(offset) == 1).all())
        layer.start, layer.offset, layer.rows, layer.num_rows = words(start), words(offset), words(rows), len(rows)
        self.kept.extend((start, offset, rows))

    cdef _set_rows(self, layer_t *layer, affine):
        indptr, indices, weights = affine.indptr, affine.indices, affine.weights
        if len(indptr) != layer.n_out + 1 or indptr[0] or len(indices) != len(weights) or indptr[layer.n_out] != len(weights):
            raise ValueError(f"compressed rows of {layer.n_out} accumulators do not fit together")
        if (np.diff(indptr) < 0).any() or (len(indices) and not 0 <= indices.min() <= indices.max() < layer.n_in):
            raise ValueError(f"compressed rows fall, or read beyond the {layer.n_in} cells")
        layer.kind, layer.positions, layer.groups, layer.channels = LAYER_ROWS, 1, 1, layer.n_out
        layer.indptr, layer.indices, layer.rows, layer.num_rows = longs(indptr), words(indices), words(weights), len(weights)

    cdef _set_steps(self, layer_t *layer, step_t *step, steps):
        layer.steps, layer.num_steps = step, <int> len(steps)
        for part in steps:
            step.kind, step.lo, step.hi, step.shift, step.rounding = part.kind, part.lo, part.hi, part.shift, part.rounding
            step.offset, step.first, step.count = part.offset, part.first, <int> len(part.table)
            step.table = longs(part.table)
            if step.kind == STEP_TABLE and len(part.table) != part.hi - part.lo + 2:
                raise ValueError(f"{len(part.table)} thresholds of outputs from {part.lo} to {part.hi}")
            if step.kind == STEP_POINTS and not len(part.table):
                raise ValueError("a table without points")
            if step.kind == STEP_TABLE:
                if len(part.breakpoints) != part.hi - part.lo + 1:
                    raise ValueError(f"breakpoints of {len(part.breakpoints)} outputs from {part.lo} to {part.hi}")
                span = part.hi - part.lo
                run = float(part.table[span]) - float(part.table[1]) if span > 1 else 0.0
                step.inverse = (span - 1) / run if run > 0 else 0
                step.breakpoints, step.full = words(part.breakpoints), part.full
            self.kept.append(part)
            step += 1

    cdef _set_pairs(self, const int64_t[:, ::1] pairs):
        cdef Py_ssize_t k
        cdef int64_t before = -1
        self.pairs = <pair_t *> calloc(pairs.shape[0], sizeof(pair_t))
        if self.pairs == NULL:
            raise MemoryError("no memory for pairs")
        for k in range(pairs.shape[0]):
            a, b, e, d = pairs[k, 0], pairs[k, 1], pairs[k, 2], pairs[k, 3]
            if not (0 <= a < d and 0 <= b < d and -1 <= e < d and before < d < self.plan.num_neurons):
                raise ValueError(f"a pair of neurons {a}, {b}, {e} and {d} does not fit")
            self.pairs[k] = pair_t(a, b, e, d, pairs[k, 4], pairs[k, 5], self._step_of(a), self._step_of(b))
            before = d
        self.plan.pairs, self.plan.num_pairs = self.pairs, <int> pairs.shape[0]

    cdef const step_t *_step_of(self, int64_t neuron) except NULL:
        """That of a neuron, or ValueError where it has none that grows."""
        cdef const layer_t *layer = self.layers
        cdef const step_t *step
        while layer.neuron + layer.n_out <= neuron:
            layer += 1
        if not layer.num_steps:
            raise ValueError(f"neuron {neuron} of a pair has no steps")
        step = &layer.steps[(neuron - layer.neuron) % layer.num_steps]
        if step.kind == STEP_NONE:
            raise ValueError(f"neuron {neuron} of a pair has no steps")
        return step

    cdef Py_ssize_t check(self, lo, hi, acc_lo, acc_hi) except -1:
        """The number of nodes, if these arrays have a row for each; else ValueError."""
        values, neurons = self.plan.num_inputs + self.plan.num_neurons, self.plan.num_neurons
        for array, width in (lo, values), (hi, values), (acc_lo, neurons), (acc_hi, neurons):
            if array.shape != (len(lo), width):
                raise ValueError(f"ranges of shape {array.shape}, expected {(len(lo), width)}")
        return len(lo)

    @property
    def num_values(self):
        """Inputs and neurons."""
        return self.plan.num_inputs + self.plan.num_neurons

    def stepped(self, Py_ssize_t k):
        """Whether all outputs of layer k have steps; IndexError if there is no such layer."""
        cdef int i
        layer = self.layers[k if self.outputs(k) else 0]
        return layer.num_steps > 0 and all([layer.steps[i].kind != STEP_NONE for i in range(layer.num_steps)])

    def outputs(self, Py_ssize_t k):
        """How many accumulators layer k has; IndexError if there is no such layer."""
        if not 0 <= k < self.plan.num_layers:
            raise IndexError(f"layer {k} of {self.plan.num_layers}")
        return self.layers[k].n_out

    def __dealloc__(self):
        free(self.layers)
        free(self.steps)
        free(self.pairs)


@cython.final
cdef class Room:
    """Room for what goes through one layer at a time."""

    def __cinit__(self, Layers layers):
        cdef int64_t[:, ::1] cells = np.empty((2, layers.plan.most_cells + 1), np.int64)
        cdef int64_t[:, ::1] outputs = np.empty((2, layers.plan.most_outputs + 1), np.int64)
        cdef int64_t[::1] taps = np.empty(layers.plan.most_taps + 1, np.int64)
        cdef int32_t[:, ::1] narrow_cells = np.empty((2, layers.plan.most_cells + 1), np.int32)
        cdef int32_t[::1] narrow_taps = np.empty(layers.plan.most_taps + 1, np.int32)
        cdef int32_t[::1] narrow_outputs = np.empty(layers.plan.most_outputs + 1, np.int32)
        self.kept = [cells, outputs, taps, narrow_cells, narrow_taps, narrow_outputs]
        self.at = room_t(&cells[0, 0], &cells[1, 0], &taps[0], &outputs[0, 0], &outputs[1, 0],
                         &narrow_cells[0, 0], &narrow_cells[1, 0], &narrow_taps[0], &narrow_outputs[0])


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
