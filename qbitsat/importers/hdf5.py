"""HDF5 files of Keras, read with h5py: nothing is followed out of the file, and no more is read than it stores."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from io import BytesIO
from typing import Any, NamedTuple

import numpy as np

from ..errors import InputError, MissingExtraError, UnsupportedError
from .files import Path, damaged, open_input, size_of
from .hdf5_texts import Texts, read_texts

HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
MAX_ATTRIBUTE_BYTES = 1 << 16

# What h5py raises on damaged files, depending on where HDF5 notices.
H5_ERRORS = (OSError, RuntimeError, KeyError, ValueError, TypeError, OverflowError, AttributeError)


class Source(NamedTuple):
    """A group of an open file, and the bytes of the file."""

    group: Any
    data: Any

    def at(self, name: str, place: str) -> Source:
        """The group at a relative path below; see `follow`."""
        return Source(follow(self.group, name, place), self.data)

    def texts(self, attribute: str, limit: int, place: str) -> Texts | None:
        """An attribute that is text; None where there is none."""
        import h5py

        return read_texts(self.data, h5py.h5o.get_info(self.group.id).addr, attribute, limit, place)

    def text(self, attribute: str, limit: int, place: str) -> str | None:
        """An attribute that is one text."""
        found = self.texts(attribute, limit, place)
        if found is not None and found.shape != ():
            raise InputError(f"{place}: attribute {attribute} has shape {found.shape}, expected one text")
        return None if found is None else "".join(found.values)

    def names(self, attribute: str, place: str) -> list[str]:
        """A list of different names, which Keras keeps as an attribute."""
        found = self.texts(attribute, MAX_ATTRIBUTE_BYTES, place)
        if found is None:
            raise InputError(f"{place}: has no attribute {attribute}; expected a file of Keras weights")
        if len(found.shape) != 1:
            raise InputError(f"{place}: attribute {attribute} has shape {found.shape}, expected a short list of names")
        if len(set(found.values)) != len(found.values):
            raise InputError(f"{place}: attribute {attribute}: expected different names")
        return found.values


@contextmanager
def opened(file: Path | bytes, place: str) -> Iterator[Source]:
    """The HDF5 file of that name, or of these bytes; what h5py raises within is the file's fault."""
    try:
        import h5py
    except ImportError:
        raise MissingExtraError("h5py", "keras", f"{place}: reading a file of Keras") from None
    with ExitStack() as stack:
        data: Any = file
        if not isinstance(file, bytes):
            stream = stack.enter_context(open_input(file))
            if not size_of(stream):
                raise InputError(f"{place}: is empty")
            data = stack.enter_context(closing(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)))
        stack.enter_context(damaged(place, "HDF5 file", H5_ERRORS))
        yield Source(stack.enter_context(h5py.File(BytesIO(file) if isinstance(file, bytes) else file, "r")), data)


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


def read_floats(item: Any, axes: int, place: str, bytes_too: bool = False) -> np.ndarray:
    """A float64 array of that many axes, finite and not empty, of floats or, with `bytes_too`, of bytes.

    The data must lie in the file, plain: filters, virtual datasets and chunks that were never written would all let a
    small file claim any size.
    """
    import h5py

    if not isinstance(item, h5py.Dataset):
        raise InputError(f"{place}: expected a dataset")
    if item.is_virtual or item.external:
        raise InputError(f"{place}: its data lies outside this file; expected it inside")
    if (item.dtype.kind != "f" or item.dtype.itemsize > 8) and not (bytes_too and item.dtype == np.uint8):
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
