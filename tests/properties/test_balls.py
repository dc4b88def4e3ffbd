"""Distances as values of a network: they are what numpy says, numbers stay, and balls mean themselves."""

import random

import numpy as np
import pytest
from graphs import random_graph
from handmade import copying
from tiny import busy_network, points_of

from qbitsat.errors import InputError
from qbitsat.network import forward, forward_all
from qbitsat.properties import And, Query
from qbitsat.properties.balls import L0, L1, LINF, NORMS, distance, distances_of, surrounding
from qbitsat.properties.formula import is_true


@pytest.mark.parametrize("norm", [L1, L0])
def test_distances_are_values_and_all_else_keeps_its_number(norm):
    for seed in range(40):
        network, rng = random_graph(random.Random(seed)), np.random.default_rng(seed)
        lo, hi = (ends[: network.num_inputs] for ends in network.value_ranges)
        centre, points = rng.integers(lo, hi + 1), rng.integers(lo, hi + 1, (20, network.num_inputs))
        wider, terms = distance(network, centre, norm)
        values = forward_all(wider, points)
        assert (values[:, : network.num_values] == forward_all(network, points)).all()
        assert (forward(wider, points) == forward(network, points)).all()
        found = sum(c * values[:, ref.element] for c, ref in terms)
        assert (found == distances_of(norm, centre, points)).all()


@pytest.mark.parametrize("norm", NORMS)
def test_balls_and_boxes_around_them(norm):
    network = busy_network(random.Random(3), 3)
    box = surrounding(network, np.zeros(network.num_inputs, np.int64) + network.input.lo, L0, 1)
    points = points_of(box)
    centre = points[len(points) // 2]
    apart = distances_of(norm, centre, points)
    for radius in range(int(apart.max()) + 1):
        around = surrounding(network, centre, norm, radius)
        inside = points[apart <= radius]
        assert (inside >= around.lo).all()
        assert (inside <= around.hi).all()
        if radius and norm != LINF:
            wider, terms = distance(network, centre, norm)
            query = Query((wider,), (around,), And((distance(network, centre, norm).at_most(radius),)))
            for point, far in zip(points[:50], apart[:50], strict=True):
                values = [forward_all(wider, point[None])[0].tolist()]
                assert is_true(query.violation, [point], [[]], values) == (far <= radius)
            assert len(terms) == 2 * network.num_inputs


def test_elements_that_count():
    wider, terms = distance(copying(4), [3, 3, 3, 3], L1, [0, 2], 1)
    values = forward_all(wider, np.array([[0, 9, 5, 9]]))[0]
    assert sum(int(values[ref.element]) for _, ref in terms) == 5
    assert {ref.network for _, ref in terms} == {1}


@pytest.mark.parametrize(
    ("centre", "norm", "elements", "said"),
    [
        ([0, 0], "linf", None, "norm"),
        ([0, 0, 0], "l1", None, "expected 2 integers"),
        ([0.0, 0.5], "l1", None, "expected 2 integers"),
        ([0, 0], "l0", [], "at least one"),
        ([0, 0], "l0", [1, 1], "each once"),
        ([0, 0], "l0", [2], "an element"),
    ],
)
def test_what_is_refused(centre, norm, elements, said):
    with pytest.raises(InputError, match=said):
        distance(copying(2), centre, norm, elements)
