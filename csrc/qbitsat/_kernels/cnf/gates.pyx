"""Gates over literals.

Every gate first folds constants and inputs that share a variable, then looks itself up among the gates built before,
and only then takes fresh variables and emits clauses. The formula stands above its clauses, in their order.

All encodings here are propagation complete: unit propagation finds every literal that any partial assignment of a
gate's variables implies (a test tries all of them). For the full adder that takes 14 clauses and no more than the
plain one has; see docs/design/encodings.md.
"""

cimport cython
from libc.stdint cimport int32_t, int64_t
from libc.stdlib cimport calloc, free, realloc

from qbitsat._kernels.cnf.clauses cimport ClauseBuffer, clause2, clause3, clause4, clause_of, clauses_t, fresh
from qbitsat._kernels.cnf.table cimport find, gate_t
from qbitsat._kernels.types cimport FALSE_LIT, TRUE_LIT, lit_t

cdef enum:
    AND2 = 1
    XOR2
    HALF
    FULL
    XOR3
    ONE_OF
    CLAMP_0
    CLAMP_1


# Gates that are moved between two looks at the limits.
cdef enum:
    LARGE_TABLE = 1 << 18


cdef inline lit_t var(lit_t a) noexcept nogil:
    return a if a > 0 else -a


cdef inline void sort3(lit_t *a, lit_t *b, lit_t *c) noexcept nogil:
    """Stable, by variable; constants come last."""
    if var(b[0]) < var(a[0]):
        a[0], b[0] = b[0], a[0]
    if var(c[0]) < var(b[0]):
        b[0], c[0] = c[0], b[0]
        if var(b[0]) < var(a[0]):
            a[0], b[0] = b[0], a[0]


cdef inline bint fold3(lit_t a, lit_t b, lit_t c, lit_t *total, lit_t *carry) noexcept nogil:
    """a + b + c = total + 2 * carry for sorted literals of which two share a variable; false if none do."""
    if var(b) == var(c):
        total[0] = a if b == c else -a
        carry[0] = b if b == c else a
        return True
    if var(a) == var(b):
        total[0] = c if a == b else -c
        carry[0] = a if a == b else c
        return True
    return False


