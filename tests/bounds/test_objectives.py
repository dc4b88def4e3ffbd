"""Multipliers of many objectives side by side: the kernel against the twin of one descent, and its bounds against the integers."""

import math
import random

import numpy as np
import pytest
from descent_nodes import INPUTS, alone, flat, graph_layers, random_layers, random_node
from descent_twin import Node, Twin
from graphs import graph_query
from tiny import deep_query

from qbitsat._kernels.suggest.floats import Floats
from qbitsat._kernels.suggest.objectives import Objectives
from qbitsat.bounds import propagate
from qbitsat.bounds.dual import Dual
from qbitsat.bounds.dual_descent import DECAY, RATE
from qbitsat.bounds.layout import Inequalities
from qbitsat.bounds.objectives import Objectives as BlockObjectives
from qbitsat.bounds.tighten import tighten
from qbitsat.limits import LimitReached

# A descent's value is this much above the objective's bound, so that it never ends below 0.
FAR = 1e4


def run_kernel(kernel, node: Node, objectives: list, steps: int, tick=None) -> tuple[np.ndarray, np.ndarray]:
    return Objectives(Floats(kernel), *node, tick).run(flat(objectives), steps, RATE, DECAY)


def random_objectives(seed: int, make, count: int):
    (kernel, layers), _, node, *_ = random_node(seed, make)
    rng, values = np.random.default_rng(seed), INPUTS + len(node.slopes)
    objectives = [
        (rng.choice(values, 4, replace=False).astype(np.int32), rng.normal(0, 1, 4).astype(np.float32), 0.0) for _ in range(count)
    ]
    return kernel, alone(layers, make), node, objectives


@pytest.mark.parametrize("steps", [1, 2, 6])
@pytest.mark.parametrize("make", [random_layers, graph_layers])
def test_objectives_equal_their_twin(make, steps):
    for seed in range(8):
        kernel, layers, node, objectives = random_objectives(seed, make, 5)
        for values, coefficients, _ in objectives:
            bounds, multipliers = run_kernel(kernel, node, [(values, coefficients, 0.0)], steps)
            twin = Twin(layers, [(values, -coefficients, FAR)], node)
            start = np.zeros(len(node.slopes)), np.ones(1)
            expected = twin.descend(*start, True, steps, RATE, DECAY)
            np.testing.assert_allclose(bounds[0], expected.value - FAR, rtol=5e-3, atol=0.1)
            np.testing.assert_allclose(multipliers[0], expected.multipliers, rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("make", [random_layers, graph_layers])
def test_objectives_do_not_depend_on_their_neighbours(make):
    """But for neurons that only a neighbour rests on, whose multipliers have the smallest steps; nothing is left behind by a run."""
    kernel, _, node, objectives = random_objectives(3, make, 37)
    together = Objectives(Floats(kernel), *node)
    bounds, _ = together.run(flat(objectives), 9, RATE, DECAY)
    for first, last in ((5, 6), (30, 37), (0, 16), (11, 28)):
        again, _ = together.run(flat(objectives[first:last]), 9, RATE, DECAY)
        np.testing.assert_allclose(again, bounds[first:last], rtol=2e-2, atol=1.0)


def test_objectives_bounds_are_what_integers_prove():
    """Of graphs with every kind of requantizer: the exact bound of the same multipliers is not above, but for rounding."""
    compared = 0
    for seed in range(60):
        asked = (deep_query if seed % 2 else graph_query)(random.Random(seed))
        ranges = propagate(asked)
        layout, rng = ranges.layout, np.random.default_rng(seed)
        stated = Inequalities.of([(np.arange(layout.num_values), rng.integers(-3, 4, layout.num_values), 0) for _ in range(5)])
        bounds, multipliers = BlockObjectives(layout, layout.blocks, ranges).bound(stated, 10)
        negated = Inequalities(stated.starts, stated.values, -stated.coefficients, stated.bounds)
        atoms, ones = np.arange(5, dtype=np.int32)[:, None], np.ones((5, 1), np.float32)
        proved = Dual(layout, negated).prove(ranges, np.arange(5), atoms, ones, multipliers)
        for bound, value, scale in zip(bounds.tolist(), proved.values, proved.shares[:, 0].tolist(), strict=True):
            if not math.isinf(value):
                assert value / scale <= bound + 0.01 + 1e-4 * abs(bound)
                compared += 1
    assert compared > 250


def test_objectives_tick_can_end_them():
    ticks = []

    def tick():
        ticks.append(None)
        if len(ticks) == 3:
            raise LimitReached("timeout")

    kernel, _, node, objectives = random_objectives(0, graph_layers, 3)
    with pytest.raises(LimitReached):
        run_kernel(kernel, node, objectives, 2**31 - 1, tick)
    assert len(ticks) == 3


@pytest.mark.parametrize("name", Node._fields)
def test_objectives_of_nodes_that_do_not_fit(name):
    kernel, _, node, objectives = random_objectives(0, graph_layers, 1)
    short = np.ascontiguousarray(getattr(node, name)[..., :-1])
    with pytest.raises(ValueError, match="arrays of a node"):
        run_kernel(kernel, node._replace(**{name: short}), objectives, 1)
    with pytest.raises(ValueError, match="does not exist"):
        run_kernel(kernel, node, [(np.array([INPUTS + len(node.slopes)], np.int32), np.ones(1, np.float32), 0.0)], 1)


def test_tighten_looks_at_limits_while_a_bundle_descends(monkeypatch):
    asked = deep_query(random.Random(3))
    ranges = propagate(asked)
    looks = []
    layout = ranges.layout
    monkeypatch.setattr(type(layout.limits), "check", lambda self, pid="self": looks.append(None))
    tighten(layout, ranges, 5)
    assert looks
