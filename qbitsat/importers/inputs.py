"""Samples and labels from .npy, .npz, .csv and IDX files, each of them also gzipped, as exact integers."""

from __future__ import annotations

import gzip
import io
import math
import os
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Sequence
from typing import BinaryIO

import numpy as np

from ..errors import InputError, did_you_mean
from ..network import TensorFormat
from ..network.tensor import positive
from . import foreign
from .csv_file import read_csv
from .files import MAX_BYTES, MAX_ELEMENTS, Path, check_path, damaged, open_input, size_of, split_name
from .hdf5 import HDF5_MAGIC
from .npy import NPY_MAGIC, ZIP_MAGIC, Npz, read_npy

GZIP_MAGIC = b"\x1f\x8b"
IDX_MAGIC = b"\0\0"
IDX_DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
FORMATS = ".npy, .npz, .csv or IDX, plain or gzipped"
MAX_LABEL = (1 << 31) - 1
CHUNK = 1 << 20
SHOWN_NAMES = 10
# The array of an input, where there are several.
INPUT = "input_{}"
# The brightest of pixels that have so few levels that they are none from 0 to 255.
FEW_LEVELS = 16

CONTROL = re.compile(rb"[\0-\x08\x0e-\x1f]")
# The scale of the network's own input, instead of a number.
NETWORK_SCALE = "network"

Place = Callable[[int, int], str]


def load_inputs(
    path: Path, form: TensorFormat | Sequence[TensorFormat], *, header: bool | None = None, scale: float | str | None = None
) -> np.ndarray:
    """Samples for a network input: int64[n, form.size], n at least 1, every value in [form.lo, form.hi]; for several inputs, form is a
    sequence of theirs, and a row holds all of them, flattened one after the other.

    The file holds an array of shape (n, *form.shape) or (n, form.size), axes of length 1 aside, or one sample of exactly form.shape.
    An input of one axis takes samples of any shape, row by row.
    An .npz has one array, or one named `x` or `inputs`, or its path ends in `:name`; for several inputs it may have one for each,
    `input_0`, `input_1` and so on. header says whether a .csv begins with one, where that is not clear.
    Values are integers, or floats that are whole numbers. With scale they are real values, and become round(x / scale) + form.zero_point,
    ties to even: scale is the real value of one step, or "network" for form.scale. What leaves the range is refused, not clipped.
    Without it, unsigned bytes for a network that reads images as int8 are pixels: see `reads_pixels`. Those that end at 16 or less are
    refused.
    """
    forms = (form,) if isinstance(form, TensorFormat) else tuple(form)
    if len(forms) == 1:
        return samples_of(read_array(path, ("x", "inputs"), header), forms[0], scale, path)
    if (found := array_names(path)) and INPUT.format(0) in found:
        parts = [load_inputs(f"{os.fspath(path)}:{INPUT.format(k)}", one, scale=scale) for k, one in enumerate(forms)]
        counts = [len(part) for part in parts]
        if len(set(counts)) > 1:
            raise InputError(f"{path}: {', '.join(map(str, counts))} samples for {len(forms)} inputs, expected as many for each")
    else:
        array, size = read_array(path, ("x", "inputs"), header), sum(one.size for one in forms)
        if array.shape[1:] != (size,):
            each = ", ".join(INPUT.format(k) for k in range(len(forms)))
            raise InputError(f"{path}: shape {array.shape}, expected (n, {size}) for all {len(forms)} inputs, or an .npz of {each}")
        ends = np.cumsum([one.size for one in forms])[:-1].tolist()
        parts = [samples_of(part, one, scale, path) for part, one in zip(np.split(array, ends, axis=1), forms, strict=True)]
    return np.hstack(parts)


def array_names(path: Path) -> tuple[str, ...]:
    """The arrays of an .npz that is named as a whole; none of other files."""
    file, name = split_name(path)
    if name is not None:
        return ()
    with open_input(file) as stream:
        if stream.read(len(ZIP_MAGIC)) != ZIP_MAGIC:
            return ()
        stream.seek(0)
        return Npz(stream, str(file), (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)).names


def samples_of(array: np.ndarray, form: TensorFormat, scale: float | str | None, path: Path) -> np.ndarray:
    """The samples of one input in an array; see `load_inputs`."""
    if array.shape == form.shape:
        array = array[np.newaxis]
    if array.ndim < 1 or not fits(array.shape[1:], form.shape):
        shapes = " or ".join(dict.fromkeys((f"(n, {', '.join(map(str, form.shape))})", f"(n, {form.size})", str(form.shape))))
        raise InputError(f"{path}: shape {array.shape}, expected {shapes}")
    if not len(array):
        raise InputError(f"{path}: shape {array.shape}, expected at least one sample")
    values = array.reshape(len(array), form.size)

    def place(i: int, j: int) -> str:
        return f"{path}: sample {i}, element {j}"

    if scale is not None:
        return quantized(values, form, scale, path)
    if values.dtype.kind == "f":
        refuse_real(values, form, place)
    if not reads_pixels(form):
        unread = values.dtype == np.uint8 and form.lo < 0
        hint = f"; bytes are no pixels at a zero point of {form.zero_point} and a scale of {form.scale:.6g}, --scale takes real values"
        return integers(values, form.lo, form.hi, place, hint if unread else "")
    if values.dtype == np.uint8:
        refuse_few_levels(values, path)
        return values.astype(np.int64) + form.lo
    are_bytes = values.min() >= 0 and values.max() <= 255
    return integers(values, form.lo, form.hi, place, "; --scale 1 takes pixels from 0 to 255 as pixel - 128" if are_bytes else "")


