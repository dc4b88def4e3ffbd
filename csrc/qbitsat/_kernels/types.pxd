# The number types of the kernels and the conventions they share.
#
# Bits are LSB first: bit i of a word weighs 2**i. There are no sign bits: a word is a natural number in [0, span] and
# what it stands for is a constant plus that number (see words.pxd).

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t

# A literal as in DIMACS: +variable or -variable; never 0, which ends a clause.
ctypedef int32_t lit_t

# The constant true; its negation is false. Folding keeps both out of every clause.
cdef enum:
    TRUE_LIT = 0x7fffffff
    FALSE_LIT = -0x7fffffff

# No word is wider: accumulators stay below 2**60, their spans below 2**61, a shifted product below 2**62.
cdef enum:
    MAX_BITS = 64
