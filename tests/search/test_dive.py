"""Dives: what they hand back violates in integers, whatever HiGHS says, and the relaxation leaves out no point."""

import random
import time

import numpy as np
import pytest
from enumerated import narrowed, space
from handmade import copying, query, y
from tiny import all_values, busy_query, check_search, truths

from qbitsat.bounds import propagate
from qbitsat.bounds.frame import NOWHERE
from qbitsat.bounds.ranges import Ranges
from qbitsat.limits import LimitReached, Limits
from qbitsat.options import make_options
from qbitsat.properties import AtMost
from qbitsat.properties.formula import without_not
from qbitsat.search import Search, dive, points, tree
from qbitsat.search.cases import Cases
from qbitsat.search.relaxation import FAR, Point, Relaxation
from qbitsat.verify import replay


def relaxation(asked):
    """The relaxation of a query, and its cases."""
    every = space(asked)
    cases = Cases(every.frame, without_not(asked.violation))
    return Relaxation(every.frame, cases.inequalities, np.ones(every.frame.num_neurons)), cases, every


def equal_steps(frame) -> bool:
    inner = [np.diff(row[1:-1][np.abs(row[1:-1]) < NOWHERE]) for block in frame.blocks for row in block.steps]
    return all(len(np.unique(lengths)) <= 1 for lengths in inner)


def relaxed_nodes():
    """Queries with a node that has something left and one or two of their inequalities; their relaxation, cases and space."""
    for seed in range(150):
        rng = random.Random(seed)
        asked = busy_query(rng)
        relaxed, cases, every = relaxation(asked)
        ranges = narrowed(rng, asked, every.frame, 1, 2)
        if ranges.propagate(every.frame, inputs=True).all() and cases.inequalities:
            atoms = rng.sample(range(len(cases.inequalities)), min(2, len(cases.inequalities)))
            yield asked, ranges, atoms, relaxed, cases, every


def test_relaxation_leaves_out_no_point():
    checked = 0
    for _, ranges, atoms, relaxed, cases, every in relaxed_nodes():
        inside = every.inside(ranges, 0)
        if not inside.any():
            continue
        best = max(
            min(cases.inequalities[a][2] - int(cases.inequalities[a][1] @ row[cases.inequalities[a][0]]) for a in atoms)
            for row in every.values[inside]
        )
        point = relaxed.solve(ranges, atoms, np.zeros(every.frame.num_neurons), 10.0)
        if best >= 0 or equal_steps(every.frame):
            checked += 1
            assert point is not None
            assert point.slack >= best - 1e-4
    assert checked > 70


def test_relaxation_is_the_same_after_other_nodes():
    """What one solve changes is set anew by the next."""
    for seed in range(40):
        rng = random.Random(seed)
        asked = busy_query(rng)
        relaxed, cases, every = relaxation(asked)
        if not cases.inequalities:
            continue
        zero = np.zeros(every.frame.num_neurons)
        nodes = narrowed(rng, asked, every.frame, 6, 2)
        left = np.flatnonzero(nodes.propagate(every.frame, inputs=True))
        atoms = list(range(min(1, len(cases.inequalities))))
        alone = [relaxation(asked)[0].solve(nodes.take(np.array([row])), atoms, zero, 10.0) for row in left]
        together = [relaxed.solve(nodes.take(np.array([row])), atoms, zero, 10.0) for row in left]
        for a, b in zip(alone, together, strict=True):
            slacks = [-1.0 if point is None else point.slack for point in (a, b)]
            assert slacks[0] == pytest.approx(slacks[1], abs=1e-5) or max(slacks) < 0.01


def dived(asked, **options):
    """What dives from the root of every case find."""
    search = Search(asked, propagate(asked), without_not(asked.violation), make_options(**options), Limits())
    search.start()
    while search.stack:
        nodes = search._pop()
        for row in range(len(nodes)):
            if search.cases.table[nodes.case[row]].waiting:
                search._push(search._case_parts(nodes, row))
                continue
            for _ in range(6):
                found = search.diver.dive(int(nodes.case[row]), nodes.ranges.take(np.array([row])))
                if found is not None:
                    return found
    return None


