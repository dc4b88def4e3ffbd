"""Queries that leave only the ends of inputs, against all points."""

import itertools
import random
import sys
from dataclasses import replace

import numpy as np
import pytest
from tiny import points_of, random_query

from qbitsat.arithmetic import ShiftRequantizer
from qbitsat.bounds import propagate, simplify
from qbitsat.bounds.ends import Ends, at_ends
from qbitsat.bounds.reduction import Reduction, reduced
from qbitsat.errors import UnsupportedError
from qbitsat.network import Dense, Network, TensorFormat, forward
from qbitsat.properties import And, AtMost, Box, Or, Query, Ref
from qbitsat.properties.formula import FALSE, INPUT, OUTPUT, TRUE, is_true
from qbitsat.verify import verify

NUM_INPUTS, TOP = 3, 4


def clauses_query(rng: random.Random, hollow: bool = True) -> Query:
    """Output 0 is the sum of min(x - lo, lo + TOP - x), and two more are of random sums; input 1 may have two values, input 2 one."""
    lo, n = rng.randint(-3, 3), NUM_INPUTS
    form, hidden = TensorFormat((n,), lo, lo + TOP, zero_point=rng.choice((0, lo, 7))), TensorFormat((2 * n + 2,), 0, 99)
    weights = np.concatenate([np.eye(n, dtype=int), 2 * np.eye(n, dtype=int), np.array([[rng.randint(-3, 3) for _ in range(n)]] * 2)])
    bias = np.array([-lo] * n + [-2 * lo - TOP] * n + [rng.randint(-9, 9)] * 2) + form.zero_point * weights.sum(axis=1)
    sums = np.array([[1] * n + [-1] * n + [0, 0], *([rng.randint(-2, 2) for _ in range(2 * n + 2)] for _ in range(2))])
    layers = tuple(
        Dense(name, a, b, (ShiftRequantizer(0, "floor", b.lo, b.hi),), w, c)
        for name, a, b, w, c in (
            ("a", form, hidden, weights, bias),
            ("b", hidden, TensorFormat((3,), -999, 999), sums, np.array([0, rng.randint(-9, 9), 0])),
        )
    )
    end = np.array([TOP, rng.choice((1, TOP)), rng.choice((0, TOP))])
    box = Box(np.full(n, lo), lo + end)
    away = [AtMost(((1, Ref(0, OUTPUT, 0)),), 0 if hollow else 1)]
    parts = [And((*away, *(atom(rng) for _ in range(rng.randint(1, 2))))) for _ in range(rng.randint(1, 2))]
    return Query((Network(layers, "clauses"),), (box,), Or(tuple(parts)) if len(parts) > 1 else parts[0])


def atom(rng: random.Random) -> AtMost:
    refs = rng.sample([Ref(0, INPUT, i) for i in range(NUM_INPUTS)] + [Ref(0, OUTPUT, i) for i in range(3)], 2)
    return AtMost(tuple((rng.choice((-2, -1, 1, 2)), ref) for ref in refs), rng.randint(-12, 12))


def true_points(query: Query, formula) -> set:
    """Inputs of all networks at which a formula is true."""
    found = set()
    for inputs in itertools.product(*(points_of(box).tolist() for box in query.boxes)):
        outputs = [forward(network, np.array([x]))[0].tolist() for network, x in zip(query.networks, inputs, strict=True)]
        if is_true(formula, inputs, outputs):
            found.add(tuple(map(tuple, inputs)))
    return found


def left_of(query: Query) -> Reduction | None:
    bounds = propagate(query)
    formula = simplify(query, bounds)
    return None if formula in (TRUE, FALSE) else reduced(query, bounds, formula)


def check(left: Reduction) -> bool:
    """Whether there is a query over bits; its true points must be those of what it stands for."""
    ends = at_ends(left)
    if ends is not None:
        bits = ends.bits
        assert all((box.lo >= 0).all() and (box.hi <= 1).all() for box in bits.query.boxes)
        expected = true_points(left.query, left.formula)
        assert {ends.inputs(x) for x in true_points(bits.query, bits.formula)} == expected
    return ends is not None


@pytest.mark.parametrize("first", range(0, 120, 20))
def test_ends_are_all_that_is_left(first):
    found = []
    for seed in range(first, first + 20):
        query = clauses_query(random.Random(seed))
        left = left_of(query)
        found.append(left is not None and check(left))
        verdict = verify(query, attack=False, enumerate_bits=seed % 2 * 20)
        assert verdict.violated == bool(true_points(query, query.violation))
        assert not verdict.unknown
    assert sum(found) > 5


