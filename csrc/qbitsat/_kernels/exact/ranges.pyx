"""What happens to the ranges of nodes: ranges_loops.c with numpy around it.

Arrays of nodes have one row a node: lo and hi, int64[nodes, values], acc_lo and acc_hi, int64[nodes, neurons]. All raise ValueError
when shapes do not fit together, or ranges leave the steps of their layers.
"""

import numpy as np

from qbitsat._kernels.exact.layers cimport Atoms, Layers, Room, atom_t, layers_t, ranges_t, room_t
from qbitsat._kernels.types cimport int32_t, int64_t, uint8_t

cdef extern from "ranges.h":
    ctypedef struct relaxed_t:
        const float *coefficients
        const float *acc
        const float *y

    int RANGES_VERTICES
    int within_steps(const layers_t *plan, ranges_t node) noexcept nogil
    int c_propagate "propagate"(const layers_t *plan, ranges_t node, int inputs, int64_t first, const room_t *room) noexcept nogil
    int c_narrow "narrow"(const atom_t *all, const int32_t *atoms, int num_atoms, const uint8_t *cuttable, ranges_t node) noexcept nogil
    int c_undecided "undecided"(const atom_t *all, const int32_t *atoms, int num_atoms, ranges_t node, int32_t *open, int32_t *slots) noexcept nogil
    void c_vertices "vertices"(const layers_t *plan, ranges_t node, float *acc, float *y, float *slopes) noexcept nogil
    int64_t c_choose "choose"(const layers_t *plan, ranges_t node, relaxed_t point, int64_t *at) noexcept nogil


cdef class Nodes:
    """Typed views of many nodes' ranges."""

    cdef Layers layers
    cdef Py_ssize_t count
    cdef int64_t[:, ::1] lo, hi, acc_lo, acc_hi

    def __cinit__(self, Layers layers, lo, hi, acc_lo, acc_hi):
        cdef Py_ssize_t row
        self.layers, self.count = layers, layers.check(lo, hi, acc_lo, acc_hi)
        self.lo, self.hi, self.acc_lo, self.acc_hi = lo, hi, acc_lo, acc_hi
        with nogil:
            for row in range(self.count):
                if not within_steps(&layers.plan, self.at(row)):
                    with gil:
                        raise ValueError(f"node {row}: a range leaves the steps of its layer")

    cdef ranges_t at(self, Py_ssize_t row) noexcept nogil:
        return ranges_t(&self.lo[row, 0], &self.hi[row, 0], &self.acc_lo[row, 0], &self.acc_hi[row, 0])


def propagate(Layers layers, lo, hi, acc_lo, acc_hi, bint inputs, const int64_t[::1] first):
    """Forward once, in place: accumulators from what they read, outputs from accumulators and back; layers that read no neuron only if `inputs`.

    first int64[nodes] are numbers of layers: those before are passed over, and of that one only outputs and accumulators say something of each
    other, unless `inputs`.

    For each layer, with P and N the positive and negative parts of its matrix (W = P + N), first_reaching by its steps:

        acc_lo = max(acc_lo, lo P + hi N + bias)          acc_hi = min(acc_hi, hi P + lo N + bias)
        lo = max(lo, requantize(acc_lo))                  hi = min(hi, requantize(acc_hi))
        acc_lo = max(acc_lo, first_reaching(lo))          acc_hi = min(acc_hi, first_reaching(hi + 1) - 1)

    and then for each pair a, b, e, d with d among its outputs, over all (acc_a, acc_b) with acc_a - acc_b in [e_lo, e_hi]:

        acc_a in acc_b + e, acc_b in acc_a - e            y_a, y_b as above
        d = y_a - y_b, unless b has 4096 levels or more   y_a in y_b + d, y_b in y_a - d, acc_a and acc_b as above

    Returns uint8[nodes]: whether something is left. Where not, it stops there.
    """
    cdef Nodes nodes = Nodes(layers, lo, hi, acc_lo, acc_hi)
    cdef Py_ssize_t row
    cdef uint8_t[::1] left = np.zeros(nodes.count, np.uint8)
    cdef Room room = Room(layers)
    if first.shape[0] != nodes.count or (nodes.count and not 0 <= np.min(first) <= np.max(first) <= layers.plan.num_layers):
        raise ValueError(f"expected a layer of {layers.plan.num_layers} for each of {nodes.count} nodes")
    with nogil:
        for row in range(nodes.count):
            left[row] = c_propagate(&layers.plan, nodes.at(row), inputs, first[row], &room.at)
    return np.asarray(left)


