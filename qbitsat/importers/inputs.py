"""Samples and labels from .npy, .npz, .csv and IDX files, each of them also gzipped, as exact integers."""

from __future__ import annotations

import csv
import gzip
import io
import math
import re
import struct
import zipfile
import zlib
from collections.abc import Callable
from typing import BinaryIO

import numpy as np

from ..errors import InputError
from ..network import TensorFormat
from .files import MAX_BYTES, MAX_ELEMENTS, Path, damaged, open_input, size_of
from .npy import NPY_MAGIC, ZIP_MAGIC, Npz, read_npy

GZIP_MAGIC = b"\x1f\x8b"
IDX_MAGIC = b"\0\0"
IDX_DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
FORMATS = ".npy, .npz, .csv or IDX, plain or gzipped"
MAX_LABEL = (1 << 31) - 1
CHUNK = 1 << 20

CONTROL = re.compile(rb"[\0-\x08\x0e-\x1f]")
INTEGERS = re.compile(r"[-+0-9, ]*")
NUMBER = re.compile(r"\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*|\s*[-+]?(nan|inf)\s*", re.IGNORECASE)


def load_inputs(path: Path, form: TensorFormat) -> np.ndarray:
    """Samples for a network input: int64[n, form.size], n at least 1, every value in [form.lo, form.hi].

    The file holds an array of shape (n, ...) with form.size elements a sample, or one sample of exactly form.shape.
    Floats are taken if every one is a whole number. An .npz has one array, or one named `x` or `inputs`.
    """
    array = read_array(path, ("x", "inputs"))
    if array.shape == form.shape:
        array = array[np.newaxis]
    if array.ndim < 1 or math.prod(array.shape[1:]) != form.size:
        raise InputError(f"{path}: shape {array.shape}, expected (n, ...) with {form.size} elements a sample, or {form.shape}")
    if not len(array):
        raise InputError(f"{path}: shape {array.shape}, expected at least one sample")
    return integers(array.reshape(len(array), form.size), form.lo, form.hi, lambda i, j: f"{path}: sample {i}, element {j}")


def load_labels(path: Path) -> np.ndarray:
    """Labels: int64[n], n at least 1, from an array of shape (n,) or (n, 1); an .npz names it `y` or `labels`."""
    array = read_array(path, ("y", "labels"))
    if array.ndim not in (1, 2) or array.shape[1:] not in ((), (1,)) or not len(array):
        raise InputError(f"{path}: shape {array.shape}, expected one label a sample")
    return integers(array.reshape(-1, 1), 0, MAX_LABEL, lambda i, _: f"{path}: label {i}")[:, 0]


def integers(values: np.ndarray, lo: int, hi: int, place: Callable[[int, int], str]) -> np.ndarray:
    """values[n, m] as int64, or an `InputError` that names the first element that is no integer or not in [lo, hi]."""
    if values.dtype.kind == "f":
        refuse(values, np.rint(values) != values, "an integer", place)
    # Compared as they are: int64 would turn large unsigned integers and floats into others.
    refuse(values, (values < lo) | (values > hi), f"a value in [{lo}, {hi}]", place)
    return np.ascontiguousarray(values, np.int64)


def refuse(values: np.ndarray, wrong: np.ndarray, expected: str, place: Callable[[int, int], str]) -> None:
    """Raise for the first wrong element, if there is one."""
    if wrong.any():
        i, j = (int(k) for k in np.unravel_index(wrong.argmax(), wrong.shape))
        raise InputError(f"{place(i, j)} is {values[i, j]}, expected {expected}")


# --- formats ---


def read_array(path: Path, names: tuple[str, ...]) -> np.ndarray:
    """The file's array of integers or floats; names choose one of several in an .npz."""
    with open_input(path) as stream:
        packed = stream.read(len(GZIP_MAGIC)) == GZIP_MAGIC
        stream.seek(0)
        return sniff(gunzip(stream, path) if packed else stream, path, names)


def gunzip(stream: BinaryIO, path: Path) -> BinaryIO:
    """The unpacked bytes, unless there are more than a file may make us hold."""
    unpacked = io.BytesIO()
    with damaged(str(path), "gzip data", (OSError, EOFError, zlib.error, struct.error)), gzip.GzipFile(fileobj=stream) as packed:
        while chunk := packed.read(CHUNK):
            if unpacked.tell() + len(chunk) > MAX_BYTES:
                raise InputError(f"{path}: unpacks to more than {MAX_BYTES} bytes")
            unpacked.write(chunk)
    return unpacked


