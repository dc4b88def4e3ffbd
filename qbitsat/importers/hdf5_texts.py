"""Attributes of HDF5 files that are text, read from the bytes of the file.

HDF5 itself takes as much memory for such a text as the file claims, goes round a damaged heap without end, and reads beyond it. Structures
are those of the HDF5 File Format Specification, version 3: object headers IV.A, attributes IV.A.2.m, heaps of values III.E.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

from ..errors import InputError

# Messages and blocks of one object header.
MAX_MESSAGES = 10_000
CONTINUATION, ATTRIBUTE = 0x10, 0x0C
FIXED_TEXT, VARIABLE = 3, 9
# Bytes of a value of variable length in an attribute: its length, the address of its heap, and its number there.
DESCRIPTOR = 16
HEAP = b"GCOL\1\0\0\0"


class Texts(NamedTuple):
    """The values of an attribute, and the shape of them."""

    shape: tuple[int, ...]
    values: list[str]


def read_texts(data: Any, address: int, name: str, limit: int, place: str) -> Texts | None:
    """An attribute of the object whose header is at that address of a file's bytes; None if there is none of that name.

    limit is of the bytes of all values together. An attribute of no values, as of empty lists, may be of any kind.
    """
    try:
        for begin, end in attributes(data, address):
            if (found := parsed(data, begin, end, name.encode(), limit)) is not None:
                return found
    except InputError as error:
        raise InputError(f"{place}: {error}") from error
    except (ValueError, IndexError, struct.error, OverflowError) as error:
        raise InputError(f"{place}: attribute {name}: damaged HDF5 file: {error}") from error
    return None


def word(data: Any, at: int, size: int) -> int:
    """An integer of so many bytes."""
    part = data[at : at + size] if at >= 0 else b""
    if len(part) != size:
        raise ValueError(f"ends before byte {at + size}")
    return int.from_bytes(part, "little")


def attributes(data: Any, address: int) -> Iterator[tuple[int, int]]:
    """Beginning and end of each attribute message of an object."""
    is_new = data[address : address + 4] == b"OHDR"
    if is_new:
        flags, at = word(data, address + 5, 1), address + 6
        at += (16 if flags & 32 else 0) + (4 if flags & 16 else 0)
        width = 1 << (flags & 3)
        blocks = [(at + width, word(data, at, width))]
        head = 6 if flags & 4 else 4
    else:
        if word(data, address, 1) != 1:
            raise ValueError(f"no object at byte {address}")
        blocks, head = [(address + 16, word(data, address + 8, 4))], 8
    count = 0
    while blocks:
        at, size = blocks.pop()
        end = min(at + size, len(data))
        while at + head <= end:
            count += 1
            if count > MAX_MESSAGES:
                raise ValueError(f"more than {MAX_MESSAGES} messages in one object")
            kind, size = (word(data, at, 1), word(data, at + 1, 2)) if is_new else (word(data, at, 2), word(data, at + 2, 2))
            at += head
            if kind == CONTINUATION:
                start, length = word(data, at, 8), word(data, at + 8, 8)
                # Blocks of new headers begin with four bytes that say so, and end with a checksum.
                blocks.append((start + 4, length - 8) if is_new else (start, length))
            elif kind == ATTRIBUTE:
                yield at, at + size
            at += size


def parsed(data: Any, begin: int, end: int, name: bytes, limit: int) -> Texts | None:
    """The values of an attribute message, None if it is of another name."""
    version = word(data, begin, 1)
    unit = 8 if version == 1 else 1
    sizes = struct.unpack("<HHH", data[begin + 2 : begin + 8])
    start = begin + (9 if version == 3 else 8)
    if version not in (1, 2, 3) or data[start : start + sizes[0]] != name + b"\0":
        return None
    datatype, dataspace, at = (start + sum(-(-size // unit) * unit for size in sizes[:k]) for k in (1, 2, 3))
    shape = shape_at(data, dataspace)
    count, kind, size = math.prod(shape), word(data, datatype, 1) & 15, word(data, datatype + 4, 4)
    if count * size > min(limit + DESCRIPTOR * count, end - at):
        raise ValueError(f"{count} values of {size} bytes, expected at most {limit} bytes in all, in {max(0, end - at)}")
    if count and kind == FIXED_TEXT:
        values = [bytes(data[at + size * k : at + size * (k + 1)]).rstrip(b"\0") for k in range(count)]
    elif count and kind == VARIABLE and size == DESCRIPTOR:
        values = []
        for k in range(count):
            length, address, number = struct.unpack("<IQI", data[at + size * k : at + size * (k + 1)])
            values.append(in_heap(data, length, address, number, limit))
            limit -= len(values[-1])
    elif count:
        raise InputError(f"attribute {name.decode()}: expected text")
    else:
        values = []
    return Texts(shape, [value.decode("utf-8", "backslashreplace") for value in values])


def shape_at(data: Any, at: int) -> tuple[int, ...]:
    """The shape of a dataspace; of one value, ()."""
    version, rank = word(data, at, 1), word(data, at + 1, 1)
    if version not in (1, 2) or rank > 8:
        raise ValueError(f"a dataspace of version {version} with {rank} axes")
    begin = at + (8 if version == 1 else 4)
    # A dataspace of version 2 may be of no value at all.
    nothing = version == 2 and word(data, at + 3, 1) == 2
    return (0,) if nothing else tuple(word(data, begin + 8 * k, 8) for k in range(rank))


def in_heap(data: Any, length: int, address: int, number: int, limit: int) -> bytes:
    """A value of variable length."""
    if not length:
        return b""
    if length > limit:
        raise ValueError(f"a text of {length} bytes, expected at most {limit}")
    if data[address : address + len(HEAP)] != HEAP:
        raise ValueError(f"no heap at byte {address}")
    at, end = address + 16, min(address + word(data, address + 8, 8), len(data))
    while at + 16 <= end:
        here, size = word(data, at, 2), word(data, at + 8, 8)
        if here == number:
            if length > size or at + 16 + length > end:
                raise ValueError(f"a text of {length} bytes in {size}")
            return bytes(data[at + 16 : at + 16 + length]).rstrip(b"\0")
        if here == 0:
            break
        at += 16 + -(-size // 8) * 8
    raise ValueError(f"no text {number} in the heap at byte {address}")
