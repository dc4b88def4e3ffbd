"""Geometry of convolutions and pools, and the layout of their operands: channels last, as layers have it."""

from __future__ import annotations

import numpy as np

from ...errors import InputError, UnsupportedError
from ..assembly import Wires, out_size
from .records import Node

Pair = tuple[int, int]
MOST = 1 << 16


def pair(node: Node, attribute: str, default: tuple[int, ...], axes: int, least: int) -> tuple[int, ...]:
    """As many sizes as there are axes."""
    sizes = node.attributes.get(attribute, default)
    if not isinstance(sizes, tuple) or len(sizes) != axes or not all(isinstance(n, int) and least <= n <= MOST for n in sizes):
        raise InputError(f"{attribute} {sizes}, expected {axes} integers from {least} to {MOST}")
    return sizes


def two(sizes: tuple[int, ...]) -> Pair:
    return sizes[0], sizes[1]


def image(wires: Wires) -> Wires:
    """(1, channels, length) or (1, channels, height, width) as (height, width, channels)."""
    if len(wires.shape) not in (3, 4) or wires.shape[0] != 1:
        raise UnsupportedError(f"an input of shape {wires.shape}, expected (1, channels, height, width)")
    return wires.map(lambda a: (a[0] if a.ndim == 4 else a[0][:, None]).transpose(1, 2, 0))


def as_before(result: Wires, axes: int) -> Wires:
    """(height, width, channels) as (1, channels, height, width), or without the height."""
    moved = result.map(lambda a: a.transpose(2, 0, 1)[None])
    return moved if axes == 2 else moved.map(lambda a: a[:, :, 0])


class Windows:
    """Of a node with `axes` axes of an image of `size`: kernel, strides and dilation along height and width, and padding."""

    def __init__(self, node: Node, axes: int, size: tuple[int, ...], kernel: tuple[int, ...] | None = None):
        kernel = pair(node, "kernel_shape", kernel or (), axes, 1)
        one, none = (1,) * axes, (0,) * 2 * axes
        strides, dilation = pair(node, "strides", one, axes, 1), pair(node, "dilations", one, axes, 1)
        pads = pair(node, "pads", none, 2 * axes, 0)
        # A missing height is one of 1.
        front = (1,) * (2 - axes)
        self.kernel, self.strides, self.dilation = (two(front + sizes) for sizes in (kernel, strides, dilation))
        zero = (0,) * (2 - axes)
        before, after = zero + pads[:axes], zero + pads[axes:]
        auto = node.attributes.get("auto_pad", "NOTSET")
        if auto in ("SAME_UPPER", "SAME_LOWER"):
            sums = [
                max(0, (-(-n // s) - 1) * s + (k - 1) * d + 1 - n)
                for n, k, s, d in zip(size, self.kernel, self.strides, self.dilation, strict=False)
            ]
            small, large = tuple(n // 2 for n in sums), tuple(n - n // 2 for n in sums)
            before, after = (small, large) if auto == "SAME_UPPER" else (large, small)
        elif auto not in ("NOTSET", "VALID"):
            raise UnsupportedError(f"auto_pad {auto}")
        self.padding: tuple[Pair, Pair] = ((before[0], after[0]), (before[1], after[1]))
        sizes = [out_size(*n) for n in zip(size, self.kernel, self.strides, self.padding, self.dilation, strict=False)]
        self.out: Pair = (sizes[0], sizes[1])
        if node.attributes.get("ceil_mode") and any(
            (n + sum(p) - (k - 1) * d - 1) % s
            for n, k, s, p, d in zip(size, self.kernel, self.strides, self.padding, self.dilation, strict=False)
        ):
            raise UnsupportedError("ceil_mode 1 where it leaves part of a window outside, expected 0")

    def cells(self, axis: int, size: int) -> tuple[np.ndarray, np.ndarray]:
        """The cell along an axis of each position and tap, int[positions, taps], and whether it is inside."""
        taps = np.arange(self.kernel[axis]) * self.dilation[axis]
        cells = np.arange(self.out[axis])[:, None] * self.strides[axis] - self.padding[axis][0] + taps
        return cells, (cells >= 0) & (cells < size)
