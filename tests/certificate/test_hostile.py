"""Certificates that would crash the checker, fill its memory or keep it busy: each is refused, soon and in few words."""

import json
import lzma
import pickle
import resource
import time

import numpy as np
import pytest
from forge import Parts, outcome, reason

from qbitsat.certificate.archive import write_npz
from qbitsat.certificate.check import Means
from qbitsat.certificate.folder import Item, check_item
from qbitsat.certificate.reading import MAX_NETWORKS
from qbitsat.importers.json_header import MAX_NESTING

SPLIT, DISJUNCTION, MULTIPLIERS, INFEASIBLE, REFUTATION = range(5)
SECONDS, MIB = 20.0, 1 << 20


def deflated(parts: Parts, path):
    """Written by our own writer, which deflates: hundreds of megabytes take little of a disk."""
    header = np.frombuffer(json.dumps(parts.header).encode(), np.uint8)
    with open(path, "wb") as stream:
        write_npz(stream, {"header": header, **parts.arrays})
    return path


def peak() -> int:
    """Bytes of memory that this process ever held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def nested(levels: int) -> list:
    value: list = []
    for _ in range(levels - 1):
        value = [value]
    return value


@pytest.mark.parametrize("at", [-(1 << 63), -(1 << 63) + 1, -(1 << 61), 1 << 61, (1 << 63) - 1])
@pytest.mark.parametrize("kind", ["tree", "leaf"])
def test_split_at_the_end_of_64_bits(parts, forged, kind, at):
    changed = parts(kind)
    changed.arrays["split_at"] = np.full(len(changed.arrays["split_at"]), at, np.int64)
    assert reason(forged(changed)) != ""


@pytest.mark.parametrize(
    "name",
    ["split_at", "split_value", "shares", "fact_neuron", "fact_side", "fact_bound", "fact_scale"]
    + [f"{rows}.{part}" for rows in ("rows", "fact_rows") for part in ("starts", "neurons", "values")],
)
@pytest.mark.parametrize("value", [-(1 << 63), (1 << 63) - 1])
def test_extreme_numbers_everywhere(parts, forged, name, value):
    changed = parts("leaf")
    changed.arrays[name] = np.full_like(changed.arrays[name], value, dtype=np.int64)
    # Large shares may still prove it, and facts without content lose nothing.
    assert name in ("fact_bound", "shares") or reason(forged(changed)) != ""
    outcome(forged(changed))


@pytest.mark.parametrize("size", ["i1", "i2", "i4", ">i2", ">i4", ">i8", "u1", "u2", ">u4"])
def test_integers_of_any_size_and_order_of_bytes_mean_the_same(parts, forged, size):
    for kind in ("tree", "leaf", "witness", "sat"):
        changed = parts(kind)
        for name, array in changed.arrays.items():
            same = array.astype(size)
            if not name.startswith("lrat") and (same == array).all() and array.size and (array >= 0).all() | (size[-2] == "i"):
                changed.arrays[name] = np.asfortranarray(same)
        assert reason(forged(changed)) == "", kind


@pytest.mark.parametrize("dtype", ["?", "f2", "f8", "c8", "m8[s]", "M8[s]", "S4", "U1", "V2", "u8"])
@pytest.mark.parametrize("name", ["kinds", "rows.values", "x", "fact_scale"])
def test_other_types_are_refused(parts, forged, name, dtype):
    changed = parts("tree")
    changed.arrays[name] = np.zeros(changed.arrays[name].shape, dtype)
    assert "array" in reason(forged(changed))


@pytest.mark.parametrize("shape", [(), (0,), (1, 1, 1)])
@pytest.mark.parametrize("name", ["kinds", "rows.starts", "x", "shares"])
def test_other_shapes_are_refused(parts, forged, name, shape):
    changed = parts("tree")
    changed.arrays[name] = np.zeros(shape, np.int8)
    assert reason(forged(changed)) != ""


@pytest.mark.parametrize("digits", [20, 4000, 5000])
def test_numbers_of_many_digits_in_the_header(parts, forged, digits):
    """Sums of numbers that may be read could not be printed any more."""
    for sign in (1, -1):
        number = int("9" * min(digits, 4000)) * sign
        for violation in ({"at_most": [[number, 0, "output", 0]], "bound": 0}, {"at_most": [[1, 0, "output", 0]], "bound": number}):
            changed = parts("formula")
            changed.header["query"]["violation"] = violation
            text = json.dumps(changed.header).replace("9" * 4000, "9" * digits)
            changed.header = text.encode()
            assert "not valid JSON" in reason(forged(changed))


@pytest.mark.parametrize("levels", [MAX_NESTING - 5, MAX_NESTING + 5, 950, 100_000])
@pytest.mark.parametrize(
    "place", [("proof", "kind"), ("options", "encoding"), ("options", "other"), ("query", "kind"), ("engine",), ("networks",)]
)
def test_nested_values_anywhere(parts, forged, place, levels):
    changed = parts("sat")
    value = changed.header
    for key in place[:-1]:
        value = value[key]
    value[place[-1]] = "HERE"
    changed.header = json.dumps(changed.header).replace('"HERE"', "[" * levels + "]" * levels).encode()
    path = forged(changed)
    said = reason(path)
    assert (place[-1] == "other" and levels < MAX_NESTING) or said != ""
    assert len(said) < 1000
    pickle.dumps(check_item(Item(path, "here"), Means()))  # as it goes through a pipe


def test_many_networks(parts, forged):
    changed = parts("wrap")
    changed.header["networks"] *= MAX_NETWORKS + 1
    assert f"expected 1 to {MAX_NETWORKS}" in reason(forged(changed))
    changed.header["networks"] = []
    assert "0 networks" in reason(forged(changed))


def test_millions_of_nodes(parts, tmp_path):
    start, before = time.monotonic(), peak()
    for kind in range(5):
        changed = parts("tree")
        changed.arrays["kinds"] = np.full(1 << 27, kind, np.uint8)
        assert reason(deflated(changed, tmp_path / "nodes.cert")) != ""
    assert time.monotonic() - start < SECONDS
    assert peak() - before < 600 * MIB


def test_millions_of_facts_stop_at_the_time_limit(parts, tmp_path):
    changed = parts("leaf")
    count = 1 << 23
    for name, value in (("neuron", 0), ("side", 1), ("bound", 1 << 30), ("scale", 1)):
        changed.arrays[f"fact_{name}"] = np.full(count, value, np.int32)
    changed.arrays |= {"fact_rows.starts": np.arange(count + 1, dtype=np.int32)}
    changed.arrays |= {f"fact_rows.{part}": np.zeros(count, np.int8) for part in ("neurons", "values")}
    before, start = peak(), time.monotonic()
    assert "the time limit" in reason(deflated(changed, tmp_path / "facts.cert"), timeout=1.0)
    assert time.monotonic() - start < SECONDS
    assert peak() - before < 600 * MIB


def test_memory_limit(parts, forged):
    assert "GiB, the memory limit" in reason(forged(parts("sat")), memory=0.001)


def test_proof_of_zeros(parts, tmp_path):
    changed = parts("sat")
    changed.arrays["lrat.0"] = np.zeros(100 << 20, np.uint8)
    before, start = peak(), time.monotonic()
    assert "the LRAT proof can't be unpacked" in reason(deflated(changed, tmp_path / "zeros.cert"))
    assert time.monotonic() - start < SECONDS
    assert peak() - before < 600 * MIB


def lrat(*parts: np.ndarray) -> np.ndarray:
    """A packed proof of these numbers."""
    return np.frombuffer(lzma.compress(np.concatenate(parts).astype("<i4").tobytes(), preset=0), np.uint8)


def test_proof_of_millions_of_steps(parts, tmp_path):
    count = 1 << 24
    changed, before, start = parts("sat"), peak(), time.monotonic()
    changed.arrays["lrat.0"] = lrat([count], np.zeros(count, np.int8), np.ones(2 * count, np.int8))
    assert "step 0 of the LRAT proof" in reason(deflated(changed, tmp_path / "steps.cert"))
    assert time.monotonic() - start < SECONDS
    assert peak() - before < 1200 * MIB


def test_proof_of_one_long_step(parts, tmp_path):
    count = 1 << 24
    changed, before = parts("sat"), peak()
    changed.arrays["lrat.0"] = lrat([1, count, 1], np.ones(count, np.int8), [0])
    assert "LRAT proof" in reason(deflated(changed, tmp_path / "step.cert"))
    changed.arrays["lrat.0"] = lrat([1, 0, count], np.zeros(count, np.int8))
    assert "LRAT proof" in reason(deflated(changed, tmp_path / "step.cert"))
    assert peak() - before < 1200 * MIB


def test_proof_that_unpacks_to_gigabytes(parts, tmp_path):
    packer, piece = lzma.LZMACompressor(preset=0), bytes(1 << 24)
    changed, before, start = parts("sat"), peak(), time.monotonic()
    changed.arrays["lrat.0"] = np.frombuffer(b"".join([*(packer.compress(piece) for _ in range(66)), packer.flush()]), np.uint8)
    assert "the memory limit" in reason(deflated(changed, tmp_path / "bomb.cert"), memory=0.5)
    assert time.monotonic() - start < 3 * SECONDS
    assert peak() - before < 700 * MIB
