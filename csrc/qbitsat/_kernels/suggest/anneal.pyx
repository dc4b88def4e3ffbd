"""Annealing over the outputs of the layers that read inputs: anneal_loops.c with numpy around it.

A state is one level for each of these outputs and real inputs whose accumulators lie within the levels' steps. A move changes up to three
levels by one; it is taken by the score of the outputs behind it, which are exact, as in simulated annealing, and only if the inputs can
follow: cyclic coordinate descent on the squares of what the accumulators lack. When the score is 0 the inputs are made whole.
"""

cimport cython
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy

import numpy as np

from qbitsat._kernels.exact.layers cimport layer_t
from qbitsat._kernels.suggest.floats cimport Floats, floats_t
from qbitsat._kernels.types cimport int32_t, uint64_t


cdef extern from "anneal.h":
    ctypedef struct steps_t:
        const float *steps
        int last, base
        float begin, length, y_min

    ctypedef struct target_t:
        int size
        const int *neurons
        const float *coefficients
        float bound

    ctypedef struct anneal_plan_t:
        int num_inputs, num_levels, num_rows, stride, num_neurons, num_later, num_open, longest
        const float *columns
        const float *matrix
        const float *bias
        const float *square
        const float *clearance
        const int *neuron
        const int *lowest
        const int *highest
        const int *open
        const float *x_lo
        const float *x_hi
        const steps_t *steps
        const floats_t *floats
        const int *later
        float tolerance

    ctypedef struct goal_t:
        int num_targets, num_ranges
        const target_t *const *targets
        const int *neurons
        const float *lo
        const float *hi
        const float *fences

    ctypedef struct anneal_t:
        float *x
        float *rounded
        float *saved_x
        float *slope
        float *gain
        int *listed
        float *acc
        float *least
        float *most
        float *violation
        float *saved_acc
        float *old
        int *level
        float *y
        float *sum
        float *cells
        float *taps
        int *reached
        int *taken
        float score, best, scale

    int ROW_LANES
    void anneal_begin(const anneal_plan_t *plan, const goal_t *goal, anneal_t *state, uint64_t seed) noexcept nogil
    int anneal_on(const anneal_plan_t *plan, const goal_t *goal, anneal_t *state, long moves, float temperature) noexcept nogil
    float anneal_score(const anneal_plan_t *plan, const goal_t *goal, anneal_t *state, const int *levels) noexcept nogil


cdef const float *numbers(const float[::1] array) noexcept:
    return &array[0] if array.shape[0] else NULL


cdef const int *ints(const int32_t[::1] array) noexcept:
    return <const int *> &array[0] if array.shape[0] else NULL


