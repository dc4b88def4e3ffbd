cimport cython
from qbitsat._kernels.cnf.clauses cimport ClauseBuffer
from qbitsat._kernels.cnf.gates cimport Gates
from qbitsat._kernels.types cimport int64_t, lit_t
from qbitsat._kernels.cnf.words cimport word_t


@cython.final
cdef class Words:
    cdef readonly Py_ssize_t n
    cdef word_t *items
    cdef word_t *flipped


@cython.final
cdef class Encoder:
    cdef readonly ClauseBuffer clauses
    cdef readonly Gates gates
    cdef word_t *terms
    cdef Py_ssize_t capacity
    cdef word_t total
    cdef object limits
    cdef dict known

    cdef int tick(self) except -1 nogil
    cdef int _reserve(self, Py_ssize_t n) except -1
    cdef int _sum_tree(self, Py_ssize_t m) except -1 nogil
    cdef int _sum_chain(self, Py_ssize_t m) except -1 nogil
    cdef int _product(self, const word_t *word, int64_t factor, word_t *out) except -1 nogil
    cdef int _keep(self, Py_ssize_t m) except -1 nogil
    cdef int _clamp(self, word_t *word, const lit_t *bits, int64_t reach_low, int64_t reach_high) except -1 nogil
