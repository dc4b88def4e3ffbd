"""Random graphs: fast inference against the reference, and rows over values against accumulators."""

import random

import pytest
from graphs import KINDS, graph_box, random_graph
from tiny import points_of

from qbitsat.network import forward_all, reference


@pytest.mark.parametrize("seed", range(60))
def test_graph_is_as_defined(seed):
    rng = random.Random(seed)
    network = random_graph(rng)
    points = points_of(graph_box(rng, network, 40))
    values = [[v for part in reference.run_all(network, x) for v in part] for x in points.tolist()]
    assert forward_all(network, points).tolist() == values
    for x in values[:3]:
        for k, layer in enumerate(network.layers):
            read = [x[v] for v in network.reads[k].tolist()]
            for i, acc in enumerate(reference.accumulators(layer, read)):
                numbers, weights, bias = network.row(k, i)
                assert acc == bias + sum(w * x[v] for v, w in zip(numbers.tolist(), weights.tolist(), strict=True))


def test_graphs_are_of_all_kinds():
    seen = set()
    for seed in range(300):
        network = random_graph(random.Random(seed))
        seen |= {type(layer).__name__ for layer in network.layers} | {type(r).__name__ for k in network.layers for r in k.requantizers}
        seen.add(f"{len(network.inputs)} inputs")
        seen |= {r.form for k in network.layers for r in k.requantizers if hasattr(r, "form")}
    assert len(seen) == 3 + 6 + 2 + 4
    assert len(KINDS) == 10
