"""Outputs that never fall when an input grows, against enumeration."""

import itertools
import random

import numpy as np
import pytest
from handmade import copying
from tiny import busy_network, points_of, random_box, random_network

from qbitsat.errors import InputError
from qbitsat.network import forward
from qbitsat.properties import monotone, replay
from qbitsat.properties.query import Box
from qbitsat.verify import HOLDS, VIOLATED, verify


def falls(network, box, feature, outputs, sign):
    """Whether some output is less (sign 1) at the larger one of two inputs of the box that differ in one element."""
    points = points_of(box)
    values = dict(zip(map(tuple, points.tolist()), forward(network, points).tolist(), strict=True))
    for x, y in values.items():
        for more in range(x[feature] + 1, int(box.hi[feature]) + 1):
            other = values[(*x[:feature], more, *x[feature + 1 :])]
            if any(sign * other[j] < sign * y[j] for j in outputs):
                return True
    return False


@pytest.mark.parametrize("first", range(0, 160, 40))
def test_monotone_means_what_enumeration_says(first):
    found = set()
    for seed in range(first, first + 40):
        rng = random.Random(seed)
        network = busy_network(rng, rng.randint(1, 4)) if seed % 2 else random_network(rng)
        box = random_box(rng, network, 60)
        free = np.flatnonzero(box.lo < box.hi).tolist()
        if not free:
            continue
        feature, down = rng.choice(free), rng.random() < 0.5
        outputs = sorted(rng.sample(range(network.output.size), rng.randint(1, network.output.size)))
        query = monotone(network, feature, outputs, box, falls=down)
        verdict = verify(query, seed=seed)
        truth = falls(network, box, feature, outputs, -1 if down else 1)
        assert verdict.verdict == (VIOLATED if truth else HOLDS), seed
        if verdict.witness is not None:
            x, y = verdict.witness.inputs
            assert [b - a for a, b in zip(x, y, strict=True)] == [int(i == feature) for i in range(len(x))]
            assert replay(query, verdict.witness.inputs) == verdict.witness
        found.add(verdict.verdict)
    assert found == {HOLDS, VIOLATED}


def test_all_outputs_and_inputs_by_default():
    network = copying(2)
    for feature, down in itertools.product(range(2), (False, True)):
        assert verify(monotone(network, feature, falls=down)).verdict == (VIOLATED if down else HOLDS)


def test_what_is_refused():
    network = copying(2)
    with pytest.raises(InputError, match="feature 1 has one value only, 3"):
        monotone(network, 1, box=Box(np.array([0, 3]), np.array([9, 3])))
    for wrong in ({"feature": 2}, {"feature": 0, "outputs": [2]}, {"feature": 0.5}):
        with pytest.raises(InputError):
            monotone(network, **wrong)
