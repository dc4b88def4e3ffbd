"""Proofs of unsatisfiability, as solvers write them, made short and given hints (LRAT). lrat_loops.c with numpy around it."""

import numpy as np

from qbitsat._kernels.types cimport int32_t, int64_t

cdef extern from "lrat.h":
    ctypedef struct lrat_t:
        pass

    int LRAT_MORE, LRAT_DONE, LRAT_CUT, LRAT_VARIABLE, LRAT_OPEN, LRAT_NOT_RUP, LRAT_NO_MEMORY
    int LRAT_SIZES, LRAT_LITERALS, LRAT_HINTS
    lrat_t *lrat_new(int32_t num_vars, const int32_t *clauses, int64_t size, const unsigned char *proof, int64_t bytes) noexcept nogil
    void lrat_free(lrat_t *t) noexcept nogil
    int lrat_run(lrat_t *t, int64_t visits) noexcept nogil
    int64_t lrat_count(const lrat_t *t, int what) noexcept nogil
    int lrat_copy(lrat_t *t, int what, int32_t *target) noexcept nogil

# What became of a proof; see lrat.h.
DONE, CUT, VARIABLE, OPEN, NOT_RUP = LRAT_DONE, LRAT_CUT, LRAT_VARIABLE, LRAT_OPEN, LRAT_NOT_RUP

# Watched clauses visited between questions whether limits hold: some tens of milliseconds.
cdef int64_t VISITS = 1 << 20


def trim(int num_vars, const int32_t[::1] clauses, const unsigned char[::1] proof, tick):
    """What a refutation needs of a proof in binary DRUP, with hints: (state, sizes int32[n, 2], literals int32, hints int32).

    clauses are zero-terminated, in DIMACS. Step k adds a clause of sizes[k, 0] literals, in DIMACS, and sizes[k, 1] hints, numbers of clauses:
    first the CNF's, from 0, then the steps'. With all its literals false each hint's clause has one literal left that is not, which must be true, and
    the last one has none. The last step adds the empty clause; no steps, if the CNF has one. The arrays are empty unless state is DONE.
    States: CUT, the proof ends inside a step or is none; VARIABLE, it names a variable beyond num_vars; OPEN, it ends without a contradiction;
    NOT_RUP, a clause that is needed does not follow by unit propagation. Raises MemoryError, and what `tick`, called every few milliseconds, raises.
    """
    cdef lrat_t *t
    cdef int64_t size = clauses.shape[0], bytes = proof.shape[0]
    cdef int state = LRAT_MORE
    cdef const int32_t *first = &clauses[0] if size else NULL
    cdef const unsigned char *step = &proof[0] if bytes else NULL
    if size and (clauses[size - 1] or not -num_vars <= np.min(clauses) <= np.max(clauses) <= num_vars):
        raise ValueError("the last clause has no end, or a literal is of no variable")
    with nogil:
        t = lrat_new(num_vars, first, size, step, bytes)
    if t == NULL:
        raise MemoryError("no memory for a proof")
    try:
        while state == LRAT_MORE:
            tick()
            with nogil:
                state = lrat_run(t, VISITS)
        if state == LRAT_NO_MEMORY:
            raise MemoryError("no memory for a proof")
        sizes, literals, hints = [copy(t, what, state == LRAT_DONE) for what in (LRAT_SIZES, LRAT_LITERALS, LRAT_HINTS)]
        return state, sizes.reshape(-1, 2), literals, hints
    finally:
        lrat_free(t)


cdef copy(lrat_t *t, int what, bint done):
    cdef int32_t[::1] target = np.empty(lrat_count(t, what) if done else 0, np.int32)
    if target.shape[0] and not lrat_copy(t, what, &target[0]):
        raise MemoryError("no memory for a proof")
    return np.asarray(target)
