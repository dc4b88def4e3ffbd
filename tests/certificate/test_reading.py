"""Files that are no certificates, or try to be too large: one error that names file and place, soon."""

import io
import json
import zipfile
import zlib

import numpy as np
import pytest
from forge import outcome, reason

from qbitsat.certificate import reading
from qbitsat.errors import InputError


def unreadable(path, why: str) -> bool:
    said = outcome(path)
    assert isinstance(said, InputError), said
    assert str(path) in str(said)
    assert why in str(said), said
    return True


def test_missing_file(tmp_path):
    assert unreadable(tmp_path / "none.cert", "can't be read")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"hello", b"\0" * 1000])
def test_no_archive(tmp_path, content):
    path = tmp_path / "x.cert"
    path.write_bytes(content)
    assert unreadable(path, "damaged .npz archive")


def test_network_is_no_certificate(goods, parts):
    assert "expected an object with format 'qbitsat certificate'" in reason(parts("tree").header["networks"][0]["path"])


def test_truncated_file(goods, tmp_path):
    data = goods["tree"].read_bytes()
    for size in range(0, len(data), max(1, len(data) // 40)):
        (tmp_path / "cut.cert").write_bytes(data[:size])
        assert unreadable(tmp_path / "cut.cert", "")


def test_flipped_bytes(goods, tmp_path):
    data = goods["tree"].read_bytes()
    for place in range(0, len(data), max(1, len(data) // 200)):
        (tmp_path / "bad.cert").write_bytes(data[:place] + bytes([data[place] ^ 0x55]) + data[place + 1 :])
        outcome(tmp_path / "bad.cert")  # whatever it says, it says it properly


FIELDS = [
    ("version", 2, "version 2, expected 4"),
    ("version", "2", "version: '2', expected an integer"),
    ("format", "x", "expected an object with format"),
    ("networks", 1, "expected a list"),
    ("networks", [1], "networks[0]"),
    ("networks", [{}], "'sha256' is missing"),
    ("networks", [{"sha256": 1}], "expected a string"),
    ("query", [], "expected an object"),
    ("query", {}, "kind None is unknown"),
    ("query", {"kind": "robustness"}, "'eps' is missing"),
    ("query", {"kind": "robustness", "eps": 1.5, "label": 0}, "eps: 1.5, expected an integer"),
    ("query", {"kind": "robustness", "eps": -1, "label": 0}, "expected an integer of at least 0"),
    ("query", {"kind": "robustness", "eps": 1, "label": 99}, "label: 99"),
    ("query", {"kind": "robustness", "eps": 1, "label": 0, "target": "x"}, "target"),
    ("query", {"kind": "robustness", "eps": 1, "label": 0, "more": 1}, "'more' is unknown"),
    ("query", {"kind": "general", "violation": {"or": []}}, "has no array 'box.0.lo'"),
    ("verdict", 1, "expected a string"),
    ("verdict", "\x1b[2J", "expected printable characters"),
    ("engine", None, "expected a string"),
    ("options", [], "expected an object"),
    ("proof", {}, "kind None is unknown"),
    ("proof", {"kind": "tree"}, "'cnf_sha256' is missing"),
    ("proof", {"kind": "tree", "cnf_sha256": [1]}, "expected a string"),
]


@pytest.mark.parametrize(("key", "value", "why"), FIELDS, ids=[f"{key}-{i}" for i, (key, _, _) in enumerate(FIELDS)])
def test_header_field_of_another_kind(parts, forged, key, value, why):
    changed = parts("tree")
    changed.header[key] = value
    assert unreadable(forged(changed), why)


@pytest.mark.parametrize("key", ["format", "version", "qbitsat", "networks", "query", "verdict", "engine", "options", "proof"])
def test_header_field_missing(parts, forged, key):
    changed = parts("tree")
    del changed.header[key]
    assert unreadable(forged(changed), "")


HEADERS = {
    "not JSON": b"{",
    "constant": b'{"format": NaN}',
    "key twice": b'{"format": 1, "format": 1}',
    "deep": b"[" * 100_000,
    "huge number": b'{"format": ' + b"9" * 10_000 + b"}",
    "not an object": b"3",
    "not UTF-8": b'{"\xff": 1}',
}


@pytest.mark.parametrize("name", HEADERS)
def test_header_of_odd_bytes(parts, forged, name):
    changed = parts("tree")
    changed.header = HEADERS[name]
    assert unreadable(forged(changed), "header")


def test_formula_too_deep(parts, forged):
    changed = parts("formula")
    for _ in range(300):
        changed.header["query"]["violation"] = {"not": changed.header["query"]["violation"]}
    assert unreadable(forged(changed), "nests deeper than 200 levels")


FORMULAS = [
    ({"at_most": [[1, 0, "output"]], "bound": 0}, "a term of at_most"),
    ({"at_most": [[True, 0, "output", 0]], "bound": 0}, "a term of at_most"),
    ({"at_most": [[1, 7, "output", 0]], "bound": 0}, "does not exist"),
    ({"at_most": [[1, 0, "middle", 0]], "bound": 0}, "expected 'input', 'output' or 'value'"),
    ({"at_most": [[1, 0, "output", -1]], "bound": 0}, "expected an index below"),
    ({"at_most": [[1 << 62, 0, "output", 0]], "bound": 0}, "beyond the exact range"),
    ({"at_most": [[1 << 63, 0, "output", 0]], "bound": 0}, "has more than 64 bits"),
    ({"at_most": [], "bound": 0.5}, "expected an integer"),
    ({"xor": []}, "'xor' is unknown"),
    ({"and": 1}, "expected a list"),
    ({"and": [], "or": []}, "is unknown"),
    ({"not": []}, "expected an object"),
]


@pytest.mark.parametrize(("formula", "why"), FORMULAS, ids=range(len(FORMULAS)))
def test_formula_of_another_kind(parts, forged, formula, why):
    changed = parts("formula")
    changed.header["query"]["violation"] = formula
    assert why in reason(forged(changed))


def test_array_missing(parts, forged):
    for kind in ("tree", "witness", "sat", "leaf"):
        for name in parts(kind).arrays:
            changed = parts(kind)
            del changed.arrays[name]
            assert reason(forged(changed)) != "", (kind, name)


def test_array_of_floats(parts, forged):
    changed = parts("tree")
    changed.arrays["rows.values"] = changed.arrays["rows.values"].astype(float)
    assert unreadable(forged(changed), "expected integers")


def test_array_of_unsigned_64_bits(parts, forged):
    changed = parts("tree")
    changed.arrays["rows.values"] = changed.arrays["rows.values"].astype(np.uint64)
    assert unreadable(forged(changed), "expected integers of at most 64 bits with a sign")


def test_array_of_another_shape(parts, forged):
    for name in ("rows.starts", "kinds", "x", "fact_rows.values", "split_at"):
        changed = parts("tree")
        changed.arrays[name] = changed.arrays[name][None]
        assert unreadable(forged(changed), name)


@pytest.mark.parametrize("name", ["rows", "fact_rows"])
def test_rows_that_are_none(parts, forged, name):
    """Starts that do not split the values, and neurons that are not there, or out of order, or twice in a row."""
    good = parts("tree").arrays
    starts, neurons = good[f"{name}.starts"].astype(np.int64), good[f"{name}.neurons"].astype(np.int64)
    first = next(k for k in range(len(starts) - 1) if starts[k + 1] - starts[k] > 1)
    at, far = starts[first], 1 << 62
    changes = {
        "starts": [starts[1:], starts - 1, np.append(starts[:-1], far), np.r_[starts[0], far, starts[2:]], np.r_[0, -far, starts[2:]], []],
        "neurons": [neurons[1:], np.append(neurons, 0), np.r_[-1, neurons[1:]], np.append(neurons[:-1], far)],
    }
    for other in (neurons[at + 1], neurons[at + 1] + 1):
        changes["neurons"].append(np.r_[neurons[:at], other, neurons[at + 1 :]])
    for part, arrays in changes.items():
        for array in arrays:
            changed = parts("tree")
            changed.arrays[f"{name}.{part}"] = np.array(array, np.int64)
            assert unreadable(forged(changed), f"array '{name}.")


def test_array_that_nothing_asks_for(parts, forged):
    changed = parts("tree")
    changed.arrays["more"] = np.arange(3)
    assert unreadable(forged(changed), "array 'more' has no meaning here")


def test_kind_of_node_that_is_none(parts, forged):
    for kind in (5, 255):
        changed = parts("tree")
        changed.arrays["kinds"][0] = kind
        assert unreadable(forged(changed), "expected 0 to 4")


def test_facts_of_different_lengths(parts, forged):
    changed = parts("tree")
    changed.arrays["fact_side"] = changed.arrays["fact_side"][:-1]
    assert unreadable(forged(changed), "differ in length")


def test_zip_bomb(tmp_path, goods):
    """A member that claims 4 GiB, and one that holds more than it claims."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": (1 << 32,)})
    path = tmp_path / "bomb.cert"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("header.npy", header.getvalue() + bytes(1 << 20))
    data = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        size = archive.infolist()[0].file_size
    for claimed, why in (((1 << 32) - 2, "expected at most"), (size // 2, "")):
        forged = bytes(data).replace(size.to_bytes(4, "little"), claimed.to_bytes(4, "little"))
        path.write_bytes(forged)
        assert unreadable(path, why)


def test_unpacking_is_bounded(goods, monkeypatch):
    monkeypatch.setattr(reading, "MAX_BYTES", 100)
    assert unreadable(goods["tree"], "expected at most 100")


def test_pickles_are_never_loaded(parts, tmp_path):
    path = tmp_path / "pickle.cert"
    header = np.frombuffer(json.dumps(parts("tree").header).encode(), np.uint8)
    with open(path, "wb") as stream:
        np.savez(stream, header=header, kinds=np.array([{}], dtype=object))
    assert unreadable(path, "pickle")


def test_checksum_of_a_member(goods, tmp_path):
    """A change inside a member is noticed even where it can still be unpacked."""
    with zipfile.ZipFile(goods["tree"]) as archive:
        crc = archive.getinfo("kinds.npy").CRC
    data = goods["tree"].read_bytes().replace(crc.to_bytes(4, "little"), zlib.crc32(b"x").to_bytes(4, "little"))
    (tmp_path / "x.cert").write_bytes(data)
    assert unreadable(tmp_path / "x.cert", "")
