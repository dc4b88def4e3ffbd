"""Exact Lagrangian bounds: what multipliers, rounded to integers, prove about the ranges of nodes. dual_loops.c with numpy around it."""

cimport cython

import numpy as np

from qbitsat._kernels.exact.layers cimport Atoms, Layers, Room, atom_t, layers_t, ranges_t, room_t
from qbitsat._kernels.types cimport int32_t, int64_t

cdef extern from "dual.h":
    ctypedef struct dual_node_t:
        ranges_t ranges
        int num_atoms
        const atom_t *all
        const int32_t *atoms
        const float *shares
        const float *multipliers
        int64_t *whole_shares
        int64_t *whole_multipliers
        double *weights
        double *magnitudes
        int weighed, possible
        int64_t *coefficients
        const room_t *room

    ctypedef struct need_t:
        int32_t value
        int64_t lo, hi

    int DUAL_NOTHING, DUAL_BOUND, DUAL_EMPTY, DUAL_OVERFLOW, DUAL_FAULT
    void dual_weigh(const layers_t *plan, dual_node_t *node) noexcept nogil
    int dual_bound(const layers_t *plan, const dual_node_t *node, int64_t *bound) noexcept nogil
    int dual_explain(const layers_t *plan, const dual_node_t *node, int64_t bound, const int64_t *lo, const int64_t *hi, int most, need_t *needs) noexcept nogil

# What became of a node; see dual.h.
NOTHING, BOUND, EMPTY, OVERFLOW = DUAL_NOTHING, DUAL_BOUND, DUAL_EMPTY, DUAL_OVERFLOW