def narrow(Layers layers, lo, hi, acc_lo, acc_hi, Atoms inequalities, const int32_t[:, ::1] atoms, const uint8_t[::1] cuttable):
    """Cut the ranges of values, in place, to what each of a node's inequalities leaves them: atoms int32[nodes, most], then -1s, in turn.

        smallest = minimum(coefficients * lo, coefficients * hi)
        coefficients * values <= bound - smallest.sum() + smallest

    Values with a 0 in cuttable uint8[values] stay. Returns uint8[nodes]: 0 where a sum can't be as small as its bound; it stops there.
    """
    cdef Nodes nodes = Nodes(layers, lo, hi, acc_lo, acc_hi)
    cdef Py_ssize_t row
    cdef int count
    cdef uint8_t[::1] possible = np.ones(nodes.count, np.uint8)
    if atoms.shape[0] != nodes.count or cuttable.shape[0] != lo.shape[1]:
        raise ValueError(f"expected inequalities of {nodes.count} nodes over {lo.shape[1]} values")
    with nogil:
        for row in range(nodes.count):
            count = inequalities.fill(atoms, row)
            if count:
                possible[row] = c_narrow(inequalities.atoms, &atoms[row, 0], count, &cuttable[0], nodes.at(row))
    return np.asarray(possible)


def undecided(Layers layers, lo, hi, acc_lo, acc_hi, Atoms inequalities, const int32_t[:, ::1] atoms):
    """Those of a node's inequalities whose largest sum is above the bound, and where among its inequalities they stand.

    atoms int32[nodes, most], then -1s, as are both results; and their numbers, int64[nodes].
    """
    cdef Nodes nodes = Nodes(layers, lo, hi, acc_lo, acc_hi)
    cdef Py_ssize_t row
    cdef int count
    cdef int32_t[:, ::1] open, slots
    cdef int64_t[::1] counts = np.zeros(nodes.count, np.int64)
    if atoms.shape[0] != nodes.count:
        raise ValueError(f"expected inequalities of {nodes.count} nodes")
    open, slots = np.full((2, atoms.shape[0], atoms.shape[1]), -1, np.int32)
    with nogil:
        for row in range(nodes.count):
            count = inequalities.fill(atoms, row)
            if count:
                counts[row] = c_undecided(inequalities.atoms, &atoms[row, 0], count, nodes.at(row), &open[row, 0], &slots[row, 0])
    return np.asarray(open), np.asarray(slots), np.asarray(counts)


def vertices(Layers layers, lo, hi, acc_lo, acc_hi):
    """acc and y of six points of each neuron, float32[nodes, 6, neurons] each, and slopes float32[nodes, neurons]: y over acc.

    Begins of the first, second and last step, ends of the first, last but one and last. Where steps are equally long these are the
    vertices of the steps' hull: a linear function is largest at one of them. Where others stick out, as steps of a multiplier differ by an
    accumulator, the sides that inner ones stick out of are moved out. Where y does not grow with acc, vertices are those of a rectangle.
    """
    cdef Nodes nodes = Nodes(layers, lo, hi, acc_lo, acc_hi)
    cdef Py_ssize_t row, n = layers.plan.num_neurons
    acc, y = np.empty((2, nodes.count, RANGES_VERTICES, n), np.float32)
    slopes = np.empty((nodes.count, n), np.float32)
    cdef float[:, :, ::1] accs = acc, ys = y
    cdef float[:, ::1] lines = slopes
    if n:
        with nogil:
            for row in range(nodes.count):
                c_vertices(&layers.plan, nodes.at(row), &accs[row, 0, 0], &ys[row, 0, 0], &lines[row, 0])
    return acc, y, slopes


def choose(Layers layers, lo, hi, acc_lo, acc_hi, const float[:, ::1] coefficients, const float[:, ::1] acc, const float[:, ::1] y):
    """For each node the value of the neuron to cut, or -1 for none, and the first output above the cut: int64[nodes] each.

    coefficients float32[nodes, values], acc and y float32[nodes, neurons]; see `search.split.choose`.
    """
    cdef Nodes nodes = Nodes(layers, lo, hi, acc_lo, acc_hi)
    cdef Py_ssize_t row
    cdef int64_t[::1] value = np.empty(nodes.count, np.int64), at = np.empty(nodes.count, np.int64)
    cdef int neurons = layers.plan.num_neurons
    if not (coefficients.shape[0] == acc.shape[0] == y.shape[0] == nodes.count and acc.shape[1] == y.shape[1] == neurons):
        raise ValueError(f"expected {nodes.count} points of {neurons} neurons")
    if coefficients.shape[1] != layers.plan.num_inputs + neurons:
        raise ValueError(f"expected {layers.plan.num_inputs + neurons} coefficients of each node")
    with nogil:
        for row in range(nodes.count):
            value[row] = c_choose(&layers.plan, nodes.at(row), relaxed_t(&coefficients[row, 0], &acc[row, 0], &y[row, 0]), &at[row])
    return np.asarray(value), np.asarray(at)
