"""Exact Lagrangian bounds: what multipliers, rounded to integers, prove about the ranges of nodes. dual.c with numpy around it."""

cimport cython
from libc.stdlib cimport free, malloc

import numpy as np

from qbitsat._types cimport int32_t, int64_t

cdef extern from "dual.h":
    ctypedef struct dual_layer_t:
        int n_out, n_in, source, neuron, channels, levels
        int64_t y_min
        double heaviest
        const int32_t *matrix
        const int32_t *bends
        const int64_t *bias
        const int64_t *steps

    ctypedef struct dual_atom_t:
        int size
        const int64_t *values
        const int64_t *coefficients
        int64_t bound

    ctypedef struct dual_plan_t:
        int num_layers, num_inputs, num_neurons
        const dual_layer_t *layers
        const dual_atom_t *atoms

    ctypedef struct dual_node_t:
        const int64_t *lo
        const int64_t *hi
        const int64_t *acc_lo
        const int64_t *acc_hi
        int num_atoms
        const int32_t *atoms
        const float *shares
        const float *multipliers
        int64_t *whole_shares
        int64_t *whole_multipliers
        double *weights
        int64_t *coefficients

    int DUAL_NOTHING, DUAL_BOUND, DUAL_EMPTY, DUAL_OVERFLOW, DUAL_FAULT
    int dual_bound(const dual_plan_t *plan, const dual_node_t *node, int64_t *bound) noexcept nogil

