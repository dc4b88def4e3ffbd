"""Largest values: every engine against enumeration, intervals that limits leave, and what is refused."""

import threading

import numpy as np
import pytest
from handmade import copying, dense, tensor, whole_box
from maximized import check_maximum
from tiny import points_of

from qbitsat.arithmetic import ShiftRequantizer
from qbitsat.attack.climb import Point
from qbitsat.errors import InputError, UnsupportedError
from qbitsat.limits import LimitReached
from qbitsat.network import Network, forward_all
from qbitsat.optimize import EMPTY, OPTIMAL, UNKNOWN, maximize
from qbitsat.properties import And, AtMost, Box, Or, Query, Ref, accumulator, at_least, replay
from qbitsat.search import enumerate as enumerate_module
from qbitsat.search.ascent import Ascent
from qbitsat.search.schedule import UNCONFIRMED
from qbitsat.verify import Verdict

CLAMP = ShiftRequantizer(1, "floor", 0, 9)
NETWORK = Network((dense([[3, -2], [1, 1]], [1, -4], CLAMP, tensor(2)), dense([[1, -1]], None, CLAMP, tensor(2, 0, 9))), "inner")


def asked(assumption=And(())) -> Query:  # noqa: B008 (frozen)
    return Query((NETWORK,), (whole_box(NETWORK),), assumption)


@pytest.mark.parametrize("first", range(0, 240, 40))
def test_engines_agree_with_enumeration(first):
    verdicts = [check_maximum(seed, certify=seed % 5 == 0) for seed in range(first, first + 40)]
    assert {OPTIMAL, EMPTY} == set(verdicts)


def test_largest_accumulator_and_its_witness():
    terms, constant = accumulator(NETWORK, 1, 0)
    found = maximize(asked(), terms)
    assert (found.verdict, found.value + constant, found.upper, found.optimal) == (OPTIMAL, 8, 8, True)
    assert found.witness.outputs == ((4,),)
    least = maximize(asked(), [(-c, ref) for c, ref in terms])
    assert constant - least.value == -9


def test_an_assumption_of_the_same_sum_stays_as_it_is():
    """The bound of the objective rises; that of an inequality of the assumption which says the same must not."""
    sum_ = ((1, Ref(0, "value", 2)), (1, Ref(0, "output", 0)))
    for low in range(9):
        either = Or((at_least(sum_, low), AtMost(sum_, 3)))
        for engine in ("hybrid", "sat"):
            assert maximize(asked(either), sum_, engine=engine, attack=False, bounds=False).value == 13


def test_assumptions_that_nothing_meets():
    impossible = And((AtMost(((1, Ref(0, "value", 2)),), 3), at_least(((1, Ref(0, "output", 0)),), 4)))
    for engine in ("hybrid", "sat", "enumerate"):
        found = maximize(asked(impossible), ((1, Ref(0, "input", 0)),), engine=engine)
        assert (found.verdict, found.value, found.witness) == (EMPTY, None, None)


def test_objectives_of_nothing():
    assert maximize(asked(), ()).value == 0
    assert maximize(asked(), ((1, Ref(0, "output", 0)), (-1, Ref(0, "value", 4)))).value == 0


def test_a_limit_leaves_an_interval():
    network = copying(6)
    query = Query((network,), (whole_box(network),), And(()))
    cancel = threading.Event()
    cancel.set()
    found = maximize(query, [(1, Ref(0, "output", i)) for i in range(6)], cancel=cancel)
    assert (found.verdict, found.reason, found.value) == (UNKNOWN, "cancelled", None)


def test_what_no_time_is_left_to_replay_is_not_said(monkeypatch):
    def late(*_):
        raise LimitReached("timeout")

    monkeypatch.setattr("qbitsat.optimize.replay", late)
    found = maximize(asked(), ((1, Ref(0, "output", 0)),))
    assert (found.verdict, found.reason, found.value, found.witness) == (UNKNOWN, "timeout", None, None)
    assert found.upper >= 4


def test_what_was_replayed_before_stands_when_time_runs_out(monkeypatch):
    replays = []

    def once(*arguments):
        replays.append(arguments)
        if len(replays) > 1:
            raise LimitReached("timeout")
        return replay(*arguments)

    monkeypatch.setattr("qbitsat.optimize.replay", once)
    monkeypatch.setattr("qbitsat.optimize.climb", lambda *_: Point(((0, 0),), 0))
    found = maximize(asked(), ((1, Ref(0, "output", 0)),))
    assert (found.verdict, found.reason, found.value, found.witness.inputs) == (UNKNOWN, "timeout", 0, ((0, 0),))
    assert found.upper >= 4


