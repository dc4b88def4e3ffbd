"""Circuits over words: ripple adders, constant products, comparators, shifts with rounding."""

from qbitsat._kernels.cnf.clauses cimport clause_of, fresh
from qbitsat._kernels.cnf.gates cimport Gates
from qbitsat._kernels.types cimport FALSE_LIT, MAX_BITS, TRUE_LIT, int64_t, lit_t, uint64_t


cdef int width(int64_t span) noexcept nogil:
    """Bits that hold every value of [0, span]."""
    cdef int n = 0
    while span:
        span >>= 1
        n += 1
    return n


cdef int variable_word(Gates g, int64_t span, word_t *out) except -1 nogil:
    """A word of fresh variables and the clauses for word <= span."""
    cdef int i, j, m
    cdef lit_t lits[MAX_BITS]
    out.span = span
    out.n = width(span)
    for i in range(out.n):
        out.bits[i] = fresh(g.out)
    for i in range(out.n):
        if not (span >> i) & 1:
            # not (bit i and every higher bit that span has): that would exceed span
            lits[0] = -out.bits[i]
            m = 1
            for j in range(i + 1, out.n):
                if (span >> j) & 1:
                    lits[m] = -out.bits[j]
                    m += 1
            clause_of(g.out, lits, m)
    return 0


cdef int add_words(
    Gates g, const lit_t *x, int nx, const lit_t *y, int ny, int n, bint negate, lit_t carry, lit_t *out
) except -1 nogil:
    """n bits of x + y, or of x + not y; carry enters at bit 0; out may be x or y.

    The result is known to fit in n bits. So if both operands do, the carry out of the top is known too: 0, or 1 where
    y is negated.
    """
    cdef bint fits = nx <= n and ny <= n
    cdef int i
    cdef lit_t a, b
    for i in range(n):
        a = x[i] if i < nx else FALSE_LIT
        b = y[i] if i < ny else FALSE_LIT
        if negate:
            b = -b
        if i < n - 1:
            out[i] = g.full_adder(a, b, carry, &carry)
        elif not fits:
            out[i] = g.xor3(a, b, carry)
        elif negate:
            out[i] = -g.one_of(-a, -b, -carry)
        else:
            out[i] = g.one_of(a, b, carry)
    return 0


cdef int add(Gates g, const word_t *x, const word_t *y, word_t *out) except -1 nogil:
    """x + y; out may be x."""
    cdef int64_t span = x.span + y.span
    cdef int n = width(span)
    add_words(g, x.bits, x.n, y.bits, y.n, n, False, FALSE_LIT, out.bits)
    out.span = span
    out.n = n
    return 0


cdef int add_capped(Gates g, const word_t *x, const word_t *y, int64_t cap, lit_t condition, word_t *out) except -1 nogil:
    """x + y if condition -> x + y <= cap: bits above those of cap are forbidden; out may be x.

    A word that was cut has span cap, which it keeps to only under the condition; so nothing may be built on its span.
    """
    cdef lit_t carry = FALSE_LIT
    cdef int i, n
    if x.span + y.span <= cap:
        return add(g, x, y, out)
    n = width(cap)
    for i in range(n):
        out.bits[i] = g.full_adder(
            x.bits[i] if i < x.n else FALSE_LIT, y.bits[i] if i < y.n else FALSE_LIT, carry, &carry
        )
    out.n = n
    out.span = cap
    return g.forbid(condition, carry)