# What became of a node; see dual.h.
NOTHING, BOUND, EMPTY, OVERFLOW = DUAL_NOTHING, DUAL_BOUND, DUAL_EMPTY, DUAL_OVERFLOW


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
cdef class Dual:
    """The layers and the inequalities of a query.

    layers: (matrix int32[n_out, n_in], bias int64[n_out], steps int64[channels, levels + 1], smallest output, first value read) of every
    layer, each after what it reads. Values are inputs, then the outputs of layers, which are the neurons, in order. steps[k, v - smallest]
    is the smallest accumulator that reaches v, for outputs i with i % channels == k; no channels: y and acc count as unrelated.
    atoms: (values int64[k], coefficients int64[k], bound) of every inequality sum coefficients * values <= bound.
    """

    cdef dual_plan_t plan
    cdef dual_layer_t *layers
    cdef dual_atom_t *atoms
    cdef int num_atoms
    cdef list kept

    def __cinit__(self, int num_inputs, list layers, list atoms):
        cdef Py_ssize_t k
        self.kept = []
        self.layers = <dual_layer_t *> malloc((len(layers) + 1) * sizeof(dual_layer_t))
        self.atoms = <dual_atom_t *> malloc((len(atoms) + 1) * sizeof(dual_atom_t))
        if self.layers == NULL or self.atoms == NULL:
            raise MemoryError("no memory for layers and inequalities")
        self.plan.num_inputs, self.plan.num_neurons = num_inputs, 0
        for k, (matrix, bias, steps, y_min, source) in enumerate(layers):
            self._set_layer(k, matrix, bias, steps, y_min, source)
        for k, (values, coefficients, bound) in enumerate(atoms):
            self._set_atom(k, values, coefficients, bound)
        self.plan.num_layers, self.plan.layers, self.plan.atoms = <int> len(layers), self.layers, self.atoms
        self.num_atoms = <int> len(atoms)

    cdef _set_layer(self, Py_ssize_t k, const int32_t[:, ::1] matrix, const int64_t[::1] bias, const int64_t[:, ::1] steps, y_min, source):
        cdef dual_layer_t *layer = &self.layers[k]
        cdef const int32_t[:, ::1] following
        if bias.shape[0] != matrix.shape[0] or not 0 <= source <= self.plan.num_inputs + self.plan.num_neurons - matrix.shape[1]:
            raise ValueError(f"layer {k} does not follow from those before")
        layer.n_out, layer.n_in, layer.source, layer.neuron = <int> matrix.shape[0], <int> matrix.shape[1], source, self.plan.num_neurons
        layer.channels, layer.levels, layer.y_min = <int> steps.shape[0], max(0, <int> steps.shape[1] - 1), y_min
        layer.heaviest = max(-float(np.min(matrix, initial=0)), float(np.max(matrix, initial=0)))
        layer.matrix = &matrix[0, 0] if matrix.shape[0] and matrix.shape[1] else NULL
        layer.bias = &bias[0] if bias.shape[0] else NULL
        layer.steps = layer.bends = NULL
        if layer.channels:
            if not layer.levels:
                raise ValueError(f"layer {k} has no steps")
            following = bends(steps)
            layer.steps, layer.bends = &steps[0, 0], &following[0, 0]
            self.kept.append(following)
        self.kept.extend((matrix, bias, steps))
        self.plan.num_neurons += layer.n_out

    cdef _set_atom(self, Py_ssize_t k, const int64_t[::1] values, const int64_t[::1] coefficients, bound):
        cdef dual_atom_t *atom = &self.atoms[k]
        cdef Py_ssize_t i
        if values.shape[0] != coefficients.shape[0]:
            raise ValueError(f"inequality {k} has {values.shape[0]} values and {coefficients.shape[0]} coefficients")
        for i in range(values.shape[0]):
            if not 0 <= values[i] < self.plan.num_inputs + self.plan.num_neurons:
                raise ValueError(f"inequality {k} names values that do not exist")
        atom.size, atom.bound = <int> values.shape[0], bound
        atom.values = &values[0] if values.shape[0] else NULL
        atom.coefficients = &coefficients[0] if values.shape[0] else NULL
        self.kept.extend((values, coefficients))

    def __dealloc__(self):
        free(self.layers)
        free(self.atoms)

    def run(self, lo, hi, acc_lo, acc_hi, const int64_t[::1] rows, atoms, shares, multipliers):
        """What shares of a node's inequalities and multipliers of its accumulators prove in integers, for some rows of many nodes.

        One row a node: int64 lo, hi of the values and acc_lo, acc_hi of the neurons; int32 atoms, its inequalities, then -1s, and float32
        shares of these, below 0 as good as 0; float32 multipliers of the neurons. Floats are multiplied by the same power of two, as large as int64 and multipliers of
        32 bits allow, and rounded. With shares s >= 0 of the inequalities a and multipliers m, for all points in the ranges that satisfy them

            0 <= D = sum_a s_a (b_a - c_a . values) + sum_i m_i (bias_i + matrix_i . x - acc_i)

        and bound is the sum over the largest values of D's terms for each (acc_i, y_i) and each input. Returns state uint8, bound int64,
        shares int64[len(rows), most] and multipliers int64[len(rows), neurons]. States: NOTHING, floats are not finite or too large; BOUND; EMPTY, some output has no step in its ranges; OVERFLOW, sums could leave int64, but shares and multipliers are set.
        Raises ValueError when shapes do not fit together, or ranges leave the steps.
        """
        cdef Py_ssize_t k, n = rows.shape[0]
        most, values, neurons = atoms.shape[1], self.plan.num_inputs + self.plan.num_neurons, self.plan.num_neurons
        widths = (lo, values), (hi, values), (acc_lo, neurons), (acc_hi, neurons), (shares, most), (multipliers, neurons), (atoms, most)
        for array, width in widths:
            if array.shape != (len(lo), width):
                raise ValueError(f"an array of nodes has shape {array.shape}, expected {(len(lo), width)}")
        for k in range(n):
            if not 0 <= rows[k] < len(lo):
                raise ValueError(f"there is no node {rows[k]}")
        state, bound = np.zeros(n, np.uint8), np.zeros(n, np.int64)
        whole_shares, whole_multipliers = np.zeros((n, most), np.int64), np.zeros((n, neurons), np.int64)
        self._run(lo, hi, acc_lo, acc_hi, rows, atoms, shares, multipliers, state, bound, whole_shares, whole_multipliers)
        return state, bound, whole_shares, whole_multipliers

    cdef _run(self, const int64_t[:, ::1] lo, const int64_t[:, ::1] hi, const int64_t[:, ::1] acc_lo, const int64_t[:, ::1] acc_hi,
              const int64_t[::1] rows, const int32_t[:, ::1] atoms, const float[:, ::1] shares, const float[:, ::1] multipliers,
              unsigned char[::1] state, int64_t[::1] bound, int64_t[:, ::1] whole_shares, int64_t[:, ::1] whole_multipliers):
        cdef Py_ssize_t k, a, row
        cdef dual_node_t node
        cdef double[::1] weights = np.empty(self.plan.num_neurons + 1)
        cdef int64_t[::1] coefficients = np.empty(self.plan.num_inputs + self.plan.num_neurons + 1, np.int64)
        node.weights, node.coefficients = &weights[0], &coefficients[0]
        for k in range(rows.shape[0]):
            row, node.num_atoms = rows[k], 0
            for a in range(atoms.shape[1]):
                if atoms[row, a] >= self.num_atoms:
                    raise ValueError("a node names an inequality that does not exist")
                if atoms[row, a] < 0:
                    break
                node.num_atoms += 1
            node.lo, node.hi, node.acc_lo, node.acc_hi = &lo[row, 0], &hi[row, 0], &acc_lo[row, 0], &acc_hi[row, 0]
            node.multipliers, node.whole_multipliers = &multipliers[row, 0], &whole_multipliers[k, 0]
            if node.num_atoms:
                node.atoms, node.shares, node.whole_shares = &atoms[row, 0], &shares[row, 0], &whole_shares[k, 0]
            with nogil:
                state[k] = dual_bound(&self.plan, &node, &bound[k])
            if state[k] == DUAL_FAULT:
                raise ValueError("a range leaves the steps of its layer")