@cython.final
cdef class Dual:
    """The layers of a query and its inequalities."""

    cdef Layers layers
    cdef Atoms atoms

    def __cinit__(self, Layers layers, Atoms atoms):
        self.layers, self.atoms = layers, atoms

    def run(self, lo, hi, acc_lo, acc_hi, const int64_t[::1] rows, atoms, shares, multipliers):
        """What shares of a node's inequalities and multipliers of its accumulators prove in integers, for some rows of many nodes.

        One row a node: int64 lo, hi of the values and acc_lo, acc_hi of the neurons, or a single row for all nodes; int32 atoms, its inequalities, then -1s, and float32
        shares of these, below 0 as good as 0; float32 multipliers of the neurons. Floats are multiplied by the same power of two, as large as int64 and multipliers of
        32 bits allow, and rounded. With shares s >= 0 of the inequalities a and multipliers m, for all points in the ranges that satisfy them

            0 <= D = sum_a s_a (b_a - c_a . values) + sum_i m_i (bias_i + matrix_i . x - acc_i)

        and bound is the sum over the largest values of D's terms for each (acc_i, y_i) and each input. Returns state uint8, bound int64,
        shares int64[len(rows), most] and multipliers int64[len(rows), neurons]. States: NOTHING, floats are not finite or too large; BOUND; EMPTY, some output has no step in its ranges; OVERFLOW, sums could leave int64, but shares and multipliers are set.
        Raises ValueError when shapes do not fit together, or ranges leave the steps.
        """
        cdef Py_ssize_t k, n = rows.shape[0], nodes = atoms.shape[0], ranges = self.layers.check(lo, hi, acc_lo, acc_hi)
        if ranges != 1 and ranges != nodes:
            raise ValueError(f"ranges of {ranges} nodes for {nodes}")
        most, neurons = atoms.shape[1], self.layers.plan.num_neurons
        for array, width in (shares, most), (multipliers, neurons), (atoms, most):
            if array.shape != (nodes, width):
                raise ValueError(f"an array of nodes has shape {array.shape}, expected {(nodes, width)}")
        for k in range(n):
            if not 0 <= rows[k] < nodes:
                raise ValueError(f"there is no node {rows[k]}")
        state, bound = np.zeros(n, np.uint8), np.zeros(n, np.int64)
        whole_shares, whole_multipliers = np.zeros((n, most), np.int64), np.zeros((n, neurons), np.int64)
        self._run(lo, hi, acc_lo, acc_hi, rows, atoms, shares, multipliers, state, bound, whole_shares, whole_multipliers)
        return state, bound, whole_shares, whole_multipliers

    cdef _run(self, int64_t[:, ::1] lo, int64_t[:, ::1] hi, int64_t[:, ::1] acc_lo, int64_t[:, ::1] acc_hi,
              const int64_t[::1] rows, const int32_t[:, ::1] atoms, const float[:, ::1] shares, const float[:, ::1] multipliers,
              unsigned char[::1] state, int64_t[::1] bound, int64_t[:, ::1] whole_shares, int64_t[:, ::1] whole_multipliers):
        cdef Py_ssize_t k, row, place
        cdef bint shared = lo.shape[0] == 1
        cdef dual_node_t node
        cdef Room room = Room(self.layers)
        cdef double[::1] weights = np.empty(self.layers.plan.num_neurons + 1), magnitudes = np.empty(self.layers.plan.most_cells + 1)
        cdef int64_t[::1] coefficients = np.empty(self.layers.plan.num_inputs + self.layers.plan.num_neurons + 1, np.int64)
        node.weights, node.magnitudes, node.coefficients = &weights[0], &magnitudes[0], &coefficients[0]
        node.room, node.all, node.weighed, node.possible = &room.at, self.atoms.atoms, False, False
        # The lock is given back once for all nodes: a thread that waits for it may have to wait 5 ms each time.
        with nogil:
            for k in range(rows.shape[0]):
                row = rows[k]
                node.num_atoms = self.atoms.fill(atoms, row)
                if not (shared and k):
                    place = 0 if shared else row
                    node.ranges = ranges_t(&lo[place, 0], &hi[place, 0], &acc_lo[place, 0], &acc_hi[place, 0])
                    if shared:
                        dual_weigh(&self.layers.plan, &node)
                node.multipliers, node.whole_multipliers = &multipliers[row, 0], &whole_multipliers[k, 0]
                if node.num_atoms:
                    node.atoms, node.shares, node.whole_shares = &atoms[row, 0], &shares[row, 0], &whole_shares[k, 0]
                state[k] = dual_bound(&self.layers.plan, &node, &bound[k])
                if state[k] == DUAL_FAULT:
                    with gil:
                        raise ValueError("a range leaves the steps of its layer")

    def explain(self, root, lo, hi, const int64_t[::1] rows, atoms, shares, multipliers, int most):
        """What multipliers that refute some rows of many nodes need of their ranges, with those of a root instead of all others.

        root: its ranges, as of `run`, of one row; the rest as of `run`. For each row a clause: values within [clause_lo, clause_hi], at most `most`, the one
        whose term of D gains most first, with which D is below 0 in the root's ranges.
        Returns sizes int32[len(rows)], -1 where there is none, values int32[len(rows), most], clause_lo and clause_hi int64[len(rows), most],
        shares and multipliers as `run`. Raises ValueError as `run` does.
        """
        cdef Py_ssize_t k, n = rows.shape[0], nodes = atoms.shape[0]
        neurons, width = self.layers.plan.num_neurons, self.layers.plan.num_inputs + self.layers.plan.num_neurons
        if self.layers.check(root[0], root[1], root[2], root[3]) != 1:
            raise ValueError("expected one root")
        for array, columns in (lo, width), (hi, width), (shares, atoms.shape[1]), (multipliers, neurons):
            if array.shape != (nodes, columns):
                raise ValueError(f"an array of nodes has shape {array.shape}, expected {(nodes, columns)}")
        for k in range(n):
            if not 0 <= rows[k] < nodes:
                raise ValueError(f"there is no node {rows[k]}")
        sizes, values, ends = np.full(n, -1, np.int32), np.zeros((n, most), np.int32), np.zeros((2, n, most), np.int64)
        whole_shares, whole_multipliers = np.zeros((n, atoms.shape[1]), np.int64), np.zeros((n, neurons), np.int64)
        self._explain(*root, lo, hi, rows, atoms, shares, multipliers, sizes, values, ends[0], ends[1], whole_shares, whole_multipliers)
        return sizes, values, ends[0], ends[1], whole_shares, whole_multipliers

    def _explain(self, int64_t[:, ::1] root_lo, int64_t[:, ::1] root_hi, int64_t[:, ::1] acc_lo, int64_t[:, ::1] acc_hi,
                 const int64_t[:, ::1] lo, const int64_t[:, ::1] hi, const int64_t[::1] rows, const int32_t[:, ::1] atoms, const float[:, ::1] shares,
                 const float[:, ::1] multipliers, int32_t[::1] sizes, int32_t[:, ::1] values, int64_t[:, ::1] clause_lo, int64_t[:, ::1] clause_hi,
                 int64_t[:, ::1] whole_shares, int64_t[:, ::1] whole_multipliers):
        cdef Py_ssize_t k, row, width = lo.shape[1]
        cdef int i
        cdef int64_t bound
        cdef Room room = Room(self.layers)
        cdef double[::1] weights = np.empty(self.layers.plan.num_neurons + 1), magnitudes = np.empty(self.layers.plan.most_cells + 1)
        cdef int64_t[::1] coefficients = np.empty(width + 1, np.int64)
        cdef unsigned char[::1] kept = np.empty((width + 1) * sizeof(need_t), np.uint8)
        cdef need_t *needs = <need_t *> &kept[0]
        cdef dual_node_t node
        node.weights, node.magnitudes, node.coefficients = &weights[0], &magnitudes[0], &coefficients[0]
        node.room, node.all, node.weighed, node.possible = &room.at, self.atoms.atoms, False, False
        node.ranges = ranges_t(&root_lo[0, 0], &root_hi[0, 0], &acc_lo[0, 0], &acc_hi[0, 0])
        with nogil:
            dual_weigh(&self.layers.plan, &node)
            for k in range(rows.shape[0]):
                row = rows[k]
                node.num_atoms = self.atoms.fill(atoms, row)
                node.multipliers, node.whole_multipliers = &multipliers[row, 0], &whole_multipliers[k, 0]
                if node.num_atoms:
                    node.atoms, node.shares, node.whole_shares = &atoms[row, 0], &shares[row, 0], &whole_shares[k, 0]
                if dual_bound(&self.layers.plan, &node, &bound) == DUAL_BOUND:
                    sizes[k] = dual_explain(&self.layers.plan, &node, bound, &lo[row, 0], &hi[row, 0], <int> values.shape[1], needs)
                for i in range(sizes[k]):
                    values[k, i], clause_lo[k, i], clause_hi[k, i] = needs[i].value, needs[i].lo, needs[i].hi
