"""Files of samples with faults: each is refused, with its name and what was expected."""

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from sample_files import FORM, SAMPLES, idx, npy, npz, refused

from qbitsat.errors import InputError
from qbitsat.importers import files, inputs, load, load_inputs, load_labels


@pytest.fixture
def path(tmp_path):
    return tmp_path / "samples"


def test_missing_file_is_refused(path):
    with pytest.raises(InputError, match="samples: can't be read: No such file"):
        load_inputs(path, FORM)


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_empty_file_is_refused(path, pack):
    refused(path, pack(b""), "is empty; expected .npy, .npz, .csv or IDX")


def test_unknown_content_is_refused(path):
    refused(path, b"\x80\x04\x95", "unknown content; expected .npy, .npz, .csv or IDX")


def test_pickled_npy_is_refused(path):
    refused(path, npy(np.array([[1, None]], object)), "holds pickled objects, which are never loaded; expected floats")


def test_pickled_npz_is_refused(path):
    refused(path, npz(x=np.array([[1, None]], object)), "array 'x': holds pickled objects, which are never loaded")


@pytest.mark.parametrize("dtype", ["U3", "c16", "?", "M8[s]", "V4"])
def test_npy_of_another_dtype_is_refused(path, dtype):
    refused(path, npy(np.zeros((1, 6), dtype)), "dtype .*, expected integers or floats")


@pytest.mark.parametrize("cut", [8, 50, -1])
def test_truncated_npy_is_refused(path, cut):
    refused(path, npy(SAMPLES)[:cut], "takes 96 bytes, found 95|damaged .npy header")


def test_npy_with_bytes_after_its_end_is_refused(path):
    refused(path, npy(SAMPLES) + b"\0", "takes 96 bytes, found 97")


def test_npy_that_claims_too_much_is_refused(path):
    refused(path, npy(SAMPLES).replace(b"(2, 6), }" + b" " * 9, b"(2000000000, 6), }"), "has 12000000000 elements, expected at most")


@pytest.mark.parametrize("arrays", [{}, {"a": SAMPLES, "b": SAMPLES}, {"x": SAMPLES, "inputs": SAMPLES}])
def test_npz_without_one_fitting_array_is_refused(path, arrays):
    refused(path, npz(**arrays), "expected one array, or one named x or inputs|unknown content")


def test_npz_that_claims_more_than_it_holds_is_refused(path):
    data = npz(x=SAMPLES)
    entry = data.index(b"PK\1\2")
    refused(path, data[: entry + 24] + (10**9).to_bytes(4, "little") + data[entry + 28 :], "array 'x': shape .* takes 96 bytes, found")


def test_truncated_npz_is_refused(path):
    refused(path, npz(x=SAMPLES)[:-30], "damaged .npz archive")


# --- IDX ---


def test_idx_of_unknown_type_is_refused(path):
    refused(path, b"\0\0\7\1" + idx(SAMPLES.astype(np.uint8))[4:], "IDX magic 00000701, expected 0000, a type")


@pytest.mark.parametrize(("cut", "message"), [(3, "IDX magic"), (7, "takes 12 bytes, found 7"), (23, "takes 24 bytes .*, found 23")])
def test_truncated_idx_is_refused(path, cut, message):
    refused(path, idx(SAMPLES.astype(np.uint8))[:cut], message)


def test_idx_with_bytes_after_its_end_is_refused(path):
    refused(path, idx(SAMPLES.astype(np.uint8)) + b"\0", r"IDX data of shape \(2, 6\) takes 24 bytes .*, found 25")


def test_idx_that_claims_too_much_is_refused(path):
    refused(path, struct.pack(">4B3I", 0, 0, 8, 3, *[2**32 - 1] * 3), "takes 79228162458924105385300197391 bytes .*, found 16")


# --- gzip ---


def test_truncated_gzip_is_refused(path):
    refused(path, gzip.compress(idx(SAMPLES.astype(np.uint8)))[:-9], "damaged gzip data")


def test_flipped_gzip_is_refused(path):
    data = bytearray(gzip.compress(npy(SAMPLES)))
    data[-6] ^= 1
    refused(path, bytes(data), "damaged gzip data: CRC check failed")


def test_gzip_that_unpacks_to_too_much_is_refused(path, monkeypatch):
    monkeypatch.setattr(inputs, "MAX_BYTES", 1 << 21)
    refused(path, gzip.compress(bytes(1 << 22)), "unpacks to more than 2097152 bytes")


def test_limits_are_one_gibibyte():
    assert (files.MAX_BYTES, files.MAX_ELEMENTS) == (1 << 30, 1 << 27)


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="a file whose reads fail is one of Linux")
def test_a_file_whose_reads_fail_is_bad_input():
    for read in (load, load_labels, lambda path: load_inputs(path, FORM)):
        with pytest.raises(InputError, match="/proc/self/mem: can't be read: "):
            read("/proc/self/mem")
