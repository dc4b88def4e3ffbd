"""Witnesses from relaxed points: inside the boxes, and right in integers, or none."""

import random

import numpy as np
import pytest
from handmade import copying, one_layer, query, tensor, x, y
from suggested import suggestion
from tiny import all_values, busy_query, truths

from qbitsat.arithmetic import ShiftRequantizer
from qbitsat.attack.rounding import RoundingHeuristic
from qbitsat.bounds.layout import Layout
from qbitsat.properties import And, AtMost, Box, replay
from qbitsat.properties.formula import FALSE, TRUE, without_not
from qbitsat.verify import verify


def propose(asked, rng, **change):
    layout = Layout(asked.networks)
    return RoundingHeuristic(asked, layout, without_not(asked.violation)).propose(suggestion(layout, 5, rng, **change))


def test_proposals_are_in_the_boxes_and_violate():
    found = 0
    for seed in range(200):
        asked = busy_query(random.Random(seed))
        proposed = propose(asked, np.random.default_rng(seed))
        if proposed is not None:
            found += 1
            assert replay(asked, proposed) is not None
    assert found > 50


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf, 1e30])
def test_proposals_stay_in_the_boxes_whatever_is_suggested(number):
    asked = query(copying(2), TRUE, Box(np.array([2, 3]), np.array([4, 7])))
    (inputs,) = propose(asked, np.random.default_rng(0), x=np.full((5, 2), number, np.float32))
    assert replay(asked, (inputs,)) is not None


def test_proposals_of_the_mean_point_rounded():
    asked = query(copying(2), And((AtMost(((1, x(0)),), 4), AtMost(((-1, y(0)),), -4))))
    mean, corner = np.full((5, 2), 9, np.float32), np.full((5, 2), 12, np.float32)
    mean[3] = 3.6, 6.4
    assert propose(asked, np.random.default_rng(0), x=mean, x_best=corner) == ((4, 6),)
    assert propose(asked, np.random.default_rng(0), x=corner, x_best=mean) == ((4, 6),)


def test_proposals_none_for_what_is_never_true():
    assert propose(query(copying(2), FALSE), np.random.default_rng(0)) is None


def long_sums(seed: int):
    """Accumulators of about 2**29, which float32 misses by some units, and an output that must have one value of 16."""
    rng = np.random.default_rng(seed)
    weights, centre = rng.integers(-(1 << 13), 1 << 13, (1, 2)), rng.integers(1, 1 << 16, 2)
    bias = 7 - int((weights @ centre)[0])
    network = one_layer(weights, [bias], ShiftRequantizer(0, "floor", 0, 15), tensor(2, 0, 1 << 16))
    wanted = int(rng.integers(1, 15))
    value = And((AtMost(((1, y(0)),), wanted), AtMost(((-1, y(0)),), -wanted)))
    return query(network, value, Box(centre - 1, centre + 1))


def test_sums_that_float32_misses_are_never_witnesses():
    for seed in range(200):
        asked = long_sums(seed)
        violated = truths(asked.violation, *all_values(asked.networks, asked.boxes)).any()
        assert verify(asked, attack=False).verdict == ("VIOLATED" if violated else "HOLDS")
