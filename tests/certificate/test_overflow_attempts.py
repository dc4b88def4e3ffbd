"""Multipliers near 2^53, 2^63 and beyond, on graphs of all layers and requantizers."""

import itertools
import random

import numpy as np
import pytest
from graphs import KINDS, graph_query

from qbitsat.certificate.layout import Layout
from qbitsat.network import reference

EDGES = [(1 << bits) + less for bits in (31, 44, 52, 53, 61, 62) for less in (-1, 0, 1)] + [(1 << 63) - 1]


@pytest.mark.parametrize("seed", range(60))
def test_multipliers_at_the_borders_never_prove_what_is_false(seed):
    """c . values at every point stays below the bound, whatever of float64, int64 and Python's integers works on it."""
    rng = random.Random(seed)
    layout = Layout(graph_query(rng, KINDS))
    points = [list(itertools.chain(*x)) for x in itertools.product(*(_some_points(rng, box) for box in layout.query.boxes))]
    rows = [_values(layout, x) for x in points]
    for edge in rng.sample(EDGES, 8):
        m = np.array([rng.choice([0, 0, edge, -edge, -edge - 1, rng.randint(-edge, edge)]) for _ in range(layout.num_neurons)], np.int64)
        terms = {rng.randrange(layout.num_values): rng.choice([1, -1]) * rng.choice([edge, edge << 40, 3]) for _ in range(2)}
        (bound,) = layout.largest([(layout.whole, terms, m)])
        assert bound is not None
        assert all(sum(c * row[v] for v, c in terms.items()) <= bound for row in rows)


def _some_points(rng: random.Random, box) -> list[list[int]]:
    ends = list(zip(box.lo.tolist(), box.hi.tolist(), strict=True))
    return [[lo for lo, _ in ends], [hi for _, hi in ends], [rng.randint(lo, hi) for lo, hi in ends]]


def _values(layout: Layout, x: list[int]) -> list[int]:
    runs, at = [], 0
    for network in layout.query.networks:
        runs.append(reference.run_all(network, x[at : at + network.num_inputs]))
        at += network.num_inputs
    return [v for run in runs for v in run[0]] + [v for run in runs for part in run[1:] for v in part]
