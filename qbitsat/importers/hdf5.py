"""HDF5 files of Keras, read with h5py: nothing is followed out of the file, and no more is read than it stores."""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from contextlib import closing, contextmanager
from io import BytesIO
from typing import Any

import numpy as np

from ..errors import InputError, MissingExtraError, UnsupportedError
from .files import Path, damaged, open_input, size_of

HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
MAX_ATTRIBUTE_BYTES = 1 << 16
# Attributes of Keras that are text, with the most bytes of one.
MAX_CONFIG = 1 << 24
TEXTS = {"model_config": MAX_CONFIG, **dict.fromkeys(("keras_version", "layer_names", "weight_names", "name"), MAX_ATTRIBUTE_BYTES)}
# In a file: a datatype of variable length, and the bytes of such a value: its length, where it is, and its number there.
VARIABLE, DESCRIPTOR = 9, 16
# What a heap of such values begins with.
HEAP = b"GCOL\1\0\0\0"

# What h5py raises on damaged files, depending on where HDF5 notices.
H5_ERRORS = (OSError, RuntimeError, KeyError, ValueError, TypeError, OverflowError, AttributeError)


@contextmanager
def opened(file: Path | bytes, place: str) -> Iterator[Any]:
    """The HDF5 file of that name, or of these bytes; what h5py raises within is the file's fault."""
    try:
        import h5py
    except ImportError:
        raise MissingExtraError("h5py", "keras", f"{place}: reading a file of Keras") from None
    if isinstance(file, bytes):
        check(file, place)
    else:
        with open_input(file) as stream:
            if size_of(stream):
                with closing(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)) as data:
                    check(data, place)
    with damaged(place, "HDF5 file", H5_ERRORS), h5py.File(BytesIO(file) if isinstance(file, bytes) else file, "r") as found:
        yield found


def check(data: Any, place: str) -> None:
    """Refuse bytes with which HDF5 would take any memory, or would not end."""
    refuse_damaged_heaps(data, place)
    refuse_long_texts(data, place)


def refuse_long_texts(data: Any, place: str) -> None:
    """Raise for attributes of Keras that claim to be longer than they may be: HDF5 takes memory for a text before it looks for it.

    Wherever an attribute is in a file, its name is there, between its sizes and its values (HDF5 File Format Specification, IV.A.2.m).
    """
    for name, limit in TEXTS.items():
        stored = name.encode() + b"\0"
        at = data.find(stored)
        while at >= 0:
            for length in lengths_of(data, at, len(stored)):
                if length > limit:
                    raise InputError(f"{place}: attribute {name} has {length} bytes, expected at most {limit}")
            at = data.find(stored, at + 1)


