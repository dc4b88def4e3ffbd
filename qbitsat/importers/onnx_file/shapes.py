"""Operators that compute nothing: they say which element stands where. They move constants and values of every kind."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from ...errors import InputError, UnsupportedError
from ..assembly import Wires
from .records import Graph, Node
from .values import Dequantized, Outside, Tabulated, Value

ENDLESS = (1 << 31) - 1


class Followed(ABC):
    """What follows a graph: `values` are the tensors so far, by their names there; arrays are constants."""

    def __init__(self, graph: Graph):
        self.values: dict[str, Any] = dict(graph.constants)

    def get(self, node: Node, which: int) -> Any:
        """An input of the node: an array or a tensor."""
        name = node.inputs[which] if which < len(node.inputs) else ""
        if not name:
            raise InputError(f"has no input {which}, expected one")
        if name not in self.values:
            raise UnsupportedError(f"input {which} is a second output of an operator that gives one here")
        return self.values[name]

    def give(self, node: Node, value: Any, which: int = 0) -> None:
        if which >= len(node.outputs):
            raise InputError(f"has {len(node.outputs)} outputs, expected at least {which + 1}")
        self.values[node.outputs[which]] = value

    @abstractmethod
    def charge(self, size: int) -> None:
        """So many numbers more are made."""


def has(node: Node, which: int) -> bool:
    """Whether an input is there."""
    return which < len(node.inputs) and node.inputs[which] != ""


def constant(f: Followed, node: Node, which: int) -> np.ndarray:
    """An input that must be a constant."""
    found = f.get(node, which)
    if not isinstance(found, np.ndarray):
        raise UnsupportedError(f"input {which} is computed, expected a constant")
    return found


def numbers(f: Followed, node: Node, which: int, attribute: str) -> list[int] | None:
    """Integers that are an input in new versions of an operator and an attribute in old ones; None where there are none."""
    if has(node, which):
        array = constant(f, node, which)
        if array.dtype.kind not in "iu":
            raise InputError(f"input {which} is {array.dtype}, expected integers")
        return [int(n) for n in array.ravel()]
    found = node.attributes.get(attribute)
    return None if found is None else [int(n) for n in np.atleast_1d(found)]


def shape_of(x: Any) -> tuple[int, ...]:
    return tuple(x.shape)


def moved(x: Any, function: Callable[[np.ndarray], np.ndarray]) -> Any:
    """A constant or a value, its elements moved."""
    return np.asarray(function(x)) if isinstance(x, np.ndarray) else x.map(function)


def move(f: Followed, node: Node, function: Callable[[np.ndarray], np.ndarray]) -> None:
    f.give(node, moved(f.get(node, 0), function))


def identity(f: Followed, node: Node) -> None:
    f.give(node, f.get(node, 0))


def reshape(f: Followed, node: Node) -> None:
    """0 keeps a size, -1 is what is left."""
    x, sizes = f.get(node, 0), numbers(f, node, 1, "shape")
    if sizes is None:
        raise InputError("has no shape")
    old = shape_of(x)
    if not node.attributes.get("allowzero"):
        sizes = [old[i] if n == 0 else n for i, n in enumerate(sizes)]
    f.give(node, moved(x, lambda a: a.reshape(sizes)))


def flatten(f: Followed, node: Node) -> None:
    x, axis = f.get(node, 0), node.attributes.get("axis", 1)
    shape = shape_of(x)
    if not -len(shape) <= axis <= len(shape):
        raise InputError(f"axis {axis} of {shape}")
    axis += len(shape) if axis < 0 else 0
    f.give(node, moved(x, lambda a: a.reshape(math.prod(shape[:axis]), -1)))


def transpose(f: Followed, node: Node) -> None:
    axes = node.attributes.get("perm")
    move(f, node, lambda a: a.transpose(axes))


def squeeze(f: Followed, node: Node) -> None:
    axes = numbers(f, node, 1, "axes")
    move(f, node, lambda a: a.squeeze(None if axes is None else tuple(axes)))


def unsqueeze(f: Followed, node: Node) -> None:
    axes = numbers(f, node, 1, "axes")
    move(f, node, lambda a: np.expand_dims(a, tuple(axes or ())))


def slice_(f: Followed, node: Node) -> None:
    x = f.get(node, 0)
    begins, ends = (numbers(f, node, i, name) for i, name in ((1, "starts"), (2, "ends")))
    if begins is None or ends is None:
        raise InputError("has no starts or no ends")
    axes, steps = numbers(f, node, 3, "axes") or list(range(len(begins))), numbers(f, node, 4, "steps") or [1] * len(begins)
    parts = [slice(None)] * len(shape_of(x))
    for axis, begin, end, step in zip(axes, begins, ends, steps, strict=True):
        # Below the first element there is no index but None.
        parts[axis] = slice(begin, None if step < 0 and end < -ENDLESS // 2 else end, step)
    f.give(node, moved(x, lambda a: a[tuple(parts)]))


def gather(f: Followed, node: Node) -> None:
    x, indices, axis = f.get(node, 0), constant(f, node, 1), node.attributes.get("axis", 0)
    f.charge(indices.size * math.prod(shape_of(x)))
    f.give(node, moved(x, lambda a: np.take(a, indices.astype(np.int64), axis)))


def shape(f: Followed, node: Node) -> None:
    f.give(node, np.array(shape_of(f.get(node, 0)), np.int64))


def concat(f: Followed, node: Node) -> None:
    """Of one kind only; what is rescaled is no business of this function."""
    parts, axis = [f.get(node, i) for i in range(len(node.inputs))], node.attributes.get("axis", 0)
    f.give(node, joined(parts, axis))


def joined(parts: list[Any], axis: int) -> Any:
    """Constants, or values of one meaning, one after the other."""
    if all(isinstance(part, np.ndarray) for part in parts):
        return np.concatenate(parts, axis)
    first = parts[0]
    if not all(type(part) is type(first) and isinstance(part, Value) and not isinstance(part, Tabulated) for part in parts) or any(
        meaning(part) != meaning(first) for part in parts
    ):
        raise UnsupportedError("joins tensors of different kinds or scales, expected one of all")
    wires = Wires(*(np.concatenate([getattr(part.wires, name) for part in parts], axis) for name in ("values", "constants")))
    return replace(first, wires=wires, **({"of": None} if hasattr(first, "of") else {}))


def meaning(x: Value) -> tuple[Any, ...]:
    """All of a value but its wires, and what they are a function of."""
    return tuple(part for name, part in vars(x).items() if name not in ("wires", "of"))


def split(f: Followed, node: Node) -> None:
    x, axis = f.get(node, 0), node.attributes.get("axis", 0)
    sizes, count = numbers(f, node, 1, "split"), len(node.outputs)
    step = -(-shape_of(x)[axis] // count)
    ends = [step * i for i in range(1, count)] if sizes is None else np.cumsum(sizes)[:-1].tolist()
    if sizes is not None and (len(sizes) != count or sum(sizes) != shape_of(x)[axis]):
        raise InputError(f"splits {shape_of(x)[axis]} into {sizes}, expected {count} sizes of that sum")
    for i, (begin, end) in enumerate(zip([0, *ends], [*ends, shape_of(x)[axis]], strict=True)):
        f.give(node, taken(x, (slice(None),) * (axis % len(shape_of(x))) + (slice(begin, end),)), i)


def taken(x: Any, part: tuple[slice, ...]) -> Any:
    return moved(x, lambda a: a[part])


def cast(f: Followed, node: Node) -> None:
    """Of constants; and of floats to floats."""
    from .protobuf import TYPES

    x, number = f.get(node, 0), node.attributes.get("to", 0)
    if number not in TYPES:
        raise UnsupportedError(f"a cast to type {number}")
    if isinstance(x, np.ndarray):
        f.give(node, x.astype(TYPES[number][0]))
    elif isinstance(x, Outside | Dequantized | Tabulated) and number == 1:
        f.give(node, x)
    else:
        raise UnsupportedError("a cast of what is computed")


def pad_widths(f: Followed, node: Node, shape: tuple[int, ...]) -> tuple[list[tuple[int, int]], Any]:
    """How many elements go before and after each axis, and the constant that they are, None for 0."""
    if node.attributes.get("mode", "constant") != "constant":
        raise UnsupportedError(f"mode {node.attributes['mode']}, expected constant")
    widths, axes = numbers(f, node, 1, "pads"), numbers(f, node, 3, "") or list(range(len(shape)))
    if widths is None or len(widths) != 2 * len(axes) or min(widths, default=0) < 0:
        raise UnsupportedError(f"pads {widths}, expected two numbers of at least 0 for each axis")
    pairs = [(0, 0)] * len(shape)
    for i, axis in enumerate(axes):
        pairs[axis] = widths[i], widths[len(axes) + i]
    f.charge(math.prod(n + sum(pair) for n, pair in zip(shape, pairs, strict=True)))
    value = constant(f, node, 2).item() if has(node, 2) else node.attributes.get("value")
    return pairs, value


OPERATORS: dict[str, Callable[[Any, Node], None]] = {
    "Identity": identity,
    "Dropout": identity,
    "Reshape": reshape,
    "Flatten": flatten,
    "Transpose": transpose,
    "Squeeze": squeeze,
    "Unsqueeze": unsqueeze,
    "Slice": slice_,
    "Gather": gather,
    "Shape": shape,
    "Split": split,
    "Cast": cast,
    "Concat": concat,
}