@cython.final
cdef class Annealing:
    """One walk at a time over the outputs of the layers of a query that read inputs.

    inputs      (x_lo, x_hi) float32[num_inputs] each: the box
    rows        (matrix float32[rows, num_inputs], bias, clearance float32[rows], neuron, lowest, highest int32[levels]): the neurons that read
                inputs, how far accumulators keep from the ends of their steps, and the levels that each may have; the rest of the rows
                are sums of inputs that must not exceed a bound
    steps       for every neuron (float32[last + 2], base, begin, length, y_min): see anneal.h
    floats      all layers; later: int32, those that read no inputs, in order: whatever is no row
    targets        (neurons int32[k], coefficients float32[k], bound) of every inequality
    tolerance   what accumulators may be outside their ranges, as a sum of squares
    """

    cdef anneal_plan_t plan
    cdef goal_t goal
    cdef anneal_t state
    cdef steps_t *steps
    cdef Floats floats
    cdef target_t *targets
    cdef const target_t **wanted
    cdef char *work
    cdef int num_targets
    cdef list kept
    cdef tuple ranges

    def __cinit__(self, tuple inputs, tuple rows, list steps, Floats floats, later, list targets, float tolerance):
        matrix, bias, clearance, neuron, lowest, highest = rows
        cdef int num_rows = <int> matrix.shape[0], m = <int> matrix.shape[1], n = <int> len(steps)
        if m < 1:
            raise ValueError("a walk without inputs has nothing to move: rows of none")
        stride = (max(1, num_rows) + ROW_LANES - 1) // ROW_LANES * ROW_LANES
        if any(len(part) != num_rows for part in (bias, clearance)) or not len(neuron) == len(lowest) == len(highest) <= num_rows:
            raise ValueError("rows of different sizes")
        if any(len(part) != m for part in inputs):
            raise ValueError("a box and rows of different sizes")
        columns = np.zeros((m, stride), np.float32)
        columns[:, :num_rows] = matrix.T
        square = np.ascontiguousarray((matrix**2).mean(axis=1), np.float32)
        opened = np.flatnonzero(np.asarray(lowest) < np.asarray(highest)).astype(np.int32)
        flat, table = np.ascontiguousarray(matrix).ravel(), columns.ravel()
        self.kept = [flat, table, square, opened, inputs, rows, steps, later, targets]
        self.steps = <steps_t *> calloc(n + 1, sizeof(steps_t))
        self.targets = <target_t *> calloc(len(targets) + 1, sizeof(target_t))
        self.wanted = <const target_t **> calloc(len(targets) + 1, sizeof(target_t *))
        if self.steps == NULL or self.targets == NULL or self.wanted == NULL:
            raise MemoryError("no memory for layers and inequalities")
        p = &self.plan
        p.num_inputs, p.num_levels, p.num_rows, p.stride = m, <int> len(neuron), num_rows, <int> stride
        p.num_neurons, p.num_open = n, <int> len(opened)
        p.columns, p.matrix, p.bias, p.square, p.clearance = numbers(table), numbers(flat), numbers(bias), numbers(square), numbers(clearance)
        p.neuron, p.lowest, p.highest, p.open = ints(neuron), ints(lowest), ints(highest), ints(opened)
        p.x_lo, p.x_hi, p.tolerance = numbers(inputs[0]), numbers(inputs[1]), tolerance
        self._set_steps(steps, neuron, lowest, highest)
        self.floats = floats
        self._set_later(later)
        self._set_targets(targets)
        self._set_state()

    def _set_steps(self, list steps, neuron, lowest, highest):
        for k, (table, base, begin, length, y_min) in enumerate(steps):
            s = &self.steps[k]
            if len(table) < 2 or not length > 0:
                raise ValueError(f"neuron {k} has no steps")
            s.steps, s.last, s.base, s.begin, s.length, s.y_min = numbers(table), <int> len(table) - 2, base, begin, length, y_min
        for i, lo, hi in zip(neuron, lowest, highest, strict=True):
            if not (0 <= i < len(steps) and 0 <= lo <= hi <= self.steps[<int> i].last):
                raise ValueError(f"a row stands for neuron {i} with levels {lo} to {hi}")
        self.plan.steps = self.steps

    def _set_later(self, const int32_t[::1] later):
        cdef Py_ssize_t j, k
        cdef const layer_t *map
        if self.floats.plan.num_inputs != self.plan.num_inputs or self.floats.plan.num_neurons != self.plan.num_neurons:
            raise ValueError("layers and rows, or steps, of different sizes")
        for k in range(later.shape[0]):
            if not (later[k - 1] if k else -1) < later[k] < self.floats.plan.num_layers:
                raise ValueError(f"layer {later[k]} does not exist, or does not follow those before")
            map = self.floats.layers[later[k]].map
            for j in range(map.n_in):
                if 0 <= map.view[j] < self.plan.num_inputs:
                    raise ValueError(f"layer {later[k]} reads inputs")
        self.plan.floats, self.plan.later, self.plan.num_later = &self.floats.plan, ints(later), <int> later.shape[0]

    def _set_targets(self, list targets):
        self.plan.longest = 1
        for k, (neurons, coefficients, bound) in enumerate(targets):
            target = &self.targets[k]
            if len(neurons) != len(coefficients) or any(not 0 <= i < self.plan.num_neurons for i in neurons) or not np.all(coefficients):
                raise ValueError(f"inequality {k} names neurons that do not exist, or has a coefficient of 0")
            target.size, target.neurons, target.coefficients, target.bound = <int> len(neurons), ints(neurons), numbers(coefficients), bound
            self.plan.longest = max(self.plan.longest, target.size)
        self.num_targets = <int> len(targets)

    def _set_state(self):
        """Arrays of 4-byte numbers out of one piece of memory."""
        cdef anneal_t *w = &self.state
        cdef long m = self.plan.num_inputs, s = self.plan.stride, n = self.plan.num_neurons
        cdef long cells = self.floats.plan.most_cells, taps = self.floats.plan.most_taps
        self.work = <char *> calloc(6 * m + 7 * s + 3 * n + cells + taps + self.plan.longest + 16, 4)
        if self.work == NULL:
            raise MemoryError("no memory for a walk")
        cdef float *at = <float *> self.work
        w.acc, w.least, w.most, w.violation, w.saved_acc, w.old = at, at + s, at + 2 * s, at + 3 * s, at + 4 * s, at + 5 * s
        w.level, at = <int *> (at + 6 * s), at + 7 * s
        w.x, w.y, at = at, at + m, at + m + n
        w.rounded, w.saved_x, w.slope, w.gain, w.listed, at = at, at + m, at + 2 * m, at + 3 * m, <int *> (at + 4 * m), at + 5 * m
        w.sum, w.reached, w.cells, at = at, <int *> (at + n), at + 2 * n, at + 2 * n + cells
        w.taps, w.taken = at, <int *> (at + taps)

    def __dealloc__(self):
        free(self.steps)
        free(self.targets)
        free(self.wanted)
        free(self.work)

    def begin(self, x, targets, tuple ranges, fences, uint64_t seed):
        """A new walk from x float32[num_inputs], taken into the box, to where all of these targets hold.

        ranges: neurons int32[k] and float32[k] twice: where their accumulators should be as long as not all targets hold. fences float32[rows
        without levels]: their bounds.
        """
        cdef Py_ssize_t k
        cdef const float[::1] start = np.ascontiguousarray(np.clip(np.nan_to_num(x), *self.kept[4]), np.float32)
        if start.shape[0] != self.plan.num_inputs or any(not 0 <= target < self.num_targets for target in targets) or len(targets) > self.num_targets:
            raise ValueError("a walk needs a value for every input, and targets that exist")
        neurons, lo, hi = ranges
        if not len(neurons) == len(lo) == len(hi) or any(not 0 <= i < self.plan.num_neurons for i in neurons):
            raise ValueError("ranges of neurons that do not exist")
        for k, target in enumerate(targets):
            self.wanted[k] = &self.targets[<int> target]
        if len(fences) != self.plan.num_rows - self.plan.num_levels:
            raise ValueError("a bound for every row without levels")
        # All pointers first: an array of another type must not leave us with one that is freed.
        cdef const int *named = ints(neurons)
        cdef const float *ends_lo = numbers(lo)
        cdef const float *ends_hi = numbers(hi)
        cdef const float *bounds = numbers(fences)
        self.ranges = (*ranges, fences)
        self.goal.num_targets, self.goal.targets = <int> len(targets), self.wanted
        self.goal.num_ranges, self.goal.neurons, self.goal.lo, self.goal.hi, self.goal.fences = <int> len(neurons), named, ends_lo, ends_hi, bounds
        if self.plan.num_inputs:
            memcpy(self.state.x, &start[0], self.plan.num_inputs * sizeof(float))
        with nogil:
            anneal_begin(&self.plan, &self.goal, &self.state, seed)

    def on(self, long moves, float temperature):
        """So many moves, at a temperature in mean changes of the score; whether `rounded` are inputs that reach the goal, as floats see it."""
        cdef int found
        with nogil:
            found = anneal_on(&self.plan, &self.goal, &self.state, moves, temperature)
        return bool(found)

    @property
    def score(self):
        """How far the outputs are from the goal, in output steps."""
        return self.state.score

    @property
    def best(self):
        """The smallest score of this walk."""
        return self.state.best

    @property
    def scale(self):
        """The mean change of the score by a move, where the walk began."""
        return self.state.scale

    @property
    def rounded(self):
        """float32[num_inputs]: whole inputs, once they are found."""
        return _copy(self.state.rounded, self.plan.num_inputs)

    @property
    def x(self):
        """float32[num_inputs]: where the walk is."""
        return _copy(self.state.x, self.plan.num_inputs)

    @property
    def levels(self):
        """int32[levels]: the outputs there, counted from the requantizers' lowest."""
        return np.array([self.state.level[k] for k in range(self.plan.num_levels)], np.int32)

    def score_of(self, levels):
        """The score of other levels int32[levels], for tests; the walk has to begin anew after it."""
        if len(levels) != self.plan.num_levels or any(not 0 <= k <= self.steps[self.plan.neuron[row]].last for row, k in enumerate(levels)):
            raise ValueError("a level that exists for every row")
        return anneal_score(&self.plan, &self.goal, &self.state, ints(levels))


cdef _copy(const float *values, Py_ssize_t size):
    result = np.empty(size, np.float32)
    cdef float[::1] out = result
    for k in range(size):
        out[k] = values[k]
    return result
