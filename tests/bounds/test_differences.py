"""Differences of paired layers: ranges hold every point and agree with the twin's, verdicts agree with enumeration."""

import random
from dataclasses import replace

import numpy as np
import pytest
import ranges_twin
from graphs import random_graph
from named import check_linked
from pairs import apart, equal_copies, linked_pair, random_pair
from tiny import points_of

from qbitsat.bounds.differences import paired
from qbitsat.bounds.intervals import propagate, propagate_paired
from qbitsat.network import forward_all
from qbitsat.properties import Box, Query, joined
from qbitsat.verify import verify

COUNT = 120


def questions(count: int = COUNT):
    """Those of which layers come in pairs, with their differences."""
    for seed in range(count):
        query = random_pair(seed)
        found = paired(query)
        if found is not None:
            yield seed, query, found


def test_differences_are_what_they_say_and_stay_in_their_ranges():
    seen = 0
    for _, query, found in questions():
        ranges, points = propagate_paired(found), points_of(query.boxes[0])
        values = forward_all(found.query.networks[0], points)
        n = query.networks[0].num_inputs
        a, b, e, d = (found.links + n).T
        assert (values[:, d] == values[:, a] - values[:, b]).all()
        assert ((ranges.lo <= values) & (values <= ranges.hi)).all()
        assert ((values[:, e] >= ranges.acc_lo[:, e - n]) & (values[:, e] <= ranges.acc_hi[:, e - n])).all()
        plain = propagate(found.query)
        seen += int(((ranges.hi - ranges.lo) < (plain.hi - plain.lo)).sum())
    assert seen > 200


def test_ranges_of_nodes_are_those_of_the_twin():
    rng, seen = np.random.default_rng(5), 0
    for seed, _, found in questions(80):
        root = propagate_paired(found)
        layout, rows = root.layout, 6
        nodes = root.take(np.zeros(rows, np.int64))
        ends = np.sort([rng.integers(root.lo, root.hi + 1, nodes.lo.shape) for _ in range(2)], axis=0)
        free = rng.random(nodes.lo.shape) < 0.8
        nodes.lo[:], nodes.hi[:] = np.where(free, root.lo, ends[0]), np.where(free, root.hi, ends[1])
        other = nodes.take(np.arange(rows))
        left, right = nodes.propagate(layout, seed % 2 > 0), ranges_twin.propagate(layout, other, seed % 2 > 0)
        assert (left == right).all()
        for one, twin in zip(nodes.arrays, other.arrays, strict=True):
            assert (one[left] == twin[left]).all()
        seen += int(left.sum())
    assert seen > 100


@pytest.mark.parametrize("first", range(0, COUNT, 40))
def test_verdicts_agree_with_enumeration(first):
    for seed in range(first, first + 40):
        query = random_pair(seed)
        truth = verify(query, engine="enumerate", attack=False, bounds=False).verdict
        for pairs in (True, False):
            assert verify(query, engine="hybrid", attack=False, seed=seed, pairs=pairs, tighten=(40, 0)[seed % 2]).verdict == truth


@pytest.mark.parametrize("first", range(0, 90, 30))
def test_networks_on_linked_inputs_are_paired_and_verdicts_agree_with_enumeration(first):
    seeds = range(first, first + 30)
    assert {check_linked(seed) for seed in seeds} == {True, False}
    assert sum(paired(linked_pair(seed)) is not None for seed in seeds) > 10


def test_networks_on_inputs_that_nothing_links_are_not_paired():
    query = next(query for query in map(linked_pair, range(9)) if paired(query) is not None)
    assert paired(replace(query, violation=query.violation.parts[-1])) is None


def test_layers_of_any_kind_are_paired():
    kinds, rng, equal = set(), np.random.default_rng(1), 0
    for seed in range(60):
        a = random_graph(random.Random(seed))
        net = joined(a, a)
        lo, hi = (ends[: net.num_inputs] for ends in net.value_ranges)
        found = paired(Query((net,), (Box(lo, hi),), apart([0] * len(a.outputs))))
        if found is None:
            continue
        kinds |= {type(net.layers[i].affine).__name__ for i, _ in found.pairs}
        ranges, values = propagate_paired(found), forward_all(found.query.networks[0], rng.integers(lo, hi + 1, (5, net.num_inputs)))
        assert ((ranges.lo <= values) & (values <= ranges.hi)).all()
        a_, b_, _, d = (found.links + net.num_inputs).T
        assert (values[:, d] == values[:, a_] - values[:, b_]).all()
        equal += int((ranges.lo == ranges.hi)[0, d].sum())
    assert kinds == {"Patches", "SparseRows"}
    assert equal > 100


def test_equal_copies_are_decided_by_bounds():
    verdict = verify(equal_copies(), engine="hybrid", attack=False)
    assert (verdict.verdict, verdict.engine) == ("HOLDS", "bounds")
