"""The shipped example is what docs/lab/example.md says."""

import numpy as np
import pytest
from oracles import TFLITE
from tflite_networks import RuntimeModel

import qbitsat
from qbitsat import examples
from qbitsat.arithmetic import ShiftRequantizer
from qbitsat.errors import InputError
from qbitsat.importers import load, load_inputs, load_labels
from qbitsat.network import classify, forward


def test_example_network_shape():
    network = load(examples.network_path())
    assert [layer.input.shape for layer in network.layers] == [(8, 8), (16,)]
    assert network.output.shape == (10,)


def test_example_network_formats():
    first, second = load(examples.network_path()).layers
    assert (first.input.lo, first.input.hi) == (0, 16)
    assert (first.output.lo, first.output.hi) == (0, 63)
    assert (second.output.lo, second.output.hi) == (-32, 31)


def test_example_weights_fit_6_bits():
    for layer in load(examples.network_path()).layers:
        assert -32 <= layer.affine.rows.min() <= layer.affine.rows.max() <= 31


def test_example_requantizers_as_documented():
    first, second = load(examples.network_path()).layers
    assert first.requantizers == (ShiftRequantizer(6, "half_up", 0, 63),)
    assert second.requantizers == (ShiftRequantizer(5, "half_up", -32, 31),)


def test_example_images_are_50_by_8_by_8():
    images = np.load(examples.images_path())
    assert (images.shape, images.dtype) == ((50, 8, 8), np.uint8)


def test_example_misclassified_as_documented():
    network = load(examples.network_path())
    classes = classify(network, load_inputs(examples.images_path(), network.input))
    assert np.flatnonzero(classes != load_labels(examples.labels_path())).tolist() == [12, 38, 49]


def test_example_files_are_small():
    paths = (examples.network_path(), examples.images_path(), examples.labels_path())
    assert sum(path.stat().st_size for path in paths) < 200_000


def test_example_in_two_lines():
    network = qbitsat.load(qbitsat.examples.network_path())
    x, label = qbitsat.examples.sample(2)
    assert (x.shape, x.dtype, label) == ((8, 8), np.int64, int(np.load(qbitsat.examples.labels_path())[2]))
    assert qbitsat.verify(qbitsat.robustness(network, x, 1, label)).verdict == qbitsat.HOLDS
    for index in (-1, 50):
        with pytest.raises(InputError, match=r"sample is -?\d+, expected an integer in \[0, 49\]"):
            qbitsat.examples.sample(index)


@pytest.mark.parametrize("runtime", TFLITE)
def test_tflite_example_is_what_the_runtimes_compute(runtime):
    path = examples.tflite_path()
    network, model = load(path, runtime=runtime), RuntimeModel(runtime, path.read_bytes())
    x = network.input.quantize(np.load(examples.images_path()) / 16).reshape(50, -1)
    assert forward(network, x).tolist() == [model.run(row, network).tolist() for row in x]
    assert (classify(network, x) == load_labels(examples.labels_path())).sum() == 47


@pytest.mark.parametrize("ties", ["argmax", "kept"])
def test_more_bits_are_not_always_better(ties):
    model, x, label = examples.nonmonotonic()
    points = np.stack(np.meshgrid(*(np.arange(v - 2, v + 3) for v in x), indexing="ij"), axis=-1).reshape(-1, 2)
    found = {}
    for bits in range(5, 10):
        network = qbitsat.quantize(model, f"paper:{bits},input=u4.4")
        y = forward(network, points)
        lost = y[:, 1] > y[:, 0]  # class 0 wins ties by both rules
        found[bits] = qbitsat.verify(qbitsat.robustness(network, x, 2, label, ties=ties)).verdict
        assert found[bits] == (qbitsat.VIOLATED if lost.any() else qbitsat.HOLDS)
    assert [bits for bits, verdict in found.items() if verdict == qbitsat.VIOLATED] == [6]
    fine = np.stack(np.meshgrid(*(np.linspace(v - 2, v + 2, 65) for v in x)), axis=-1).reshape(-1, 2) / 16
    z = model.run(fine)[0]
    assert (z[:, 0] > z[:, 1]).all()
