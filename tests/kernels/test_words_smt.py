"""Word circuits against bit-vector operators, for every input at once: the kernel's clauses, and a term that must differ."""

import random

import bitwuzla
import numpy as np
import pytest
from bitwuzla import Kind
from clauses import clauses_of
from neurons import requantize_arguments

from qbitsat._kernels.cnf.layers import Encoder, Words
from qbitsat.arithmetic import ROUNDINGS, ShiftRequantizer
from qbitsat.certificate.bitblast import TRUE

# Wide enough for every sum and rounded sum here, in two's complement.
WIDTH = 40
WIDTHS = (8, 11, 13, 16)


class Bench:
    """An encoder's literals as Boolean terms, and natural numbers made of them as signed words of WIDTH bits."""

    def __init__(self, spans):
        self.encoder = Encoder()
        self.source = self.encoder.variables(np.array(spans, np.int64))
        self.manager = bitwuzla.TermManager()
        self.one_bit, self.wide = self.manager.mk_bv_sort(1), self.manager.mk_bv_sort(WIDTH)
        self.variables = {}

    def number(self, value):
        return self.manager.mk_bv_value(self.wide, value % (1 << WIDTH))

    def term(self, kind, *arguments):
        return self.manager.mk_term(kind, list(arguments))

    def literal(self, lit):
        if abs(lit) == TRUE:
            return self.manager.mk_true() if lit > 0 else self.manager.mk_false()
        if abs(lit) not in self.variables:
            self.variables[abs(lit)] = self.manager.mk_const(self.manager.mk_bool_sort(), f"v{abs(lit)}")
        term = self.variables[abs(lit)]
        return term if lit > 0 else self.term(Kind.NOT, term)

    def word(self, bits):
        total = self.number(0)
        for i, lit in enumerate(bits):
            total = self.term(Kind.BV_ADD, total, self.term(Kind.ITE, self.literal(lit), self.number(1 << i), self.number(0)))
        return total

    def total(self, weights):
        """The weighted sum of the source words."""
        total = self.number(0)
        for i, weight in enumerate(weights):
            product = self.term(Kind.BV_MUL, self.word(self.source.bits(i)), self.number(weight))
            total = self.term(Kind.BV_ADD, total, product)
        return total

    def dot(self, weights, balanced=True):
        """Keep the sum in the encoder; its smallest value and its span."""
        indices = np.arange(len(weights), dtype=np.int32)
        span = self.encoder.dot(self.source, indices, np.array(weights, np.int64), balanced)
        return sum(w * self.source.span(i) for i, w in enumerate(weights) if w < 0), span

    def always(self, condition):
        """Whether the condition holds under every assignment that satisfies the clauses."""
        options = bitwuzla.Options()
        solver = bitwuzla.Bitwuzla(self.manager, options)
        for clause in clauses_of(self.encoder.clauses):
            literals = [self.literal(lit) for lit in clause]
            solver.assert_formula(self.term(Kind.OR, *literals) if len(literals) > 1 else literals[0])
        # Clauses that nothing satisfies would prove anything.
        assert solver.check_sat() == bitwuzla.Result.SAT
        solver.assert_formula(self.term(Kind.NOT, condition))
        return solver.check_sat() == bitwuzla.Result.UNSAT

    def always_equal(self, a, b):
        return self.always(self.term(Kind.EQUAL, a, b))


def kept_sum(bench, base, span, width):
    """The encoder's kept sum, through a requantizer that changes nothing."""
    target = Words(1)
    bench.encoder.requantize(target, 0, base, 0, ROUNDINGS.index("floor"), -base, span, 0, 0)
    assert len(target.bits(0)) == width
    return bench.word(target.bits(0))


@pytest.mark.parametrize("width", WIDTHS)
def test_sum_of_two_words(width):
    bench = Bench([2**width - 1, 2**width - 1])
    base, span = bench.dot([1, 1])
    assert bench.always_equal(kept_sum(bench, base, span, width + 1), bench.total([1, 1]))


@pytest.mark.parametrize("width", WIDTHS)
def test_difference_of_two_words(width):
    bench = Bench([2**width - 1, 2**width - 3])
    base, span = bench.dot([1, -1])
    kept = bench.term(Kind.BV_ADD, kept_sum(bench, base, span, width + 1), bench.number(base))
    assert bench.always_equal(kept, bench.total([1, -1]))


@pytest.mark.parametrize("balanced", [True, False])
def test_sum_of_products(balanced):
    weights = [3, -5, 1]
    bench = Bench([255, 249, 128])
    base, span = bench.dot(weights, balanced)
    kept = bench.term(Kind.BV_ADD, kept_sum(bench, base, span, span.bit_length()), bench.number(base))
    assert bench.always_equal(kept, bench.total(weights))


@pytest.mark.parametrize("width", WIDTHS)
def test_constant_products(width):
    rng = random.Random(width)
    for factor in (2, 3, 7, 85, 127, *(rng.randint(9, 255) for _ in range(3))):
        bench = Bench([2**width - rng.choice([1, 2, 5])])
        base, span = bench.dot([factor])
        assert bench.always_equal(kept_sum(bench, base, span, span.bit_length()), bench.total([factor])), factor


