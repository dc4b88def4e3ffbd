"""Operators that repeat elements or rearrange them by blocks: TILE, RESIZE_NEAREST_NEIGHBOR, depth, space and batch into each other."""

from __future__ import annotations

import math

import numpy as np

from ...errors import InputError, UnsupportedError
from ..runtimes import MICRO
from .builder import CONSTANT, Builder
from .records import Operator
from .shapes import moves

f32 = np.float32


def tile(b: Builder, op: Operator) -> None:
    source, target = b.tensor(op, 0), b.target(op)
    moves(source, target)
    counts = b.constant(op, 1).ravel().tolist()
    if len(counts) != len(source.shape) or min(counts, default=1) < 1:
        raise InputError(f"{counts} copies of {source.shape}, expected a count of at least 1 for each axis")
    b.charge(math.prod(counts) * source.size)
    b.give(target, b.of(source).map(lambda a: np.tile(a, counts)))


def resize_nearest(b: Builder, op: Operator) -> None:
    """From position i of the output (i + offset) * scale of the input, in float32, as far as LiteRT's 16-bit fixed point agrees."""
    source, target = b.tensor(op, 0), b.target(op)
    moves(source, target)
    sizes = b.constant(op, 1).ravel().tolist()
    if len(source.shape) != 4 or len(sizes) != 2 or min(sizes) < 1:
        raise InputError(f"of {source.shape} to {sizes}, expected an image, and a height and a width")
    b.charge(math.prod(sizes) * source.shape[0] * source.shape[3])
    cells = [positions(op, n, m) for n, m in zip(source.shape[1:3], sizes, strict=True)]
    b.give(target, b.of(source)[:, cells[0]][:, :, cells[1]])


def positions(op: Operator, size: int, wanted: int) -> np.ndarray:
    """Which of `size` cells stands at each of the wanted places."""
    corners, half = op.options["AlignCorners"] and wanted > 1, op.options["HalfPixelCenters"]
    scale = f32(size - 1) / f32(wanted - 1) if corners else f32(size) / f32(wanted)
    place = (np.arange(wanted).astype(f32) + f32(0.5 if half else 0)) * scale
    cells = np.floor(place + f32(0.5)) if corners else np.floor(place)
    cells = np.clip(cells.astype(np.int64), 0, size - 1)
    if not corners and not half and (cells != np.minimum(np.arange(wanted) * ((size << 16) // wanted + 1) >> 16, size - 1)).any():
        raise UnsupportedError(f"from {size} to {wanted} cells, where runtimes take different ones")
    return cells


def depth_to_space(b: Builder, op: Operator) -> None:
    source, target, side = b.tensor(op, 0), b.target(op), block(op)
    moves(source, target)
    n, h, w, c = source.shape
    blocks, shape = (n, h, w, side, side, c // side**2), (n, h * side, w * side, c // side**2)
    b.give(target, b.of(source).map(lambda a: a.reshape(blocks).transpose(0, 1, 3, 2, 4, 5).reshape(shape)))


def space_to_depth(b: Builder, op: Operator) -> None:
    source, target, side = b.tensor(op, 0), b.target(op), block(op)
    moves(source, target)
    n, h, w, c = source.shape
    blocks, shape = (n, h // side, side, w // side, side, c), (n, h // side, w // side, side**2 * c)
    b.give(target, b.of(source).map(lambda a: a.reshape(blocks).transpose(0, 1, 3, 2, 4, 5).reshape(shape)))


def block(op: Operator) -> int:
    side = int(op.options["BlockSize"])
    if side < 1:
        raise InputError(f"a block of {side}, expected at least 1")
    return side


def space_to_batch(b: Builder, op: Operator) -> None:
    """Every element of a block goes to an image of its own; around the image are zero points.

    TFLM takes for them what happens to be in its memory.
    """
    source, target = b.tensor(op, 0), b.target(op)
    moves(source, target)
    sides, widths = block_and_widths(b, op)
    if b.runtime.name in MICRO and any(map(any, widths)):
        raise UnsupportedError(f"pads with {widths}, where {b.runtime.name} reads undefined memory; expected no padding")
    axes, images = len(sides), source.shape[0]
    pairs = [(0, 0), *widths, *[(0, 0)] * (len(source.shape) - 1 - axes)]
    b.charge(math.prod(n + sum(pair) for n, pair in zip(source.shape, pairs, strict=True)))
    fills = iter((CONSTANT, target.zero_point if target.type == "INT8" else 0))

    def moved(a: np.ndarray) -> np.ndarray:
        padded = np.pad(a, pairs, constant_values=next(fills))
        split = [part for n, side in zip(padded.shape[1:], sides, strict=False) for part in (n // side, side)]
        order = [2 + 2 * k for k in range(axes)] + [0] + [1 + 2 * k for k in range(axes)]
        rest = padded.shape[1 + axes :]
        parts = padded.reshape(images, *split, *rest)
        turned = parts.transpose(*order, *range(1 + 2 * axes, parts.ndim))
        return turned.reshape(-1, *turned.shape[1 + axes :])

    b.give(target, b.of(source).map(moved))


def batch_to_space(b: Builder, op: Operator) -> None:
    source, target = b.tensor(op, 0), b.target(op)
    moves(source, target)
    sides, widths = block_and_widths(b, op)
    axes, images = len(sides), source.shape[0] // math.prod(sides)

    def moved(a: np.ndarray) -> np.ndarray:
        parts = a.reshape(*sides, images, *source.shape[1:])
        order = [axes] + [k for axis in range(axes) for k in (axes + 1 + axis, axis)]
        whole = parts.transpose(*order, *range(2 * axes + 1, parts.ndim))
        large = whole.reshape(images, *(n * side for n, side in zip(source.shape[1:], sides, strict=False)), *source.shape[1 + axes :])
        return large[(slice(None), *(slice(first, n - last) for n, (first, last) in zip(large.shape[1:], widths, strict=False)))]

    b.give(target, b.of(source).map(moved))


def block_and_widths(b: Builder, op: Operator) -> tuple[list[int], list[tuple[int, int]]]:
    """Sides of a block, and what is added or cut off on both sides of each axis."""
    sides, widths = b.constant(op, 1).ravel().tolist(), b.constant(op, 2)
    if not sides or len(sides) >= len(b.tensor(op, 0).shape) or min(sides) < 1 or widths.shape != (len(sides), 2) or widths.min() < 0:
        raise InputError(f"blocks {sides} and widths {widths.tolist()}, expected a side and two widths for each axis of an image")
    return sides, [(int(first), int(last)) for first, last in widths]


OPERATORS = {
    "TILE": tile,
    "RESIZE_NEAREST_NEIGHBOR": resize_nearest,
    "DEPTH_TO_SPACE": depth_to_space,
    "SPACE_TO_DEPTH": space_to_depth,
    "SPACE_TO_BATCH_ND": space_to_batch,
    "BATCH_TO_SPACE_ND": batch_to_space,
}
