"""Good multipliers for many nodes of a search, one after the other: descent_loops.c with numpy around it."""

cimport cython
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memset

import numpy as np

from qbitsat._kernels.exact.layers cimport LAYER_PATCHES, layer_t
from qbitsat._kernels.suggest.floats cimport Floats, Inequalities, inequality_t
from qbitsat._kernels.types cimport int32_t, uint8_t


cdef extern from "descent.h":
    float descend(const plan_t *plan, const node_t *node, int steps, float rate, float decay, int polish, float *work, int *taken) noexcept nogil
    long floats_needed(const plan_t *plan, int num_atoms) noexcept nogil


cdef int call_tick(void *who) noexcept with gil:
    """Whether the descent has to end, because its tick has raised."""
    cdef Descent descent = <Descent> who
    try:
        descent.tick()
    except BaseException as error:
        descent.stopped = error
    return descent.stopped is not None


@cython.final
cdef class Descent:
    """The layers and the inequalities of a query, as float32.

    atoms: (starts int64[count + 1], values int32, coefficients float32, bounds float32[count]) of the inequalities, flat as in `Atoms`.
    tick: called now and then as the work goes on, and may raise to end it; or None.
    """

    def __cinit__(self, Floats floats, tuple atoms, tick=None):
        cdef Py_ssize_t k, j, neurons = floats.plan.num_neurons
        self.kept, self.tick, self.stopped, self.floats = [], tick, None, floats
        self.columns = <column_t *> calloc(floats.plan.num_inputs + 1, sizeof(column_t))
        self.by_columns = <unsigned char *> calloc(floats.plan.num_layers + 1, 1)
        self.is_last = <unsigned char *> malloc(neurons + 1)
        self.first_place = <int *> calloc(floats.plan.num_layers + 1, sizeof(int))
        if self.is_last == NULL or self.first_place == NULL or self.columns == NULL or self.by_columns == NULL:
            raise MemoryError("no memory for layers")
        memset(self.is_last, 1, neurons)
        p = &self.plan
        p.floats, p.by_columns, p.columns, p.is_last = &floats.plan, self.by_columns, self.columns, self.is_last
        p.first_place = self.first_place
        p.tick, p.who = &call_tick if tick is not None else NULL, <void *> self
        for k in range(floats.plan.num_layers):
            map = floats.layers[k].map
            self.first_place[k] = p.num_places
            p.num_places += map.positions
            for j in range(map.n_in):
                if map.view[j] >= floats.plan.num_inputs:
                    self.is_last[map.view[j] - floats.plan.num_inputs] = 0
            self._set_columns(k)
        self.pose(atoms)

    def pose(self, tuple atoms):
        """Other inequalities instead of those there were."""
        self.atoms = Inequalities(self.floats.plan.num_inputs + self.floats.plan.num_neurons, atoms)

    cdef _set_columns(self, Py_ssize_t k):
        """What each input puts on a layer of one matrix over inputs that no such layer before it reads, and zeros up to a multiple of LANES."""
        cdef const layer_t *map = self.floats.layers[k].map
        cdef Py_ssize_t i, j, size = (map.n_out + LANES - 1) // LANES * LANES
        cdef float[:, ::1] transposed
        dense = map.kind == LAYER_PATCHES and map.positions == map.groups == 1 and map.adjacent and map.taps == map.n_in
        if not dense or not 0 <= map.run <= self.plan.floats.num_inputs - map.n_in:
            return
        for j in range(map.run, map.run + map.n_in):
            if self.columns[j].size:
                return
        transposed = np.zeros((map.n_in, size), np.float32)
        for i in range(map.n_out):
            if self.tick is not None and i % 256 == 0:
                self.tick()
            for j in range(map.n_in):
                transposed[j, i] = self.floats.layers[k].rows[i * map.n_in + j]
        for j in range(map.n_in):
            column = &self.columns[map.run + j]
            column.neuron, column.size, column.weights = map.neuron, <int> size, &transposed[j, 0]
        self.by_columns[k] = self.plan.any_columns = True
        self.kept.append(transposed)

    def __dealloc__(self):
        free(self.is_last)
        free(self.first_place)
        free(self.columns)
        free(self.by_columns)

    def run(self, atoms, x_lo, x_hi, vertex_acc, vertex_y, slopes, anchor, cold, multipliers, shares, int steps, float rate, float decay, int polish=0):
        """Descend from (multipliers, shares) of every node, in place, for at most `steps` steps or to a value below 0, and then for
        at most `polish` smaller ones from the best.

        One row a node, float32 but for atoms (int32: its inequalities, then -1s), anchor (int32: a neuron whose multiplier
        stays, or -1) and cold (uint8: start from the slopes instead);
        x_lo, x_hi, vertices and slopes may have a single row for all nodes.
        shares are the multipliers of inequalities; vertices are [nodes, 6, neurons]; slopes below 0 mark neurons whose multiplier stays 0.
        Returns value float32[nodes], coefficients float32[nodes, values], x_best and x_mean float32[nodes, inputs], acc_mean and
        y_mean float32[nodes, neurons] and the number of steps taken.
        """
        cdef int total = 0
        cdef Py_ssize_t n = atoms.shape[0], most = atoms.shape[1]
        inputs, neurons = self.floats.plan.num_inputs, self.floats.plan.num_neurons
        widths = ((anchor, ()), (cold, ()), (multipliers, (neurons,)), (shares, (most,)))
        shared = ((x_lo, (inputs,)), (x_hi, (inputs,)), (slopes, (neurons,)), (vertex_acc, (VERTICES, neurons)), (vertex_y, (VERTICES, neurons)))
        rows = 1 if len(slopes) == 1 else n
        for array, shape in (*((array, (rows, *shape)) for array, shape in shared), *((array, (n, *shape)) for array, shape in widths)):
            if array.shape != shape:
                raise ValueError(f"an array of nodes has shape {array.shape}, expected {shape}")
        if atoms.size and not (-1 <= atoms.min() and atoms.max() < self.atoms.count):
            raise ValueError("a node names an inequality that does not exist")
        if anchor.size and not (-1 <= anchor.min() and anchor.max() < neurons):
            raise ValueError("a node has an anchor that does not exist")
        cdef const inequality_t **mine = <const inequality_t **> malloc((most + 1) * sizeof(inequality_t *))
        cdef float *work = <float *> malloc((floats_needed(&self.plan, <int> most) + 1) * sizeof(float))
        try:
            if mine == NULL or work == NULL:
                raise MemoryError("no memory for multipliers")
            shapes = ((inputs + neurons,), (inputs,), (inputs,), (neurons,), (neurons,))
            results = tuple(np.zeros((n, *shape), np.float32) for shape in shapes)
            value = np.empty(n, np.float32)
            self._run(atoms, x_lo, x_hi, vertex_acc, vertex_y, slopes, anchor, cold, multipliers, shares, steps, rate, decay, polish, value, results[0], results[1], results[2], results[3], results[4],
                      mine, work, &total)
        finally:
            free(mine)
            free(work)
        if self.stopped is not None:
            error, self.stopped = self.stopped, None
            raise error
        return (value, *results, total)

    cdef _run(self, const int32_t[:, ::1] atoms, const float[:, ::1] x_lo, const float[:, ::1] x_hi, const float[:, :, ::1] vertex_acc,
              const float[:, :, ::1] vertex_y, const float[:, ::1] slopes, const int32_t[::1] anchor,
              const uint8_t[::1] cold, float[:, ::1] multipliers, float[:, ::1] shares, int steps,
              float rate, float decay, int polish, float[::1] value, float[:, ::1] coefficients, float[:, ::1] x_best, float[:, ::1] x_mean,
              float[:, ::1] acc_mean, float[:, ::1] y_mean, const inequality_t **mine, float *work, int *total):
        cdef Py_ssize_t i, row
        cdef int taken = 0
        cdef node_t node
        with nogil:
            for i in range(atoms.shape[0]):
                node.num_atoms, node.atoms = self.atoms.fill(atoms, i, mine), mine
                row = i if slopes.shape[0] > 1 else 0
                node.x_lo, node.x_hi = &x_lo[row, 0], &x_hi[row, 0]
                node.vertex_acc, node.vertex_y = &vertex_acc[row, 0, 0], &vertex_y[row, 0, 0]
                node.slopes, node.anchor, node.cold, node.multipliers = &slopes[row, 0], anchor[i], cold[i], &multipliers[i, 0]
                node.shares = &shares[i, 0] if atoms.shape[1] else NULL
                node.coefficients, node.x_best = &coefficients[i, 0], &x_best[i, 0]
                node.x_mean, node.acc_mean, node.y_mean = &x_mean[i, 0], &acc_mean[i, 0], &y_mean[i, 0]
                value[i] = descend(&self.plan, &node, steps, rate, decay, polish, work, &taken)
                if taken < 0:
                    break
                total[0] += taken
