"""Good multipliers for many nodes of a search, one after the other: ascent_loops.c with numpy around it."""

cimport cython
from libc.stdlib cimport free, malloc

import numpy as np

from qbitsat._kernels.exact.flat cimport check_flat
from qbitsat._kernels.types cimport int32_t, int64_t, uint8_t


cdef extern from "ascent.h":
    float ascend(const plan_t *plan, const node_t *node, int steps, float rate, float decay, int polish, float *work, int *taken) noexcept nogil
    long floats_needed(const plan_t *plan, int num_atoms) noexcept nogil
    void c_products "products"(const float *x, const float *matrix, float *result, long batch, int n_out, int n_in) noexcept nogil
    void c_products_back "products_back"(const float *y, const float *matrix, float *result, long batch, int n_out, int n_in) noexcept nogil


cdef int call_tick(void *who) noexcept with gil:
    """Whether the ascent has to end, because its tick has raised."""
    cdef Ascent ascent = <Ascent> who
    try:
        ascent.tick()
    except BaseException as error:
        ascent.stopped = error
    return ascent.stopped is not None


@cython.final
cdef class Ascent:
    """The layers and the inequalities of a query, as float32.

    layers: (matrix float32[n_out, n_in], bias float32[n_out], first value read, first neuron) of every layer, each after what it reads.
    atoms: (starts int64[count + 1], values int32, coefficients float32, bounds float32[count]) of the inequalities, flat as in `Atoms`.
    tick: called now and then as the work goes on, and may raise to end it; or None.
    """

    def __cinit__(self, int num_inputs, list layers, tuple atoms, tick=None):
        cdef Py_ssize_t k
        cdef const float[:, ::1] matrix
        cdef const float[::1] bias
        cdef int neurons = 0
        self.kept, self.tick, self.stopped = [], tick, None
        self.layers = <layer_t *> malloc((len(layers) + 1) * sizeof(layer_t))
        if self.layers == NULL:
            raise MemoryError("no memory for layers")
        self.plan.weights = 0
        for k, (weights, offsets, source, neuron) in enumerate(layers):
            reads_inputs = source < num_inputs
            matrix, bias = weights, offsets
            if neuron != neurons or not 0 <= source <= num_inputs + neuron - matrix.shape[1] or bias.shape[0] != matrix.shape[0]:
                raise ValueError(f"layer {k} does not follow from those before")
            if reads_inputs and source + matrix.shape[1] > num_inputs:
                raise ValueError(f"layer {k} reads inputs and neurons")
            self.layers[k].n_out, self.layers[k].n_in = <int> matrix.shape[0], <int> matrix.shape[1]
            self.layers[k].source, self.layers[k].neuron, self.layers[k].reads_inputs = source, neuron, reads_inputs
            self.layers[k].matrix = &matrix[0, 0]
            self.layers[k].bias = &bias[0]
            self.kept.append((weights, offsets))
            neurons += <int> matrix.shape[0]
            self.plan.weights += matrix.shape[0] * matrix.shape[1]
        self.is_last = <unsigned char *> malloc(neurons + 1)
        self.columns = <column_t *> malloc((num_inputs + 1) * sizeof(column_t))
        if self.is_last == NULL or self.columns == NULL:
            raise MemoryError("no memory for neurons")
        self._set_columns(num_inputs, layers)
        for k in range(neurons):
            self.is_last[k] = 1
        for weights, _, source, _ in layers:
            for k in range(max(0, source - num_inputs), source - num_inputs + weights.shape[1]):
                self.is_last[k] = 0
        self.plan.is_last = self.is_last
        self.plan.num_layers, self.plan.num_inputs, self.plan.num_neurons = <int> len(layers), num_inputs, neurons
        self.plan.layers = self.layers
        self.plan.tick, self.plan.who = &call_tick if tick is not None else NULL, <void *> self
        self.pose(atoms)

    def pose(self, tuple atoms):
        """Other inequalities instead of those there were."""
        starts, values, coefficients, bounds = atoms
        self._set_atoms(self.plan.num_inputs + self.plan.num_neurons, starts, values, coefficients, bounds)

    cdef _set_atoms(self, Py_ssize_t num_values, const int64_t[::1] starts, const int32_t[::1] values, const float[::1] coefficients,
                    const float[::1] bounds):
        cdef Py_ssize_t k
        check_flat(starts, values.shape[0], coefficients.shape[0], bounds.shape[0])
        for k in range(values.shape[0]):
            if not 0 <= values[k] < num_values:
                raise ValueError(f"an inequality names value {values[k]}, which does not exist")
        free(self.atoms)
        self.num_atoms = 0
        self.atoms = <atom_t *> malloc((bounds.shape[0] + 1) * sizeof(atom_t))
        if self.atoms == NULL:
            raise MemoryError("no memory for inequalities")
        self.num_atoms, self.kept_atoms = <int> bounds.shape[0], (starts, values, coefficients, bounds)
        for k in range(self.num_atoms):
            self.atoms[k].size, self.atoms[k].bound = <int> (starts[k + 1] - starts[k]), bounds[k]
            self.atoms[k].values = <const int *> &values[starts[k]] if self.atoms[k].size else NULL
            self.atoms[k].coefficients = &coefficients[starts[k]] if self.atoms[k].size else NULL

    def _set_columns(self, int num_inputs, list layers):
        """What each input puts on the neurons from the first that reads it to the last, and zeros up to a multiple of LANES."""
        cdef float[::1] column
        for k in range(num_inputs):
            if self.tick is not None and k % 256 == 0:
                self.tick()
            readers = [(neuron, weights[:, k - source]) for weights, _, source, neuron in layers if source <= k < source + weights.shape[1]]
            first = min((neuron for neuron, _ in readers), default=0)
            width = max((neuron + len(part) for neuron, part in readers), default=first) - first
            dense = np.zeros(max(1, -(-width // LANES)) * LANES, np.float32)
            for neuron, part in readers:
                dense[neuron - first : neuron - first + len(part)] += part
            column = dense
            self.columns[k].neuron, self.columns[k].size, self.columns[k].weights = first, <int> column.shape[0], &column[0]
            self.kept.append(dense)
        self.plan.columns = self.columns

    def __dealloc__(self):
        free(self.layers)
        free(self.atoms)
        free(self.is_last)
        free(self.columns)

    def run(self, atoms, x_lo, x_hi, corner_acc, corner_y, slopes, held, fresh, multipliers, shares, int steps, float rate, float decay, int polish=0):
        """Ascend from (multipliers, shares) of every node, in place, for at most `steps` steps or to a value below 0, and then for
        at most `polish` smaller ones from the best.

        One row a node, float32 but for atoms (int32: its inequalities, then -1s), held (int32: a neuron whose multiplier
        stays, or -1) and fresh (uint8: start from the slopes instead);
        shares are the multipliers of inequalities; corners are [nodes, 6, neurons]; slopes below 0 mark neurons whose multiplier stays 0.
        Returns value float32[nodes], coefficients float32[nodes, values], x_best and x_mean float32[nodes, inputs], acc_mean and
        y_mean float32[nodes, neurons] and the number of steps taken.
        """
        cdef int total = 0
        cdef Py_ssize_t n = atoms.shape[0], most = atoms.shape[1]
        inputs, neurons = self.plan.num_inputs, self.plan.num_neurons
        widths = ((x_lo, (inputs,)), (x_hi, (inputs,)), (slopes, (neurons,)), (held, ()), (fresh, ()), (multipliers, (neurons,)), (shares, (most,)))
        for array, shape in (*widths, (corner_acc, (CORNERS, neurons)), (corner_y, (CORNERS, neurons))):
            if array.shape != (n, *shape):
                raise ValueError(f"an array of nodes has shape {array.shape}, expected {(n, *shape)}")
        if atoms.size and not (-1 <= atoms.min() and atoms.max() < self.num_atoms):
            raise ValueError("a node names an inequality that does not exist")
        if held.size and not (-1 <= held.min() and held.max() < neurons):
            raise ValueError("a node holds a neuron that does not exist")
        cdef const atom_t **mine = <const atom_t **> malloc((most + 1) * sizeof(atom_t *))
        cdef float *work = <float *> malloc((floats_needed(&self.plan, <int> most) + 1) * sizeof(float))
        try:
            if mine == NULL or work == NULL:
                raise MemoryError("no memory for multipliers")
            shapes = ((inputs + neurons,), (inputs,), (inputs,), (neurons,), (neurons,))
            results = tuple(np.zeros((n, *shape), np.float32) for shape in shapes)
            value = np.empty(n, np.float32)
            self._run(atoms, x_lo, x_hi, corner_acc, corner_y, slopes, held, fresh, multipliers, shares, steps, rate, decay, polish, value, results[0], results[1], results[2], results[3], results[4],
                      mine, work, &total)
        finally:
            free(mine)
            free(work)
        if self.stopped is not None:
            error, self.stopped = self.stopped, None
            raise error
        return (value, *results, total)

    cdef _run(self, const int32_t[:, ::1] atoms, const float[:, ::1] x_lo, const float[:, ::1] x_hi, const float[:, :, ::1] corner_acc,
              const float[:, :, ::1] corner_y, const float[:, ::1] slopes, const int32_t[::1] held,
              const uint8_t[::1] fresh, float[:, ::1] multipliers, float[:, ::1] shares, int steps,
              float rate, float decay, int polish, float[::1] value, float[:, ::1] coefficients, float[:, ::1] x_best, float[:, ::1] x_mean,
              float[:, ::1] acc_mean, float[:, ::1] y_mean, const atom_t **mine, float *work, int *total):
        cdef Py_ssize_t i, k
        cdef int taken = 0
        cdef node_t node
        with nogil:
            for i in range(atoms.shape[0]):
                node.num_atoms = 0
                for k in range(atoms.shape[1]):
                    if atoms[i, k] >= 0:
                        mine[node.num_atoms] = &self.atoms[atoms[i, k]]
                        node.num_atoms += 1
                    else:
                        break
                node.atoms = mine
                node.x_lo, node.x_hi = &x_lo[i, 0], &x_hi[i, 0]
                node.corner_acc, node.corner_y = &corner_acc[i, 0, 0], &corner_y[i, 0, 0]
                node.slopes, node.held, node.fresh, node.multipliers = &slopes[i, 0], held[i], fresh[i], &multipliers[i, 0]
                node.shares = &shares[i, 0] if atoms.shape[1] else NULL
                node.coefficients, node.x_best, node.x_mean = &coefficients[i, 0], &x_best[i, 0], &x_mean[i, 0]
                node.acc_mean, node.y_mean = &acc_mean[i, 0], &y_mean[i, 0]
                value[i] = ascend(&self.plan, &node, steps, rate, decay, polish, work, &taken)
                if taken < 0:
                    break
                total[0] += taken


def products(const float[:, ::1] x, const float[:, ::1] matrix):
    """x @ matrix.T in float32 on one thread: numpy's many threads cost more than they give on matrices of this size."""
    if x.shape[1] != matrix.shape[1]:
        raise ValueError(f"rows of {x.shape[1]} and {matrix.shape[1]} numbers")
    result = np.zeros((x.shape[0], matrix.shape[0]), np.float32)
    cdef float[:, ::1] out = result
    if x.shape[0] and x.shape[1] and matrix.shape[0]:
        with nogil:
            c_products(&x[0, 0], &matrix[0, 0], &out[0, 0], x.shape[0], <int> matrix.shape[0], <int> x.shape[1])
    return result


def products_back(const float[:, ::1] y, const float[:, ::1] matrix):
    """y @ matrix in float32 on one thread, without a transposed copy."""
    if y.shape[1] != matrix.shape[0]:
        raise ValueError(f"rows of {y.shape[1]} numbers for {matrix.shape[0]} rows")
    result = np.zeros((y.shape[0], matrix.shape[1]), np.float32)
    cdef float[:, ::1] out = result
    if y.shape[0] and y.shape[1] and matrix.shape[1]:
        with nogil:
            c_products_back(&y[0, 0], &matrix[0, 0], &out[0, 0], y.shape[0], <int> matrix.shape[0], <int> matrix.shape[1])
    return result