cdef int multiply_capped(Gates g, const word_t *x, int64_t factor, int64_t cap, lit_t condition, word_t *out) except -1 nogil:
    """factor * x if condition -> factor * x <= cap, for factor >= 1: what would exceed cap is forbidden."""
    cdef word_t kept
    cdef int i, n = width(cap // factor)
    if factor * x.span <= cap:
        return multiply(g, x, factor, out)
    kept.n = x.n if x.n < n else n
    kept.span = ((<int64_t> 1) << kept.n) - 1
    if x.span < kept.span:
        kept.span = x.span
    for i in range(x.n):
        if i < n:
            kept.bits[i] = x.bits[i]
        else:
            g.forbid(condition, x.bits[i])
    out.n = 0
    out.span = 0
    if kept.n == 0:
        return 0
    multiply(g, &kept, factor, out)
    n = width(cap)
    for i in range(n, out.n):
        g.forbid(condition, out.bits[i])
    if out.n > n:
        out.n = n
    if out.span > cap:
        out.span = cap
    return 0


cdef int subtract_modulo(
    Gates g, const word_t *x, const word_t *y, uint64_t constant, int n, lit_t *out
) except -1 nogil:
    """n bits of x - y + constant, modulo 2**n."""
    cdef lit_t carry = TRUE_LIT, a, b
    cdef int i
    for i in range(n):
        a = x.bits[i] if i < x.n else FALSE_LIT
        b = -y.bits[i] if i < y.n else TRUE_LIT
        out[i] = g.full_adder(a, b, carry, &carry) if i < n - 1 else g.xor3(a, b, carry)
    return add_constant(g, out, n, constant, FALSE_LIT, 0, n, out)


cdef int complement(Gates g, const word_t *x, word_t *out) except -1 nogil:
    """span - x: negation bit by bit if span is all ones, else the constant span + not x + 1."""
    cdef int i
    cdef lit_t constant[MAX_BITS]
    out.span = x.span
    out.n = x.n
    if x.span & (x.span + 1) == 0:
        for i in range(x.n):
            out.bits[i] = -x.bits[i]
        return 0
    for i in range(x.n):
        constant[i] = TRUE_LIT if (x.span >> i) & 1 else FALSE_LIT
    return add_words(g, constant, x.n, x.bits, x.n, x.n, True, TRUE_LIT, out.bits)


cdef int multiply(Gates g, const word_t *x, int64_t factor, word_t *out) except -1 nogil:
    """factor * x for factor >= 1, by signed digits with no two neighbours: about a third of the digits is not 0.

    From the top digit down, q <- q * 2**distance +- x; every q is positive. The factor's trailing zeros are wires.
    """
    cdef int places[MAX_BITS]
    cdef int digits[MAX_BITS]
    cdef int num = 0, zeros = 0, place = 0, i, t, n, distance
    cdef int64_t rest = factor, value = 1
    cdef lit_t shifted[2 * MAX_BITS]
    cdef lit_t product[MAX_BITS]
    while rest & 1 == 0:
        rest >>= 1
        zeros += 1
    while rest:
        if rest & 1:
            places[num] = place
            digits[num] = 2 - <int> (rest & 3)
            rest -= digits[num]
            num += 1
        rest >>= 1
        place += 1
    n = x.n
    for i in range(n):
        product[i] = x.bits[i]
    for t in range(num - 2, -1, -1):
        distance = places[t + 1] - places[t]
        value = (value << distance) + digits[t]
        for i in range(distance):
            shifted[i] = FALSE_LIT
        for i in range(n):
            shifted[distance + i] = product[i]
        distance += n
        n = width(value * x.span)
        add_words(
            g, shifted, distance, x.bits, x.n, n, digits[t] < 0, TRUE_LIT if digits[t] < 0 else FALSE_LIT, product
        )
    for i in range(zeros):
        out.bits[i] = FALSE_LIT
    for i in range(n):
        out.bits[zeros + i] = product[i]
    out.n = zeros + n
    out.span = x.span * factor
    return 0


cdef lit_t at_least(Gates g, const lit_t *bits, int n, int64_t bound) except 0 nogil:
    """The literal of (word >= bound), from the lowest bit up: one gate a bit, none below the lowest one of bound."""
    cdef lit_t reached = TRUE_LIT
    cdef int i
    if bound <= 0:
        return TRUE_LIT
    if width(bound) > n:
        return FALSE_LIT
    for i in range(n):
        # the bits up to i reach those of bound
        reached = g.and2(bits[i], reached) if (bound >> i) & 1 else g.or2(bits[i], reached)
    return reached


cdef int add_constant(
    Gates g, const lit_t *bits, int n_bits, uint64_t constant, lit_t carry, int skip, int n, lit_t *out
) except -1 nogil:
    """Bits skip..n-1 of word + constant + carry, modulo 2**n; below skip only the carries are built."""
    cdef int i
    cdef lit_t a, k
    for i in range(n):
        a = bits[i] if i < n_bits else FALSE_LIT
        k = TRUE_LIT if (constant >> i) & 1 else FALSE_LIT
        if i < skip:
            carry = g.or2(a, carry) if k == TRUE_LIT else g.and2(a, carry)
        elif i < n - 1:
            out[i - skip] = g.full_adder(a, k, carry, &carry)
        else:
            out[i - skip] = g.xor3(a, k, carry)
    return 0


cdef int rounded(
    Gates g, const word_t *acc, int64_t base, int shift, int rounding, int64_t delta, int k, lit_t *out
) except -1 nogil:
    """k bits of round((base + acc) / 2**shift) + delta, modulo 2**k.

    Every mode is a floor after adding a constant c and one carry:
        floor      c = 0                          half_up    c = half
        half_away  c = half - 1, carry acc >= 0   half_even  c = half - 1, carry the quotient's lowest bit
    and toward_zero is floor, plus 1 where acc is negative and the division inexact.
    """
    cdef lit_t bits[2 * MAX_BITS]
    cdef lit_t carry = FALSE_LIT, negative
    cdef int i
    # Constants are taken modulo 2**64, which 2**(shift + k) divides: unsigned arithmetic may wrap.
    cdef uint64_t constant = <uint64_t> base, half
    if shift <= 0:
        for i in range(k):
            bits[i] = acc.bits[i + shift] if 0 <= i + shift < acc.n else FALSE_LIT
        return add_constant(g, bits, k, (constant << -shift) + <uint64_t> delta, FALSE_LIT, 0, k, out)
    half = (<uint64_t> 1) << (shift - 1)
    constant += (<uint64_t> delta) << shift
    if rounding == HALF_UP:
        constant += half
    elif rounding == HALF_AWAY:
        constant += half - 1
        carry = at_least(g, acc.bits, acc.n, -base)
    elif rounding == HALF_EVEN:
        constant += half - 1
        add_constant(g, acc.bits, acc.n, <uint64_t> base, FALSE_LIT, shift, shift + 1, &carry)
    elif rounding == TOWARD_ZERO:
        negative = -at_least(g, acc.bits, acc.n, -base)
        if negative != FALSE_LIT:
            add_constant(g, acc.bits, acc.n, <uint64_t> base, FALSE_LIT, 0, shift, bits)
            carry = at_least(g, bits, shift, 1)
            add_constant(g, acc.bits, acc.n, constant, FALSE_LIT, shift, shift + k, bits)
            return add_constant(g, bits, k, 0, g.and2(negative, carry), 0, k, out)
    return add_constant(g, acc.bits, acc.n, constant, carry, shift, shift + k, out)


cdef int chain(Gates g, const lit_t *order, Py_ssize_t n) except -1 nogil:
    """order[j] -> order[j - 1], for comparators with ascending bounds: order[0] is TRUE, order[n] FALSE."""
    cdef Py_ssize_t j
    for j in range(2, n):
        if order[j] != FALSE_LIT and order[j - 1] != TRUE_LIT and order[j] != order[j - 1]:
            g.implies(order[j], order[j - 1])
    return 0


cdef lit_t bit_of_level(Gates g, const lit_t *order, const int64_t *levels, Py_ssize_t n, int b) except 0 nogil:
    """Bit b of levels[j], where order[j] holds and order[j + 1] does not; order[0] is TRUE, order[n] FALSE.

    A constant, one literal of the order, or a variable that every run of equal bits determines.
    """
    cdef Py_ssize_t changes = 0, begin = 0, last = 0, j
    cdef lit_t y
    cdef lit_t lits[3]
    cdef int m
    for j in range(1, n):
        if (levels[j] ^ levels[j - 1]) >> b & 1:
            changes += 1
            last = j
    if changes == 0:
        return TRUE_LIT if levels[0] >> b & 1 else FALSE_LIT
    if changes == 1:
        return order[last] if levels[last] >> b & 1 else -order[last]
    y = fresh(g.out)
    for j in range(1, n + 1):
        if j < n and not (levels[j] ^ levels[begin]) >> b & 1:
            continue
        if order[begin] != FALSE_LIT and order[j] != TRUE_LIT and order[begin] != order[j]:
            # order[begin] and not order[j] -> y is the run's bit
            m = 0
            if order[begin] != TRUE_LIT:
                lits[m] = -order[begin]
                m += 1
            if order[j] != FALSE_LIT:
                lits[m] = order[j]
                m += 1
            lits[m] = y if levels[begin] >> b & 1 else -y
            clause_of(g.out, lits, m + 1)
        begin = j
    return y
