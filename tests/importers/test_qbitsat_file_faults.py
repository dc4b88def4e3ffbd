"""One refused file a fault of qbitsat's own network format."""

import json
import os
import zipfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from network_file import parts, refused, rezip, small_network, write

from qbitsat.errors import InputError, UnsupportedError
from qbitsat.importers import load, save


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "network.npz"


# --- which file ---


def test_load_refuses_a_missing_file(path):
    refused(path, "No such file")


def test_load_refuses_a_folder(tmp_path):
    refused(tmp_path, "not a regular file")


def test_load_refuses_a_pipe(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    refused(tmp_path / "pipe", "not a regular file")


@pytest.mark.parametrize("content", [b"\x80\x04]q\0.", b"hello, world"])
def test_load_refuses_unknown_content(path, content):
    path.write_bytes(content)
    refused(path, r"unknown content; qbitsat reads its own .npz, .* int8 .tflite, quantized .onnx, and .h5")


def test_load_goes_by_content_not_by_name(tmp_path):
    save(small_network(), tmp_path / "network.h5")
    assert load(tmp_path / "network.h5").name == "small"


@pytest.mark.parametrize("name", ["bits", "input_bits"])
def test_load_refuses_bits_for_its_own_format(path, name):
    save(small_network(), path)
    with pytest.raises(InputError, match=f"{name}: 8, but .* has its own formats"):
        load(path, **{name: 8})


# --- the archive ---


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.99])
def test_truncated_zip_is_refused(path, keep):
    save(small_network(), path)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    refused(path, "damaged .npz archive")


def test_flipped_bit_is_refused(path):
    save(small_network(), path)
    data = path.read_bytes()
    place = data.index(bytes([1, 254, 3, 4, 5, 6]))
    path.write_bytes(data[:place] + b"\7" + data[place + 1 :])
    refused(path, "'0.weights': damaged archive member: Bad CRC")


def test_compressed_member_is_refused(path):
    header, arrays = parts(path)
    np.savez_compressed(path, header=np.frombuffer(json.dumps(header).encode(), np.uint8), **arrays)
    refused(path, "member 'header.npy' is compressed")


