"""Version 2 of qbitsat's own network file: graphs of layers of every kind, and one refused file a fault."""

import json
import random
from contextlib import suppress
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from graphs import WIDE, random_graph
from network_file import refused, write

from qbitsat.arithmetic import (
    Float32Requantizer,
    Float64Requantizer,
    MultiplierRequantizer,
    Requantizer,
    ShiftRequantizer,
    TableRequantizer,
    ThresholdRequantizer,
)
from qbitsat.errors import InputError, UnsupportedError
from qbitsat.importers import load, save
from qbitsat.importers.qbitsat_layers import REQUANTIZERS
from qbitsat.network import Convolution, Dense, Linear, Network, Patches, SparseRows, TensorFormat


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "network.npz"


def read_parts(path: Path) -> tuple[dict, dict[str, np.ndarray]]:
    with np.load(path) as archive:
        arrays = {name: archive[name] for name in archive.files if name != "header"}
        return json.loads(archive["header"].tobytes()), arrays


@pytest.mark.parametrize("firsts", [(), (-5, 3, 3, 1 << 40), (-(1 << 62), 1 << 62)])
def test_round_trip_of_thresholds_is_exact(path, firsts):
    step = ThresholdRequantizer(-2, firsts)
    form = TensorFormat((1,), 0, 7)
    layer = Dense("dense", form, TensorFormat((1,), step.lo, step.hi), (step,), np.array([[3]]), np.array([1]))
    save(Network((layer,), "steps"), path)
    assert load(path).layers[0].requantizers == (step,)


@pytest.mark.filterwarnings("ignore:.*zero point:RuntimeWarning")
@pytest.mark.parametrize("seed", range(0, 200, 10))
def test_round_trip_of_graphs_is_exact(path, seed):
    for k in range(seed, seed + 10):
        network = random_graph(random.Random(k), tops=WIDE)
        save(network, path)
        copy = load(path)
        assert copy.sha256 == network.sha256
        assert [type(layer) for layer in copy.layers] == [type(layer) for layer in network.layers]
        assert [layer.requantizers for layer in copy.layers] == [layer.requantizers for layer in network.layers]
        assert all((a == b).all() for a, b in zip(copy.reads, network.reads, strict=True))
        assert (copy.inputs, copy.output) == (network.inputs, network.output)


def small_graph() -> Network:
    """A convolution, a sum of its outputs and the input, and sparse rows behind it."""
    form, wide = TensorFormat((2, 2, 1), -4, 3), TensorFormat((8,), -4, 3)
    shift, table = ShiftRequantizer(0, "floor", -4, 3), TableRequantizer(-1, (-9, 0, 0, 7))
    conv = Convolution("conv", form, form, (shift,), np.full((1, 2, 2, 1), 1), [1], padding=((1, 0), (0, 1)))
    patches = Patches(8, np.arange(4), np.array([0, 4]), 0, np.ones((1, 1, 2), int), np.zeros((1, 1), int))
    add = Linear("add", wide, form, (shift, shift, shift, Float32Requantizer(0.5, -4, 3)), patches)
    rows = SparseRows(3, np.array([0, 2, 3]), np.array([0, 2, 1]), np.array([1, -1, 2]), np.array([0, 5]))
    last = Linear("rows", form, TensorFormat((2,), -9, 7), (table, MultiplierRequantizer(1 << 30, 0, "double", 0, 7)), rows, [3, -1, 0])
    reads = (np.arange(4), np.arange(8), np.arange(8, 12))
    return Network((conv, add, last), "graph", inputs=(form,), reads=reads, outputs=np.array([13, 12, 4]))


def test_a_chain_of_dense_layers_stays_version_1(path):
    form, shift = TensorFormat((2,), 0, 7), ShiftRequantizer(0, "floor", 0, 7)
    dense = Dense("dense", form, form, (shift,), [[1, 2], [3, 4]], [0, 0])
    for network, version in {
        Network((dense, dense)): 1,
        Network((dense,), outputs=np.array([3, 2])): 2,
        Network((dense,), inputs=(TensorFormat((2,), 0, 3),), reads=(np.arange(2),)): 2,
        Network((Dense("d", form, form, (Float32Requantizer(0.5, 0, 7),), [[1, 2], [3, 4]], [0, 0]),)): 2,
    }.items():
        save(network, path)
        assert read_parts(path)[0]["version"] == version
        assert load(path).sha256 == network.sha256