@cython.final
cdef class Gates:
    """Gates that write into one ClauseBuffer. Literals are DIMACS integers; TRUE and FALSE are +-0x7fffffff.

    limits: its check() is called now and then, its require(bytes) before a large table; both may raise to stop. Or None.
    """

    def __cinit__(self, ClauseBuffer clauses not None, limits=None):
        self.clauses, self.limits = clauses, limits
        self.out = &clauses.c
        self.forget()

    def __dealloc__(self):
        free(self.table)

    def forget(self):
        """Release the table of built gates: later gates no longer share with earlier ones."""
        free(self.table)
        self.table = NULL
        self.num_known = 0
        self.table_size = 1024
        self.table = <gate_t *> calloc(self.table_size, sizeof(gate_t))
        if self.table == NULL:
            raise MemoryError("no memory for the table of gates")

    cdef int widen(self) except -1 nogil:
        """Double the table; both are there for a while."""
        cdef gate_t *old = self.table
        cdef int64_t size = self.table_size, i
        if size >= LARGE_TABLE:
            with gil:
                if self.limits is not None:
                    self.limits.require(2 * size * sizeof(gate_t))
        cdef gate_t *wide = <gate_t *> calloc(2 * size, sizeof(gate_t))
        if wide == NULL:
            with gil:
                raise MemoryError("no memory for the table of gates")
        for i in range(size):
            if i % LARGE_TABLE == LARGE_TABLE - 1:
                with gil:
                    self.tick_or_free(wide)
            if old[i].kind:
                find(wide, 2 * size, old[i].kind, old[i].a, old[i].b, old[i].c)[0] = old[i]
        self.table = wide
        self.table_size = 2 * size
        free(old)
        return 0

    cdef int tick_or_free(self, gate_t *wide) except -1:
        """Ask whether limits hold; a table that is not in use yet is given back where not."""
        try:
            if self.limits is not None:
                self.limits.check()
        except BaseException:
            free(wide)
            raise
        return 0

    cdef gate_t *place(self, int32_t kind, lit_t a, lit_t b, lit_t c) except NULL nogil:
        """The entry of this gate: with outputs if it was built before, else new, with y == 0 for the caller to fill."""
        cdef gate_t *gate
        if 3 * self.num_known >= 2 * self.table_size:
            self.widen()
        gate = find(self.table, self.table_size, kind, a, b, c)
        if gate.kind == 0:
            self.num_known += 1
            gate.kind, gate.a, gate.b, gate.c = kind, a, b, c
        return gate

    cpdef lit_t and2(self, lit_t a, lit_t b) except 0 nogil:
        """y <-> a and b."""
        cdef gate_t *gate
        cdef lit_t y
        if a == FALSE_LIT or b == FALSE_LIT or a == -b:
            return FALSE_LIT
        if a == TRUE_LIT or a == b:
            return b
        if b == TRUE_LIT:
            return a
        if b < a:
            a, b = b, a
        gate = self.place(AND2, a, b, 0)
        if gate.y == 0:
            y = gate.y = fresh(self.out)
            # y -> a,  y -> b,  a and b -> y
            clause2(self.out, -y, a)
            clause2(self.out, -y, b)
            clause3(self.out, y, -a, -b)
        return gate.y

    cpdef lit_t or2(self, lit_t a, lit_t b) except 0 nogil:
        """y <-> a or b."""
        return -self.and2(-a, -b)

    cpdef lit_t xor2(self, lit_t a, lit_t b) except 0 nogil:
        """y <-> a xor b."""
        cdef gate_t *gate
        cdef lit_t y, sign
        if var(b) < var(a):
            a, b = b, a
        if var(a) == var(b):
            return FALSE_LIT if a == b else TRUE_LIT
        if var(b) == TRUE_LIT:
            return -a if b == TRUE_LIT else a
        sign = 1 if (a < 0) == (b < 0) else -1
        a, b = var(a), var(b)
        gate = self.place(XOR2, a, b, 0)
        if gate.y == 0:
            y = gate.y = fresh(self.out)
            # y -> (a or b) and not (a and b),  not y -> (a = b)
            clause3(self.out, -y, a, b)
            clause3(self.out, -y, -a, -b)
            clause3(self.out, y, -a, b)
            clause3(self.out, y, a, -b)
        return sign * gate.y

    cdef lit_t half_adder(self, lit_t a, lit_t b, lit_t *carry) except 0 nogil:
        """s + 2 k = a + b for distinct variables; returns s and stores k."""
        cdef gate_t *gate
        cdef lit_t s, k
        if b < a:
            a, b = b, a
        gate = self.place(HALF, a, b, 0)
        if gate.y == 0:
            s = fresh(self.out)
            k = fresh(self.out)
            gate.y, gate.z = s, k
            # k <-> a and b
            clause2(self.out, -k, a)
            clause2(self.out, -k, b)
            clause3(self.out, k, -a, -b)
            # not (s and k),  s -> a or b,  a -> s or k,  b -> s or k
            clause2(self.out, -s, -k)
            clause3(self.out, -s, a, b)
            clause3(self.out, s, k, -a)
            clause3(self.out, s, k, -b)
        carry[0] = gate.z
        return gate.y

    cdef lit_t full_adder(self, lit_t a, lit_t b, lit_t c, lit_t *carry) except 0 nogil:
        """s + 2 k = a + b + c; returns s and stores k."""
        cdef gate_t *gate
        cdef lit_t s, k, sign
        sort3(&a, &b, &c)
        if fold3(a, b, c, &s, carry):
            return s
        if c == FALSE_LIT:
            return self.half_adder(a, b, carry)
        if c == TRUE_LIT:  # a + b + 1 = 3 - (not a + not b)
            s = -self.half_adder(-a, -b, carry)
            carry[0] = -carry[0]
            return s
        sign = 1 if a > 0 else -1  # the adder is self-dual: negated inputs give negated outputs
        a, b, c = sign * a, sign * b, sign * c
        gate = self.place(FULL, a, b, c)
        if gate.y == 0:
            s = fresh(self.out)
            k = fresh(self.out)
            gate.y, gate.z = s, k
            # k -> two of a, b, c hold
            clause3(self.out, -k, a, b)
            clause3(self.out, -k, a, c)
            clause3(self.out, -k, b, c)
            # not k -> two of them do not
            clause3(self.out, k, -a, -b)
            clause3(self.out, k, -a, -c)
            clause3(self.out, k, -b, -c)
            # s and k -> all hold
            clause3(self.out, -s, -k, a)
            clause3(self.out, -s, -k, b)
            clause3(self.out, -s, -k, c)
            # not s and not k -> none holds
            clause3(self.out, s, k, -a)
            clause3(self.out, s, k, -b)
            clause3(self.out, s, k, -c)
            # s -> one holds,  all hold -> s
            clause4(self.out, -s, a, b, c)
            clause4(self.out, s, -a, -b, -c)
        carry[0] = sign * gate.z
        return sign * gate.y

    cpdef lit_t xor3(self, lit_t a, lit_t b, lit_t c) except 0 nogil:
        """y <-> a xor b xor c."""
        cdef gate_t *gate
        cdef lit_t y, carry, sign
        sort3(&a, &b, &c)
        if fold3(a, b, c, &y, &carry):
            return y
        if var(c) == TRUE_LIT:
            y = self.xor2(a, b)
            return y if c == FALSE_LIT else -y
        sign = -1 if (a < 0) ^ (b < 0) ^ (c < 0) else 1
        a, b, c = var(a), var(b), var(c)
        gate = self.place(XOR3, a, b, c)
        if gate.y == 0:
            y = gate.y = fresh(self.out)
            # y -> an odd number holds
            clause4(self.out, -y, a, b, c)
            clause4(self.out, -y, a, -b, -c)
            clause4(self.out, -y, -a, b, -c)
            clause4(self.out, -y, -a, -b, c)
            # not y -> an even number holds
            clause4(self.out, y, -a, b, c)
            clause4(self.out, y, a, -b, c)
            clause4(self.out, y, a, b, -c)
            clause4(self.out, y, -a, -b, -c)
        return sign * gate.y

    cpdef lit_t one_of(self, lit_t a, lit_t b, lit_t c) except 0 nogil:
        """y = a + b + c where the caller knows that the sum is at most 1; states that fact too."""
        cdef gate_t *gate
        cdef lit_t y, carry
        sort3(&a, &b, &c)
        if fold3(a, b, c, &y, &carry) or c == TRUE_LIT:
            return self.xor3(a, b, c)
        gate = self.place(ONE_OF, a, b, c)
        if gate.y == 0:
            y = gate.y = fresh(self.out)
            # at most one,  one -> y,  y -> one
            clause2(self.out, -a, -b)
            clause2(self.out, y, -a)
            clause2(self.out, y, -b)
            if c == FALSE_LIT:
                clause3(self.out, -y, a, b)
            else:
                clause2(self.out, -a, -c)
                clause2(self.out, -b, -c)
                clause2(self.out, y, -c)
                clause4(self.out, -y, a, b, c)
        return gate.y

    cpdef lit_t clamp(self, lit_t t, lit_t low, lit_t high, bint top) except 0 nogil:
        """One bit of min(max(t, 0), m): low says t > 0, high says t >= m (so high -> low), top is this bit of m.

        t is that bit of the number's low bits, which are right where 0 < t < m.
        """
        cdef gate_t *gate
        cdef lit_t y
        if var(low) == TRUE_LIT or var(high) == TRUE_LIT:
            y = self.and2(t, low)
            return self.or2(high, y) if top else self.and2(-high, y)
        if t == TRUE_LIT or t == low or t == -high:
            return low if top else self.and2(low, -high)
        if t == FALSE_LIT or t == -low or t == high:
            return high if top else FALSE_LIT
        gate = self.place(CLAMP_1 if top else CLAMP_0, t, low, high)
        if gate.y == 0:
            y = gate.y = fresh(self.out)
            if top:
                # y <-> high or (low and t)
                clause2(self.out, y, -high)
                clause2(self.out, -y, low)
                clause3(self.out, y, -t, -low)
                clause3(self.out, -y, t, high)
            else:
                # y <-> low and not high and t
                clause2(self.out, -y, t)
                clause2(self.out, -y, low)
                clause2(self.out, -y, -high)
                clause4(self.out, y, -t, -low, high)
        return gate.y

    cdef int implies(self, lit_t a, lit_t b) except -1 nogil:
        """a -> b, for literals that are not constant."""
        return clause2(self.out, -a, b)

    cpdef int forbid(self, lit_t a, lit_t b) except -1 nogil:
        """not (a and b)."""
        cdef lit_t lits[2]
        cdef int n = 0
        if a == FALSE_LIT or b == FALSE_LIT or a == -b:
            return 0
        if a != TRUE_LIT:
            lits[0] = -a
            n = 1
        if b != TRUE_LIT and b != a:
            lits[n] = -b
            n += 1
        return clause_of(self.out, lits, n)

    def any_of(self, lits):
        """y <-> some literal of the list holds."""
        cdef lit_t y, lit
        kept = distinct(lits)
        if kept is None:
            return TRUE_LIT
        if len(kept) < 2:
            return kept[0] if kept else FALSE_LIT
        y = fresh(self.out)
        for lit in kept:
            clause2(self.out, y, -lit)
        self.emit([-y, *kept])
        return y

    def all_of(self, lits):
        """y <-> every literal of the list holds."""
        return -self.any_of([-lit for lit in lits])

    def require_any(self, lits):
        """Some literal of the list holds; an empty list makes the formula unsatisfiable by the empty clause."""
        kept = distinct(lits)
        if kept is not None:
            self.emit(kept)

    cdef int emit(self, list lits) except -1:
        """One clause of any length."""
        cdef Py_ssize_t i, n = len(lits)
        cdef lit_t *block = <lit_t *> realloc(NULL, (n + 1) * sizeof(lit_t))
        if block == NULL:
            raise MemoryError("no memory for a clause")
        try:
            for i in range(n):
                block[i] = lits[i]
            clause_of(self.out, block, n)
        finally:
            free(block)
        return 0

    def adder(self, lit_t a, lit_t b, lit_t c):
        """(s, k) with s + 2 k = a + b + c; `full_adder` for Python."""
        cdef lit_t k = 0
        s = self.full_adder(a, b, c, &k)
        return s, k


cdef list distinct(lits):
    """The literals without FALSE and repetitions, by variable; None if they can't all be false."""
    kept = sorted(set(lits) - {FALSE_LIT}, key=lambda lit: (abs(lit), lit))
    if TRUE_LIT in kept or any(a == -b for a, b in zip(kept, kept[1:])):
        return None
    return kept
