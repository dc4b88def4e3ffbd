"""Resize by the nearest neighbour to a whole multiple of a size, as ONNX defines it and ONNX Runtime does it."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np

from ...errors import InputError, UnsupportedError
from .records import Node
from .shapes import Followed, constant, has, moved, shape_of

# Times the size, at most.
MOST = 1 << 10
# The place among n cells that stands at each place i of k n > 1: a fraction, of arrays over a number above 0.
PLACES: dict[str, Callable[[np.ndarray, int, int], tuple[np.ndarray, int]]] = {
    "asymmetric": lambda i, _n, k: (i, k),
    "half_pixel": lambda i, _n, k: (2 * i + 1 - k, 2 * k),
    "pytorch_half_pixel": lambda i, _n, k: (2 * i + 1 - k, 2 * k),
    "align_corners": lambda i, n, k: (i * (n - 1), n * k - 1),
}
NEAREST: dict[str, Callable[[np.ndarray, int], np.ndarray]] = {
    "round_prefer_floor": lambda p, q: -((q - 2 * p) // (2 * q)),
    "round_prefer_ceil": lambda p, q: (2 * p + q) // (2 * q),
    "floor": lambda p, q: p // q,
    "ceil": lambda p, q: -(-p // q),
}


def resize(f: Followed, node: Node) -> None:
    x = f.get(node, 0)
    shape, mode = shape_of(x), node.attributes.get("mode", "nearest")
    place, nearest = (
        node.attributes.get(name, default)
        for name, default in (("coordinate_transformation_mode", "half_pixel"), ("nearest_mode", "round_prefer_floor"))
    )
    if mode != "nearest" or place not in PLACES or nearest not in NEAREST or node.attributes.get("axes") is not None:
        raise UnsupportedError(f"mode {mode}, {place}, {nearest}, expected nearest, {' or '.join(PLACES)}, of all axes")
    factors = factors_of(f, node, shape)
    f.charge(math.prod(shape) * math.prod(factors))
    for axis, (n, k) in enumerate(zip(shape, factors, strict=True)):
        if k > 1:
            f.charge(n * k)
            cells = np.clip(NEAREST[nearest](*PLACES[place](np.arange(n * k), n, k)), 0, n - 1)
            x = moved(x, lambda a, cells=cells, axis=axis: np.take(a, cells, axis))  # type: ignore[misc]
    f.give(node, x)


def factors_of(f: Followed, node: Node, shape: tuple[int, ...]) -> list[int]:
    """How many times as long each axis becomes: whole numbers, from the factors or the sizes that are an input."""
    if has(node, 2) and constant(f, node, 2).size:
        found = [Fraction(float(v)) for v in constant(f, node, 2).ravel() if math.isfinite(v)]
    elif has(node, 3):
        found = [Fraction(int(v), n) for v, n in zip(constant(f, node, 3).ravel().tolist(), shape, strict=False)]
    else:
        raise InputError("has no scales and no sizes")
    if len(found) != len(shape) or any(v.denominator > 1 or not 1 <= v <= MOST for v in found):
        raise UnsupportedError(f"to {', '.join(map(str, found))} times the size of {shape}, expected whole multiples")
    return [int(v) for v in found]
