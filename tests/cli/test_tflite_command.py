"""From a .tflite file to a checked verdict: the runtime is named all the way."""

import json

import numpy as np
import pytest

from qbitsat.cli.main import main
from qbitsat.importers import load


@pytest.fixture
def lenet(bench_data):
    return str(bench_data / "tflite" / "ptq_mnist_lenet-300-100.tflite")


@pytest.fixture
def samples(bench_data):
    mnist = bench_data / "mnist"
    return ["--inputs", str(mnist / "t10k-images-idx3-ubyte.gz"), "--labels", str(mnist / "t10k-labels-idx1-ubyte.gz"), "--samples", "0,1"]


def test_inspect_names_layers_rounding_and_runtime(bench_data, capsys):
    assert main(["inspect", str(bench_data / "tflite" / "mnist_valid_q.tflite"), "--runtime", "xnnpack"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "runtime     xnnpack" in lines
    assert "input       28x28x1 integers in [-128, 127], scale 0.00392157, zero point -128" in lines
    assert "parameters  1640 weights, 39 biases; 21284 multiply-adds" in lines
    assert "note        SOFTMAX on the output (operator 5) is left out: outputs are what it reads, and decide the class" in lines
    rows = [line.split() for line in lines[-5:]]
    assert [row[:2] for row in rows] == [
        ["conv_2d_0", "Convolution"], ["conv_2d_1", "Convolution"], ["conv_2d_2", "Convolution"], ["mean_3", "Linear"],
        ["fully_connected_4", "Dense"],
    ]  # fmt: skip
    assert all("float32" in row for row in rows)


def test_verify_and_check(lenet, samples, tmp_path, capsys):
    out = tmp_path / "results"
    assert main(["verify", lenet, *samples, "--eps", "1", "--runtime", "tflite-ref", "--out", str(out), "--certificates"]) == 0
    assert "integers as the runtime tflite-ref computes them" in capsys.readouterr().out
    entry = json.loads((out / "results.jsonl").read_text().splitlines()[0])
    assert entry["runtime"] == "tflite-ref"
    assert entry["network_sha256"] == load(lenet, runtime="tflite-ref").sha256
    assert main(["check", str(out)]) == 0
    assert main(["check", str(out), "--network", lenet, "--runtime", "tflite-ref"]) == 0
    capsys.readouterr()
    assert main(["check", str(out), "--network", lenet]) == 20
    assert "runtime tflm" in capsys.readouterr().out


def test_runtimes_are_checked(lenet, samples, tmp_path, capsys):
    for name in ("tflmicro", "onnxruntime"):
        assert main(["inspect", lenet, "--runtime", name]) == 2
        assert "runtime" in capsys.readouterr().err
    assert main(["inspect", lenet, "--bits", "8"]) == 2
    assert "--bits: 8, but" in capsys.readouterr().err
    assert main(["check", str(tmp_path), "--runtime", "tflm"]) == 2
    assert "--runtime: of no network that is given" in capsys.readouterr().err


def test_real_samples_are_quantized_when_asked(lenet, tmp_path, capsys):
    pixels = np.random.default_rng(0).integers(0, 256, (3, 28, 28))
    np.save(tmp_path / "bytes.npy", pixels.astype(np.uint8))
    np.save(tmp_path / "floats.npy", (pixels / 255).astype(np.float32))
    lines = []
    for file, scale in (("bytes.npy", ()), ("floats.npy", ("--scale", "1/255"))):
        assert main(["run", lenet, "--inputs", str(tmp_path / file), *scale]) == 0
        lines.append(capsys.readouterr().out)
    assert lines[0] == lines[1]