def test_version_2_is_written_in_columns(path):
    save(small_graph(), path)
    header, arrays = read_parts(path)
    conv, add, rows = header["layers"]
    assert (conv["kind"], conv["padding"], conv["requantizers"][0]["count"]) == ("convolution", [[1, 0], [0, 1]], 1)
    assert [entry["kind"] for entry in add["requantizers"]] == ["shift", "float32"]
    assert arrays[add["requantizer"]].tolist() == [0, 0, 0, 1]
    assert (add["map"]["kind"], rows["map"]["kind"], arrays[rows["cells"]].tolist()) == ("patches", "sparse", [3, -1, 0])
    assert arrays[rows["requantizers"][0]["values"][0]].tolist() == [-9, 0, 0, 7]


LAYER, TABLE = ("layers", 2), ("layers", 2, "requantizers", 0)


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        (("inputs",), [], "header: inputs: none, expected at least one"),
        (("inputs", 0, "shape"), [1 << 30], r"header: inputs: 1073741824 values, more than is left of the"),
        (("remarks",), "text", "header: remarks: 'text', expected a list"),
        (("remarks",), ["fine", 3], r"header: remarks\[1\]: 3, expected a string"),
        (("remarks",), ["\x1b[2J"], r"header: remarks\[0\]: .*, expected printable characters"),
        (("outputs",), "none", "header: outputs: 'none', expected an array of the file that nothing else uses"),
        (("outputs",), "0.reads", r"layers\[0\]: reads: '0.reads', expected an array of the file that nothing else uses"),
        (("layers", 0, "kind"), "pool", r"layers\[0\]: kind 'pool' is unknown; expected 'dense' or 'convolution' or 'linear'"),
        (("layers", 0, "kind"), ["dense"], r"layers\[0\]: kind a list is unknown"),
        (("layers", 0, "cells"), "x", r"layers\[0\]: key 'cells' is unknown"),
        (("layers", 0, "strides"), [1], r"layers\[0\]: strides: 1 values, expected 2"),
        (("layers", 0, "strides"), [0, 1], r"layers\[0\]: layer 'conv': strides is 0"),
        (("layers", 0, "dilation"), [1, 1.5], r"layers\[0\]: dilation\[1\]: 1.5, expected an integer"),
        (("layers", 0, "padding"), [[1, 0]], r"layers\[0\]: padding: 1 values, expected 2"),
        (("layers", 0, "padding"), [[1, 0], 3], r"layers\[0\]: padding\[1\]: 3, expected a list"),
        (("layers", 0, "padding"), [[10**4, 0], [0, 10**4]], r"layers\[0\]: padding: 100040004 values, more than is left"),
        (("layers", 0, "groups"), 3, r"layers\[0\]: layer 'conv': 3 groups do not divide"),
        (("layers", 0, "output", "shape"), [1 << 20, 1 << 20, 1], r"layers\[0\]: output: 1099511627776 values, more than is left"),
        (("layers", 1, "input", "shape"), [9], r"layers\[1\]: reads has shape \(8,\), expected \(9,\)"),
        (("layers", 1, "map", "kind"), "dense", r"layers\[1\]: map: kind 'dense' is unknown; expected 'patches' or 'sparse'"),
        (("layers", 1, "map", "n_in"), 7, r"layers\[1\]: map: patches: cell 7 of 7 is read"),
        (("layers", 1, "map", "n_in"), 1 << 31, r"layers\[1\]: map: patches: n_in is 2147483648"),
        (("layers", 1, "map", "stride"), -1, r"layers\[1\]: map: patches: stride is -1"),
        ((*LAYER, "map", "n_in"), 2, r"layers\[2\]: map: rows: indices: values from 0 to 2, expected integers in \[0, 1\]"),
        ((*LAYER, "map", "n_in"), 4, r"layers\[2\]: layer 'rows': cells: shape \(3,\), expected \(4,\)"),
        ((*LAYER, "requantizer"), "2.reads", r"layers\[2\]: requantizer: '2.reads', expected an array of the file that nothing else uses"),
        ((*TABLE, "kind"), "step", r"requantizers\[0\]: kind 'step' is unknown; expected 'shift' or 'multiplier'"),
        ((*TABLE, "count"), 3, r"requantizers\[0\]: count 3, expected 1 to 2"),
        ((*TABLE, "count"), 2, r"requantizers\[0\]: values: 1 values, expected 2"),
        ((*TABLE, "values"), "2.table.0", r"requantizers\[0\]: values: '2.table.0', expected a list"),
        ((*TABLE, "values"), [3], r"requantizers\[0\]: values\[0\]: 3, expected a string"),
        ((*TABLE, "first"), 1 << 40, r"requantizers\[0\]: requantizer: first is 1099511627776"),
        (("layers", 2, "requantizers", 1, "form"), "triple", r"requantizers\[1\]: requantizer: form 'triple' is unknown"),
        (("layers", 2, "requantizers", 1, "shift"), 31, r"requantizers\[1\]: requantizer: shift is 31"),
        (("layers", 1, "requantizers", 1, "scale"), 1e-60, r"requantizers\[1\]: requantizer: scale"),
        ((*LAYER, "requantizers"), [], r"layers\[2\]: requantizer: numbers from 0 to 1, expected one of 0 requantizers"),
    ],
)
def test_header_fault_of_version_2_is_refused_at_its_place(path, keys, value, message):
    save(small_graph(), path)
    header, arrays = read_parts(path)
    place = header
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    write(path, header, arrays)
    refused(path, message)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("outputs", [14], r"outputs: values from 14 to 14, expected integers in \[0, 13\]"),
        ("outputs", [[1]], "outputs: shape"),
        ("0.reads", [0, 1, 2, 4], "what layer 'conv' reads: values from 0 to 4"),
        ("0.weights", [1, 1, 1, 1], r"layers\[0\]: layer 'conv': weights of shape \(4,\)"),
        ("1.requantizer", [0, 0, 1], r"layers\[1\]: requantizer has shape \(3,\), expected \(1,\) or \(4,\)"),
        ("1.requantizer", [0, 0, 0, 2], r"layers\[1\]: requantizer: numbers from 0 to 2, expected one of 2 requantizers"),
        ("1.requantizer", [0, 0, 0, -1], r"layers\[1\]: requantizer: numbers from -1 to 0"),
        ("1.start", [0, 1, 2, 4], r"layers\[1\]: map: patches: cell 8 of 8 is read"),
        ("1.start", [0, 1, 2], r"layers\[1\]: layer 'add': a map of 8 cells and 3 accumulators"),
        ("1.start", [], r"layers\[1\]: map: patches: start: int64 of shape \(0,\), expected integers along one axis"),
        ("1.start", [-1, 0, 1, 2], r"layers\[1\]: map: patches: start: values from -1 to 2"),
        ("1.offset", [4, 4], r"layers\[1\]: map: patches: an offset comes twice, and so a cell in a row"),
        ("1.offset", [0, 1, 2], r"layers\[1\]: map: patches: rows of shape \(1, 1, 2\), but bias of \(1, 1\) and 3 offsets"),
        ("1.rows", [[1, 1]], r"layers\[1\]: map: patches: rows: int64 of shape \(1, 2\), expected integers along 3 axes"),
        ("1.rows", [[[1 << 31, 1]]], r"layers\[1\]: map: patches: rows: values from 1 to 2147483648"),
        ("1.bias", [[1 << 60]], r"layers\[1\]: map: patches: bias: values from"),
        ("2.indptr", [0, 1, 4], r"layers\[2\]: map: rows: indptr: values from 0 to 4, expected integers in \[0, 3\]"),
        ("2.indptr", [0, 3, 2], r"layers\[2\]: map: rows: indptr does not split 3 weights into 2 rows"),
        ("2.indptr", [1, 2, 3], r"layers\[2\]: map: rows: indptr does not split"),
        ("2.indptr", [0, 3], r"layers\[2\]: map: rows: indptr does not split"),
        ("2.indices", [2, 0, 1], r"layers\[2\]: map: rows: indices\[1\] does not ascend within its row"),
        ("2.indices", [0, 0, 1], r"layers\[2\]: map: rows: indices\[1\] does not ascend within its row"),
        ("2.indices", [0, 1], r"layers\[2\]: map: rows: 2 indices of 3 weights"),
        ("2.weights", [1, 0, 2], r"layers\[2\]: map: rows: weights\[1\] is 0"),
        ("2.cells", [3, -2, 0], r"layers\[2\]: layer 'rows': cells: values from -2 to 3"),
        ("2.table.0", [0, 1, 0], r"requantizers\[0\]: requantizer: values\[2\] is 0, expected at least the 1 before it"),
        ("2.table.0", [[0]], r"requantizers\[0\]: values\[0\]: shape \(1, 1\), expected one axis of at most 65536 values"),
    ],
)
def test_array_fault_of_version_2_is_refused_at_its_place(path, name, value, message):
    save(small_graph(), path)
    header, arrays = read_parts(path)
    write(path, header, {**arrays, name: np.array(value, np.int64)})
    refused(path, message)


