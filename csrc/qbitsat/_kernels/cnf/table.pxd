# The table of built gates: open addressing, as many entries as a power of two, of which some always stay empty.

from libc.stdint cimport uint32_t, uint64_t
from qbitsat._kernels.types cimport int32_t, int64_t, lit_t

# A gate that was built: its kind and inputs, normalised, and its one or two outputs. Kind 0: an empty entry.
cdef struct gate_t:
    int32_t kind
    lit_t a
    lit_t b
    lit_t c
    lit_t y
    lit_t z


cdef inline uint64_t hash4(int32_t kind, lit_t a, lit_t b, lit_t c) noexcept nogil:
    cdef uint64_t h = <uint64_t> <uint32_t> a * 0x9E3779B97F4A7C15u
    h = (h ^ (h >> 29) ^ <uint64_t> <uint32_t> b) * 0xBF58476D1CE4E5B9u
    h = (h ^ (h >> 32) ^ <uint64_t> <uint32_t> c ^ (<uint64_t> kind << 33)) * 0x94D049BB133111EBu
    return h ^ (h >> 31)


cdef inline gate_t *find(gate_t *table, int64_t size, int32_t kind, lit_t a, lit_t b, lit_t c) noexcept nogil:
    """The gate's entry, or the empty one where it belongs."""
    cdef int64_t at = hash4(kind, a, b, c) & (size - 1)
    cdef gate_t *gate = &table[at]
    while gate.kind != 0 and not (gate.a == a and gate.b == b and gate.c == c and gate.kind == kind):
        at = (at + 1) & (size - 1)
        gate = &table[at]
    return gate