def test_a_certificate_that_contradicts_the_search_is_no_optimum(monkeypatch):
    def lie(self):
        self.inputs, self.goal = ((0, 0),), AtMost(self.goal.terms, -1)
        self.upper = self.closed
        return ""

    objective = tuple((1, Ref(0, "input", k)) for k in range(2))
    best = maximize(asked(), objective, attack=False).value
    monkeypatch.setattr(Ascent, "climb", lie)
    options = {"attack": False, "engine": "hybrid"}
    assert maximize(asked(), objective, **options).value < best  # which nothing but a certificate would show
    found = maximize(asked(), objective, **options, certificates=True)
    assert (found.verdict, found.reason, found.upper) == (UNKNOWN, UNCONFIRMED, None)


def test_an_optimum_whose_certificates_have_no_time_says_so(monkeypatch):
    objective = tuple((1, Ref(0, "input", k)) for k in range(2))
    best = maximize(asked(), objective).value
    monkeypatch.setattr("qbitsat.optimize.verify", lambda *_, **__: Verdict(UNKNOWN, "timeout"))
    found = maximize(asked(), objective, certificates=True)
    assert (found.verdict, found.value, found.certificates, found.reason) == (OPTIMAL, best, (), "without certificates: timeout")


@pytest.mark.parametrize("engine", ["enumerate", "auto"])
def test_one_pass_over_many_blocks_finds_the_largest(engine, monkeypatch):
    """And the first inputs that have it; `auto` searches before, here for no time at all."""
    monkeypatch.setattr(enumerate_module, "MOST_POINTS", 16)
    monkeypatch.setattr(enumerate_module, "FEWEST_POINTS", 16)
    monkeypatch.setattr("qbitsat.optimize.AT_ONCE", 0)
    monkeypatch.setattr(Ascent, "climb", lambda self: "timeout")
    objective = ((1, Ref(0, "value", 2)), (-1, Ref(0, "value", 3)))
    points = points_of(whole_box(NETWORK))
    values = forward_all(NETWORK, points)
    score = values[:, 2] - values[:, 3]
    found = maximize(asked(), objective, engine=engine, attack=False)
    assert (found.verdict, found.value, found.upper) == (OPTIMAL, score.max(), score.max())
    assert found.witness.inputs == (tuple(points[score.argmax()].tolist()),)
    assert found.statistics["points"] == len(points)


def test_a_search_before_an_enumeration_ends_even_without_a_limit(monkeypatch):
    def wait(self):
        while True:
            self.limits.check()

    monkeypatch.setattr("qbitsat.optimize.AT_ONCE", 0)
    monkeypatch.setattr(Ascent, "climb", wait)
    found = maximize(asked(), ((1, Ref(0, "value", 2)),), attack=False)
    assert (found.verdict, found.value) == (OPTIMAL, 9)


def test_optima_are_neither_true_nor_false():
    with pytest.raises(TypeError, match=r"ask for \.optimal"):
        bool(maximize(asked(), ()))


@pytest.mark.parametrize(
    ("objective", "kind", "said"),
    [
        (3, InputError, "pairs"),
        (((0.5, Ref(0, "input", 0)),), InputError, "expected an integer everywhere"),
        (((1, Ref(0, "value", 5)),), InputError, "expected an index below 5"),
        (((1, Ref(1, "input", 0)),), InputError, "which does not exist"),
        ((((1 << 60) // 9 + 1, Ref(0, "value", 3)),), UnsupportedError, "beyond the exact range"),
    ],
)
def test_objectives_that_are_refused(objective, kind, said):
    with pytest.raises(kind, match=said):
        maximize(asked(), objective)


def test_queries_that_are_refused():
    with pytest.raises(InputError, match="expected one of"):
        maximize(asked(), (), engin="sat")
    with pytest.raises(InputError, match="expected a Query"):
        maximize(NETWORK, ())


def test_ends_of_the_exact_range():
    """Coefficients near 2**60: no sum on the way leaves 64 bits."""
    network, big = copying(2, 0, 1), (1 << 59) - 3
    query = Query((network,), (Box(np.zeros(2, int), np.ones(2, int)),), And(()))
    for engine in ("hybrid", "sat", "enumerate"):
        found = maximize(query, ((big, Ref(0, "output", 0)), (-big, Ref(0, "output", 1))), engine=engine)
        assert (found.verdict, found.value) == (OPTIMAL, big)
