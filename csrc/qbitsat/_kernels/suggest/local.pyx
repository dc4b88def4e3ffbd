"""Local search over inputs: local_loops.c with numpy around it.

A state is a point of the box with all values behind it, in exact integers. A move gives a few inputs other numbers, and only what follows
from these is computed again; it is kept as in simulated annealing, by the output steps that violated inequalities still lack.
"""

cimport cython
from libc.stdlib cimport calloc, free

import numpy as np

from qbitsat._kernels.exact.layers cimport LAYER_LANES, LAYER_PATCHES, LAYER_ROWS, Atoms, Layers, atom_t, layer_t, layers_t
from qbitsat._kernels.types cimport int32_t, int64_t, uint8_t, uint64_t


cdef extern from "local.h":
    ctypedef struct cluster_t:
        int layer, neuron, size

    ctypedef struct reading_t:
        int cluster
        int64_t column

    ctypedef struct image_t:
        int first, height, width, depth

    ctypedef struct local_plan_t:
        const layers_t *layers
        int num_clusters, num_images, num_free
        const cluster_t *clusters
        const int *first_cluster
        const int64_t *starts
        const reading_t *readings
        const int32_t *weights
        const double *length
        const int64_t *lo
        const int64_t *hi
        const int32_t *free
        const int32_t *partner
        const int32_t *image_of
        const image_t *images

    ctypedef struct local_goal_t:
        int num_atoms
        const atom_t *const *atoms

    ctypedef struct local_t:
        int64_t *values
        int64_t *acc
        int64_t *saved
        int32_t *touched
        int32_t *counts
        uint8_t *marks
        int32_t *changed
        int64_t *before
        int64_t *best_x
        int32_t *taken
        int num_changed, most_inputs
        double score, best, scale
        uint64_t random[2]

    void local_begin(const local_plan_t *plan, const local_goal_t *goal, local_t *state, uint64_t seed) noexcept nogil
    int local_on(const local_plan_t *plan, const local_goal_t *goal, local_t *state, long moves, double temperature) noexcept nogil
    void local_set(const local_plan_t *plan, const local_goal_t *goal, local_t *state, const int64_t *x) noexcept nogil

# Inputs that moves may name more than once.
cdef enum:
    AGAIN = 256


