"""Swaps: neighbours stay in the box and at the distance, and witnesses are nearer ones, down to the few changes that matter."""

import random

import numpy as np
import pytest
from handmade import one_layer, query, tensor, y
from tiny import random_box, random_formula, random_network

from qbitsat.attack.swaps import Swaps
from qbitsat.limits import Limits
from qbitsat.network import forward
from qbitsat.options import make_options
from qbitsat.properties import Query, at_least, replay
from qbitsat.properties.balls import L0, L1, distances_of
from qbitsat.properties.formula import without_not


def swaps_of(asked: Query, x: np.ndarray, norm: str, seed: int = 0) -> Swaps:
    return Swaps(asked, without_not(asked.violation), x, norm, make_options(seed=seed), Limits())


def random_case(seed: int, norm: str) -> tuple[Query, np.ndarray, np.ndarray, Swaps]:
    """A query about one network, a sample and a point in its box that is somewhere else."""
    rng = random.Random(seed)
    network = random_network(rng)
    box = random_box(rng, network, 10_000)
    numbers = np.random.default_rng(seed)
    x, point = (numbers.integers(box.lo, box.hi + 1) for _ in range(2))
    asked = Query((network,), (box,), random_formula(rng, (network,), 2))
    return asked, x, point, swaps_of(asked, x, norm, seed)


@pytest.mark.parametrize("norm", [L1, L0])
def test_neighbours_stay_in_the_box_and_at_the_distance(norm):
    moved = 0
    for seed in range(200):
        asked, x, point, swaps = random_case(seed, norm)
        if not len(swaps.movable) or (point == x).all():
            continue
        far = int(distances_of(norm, x, point[None])[0])
        for distance in {max(1, far - 1), far, far + 1}:
            start = swaps._drawn(point, min(far, distance))
            assert distances_of(norm, x, start[None])[0] == min(far, distance)
            points = swaps._neighbours(start, distance)
            assert (distances_of(norm, x, points) <= distance).all()
            assert ((asked.boxes[0].lo <= points) & (points <= asked.boxes[0].hi)).all()
            moved += (points != start).any(axis=1).sum()
    assert moved > 1000


@pytest.mark.parametrize("norm", [L1, L0])
def test_witnesses_are_nearer_ones(norm):
    found = 0
    for seed in range(300):
        asked, x, point, swaps = random_case(seed, norm)
        far = int(distances_of(norm, x, point[None])[0])
        if replay(asked, (tuple(point.tolist()),)) is None or far < 2:
            continue
        nearer = swaps.run(point, 1)
        if nearer is not None:
            found += 1
            assert replay(asked, (tuple(nearer.tolist()),)) is not None
            assert 1 <= distances_of(norm, x, nearer[None])[0] < far
    assert found > 10


@pytest.mark.parametrize(("norm", "nearest"), [(L0, 2), (L1, 5)])
def test_many_small_changes_become_the_few_that_matter(norm, nearest):
    """Forty inputs that gain 1 a step and two that gain 12: 60 takes both of these, five steps in all."""
    weights = [1] * 40 + [12, 12]
    network = one_layer([weights], form=tensor(42, 0, 3))
    asked, x = query(network, at_least(((1, y(0)),), 60)), np.zeros(42, np.int64)
    point, swaps = np.array([2] * 40 + [0, 0]), swaps_of(asked, x, norm)
    assert forward(network, point[None])[0, 0] == 80
    for _ in range(60):
        nearer = swaps.run(point, 1)
        point = point if nearer is None else nearer
    assert distances_of(norm, x, point[None])[0] == nearest


@pytest.mark.parametrize("norm", [L1, L0])
def test_changes_of_wide_inputs_go_back(norm):
    """Of 32 bits, whose sum is far beyond what a random draw of single steps could count."""
    most = (1 << 31) - 1
    network = one_layer([[0, 0, 0]], form=tensor(3, -most - 1, most))
    asked, x, point = query(network, at_least(((1, y(0)),), 1)), np.full(3, -most - 1), np.full(3, most)
    swaps = swaps_of(asked, x, norm)
    far = int(distances_of(norm, x, point[None])[0])
    for distance in (1, far // 2, far - 1):
        assert distances_of(norm, x, swaps._drawn(point, distance)[None])[0] == distance
        assert (distances_of(norm, x, swaps._neighbours(swaps._drawn(point, distance), distance)) <= distance).all()


def test_runs_repeat_for_a_seed():
    for seed in range(50):
        asked, x, point, _ = random_case(seed, L1)
        if distances_of(L1, x, point[None])[0] > 1:
            first, second = (swaps_of(asked, x, L1, 5).run(point, 1) for _ in range(2))
            assert (first is None and second is None) or (first == second).all()
