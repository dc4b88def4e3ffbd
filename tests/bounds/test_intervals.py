"""Interval propagation: exact for one layer, sound for all, and the kernel against numpy."""

import pickle
import random

import numpy as np
import pytest
import ranges_twin
from enumerated import random_asked, space
from handmade import copying, dense, one_layer, query, tensor, whole_box
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import points_of, random_box, random_network

from qbitsat.arithmetic import ShiftRequantizer
from qbitsat.bounds import propagate
from qbitsat.bounds.intervals import accumulated, propagate_boxes
from qbitsat.bounds.ranges import LayerRanges
from qbitsat.network import Dense, Network, forward_all, reference
from qbitsat.properties import Box, Query, Ref
from qbitsat.properties.formula import TRUE


def layers_of(network: Network, box: Box) -> list[LayerRanges]:
    ranges = propagate_boxes((network,), (box,))
    return [ranges.layer(0, k) for k in range(len(network.layers))]


EXAMPLES = settings(derandomize=True, deadline=None, max_examples=100)
TOP = (1 << 31) - 1


@EXAMPLES
@given(st.integers(0, 2**32 - 1))
def test_propagate_holds_every_layer_of_every_point(seed):
    rng = random.Random(seed)
    network = random_network(rng)
    box = random_box(rng, network, 300)
    layers = network.by_layer(forward_all(network, points_of(box)))
    for values, bounds in zip(layers, layers_of(network, box), strict=True):
        assert (bounds.lo <= values.min(axis=0)).all()
        assert (values.max(axis=0) <= bounds.hi).all()


@EXAMPLES
@given(st.integers(0, 2**32 - 1))
def test_propagate_first_layer_is_exact(seed):
    rng = random.Random(seed)
    network = random_network(rng)
    box = random_box(rng, network, 300)
    layer, points = network.layers[0], points_of(box)
    assert isinstance(layer, Dense)
    acc = points @ layer.weights.T + layer.affine.biases
    bounds = layers_of(Network((layer,)), box)[0]
    assert (bounds.acc_lo.tolist(), bounds.acc_hi.tolist()) == (acc.min(axis=0).tolist(), acc.max(axis=0).tolist())
    if layer.requantizers[0].monotone:
        y = layer.requantize(acc)
        assert (bounds.lo.tolist(), bounds.hi.tolist()) == (y.min(axis=0).tolist(), y.max(axis=0).tolist())


@EXAMPLES
@given(st.integers(0, 2**32 - 1))
def test_propagate_one_point_is_the_reference(seed):
    rng = random.Random(seed)
    network = random_network(rng)
    x = [rng.randint(network.input.lo, network.input.hi) for _ in range(network.input.size)]
    layers = layers_of(network, Box(np.array(x), np.array(x)))
    values = reference.run_all(network, x)[1:]
    assert [layer.lo.tolist() for layer in layers] == [layer.hi.tolist() for layer in layers] == values
    assert all(layer.num_fixed == len(layer.lo) for layer in layers)


def test_propagate_named_example():
    layer = dense([[2, -3]], [1], ShiftRequantizer(1, "half_up", -8, 7))
    bounds = layers_of(Network((layer,)), Box(np.array([0, 1]), np.array([4, 5])))[0]
    assert [int(a[0]) for a in (bounds.acc_lo, bounds.acc_hi, bounds.lo, bounds.hi)] == [-14, 6, -7, 3]


def test_propagate_saturated_output_is_fixed():
    bounds = layers_of(Network((dense([[9], [1]], [100, 0], ShiftRequantizer(0, "floor", 0, 15)),)), Box(np.array([0]), np.array([15])))[0]
    assert (bounds.lo.tolist(), bounds.hi.tolist(), bounds.num_fixed) == ([15, 0], [15, 15], 1)


def test_propagate_wrap_falls_back_to_the_whole_range():
    bounds = layers_of(Network((dense([[1]], [0], ShiftRequantizer(0, "floor", -8, 7, "wrap")),)), Box(np.array([6]), np.array([9])))[0]
    assert (bounds.lo.tolist(), bounds.hi.tolist()) == ([-8], [7])


