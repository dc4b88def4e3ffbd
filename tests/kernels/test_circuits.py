"""Word circuits exhausted: every input of small dot products and requantizers, under unit propagation alone."""

import itertools
import random

import numpy as np
import pytest
from clauses import clauses_of
from neurons import random_neuron, requantize_arguments
from pysat.solvers import Solver

from qbitsat._kernels.cnf.layers import Encoder, Words
from qbitsat.arithmetic import ROUNDINGS, ShiftRequantizer
from qbitsat.certificate.bitblast import TRUE


def value(bits, true):
    return sum((lit == TRUE or lit in true) << i for i, lit in enumerate(bits))


def assumptions(bits, number):
    return [lit if number >> i & 1 else -lit for i, lit in enumerate(bits)]


def check_neuron(spans, weights, base, requantizer, balanced):
    """Every input propagates to the exact sum and output; every number above a span is refused."""
    encoder, target = Encoder(), Words(1)
    source = encoder.variables(np.array(spans, np.int64))
    span = encoder.dot(source, np.arange(len(spans), dtype=np.int32), np.array(weights, np.int64), balanced)
    smallest = sum(w * s for w, s in zip(weights, spans, strict=True) if w < 0)
    base += smallest
    arguments = requantize_arguments(requantizer, base, base + span)
    encoder.requantize(target, 0, *arguments[:2], ROUNDINGS.index(arguments[2]), *arguments[3:])
    y_lo = requantizer.image(base, base + span)[0]
    thresholds = {bound: encoder.at_least(bound) for bound in (-1, 0, 1, span // 2, span, span + 1)}
    with Solver(name="glucose4", bootstrap_with=clauses_of(encoder.clauses)) as solver:
        for x in itertools.product(*(range(2 ** len(source.bits(j))) for j in range(len(spans)))):
            assumed = [lit for j, number in enumerate(x) for lit in assumptions(source.bits(j), number)]
            consistent, implied = solver.propagate(assumed)
            assert consistent == all(number <= s for number, s in zip(x, spans, strict=True))
            if consistent:
                true = {*implied, *assumed, TRUE}
                acc = base - smallest + sum(w * number for w, number in zip(weights, x, strict=True))
                assert value(target.bits(0), true) + y_lo == requantizer.apply(acc)
                for bound, lit in thresholds.items():
                    assert (lit in true) == (acc - base >= bound)


@pytest.mark.parametrize("balanced", [True, False])
def test_random_neurons(balanced):
    rng = random.Random(4)
    for _ in range(150):
        spans, weights, base, requantizer = random_neuron(rng)
        check_neuron([min(s, 7) for s in spans[:3]], [w % 41 - 20 or 3 for w in weights[:3]], base % 200 - 100, requantizer, balanced)


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("overflow", ["saturate", "wrap"])
def test_one_input_every_shift_and_clamp(rounding, overflow):
    for shift, offset, lo in itertools.product(range(-1, 6), (-3, 0, 2), (-4, 0)):
        for base, weight in ((0, 1), (-31, 1), (-63, 2), (20, -3)):
            check_neuron([63], [weight], base, ShiftRequantizer(shift, rounding, lo, lo + 7, overflow, offset), True)


def test_constant_products_every_factor():
    for factor in range(1, 300):
        encoder = Encoder()
        source = encoder.variables(np.array([5], np.int64))
        span = encoder.dot(source, np.zeros(1, np.int32), np.array([factor], np.int64), True)
        assert span == 5 * factor
        with Solver(name="glucose4", bootstrap_with=clauses_of(encoder.clauses)) as solver:
            for x in range(6):
                reached = [bound for bound in (factor * x, factor * x + 1) if holds(solver, encoder, source, x, bound)]
                assert reached == [factor * x]


def holds(solver, encoder, source, x, bound):
    """Whether the kept sum reaches bound when the input is x; clauses of the new comparator are added first."""
    before = len(clauses_of(encoder.clauses))
    lit = encoder.at_least(bound)
    for clause in clauses_of(encoder.clauses)[before:]:
        solver.add_clause(clause)
    _, implied = solver.propagate(assumptions(source.bits(0), x))
    return lit == TRUE or lit in implied or lit in assumptions(source.bits(0), x)


def test_at_most_random():
    """Under the condition exactly the sums up to the budget are possible; without it everything is."""
    rng = random.Random(5)
    for _ in range(150):
        spans = [rng.choice([1, 2, 3, 5, 7]) for _ in range(rng.randint(1, 3))]
        weights = [rng.choice([-1, 1]) * rng.randint(1, 1 << rng.randint(1, 6)) for _ in spans]
        budget = rng.randint(0, sum(abs(w) * s for w, s in zip(weights, spans, strict=True)))
        encoder = Encoder()
        source = encoder.variables(np.array([*spans, 1], np.int64))
        words = Words(len(spans))
        for i in range(len(spans)):
            words.copy_from(i, source, i)
        condition = source.bits(len(spans))[0]
        encoder.at_most(words, np.array(weights, np.int64), budget, condition)
        with Solver(name="glucose4", bootstrap_with=clauses_of(encoder.clauses)) as solver:
            for x in itertools.product(*(range(span + 1) for span in spans)):
                total = sum(w * v if w > 0 else -w * (s - v) for w, v, s in zip(weights, x, spans, strict=True))
                assumed = [lit for j, number in enumerate(x) for lit in assumptions(source.bits(j), number)]
                assert solver.propagate([*assumed, condition])[0] == (total <= budget)
                assert solver.propagate([*assumed, -condition])[0]


def test_difference_random():
    """Where the difference lies in its range, its word is exact."""
    rng = random.Random(6)
    for _ in range(100):
        spans, factors = [rng.choice([1, 3, 6, 7]) for _ in range(2)], [rng.randint(0, 9) for _ in range(2)]
        constant, span = rng.randint(-20, 20), rng.randint(1, 60)
        encoder, target = Encoder(), Words(1)
        first, second = (encoder.variables(np.array([s], np.int64)) for s in spans)
        encoder.difference(target, 0, first, 0, factors[0], second, 0, factors[1], constant, span)
        with Solver(name="glucose4", bootstrap_with=clauses_of(encoder.clauses)) as solver:
            for x, y in itertools.product(range(spans[0] + 1), range(spans[1] + 1)):
                expected = factors[0] * x - factors[1] * y + constant
                assumed = assumptions(first.bits(0), x) + assumptions(second.bits(0), y)
                consistent, implied = solver.propagate(assumed)
                assert consistent
                if 0 <= expected <= span:
                    assert value(target.bits(0), {*implied, *assumed, TRUE}) == expected
        assert target.span(0) == span


def test_at_most_refuses_what_does_not_fit():
    encoder = Encoder()
    words = encoder.variables(np.array([1, (1 << 40) - 1], np.int64))
    for weights, budget in (([1], 1), ([1, 1], -1), ([1, 1], 1 << 60), ([0, 1], 1), ([1, 1 << 30], 1)):
        with pytest.raises(ValueError, match=r"weight|term"):
            encoder.at_most(words, np.array(weights, np.int64), budget, 1)


def test_difference_refuses_what_does_not_fit():
    encoder = Encoder()
    words = encoder.variables(np.array([(1 << 40) - 1], np.int64))
    for factor, span in ((-1, 1), (1 << 30, 1), (1, -1), (1, 1 << 61)):
        with pytest.raises(ValueError, match=r"factor|span"):
            encoder.difference(Words(1), 0, words, 0, factor, words, 0, 1, 0, span)


def test_dot_refuses_what_does_not_fit():
    encoder = Encoder()
    source = encoder.variables(np.array([1, (1 << 40) - 1], np.int64))
    for indices, weights in (([2], [1]), ([-1], [1]), ([0], [0]), ([1], [1 << 30]), ([0, 1], [1])):
        with pytest.raises(ValueError, match=r"term|sum|differ"):
            encoder.dot(source, np.array(indices, np.int32), np.array(weights, np.int64), True)
    for span in (-1, 1 << 60):
        with pytest.raises(ValueError, match="span"):
            encoder.variables(np.array([span], np.int64))


@pytest.mark.parametrize(("shift", "rounding", "levels"), [(62, 0, 1), (0, 5, 1), (0, 0, -1), (40, 0, 1 << 30), (0, 0, 1 << 32)])
def test_requantize_refuses_what_does_not_fit(shift, rounding, levels):
    with pytest.raises(ValueError, match="requantize"):
        Encoder().requantize(Words(1), 0, 0, shift, rounding, 0, levels, 0, 0)
