"""Networks: chains that fit together, and the hash of the function."""

from dataclasses import replace

import numpy as np
import pytest
from handmade import dense, tensor

from qbitsat.arithmetic import ShiftRequantizer
from qbitsat.errors import InputError
from qbitsat.network import Dense, Network, TensorFormat

REQUANTIZERS = (ShiftRequantizer(1, "floor", 0, 7, offset=1), ShiftRequantizer(1, "floor", 0, 7, offset=2))
FIELDS = {
    "name": "first",
    "input": TensorFormat((2, 1), 0, 15, 0.5),
    "output": TensorFormat((2,), 0, 7, 0.25),
    "requantizers": REQUANTIZERS,
    "weights": [[1, 0], [2, 3]],
    "bias": [4, 5],
}


def network(layer_name: str = "first", **changes) -> Network:
    return Network((Dense(**{**FIELDS, **changes, "name": layer_name}),))


def test_network_input_and_output_are_those_of_the_chain():
    chain = Network((dense(np.ones((3, 2), int), requantizers=REQUANTIZERS[0]), dense(np.ones((4, 3), int), form=tensor(3, 0, 7))))
    assert (chain.input.size, chain.output.size) == (2, 4)


def test_network_shows_itself_in_a_line():
    network = Network((dense([[1, 0], [0, 1]], form=replace(tensor(2), shape=(1, 2))),), "small")
    assert repr(network) == "<Network 'small': 1 layer on 1x2>"
    assert repr(replace(network, runtime="tflm")) == "<Network 'small': 1 layer on 1x2, runtime tflm>"


def test_network_without_layers():
    with pytest.raises(InputError, match="network 'empty': has no layers"):
        Network((), "empty")


MISFITS = [tensor(2, 0, 7), tensor(3, 0, 8), tensor(3, -1, 7), tensor(3, 0, 7, 1)]


@pytest.mark.parametrize("form", MISFITS, ids=["size", "hi", "lo", "zero_point"])
def test_network_layers_that_do_not_fit(form):
    first = dense(np.ones((3, 2), int), requantizers=REQUANTIZERS[0])
    second = replace(dense(np.ones((1, form.size), int), form=form), name="second")
    with pytest.raises(InputError, match=r"network 'odd': layer 'second' reads .*, but layer 'dense' gives "):
        Network((first, second), "odd")


def test_network_reads_the_flattened_output_whatever_its_scale():
    second = dense(np.ones((1, 2), int), form=TensorFormat((2, 1), 0, 7, 8.0))
    assert Network((*network().layers, second)).output.size == 1


def test_sha256_equal_for_equal_networks():
    assert network().sha256 == network().sha256
    assert len(network().sha256) == 64


def test_sha256_is_of_the_function_not_of_names():
    renamed = Network(network("other").layers, "another", "file.h5")
    assert renamed.sha256 == network().sha256


INGREDIENTS = {
    "weight": {"weights": [[1, 0], [2, 4]]},
    "zero_weight": {"weights": [[1, 1], [2, 3]]},
    "rows_swapped": {"weights": [[2, 3], [1, 0]]},
    "zero_elsewhere": {"weights": [[0, 1], [2, 3]]},
    "bias": {"bias": [4, 6]},
    "input_lo": {"input": TensorFormat((2, 1), -1, 15, 0.5)},
    "input_hi": {"input": TensorFormat((2, 1), 0, 14, 0.5)},
    "input_shape": {"input": TensorFormat((1, 2), 0, 15, 0.5)},
    "input_scale": {"input": TensorFormat((2, 1), 0, 15, 0.25)},
    "input_zero_point": {"input": TensorFormat((2, 1), 0, 15, 0.5, 2)},
    "output_scale": {"output": TensorFormat((2,), 0, 7, 0.5)},
    "output_zero_point": {"output": TensorFormat((2,), 0, 7, 0.25, 1)},
    "shift": {"requantizers": (replace(REQUANTIZERS[0], shift=2), REQUANTIZERS[1])},
    "rounding": {"requantizers": (replace(REQUANTIZERS[0], rounding="half_up"), REQUANTIZERS[1])},
    "overflow": {"requantizers": (replace(REQUANTIZERS[0], overflow="wrap"), REQUANTIZERS[1])},
    "offset": {"requantizers": (replace(REQUANTIZERS[0], offset=0), REQUANTIZERS[1])},
    "channel_lo": {"requantizers": (replace(REQUANTIZERS[0], lo=1), REQUANTIZERS[1])},
    "channels_swapped": {"requantizers": REQUANTIZERS[::-1]},
    "one_requantizer": {"requantizers": REQUANTIZERS[:1]},
}


@pytest.mark.parametrize("change", INGREDIENTS.values(), ids=INGREDIENTS)
def test_sha256_changes_with_every_ingredient(change):
    assert network(**change).sha256 != network().sha256


def test_sha256_tells_rows_apart():
    assert network(weights=[[1, 2], [0, 0]]).sha256 != network(weights=[[1, 0], [0, 2]]).sha256


def test_sha256_changes_with_another_layer():
    longer = Network((*network().layers, dense(np.ones((1, 2), int), form=tensor(2, 0, 7))))
    assert longer.sha256 != network().sha256