@pytest.mark.parametrize("width", WIDTHS)
def test_scaled_difference(width):
    bench, target = Bench([2**width - 1, 2**width - 3]), Words(1)
    second = Words(2)
    for i in range(2):
        second.copy_from(i, bench.source, 1 - i)
    constant, span = -37, 2**width
    bench.encoder.difference(target, 0, bench.source, 0, 5, second, 0, 8, constant, span)
    exact = bench.term(Kind.BV_ADD, bench.total([5, -8]), bench.number(constant))
    inside = bench.term(Kind.AND, bench.term(Kind.BV_SGE, exact, bench.number(0)), bench.term(Kind.BV_SLE, exact, bench.number(span)))
    equal = bench.term(Kind.EQUAL, bench.word(target.bits(0)), exact)
    assert bench.always(bench.term(Kind.IMPLIES, inside, equal))


@pytest.mark.parametrize("width", WIDTHS)
def test_budgets(width):
    """Under the condition the sum keeps to the budget, and it keeps to nothing less."""
    bench, weights, budget = Bench([2**width - 1, 2**width - 2, 5, 1]), [3, 1, 77], 2**width + 41
    words = Words(3)
    for i in range(3):
        words.copy_from(i, bench.source, i)
    condition = bench.source.bits(3)[0]
    bench.encoder.at_most(words, np.array(weights, np.int64), budget, condition)
    holds, total = bench.literal(condition), bench.total(weights)
    assert bench.always(bench.term(Kind.IMPLIES, holds, bench.term(Kind.BV_SLE, total, bench.number(budget))))
    assert not bench.always(bench.term(Kind.IMPLIES, holds, bench.term(Kind.BV_SLT, total, bench.number(budget))))
    assert not bench.always(bench.term(Kind.BV_SLE, total, bench.number(budget)))


@pytest.mark.parametrize("width", WIDTHS)
def test_comparators(width):
    rng = random.Random(width)
    for bound in (1, 2**width - 1, 2 ** (width - 1), *(rng.randint(2, 2**width - 2) for _ in range(6))):
        bench = Bench([2**width - 1])
        bench.dot([1])
        reached = bench.literal(bench.encoder.at_least(bound))
        assert bench.always_equal(reached, bench.term(Kind.BV_SGE, bench.total([1]), bench.number(bound))), bound


def rounded(bench, acc, shift, rounding):
    """round(acc / 2**shift) by its definition: the quotient's floor, and one more where the rest says so."""
    floor = bench.term(Kind.BV_ASHR, acc, bench.number(shift))
    rest = bench.term(Kind.BV_SUB, acc, bench.term(Kind.BV_SHL, floor, bench.number(shift)))
    half, zero = bench.number(1 << (shift - 1)), bench.number(0)
    negative = bench.term(Kind.BV_SLT, acc, zero)
    odd = bench.term(Kind.EQUAL, bench.term(Kind.BV_AND, floor, bench.number(1)), bench.number(1))
    tie, above = bench.term(Kind.EQUAL, rest, half), bench.term(Kind.BV_SGT, rest, half)
    tie_goes_up = {"half_up": bench.manager.mk_true(), "half_away": bench.term(Kind.NOT, negative), "half_even": odd}
    if rounding == "floor":
        up = bench.manager.mk_false()
    elif rounding == "toward_zero":
        up = bench.term(Kind.AND, negative, bench.term(Kind.BV_SGT, rest, zero))
    else:
        up = bench.term(Kind.OR, above, bench.term(Kind.AND, tie, tie_goes_up[rounding]))
    return bench.term(Kind.BV_ADD, floor, bench.term(Kind.ITE, up, bench.number(1), zero))


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("shift", [1, 3, 6])
@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_rounded_and_saturated(rounding, shift, width):
    requantizer = ShiftRequantizer(shift, rounding, -40, 90, "saturate", 3)
    bench = Bench([2**width - 1])
    bench.dot([1])
    base = -(2 ** (width - 1)) - 5
    arguments = requantize_arguments(requantizer, base, base + 2**width - 1)
    target = Words(1)
    bench.encoder.requantize(target, 0, *arguments[:2], ROUNDINGS.index(arguments[2]), *arguments[3:])
    acc = bench.term(Kind.BV_ADD, bench.total([1]), bench.number(base))
    value = bench.term(Kind.BV_ADD, rounded(bench, acc, shift, rounding), bench.number(requantizer.offset))
    lo, hi = bench.number(requantizer.lo), bench.number(requantizer.hi)
    value = bench.term(Kind.ITE, bench.term(Kind.BV_SLT, value, lo), lo, value)
    value = bench.term(Kind.ITE, bench.term(Kind.BV_SGT, value, hi), hi, value)
    lowest = requantizer.image(base, base + 2**width - 1)[0]
    assert bench.always_equal(bench.term(Kind.BV_ADD, bench.word(target.bits(0)), bench.number(lowest)), value)


def test_proofs_can_fail():
    bench = Bench([255, 255])
    base, span = bench.dot([1, 1])
    assert not bench.always_equal(kept_sum(bench, base, span, 9), bench.total([1, 2]))
