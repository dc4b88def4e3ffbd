# Words: natural numbers of up to MAX_BITS bits, LSB first, with the largest value they can take.
#
# What a word stands for is lo + word, with lo kept by the caller: inputs and activations are offsets from their lower
# bound, sums are offsets from their smallest value. So nothing is ever negative, and no sign bit is ever extended.

from qbitsat._kernels.cnf.gates cimport Gates
from qbitsat._kernels.types cimport MAX_BITS, int64_t, lit_t, uint64_t

cdef enum:
    FLOOR = 0
    TOWARD_ZERO
    HALF_UP
    HALF_AWAY
    HALF_EVEN

cdef struct word_t:
    int64_t span
    int n                  # bits, some may be constant; -1 where a word was not built yet
    lit_t bits[MAX_BITS]

cdef int width(int64_t span) noexcept nogil
cdef int variable_word(Gates g, int64_t span, word_t *out) except -1 nogil
cdef int add(Gates g, const word_t *x, const word_t *y, word_t *out) except -1 nogil
cdef int add_capped(Gates g, const word_t *x, const word_t *y, int64_t cap, lit_t condition, word_t *out) except -1 nogil
cdef int multiply_capped(Gates g, const word_t *x, int64_t factor, int64_t cap, lit_t condition, word_t *out) except -1 nogil
cdef int subtract_modulo(
    Gates g, const word_t *x, const word_t *y, uint64_t constant, int n, lit_t *out
) except -1 nogil
cdef int complement(Gates g, const word_t *x, word_t *out) except -1 nogil
cdef int multiply(Gates g, const word_t *x, int64_t factor, word_t *out) except -1 nogil
cdef lit_t at_least(Gates g, const lit_t *bits, int n, int64_t bound) except 0 nogil
cdef int add_constant(
    Gates g, const lit_t *bits, int n_bits, uint64_t constant, lit_t carry, int skip, int n, lit_t *out
) except -1 nogil
cdef int rounded(
    Gates g, const word_t *acc, int64_t base, int shift, int rounding, int64_t delta, int k, lit_t *out
) except -1 nogil
cdef int chain(Gates g, const lit_t *order, Py_ssize_t n) except -1 nogil
cdef lit_t bit_of_level(Gates g, const lit_t *order, const int64_t *levels, Py_ssize_t n, int b) except 0 nogil
