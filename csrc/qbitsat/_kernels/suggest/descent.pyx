"""Good multipliers for many nodes of a search: descent_loops.c, one after the other, or descent_wide_loops.c, sixteen side by side, with
numpy around them."""

cimport cython
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memset

import numpy as np

from qbitsat._kernels.exact.layers cimport LAYER_PATCHES, layer_t
from qbitsat._kernels.suggest.floats cimport Floats, Inequalities, inequality_t
from qbitsat._kernels.suggest.units cimport WIDE, Units, chosen_t, units_t, wide_t, wides_of
from qbitsat._kernels.types cimport int32_t, uint8_t


cdef extern from "descent.h":
    float descend(const plan_t *plan, const node_t *node, int steps, float rate, float decay, int polish, float *work, int *taken) noexcept nogil
    long floats_needed(const plan_t *plan, int num_atoms) noexcept nogil

cdef extern from "descent_wide.h":
    ctypedef struct nodes_t:
        const units_t *units
        const unsigned char *is_last
        const node_t *all
        float *values
        int count, most_atoms, steps, polish
        float rate, decay
        int (*tick)(void *) noexcept nogil
        void *who

    int descend_all(const nodes_t *nodes, wide_t *wides, wide_t *vertices, float *floats, int *slots, chosen_t *chosen) noexcept nogil
    long flock_wides(const units_t *units) noexcept nogil
    long flock_floats(int most_atoms) noexcept nogil


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
    tick: called now and then as the work goes on, and may raise to end it; or None. wide: nodes descend side by side.
    """

    def __cinit__(self, Floats floats, tuple atoms, tick=None, bint wide=False):
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
            if not wide:
                self._set_columns(k)
        self.units = Units(floats) if wide else None
        self.pose(atoms)

    @staticmethod
    def bytes_for(Py_ssize_t inputs, Py_ssize_t neurons):
        """What nodes side by side take besides their own arrays, at most about; vertices most of it, which few neurons have of their own."""
        return 4 * WIDE * ((10 + 2 * VERTICES) * neurons + 5 * inputs)

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
        cdef const inequality_t **mine = <const inequality_t **> malloc((n * most + 1) * sizeof(inequality_t *))
        cdef node_t *nodes = <node_t *> malloc((n + 1) * sizeof(node_t))
        try:
            if mine == NULL or nodes == NULL:
                raise MemoryError("no memory for nodes")
            shapes = ((inputs + neurons,), (inputs,), (inputs,), (neurons,), (neurons,))
            results = tuple(np.zeros((n, *shape), np.float32) for shape in shapes)
            value = np.empty(n, np.float32)
            self._fill(nodes, mine, atoms, x_lo, x_hi, vertex_acc, vertex_y, slopes, anchor, cold, multipliers, shares,
                       results[0], results[1], results[2], results[3], results[4])
            if self.units is None:
                total = self._one_by_one(nodes, value, <int> most, steps, rate, decay, polish)
            else:
                total = self._side_by_side(nodes, value, <int> most, steps, rate, decay, polish)
        finally:
            free(mine)
            free(nodes)
        if self.stopped is not None:
            error, self.stopped = self.stopped, None
            raise error
        return (value, *results, total)

    cdef _fill(self, node_t *nodes, const inequality_t **mine, const int32_t[:, ::1] atoms, const float[:, ::1] x_lo, const float[:, ::1] x_hi,
               const float[:, :, ::1] vertex_acc, const float[:, :, ::1] vertex_y, const float[:, ::1] slopes, const int32_t[::1] anchor,
               const uint8_t[::1] cold, float[:, ::1] multipliers, float[:, ::1] shares, float[:, ::1] coefficients, float[:, ::1] x_best,
               float[:, ::1] x_mean, float[:, ::1] acc_mean, float[:, ::1] y_mean):
        """Say where the parts of each node are."""
        cdef Py_ssize_t i, row
        cdef node_t *node
        for i in range(atoms.shape[0]):
            node = &nodes[i]
            node.num_atoms, node.atoms = self.atoms.fill(atoms, i, mine), mine
            mine += atoms.shape[1]
            row = i if slopes.shape[0] > 1 else 0
            node.x_lo, node.x_hi = &x_lo[row, 0], &x_hi[row, 0]
            node.vertex_acc, node.vertex_y = &vertex_acc[row, 0, 0], &vertex_y[row, 0, 0]
            node.slopes, node.anchor, node.cold, node.multipliers = &slopes[row, 0], anchor[i], cold[i], &multipliers[i, 0]
            node.shares = &shares[i, 0] if atoms.shape[1] else NULL
            node.coefficients, node.x_best = &coefficients[i, 0], &x_best[i, 0]
            node.x_mean, node.acc_mean, node.y_mean = &x_mean[i, 0], &acc_mean[i, 0], &y_mean[i, 0]

    cdef int _one_by_one(self, node_t *nodes, float[::1] value, int most, int steps, float rate, float decay, int polish) except? -2:
        cdef Py_ssize_t i, n = value.shape[0]
        cdef int taken = 0, total = 0
        cdef float[::1] work = np.empty(floats_needed(&self.plan, most) + 1, np.float32)
        with nogil:
            for i in range(n):
                value[i] = descend(&self.plan, &nodes[i], steps, rate, decay, polish, &work[0], &taken)
                if taken < 0:
                    break
                total += taken
        return total

    cdef int _side_by_side(self, node_t *nodes, float[::1] value, int most, int steps, float rate, float decay, int polish) except? -2:
        cdef nodes_t all
        cdef int total = 0, neurons = self.plan.floats.num_neurons
        cdef float[::1] room = np.zeros((flock_wides(&self.units.plan) + 1) * WIDE, np.float32), floats = np.zeros(flock_floats(most) + 1, np.float32)
        # Few neurons have vertices of their own: memory that is never touched is none.
        cdef float[::1] vertices = np.zeros((2 * VERTICES * neurons + 1) * WIDE, np.float32)
        cdef int[::1] slots = np.zeros(neurons + 1, np.int32)
        if steps < 1:
            raise ValueError("nodes side by side take a step at least")
        if not value.shape[0]:
            return 0
        all.units, all.is_last, all.all, all.values = &self.units.plan, self.is_last, nodes, &value[0]
        all.count, all.most_atoms, all.steps, all.polish, all.rate, all.decay = <int> value.shape[0], most, steps, polish, rate, decay
        all.tick, all.who = self.plan.tick, self.plan.who
        cdef wide_t *wides = wides_of(room)
        cdef wide_t *own = wides_of(vertices)
        with nogil:
            total = descend_all(&all, wides, own, &floats[0], &slots[0], &self.units.chosen)
        return total
