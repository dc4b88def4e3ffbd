"""Multipliers for upper bounds of many linear objectives over the same ranges, sixteen at a time: objectives_loops.c with numpy around it."""

cimport cython

import numpy as np

from qbitsat._kernels.suggest.floats cimport Floats, Inequalities, inequality_t
from qbitsat._kernels.suggest.units cimport WIDE, Units, chosen_t, units_t, wide_t, wides_of

cdef extern from "objectives.h":
    ctypedef struct common_t:
        const units_t *units
        const float *x_lo
        const float *x_hi
        const float *vertex_acc
        const float *vertex_y
        const float *slopes
        int (*tick)(void *) noexcept nogil
        void *who

    ctypedef struct bundle_t:
        int count
        const inequality_t *all
        float *bounds
        float **multipliers

    int VERTICES, ALL_LANES
    int descend_together(const common_t *common, const bundle_t *bundle, int steps, float rate, float decay, wide_t *work, chosen_t *chosen) noexcept nogil
    long wides_needed(const units_t *units) noexcept nogil


cdef int call_tick(void *who) noexcept with gil:
    """Whether to stop, because the tick has raised."""
    cdef Objectives objectives = <Objectives> who
    try:
        objectives.tick()
    except BaseException as error:
        objectives.stopped = error
    return objectives.stopped is not None


@cython.final
cdef class Objectives:
    """Layers as float32, and the ranges of one node.

    x_lo, x_hi float32[inputs]; vertices float32[6, neurons] each and slopes float32[neurons], as `ranges.vertices` gives them, below 0 for
    neurons whose multiplier stays 0. tick: called now and then as the work goes on, and may raise to end it; or None.
    """

    cdef common_t common
    cdef Floats floats
    cdef Units units
    cdef tuple kept
    cdef object tick, stopped, room

    def __cinit__(self, Floats floats, const float[::1] x_lo, const float[::1] x_hi, const float[:, ::1] vertex_acc,
                  const float[:, ::1] vertex_y, const float[::1] slopes, tick=None):
        cdef Py_ssize_t k, i, neurons = floats.plan.num_neurons, inputs = floats.plan.num_inputs
        if not x_lo.shape[0] == x_hi.shape[0] == inputs or not slopes.shape[0] == vertex_acc.shape[1] == vertex_y.shape[1] == neurons:
            raise ValueError(f"arrays of a node are not those of {inputs} inputs and {neurons} neurons")
        if not vertex_acc.shape[0] == vertex_y.shape[0] == VERTICES:
            raise ValueError(f"expected {VERTICES} vertices of each neuron")
        self.kept, self.floats, self.tick, self.stopped = (x_lo, x_hi, vertex_acc, vertex_y, slopes), floats, tick, None
        self.units = Units(floats)
        for i in range(neurons):
            self.units.chosen.useful[i] = ALL_LANES if slopes[i] >= 0 else 0
        p = &self.common
        p.units = &self.units.plan
        if inputs:
            p.x_lo, p.x_hi = &x_lo[0], &x_hi[0]
        if neurons:
            p.vertex_acc, p.vertex_y, p.slopes = &vertex_acc[0, 0], &vertex_y[0, 0], &slopes[0]
        p.tick, p.who = &call_tick if tick is not None else NULL, <void *> self
        self.room = np.zeros((wides_needed(p.units) + 1) * WIDE, np.float32)

    @staticmethod
    def bytes_for(Py_ssize_t inputs, Py_ssize_t neurons):
        """What one takes, about."""
        return 4 * WIDE * (8 * neurons + 2 * inputs) + 8 * (neurons + inputs)

    def run(self, tuple objectives, int steps, float rate, float decay):
        """Upper bounds, float32[n], and what multipliers give them, float32[n, neurons], after at most `steps` steps each.

        objectives: (starts int64[n + 1], values int32, coefficients float32, any float32[n]), flat as in `Inequalities`; those next to each
        other are computed together, and cost least if they rest on the same values.
        """
        cdef Inequalities all = Inequalities(self.floats.plan.num_inputs + self.floats.plan.num_neurons, objectives)
        bounds, multipliers = np.full(all.count, np.inf, np.float32), np.zeros((all.count, self.floats.plan.num_neurons), np.float32)
        self._run(all, steps, rate, decay, bounds, multipliers)
        if self.stopped is not None:
            error, self.stopped = self.stopped, None
            raise error
        return bounds, multipliers

    cdef _run(self, Inequalities all, int steps, float rate, float decay, float[::1] bounds, float[:, ::1] multipliers):
        cdef Py_ssize_t first = 0, k
        cdef bundle_t bundle
        cdef float *rows[64]
        cdef wide_t *work = wides_of(self.room)
        if not multipliers.shape[1]:
            raise ValueError("there is no neuron before the objectives")
        with nogil:
            while first < all.count:
                bundle.count, bundle.all, bundle.bounds, bundle.multipliers = min(<int> WIDE, <int> (all.count - first)), &all.all[first], &bounds[first], rows
                for k in range(bundle.count):
                    rows[k] = &multipliers[first + k, 0]
                if descend_together(&self.common, &bundle, steps, rate, decay, work, &self.units.chosen):
                    break
                first += WIDE
