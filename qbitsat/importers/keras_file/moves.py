"""Layers of Keras files that pool, move, join and add."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np

from ...errors import InputError
from ...network.float_network import Add, Concat, GlobalPool, Pad, Pool, Reshape, Scale, Transpose
from .affine import Window
from .node import Node


def pool(node: Node, axes: int, kind: str) -> int:
    """Averages leave the padding out."""
    x = node.image(axes)
    window = Window(node, axes, node.builder.shape(x), "pool_size", None)
    y = node.add(Pool, "", x, kind, window.kernel, window.strides, window.padding)
    return node.as_before(y, axes)


def global_pool(node: Node, axes: int, kind: str) -> int:
    x = node.image(axes)
    y = node.add(GlobalPool, "", x, kind)
    if not node.settings.flag("keepdims", False):
        return y
    channels = node.builder.shape(y)
    ones = (1,) * axes
    return node.add(Reshape, "keepdims", y, (*channels, *ones) if node.is_channels_first else (*ones, *channels))


def zero_padding(node: Node, axes: int) -> int:
    """padding is a number, one for each axis, or (before, after) for each."""
    found, settings = node.settings.get("padding", 1), node.settings
    parts = [found] * axes if type(found) is int else [found] if axes == 1 else found
    if not isinstance(parts, list) or len(parts) != axes or len(node.shape) != axes + 1:
        raise settings.wrong("padding", f"(before, after) for each of {axes} axes")
    pairs = tuple((n, n) if type(n) is int else tuple(n) if isinstance(n, list) else () for n in parts)
    if not all(len(sides) == 2 and all(type(n) is int for n in sides) for sides in pairs):
        raise settings.wrong("padding", f"(before, after) for each of {axes} axes")
    return node.add(Pad, "", node.x, ((0, 0), *pairs) if node.is_channels_first else (*pairs, (0, 0)))


def flatten(node: Node) -> int:
    """Channels last, whatever order they are in."""
    x, axes = node.x, len(node.shape)
    if node.is_channels_first and axes > 1:
        x = node.add(Transpose, "channels_last", x, (*range(1, axes), 0))
    return node.add(Reshape, "", x, (math.prod(node.shape),))


def reshape(node: Node) -> int:
    """A size of -1 is what is left."""
    found = node.settings.get("target_shape")
    if not isinstance(found, list) or not all(type(n) is int and (n == -1 or n > 0) for n in found) or found.count(-1) > 1:
        raise node.settings.wrong("target_shape", "sizes, one of them -1 at most")
    known = math.prod(n for n in found if n != -1)
    return node.add(Reshape, "", node.x, tuple(math.prod(node.shape) // known if n == -1 else n for n in found))


def permute(node: Node) -> int:
    """Axes count from 1."""
    found = node.settings.get("dims")
    if not isinstance(found, list) or not all(type(n) is int for n in found):
        raise node.settings.wrong("dims", "a list of axes")
    return node.add(Transpose, "", node.x, tuple(n - 1 for n in found))


def add(node: Node) -> int:
    return node.add(Add, "", node.reads)


def subtract(node: Node) -> int:
    if len(node.reads) != 2:
        raise InputError(f"{node.place}: reads {len(node.reads)} tensors, expected two")
    return node.add(Add, "", (node.reads[0], node.add(Scale, "negative", node.reads[1], np.array([-1.0]), np.zeros(1))))


def average(node: Node) -> int:
    return node.add(Scale, "", node.add(Add, "sum", node.reads), np.array([1 / len(node.reads)]), np.zeros(1))


def concatenate(node: Node) -> int:
    return node.add(Concat, "", node.reads, node.axis("axis", -1)) if len(node.reads) > 1 else node.x


def identity(node: Node) -> int:
    node.builder.leave_out(node.name)
    return node.x


HANDLERS: dict[str, Any] = {
    "Flatten": flatten,
    "Reshape": reshape,
    "Permute": permute,
    "Add": add,
    "Subtract": subtract,
    "Average": average,
    "Concatenate": concatenate,
    **dict.fromkeys(
        ("Dropout", "SpatialDropout1D", "SpatialDropout2D", "AlphaDropout", "GaussianDropout", "GaussianNoise", "ActivityRegularization",
         "Identity"),
        identity,
    ),
}  # fmt: skip
for _axes in (1, 2):
    for _kind, _word in (("max", "Max"), ("average", "Average")):
        HANDLERS[f"{_word}Pooling{_axes}D"] = partial(pool, axes=_axes, kind=_kind)
        HANDLERS[f"Global{_word}Pooling{_axes}D"] = partial(global_pool, axes=_axes, kind=_kind)
    HANDLERS[f"ZeroPadding{_axes}D"] = partial(zero_padding, axes=_axes)
