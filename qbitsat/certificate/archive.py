"""Zip archives of .npy members, written in one pass. For small ones zipfile takes longer than many a verdict.

Sizes and checksum of a member follow its data (bit 3 of the flags), so that a long proof can go from file to file in pieces.
Bytes depend on the content alone: all members have the same date.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from functools import lru_cache
from typing import IO, Any

import numpy as np

Members = dict[str, Any]  # arrays, and open files of bytes

LOCAL = struct.Struct("<4s5H3L2H")
DESCRIPTOR = struct.Struct("<4s3L")
CENTRAL = struct.Struct("<4s6H3L5H2L")
END = struct.Struct("<4s4H2LH")
VERSION, SIZES_FOLLOW, STORED, DEFLATED, DATE = 20, 1 << 3, 0, 8, 0x21
UNIX, FILE_MODE = 3 << 8, 0o100644 << 16
# Below this, compression costs time and saves no block of a file system.
SMALL = 4096
# Higher levels take longer and make proofs hardly smaller.
LEVEL = 1
PIECE = 1 << 20


def write_npz(stream: IO[bytes], members: Members) -> None:
    """Write the members as an .npz, 4 GiB at most; open files are written as uint8 arrays of their bytes, and closed."""
    position, entries = 0, list[bytes]()
    for name, content in members.items():
        file_name = f"{name}.npy".encode()
        method = STORED if isinstance(content, np.ndarray) and content.nbytes < SMALL else DEFLATED
        form = (VERSION, SIZES_FOLLOW, method, 0, DATE)
        stream.write(LOCAL.pack(b"PK\3\4", *form, 0, 0, 0, len(file_name), 0) + file_name)
        sums = _write_data(stream, content, method)
        stream.write(DESCRIPTOR.pack(b"PK\7\10", *sums))
        entries.append(CENTRAL.pack(b"PK\1\2", UNIX | VERSION, *form, *sums, len(file_name), 0, 0, 0, 0, FILE_MODE, position) + file_name)
        position += LOCAL.size + len(file_name) + sums[1] + DESCRIPTOR.size
    directory = b"".join(entries)
    stream.write(directory + END.pack(b"PK\5\6", 0, 0, len(entries), len(entries), len(directory), position, 0))


def _write_data(stream: IO[bytes], content: Any, method: int) -> tuple[int, int, int]:
    """Checksum, written size and size of a member."""
    crc = packed = size = 0
    deflate = zlib.compressobj(LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS) if method == DEFLATED else None
    for piece in _pieces(content):
        crc, size = zlib.crc32(piece, crc), size + len(piece)
        packed += stream.write(deflate.compress(piece) if deflate else piece)
    if deflate:
        packed += stream.write(deflate.flush())
    return crc, packed, size


def _pieces(content: Any) -> Iterator[bytes]:
    """The bytes of an .npy file."""
    if isinstance(content, np.ndarray):
        yield _npy_header(content.dtype.str, content.shape) + content.tobytes()
        return
    with content:
        size = content.seek(0, io.SEEK_END)
        content.seek(0)
        yield _npy_header("|u1", (size,))
        while piece := content.read(PIECE):
            yield piece


@lru_cache(maxsize=256)
def _npy_header(dtype: str, shape: tuple[int, ...]) -> bytes:
    data = io.BytesIO()
    np.lib.format.write_array_header_1_0(data, {"descr": dtype, "fortran_order": False, "shape": shape})
    return data.getvalue()
