"""What clauses say of nodes: clauses_loops.c with numpy around it. A node within all but one of a clause's ranges loses what it has of that one."""

import numpy as np

from qbitsat._kernels.types cimport int32_t, int64_t, uint8_t

cdef extern from "clauses.h":
    ctypedef struct literal_t:
        pass

    ctypedef struct clauses_t:
        int count, most
        int64_t stride
        literal_t *literals
        const int32_t *sizes
        const int32_t *branches
        int32_t *watched

    ctypedef struct cut_t:
        int64_t row

    ctypedef struct spread_t:
        int32_t *least_lo
        int32_t *most_lo
        int32_t *least_hi
        int32_t *most_hi

    int clauses_near(const clauses_t *clauses, int nodes, int num_values, const int64_t *lo, const int64_t *hi, spread_t spread, uint8_t *maybe,
                     int32_t *chosen) noexcept nogil
    int clauses_cut(const clauses_t *clauses, int num_chosen, const int32_t *chosen, int32_t branch, int64_t *lo, int64_t *hi, cut_t *cuts,
                    int room) noexcept nogil

# Nodes that are held against clauses together.
TOGETHER = 16


def cut(int64_t[:, ::1] lo, int64_t[:, ::1] hi, const int32_t[::1] node_branches, int count, const int32_t[::1] branches, const int32_t[::1] sizes,
        int32_t[:, :, ::1] literals, int32_t[:, ::1] watched, int most_cuts):
    """Cut ranges of nodes, lo and hi int64[nodes, values], in place, to what `count` clauses leave of them, each at most `most_cuts` times.

    node_branches int32[nodes] are the nodes', branches int32[at least count] those that clauses are about, -1 for all. literals int32[at least count, most, 3]: clause k says that
    no point has value in [lo, hi] for each of its first sizes[k] (value, lo, hi). watched int32[6, at least count] has two of them in a column, the first to be tried, or ranges that
    all values are in if there are fewer; others come there.

    Returns rows of (node, clause, value, at, above) in the order in which they were made, int64[cuts, 5]: the node keeps value >= at where above is 1, value < at where it is 0;
    where value is -1, all of it lies within the clause. Raises ValueError where shapes do not fit together.
    """
    cdef Py_ssize_t row, k, nodes = lo.shape[0], width = lo.shape[1]
    cdef int i, made, near, some
    cdef clauses_t clauses
    if hi.shape[0] != nodes or hi.shape[1] != width or node_branches.shape[0] != nodes:
        raise ValueError(f"expected ranges and branches of {nodes} nodes")
    if not 0 <= count <= min(branches.shape[0], sizes.shape[0], literals.shape[0], watched.shape[1]) or literals.shape[2] != 3 or watched.shape[0] != 6:
        raise ValueError(f"expected {count} clauses")
    for k in range(count):
        if not 0 <= sizes[k] <= literals.shape[1]:
            raise ValueError(f"clause {k} has {sizes[k]} literals of {literals.shape[1]}")
        if not (0 <= watched[0, k] < width and 0 <= watched[3, k] < width):
            raise ValueError(f"clause {k} watches values of {width} that do not exist")
    if most_cuts < 1:
        raise ValueError(f"expected at least one cut, not {most_cuts}")
    if not count or not nodes or not width or not literals.shape[1]:
        return np.zeros((0, 5), np.int64)
    clauses = clauses_t(count, <int> literals.shape[1], watched.shape[1], <literal_t *> &literals[0, 0, 0], &sizes[0], &branches[0], &watched[0, 0])
    cdef int64_t[:, ::1] found = np.empty((most_cuts, 5), np.int64)
    cdef int32_t[:, ::1] ends = np.empty((4, width), np.int32)
    cdef spread_t spread = spread_t(&ends[0, 0], &ends[1, 0], &ends[2, 0], &ends[3, 0])
    cdef uint8_t[::1] maybe = np.empty(count, np.uint8)
    cdef int32_t[::1] chosen = np.empty(count, np.int32)
    cdef Py_ssize_t first
    parts = [np.zeros((0, 5), np.int64)]
    for first in range(0, nodes, TOGETHER):
        some = <int> min(TOGETHER, nodes - first)
        with nogil:
            near = clauses_near(&clauses, some, <int> width, &lo[first, 0], &hi[first, 0], spread, &maybe[0], &chosen[0])
        for row in range(first, first + some):
            with nogil:
                made = clauses_cut(&clauses, near, &chosen[0], node_branches[row], &lo[row, 0], &hi[row, 0], <cut_t *> &found[0, 0], most_cuts)
                for i in range(made):
                    found[i, 0] = row
            if made:
                parts.append(np.array(found[:made]))
    return np.concatenate(parts)