def test_propagate_channels_have_their_own_requantizers():
    requantizers = (ShiftRequantizer(0, "floor", 0, 15), ShiftRequantizer(1, "floor", -4, 3, offset=-4))
    bounds = layers_of(Network((dense([[1], [1]], None, requantizers),)), Box(np.array([0]), np.array([9])))[0]
    assert (bounds.lo.tolist(), bounds.hi.tolist()) == ([0, -4], [9, 0])


@pytest.mark.parametrize("rounding", ["floor", "toward_zero", "half_up", "half_away", "half_even"])
def test_propagate_at_the_ends_of_the_exact_range(rounding):
    requantizer = ShiftRequantizer(30, rounding, -(1 << 30), 1 << 30)
    network = one_layer([[1 << 28, -(1 << 27)]], [TOP], requantizer, tensor(2, -TOP, TOP))
    bounds = layers_of(network, whole_box(network))[0]
    reach = TOP * ((1 << 28) + (1 << 27))
    assert (bounds.acc_lo.tolist(), bounds.acc_hi.tolist()) == ([TOP - reach], [TOP + reach])
    assert (int(bounds.lo[0]), int(bounds.hi[0])) == (requantizer.apply(TOP - reach), requantizer.apply(TOP + reach))


def test_bounds_of_an_element_of_either_network():
    one, two = one_layer([[2, 0], [0, -1]]), copying(1)
    bounds = propagate(Query((one, two), (Box(np.array([1, 2]), np.array([3, 4])), Box(np.array([5]), np.array([6]))), TRUE))
    assert [bounds.of(Ref(0, "input", 1)), bounds.of(Ref(0, "output", 0)), bounds.of(Ref(0, "output", 1))] == [(2, 4), (2, 6), (-4, -2)]
    assert [bounds.of(Ref(1, "input", 0)), bounds.of(Ref(1, "output", 0))] == [(5, 6), (5, 6)]


def test_bounds_are_python_ints_in_a_formula():
    bounds = propagate(query(copying(1), TRUE))
    assert [type(v) for v in bounds.of(Ref(0, "output", 0))] == [int, int]


@EXAMPLES
@given(st.integers(0, 2**32 - 1))
def test_propagate_holds_every_value_and_accumulator_of_graphs(seed):
    rng = random.Random(seed)
    asked = random_asked(rng)
    points, ranges = space(asked), propagate(asked)
    assert points.inside(ranges, 0).all()
    for k, network in enumerate(asked.networks):
        lo, hi, acc_lo, acc_hi = ranges.network(k)
        twins = [ranges.layer(k, number) for number in range(len(network.layers))]
        assert np.concatenate([twin.lo for twin in twins]).tolist() == lo[network.num_inputs :].tolist()
        assert np.concatenate([twin.acc_hi for twin in twins]).tolist() == acc_hi.tolist()
        outputs = [ranges.of(Ref(k, "output", i)) for i in range(len(network.outputs))]
        assert outputs == [(lo[v], hi[v]) for v in network.outputs.tolist()]
    assert [ends.tolist() for ends in accumulated(ranges.layout, ranges)] == [ranges.acc_lo.tolist(), ranges.acc_hi.tolist()]
    for block in ranges.layout.blocks:
        acc_lo, acc_hi = ranges_twin.accumulated(block, ranges)
        assert (ranges.acc_lo[:, block.neurons] == acc_lo).all()
        assert (ranges.acc_hi[:, block.neurons] == acc_hi).all()


def test_ranges_go_to_other_processes_without_their_layout():
    ranges = pickle.loads(pickle.dumps(propagate(query(copying(1), TRUE))))
    assert ranges.hi.tolist() == [[15, 15]]
    with pytest.raises(ValueError, match="have no layout"):
        ranges.of(Ref(0, "input", 0))
