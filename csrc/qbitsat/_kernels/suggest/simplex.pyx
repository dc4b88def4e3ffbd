"""The smallest dual values of many nodes of a search, one after the other: simplex_loops.c with numpy around it."""

cimport cython
from libc.math cimport INFINITY
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

import numpy as np

from qbitsat._kernels.exact.flat cimport check_flat
from qbitsat._kernels.suggest.descent cimport VERTICES, LANES, column_t, node_t
from qbitsat._kernels.suggest.floats cimport Floats, Inequalities, floats_t, inequality_t
from qbitsat._kernels.types cimport int32_t, int64_t, uint8_t


cdef extern from "simplex.h":
    ctypedef struct form_t:
        double sigma
        int kind, index

    ctypedef struct program_t:
        const floats_t *floats
        int num_inputs, num_neurons, num_active
        const column_t *columns
        const int *slot
        const int *active
        const int *is_read
        const int *is_named
        const double *constant
        const double *reached
        const double *unit
        const float *x_lo

    ctypedef struct basis_t:
        int size, num_atoms, updates
        form_t *forms
        double *inverse

    ctypedef struct simplex_t:
        double *q
        double *x
        double *norm
        double *direction
        double *entering
        double *pivot
        double *c
        double *c_rate
        double *m
        double *m_rate
        double *ref_acc
        double *ref_y
        double *width
        double *vertex_acc
        double *vertex_y
        double *share
        float *v
        float *rate
        float *way
        float *sums
        float *tau
        float *first
        int *input_slot
        int *slope_slot
        int *center_slot
        int *ray
        int *high
        int *stalls
        double *spare
        float *factors
        float *cells
        float *taps
        double *wide_factors
        double *wide_cells
        double *wide_taps

    double solve(const program_t *program, const node_t *node, basis_t *basis, simplex_t *work, const double *normalization, int limit, int *taken) noexcept nogil


