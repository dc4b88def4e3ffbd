"""Cones of values compute what the whole network does."""

import random

import numpy as np
from tiny import busy_network

from qbitsat.network import forward_all
from qbitsat.properties import gap
from qbitsat.search.cones import cones


def test_cones_give_the_same_values():
    split = 0
    for seed in range(80):
        rng = random.Random(seed)
        single = busy_network(rng, rng.choice([2, 3, 4]))
        network = gap(single, [0], groups=rng.choice([[], [[0, 1]]])).query.networks[0]
        first = network.num_inputs if rng.random() < 0.9 else 0
        named = sorted(rng.sample(range(first, network.num_values), min(3, network.num_values - first)))
        moved = np.array([rng.choice([-1, i]) for i in range(network.num_inputs)])
        found = cones(network, named, moved)
        assert sorted(value for cone in found for value in cone.values) == named
        x = np.array([[rng.randint(form.lo, form.hi) for form in network.inputs] for _ in range(20)])
        values = forward_all(network, x)
        for cone in found:
            assert np.array_equal(forward_all(cone.network, x[:, cone.inputs])[:, cone.places], values[:, cone.values])
        split += len(found) > 1
    assert split > 10
