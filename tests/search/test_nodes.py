"""Nodes that wait: kept as what they have other than the first, and found again as they were."""

import math
import pickle
import random

import numpy as np
import pytest
from tiny import deep_network, points_of

import qbitsat
from qbitsat import examples
from qbitsat.bounds import propagate, simplify
from qbitsat.bounds.reduction import Reduction
from qbitsat.limits import Limits
from qbitsat.network import classify
from qbitsat.options import make_options
from qbitsat.search.nearest import Nearest
from qbitsat.search.nodes import KeptRanges, Nodes


@pytest.fixture
def nodes() -> Nodes:
    """Seven of the shipped network, each with some ranges of its own."""
    network, (x, label) = qbitsat.load(examples.network_path()), examples.sample(3)
    bounds = propagate(qbitsat.robustness(network, x, 2, label))
    root = Nodes.root(bounds, bounds.layout.num_neurons, 9)
    nodes, rng = root.take(np.zeros(7, np.int64)), np.random.default_rng(0)
    for array in nodes.ranges.arrays:
        changed = rng.random(array.shape) < 0.05
        changed[3] = False  # as the root
        array[changed] -= rng.integers(-(1 << 60), 1 << 60, int(changed.sum()))
    nodes.id = np.arange(7)
    return nodes


@pytest.mark.parametrize("rows", [slice(None), slice(2, 5), slice(0), np.array([6, 0, 3, 3])], ids=["all", "some", "none", "any order"])
def test_kept_nodes_are_found_as_they_were(nodes, rows):
    kept, wanted = nodes.kept(), nodes.take(rows)
    found = kept.take(rows)
    assert len(kept.ranges) == len(kept) == 7
    assert found.id.tolist() == wanted.id.tolist()
    for mine, other in zip(found.ranges.arrays, wanted.ranges.arrays, strict=True):
        np.testing.assert_array_equal(mine, other)
    assert found.ranges.layout is nodes.ranges.layout


def test_kept_nodes_among_others_and_in_another_process(nodes):
    together = Nodes.stack([nodes.kept(), nodes])
    assert together.id.tolist() == [*range(7), *range(7)]
    for part in (together.ranges, pickle.loads(pickle.dumps(nodes.kept().ranges))):
        for mine, other in zip(part.arrays, nodes.ranges.arrays, strict=True):
            np.testing.assert_array_equal(mine[:7], other)


def test_kept_nodes_alone_have_ranges_that_can_be_cut(nodes):
    found = Nodes.stack([nodes.kept()])
    found.ranges.lo[:, 0] = 5
    assert (found.ranges.arrays[0][:, 0] == 5).all()


@pytest.mark.parametrize("seed", [0, 1])
def test_a_smaller_radius_is_searched_where_kept_nodes_alone_are_open(seed):
    network = deep_network(random.Random(seed), 4, 8)
    x, radius = np.zeros(4, np.int64), network.input.hi
    label = int(classify(network, x[None])[0])
    query = qbitsat.robustness(network, x, radius, label)
    bounds = propagate(query)
    options = make_options(batch=1, steps=1, polish=0, tighten=0, rounding=False, anneal=False, lp=False)
    search = Nearest(Reduction(query, bounds, simplify(query, bounds)), x, radius, options, Limits())
    search.start()
    search.begun = True
    while len(search.stack) != 1 or not isinstance(search.stack[0].ranges, KeptRanges):
        assert search.step() is None
    search.shrink(radius - 1)
    points = points_of(qbitsat.robustness(network, x, radius - 1, label).boxes[0])
    assert (search.work(math.inf) is not None) == (classify(network, points) != label).any()


def test_ranges_in_common_take_no_memory(nodes):
    many = nodes.take(np.repeat(np.arange(7), 1000))
    kept = pickle.dumps(many.kept().ranges._parts)
    assert 5 * len(kept) < sum(array.nbytes for array in many.ranges.arrays)
