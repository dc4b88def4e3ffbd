"""What quantizing the floats of an .h5 loses is counted, kept as a note, printed once, and warned of where it is much."""

import copy
import pickle
import warnings

import numpy as np
import pytest
from handmade import copying
from test_benchmark_h5 import keras_file

from qbitsat.arithmetic import ShiftRequantizer
from qbitsat.cli.main import main
from qbitsat.importers import load, save
from qbitsat.network import Dense, Network, TensorFormat


@pytest.fixture
def path(tmp_path):
    return tmp_path / "net_qu_6.h5"


def write(path, *layers) -> None:
    """Layers of (kernel as inputs x outputs, bias)."""
    kernels, biases = zip(*((np.float32(kernel), np.float32(bias)) for kernel, bias in layers), strict=True)
    keras_file(path, kernels, biases, [f"quantized_dense_{k}" for k in range(len(layers))])


EXACT = ([[0.5, -0.25], [0.0, 0.75]], [0.0, 1.5])


def test_nothing_lost_is_nothing_said(path):
    write(path, EXACT)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load(path).notes == ()


def test_some_rounding_to_zero_is_noted(path):
    kernel = np.full((4, 2), 0.5)
    kernel[0, 0] = 0.01
    write(path, (kernel, [0.01, 1.0]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (note,) = load(path).notes
    assert note == "quantized from floats to 6 bits: of 8 weights and 2 biases 0 and 0 were clipped, 1 and 1 became 0"


@pytest.mark.parametrize(
    ("layer", "counts", "most"),
    [
        (([[5.0, -5.0], [0.5, 0.5]], [7.0, -7.0]), "of 8 weights and 4 biases 2 and 2 were clipped, 0 and 0 became 0", "2 and 0"),
        (([[1e-3, -1e-3], [0.5, 0.5]], [0, 0]), "of 8 weights and 4 biases 0 and 0 were clipped, 2 and 0 became 0", "0 and 2"),
    ],
)
def test_much_lost_is_warned_of(path, layer, counts, most):
    write(path, EXACT, layer)
    said = f"quantized from floats to 6 bits: {counts}; most in layer quantized_dense_1: of 4 weights {most}"
    with pytest.warns(RuntimeWarning, match=said) as caught:
        network = load(path)
    assert network.notes == (said,)
    assert caught[0].filename == __file__


def test_clipped_by_a_step_is_noted_alone(path):
    write(path, ([[1.0, 0.5]], [0, 0]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "of 2 weights and 2 biases 1 and 0 were clipped" in load(path).notes[0]


@pytest.mark.parametrize(("value", "clipped"), [(0.984, 0), (0.9843, 0), (0.98438, 1), (-1.0, 0), (-1.0156, 0), (-1.0157, 1)])
def test_clipped_is_what_the_range_changes(path, value, clipped):
    """6 bits, 5 of them fractional: from -32/32 to 31/32, so that 31.5/32 and more, and -32.5/32 and less, would round to another."""
    write(path, ([[value]], [0.0]), ([[0.5]], [0.0]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        notes = load(path).notes
    assert notes == () if not clipped else "of 2 weights and 2 biases 1 and 0 were clipped" in notes[0]


def test_notes_are_no_part_of_the_function(path, tmp_path):
    write(path, ([[5.0, 0.5]], [0, 0]))
    with pytest.warns(RuntimeWarning, match="were clipped"):
        network = load(path)
    save(network, tmp_path / "saved.npz")
    saved = load(tmp_path / "saved.npz")
    assert saved.sha256 == network.sha256
    assert saved.notes == network.notes
    assert copy.deepcopy(network).notes == pickle.loads(pickle.dumps(network)).notes == network.notes != ()


def test_notes_are_shown_by_inspect_and_said_once_by_verify(path, tmp_path, capsys):
    write(path, ([[5.0, 0.5]], [0, 0]))
    np.save(tmp_path / "x.npy", np.array([[200], [0], [9]]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert main(["inspect", str(path)]) == 0
        assert "note        quantized from floats to 6 bits: of 2 weights and 2 biases 1 and 0 were clipped" in capsys.readouterr().out
        assert main(["verify", str(path), "--inputs", str(tmp_path / "x.npy"), "--eps", "1"]) in (0, 10)
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert captured.err.startswith(f"qbitsat: note: {path}: quantized from floats to 6 bits: of 2 weights")


def test_zero_points_without_offsets_are_said(tmp_path, capsys):
    form = TensorFormat((2,), -8, 7, 1.0, -3)
    layer = copying(2).layers[0]
    save(Network((Dense("d", layer.input, form, (ShiftRequantizer(0, "floor", -8, 7),), layer.weights, layer.bias),)), tmp_path / "n.npz")
    with pytest.warns(RuntimeWarning, match=r"n.npz: layer d: the output's zero point is -3, but its requantizers add no offset"):
        load(tmp_path / "n.npz")
    np.save(tmp_path / "x.npy", np.array([[9, 3]]))
    assert main(["verify", str(tmp_path / "n.npz"), "--inputs", str(tmp_path / "x.npy"), "--eps", "1"]) in (0, 10)
    assert "qbitsat: note: " in (said := capsys.readouterr().err)
    assert "layer d: the output's zero point is -3, but its requantizers add no offset" in said


def test_names_of_h5_networks_can_be_saved(tmp_path):
    for name in ("a\u00a0b_qu_6.h5", "a\u00adb_qu_6.h5", "t\tb_qu_6.h5", b"\xff_qu_6.h5"):
        file = tmp_path / (name if isinstance(name, str) else name.decode("utf-8", "surrogateescape"))
        write(file, EXACT)
        network = load(file)
        assert network.name.isprintable()
        assert network.source == str(file)
        save(network, tmp_path / "saved.npz")
        assert load(tmp_path / "saved.npz").name == network.name
