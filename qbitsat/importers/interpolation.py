"""RESIZE_BILINEAR of int8 in TensorFlow Lite: cells and their weights along an axis, in fixed point, as its runtimes compute them.

LiteRT and TensorFlow Lite Micro have 10 bits after the binary point (reference/resize_bilinear.h), XNNPACK rounds weights in float32 to
11 bits (indirection.c). Along both axes together the bits are twice as many.
"""

from __future__ import annotations

import numpy as np

from ..errors import UnsupportedError

f32 = np.float32
BITS, XNNPACK_BITS = 10, 11
# Places of more cells are beyond 32 bits.
MOST_CELLS = 1 << 20
# The bits of a whole output, and how they are rounded.
LITERT, XNNPACK = (2 * BITS, "half_away"), (2 * XNNPACK_BITS, "half_up")


def rounding(runtime: str) -> tuple[int, str]:
    """The bits after the binary point of a sum over both axes, and how they are rounded."""
    return XNNPACK if runtime == "xnnpack" else LITERT


def neighbours(runtime: str, size: int, wanted: int, corners: bool, half: bool) -> tuple[np.ndarray, np.ndarray]:
    """Both cells of `size` that each of the wanted places is between, and their weights: int64[2, wanted] each. Where both are one cell,
    its weight is the first.

    corners: the first and the last place are those of the first and the last cell; half: places and cells are where their centers are.
    """
    if max(size, wanted) >= MOST_CELLS:
        raise UnsupportedError(f"from {size} to {wanted} cells, expected fewer than {MOST_CELLS}")
    place, unit = in_float32(size, wanted, corners, half) if runtime == "xnnpack" else in_integers(size, wanted, corners, half)
    first = place // unit
    if first.max() >= size:
        raise UnsupportedError(f"from {size} to {wanted} cells, where {runtime} reads beyond them")
    cells = np.stack([first, np.minimum(first + 1, size - 1)])
    second = np.where(cells[0] == cells[1], 0, place % unit)
    return cells, np.stack([unit - second, second])


def in_integers(size: int, wanted: int, corners: bool, half: bool) -> tuple[np.ndarray, int]:
    """Places of LiteRT, in units of 2**-10 of a cell: i * scale, or (i + 1/2) * scale - 1/2."""
    corner = int(corners and wanted > 1)
    scale = (((size - corner) << BITS) + (wanted - corner) // 2) // (wanted - corner)
    offset = scale // 2 - (1 << BITS - 1) if half else 0
    return np.maximum(np.arange(wanted) * scale + offset, 0), 1 << BITS


def in_float32(size: int, wanted: int, corners: bool, half: bool) -> tuple[np.ndarray, int]:
    """Places of XNNPACK, in units of 2**-11 of a cell: the same in float32, of which the fraction is rounded to even."""
    corner = int(corners and wanted > 1)
    scale = f32(size - corner) / f32(wanted - corner)
    place = np.arange(wanted).astype(f32) * scale
    if half:
        place = np.clip(place + (f32(0.5) * scale - f32(0.5)), f32(0), f32(size - 1))
    cell = np.floor(place)
    fraction = np.rint((place - cell) * f32(1 << XNNPACK_BITS))
    place = (cell.astype(np.int64) << XNNPACK_BITS) + fraction.astype(np.int64)
    return np.minimum(place, (size - 1) << XNNPACK_BITS), 1 << XNNPACK_BITS