def test_dives_find_violations_and_nothing_else():
    found = violated = 0
    for seed in range(150):
        asked = busy_query(random.Random(seed))
        inputs = dived(asked)
        if inputs is not None:
            found += 1
            assert replay(asked, inputs) is not None
        violated += bool(truths(asked.violation, *all_values(asked.networks, asked.boxes)).any())
    assert violated >= found > 0.5 * violated


def garbage(rng: np.random.Generator, relaxed: Relaxation) -> Point:
    m, n = relaxed.frame.num_inputs, relaxed.frame.num_neurons
    scale = rng.choice([1.0, 10.0, 1e30])
    return Point(float(rng.random()), *(rng.normal(0, scale, size) for size in (m, n, n, n)))


LIES = {
    "nothing": lambda rng, relaxed, point: None,
    "garbage": lambda rng, relaxed, point: garbage(rng, relaxed),
    "slack": lambda rng, relaxed, point: None if point is None else point._replace(slack=FAR),
    "sometimes": lambda rng, relaxed, point: point if rng.random() < 0.5 else None,
}


def make_lie(monkeypatch, method: str, lie) -> list:
    """From now on that method of `Relaxation` answers with lies, and no points find witnesses; the list grows with every call."""
    tell, rng, calls = getattr(Relaxation, method), np.random.default_rng(1), []

    def lying(self, *args):
        calls.append(None)
        return lie(rng, self, tell(self, *args))

    monkeypatch.setattr(Relaxation, method, lying)
    monkeypatch.setattr(points, "propose", lambda *args: None)
    return calls


@pytest.mark.parametrize("lie", sorted(LIES))
def test_search_agrees_with_enumeration_whatever_highs_says(monkeypatch, lie):
    calls = make_lie(monkeypatch, "solve", LIES[lie])
    monkeypatch.setattr(tree, "DIVE_AFTER", 0)
    monkeypatch.setattr(tree, "DIVE_SHARE", np.inf)
    for seed in range(60):
        check_search(busy_query(random.Random(seed), 3), seed)
    assert len(calls) > 20


def test_search_dives_and_agrees_with_enumeration(monkeypatch):
    monkeypatch.setattr(points, "propose", lambda *args: None)
    monkeypatch.setattr(tree, "DIVE_AFTER", 0)
    monkeypatch.setattr(tree, "DIVE_SHARE", np.inf)
    for seed in range(200, 300):
        check_search(busy_query(random.Random(seed), 3), seed)


@pytest.mark.parametrize("answer", ["error", "infeasible", "nan"])
def test_relaxation_of_a_solver_that_fails_is_none(monkeypatch, answer):
    asked = query(copying(2), AtMost(((-1, y(0)),), -3))
    relaxed, _, every = relaxation(asked)
    ranges, zero = Ranges.of(propagate(asked)), np.zeros(every.frame.num_neurons)
    assert relaxed.solve(ranges, [0], zero, 10.0) is not None
    if answer == "nan":
        monkeypatch.setattr(relaxed.solver, "getSolution", lambda: Broken(), raising=False)
    else:
        monkeypatch.setattr(relaxed.solver, "run", lambda: None, raising=False)
        monkeypatch.setattr(relaxed.solver, "getModelStatus", lambda: answer, raising=False)
    assert relaxed.solve(ranges, [0], zero, 10.0) is None


class Broken:
    """A solution without numbers."""

    col_value = row_dual = col_dual = [np.nan] * 100


@pytest.mark.parametrize("name", ["PATIENCE", "CALL"])
def test_what_is_slow_ends_all_dives(monkeypatch, name):
    asked = query(copying(2), AtMost(((-1, y(0)),), -3))
    search = Search(asked, propagate(asked), asked.violation, make_options(), Limits())
    search.start()
    monkeypatch.setattr(dive, name, 0.0)
    search.diver.dive(0, search.root)
    assert not search.diver.able
    assert search.diver.dive(0, search.root) is None


def test_dives_keep_the_timeout():
    asked = query(copying(2), AtMost(((-1, y(0)),), -3))
    search = Search(asked, propagate(asked), asked.violation, make_options(), Limits(timeout=0.05))
    search.start()
    time.sleep(0.06)
    with pytest.raises(LimitReached):
        search.diver.dive(0, search.root)
