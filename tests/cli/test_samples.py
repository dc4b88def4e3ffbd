"""How --inputs and --labels are read: headers, real values, arrays by name; ranges of --eps; networks with one output."""

import json

import numpy as np
import pytest
from handmade import copying
from test_bad_usage import refused

from qbitsat.cli.main import main
from qbitsat.importers import save
from qbitsat.network import Network, TensorFormat

SAMPLES = [[9, 0, 0], [0, 9, 0]]


@pytest.fixture
def network(tmp_path):
    """Outputs are the three inputs, from 0 to 15, a step standing for 0.25."""
    layer = copying(3).layers[0]
    form = TensorFormat((3,), 0, 15, 0.25)
    save(Network((type(layer)("copy", form, layer.output, layer.requantizers, layer.weights, layer.bias),)), tmp_path / "net.npz")
    return tmp_path / "net.npz"


def results(tmp_path) -> list[tuple]:
    """(sample, eps, label, verdict) of every line."""
    lines = [json.loads(line) for line in (tmp_path / "out" / "results.jsonl").read_text().splitlines()]
    return sorted((line["sample"], line["eps"], line["label"], line["verdict"]) for line in lines)


def verify(network, tmp_path, inputs, *more) -> int:
    return main(["verify", str(network), "--inputs", str(inputs), "--eps", "1", "--out", str(tmp_path / "out"), *map(str, more)])


@pytest.mark.parametrize(("header", "labels"), [("yes", [0, 1]), ("no", [2, 0, 1])])
def test_header_decides(network, tmp_path, header, labels):
    path = tmp_path / "x.csv"
    path.write_text("0,1,2\n9,0,0\n0,9,0\n")
    assert verify(network, tmp_path, path, "--header", header) in (0, 10)
    assert [line[2] for line in results(tmp_path)] == labels


@pytest.mark.parametrize("command", ["verify", "export", "compare"])
def test_header_is_asked_for(network, tmp_path, capsys, command):
    path = tmp_path / "x.csv"
    path.write_text("0,1,2\n9,0,0\n")
    arguments = [command, network, "--inputs", path, "--eps", "1", "--out", tmp_path / "out"]
    assert "x.csv:1: '0,1,2' may be column numbers or a sample; --header yes" in refused(capsys, arguments)
    assert not (tmp_path / "out").exists()


def test_header_is_yes_or_no(network, tmp_path, capsys):
    assert "--header: 'maybe', expected yes or no" in refused(capsys, ["verify", network, "--inputs", "x", "--eps", 1, "--header", "maybe"])


@pytest.mark.parametrize("scale", ["network", "0.25", "1/4", "2.5e-1"])
def test_scale_makes_integers_of_real_values(network, tmp_path, scale):
    np.save(tmp_path / "x.npy", np.array(SAMPLES, np.float32) / 4 + 0.1)
    assert verify(network, tmp_path, tmp_path / "x.npy", "--scale", scale) == 0
    assert results(tmp_path) == [(0, 1, 0, "HOLDS"), (1, 1, 1, "HOLDS")]


def test_real_values_are_offered_a_scale(network, tmp_path, capsys):
    np.save(tmp_path / "x.npy", np.array(SAMPLES) / 4)
    message = refused(capsys, ["verify", network, "--inputs", tmp_path / "x.npy", "--eps", 1])
    assert (
        "the file's values go from 0 to 2.25, the network reads integers in [0, 15]; --scale network makes them round(x / 0.25)" in message
    )


@pytest.mark.parametrize("scale", ["0", "-1", "nan", "inf", "1/0", "1/2/3", "", "pixels", "1/", "1/inf"])
def test_scale_that_is_no_number(network, capsys, scale):
    arguments = ["verify", network, "--inputs", "x", "--eps", 1, f"--scale={scale}"]
    assert f"--scale: {scale!r}, expected a positive number, as in 0.5 or 1/255, or 'network'" in refused(capsys, arguments)


def test_arrays_by_name(network, tmp_path):
    path = tmp_path / "data.npz"
    np.savez(path, x_train=np.zeros((5, 3), int), x_test=SAMPLES, y_test=[0, 1])
    assert verify(network, tmp_path, f"{path}:x_test", "--labels", f"{path}:y_test") == 0
    assert results(tmp_path) == [(0, 1, 0, "HOLDS"), (1, 1, 1, "HOLDS")]


def test_names_of_arrays_are_listed(network, tmp_path, capsys):
    path = tmp_path / "data.npz"
    np.savez(path, x_train=SAMPLES, x_test=SAMPLES)
    assert f"arrays x_train, x_test, expected one array, or one named x or inputs, or another by its name, as in {path}:x_train" in refused(
        capsys, ["verify", network, "--inputs", path, "--eps", 1]
    )


@pytest.mark.parametrize(
    ("text", "epsilons"), [("1:4", [1, 2, 3]), ("0:2,5", [0, 1, 5]), ("3,1:4", [1, 2, 3]), (" 1 : 3 ", [1, 2]), ("2", [2])]
)
def test_eps_ranges_are_those_of_samples(network, tmp_path, text, epsilons):
    np.save(tmp_path / "x.npy", np.array(SAMPLES[:1]))
    out = str(tmp_path / "out")
    assert main(["verify", str(network), "--inputs", str(tmp_path / "x.npy"), "--eps", text, "--out", out]) in (0, 10)
    assert [line[1] for line in results(tmp_path)] == epsilons


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("2:2", "'2:2' is empty, expected a:b with a below b"),
        ("4:1", "'4:1' is empty"),
        (":4", "'', expected a whole number"),
        ("1:", "'', expected a whole number"),
        ("1:2:3", "'2:3', expected a whole number"),
        ("0:100001", "'0:100001' has 100001 values, expected at most 100000"),
    ],
)
def test_eps_ranges_that_are_none(network, tmp_path, capsys, text, message):
    assert f"--eps: {message}" in refused(capsys, ["verify", network, "--inputs", tmp_path / "x", "--eps", text])


@pytest.mark.parametrize("command", ["verify", "export", "compare"])
def test_one_output_is_no_classification(tmp_path, capsys, command):
    save(copying(1), tmp_path / "one.npz")
    np.save(tmp_path / "x.npy", np.array([[3]]))
    arguments = [command, tmp_path / "one.npz", "--inputs", tmp_path / "x.npy", "--eps", 1, "--out", tmp_path / "out"]
    message = refused(capsys, arguments)
    assert "network 'handmade': has one output, so every input is of class 0" in message
    assert "threshold T instead: Query(" in message
    assert not (tmp_path / "out").exists()
