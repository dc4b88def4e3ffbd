"""The one reader of .npy data, alone or inside .npz: sizes are checked before anything is allocated, nothing is unpickled."""

from __future__ import annotations

import io
import math
import struct
import zipfile
import zlib
from typing import IO

import numpy as np

from ..errors import InputError
from .files import MAX_ELEMENTS, damaged, one_line

NPY_MAGIC = b"\x93NUMPY"
ZIP_MAGIC = b"PK\x03\x04"
MAX_HEADER = 10_000
MAX_AXES = 32
KINDS = {"i": "integers", "u": "integers", "f": "floats"}

# What zipfile raises on damaged archives; RuntimeError and NotImplementedError stand for encrypted and exotic ones.
ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, ValueError, RuntimeError, KeyError, OverflowError)


def read_header(stream: io.BytesIO, place: str) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, whether in Fortran order, and dtype; the stream is left at the first byte of data."""
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    try:
        version = np.lib.format.read_magic(stream)
        if version not in readers:
            raise ValueError(f"version {version}, expected 1.0 or 2.0")
        return readers[version](stream, max_header_size=MAX_HEADER)
    # The header is Python text: parser, tokenizer and dtype constructor raise a dozen unrelated errors on bad ones.
    except Exception as error:
        raise InputError(f"{place}: damaged .npy header: {one_line(error)}") from error


def read_npy(stream: IO[bytes], size: int, place: str, kinds: str = "iu") -> np.ndarray:
    """A read-only array from `size` bytes of .npy data at the stream's position.

    kinds are the numpy dtype kinds allowed, of "i", "u" and "f". Anything else, pickles above all, and data whose
    length is not exactly what the header claims, is an `InputError` that names `place`.
    """
    # numpy would read as many bytes of header as the file claims to have.
    start = io.BytesIO(stream.read(min(size, MAX_HEADER + 16)))
    shape, fortran, dtype = read_header(start, place)
    if dtype.hasobject:
        raise InputError(f"{place}: holds pickled objects, which are never loaded; expected {KINDS[kinds[-1]]}")
    if dtype.kind not in kinds or dtype.itemsize > 8:
        raise InputError(f"{place}: dtype {dtype}, expected {' or '.join(dict.fromkeys(KINDS[kind] for kind in kinds))}")
    if len(shape) > MAX_AXES or min(shape, default=0) < 0:
        raise InputError(f"{place}: shape {shape}, expected at most {MAX_AXES} axes, none negative")
    count, found = math.prod(shape), size - start.tell()
    if count > MAX_ELEMENTS:
        raise InputError(f"{place}: shape {shape} has {count} elements, expected at most {MAX_ELEMENTS}")
    if count * dtype.itemsize != found:
        raise InputError(f"{place}: shape {shape} of {dtype} takes {count * dtype.itemsize} bytes, found {found}")
    data = start.read()
    data += stream.read(found - len(data))
    # The read past the end makes zipfile compare the checksum.
    if len(data) != found or stream.read(1):
        raise InputError(f"{place}: expected exactly {size} bytes, found fewer or more")
    return np.ndarray(shape, dtype, data, order="F" if fortran else "C")


class Npz:
    """The arrays of a zip archive of .npy members, each read when asked for.

    methods are the compression methods allowed. Members of other kinds, and two of one name, are refused.
    """

    def __init__(self, stream: IO[bytes], place: str, methods: tuple[int, ...]):
        self.place = place
        with damaged(place, ".npz archive", ZIP_ERRORS):
            self._zip = zipfile.ZipFile(stream)
        self._members: dict[str, zipfile.ZipInfo] = {}
        for info in self._zip.infolist():
            name = info.filename.removesuffix(".npy")
            if name == info.filename or name in self._members:
                raise InputError(f"{place}: member {info.filename!r}, expected .npy members with different names")
            if info.compress_type not in methods:
                raise InputError(f"{place}: member {info.filename!r} is compressed in a way that is not read here")
            self._members[name] = info

    @property
    def names(self) -> tuple[str, ...]:
        """Array names in file order, without .npy."""
        return tuple(self._members)

    @property
    def claimed_bytes(self) -> int:
        """Bytes of all members together, uncompressed, as the archive claims them."""
        return sum(info.file_size for info in self._members.values())

    def size(self, name: str) -> int:
        """Bytes of one member, uncompressed, as the archive claims them."""
        return self._members[name].file_size

    def read(self, name: str, kinds: str = "iu") -> np.ndarray:
        """The array of that name; see `read_npy`."""
        if name not in self._members:
            raise InputError(f"{self.place}: has no array {name!r}")
        info, place = self._members[name], f"{self.place}: array {name!r}"
        with damaged(place, "archive member", ZIP_ERRORS), self._zip.open(info) as stream:
            return read_npy(stream, info.file_size, place, kinds)
