"""HDF5 files of Keras, read with h5py: nothing is followed out of the file, and no more is read than it stores."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import numpy as np

from ..errors import InputError, MissingExtraError, UnsupportedError
from .files import Path, damaged

HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
MAX_ATTRIBUTE_BYTES = 1 << 16

# What h5py raises on damaged files, depending on where HDF5 notices.
H5_ERRORS = (OSError, RuntimeError, KeyError, ValueError, TypeError, OverflowError, AttributeError)


@contextmanager
def opened(file: Path | IO[bytes], place: str) -> Iterator[Any]:
    """The HDF5 file, given by its name or as a stream; what h5py raises within is the file's fault."""
    try:
        import h5py
    except ImportError:
        raise MissingExtraError("h5py", "keras", f"{place}: reading a file of Keras") from None
    with damaged(place, "HDF5 file", H5_ERRORS), h5py.File(file, "r") as found:
        yield found


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