@cython.final
cdef class Simplex:
    """The layers and the inequalities of a query, and the bases where the newest nodes ended.

    atoms as for `Descent`; x_lo float32[inputs]: the lower ends of the root; most: inequalities of one node; pool: how many bases are kept.
    neurons: (active bool, unit, constant, reached float64) of each: whether it may have a multiplier, one output step's share of an
    accumulator, the accumulator where all values are 0, and what x_lo adds to it. columns: (first, starts, weights), what value v puts on
    active neurons: on those with numbers from first[v] on, among the active ones, weights float32 from starts[v] to starts[v + 1]
    (int64[values + 1]).
    """

    cdef program_t program
    cdef Floats floats
    cdef Inequalities atoms
    cdef column_t *columns
    cdef simplex_t work
    cdef basis_t basis
    cdef int most, pool
    cdef int64_t newest
    cdef list kept
    cdef object active
    cdef double[:, ::1] inverses
    cdef uint8_t[:, ::1] forms
    cdef int64_t[::1] ids
    cdef int32_t[:, ::1] heads

    def __cinit__(self, Floats floats, tuple atoms, x_lo, tuple neurons, tuple columns, int most, int pool):
        cdef int inputs = floats.plan.num_inputs, count = floats.plan.num_neurons, size
        active, unit, constant, reached = neurons
        self.floats, self.kept, self.most, self.pool, self.newest = floats, [], most, pool, 0
        self.active = np.asarray(active, bool)
        self.atoms = Inequalities(inputs + count, atoms)
        if not len(self.active) == len(unit) == len(constant) == len(reached) == count or len(x_lo) != inputs or pool < 1:
            raise ValueError("units, active neurons or inputs are not those of the layers")
        p = &self.program
        p.floats, p.num_inputs, p.num_neurons, p.num_active = &floats.plan, inputs, count, int(self.active.sum())
        self._set_columns(columns[0], columns[1], columns[2])
        is_named = np.zeros(inputs + count, np.int32)
        is_named[atoms[1]] = 1
        p.slot, p.active = self._ints(np.where(self.active, np.cumsum(self.active) - 1, -1)), self._ints(np.flatnonzero(self.active))
        p.is_named, p.x_lo = self._ints(is_named), self._floats(x_lo)
        p.constant, p.reached, p.unit = self._doubles(constant * unit), self._doubles(reached * unit), self._doubles(unit)
        self._set_work(inputs, count)
        size = p.num_active + most
        self.inverses, self.forms = np.zeros((pool, size * size)), np.zeros((pool, (size + 1) * sizeof(form_t)), np.uint8)
        self.ids, self.heads = np.full(pool, -1, np.int64), np.zeros((pool, 3), np.int32)

    cdef _set_columns(self, const int32_t[::1] first, const int64_t[::1] starts, weights):
        cdef Py_ssize_t k, values = self.program.num_inputs + self.program.num_neurons
        check_flat(starts, len(weights), len(weights), values)
        cdef const float *all = self._floats(weights)
        self.columns = <column_t *> malloc((values + 1) * sizeof(column_t))
        if self.columns == NULL:
            raise MemoryError("no memory for columns")
        for k in range(values):
            if not 0 <= first[k] <= self.program.num_active - (starts[k + 1] - starts[k]):
                raise ValueError(f"value {k} puts something on active neurons that do not exist")
            self.columns[k].neuron, self.columns[k].size = first[k], <int> (starts[k + 1] - starts[k])
            self.columns[k].weights = all + starts[k]
        sizes = np.diff(starts)[self.program.num_inputs :]
        self.program.columns, self.program.is_read = self.columns, self._ints(sizes > 0)

    def _set_work(self, int inputs, int neurons):
        cdef int size = self.program.num_active + self.most, breakpoints = inputs + neurons + self.most
        m, n, s = np.zeros(inputs), np.zeros(neurons), np.zeros(size)
        w = &self.work
        w.q, w.x, w.norm = self._doubles(s), self._doubles(s), self._doubles(s)
        w.direction, w.entering, w.pivot = self._doubles(s), self._doubles(s), self._doubles(s)
        w.c, w.c_rate, w.m, w.m_rate = self._doubles(n), self._doubles(n), self._doubles(n), self._doubles(n)
        w.ref_acc, w.ref_y, w.width, w.share = self._doubles(n), self._doubles(n), self._doubles(n), self._doubles(np.zeros(self.most))
        w.vertex_acc, w.vertex_y = self._doubles(np.zeros(VERTICES * neurons)), self._doubles(np.zeros(VERTICES * neurons))
        w.v, w.rate, w.way, w.sums = self._floats(m), self._floats(m), self._floats(m), self._floats(s)
        w.tau, w.first = self._floats(np.zeros(breakpoints + LANES)), self._floats(np.zeros(breakpoints / LANES + 1))
        w.input_slot, w.high, w.stalls = self._ints(m), self._ints(m), self._ints(s)
        w.slope_slot, w.center_slot, w.ray = self._ints(n), self._ints(n), self._ints(n)
        w.spare = self._doubles(np.zeros(size * size))
        widest = max(self.floats.layers[k].map.n_out for k in range(self.floats.plan.num_layers))
        cells, taps = self.floats.plan.most_cells, self.floats.plan.most_taps
        w.factors, w.cells, w.taps = self._floats(np.zeros(widest)), self._floats(np.zeros(cells)), self._floats(np.zeros(taps))
        w.wide_factors, w.wide_cells, w.wide_taps = self._doubles(np.zeros(widest)), self._doubles(np.zeros(cells)), self._doubles(np.zeros(taps))
        self.basis.forms, self.basis.inverse = <form_t *> self._doubles(np.zeros(2 * size)), self._doubles(np.zeros(size * size))

    cdef double *_doubles(self, values):
        """A copy of an array that lives as long as this; it may have no numbers."""
        cdef double[::1] array = np.append(values, 0).astype(float)
        self.kept.append(array)
        return &array[0]

    cdef float *_floats(self, values):
        cdef float[::1] array = np.append(values, 0).astype(np.float32)
        self.kept.append(array)
        return &array[0]

    cdef int *_ints(self, values):
        cdef int32_t[::1] array = np.append(values, 0).astype(np.int32)
        self.kept.append(array)
        return <int *> &array[0]

    def __dealloc__(self):
        free(self.columns)

    def run(self, atoms, x_lo, x_hi, vertex_acc, vertex_y, slopes, normalizations, bases, multipliers, shares, int limit):
        """The smallest dual value of every node, or a first one below 0, after at most `limit` exchanges from where another node ended.

        One row a node, float32 but for atoms (int32: its inequalities, then -1s), normalizations (float64[nodes, neurons]: for a node without any, what
        the sum of multipliers times it makes 1) and bases (int64: the basis of an earlier call, or -1; overwritten with the one where the node
        ends, -1 if its value is below 0); the others are as in `Descent.run`, multipliers and shares are written only.
        Returns value float32[nodes] (infinite: numbers failed, nothing is written), coefficients float32[nodes, values], x
        float32[nodes, inputs], acc and y float32[nodes, neurons] of the linear relaxation's point, and the number of exchanges.
        """
        cdef Py_ssize_t n = atoms.shape[0], most = atoms.shape[1]
        cdef int total = 0
        inputs, neurons = self.program.num_inputs, self.program.num_neurons
        widths = ((x_lo, (inputs,)), (x_hi, (inputs,)), (slopes, (neurons,)), (normalizations, (neurons,)), (bases, ()), (multipliers, (neurons,)), (shares, (most,)))
        for array, shape in (*widths, (vertex_acc, (VERTICES, neurons)), (vertex_y, (VERTICES, neurons))):
            if array.shape != (n, *shape):
                raise ValueError(f"an array of nodes has shape {array.shape}, expected {(n, *shape)}")
        if most > self.most or atoms.size and not (-1 <= atoms.min() and atoms.max() < self.atoms.count):
            raise ValueError("a node names an inequality that does not exist")
        if not (normalizations[(atoms < 0).all(axis=1)][:, self.active] != 0).any(axis=1).all():
            raise ValueError("a node without inequalities needs a normalization that may have a multiplier")
        cdef const inequality_t **mine = <const inequality_t **> malloc((most + 1) * sizeof(inequality_t *))
        if mine == NULL:
            raise MemoryError("no memory for inequalities")
        coefficients, x, acc, y = (np.zeros((n, width), np.float32) for width in (inputs + neurons, inputs, neurons, neurons))
        value = np.empty(n, np.float32)
        try:
            if n:
                self._run(mine, atoms, x_lo, x_hi, vertex_acc, vertex_y, slopes, normalizations, bases, multipliers, shares, value, coefficients, x, acc, y, limit, &total)
        finally:
            free(mine)
        return value, coefficients, x, acc, y, total

    cdef _run(self, const inequality_t **mine, const int32_t[:, ::1] atoms, const float[:, ::1] x_lo, const float[:, ::1] x_hi,
              const float[:, :, ::1] vertex_acc, const float[:, :, ::1] vertex_y, const float[:, ::1] slopes, const double[:, ::1] normalizations,
              int64_t[::1] bases, float[:, ::1] multipliers, float[:, ::1] shares, float[::1] value,
              float[:, ::1] coefficients, float[:, ::1] x, float[:, ::1] acc, float[:, ::1] y, int limit, int *total):
        cdef Py_ssize_t i
        cdef node_t node
        cdef int taken = 0
        with nogil:
            for i in range(atoms.shape[0]):
                node.num_atoms, node.atoms = self.atoms.fill(atoms, i, mine), mine
                node.x_lo, node.x_hi, node.slopes = &x_lo[i, 0], &x_hi[i, 0], &slopes[i, 0]
                node.vertex_acc, node.vertex_y = &vertex_acc[i, 0, 0], &vertex_y[i, 0, 0]
                node.multipliers, node.shares = &multipliers[i, 0], &shares[i, 0] if atoms.shape[1] else NULL
                node.coefficients, node.x_best, node.x_mean, node.acc_mean, node.y_mean = &coefficients[i, 0], &x[i, 0], &x[i, 0], &acc[i, 0], &y[i, 0]
                self._load(bases[i])
                value[i] = solve(&self.program, &node, &self.basis, &self.work, &normalizations[i, 0], limit, &taken)
                bases[i] = self._store() if 0 <= value[i] < INFINITY else -1
                total[0] += taken

    cdef void _load(self, int64_t number) noexcept nogil:
        """The basis of that id, or none if it is not kept any more."""
        cdef Py_ssize_t at = number % self.pool
        if number < 0 or self.ids[at] != number:
            self.basis.size = 0
            return
        self.basis.size, self.basis.num_atoms, self.basis.updates = self.heads[at, 0], self.heads[at, 1], self.heads[at, 2]
        memcpy(self.basis.forms, &self.forms[at, 0], self.basis.size * sizeof(form_t))
        memcpy(self.basis.inverse, &self.inverses[at, 0], self.basis.size * self.basis.size * sizeof(double))

    cdef int64_t _store(self) noexcept nogil:
        """Keep the basis in place of the oldest; its id."""
        cdef int64_t number = self.newest
        cdef Py_ssize_t at = number % self.pool
        self.newest += 1
        self.ids[at] = number
        self.heads[at, 0], self.heads[at, 1], self.heads[at, 2] = self.basis.size, self.basis.num_atoms, self.basis.updates
        memcpy(&self.forms[at, 0], self.basis.forms, self.basis.size * sizeof(form_t))
        memcpy(&self.inverses[at, 0], self.basis.inverse, self.basis.size * self.basis.size * sizeof(double))
        return number
