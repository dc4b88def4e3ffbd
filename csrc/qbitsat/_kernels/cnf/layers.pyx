"""Layers as loops over words: dot products in every layout, requantizers, thresholds. Nothing here writes a clause."""

cimport cython
from libc.stdlib cimport free, malloc, realloc

from qbitsat._kernels.cnf.clauses cimport ClauseBuffer
from qbitsat._kernels.cnf.gates cimport Gates
from qbitsat._kernels.types cimport FALSE_LIT, MAX_BITS, TRUE_LIT, int32_t, int64_t, lit_t, uint64_t
from qbitsat._kernels.cnf.words cimport (
    add, add_capped, add_constant, at_least, bit_of_level, chain, complement, multiply, multiply_capped, rounded, subtract_modulo,
    variable_word, width, word_t,
)

# Products and sums between two looks at the limits: some megabytes of clauses.
cdef enum:
    TOGETHER = 256


@cython.final
cdef class Words:
    """n words, constant 0 until they are set; `bits(i)` is LSB first, `span(i)` the largest value."""

    def __cinit__(self, Py_ssize_t n):
        cdef Py_ssize_t i
        self.n = n
        self.items = <word_t *> malloc((n + 1) * sizeof(word_t))
        self.flipped = <word_t *> malloc((n + 1) * sizeof(word_t))
        if self.items == NULL or self.flipped == NULL:
            raise MemoryError(f"no memory for {n} words")
        for i in range(n):
            self.items[i].n = 0
            self.items[i].span = 0
            self.flipped[i].n = -1

    def __dealloc__(self):
        free(self.items)
        free(self.flipped)

    def _check(self, Py_ssize_t i):
        if not 0 <= i < self.n:
            raise IndexError(f"word {i} of {self.n}")

    def bits(self, Py_ssize_t i):
        """The literals of word i."""
        self._check(i)
        return [self.items[i].bits[k] for k in range(self.items[i].n)]

    def span(self, Py_ssize_t i):
        """The largest value of word i."""
        self._check(i)
        return self.items[i].span

    def copy_from(self, Py_ssize_t i, Words source, Py_ssize_t j):
        """Let word i be word j of `source`."""
        self._check(i)
        source._check(j)
        self.items[i] = source.items[j]
        self.flipped[i].n = -1