def reads_pixels(form: TensorFormat) -> bool:
    """Whether the input is int8 and stands for pixels from 0 to 255, with 0 as its least integer and steps of a pixel: each is pixel - 128.

    A step of a pixel is 1/255, 1/256 or 1 in real units.
    """
    is_pixel = form.scale == 1 or abs(255 * form.scale - 1) < 0.005
    return (form.lo, form.hi, form.zero_point) == (-128, 127, -128) and is_pixel


def refuse_few_levels(pixels: np.ndarray, path: Path) -> None:
    """Refuse bytes that are hardly pixels from 0 to 255: of one bit, or of four as scikit-learn's digits have them."""
    top = int(pixels.max())
    if 0 < top <= FEW_LEVELS:
        raise InputError(
            f"{path}: values from {pixels.min()} to {top}, expected pixels from 0 to 255: --scale {top}/255 takes {top} as the brightest, "
            f"--scale 1 takes them as they are"
        )


def fits(shape: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    """Whether a sample of this shape is one of the wanted shape, axes of length 1 aside: as it is, or one of both is flat."""
    long, asked = (tuple(n for n in axes if n != 1) for axes in (shape, wanted))
    return long == asked or (math.prod(long) == math.prod(asked) and min(len(long), len(asked)) < 2)


def quantized(values: np.ndarray, form: TensorFormat, scale: float | str, path: Path) -> np.ndarray:
    """Real values[n, m] as integers of the format; what tells none of them apart is no scale."""
    step = form.scale if scale == NETWORK_SCALE else positive(scale, "scale")
    steps, hint = form.steps(values, step), pixel_hint(values, form)
    wrong = ~((steps >= form.lo) & (steps <= form.hi))
    if wrong.any():
        i, j = first_of(wrong)
        if values.dtype == np.uint8 and reads_pixels(form):
            hint = "; without --scale bytes are pixels, each pixel - 128"
        raise InputError(f"{path}: sample {i}, element {j} is {values[i, j]}, {form.outside(steps[i, j], step)}{hint}")
    levels, differ = steps.max() - steps.min(), (values != values[0, 0]).any()
    if differ and not levels:
        raise InputError(
            f"{path}: all values, from {values.min()} to {values.max()}, are the integer {steps[0, 0]:.0f} at a scale of {step:.12g}; "
            f"expected the real value of a step{hint}"
        )
    # Pixels from 0 to 1 would become 0 and 1 where nobody said what a step of the network stands for.
    if scale == NETWORK_SCALE and differ and form.hi - form.lo > 1 >= levels:
        raise InputError(
            f"{path}: values from {values.min()} to {values.max()} are at most one step of the network, {form.scale:.12g}; expected "
            f"--scale NUMBER, the real value of a step{hint}"
        )
    return steps.astype(np.int64)


def refuse_real(values: np.ndarray, form: TensorFormat, place: Place) -> None:
    """Refuse floats that are no whole numbers, or the pixels 0.0 and 1.0 where there is more between, and say what to do."""
    refuse(values, np.isnan(values), "a finite number", place)
    lo, hi = (float(end(values[np.isfinite(values)], initial=first)) for end, first in ((np.min, np.inf), (np.max, -np.inf)))
    says = (
        f"the file's values go from {lo:.6g} to {hi:.6g}, the network reads integers in [{form.lo}, {form.hi}]; --scale network makes "
        f"them round(x / {form.scale:.12g}) + {form.zero_point}, --scale NUMBER does with another real value of a step"
        f"{pixel_hint(values, form)}"
    )
    refuse(values, np.rint(values) != values, f"an integer; {says}", place)
    if hi == 1 and lo >= 0 and form.hi - form.lo > 1:
        refuse(values, values == 1, f"integers, not floats that may be pixels from 0 to 1; {says}", place)


def pixel_hint(values: np.ndarray, form: TensorFormat) -> str:
    """How the brightest of pixels from 0 to 1 becomes the largest integer, or nothing if these are none."""
    top = form.hi - form.zero_point
    return f" (1/{top} takes 1.0 as {form.hi})" if top > 0 and values.min() >= 0 and values.max() == 1 else ""


def load_labels(path: Path, *, header: bool | None = None) -> np.ndarray:
    """Labels: int64[n], n at least 1, from an array of shape (n,) or (n, 1); an .npz names it `y` or `labels`, or see `load_inputs`."""
    array = read_array(path, ("y", "labels"), header)
    if array.ndim not in (1, 2) or array.shape[1:] not in ((), (1,)) or not len(array):
        raise InputError(f"{path}: shape {array.shape}, expected one label a sample{one_hot_hint(array)}")
    return integers(array.reshape(-1, 1), 0, MAX_LABEL, lambda i, _: f"{path}: label {i}")[:, 0]


def one_hot_hint(array: np.ndarray) -> str:
    """What makes labels of rows with a single 1, or nothing if these are none."""
    rows = array.ndim == 2 and array.size and ((array == 0) | (array == 1)).all() and (array.sum(axis=1) == 1).all()
    return "; these are one-hot, and array.argmax(axis=1) are their labels" if rows else ""


def integers(values: np.ndarray, lo: int, hi: int, place: Place, hint: str = "") -> np.ndarray:
    """values[n, m] as int64, or an `InputError` that names the first element that is no integer or not in [lo, hi], with a hint then."""
    if values.dtype.kind == "f":
        refuse(values, np.rint(values) != values, "an integer", place)
    # Compared as they are: int64 would turn large unsigned integers and floats into others.
    refuse(values, (values < lo) | (values > hi), f"a value in [{lo}, {hi}]{hint}", place)
    return np.ascontiguousarray(values, np.int64)


def refuse(values: np.ndarray, wrong: np.ndarray, expected: str, place: Place) -> None:
    """Raise for the first wrong element, if there is one."""
    if wrong.any():
        i, j = first_of(wrong)
        raise InputError(f"{place(i, j)} is {values[i, j]}, expected {expected}")


def first_of(wrong: np.ndarray) -> tuple[int, int]:
    """Where the first true element of wrong[n, m] is."""
    i, j = np.unravel_index(wrong.argmax(), wrong.shape)
    return int(i), int(j)


# --- formats ---


def read_array(path: Path, names: tuple[str, ...], header: bool | None) -> np.ndarray:
    """The file's array of integers or floats; names choose one of several in an .npz, unless the path does."""
    check_path(path)
    file, name = split_name(path)
    with open_input(file) as stream:
        packed = stream.read(len(GZIP_MAGIC)) == GZIP_MAGIC
        stream.seek(0)
        return sniff(gunzip(stream, file) if packed else stream, file, name, names, header)


def gunzip(stream: BinaryIO, path: Path) -> BinaryIO:
    """The unpacked bytes, unless there are more than a file may make us hold."""
    unpacked = io.BytesIO()
    with damaged(str(path), "gzip data", (OSError, EOFError, zlib.error, struct.error)), gzip.GzipFile(fileobj=stream) as packed:
        while chunk := packed.read(CHUNK):
            if unpacked.tell() + len(chunk) > MAX_BYTES:
                raise InputError(f"{path}: unpacks to more than {MAX_BYTES} bytes")
            unpacked.write(chunk)
    return unpacked


def sniff(stream: BinaryIO, path: Path, name: str | None, names: tuple[str, ...], header: bool | None) -> np.ndarray:
    """Choose the reader by the first bytes."""
    size = size_of(stream)
    head = stream.read(foreign.HEAD)
    stream.seek(0)
    if head.startswith(ZIP_MAGIC):
        return read_npz(stream, path, name, names)
    if name is not None:
        raise InputError(f"{path}: is no .npz, expected one before ':{name}'")
    if head.startswith(NPY_MAGIC):
        return read_npy(stream, size, str(path), "iuf")
    if head.startswith(IDX_MAGIC):
        return read_idx(stream, size, path)
    what = "an HDF5 file (.h5)" if head.startswith(HDF5_MAGIC) else foreign.name_of(head, os.path.basename(os.fspath(path)))
    if what:
        raise InputError(f"{path}: {what}, from which no samples are read; expected {FORMATS}")
    if size and not CONTROL.search(head[:8]):
        return read_csv(stream, path, header)
    raise InputError(f"{path}: {'unknown content' if size else 'is empty'}; expected {FORMATS}")


def read_npz(stream: BinaryIO, path: Path, name: str | None, names: tuple[str, ...]) -> np.ndarray:
    """The array of that name; without one the only array, or the only one with one of the names."""
    npz = Npz(stream, str(path), (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
    fitting = [name] if name is not None else npz.names if len(npz.names) == 1 else [found for found in npz.names if found in names]
    if len(fitting) != 1 or fitting[0] not in npz.names:
        there = ", ".join(npz.names[:SHOWN_NAMES]) + (", ..." if len(npz.names) > SHOWN_NAMES else "")
        fault = "" if name is None else f"has no array {name!r}{did_you_mean(name, npz.names)}; "
        wanted = f", or another by its name, as in {path}:{npz.names[0]}" if npz.names else ""
        raise InputError(f"{path}: {fault}arrays {there}, expected one array, or one named {' or '.join(names)}{wanted}")
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
