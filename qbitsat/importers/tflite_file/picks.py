"""Operators that pick elements by constant positions, repeat them, or make constants: GATHER, REVERSE_V2, MIRROR_PAD, FILL and the like."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from ...errors import InputError, UnsupportedError
from ..runtimes import MICRO
from .builder import Builder, Wires
from .records import Operator
from .shapes import moves

# Of MIRROR_PAD, by the number of its mode: numpy's name, and how many of an axis's elements it leaves where they are.
MIRRORS: tuple[tuple[Literal["reflect", "symmetric"], int], ...] = (("reflect", 1), ("symmetric", 0))


def gather(b: Builder, op: Operator) -> None:
    """The elements at some positions along an axis."""
    source, target, axis = b.tensor(op, 0), b.target(op), op.options["Axis"]
    moves(source, target)
    if op.options["BatchDims"]:
        raise UnsupportedError(f"{op.options['BatchDims']} batch dimensions, expected 0")
    places, length = b.constant(op, 1), source.shape[axis]
    check_places(places, length)
    b.charge(places.size * (source.size // length))
    b.give(target, b.of(source).map(lambda a: np.take(a, places, axis)))


def gather_nd(b: Builder, op: Operator) -> None:
    """The slices at some positions, each a row of indices of the first axes."""
    source, target, rows = b.tensor(op, 0), b.target(op), b.constant(op, 1)
    moves(source, target)
    depth = rows.shape[-1]
    if not 1 <= depth <= len(source.shape):
        raise InputError(f"positions of {depth} indices, expected 1 to {len(source.shape)} of {source.shape}")
    for k in range(depth):
        check_places(rows[..., k], source.shape[k])
    b.charge(rows.size // depth * math.prod(source.shape[depth:]))
    b.give(target, b.of(source)[tuple(np.moveaxis(rows, -1, 0))])


def check_places(places: np.ndarray, length: int) -> None:
    lo, hi = places.min(initial=0), places.max(initial=0)
    if lo < 0 or hi >= length:
        raise InputError(f"positions from {lo} to {hi} of an axis of {length}, expected some that are there")


def reverse(b: Builder, op: Operator) -> None:
    source, target, rank = b.tensor(op, 0), b.target(op), len(b.tensor(op, 0).shape)
    moves(source, target)
    given = b.constant(op, 1).ravel().tolist()
    axes = sorted(axis + rank if axis < 0 else axis for axis in given)
    if not axes or axes[0] < 0 or axes[-1] >= rank or axes != list(range(axes[0], axes[-1] + 1)):
        raise InputError(f"axes {given} of {source.shape}, expected one or several side by side")
    b.give(target, b.of(source).map(lambda a: np.flip(a, tuple(axes))))


def mirror_pad(b: Builder, op: Operator) -> None:
    """What is beyond the border is what is as far inside of it, with the border itself or without it."""
    source, target, widths = b.tensor(op, 0), b.target(op), b.constant(op, 1)
    moves(source, target)
    if op.options["Mode"] not in range(len(MIRRORS)):
        raise UnsupportedError(f"mode {op.options['Mode']}, expected 0 or 1")
    mode, border = MIRRORS[op.options["Mode"]]
    most = np.array(source.shape)[:, None] - border
    if widths.shape != (len(source.shape), 2) or widths.min(initial=0) < 0 or (widths > most).any():
        raise InputError(f"{widths.tolist()} around {source.shape}, expected two numbers for each axis, of at least 0 and less than it has")
    b.charge(math.prod(n + sum(pair) for n, pair in zip(source.shape, widths.tolist(), strict=True)))
    b.give(target, b.of(source).map(lambda a: np.pad(a, widths, mode=mode)))


def broadcast_to(b: Builder, op: Operator) -> None:
    source, target = b.tensor(op, 0), b.target(op)
    moves(source, target)
    shape = sizes(b, op, 1)
    b.give(target, b.of(source).map(lambda a: np.broadcast_to(a, shape)))


def fill(b: Builder, op: Operator) -> None:
    """The shape comes first, then the one value."""
    source, target = b.tensor(op, 1), b.target(op)
    moves(source, target)
    if b.runtime.name in MICRO and b.tensor(op, 0).data is None:
        raise UnsupportedError(f"a shape that is computed, where {b.runtime.name} takes a constant: convert it with a batch of 1")
    shape = sizes(b, op, 0)
    b.give(target, b.of(source).reshape().map(lambda a: np.broadcast_to(a, shape)))


def sizes(b: Builder, op: Operator, which: int) -> list[int]:
    """A shape that an input holds, charged for."""
    shape = b.constant(op, which).ravel().tolist()
    if min(shape, default=1) < 1:
        raise InputError(f"{b.tensor(op, which).place}: shape {shape}, expected sizes of at least 1")
    b.charge(math.prod(shape))
    return shape


def zeros_like(b: Builder, op: Operator) -> None:
    """Zeros, which are not zero points; LiteRT makes none that are INT8."""
    source, target = b.tensor(op, 0), b.target(op)
    moves(source, target)
    if target.type == "INT8" and b.runtime.name not in MICRO:
        raise UnsupportedError(f"zeros of INT8, which {b.runtime.name} does not make")
    b.charge(source.size)
    b.give(target, Wires.of_constants(np.zeros(source.shape, np.int64)))


OPERATORS = {
    "GATHER": gather,
    "GATHER_ND": gather_nd,
    "REVERSE_V2": reverse,
    "MIRROR_PAD": mirror_pad,
    "BROADCAST_TO": broadcast_to,
    "FILL": fill,
    "ZEROS_LIKE": zeros_like,
}
