"""The reference against one multiply-add after the other on Python ints."""

import random

import numpy as np
import pytest
from graphs import random_graph
from handmade import copying, one_layer, tensor
from plain_inference import run_all
from tiny import random_network

from qbitsat.arithmetic import ShiftRequantizer
from qbitsat.network import reference


def some_points(rng, network, count):
    forms = [form for form in network.inputs for _ in range(form.size)]
    ends = [[form.lo for form in forms], [form.hi for form in forms]]
    return ends + [[rng.randint(form.lo, form.hi) for form in forms] for _ in range(count)]


@pytest.mark.parametrize("kind", [random_graph, random_network])
@pytest.mark.parametrize("seed", range(60))
def test_reference_equals_plain_integers(kind, seed):
    rng = random.Random(seed)
    network = kind(rng)
    for x in some_points(rng, network, 5):
        assert reference.run_all(network, x) == run_all(network, x)


def test_few_cells_at_a_time(monkeypatch):
    for seed in range(60):
        rng = random.Random(seed)
        network = random_graph(rng)
        for together in (1, 2, 5):
            monkeypatch.setattr(reference, "TOGETHER", together)
            for x in some_points(rng, network, 2):
                assert reference.run_all(network, x) == run_all(network, x)


@pytest.mark.parametrize("zero_point", [0, (1 << 31) - 1, -(1 << 31)])
@pytest.mark.parametrize("rounding", ["floor", "half_even"])
def test_sums_that_leave_int64_on_the_way_end_where_they_should(rounding, zero_point):
    top = (1 << 31) - 1
    row = [top, top, top, -top, -top, -top, 1]
    requantizer = ShiftRequantizer(3, rounding, -top, top)
    network = one_layer([row], [5], requantizer, tensor(7, -(1 << 25), 1 << 25, zero_point))
    for x in some_points(random.Random(0), network, 20):
        assert reference.run_all(network, x) == run_all(network, x)


def test_inputs_that_are_none_of_the_network_are_refused():
    network = copying(2)
    with pytest.raises(ValueError, match="3 inputs, expected 2"):
        reference.run(network, [1, 2, 3])
    lo, hi = (int(ends[0]) for ends in network.value_ranges)
    for x in ([lo - 1, lo], [hi, hi + 1]):
        with pytest.raises(ValueError, match="outside the network's format"):
            reference.run(network, x)
    assert reference.run(network, np.array([lo, hi])) == [lo, hi]
