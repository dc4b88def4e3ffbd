# Gates over literals: fold what constants and equal inputs decide, share what was built before, else emit clauses.

cimport cython
from qbitsat._kernels.cnf.clauses cimport ClauseBuffer, clauses_t
from qbitsat._kernels.cnf.table cimport gate_t
from qbitsat._kernels.types cimport int32_t, int64_t, lit_t


@cython.final
cdef class Gates:
    cdef readonly ClauseBuffer clauses
    cdef clauses_t *out
    cdef gate_t *table
    cdef int64_t table_size
    cdef int64_t num_known
    cdef object limits

    cdef gate_t *place(self, int32_t kind, lit_t a, lit_t b, lit_t c) except NULL nogil
    cdef int widen(self) except -1 nogil
    cdef int tick_or_free(self, gate_t *wide) except -1

    cpdef lit_t and2(self, lit_t a, lit_t b) except 0 nogil
    cpdef lit_t or2(self, lit_t a, lit_t b) except 0 nogil
    cpdef lit_t xor2(self, lit_t a, lit_t b) except 0 nogil
    cpdef lit_t xor3(self, lit_t a, lit_t b, lit_t c) except 0 nogil
    cpdef lit_t one_of(self, lit_t a, lit_t b, lit_t c) except 0 nogil
    cpdef lit_t clamp(self, lit_t t, lit_t low, lit_t high, bint top) except 0 nogil
    cdef lit_t half_adder(self, lit_t a, lit_t b, lit_t *carry) except 0 nogil
    cdef lit_t full_adder(self, lit_t a, lit_t b, lit_t c, lit_t *carry) except 0 nogil
    cpdef int forbid(self, lit_t a, lit_t b) except -1 nogil
    cdef int implies(self, lit_t a, lit_t b) except -1 nogil
    cdef int emit(self, list lits) except -1
