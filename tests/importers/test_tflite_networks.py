"""Whole .tflite files that people ship, bit for bit in every runtime; bench/exactness.py runs more inputs."""

import numpy as np
import pytest
from oracles import TFLITE
from tflite_networks import RuntimeModel, inputs_of, runs

from qbitsat.cli.main import main
from qbitsat.importers import load, save
from qbitsat.network import forward, reference

# Inputs of each: of those that come with the benchmarks, and as many random ones.
FILES = {
    "ad01_int8": 2, "hello_world_int8": 20, "kws_ref_model": 1, "magic_wand": 3, "micro_kws_m_quantized": 1, "micro_speech_quantized": 3,
    "mnist_arduino_q": 10, "mnist_dw_q": 5, "mnist_resnet_q": 3, "mnist_valid_q": 10, "person_detect": 1, "pretrainedResnet_quant": 1,
    "ptq_mnist_lenet-300-100": 5, "str_ww_ref_model": 2, "vww_96_int8": 1,
}  # fmt: skip


@pytest.mark.parametrize("runtime", TFLITE)
@pytest.mark.parametrize("name", FILES)
def test_file_is_exact(bench_data, name, runtime):
    path = bench_data / "tflite" / f"{name}.tflite"
    if not runs(runtime, path):
        with pytest.raises((RuntimeError, ValueError)):
            RuntimeModel(runtime, path.read_bytes())
        return
    network, model = load(path, runtime=runtime), RuntimeModel(runtime, path.read_bytes())
    x = inputs_of(path, network, FILES[name], FILES[name])
    expected = np.stack([model.run(sample, network) for sample in x])
    assert (forward(network, x) != expected).sum() == 0


@pytest.mark.parametrize("name", ["hello_world_int8", "mnist_arduino_q"])
def test_reference_agrees(bench_data, name):
    network = load(bench_data / "tflite" / f"{name}.tflite", runtime="tflm")
    x = np.random.default_rng(4).integers(-128, 128, network.input.size)
    assert reference.run(network, x.tolist()) == forward(network, x[None])[0].tolist()


def test_runtimes_are_different_networks(bench_data):
    path = bench_data / "tflite" / "mnist_valid_q.tflite"
    networks = [load(path, runtime=runtime) for runtime in TFLITE]
    assert len({network.sha256 for network in networks}) > 2
    assert [network.runtime for network in networks] == list(TFLITE)


def test_dead_channels_cost_nothing(bench_data):
    """A third of MLPerf's VWW has no weights."""
    network = load(bench_data / "tflite" / "vww_96_int8.tflite")
    channels = sum(layer.output.shape[-1] for layer in network.layers if "conv_2d" in layer.name)
    assert channels == 1020  # of 2,735
    assert not any(layer.name.startswith("constants") for layer in network.layers)


def test_accuracy_on_the_command_line(bench_data, capsys):
    mnist = bench_data / "mnist"
    images, labels = mnist / "t10k-images-idx3-ubyte.gz", mnist / "t10k-labels-idx1-ubyte.gz"
    path = bench_data / "tflite" / "ptq_mnist_lenet-300-100.tflite"
    command = ["run", str(path), "--inputs", str(images), "--labels", str(labels), "--samples", "0:500", "--quiet", "--runtime", "xnnpack"]
    assert main(command) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith("500 samples: accuracy 0.97")
    assert "LOG_SOFTMAX on the output (operator 6) is left out" in captured.err


@pytest.mark.parametrize("runtime", TFLITE)
@pytest.mark.parametrize("name", ["mnist_valid_q", "mnist_resnet_q", "hello_world_int8"])
def test_saved_and_loaded(bench_data, tmp_path, name, runtime):
    network = load(bench_data / "tflite" / f"{name}.tflite", runtime=runtime)
    save(network, tmp_path / "network.npz")
    again = load(tmp_path / "network.npz")
    assert (again.sha256, again.runtime) == (network.sha256, runtime)