@cython.final
cdef class Local:
    """One search at a time over the inputs of all networks of a query.

    layers    all layers, each with steps
    atoms     inequalities over all values
    values    int64[num_values] of a point in the box, and what the layers make of it
    acc       int64[num_neurons], the accumulators there
    box       (lo, hi) int64[num_inputs]
    partner   int32[num_inputs]: a permutation whose rings are inputs that move together
    images    int32[n, 4]: (first, height, width, depth) of inputs in C order; together they are all inputs
    length    float64[num_neurons]: accumulators for one output unit
    Raises ValueError for what does not fit together.
    """

    cdef local_plan_t plan
    cdef local_goal_t goal
    cdef local_t state
    cdef Layers layers
    cdef Atoms atoms
    cdef cluster_t *clusters
    cdef reading_t *readings
    cdef image_t *images
    cdef const atom_t **wanted
    cdef list kept

    def __cinit__(self, Layers layers, Atoms atoms, values, acc, tuple box, partner, images, length):
        cdef int m = layers.plan.num_inputs, n = layers.plan.num_neurons
        self.layers, self.atoms, self.kept = layers, atoms, []
        lo, hi = box
        if any(len(part) != m for part in (lo, hi, partner)) or len(acc) != n or len(length) != n or len(values) != m + n:
            raise ValueError("a box, values or lengths of other sizes than the layers")
        if sorted(partner) != list(range(m)) or not np.all(np.asarray(length) > 0):
            raise ValueError("partners are no permutation, or a length is not above 0")
        if any(not layers.stepped(k) for k in range(layers.plan.num_layers)):
            raise ValueError("a layer without steps")
        p = &self.plan
        p.layers = &layers.plan
        p.lo, p.hi = self._long(lo), self._long(hi)
        p.partner = self._int(partner)
        opened = np.flatnonzero(np.asarray(lo) < np.asarray(hi))
        p.free, p.num_free = self._int(opened), <int> len(opened)
        p.length = self._double(length)
        self._set_images(images)
        self._set_readings()
        self.wanted = <const atom_t **> calloc(atoms.count + 1, sizeof(atom_t *))
        if self.wanted == NULL:
            raise MemoryError("no memory for inequalities")
        self.goal.atoms = self.wanted
        self._set_state(values, acc)

    cdef int64_t *_long(self, numbers):
        cdef int64_t[::1] array = np.append(np.asarray(numbers, np.int64), 0)
        self.kept.append(array)
        return &array[0]

    cdef int32_t *_int(self, numbers):
        cdef int32_t[::1] array = np.append(np.asarray(numbers, np.int32), np.int32(0))
        self.kept.append(array)
        return &array[0]

    cdef double *_double(self, numbers):
        cdef double[::1] array = np.append(np.asarray(numbers, float), 0.0)
        self.kept.append(array)
        return &array[0]

    def _set_images(self, images):
        cdef int k = 0, first = 0
        image_of = []
        self.images = <image_t *> calloc(len(images) + 1, sizeof(image_t))
        if self.images == NULL:
            raise MemoryError("no memory for images")
        for k, (start, height, width, depth) in enumerate(images):
            size = height * width * depth
            if start != first or min(height, width, depth) < 1 or first + size > self.plan.layers.num_inputs:
                raise ValueError(f"image {k} does not follow the one before, or leaves the inputs")
            self.images[k] = image_t(start, height, width, depth)
            first += size
            image_of.append(np.full(size, k))
        if first != self.plan.layers.num_inputs:
            raise ValueError("images of fewer inputs than there are")
        self.plan.images, self.plan.num_images = self.images, <int> len(images)
        self.plan.image_of = self._int(np.concatenate([[], *image_of]))

    def _set_readings(self):
        """For every value the accumulators that it is in, and where their weights for it stand side by side."""
        cdef int l, p, g, k, c, v, i, groups, channels, base = 0
        cdef int64_t column = 0, at, total
        cdef const layer_t *layer
        cdef int count = self.plan.layers.num_layers
        first = [0]
        for l in range(count):
            layer = &self.plan.layers.layers[l]
            first.append(first[l] + (layer.n_out if layer.kind == LAYER_ROWS else layer.positions * layer.groups))
        self.plan.first_cluster, self.plan.num_clusters = <const int *> self._int(first), first[count]
        self.clusters = <cluster_t *> calloc(first[count] + 1, sizeof(cluster_t))
        cdef int64_t *starts = self._long(np.zeros(self.layers.num_values + 2, np.int64))
        cdef int32_t *weights = self._int(np.zeros(sum([self.plan.layers.layers[l].num_rows for l in range(count)]), np.int32))
        if self.clusters == NULL:
            raise MemoryError("no memory for layers")
        # Numbers first, two places further on; then the readings, and every start is where the readings of the value before end.
        for l in range(count):
            self._read(l, base, column, starts + 2, NULL, weights)
        for v in range(self.layers.num_values):
            starts[v + 2] += starts[v + 1]
        total = starts[self.layers.num_values + 1]
        self.readings = <reading_t *> calloc(total + 1, sizeof(reading_t))
        if self.readings == NULL:
            raise MemoryError("no memory for layers")
        for l in range(count):
            self._read(l, self.plan.first_cluster[l], column, starts + 1, self.readings, weights)
            column += self.plan.layers.layers[l].num_rows
        self.plan.clusters, self.plan.readings, self.plan.starts, self.plan.weights = self.clusters, self.readings, starts, weights

    cdef _read(self, int l, int base, int64_t column, int64_t *ends, reading_t *readings, int32_t *weights):
        """Count the readings of a layer, or write them."""
        cdef const layer_t *layer = &self.plan.layers.layers[l]
        cdef int p, g, k, c, i, cells, channels = layer.channels, lanes = layer.kind == LAYER_LANES
        cdef int64_t at
        if layer.kind == LAYER_ROWS:
            for i in range(layer.n_out):
                if readings != NULL:
                    self.clusters[base + i] = cluster_t(l, layer.neuron + i, 1)
                for at in range(layer.indptr[i], layer.indptr[i + 1]):
                    if readings != NULL:
                        weights[column + at] = layer.rows[at]
                    _note(layer.view[layer.indices[at]], base + i, column + at, ends, readings)
            return
        for p in range(layer.positions):
            for g in range(layer.groups):
                i = p * layer.groups + g
                if readings != NULL:
                    self.clusters[base + i] = cluster_t(l, layer.neuron + i * channels, channels)
                for k in range(layer.taps):
                    at = column + (k * layer.groups + g if lanes else (g * layer.taps + k) * channels)
                    _note(layer.view[layer.start[p] + (g if lanes else g * layer.stride) + layer.offset[k]], base + i, at, ends, readings)
                    for c in range(channels if readings != NULL and p == 0 else 0):
                        weights[at + c] = layer.rows[k * layer.groups + g if lanes else (g * channels + c) * layer.taps + k]

    cdef _set_state(self, values, acc):
        cdef local_t *w = &self.state
        cdef int m = self.plan.layers.num_inputs, n = self.plan.layers.num_neurons, k
        cdef int longest = max([self.atoms.atoms[k].size for k in range(self.atoms.count)], default=0)
        w.values, w.acc, w.saved, w.best_x = self._long(values), self._long(acc), self._long(acc), self._long(np.zeros(m))
        w.touched, w.counts = self._int(np.zeros(self.plan.num_clusters)), self._int(np.zeros(self.plan.layers.num_layers))
        w.most_inputs = m + AGAIN
        w.changed, w.before = self._int(np.zeros(w.most_inputs + n)), self._long(np.zeros(w.most_inputs + n))
        w.taken = self._int(np.zeros(longest))
        cdef uint8_t[::1] marks = np.zeros(self.plan.num_clusters + 1, np.uint8)
        self.kept.append(marks)
        w.marks = &marks[0]

    def __dealloc__(self):
        free(self.clusters)
        free(self.readings)
        free(self.images)
        free(self.wanted)

    def begin(self, x, atoms, uint64_t seed):
        """A new search from x int64[num_inputs], taken into the box, to where all these inequalities hold."""
        cdef Py_ssize_t k
        cdef const int64_t[::1] start = np.append(np.asarray(x, np.int64), 0)
        if start.shape[0] != self.plan.layers.num_inputs + 1 or len(atoms) > self.atoms.count:
            raise ValueError("a search needs a number for every input, and each inequality once")
        for k, atom in enumerate(atoms):
            if not 0 <= atom < self.atoms.count:
                raise ValueError(f"there is no inequality {atom}")
            self.wanted[k] = &self.atoms.atoms[<int> atom]
        self.goal.num_atoms = <int> len(atoms)
        with nogil:
            local_set(&self.plan, &self.goal, &self.state, &start[0])
            local_begin(&self.plan, &self.goal, &self.state, seed)

    def on(self, long moves, double temperature):
        """So many moves, at a temperature in mean changes of the score; whether the inequalities hold now."""
        cdef int found
        with nogil:
            found = local_on(&self.plan, &self.goal, &self.state, moves, temperature)
        return bool(found)

    @property
    def score(self):
        """Output steps that the inequalities lack, now."""
        return self.state.score

    @property
    def best(self):
        """The smallest score since the begin."""
        return self.state.best

    @property
    def scale(self):
        """The mean change of the score by a move, where the search began."""
        return self.state.scale

    @property
    def values(self):
        """int64[num_values], now."""
        return _copy(self.state.values, self.layers.num_values)

    @property
    def acc(self):
        """int64[num_neurons], now."""
        return _copy(self.state.acc, self.plan.layers.num_neurons)

    @property
    def best_x(self):
        """int64[num_inputs] with the smallest score."""
        return _copy(self.state.best_x, self.plan.layers.num_inputs)


cdef inline void _note(int value, int cluster, int64_t column, int64_t *ends, reading_t *readings) noexcept:
    """Count a reading, or write it to where the ones of its value end so far; padding is read by nobody."""
    if value < 0:
        return
    if readings != NULL:
        readings[ends[value]] = reading_t(cluster, column)
    ends[value] += 1


cdef _copy(const int64_t *numbers, Py_ssize_t size):
    result = np.empty(size, np.int64)
    cdef int64_t[::1] out = result
    for k in range(size):
        out[k] = numbers[k]
    return result