def test_member_of_another_kind_is_refused(path):
    save(small_network(), path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("readme.txt", "hello")
    refused(path, "member 'readme.txt', expected .npy members")


def test_member_twice_is_refused(path):
    save(small_network(), path)
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("0.bias.npy", b"")
    refused(path, "member '0.bias.npy', expected .npy members with different names")


def test_overlapping_members_are_refused(path):
    save(small_network(), path)
    data = path.read_bytes()
    # The central directory's uncompressed sizes of all members: 24 bytes into each entry.
    for entry in (i for i in range(len(data)) if data.startswith(b"PK\1\2", i)):
        data = data[: entry + 24] + (10**6).to_bytes(4, "little") + data[entry + 28 :]
    path.write_bytes(data)
    refused(path, "its members claim 3000000 bytes, the file has")


@pytest.mark.parametrize(
    ("shape", "message"),
    [("(99999, 99999)", "9999800001 elements, expected at most"), ("(4, 2)", "takes 8 bytes, found 6"), ("(-3, 2)", "none negative")],
)
def test_npy_header_that_claims_another_shape_is_refused(path, shape, message):
    save(small_network(), path)

    def claim(name: str, data: bytes) -> bytes:
        old = b"'shape': (3, 2), }"
        new = f"'shape': {shape}, }}".encode()
        return data.replace(old + b" " * (len(new) - len(old)), new) if name == "0.weights.npy" else data

    rezip(path, claim)
    refused(path, f"array '0.weights': shape .*{message}")


def test_npy_header_that_is_no_header_is_refused(path):
    save(small_network(), path)
    rezip(path, lambda name, data: data.replace(b"{'descr'", b"(('descr") if name == "0.bias.npy" else data)
    refused(path, "array '0.bias': damaged .npy header")


def test_npy_header_of_absurd_length_is_refused(path):
    save(small_network(), path)
    rezip(path, lambda name, data: b"\x93NUMPY\2\0\xff\xff\xff\x7f" + data[10:] if name == "0.bias.npy" else data)
    refused(path, "array '0.bias': damaged .npy header")


# --- arrays ---


def test_pickled_array_is_refused(path):
    header, arrays = parts(path)
    write(path, header, {**arrays, "0.weights": arrays["0.weights"].astype(object)})
    refused(path, "array '0.weights': holds pickled objects, which are never loaded; expected integers")


def test_float_weights_are_refused(path):
    header, arrays = parts(path)
    write(path, header, {**arrays, "0.weights": arrays["0.weights"].astype(np.float32)})
    refused(path, "array '0.weights': dtype float32, expected integers")


def test_nan_bias_is_refused(path):
    header, arrays = parts(path)
    write(path, header, {**arrays, "0.bias": np.full(3, np.nan)})
    refused(path, "array '0.bias': dtype float64, expected integers")


def test_missing_array_is_refused(path):
    header, arrays = parts(path)
    del arrays["0.bias"]
    write(path, header, arrays)
    refused(path, r"layers\[0\]: bias: '0.bias', expected an array of the file")


def test_array_used_twice_is_refused(path):
    header, arrays = parts(path)
    header["layers"][0]["bias"] = "0.weights"
    write(path, header, arrays)
    refused(path, r"layers\[0\]: bias: '0.weights', expected an array of the file that nothing else uses")


def test_array_that_no_layer_names_is_refused(path):
    header, arrays = parts(path)
    write(path, header, {**arrays, "extra": np.arange(3)})
    refused(path, "array 'extra' is not named in the header")


def test_bias_of_wrong_shape_is_refused(path):
    header, arrays = parts(path)
    write(path, header, {**arrays, "0.bias": np.arange(4)})
    refused(path, r"layers\[0\]: bias has shape \(4,\), expected \(3,\)")


def test_weights_of_wrong_shape_are_refused(path):
    header, arrays = parts(path)
    write(path, header, {**arrays, "0.weights": arrays["0.weights"].T})
    refused(path, r"layers\[0\]: layer 'only': weights: shape \(2, 3\), expected \(3, 2\)")


def test_weights_beyond_32_bits_are_refused(path):
    header, arrays = parts(path)
    write(path, header, {**arrays, "0.weights": np.full((3, 2), np.uint64(2**63))})
    refused(path, "weights: values from 9223372036854775808 .* expected integers in")


# --- the header ---


def test_missing_header_is_refused(path):
    np.savez(path, x=np.arange(3))
    refused(path, "has no array 'header'")


def test_header_of_wrong_dtype_is_refused(path):
    np.savez(path, header=np.arange(3, dtype=np.uint16))
    refused(path, "header: uint16 of shape .* JSON as uint8")


@pytest.mark.parametrize("text", [b"{", b"\xff", b"[" * 100_000, b'{"version": NaN}', b'{"a": 1, "a": 1}', b"1" * 5000])
def test_header_that_is_not_json_is_refused(path, text):
    write(path, text, {})
    refused(path, "header: (not valid JSON|expected an object|100000 lists in)")


@pytest.mark.parametrize("value", [[], {}, {"format": "other"}])
def test_header_of_another_format_is_refused(path, value):
    write(path, value, {})
    refused(path, "header: expected an object with format 'qbitsat network'")


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        (("version",), 3, "header: version 3, expected 1 or 2"),
        (("version",), 2, "header: key 'inputs' is missing"),
        (("version",), [1], "header: version: a list, expected an integer"),
        (("version",), True, "header: version: True, expected an integer"),
        (("extra",), 0, "header: key 'extra' is unknown"),
        (("name",), 5, "header: name: 5, expected a string"),
        (("layers",), {}, "header: layers: an object, expected a list"),
        (("layers", 0), 3, r"layers\[0\]: 3, expected an object"),
        (("layers", 0, "kind"), "pool", r"layers\[0\]: kind 'pool' is unknown; expected 'dense'"),
        (("layers", 0, "extra"), 0, r"layers\[0\]: key 'extra' is unknown"),
        (("layers", 0, "input", "lo"), 0.0, r"layers\[0\]: input: lo: 0.0, expected an integer"),
        (("layers", 0, "input", "lo"), 99, r"layers\[0\]: input: tensor: lo 99 is above hi 15"),
        (("layers", 0, "input", "scale"), 1, r"layers\[0\]: input: scale: 1, expected a number with a fraction"),
        (("layers", 0, "input", "scale"), -1.5, r"layers\[0\]: input: tensor: scale is -1.5"),
        (("layers", 0, "output", "shape"), [], r"layers\[0\]: output: tensor: shape \(\)"),
        (("layers", 0, "output", "shape", 0), 1e9, r"layers\[0\]: output: shape\[0\]: 1000000000.0, expected an integer"),
        (("layers", 0, "output", "shape", 0), 10**15, r"layers\[0\]: bias has shape \(3,\), expected \(1000000000000000,\)"),
        (("layers", 0, "requantizers", "kind"), "table", r"requantizers: kind 'table' is unknown; expected 'shift'"),
        (("layers", 0, "requantizers", "count"), 10**9, r"requantizers: count 1000000000, expected 1 or 3"),
        (("layers", 0, "requantizers", "offset"), [1, 2], r"requantizers: offset: 2 values, expected 3"),
        (("layers", 0, "requantizers", "offset"), [1, 2, "3"], r"requantizers: offset\[2\]: '3', expected an integer"),
        (("layers", 0, "requantizers", "rounding"), "up", r"requantizers: requantizer: rounding 'up' is unknown"),
        (("layers", 0, "requantizers", "hi"), 14, r"layers\[0\]: layer 'only': requantizers give \[0, 14\]"),
        (("layers", 0, "requantizers", "shift"), None, r"requantizers: shift: None, expected an integer"),
    ],
)
def test_header_fault_is_refused_at_its_place(path, keys, value, message):
    header, arrays = parts(path)
    place = header
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    write(path, header, arrays)
    refused(path, message)


def test_header_without_a_key_is_refused(path):
    header, arrays = parts(path)
    del header["layers"][0]["input"]["zero_point"]
    write(path, header, arrays)
    refused(path, r"layers\[0\]: input: key 'zero_point' is missing; expected shape, lo, hi, scale, zero_point")


def test_layers_that_do_not_fit_are_refused(path):
    header, arrays = parts(path)
    second = {**header["layers"][0], "weights": "w", "bias": "b"}
    header["layers"].append(second)
    write(path, header, {**arrays, "w": arrays["0.weights"], "b": arrays["0.bias"]})
    refused(path, "network 'small': layer 'only' reads")


def test_header_without_layers_is_refused(path):
    header, _ = parts(path)
    write(path, {**header, "layers": []}, {})
    refused(path, "network 'small': has no layers")


def test_flipped_bits_never_escape_as_other_errors(path):
    save(small_network(), path)
    data = path.read_bytes()
    rng = np.random.default_rng(1)
    for place, bit in zip(rng.integers(0, len(data), 400), rng.integers(0, 8, 400), strict=True):
        path.write_bytes(data[:place] + bytes([data[place] ^ (1 << bit)]) + data[place + 1 :])
        with suppress(InputError, UnsupportedError):
            load(path)