def test_an_array_that_a_graph_does_not_name_is_refused(path):
    save(small_graph(), path)
    header, arrays = read_parts(path)
    del header["layers"][2]["cells"]
    write(path, header, arrays)
    refused(path, "a map of 3 cells|array '2.cells' is not named in the header")


def test_save_refuses_a_layer_of_a_kind_of_ones_own(path):
    class Other(Linear):
        pass

    form = TensorFormat((1,), 0, 1)
    layer = Other("mine", form, form, (ShiftRequantizer(0, "floor", 0, 1),), SparseRows.of_matrix(np.array([[1]]), np.array([0])))
    with pytest.raises(UnsupportedError, match="layer 'mine': the file format has no layer of kind Other"):
        save(Network((layer,)), path)


def test_flipped_bits_of_graphs_never_escape_as_other_errors(path):
    save(small_graph(), path)
    data = path.read_bytes()
    rng = np.random.default_rng(2)
    for place, bit in zip(rng.integers(0, len(data), 300), rng.integers(0, 8, 300), strict=True):
        path.write_bytes(data[:place] + bytes([data[place] ^ (1 << bit)]) + data[place + 1 :])
        with suppress(InputError, UnsupportedError):
            load(path)


@pytest.mark.parametrize("seed", range(6))
def test_changed_numbers_of_graphs_never_escape_as_other_errors(path, seed):
    """Headers and arrays that are whole, but with numbers that nothing agrees with."""
    rng = random.Random(seed)
    save(random_graph(rng), path)
    for _ in range(60):
        header, arrays = read_parts(path)
        if rng.random() < 0.5:
            name = rng.choice(sorted(arrays))
            changed = arrays[name].astype(np.int64)
            changed[tuple(rng.randrange(n) for n in changed.shape)] = rng.choice([-1, 0, 1, 7, 1 << 20, 1 << 31, -(1 << 63)])
            arrays[name] = rng.choice([changed, changed.ravel(), changed[:1], changed[:0], changed[None]])
        else:
            _change(rng, header)
        changed_path = path.with_name("changed.npz")
        write(changed_path, header, arrays)
        with suppress(InputError, UnsupportedError):
            load(changed_path)


