"""Fast inference against the slow reference, batches, ties, and the kernel against numpy."""

import random

import numpy as np
import pytest
from handmade import copying, dense, one_layer, tensor
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import random_network

from qbitsat.arithmetic import ShiftRequantizer
from qbitsat.errors import InputError, UnsupportedError
from qbitsat.network import Layer, Network, classify, forward, forward_all, reference

EXAMPLES = settings(derandomize=True, deadline=None, max_examples=150)
TOP = (1 << 31) - 1


@EXAMPLES
@given(st.integers(0, 2**32 - 1), st.integers(0, 6))
def test_inference_equals_reference(seed, batch):
    rng = random.Random(seed)
    network = random_network(rng)
    x = [[rng.randint(network.input.lo, network.input.hi) for _ in range(network.input.size)] for _ in range(batch)]
    points = np.array(x, np.int64).reshape(batch, -1) if batch else np.empty((0, network.input.size), np.int64)
    layers = network.by_layer(forward_all(network, points))
    slow = [reference.run_all(network, row) for row in x]
    assert [layer.tolist() for layer in layers] == [[values[k + 1] for values in slow] for k in range(len(network.layers))]


@EXAMPLES
@given(st.integers(0, 2**32 - 1), st.integers(1, 9))
def test_classify_equals_reference_in_any_batches(seed, batch):
    rng = random.Random(seed)
    network = random_network(rng)
    x = np.array([[rng.randint(network.input.lo, network.input.hi) for _ in range(network.input.size)] for _ in range(7)])
    assert classify(network, x, batch).tolist() == [reference.first_maximum(reference.run(network, row)) for row in x.tolist()]


@pytest.mark.parametrize("overflow", ["saturate", "wrap"])
@pytest.mark.parametrize("rounding", ["floor", "toward_zero", "half_up", "half_away", "half_even"])
def test_inference_at_the_ends_of_the_exact_range(rounding, overflow):
    requantizer = ShiftRequantizer(30, rounding, -(1 << 30), (1 << 30) - 1, overflow)
    network = one_layer([[1 << 28, 1 << 27], [-(1 << 28), -(1 << 27)]], [TOP, -TOP], requantizer, tensor(2, -TOP, TOP))
    x = [[TOP, TOP], [-TOP, -TOP], [TOP, -TOP], [TOP, TOP - 1], [0, 0]]
    assert forward(network, np.array(x)).tolist() == [reference.run(network, row) for row in x]


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int32, np.uint16])
def test_inference_small_integer_types_do_not_overflow(dtype):
    network = one_layer([[100, 100]], None, ShiftRequantizer(0, "floor", 0, 1 << 20), tensor(2, 0, 127))
    assert forward(network, np.array([[127, 127]], dtype)).tolist() == [[25400]]


def test_inference_leaves_its_input_alone():
    x = np.array([[3, 4]])
    forward(copying(2), x)
    assert x.tolist() == [[3, 4]]


def test_inference_strided_input():
    x = np.arange(12).reshape(2, 6)[:, ::3]
    assert forward(copying(2), x).tolist() == [[0, 3], [6, 9]]


@pytest.mark.parametrize("shape", [(2,), (1, 3), (1, 1, 2), ()])
def test_inference_wrong_shape(shape):
    with pytest.raises(InputError, match=r"inference: inputs have shape .*, expected \(batch, 2\)"):
        forward(copying(2), np.zeros(shape, np.int64))


def test_inference_of_shaped_inputs_says_how_they_are_flat():
    with pytest.raises(InputError, match=r"shape \(4, 2, 1\), expected \(batch, 2\); x.reshape\(len\(x\), -1\) is that"):
        forward(copying(2), np.zeros((4, 2, 1), np.int64))
    with pytest.raises(InputError, match=r"shape \(0, 3, 1\), expected \(batch, 2\)$"):
        forward(copying(2), np.zeros((0, 3, 1), np.int64))


@pytest.mark.parametrize("x", [[[0.7, 1.0]], [["1", "2"]]], ids=["float", "text"])
def test_inference_refuses_what_is_not_an_integer(x):
    with pytest.raises(InputError, match=r"inference: .*expected integers"):
        forward(copying(2), np.array(x))


def test_inference_refuses_values_beyond_the_input_format():
    network = one_layer([[4]], None, ShiftRequantizer(0, "floor", 0, 15), tensor(1))
    with pytest.raises(InputError, match=r"inference: .*expected"):
        forward(network, np.array([[1 << 62]]))


def test_classify_no_samples():
    assert classify(copying(2), np.empty((0, 2), np.int64)).tolist() == []


def test_classify_ties_go_to_the_first():
    x = np.array([[5, 5, 5], [4, 5, 5], [5, 4, 5], [0, 0, 1], [15, 0, 15]])
    assert classify(copying(3), x).tolist() == [0, 1, 0, 2, 0]


def test_classify_saturated_outputs_tie():
    network = one_layer([[1], [3]], None, ShiftRequantizer(0, "floor", 0, 15), tensor(1, 0, 15))
    assert classify(network, np.array([[0], [1], [5], [14], [15]])).tolist() == [0, 1, 1, 1, 0]


@pytest.mark.parametrize(("y", "first"), [([0], 0), ([-1, -1], 0), ([1, 2, 2], 1), ([3, 1, 3], 0), ([-5, -4, -9], 1)])
def test_first_maximum(y, first):
    assert reference.first_maximum(y) == first == int(np.argmax(y))


def test_reference_lists_input_and_every_layer():
    chain = Network((dense([[2]], requantizers=ShiftRequantizer(0, "floor", 0, 15)), dense([[3]], [1])))
    assert reference.run_all(chain, [3]) == [[3], [6], [19]]


def test_reference_wrong_number_of_inputs():
    with pytest.raises(ValueError, match="3 inputs, expected 2"):
        reference.run_all(copying(2), [1, 2, 3])


def test_reference_unknown_kind_of_layer():
    class Other(Layer):
        affine = dense([[1]]).affine

    with pytest.raises(UnsupportedError, match="layer 'odd': no reference for a layer of kind Other"):
        reference.run_layer(Other("odd", tensor(1), tensor(1), ()), [1])