def test_no_bits_where_something_may_be_between():
    query = clauses_query(random.Random(1))
    lo = query.boxes[0].lo
    for bound, found in ((0, True), (1, False)):
        asked = Query(query.networks, (Box(lo, lo + TOP),), AtMost(((1, Ref(0, OUTPUT, 0)),), bound))
        left = left_of(asked)
        assert left is not None
        assert check(left) == found
    for seed in range(20):
        left = left_of(clauses_query(random.Random(seed), hollow=False))
        if left is not None:
            check(left)


def test_random_queries():
    for seed in range(400):
        left = left_of(random_query(random.Random(seed)))
        if left is not None:
            check(left)


def test_weights_over_bits_that_are_no_words_are_left_alone():
    top, n, words = 65535, 2, TensorFormat((5,), 0, 1 << 30)
    form, sums = TensorFormat((n,), 0, top), TensorFormat((2,), -(1 << 30), 1 << 30)
    for weight, found in ((1 << 14, True), (1 << 20, False)):
        hidden = np.concatenate([np.eye(n, dtype=int), 2 * np.eye(n, dtype=int), np.full((1, n), weight)])
        bias = np.array([0] * n + [-top] * n + [-weight * top - 5])
        first = Dense("a", form, words, (ShiftRequantizer(0, "floor", 0, 1 << 30),), hidden, bias)
        last = Dense("b", words, sums, (sums.requantizer(0, "floor"),), np.array([[1, 1, -1, -1, 0], [0, 0, 0, 0, 1]]), np.zeros(2, int))
        asked = And((AtMost(((1, Ref(0, OUTPUT, 0)),), 0), AtMost(((-1, Ref(0, OUTPUT, 1)),), -1)))
        query = Query((Network((first, last), "wide"),), (Box(np.zeros(n, int), np.full(n, top)),), asked)
        left = left_of(query)
        assert left is not None
        assert (at_ends(left) is not None) == found
        assert verify(query, attack=False).violated


def test_satrelu_on_a_fine_grid(bench_data):
    from qbitsat.properties.vnnlib import Question, bind, read

    for name in ("unsat_v24_c59", "sat_v22_c103", "unsat_v36_c128"):
        path = bench_data / "satrelu" / name
        query = Question(bind(read(f"{path}.vnnlib"), {"": f"{path}.onnx"}, grid=256)).query
        verdict = verify(query, timeout=120, attack=False)
        assert (verdict.violated, verdict.holds) == (name.startswith("sat"), name.startswith("unsat"))


def test_inequalities_that_are_many_are_not_looked_at():
    query = clauses_query(random.Random(1))
    lo, away = query.boxes[0].lo, AtMost(((1, Ref(0, OUTPUT, 0)),), 0)
    more = tuple(AtMost(((1, Ref(0, INPUT, 0)), (k, Ref(0, INPUT, 1))), int(lo[0] + k * lo[1]) + 2) for k in range(1, 301))
    asked = Query(query.networks, (Box(lo, lo + TOP),), And((away, *more)))
    for number, found in ((10, True), (301, False)):
        left = left_of(replace(asked, violation=And(asked.violation.parts[:number])))
        assert left is not None
        assert check(left) == found


@pytest.mark.filterwarnings("ignore:.*inputs that the reference does not confirm:RuntimeWarning")
def test_what_goes_wrong_over_bits_leaves_the_query_to_the_others(monkeypatch):
    """A witness that is another point, and a query over bits that nobody can work on: see `verify`."""
    asked, wrong = 0, 0
    for seed in range(60):
        query = clauses_query(random.Random(seed))
        left = left_of(query)
        ends = None if left is None else at_ends(left)
        if ends is None:
            continue
        truth = bool(true_points(query, query.violation))
        monkeypatch.setattr(Ends, "inputs", lambda self, bits: tuple(tuple(box.lo.tolist()) for box in self.whole.query.boxes))
        verdict = verify(query, attack=False, engine="auto", seed=seed)
        assert (verdict.violated, verdict.holds) == (truth, not truth)
        wrong += verdict.statistics.get("unconfirmed", 0)
        monkeypatch.undo()
        with monkeypatch.context() as patched:
            patched.setattr(sys.modules["qbitsat.verify"], "_decide_automatically", refusing(ends))
            verdict = verify(query, attack=False, engine="auto", seed=seed)
        assert (verdict.violated, verdict.holds) == (truth, not truth)
        asked += 1
    assert asked > 10
    assert wrong > 0


def refusing(ends):
    decide, forms = sys.modules["qbitsat.verify"]._decide_automatically, [network.sha256 for network in ends.bits.query.networks]

    def refused(left, *others):
        if [network.sha256 for network in left.query.networks] == forms:
            raise UnsupportedError("no bits")
        return decide(left, *others)

    return refused