def refuse_damaged_heaps(data: Any, place: str) -> None:
    """Raise for heaps of texts whose objects do not lie one after the other: HDF5 walks over them without end where one has no size.

    A heap is GCOL, version 1, and its size; an object its number, a count and its size; number 0 is what is left (III.E).
    """
    at = data.find(HEAP)
    while at >= 0:
        size = int.from_bytes(data[at + 8 : at + 16], "little")
        here, end = at + 16, at + size
        while here + 16 <= end <= len(data):
            number, length = int.from_bytes(data[here : here + 2], "little"), int.from_bytes(data[here + 8 : here + 16], "little")
            step = 16 + -(-length // 8) * 8 if number else length
            if step < 16 or here + step > end:
                raise InputError(f"{place}: damaged HDF5 file: object {number} of the heap at byte {at} has {length} bytes")
            here += step
        at = data.find(HEAP, at + 1)


def lengths_of(data: Any, at: int, name_size: int) -> list[int]:
    """The lengths of the texts of an attribute whose name is there; none if it is no attribute, or has no texts of variable length."""
    for head, versions, unit in ((8, (1,), 8), (8, (2,), 1), (9, (3,), 1)):
        if at < head or data[at - head] not in versions:
            continue
        sizes = struct.unpack_from("<HHH", data, at - head + 2)
        if sizes[0] != name_size:
            continue
        datatype, dataspace, values = (at + sum(-(-size // unit) * unit for size in sizes[:k]) for k in (1, 2, 3))
        if values + DESCRIPTOR > len(data) or data[datatype] & 15 != VARIABLE:
            continue
        rank, begin = data[dataspace + 1], dataspace + (8 if data[dataspace] == 1 else 4)
        count = 1
        for k in range(min(rank, 4)):
            count *= int.from_bytes(data[begin + 8 * k : begin + 8 * k + 8], "little")
        count = min(count, MAX_ATTRIBUTE_BYTES, (len(data) - values) // DESCRIPTOR)
        return [int.from_bytes(data[values + DESCRIPTOR * k : values + DESCRIPTOR * k + 4], "little") for k in range(count)]
    return []


def names_in(item: Any, attribute: str, place: str) -> list[str]:
    """A list of names that Keras keeps as an attribute: fixed or variable-length strings, or an empty float array."""
    if attribute not in item.attrs:
        raise InputError(f"{place}: has no attribute {attribute}; expected a file of Keras weights")
    info = item.attrs.get_id(attribute)
    if len(info.shape or ()) != 1 or info.shape[0] * info.dtype.itemsize > MAX_ATTRIBUTE_BYTES:
        raise InputError(f"{place}: attribute {attribute} has shape {info.shape}, expected a short list of names")
    values = item.attrs[attribute].tolist()
    names = [value.decode() if isinstance(value, bytes) else value for value in values]
    if not all(isinstance(name, str) for name in names) or len(set(names)) != len(names):
        raise InputError(f"{place}: attribute {attribute}: expected different names")
    return names


def follow(item: Any, name: str, place: str) -> Any:
    """The object at a relative path below a group; links that could lead elsewhere are refused unresolved."""
    import h5py

    for part in name.split("/"):
        link = item.get(part, getlink=True) if part not in ("", ".") and isinstance(item, h5py.Group) else None
        if link is None:
            raise InputError(f"{place}: has no {name!r}")
        if not isinstance(link, h5py.HardLink):
            kind = {"SoftLink": "a soft link", "ExternalLink": "an external link"}.get(type(link).__name__, "a link")
            raise InputError(f"{place}: {part!r} in {name!r} is {kind}, expected the data in its place in this file")
        item = item[part]
    return item


def read_text(item: Any, attribute: str, limit: int, place: str) -> str:
    """An attribute that is one string of at most so many bytes."""
    info = item.attrs.get_id(attribute) if attribute in item.attrs else None
    if info is None or info.shape not in ((), None) or info.dtype.itemsize > limit:
        raise InputError(f"{place}: attribute {attribute} is no string of at most {limit} bytes")
    text = item.attrs[attribute]
    text = text.decode("utf-8", "backslashreplace") if isinstance(text, bytes) else text
    if not isinstance(text, str) or len(text) > limit:
        raise InputError(f"{place}: attribute {attribute} is no string of at most {limit} bytes")
    return text


def read_floats(item: Any, axes: int, place: str) -> np.ndarray:
    """A float64 array of that many axes, finite and not empty.

    The data must lie in the file, plain: filters, virtual datasets and chunks that were never written would all let a
    small file claim any size.
    """
    import h5py

    if not isinstance(item, h5py.Dataset):
        raise InputError(f"{place}: expected a dataset")
    if item.is_virtual or item.external:
        raise InputError(f"{place}: its data lies outside this file; expected it inside")
    if item.dtype.kind != "f" or item.dtype.itemsize > 8:
        raise InputError(f"{place}: dtype {item.dtype}, expected float32 or float64")
    if item.shape is None or len(item.shape) != axes or 0 in item.shape:
        raise InputError(f"{place}: shape {item.shape}, expected {axes} axes, none empty")
    if item.id.get_create_plist().get_nfilters():
        raise UnsupportedError(f"{place}: compressed or filtered data; expected plain data (h5repack -f NONE)")
    stored = min(item.id.get_storage_size(), item.file.id.get_filesize())
    if item.nbytes > stored:
        raise InputError(f"{place}: shape {item.shape} of {item.dtype} takes {item.nbytes} bytes, the file stores {stored}")
    values = np.asarray(item[()], np.float64)
    if not np.isfinite(values).all():
        i = tuple(int(k) for k in np.argwhere(~np.isfinite(values))[0])
        raise InputError(f"{place}: element {list(i)} is {values[i]}, expected a finite number")
    return values