@cython.final
cdef class Encoder:
    """Dot products, requantizers and thresholds into one ClauseBuffer. Its plain Python twin is qbitsat/certificate/bitblast.py.

    limits: as of `Gates`.
    """

    def __cinit__(self, limits=None):
        self.clauses, self.limits = ClauseBuffer(), limits
        self.gates = Gates(self.clauses, limits)
        self.known = {}

    def __dealloc__(self):
        free(self.terms)

    cdef int tick(self) except -1 nogil:
        with gil:
            if self.limits is not None:
                self.limits.check()
        return 0

    def variables(self, const int64_t[::1] spans):
        """Words of fresh variables with 0 <= word <= span, and the clauses that say so."""
        cdef Words words = Words(spans.shape[0])
        cdef Py_ssize_t i
        with nogil:
            for i in range(spans.shape[0]):
                if not 0 <= spans[i] < (<int64_t> 1) << 60:
                    with gil:
                        raise ValueError(f"span {spans[i]} of word {i} is outside [0, 2**60)")
                variable_word(self.gates, spans[i], &words.items[i])
        return words

    def dot(self, Words source not None, const int32_t[::1] indices, const int64_t[::1] weights, bint balanced):
        """The sum over k of weights[k] * x[indices[k]] less its smallest value, kept for the next two calls.

        x = lo + word for each word of `source`; a negative weight multiplies span - word instead. So with acc_lo the
        smallest sum, acc = acc_lo + what is kept. balanced adds neighbours in a tree, else one after the other.
        Returns the span. Raises ValueError for indices outside `source` and sums of 2**61 or more.
        """
        cdef Py_ssize_t k, m = 0
        cdef int64_t weight, span = 0
        cdef const word_t *word
        if indices.shape[0] != weights.shape[0]:
            raise ValueError("indices and weights differ in length")
        for k in range(indices.shape[0]):
            if not 0 <= indices[k] < source.n or weights[k] == 0 or not -(1 << 60) < weights[k] < 1 << 60:
                raise ValueError(f"term {k}: {weights[k]} times word {indices[k]} of {source.n}")
            weight = weights[k] if weights[k] > 0 else -weights[k]
            if source.items[indices[k]].span > ((<int64_t> 1 << 61) - 1 - span) // weight:
                raise ValueError("a sum can reach 2**61")
            span += weight * source.items[indices[k]].span
        self._reserve(indices.shape[0])
        with nogil:
            for k in range(indices.shape[0]):
                if k % TOGETHER == 0:
                    self.tick()
                word = &source.items[indices[k]]
                if word.span == 0:
                    continue
                weight = weights[k]
                if weight < 0:
                    weight = -weight
                    if source.flipped[indices[k]].n < 0:
                        complement(self.gates, word, &source.flipped[indices[k]])
                    word = &source.flipped[indices[k]]
                multiply(self.gates, word, weight, &self.terms[m])
                m += 1
            if balanced:
                self._sum_tree(m)
            else:
                self._sum_chain(m)
        return self.total.span

    cdef int _reserve(self, Py_ssize_t n) except -1:
        cdef word_t *terms
        if n > self.capacity:
            terms = <word_t *> realloc(self.terms, n * sizeof(word_t))
            if terms == NULL:
                raise MemoryError(f"no memory for {n} terms")
            self.terms = terms
            self.capacity = n
        return 0

    cdef int _sum_tree(self, Py_ssize_t m) except -1 nogil:
        """Neighbours pairwise, level by level; an odd one waits for the next level."""
        cdef Py_ssize_t i
        while m > 1:
            for i in range(m // 2):
                if i % TOGETHER == TOGETHER - 1:
                    self.tick()
                add(self.gates, &self.terms[2 * i], &self.terms[2 * i + 1], &self.terms[i])
            if m & 1:
                self.terms[m // 2] = self.terms[m - 1]
            m = (m + 1) // 2
        return self._keep(m)

    cdef int _sum_chain(self, Py_ssize_t m) except -1 nogil:
        """The first term plus the second, plus the third, and so on."""
        cdef Py_ssize_t i
        for i in range(1, m):
            if i % TOGETHER == 0:
                self.tick()
            add(self.gates, &self.terms[0], &self.terms[i], &self.terms[0])
        return self._keep(m)

    cdef int _keep(self, Py_ssize_t m) except -1 nogil:
        if m:
            self.total = self.terms[0]
        else:
            self.total.n = 0
            self.total.span = 0
        return 0

    def keep(self, Words target not None, Py_ssize_t i):
        """Let word i of `target` be the kept sum."""
        target._check(i)
        target.items[i] = self.total
        target.flipped[i].n = -1

    def difference(
        self,
        Words target not None,
        Py_ssize_t i,
        Words first not None,
        Py_ssize_t j,
        int64_t first_factor,
        Words second not None,
        Py_ssize_t k,
        int64_t second_factor,
        int64_t constant,
        int64_t span,
    ):
        """Word i of `target` becomes first_factor * first[j] - second_factor * second[k] + constant, known to be in [0, span].

        Raises ValueError for negative factors and products of 2**61 or more.
        """
        cdef word_t x, y
        target._check(i)
        first._check(j)
        second._check(k)
        if not 0 <= span < (<int64_t> 1) << 61:
            raise ValueError(f"span {span} is outside [0, 2**61)")
        with nogil:
            self._product(&first.items[j], first_factor, &x)
            self._product(&second.items[k], second_factor, &y)
            target.items[i].span = span
            target.items[i].n = width(span)
            subtract_modulo(self.gates, &x, &y, <uint64_t> constant, width(span), target.items[i].bits)
        target.flipped[i].n = -1

    cdef int _product(self, const word_t *word, int64_t factor, word_t *out) except -1 nogil:
        """factor * word for factor >= 0."""
        if factor < 0 or (factor and word.span > ((<int64_t> 1 << 61) - 1) // factor):
            with gil:
                raise ValueError(f"factor {factor} of a word up to {word.span}")
        out.n = 0
        out.span = 0
        if factor and word.span:
            multiply(self.gates, word, factor, out)
        return 0

    def at_most(self, Words words not None, const int64_t[::1] weights, int64_t budget, lit_t condition):
        """condition -> sum over k of |weights[k]| * d_k <= budget, with d_k = word k, or span - word for a negative weight.

        No summand is negative, so under the condition no partial sum exceeds the budget: sums are cut to its bits and what
        is cut off is forbidden. Raises ValueError for a budget outside [0, 2**60) and weights that are 0 or of 2**60 or more.
        """
        cdef Py_ssize_t k, m = 0
        cdef int64_t weight
        cdef const word_t *word
        if weights.shape[0] != words.n or not 0 <= budget < (<int64_t> 1) << 60:
            raise ValueError(f"{weights.shape[0]} weights for {words.n} words, or budget {budget} outside [0, 2**60)")
        for k in range(words.n):
            if weights[k] == 0 or not -(1 << 60) < weights[k] < 1 << 60:
                raise ValueError(f"weight {k} is {weights[k]}")
            if words.items[k].span > ((<int64_t> 1 << 61) - 1) // abs(weights[k]):
                raise ValueError(f"term {k} can reach 2**61")
        self._reserve(words.n)
        with nogil:
            for k in range(words.n):
                if k % TOGETHER == 0:
                    self.tick()
                word = &words.items[k]
                weight = weights[k]
                if word.span == 0:
                    continue
                if weight < 0:
                    weight = -weight
                    if words.flipped[k].n < 0:
                        complement(self.gates, word, &words.flipped[k])
                    word = &words.flipped[k]
                multiply_capped(self.gates, word, weight, budget, condition, &self.terms[m])
                m += self.terms[m].n > 0
            while m > 1:
                for k in range(m // 2):
                    if k % TOGETHER == TOGETHER - 1:
                        self.tick()
                    add_capped(self.gates, &self.terms[2 * k], &self.terms[2 * k + 1], budget, condition, &self.terms[k])
                if m & 1:
                    self.terms[m // 2] = self.terms[m - 1]
                m = (m + 1) // 2
            if m:
                self.gates.forbid(condition, at_least(self.gates, self.terms[0].bits, self.terms[0].n, budget + 1))

    def at_least(self, int64_t bound):
        """The literal of (kept sum >= bound)."""
        return at_least(self.gates, self.total.bits, self.total.n, bound)

    def requantize(
        self,
        Words target not None,
        Py_ssize_t i,
        int64_t base,
        int shift,
        int rounding,
        int64_t delta,
        int64_t levels,
        int64_t reach_low,
        int64_t reach_high,
    ):
        """Word i of `target` becomes y - y_lo for acc = base + kept sum, with y in [y_lo, y_lo + levels].

        y - y_lo = min(max(round(acc / 2**shift) + delta, 0), levels), or the same modulo 2**k if there is no clamp.
        rounding is an index into arithmetic.ROUNDINGS. reach_low is the kept sum from which y > y_lo, reach_high that
        from which y = y_lo + levels; each is 0 where no clamp at that end is needed.
        """
        cdef lit_t bits[MAX_BITS]
        cdef word_t *word
        cdef int k
        target._check(i)
        k = width(levels) if levels > 0 else 0
        if levels < 0 or not (-61 <= shift <= 61 and k <= 32 and k + shift <= 62 and 0 <= rounding <= 4):
            raise ValueError(f"requantize: shift {shift}, levels {levels} or rounding {rounding} is out of range")
        word = &target.items[i]
        word.span = levels
        word.n = k
        target.flipped[i].n = -1
        if levels == 0:
            return
        if levels == 1 and reach_high > 0:
            word.bits[0] = at_least(self.gates, self.total.bits, self.total.n, reach_high)
            return
        with nogil:
            rounded(self.gates, &self.total, base, shift, rounding, delta, k, bits)
            self._clamp(word, bits, reach_low, reach_high)

    cdef int _clamp(self, word_t *word, const lit_t *bits, int64_t reach_low, int64_t reach_high) except -1 nogil:
        """Bits that are right where no clamp acts -> word: 0 below the kept sum reach_low, word.span from reach_high on; 0: no clamp."""
        cdef lit_t low = TRUE_LIT, high = FALSE_LIT
        cdef int j
        if reach_low > 0:
            low = at_least(self.gates, self.total.bits, self.total.n, reach_low)
        if reach_high > 0:
            high = at_least(self.gates, self.total.bits, self.total.n, reach_high)
        if low != TRUE_LIT and low != FALSE_LIT and high != TRUE_LIT and high != FALSE_LIT:
            self.gates.implies(high, low)
        for j in range(word.n):
            word.bits[j] = self.gates.clamp(bits[j], low, high, (word.span >> j) & 1)
        return 0

    def line(
        self,
        Words target not None,
        Py_ssize_t i,
        int64_t factor,
        int64_t constant,
        int shift,
        int64_t levels,
        int64_t reach_low,
        int64_t reach_high,
    ):
        """Word i of `target` becomes (factor * kept sum + constant) >> shift, in [0, levels] where no clamp acts.

        reach_low is the kept sum below which the word is 0, reach_high that from which it is `levels`; 0: no clamp at that end.
        Raises ValueError for products of 2**61 or more and for shifts that leave 62 bits.
        """
        cdef lit_t bits[MAX_BITS]
        cdef word_t product
        cdef word_t *word
        cdef int k = width(levels) if levels > 0 else 0
        target._check(i)
        if k == 0 or k > 32 or shift < 0 or k + shift > 62:
            raise ValueError(f"line: shift {shift} or levels {levels} is out of range")
        word = &target.items[i]
        word.span = levels
        word.n = k
        target.flipped[i].n = -1
        with nogil:
            self._product(&self.total, factor, &product)
            add_constant(self.gates, product.bits, product.n, <uint64_t> constant, FALSE_LIT, shift, shift + k, bits)
            self._clamp(word, bits, reach_low, reach_high)

    def steps(self, Words target not None, Py_ssize_t i, const int64_t[::1] starts, const int64_t[::1] levels, int64_t span):
        """Word i of `target` becomes levels[j] where starts[j - 1] <= kept sum < starts[j], of as many bits as span has.

        starts ascend, levels are in [0, span] and one more than starts. The same steps over the same bits are built once.
        """
        cdef Py_ssize_t n = starts.shape[0], j
        cdef int k = width(span) if span > 0 else 0, b
        cdef word_t *word
        target._check(i)
        if levels.shape[0] != n + 1 or k > 32:
            raise ValueError(f"steps: {levels.shape[0]} levels for {n} starts, or span {span} is out of range")
        for j in range(n + 1):
            if not 0 <= levels[j] <= span:
                raise ValueError(f"steps: level {levels[j]} is outside [0, {span}]")
        word = &target.items[i]
        word.span = span
        word.n = k
        target.flipped[i].n = -1
        key = (*[self.total.bits[b] for b in range(self.total.n)], bytes(starts), bytes(levels), span)
        if key in self.known:
            for b, lit in enumerate(self.known[key]):
                word.bits[b] = lit
            return
        cdef lit_t *order = <lit_t *> malloc((n + 2) * sizeof(lit_t))
        if order == NULL:
            raise MemoryError(f"no memory for {n} steps")
        try:
            with nogil:
                order[0] = TRUE_LIT
                for j in range(n):
                    if j % TOGETHER == 0:
                        self.tick()
                    order[j + 1] = at_least(self.gates, self.total.bits, self.total.n, starts[j])
                order[n + 1] = FALSE_LIT
                chain(self.gates, order, n + 1)
                for b in range(k):
                    word.bits[b] = bit_of_level(self.gates, order, &levels[0], n + 1, b)
        finally:
            free(order)
        self.known[key] = [word.bits[b] for b in range(k)]
