"""qbitsat's own network file: exact round trip, deterministic bytes, all or nothing."""

import io
import json
import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from network_file import small_network

from qbitsat.arithmetic import ROUNDINGS, Requantizer, ShiftRequantizer
from qbitsat.errors import InputError, UnsupportedError
from qbitsat.importers import load, save
from qbitsat.network import Dense, Network, TensorFormat


def requantizers(count: int, lo: int, hi: int, overflow: str) -> st.SearchStrategy:
    one = st.builds(
        ShiftRequantizer, st.integers(-2, 9), st.sampled_from(ROUNDINGS), st.just(lo), st.just(hi), st.just(overflow), st.integers(-9, 9)
    )
    return st.lists(one, min_size=count, max_size=count).map(tuple)


@st.composite
def networks(draw) -> Network:
    """One to three layers with any rounding, overflow, zero point, and one requantizer or one a channel."""
    source = TensorFormat((2, draw(st.integers(1, 2))), -3, 12, draw(st.floats(1e-6, 10)), draw(st.integers(-3, 3)))
    layers = []
    for k in range(draw(st.integers(1, 3))):
        n_out, lo = draw(st.integers(1, 4)), draw(st.integers(-8, 0))
        target = TensorFormat((n_out,), lo, lo + 15, 0.25, draw(st.integers(-2, 2)))
        reach = draw(st.sampled_from([100, 30000, (1 << 31) - 1]))
        flat = draw(st.lists(st.integers(-reach, reach), min_size=n_out * source.size, max_size=n_out * source.size))
        bias = draw(st.lists(st.integers(-(1 << 50), 1 << 50), min_size=n_out, max_size=n_out))
        rules = draw(requantizers(draw(st.sampled_from([1, n_out])), lo, lo + 15, draw(st.sampled_from(["saturate", "wrap"]))))
        weights = np.array(flat, np.int64).reshape(n_out, source.size)
        layers.append(Dense(f"layer {k} \N{GREEK SMALL LETTER ALPHA}", source, target, rules, weights, np.array(bias, np.int64)))
        source = target
    return Network(tuple(layers), "any")


@settings(max_examples=100, deadline=None)
@given(networks())
@pytest.mark.filterwarnings("ignore:.*requantizers add no offset")
def test_round_trip_is_exact(network):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.npz"
        save(network, path)
        copy = load(path)
    assert copy.sha256 == network.sha256
    assert (copy.name, [layer.name for layer in copy.layers]) == (network.name, [layer.name for layer in network.layers])
    assert all((a.weights == b.weights).all() and (a.bias == b.bias).all() for a, b in zip(copy.layers, network.layers, strict=True))


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "network.npz"


def test_save_gives_the_same_bytes_twice(tmp_path):
    for name in ("a.npz", "b.npz"):
        save(small_network(), tmp_path / name)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_save_takes_the_smallest_dtype(path):
    save(small_network(bias=np.array([7, 8, 32768])), path)
    with np.load(path) as archive:
        assert (archive["0.weights"].dtype, archive["0.bias"].dtype) == (np.int8, np.int32)


def test_save_keeps_columns_short_where_channels_agree(path):
    save(small_network(), path)
    with np.load(path) as archive:
        header = json.loads(archive["header"].tobytes())
    columns = header["layers"][0]["requantizers"]
    assert (columns["count"], columns["shift"], columns["offset"]) == (3, 2, [1, 2, 3])


def test_save_replaces_an_older_file(path):
    path.write_bytes(b"old")
    save(small_network(), path)
    assert load(path).name == "small"


def test_save_leaves_nothing_half_written(path, monkeypatch):
    def no_space(*_):
        raise OSError(28, "No space left on device")

    path.write_bytes(b"old")
    monkeypatch.setattr(os, "replace", no_space)
    with pytest.raises(InputError, match=r"network\.npz: can't be written: No space left"):
        save(small_network(), path)
    assert [entry.read_bytes() for entry in path.parent.iterdir()] == [b"old"]


def test_save_follows_a_link(path, tmp_path):
    (tmp_path / "link.npz").symlink_to(path)
    save(small_network(), tmp_path / "link.npz")
    assert load(path).name == "small"


def test_save_refuses_a_folder(tmp_path):
    with pytest.raises(InputError, match="not a regular file"):
        save(small_network(), tmp_path)


def test_save_refuses_a_missing_folder(tmp_path):
    with pytest.raises(InputError, match="can't be written: No such file"):
        save(small_network(), tmp_path / "missing" / "network.npz")


def test_save_refuses_an_unknown_requantizer(path):
    class Step(Requantizer):
        lo, hi = 0, 15

        def apply(self, acc):
            return acc * 0

    with pytest.raises(UnsupportedError, match="'only': the file format has no requantizer of kind Step"):
        save(small_network(requantizers=(Step(),)), path)
    assert not path.exists()


def test_documented_example_loads(tmp_path, monkeypatch):
    text = (Path(__file__).parents[2] / "docs" / "reference" / "files.md").read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    exec(text.split("```python\n")[1].split("```")[0], {})
    assert load("example.npz").output.lo == -32


def test_bytes_are_a_plain_npz(path):
    save(small_network(), path)
    with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as archive:
        assert sorted(archive.files) == ["0.bias", "0.weights", "header"]
