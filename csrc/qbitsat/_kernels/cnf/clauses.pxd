# The clause buffer: zero-terminated int32 clauses one after the other, and the only counters of the house.
#
# Functions that emit return -1 with an exception set when memory or variables run out; the inline ones keep the
# common path, writing into reserved room, inside the caller.

cimport cython
from qbitsat._kernels.types cimport int32_t, int64_t, lit_t

cdef struct clauses_t:
    lit_t *data
    int64_t size        # int32 entries written
    int64_t capacity
    int64_t num_clauses
    int32_t num_vars
    int32_t exports     # buffers handed out; the data may not move while there are any

cdef int grow(clauses_t *c, int64_t room) except -1 nogil
cdef lit_t fresh(clauses_t *c) except 0 nogil
cdef int clause_of(clauses_t *c, const lit_t *lits, Py_ssize_t n) except -1 nogil

cdef inline int clause2(clauses_t *c, lit_t p, lit_t q) except -1 nogil:
    if c.size + 3 > c.capacity:
        grow(c, 3)
    c.data[c.size] = p
    c.data[c.size + 1] = q
    c.data[c.size + 2] = 0
    c.size += 3
    c.num_clauses += 1
    return 0

cdef inline int clause3(clauses_t *c, lit_t p, lit_t q, lit_t r) except -1 nogil:
    if c.size + 4 > c.capacity:
        grow(c, 4)
    c.data[c.size] = p
    c.data[c.size + 1] = q
    c.data[c.size + 2] = r
    c.data[c.size + 3] = 0
    c.size += 4
    c.num_clauses += 1
    return 0

cdef inline int clause4(clauses_t *c, lit_t p, lit_t q, lit_t r, lit_t s) except -1 nogil:
    if c.size + 5 > c.capacity:
        grow(c, 5)
    c.data[c.size] = p
    c.data[c.size + 1] = q
    c.data[c.size + 2] = r
    c.data[c.size + 3] = s
    c.data[c.size + 4] = 0
    c.size += 5
    c.num_clauses += 1
    return 0


@cython.final
cdef class ClauseBuffer:
    cdef clauses_t c
    cdef Py_ssize_t shape
    cdef Py_ssize_t stride
