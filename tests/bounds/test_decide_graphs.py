"""Outputs that are ranked by their accumulators, wherever in a graph they come from, against enumeration."""

import random

import numpy as np
import pytest
from graphs import graph_box, random_graph
from tiny import all_values, truths

from qbitsat.bounds import decide, propagate
from qbitsat.network import Network
from qbitsat.properties import AtMost, Query, Ref


@pytest.fixture(autouse=True)
def graphs(monkeypatch):
    monkeypatch.setattr(Network, "is_chain", True)


def test_ranked_outputs_are_never_ranked_otherwise():
    found = 0
    for seed in range(600):
        rng = random.Random(seed)
        network = random_graph(rng, most=3)
        n = network.num_values - network.num_inputs
        outputs = np.array([network.num_inputs + rng.randrange(n) if rng.random() < 0.95 else 0 for _ in range(4)])
        network = Network(network.layers, inputs=network.inputs, reads=network.reads, outputs=outputs)
        box = graph_box(rng, network, 60)
        for c, j in ((0, 1), (2, 3), (3, 0)):
            atom = AtMost(((1, Ref(0, "output", c)), (-1, Ref(0, "output", j))), rng.choice([0, -1]))
            query = Query((network,), (box,), atom)
            bounds = propagate(query)
            terms = atom.coefficients()
            if decide._ranked_below(terms, atom.bound, query, bounds):
                assert not truths(atom, *all_values((network,), (box,))).any()
                found += 1
    assert found > 20
