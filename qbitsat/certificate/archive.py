"""Zip archives of .npy members, written in one pass. For small ones zipfile takes longer than many a verdict.

Sizes and checksum of a member follow its data (bit 3 of the flags). Bytes depend on the content alone: all members have the same date.
"""

from __future__ import annotations

import io
import struct
import zlib
from functools import lru_cache
from typing import IO

import numpy as np

Members = dict[str, np.ndarray | bytes]

LOCAL = struct.Struct("<4s5H3L2H")
DESCRIPTOR = struct.Struct("<4s3L")
CENTRAL = struct.Struct("<4s6H3L5H2L")
END = struct.Struct("<4s4H2LH")
VERSION, SIZES_FOLLOW, STORED, DEFLATED, DATE = 20, 1 << 3, 0, 8, 0x21
UNIX, FILE_MODE = 3 << 8, 0o100644 << 16
# Below this, compression costs time and saves no block of a file system.
SMALL = 4096
# Higher levels take longer and make arrays hardly smaller.
LEVEL = 1


def write_npz(stream: IO[bytes], members: Members) -> None:
    """Write the members as an .npz, 4 GiB at most; bytes, which are packed already, as uint8 arrays."""
    position, entries = 0, list[bytes]()
    for name, content in members.items():
        file_name = f"{name}.npy".encode()
        method = STORED if isinstance(content, bytes) or content.nbytes < SMALL else DEFLATED
        form = (VERSION, SIZES_FOLLOW, method, 0, DATE)
        stream.write(LOCAL.pack(b"PK\3\4", *form, 0, 0, 0, len(file_name), 0) + file_name)
        sums = _write_data(stream, content, method)
        stream.write(DESCRIPTOR.pack(b"PK\7\10", *sums))
        entries.append(CENTRAL.pack(b"PK\1\2", UNIX | VERSION, *form, *sums, len(file_name), 0, 0, 0, 0, FILE_MODE, position) + file_name)
        position += LOCAL.size + len(file_name) + sums[1] + DESCRIPTOR.size
    directory = b"".join(entries)
    stream.write(directory + END.pack(b"PK\5\6", 0, 0, len(entries), len(entries), len(directory), position, 0))


def _write_data(stream: IO[bytes], content: np.ndarray | bytes, method: int) -> tuple[int, int, int]:
    """Checksum, written size and size of a member, an .npy file."""
    array = np.frombuffer(content, np.uint8) if isinstance(content, bytes) else content
    data = _npy_header(array.dtype.str, array.shape) + array.tobytes()
    packed = data
    if method == DEFLATED:
        deflate = zlib.compressobj(LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
        packed = deflate.compress(data) + deflate.flush()
    return zlib.crc32(data), stream.write(packed), len(data)


@lru_cache(maxsize=256)
def _npy_header(dtype: str, shape: tuple[int, ...]) -> bytes:
    data = io.BytesIO()
    np.lib.format.write_array_header_1_0(data, {"descr": dtype, "fortran_order": False, "shape": shape})
    return data.getvalue()
