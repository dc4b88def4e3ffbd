"""Facts about accumulators: true of every point, and proved by the multipliers that they carry."""

import random

import numpy as np
import pytest
from enumerated import space
from graphs import graph_query
from handmade import dense, query, tensor
from suggested import all_of
from tiny import busy_query, deep_query

from qbitsat.arithmetic import ShiftRequantizer
from qbitsat.bounds import propagate
from qbitsat.bounds import tighten as tighten_module
from qbitsat.bounds.dual import upper_bound
from qbitsat.bounds.dual_descent import DualDescent
from qbitsat.bounds.layout import Layout
from qbitsat.bounds.ranges import Ranges
from qbitsat.bounds.tighten import tighten
from qbitsat.network import Network
from qbitsat.properties.formula import TRUE

NAMES = ("lo", "hi", "acc_lo", "acc_hi")


def replayed(layout: Layout, ranges: Ranges, facts) -> None:
    """Narrow the ranges by the facts, layer by layer, each recomputed from its multipliers alone."""
    for block in layout.blocks:
        mine = [fact for fact in facts if block.neurons.start <= fact.neuron < block.neurons.stop]
        for neuron, side, bound, scale, multipliers in mine:
            values, weights, bias = layout.row(block, neuron - block.neurons.start)
            objective = np.zeros(layout.num_values, np.int64)
            objective[values] = side * scale * weights
            most = upper_bound(layout, ranges, 0, objective, all_of(multipliers, layout.num_neurons))
            assert bound == most // scale + side * bias
        for fact in mine:
            if fact.side > 0:
                ranges.acc_hi[0, fact.neuron] = min(ranges.acc_hi[0, fact.neuron], fact.bound)
            else:
                ranges.acc_lo[0, fact.neuron] = max(ranges.acc_lo[0, fact.neuron], -fact.bound)
        assert ranges.propagate(layout).all()


def check_facts(asked) -> int:
    """Hold facts against every point and against their own multipliers; return their number."""
    points = space(asked)
    root, ranges = propagate(asked), propagate(asked)
    facts = tighten(points.layout, ranges, 20)
    for fact in facts:
        assert (fact.side * points.accs[:, fact.neuron]).max() <= fact.bound
    assert points.inside(ranges, 0).all()
    replayed(points.layout, root, facts)
    for name in NAMES:
        assert getattr(ranges, name).tolist() == getattr(root, name).tolist()
    return len(facts)


def test_facts_hold_on_every_point_and_are_what_their_multipliers_prove():
    assert sum(check_facts(deep_query(random.Random(seed))) for seed in range(100)) > 30


def test_facts_of_several_networks():
    assert sum(check_facts(busy_query(random.Random(seed))) for seed in range(100)) > 10


def test_facts_of_graphs():
    """Residual reads, padding, values read twice, and requantizers of every kind."""
    found = 0
    for seed in range(150):
        asked = graph_query(random.Random(seed))
        found += check_facts(asked)
    assert found > 30


def cancelling(steps: int) -> tuple[Ranges, list]:
    """acc = y0 - y1 of two equal neurons, which intervals take for anything from -15 to 15."""
    first = dense([[1, 1], [1, 1]], None, ShiftRequantizer(1, "floor", 0, 15))
    last = dense([[1, -1]], None, ShiftRequantizer(0, "floor", -15, 15), first.output)
    asked = query(Network((first, last)), TRUE)
    ranges = propagate(asked)
    return ranges, tighten(Layout(asked.networks), ranges, steps)


def test_tighten_sees_what_cancels():
    ranges, facts = cancelling(40)
    assert [(fact.neuron, fact.side, fact.bound) for fact in facts] == [(2, 1, 0), (2, -1, 0)]
    assert (ranges.acc_lo[0].tolist(), ranges.acc_hi[0].tolist()) == ([0, 0, 0], [30, 30, 0])
    assert (ranges.lo[0, -1], ranges.hi[0, -1]) == (0, 0)


def test_tighten_says_nothing_of_first_layers():
    asked = query(Network((dense([[1, -1]], None, ShiftRequantizer(0, "floor", 0, 15)),)), TRUE)
    assert tighten(Layout(asked.networks), propagate(asked), 20) == []


def test_tighten_none_when_nothing_is_left():
    first = dense([[1]], None, ShiftRequantizer(0, "floor", 0, 15), tensor(1))
    asked = query(Network((first, dense([[1]], None, ShiftRequantizer(0, "floor", 0, 15), first.output))), TRUE)
    ranges = propagate(asked)
    ranges.lo[0, 1], ranges.acc_hi[0, 0] = 9, 5
    assert tighten(Layout(asked.networks), ranges, 20) is None


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf, 1e30, 0.0, -1.0])
def test_tighten_survives_any_suggestion(monkeypatch, number):
    run = DualDescent.run

    def lie(self, *arguments, **named):
        found = run(self, *arguments, **named)
        return found._replace(multipliers=np.full_like(found.multipliers, number), dual=np.full_like(found.dual, min(number, 0)))

    monkeypatch.setattr(DualDescent, "run", lie)
    for seed in range(20):
        check_facts(deep_query(random.Random(seed)))


@pytest.mark.parametrize("work", [0, 1 << 17, 1 << 19, 1 << 21])
def test_layers_share_what_work_there_is(monkeypatch, work):
    """With less of it fewer facts or weaker ones, and all of them true."""
    monkeypatch.setattr(tighten_module, "WORK", work)
    found = sum(check_facts(graph_query(random.Random(seed))) for seed in range(60))
    assert (found > 0) == (work > 0)


@pytest.mark.parametrize("kept", [0, 1, 100])
def test_facts_whose_multipliers_are_kept_take_no_more_memory_than_they_may(monkeypatch, kept):
    """But for the last ones, and these are what may be found together."""
    monkeypatch.setattr(tighten_module, "KEPT", kept)
    monkeypatch.setattr(tighten_module, "TOGETHER", 1)
    several = 0
    for seed in range(40):
        asked = graph_query(random.Random(seed))
        layout, ranges = Layout(asked.networks), propagate(asked)
        facts = tighten(layout, ranges, 20) or []
        assert sum(fact.multipliers.nbytes for fact in facts[:-1]) < max(kept, 1)
        several += len(facts) > 1
        assert all(fact.multipliers is None for fact in tighten(layout, propagate(asked), 20, kept=False) or [])
    assert several or kept < 100