def _change(rng: random.Random, value) -> None:
    """Put another number or another kind of value somewhere into nested objects and lists."""
    while True:
        key = rng.choice(sorted(value)) if isinstance(value, dict) else rng.randrange(len(value))
        if isinstance(value[key], dict | list) and value[key] and rng.random() < 0.9:
            value = value[key]
            continue
        value[key] = rng.choice([-1, 0, 1, 2, 1 << 20, 1 << 31, -(1 << 63), 0.5, 1e300, None, "0.bias", [], {}, [1, 1], True])
        return


def test_every_field_of_every_requantizer_is_written():
    ours = {kind for kind in Requantizer.__subclasses__() if kind.__module__.startswith("qbitsat.")}
    assert {make for make, _ in REQUANTIZERS.values()} == ours
    for make, keys in REQUANTIZERS.values():
        assert set(keys) == {field.name for field in fields(make)}


@pytest.mark.parametrize(
    "step",
    [Float32Requantizer(0.25, -8, 7, 1, 0.5), Float64Requantizer(0.1, -8, 7, -2), ThresholdRequantizer(-2, (-(1 << 62), 0, 5, 5, 1 << 62))],
)
def test_requantizers_of_floats_and_thresholds(tmp_path, step):
    layer = Dense("d", TensorFormat((2,), 0, 3), TensorFormat((2,), step.lo, step.hi), (step,), np.eye(2, dtype=int), np.zeros(2, int))
    save(Network((layer,)), tmp_path / "network.npz")
    assert load(tmp_path / "network.npz").layers[0].requantizers == (step,)
