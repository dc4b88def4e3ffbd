"""Searches on random graphs agree with enumeration; every suggestion has a turn from the first node on."""

import random

import numpy as np
import pytest
from graphs import graph_query
from test_linear_programs import Solved
from tiny import check_search

from qbitsat.attack.annealing import Annealer
from qbitsat.attack.rounding import RoundingHeuristic
from qbitsat.bounds import propagate
from qbitsat.bounds.dual_descent import DualDescent
from qbitsat.bounds.layout import Layout
from qbitsat.properties.formula import without_not
from qbitsat.search import linear_programs, schedule
from qbitsat.search.disjuncts import Disjuncts
from qbitsat.search.linear_programs import LinearPrograms


def graphs(count: int, first: int = 0):
    for seed in range(first, first + count):
        yield seed, graph_query(random.Random(seed), most=3)


def counted(monkeypatch, kind: type, name: str) -> list:
    """What a method returns from now on."""
    original, results = getattr(kind, name), []

    def spy(*arguments):
        results.append(original(*arguments))
        return results[-1]

    monkeypatch.setattr(kind, name, spy)
    return results


@pytest.mark.parametrize("first", range(0, 90, 30))
def test_searches_of_graphs_agree_with_enumeration(first):
    for seed, asked in graphs(30, first):
        check_search(asked, seed, timeout=20)


def test_points_and_programs_of_graphs_agree_with_enumeration(monkeypatch):
    """Linear programs from the first node on: some prove nodes empty, and relaxed points find witnesses."""
    monkeypatch.setattr(linear_programs, "AFTER", 0)
    proposed, emptied = counted(monkeypatch, RoundingHeuristic, "propose"), counted(monkeypatch, LinearPrograms, "solve")
    for seed, asked in graphs(40, 100):
        check_search(asked, seed, timeout=20)
    assert sum(found is not None for found in proposed) > 3
    assert sum(map(len, emptied)) > 0


def test_walks_of_graphs_agree_with_enumeration(monkeypatch):
    """Walks from the first node on, and no other witnesses: they find some."""
    monkeypatch.setattr(RoundingHeuristic, "propose", lambda *_: None)
    monkeypatch.setattr(schedule, "ANNEAL_AFTER", 0)
    monkeypatch.setattr(schedule, "ANNEAL_SHARE", 0.5)
    walked = counted(monkeypatch, Annealer, "anneal")
    for seed, asked in graphs(40, 100):
        check_search(asked, seed, timeout=20)
    assert sum(found is not None for found in walked) > 0


def test_programs_of_graphs_end_at_the_value_of_their_multipliers():
    """At most what a descent comes to; and the descent says the same of the program's multipliers."""
    checked = 0
    for seed, asked in graphs(120, 200):
        disjuncts, ranges = Disjuncts(layout := Layout(asked.networks), without_not(asked.violation)), propagate(asked)
        if not disjuncts.inequalities or not layout.stepped or not ranges.propagate(layout, inputs=True).all():
            continue
        descent = DualDescent(layout, layout.blocks, disjuncts.inequalities, ranges)
        atom = np.array([[random.Random(seed).randrange(len(disjuncts.inequalities))]], np.int32)
        n, one = layout.num_neurons, np.ones((1, 1))
        value, multipliers, shares, *_ = Solved(layout, disjuncts.inequalities, ranges, most=1).run(ranges, atom[0])
        if not 0 < value < np.inf:
            continue
        same = descent.run(ranges, atom, np.zeros(1), multipliers[None], shares[None], 1)
        assert same.dual[0] == pytest.approx(value, rel=1e-3, abs=1e-2)
        best = descent.run(ranges, atom, np.ones(1), np.zeros((1, n)), one, 100)
        assert value <= best.dual[0] + 1e-3 * (1 + abs(best.dual[0]))
        checked += 1
    assert checked > 30
