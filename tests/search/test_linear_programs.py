"""Multipliers of linear programs: as good as HiGHS's own optimum, and no verdict depends on what it says."""

import random
from types import SimpleNamespace

import numpy as np
import pytest
from handmade import copying, query, y
from test_relaxation import equal_steps, relaxation, relaxed_nodes
from test_shared import digits_query
from tiny import busy_query, check_search

from qbitsat.bounds import propagate
from qbitsat.bounds.ascent import Ascender
from qbitsat.bounds.frame import Frame
from qbitsat.bounds.ranges import Ranges
from qbitsat.limits import Limits
from qbitsat.options import make_options
from qbitsat.properties import AtMost
from qbitsat.properties.formula import without_not
from qbitsat.search import Search, points
from qbitsat.search import linear_programs as programs
from qbitsat.search.relaxation import Duals, Relaxation


def dual_value(asked, cases, ranges, atoms, duals) -> float:
    """The dual value at given multipliers, in float32."""
    frame = Frame(asked)
    ascender = Ascender(frame, frame.blocks, cases.inequalities, Ranges.of(propagate(asked)))
    shares = np.array([[duals.shares[atom] for atom in atoms]])
    suggestion = ascender.run(ranges, np.array([atoms], np.int32), np.zeros(1, bool), duals.multipliers[None], shares, 1)
    return float(suggestion.value[0])


def test_duals_attain_the_optimum():
    checked = 0
    for asked, ranges, atoms, relaxed, cases, every in relaxed_nodes():
        duals = relaxed.duals(ranges, atoms, None, 10.0) if equal_steps(every.frame) else None
        if duals is None or duals.empty:
            continue
        slack = -relaxed.solver.getInfo().objective_function_value
        assert (duals.shares >= 0).all()
        assert dual_value(asked, cases, ranges, atoms, duals) <= slack + 1e-3 * (1 + abs(slack))
        checked += 1
    assert checked > 40


def make_lie(monkeypatch, lie) -> list:
    """From now on HiGHS's multipliers are lies, and no points find witnesses; the list grows with every call."""
    tell, rng, calls = Relaxation.duals, np.random.default_rng(1), []

    def lying(self, *args):
        calls.append(None)
        return lie(rng, self, tell(self, *args))

    monkeypatch.setattr(Relaxation, "duals", lying)
    monkeypatch.setattr(points, "propose", lambda *args: None)
    return calls


def garbage(rng: np.random.Generator, relaxed: Relaxation) -> Duals:
    scale = rng.choice([1.0, 1e9, 1e29, np.nan])
    n = relaxed.frame.num_neurons
    return Duals(rng.normal(0, 1, n) * scale, np.abs(rng.normal(0, 1, len(relaxed.inequalities))), bool(rng.random() < 0.5))


LIES = {
    "nothing": lambda rng, relaxed, duals: None,
    "garbage": lambda rng, relaxed, duals: garbage(rng, relaxed),
    "turned": lambda rng, relaxed, duals: duals and duals._replace(multipliers=-duals.multipliers),
    "zero": lambda rng, relaxed, duals: duals and duals._replace(multipliers=0 * duals.multipliers),
    "empty": lambda rng, relaxed, duals: duals and duals._replace(empty=True),
    "truth": lambda rng, relaxed, duals: duals,
}


@pytest.mark.parametrize("lie", sorted(LIES))
def test_search_agrees_with_enumeration_whatever_programs_say(monkeypatch, lie):
    calls = make_lie(monkeypatch, LIES[lie])
    for name, value in (("AFTER", 0), ("SHARE", np.inf), ("SPLITS", 0), ("FEWEST", 0), ("MOST", 0)):
        monkeypatch.setattr(programs, name, value)
    for seed in range(60):
        check_search(busy_query(random.Random(seed), 3), seed)
    assert len(calls) > 50


def test_programs_close_what_the_ascent_leaves_open(monkeypatch):
    for name, value in (("AFTER", 0), ("SHARE", np.inf), ("SPLITS", 2), ("MOST", 2)):
        monkeypatch.setattr(programs, name, value)
    asked, nodes = digits_query(14), []
    for asked_for in (False, True):
        options = make_options(programs=asked_for, walks=False, points=False, steps=20, polish=0)
        search = Search(asked, propagate(asked), without_not(asked.violation), options, Limits())
        assert search.run() is None
        nodes.append(search.counts["nodes"])
    assert nodes[1] < 0.5 * nodes[0]


@pytest.mark.parametrize("answer", ["error", "no ray", "nan"])
def test_duals_of_a_solver_that_fails_are_none(monkeypatch, answer):
    asked = query(copying(2), AtMost(((-1, y(0)),), -3))
    relaxed, _, _ = relaxation(asked)
    ranges = Ranges.of(propagate(asked))
    assert relaxed.duals(ranges, [0], None, 10.0) is not None
    if answer == "nan":
        rows = len(relaxed.solver.getSolution().row_dual)
        monkeypatch.setattr(relaxed.solver, "getSolution", lambda: SimpleNamespace(row_dual=[np.nan] * rows), raising=False)
    else:
        monkeypatch.setattr(relaxed.solver, "run", lambda: None, raising=False)
        status = "error" if answer == "error" else relaxed.infeasible
        monkeypatch.setattr(relaxed.solver, "getModelStatus", lambda: status, raising=False)
        monkeypatch.setattr(relaxed.solver, "getDualRay", lambda: (None, False, None), raising=False)
    assert relaxed.duals(ranges, [0], None, 10.0) is None


def test_what_is_slow_ends_all_programs(monkeypatch):
    asked = query(copying(2), AtMost(((-1, y(0)),), -3))
    search = Search(asked, propagate(asked), asked.violation, make_options(), Limits())
    search.start()
    monkeypatch.setattr(programs, "PATIENCE", 0.0)
    nodes = search.stack[-1]
    nodes.multipliers[:] = 1
    search.programs.solve(nodes, 0)
    assert not search.programs.able
    assert search.programs.solve(nodes, 0) is None
