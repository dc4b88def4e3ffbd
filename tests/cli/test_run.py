"""`run`: what is printed and written is what the reference computes."""

import csv
import re

import numpy as np
import pytest

import qbitsat
from qbitsat import examples
from qbitsat.cli.main import main
from qbitsat.network import Dense, Network, TensorFormat, reference

NETWORK, IMAGES, LABELS = map(str, (examples.network_path(), examples.images_path(), examples.labels_path()))
COMMAND = ["run", NETWORK, "--inputs", IMAGES]


@pytest.fixture(scope="module")
def outputs() -> list[list[int]]:
    network = qbitsat.load(NETWORK)
    return [reference.run(network, x.reshape(-1).tolist()) for x in np.load(IMAGES)]


def test_lines_and_accuracy(outputs, capsys):
    assert main([*COMMAND, "--labels", LABELS]) == 0
    *lines, last = capsys.readouterr().out.splitlines()
    labels, classes = np.load(LABELS).tolist(), [reference.first_maximum(y) for y in outputs]
    for k, line in enumerate(lines):
        word = "right" if labels[k] == classes[k] else "wrong"
        assert line == f"sample {k:<2}  class {classes[k]}  label {labels[k]}  {word}  outputs {outputs[k]}"
    right = sum(a == b for a, b in zip(labels, classes, strict=True))
    assert (len(lines), last) == (50, f"50 samples: accuracy {right / 50:.4f}, {right} right, {50 - right} wrong")


def test_without_labels_and_quiet(capsys):
    assert main([*COMMAND, "--samples", "7,3"]) == 0
    first, second, last = capsys.readouterr().out.splitlines()
    assert (first.split("  ")[0], second.split("  ")[0], last) == ("sample 7", "sample 3", "2 samples")
    assert "label" not in first
    assert main([*COMMAND, "--samples", "7", "--quiet"]) == 0
    assert capsys.readouterr().out == "1 sample\n"


def test_files_of_outputs(outputs, tmp_path):
    for suffix in ("npy", "npz", "csv"):
        assert main([*COMMAND, "--labels", LABELS, "--samples", "2:9", "--quiet", "--out", str(tmp_path / f"y.{suffix}")]) == 0
    wanted, labels = outputs[2:9], np.load(LABELS)[2:9].tolist()
    classes = [reference.first_maximum(y) for y in wanted]
    written = np.load(tmp_path / "y.npy")
    assert (written.dtype, written.tolist()) == (np.int64, wanted)
    with np.load(tmp_path / "y.npz") as arrays:
        found = {name: arrays[name].tolist() for name in arrays.files}
    assert found == {"samples": list(range(2, 9)), "outputs": wanted, "classes": classes, "labels": labels}
    with open(tmp_path / "y.csv", newline="", encoding="utf-8") as stream:
        header, *rows = csv.reader(stream)
    assert header == ["sample", "class", "label", *(f"output{i}" for i in range(10))]
    assert [list(map(int, row)) for row in rows] == [[k + 2, classes[k], labels[k], *wanted[k]] for k in range(7)]


FAULTS = [
    (["--out", "y.txt"], r"--out: y.txt, expected a file that ends in .npy, .npz, .csv"),
    (["--samples", "50"], r"--samples: '50', but .* has 50 samples, 0 to 49"),
    (["--labels", IMAGES], r"digits_images.npy: shape \(50, 8, 8\), expected one label a sample"),
]


@pytest.mark.parametrize(("more", "message"), FAULTS, ids=lambda value: value if isinstance(value, str) else value[0])
def test_bad_usage(more, message, capsys):
    assert main([*COMMAND, *more]) == 2
    assert re.search(message, capsys.readouterr().err)


def test_labels_that_are_no_class(tmp_path, capsys):
    np.save(tmp_path / "labels.npy", np.array([0, 1, 2, 10, *[0] * 46]))
    assert main([*COMMAND, "--labels", str(tmp_path / "labels.npy")]) == 2
    assert "sample 3 has label 10, expected a class in [0, 9]" in capsys.readouterr().err
    assert main([*COMMAND, "--labels", str(tmp_path / "labels.npy"), "--samples", ":3"]) == 0


def test_what_is_there_is_kept(tmp_path, capsys):
    (tmp_path / "y.npy").write_text("precious")
    assert main([*COMMAND, "--out", str(tmp_path / "y.npy")]) == 2
    assert (tmp_path / "y.npy").read_text() == "precious"
    assert main([*COMMAND, "--out", str(tmp_path / "y.npy"), "--overwrite"]) == 0
    assert np.load(tmp_path / "y.npy").shape == (50, 10)


def test_many_outputs_are_said_to_be_elsewhere(tmp_path, capsys):
    form = TensorFormat((1,), 0, 9)
    wide = TensorFormat((20,), 0, 9)
    weights = np.ones((20, 1), np.int64)
    qbitsat.save(
        Network((Dense("wide", form, wide, (wide.requantizer(0, "floor"),), weights, np.zeros(20, np.int64)),)), tmp_path / "n.npz"
    )
    np.save(tmp_path / "x.npy", np.array([[3]]))
    command = ["run", str(tmp_path / "n.npz"), "--inputs", str(tmp_path / "x.npy")]
    assert main(command) == 0
    assert capsys.readouterr().out.splitlines()[1:] == ["1 sample", "20 outputs a sample are not shown; --out FILE writes them"]
    assert main([*command, "--out", str(tmp_path / "y.csv")]) == 0
    assert "not shown" not in capsys.readouterr().out
    assert main(["inspect", command[1]]) == 0
    assert "input       1 integer in [0, 9]," in capsys.readouterr().out