def sniff(stream: BinaryIO, path: Path, names: tuple[str, ...]) -> np.ndarray:
    """Choose the reader by the first bytes."""
    size = size_of(stream)
    head = stream.read(8)
    stream.seek(0)
    if head.startswith(NPY_MAGIC):
        return read_npy(stream, size, str(path), "iuf")
    if head.startswith(ZIP_MAGIC):
        return read_npz(stream, path, names)
    if head.startswith(IDX_MAGIC):
        return read_idx(stream, size, path)
    if size and not CONTROL.search(head):
        return read_csv(stream, path)
    raise InputError(f"{path}: {'unknown content' if size else 'is empty'}; expected {FORMATS}")


def read_npz(stream: BinaryIO, path: Path, names: tuple[str, ...]) -> np.ndarray:
    """The only array, or the only one with one of the names."""
    npz = Npz(stream, str(path), (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
    fitting = npz.names if len(npz.names) == 1 else [name for name in npz.names if name in names]
    if len(fitting) != 1:
        raise InputError(f"{path}: arrays {list(npz.names)}, expected one array, or one named {' or '.join(names)}")
    return npz.read(fitting[0], "iuf")


def read_idx(stream: BinaryIO, size: int, path: Path) -> np.ndarray:
    """IDX as of the MNIST files: 0, 0, type, axes, then each axis as uint32 and the data, all big-endian."""
    head = stream.read(4)
    if len(head) < 4 or head[2] not in IDX_DTYPES:
        raise InputError(
            f"{path}: IDX magic {head.hex()}, expected 0000, a type ({', '.join(f'{t:02x}' for t in IDX_DTYPES)}) and the axes"
        )
    axes, dtype = head[3], np.dtype(IDX_DTYPES[head[2]])
    lengths = stream.read(4 * axes)
    if len(lengths) < 4 * axes:
        raise InputError(f"{path}: IDX header of {axes} axes takes {4 + 4 * axes} bytes, found {size}")
    shape = struct.unpack(f">{axes}I", lengths)
    count = math.prod(shape)
    expected = 4 + 4 * axes + count * dtype.itemsize
    if expected != size:
        raise InputError(f"{path}: IDX data of shape {shape} takes {expected} bytes with its header, found {size}")
    if axes > 32 or count > MAX_ELEMENTS:
        raise InputError(f"{path}: IDX data of shape {shape}, expected at most 32 axes and {MAX_ELEMENTS} elements")
    return np.frombuffer(stream.read(), dtype).reshape(shape)


def read_csv(stream: BinaryIO, path: Path) -> np.ndarray:
    """Comma-separated numbers, one sample a line: [n, m]. A first line without any number is a header."""
    rows: list[np.ndarray] = []
    width = None
    decoded = io.TextIOWrapper(stream, "utf-8-sig", newline="")
    with decoded, damaged(str(path), ".csv text", (UnicodeDecodeError, csv.Error)):
        reader = csv.reader(decoded, strict=True)
        for cells in reader:
            place = f"{path}:{reader.line_num}"
            if not cells:
                continue
            if width is None:
                width = len(cells)
                if not any(NUMBER.fullmatch(cell) for cell in cells):
                    continue
            if len(cells) != width:
                raise InputError(f"{place}: {len(cells)} values, expected {width} as in the first line")
            if (len(rows) + 1) * width > MAX_ELEMENTS:
                raise InputError(f"{place}: more than {MAX_ELEMENTS} values")
            rows.append(parse_row(cells, place))
    if not rows:
        raise InputError(f"{path}: has no samples")
    return np.stack(rows)


def parse_row(cells: list[str], place: str) -> np.ndarray:
    """int64 if all cells are integers, else float64."""
    if INTEGERS.fullmatch(",".join(cells)):
        try:
            return np.array([int(cell) for cell in cells], np.int64)
        except (ValueError, OverflowError):
            pass
    for j, cell in enumerate(cells):
        if not NUMBER.fullmatch(cell):
            raise InputError(f"{place}: value {j + 1} is {cell[:40]!r}, expected an integer")
    return np.array([float(cell) for cell in cells])
