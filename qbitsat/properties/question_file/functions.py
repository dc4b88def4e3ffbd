"""What the signs and functions of expressions mean."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...errors import InputError
from ..formula import And, Formula
from .linear import (
    Each,
    Extreme,
    First,
    Linear,
    Magnitude,
    Rank,
    Tensor,
    Value,
    array_of,
    condition,
    constant,
    every,
    filled,
    items,
    kind,
    numbers,
    paired,
    some,
)


def copied(value: Value) -> np.ndarray:
    array = numbers(value)
    return filled([Linear(dict(item.terms), item.constant) for item in items(array)], array.shape)


def added(total: np.ndarray, value: Value, sign: int) -> np.ndarray:
    """total + sign * value; what total is made of may change."""
    other = numbers(value)
    if total.shape == other.shape:
        for a, b in zip(items(total), items(other), strict=True):
            a.add(b, sign)
        return total
    left, right = paired(total, other)
    return array_of(left + right if sign > 0 else left - right)


def product(a: Value, b: Value) -> np.ndarray:
    left, right = paired(numbers(a), numbers(b))
    return array_of(left * right)


def negative(value: Value) -> np.ndarray:
    return filled([-item for item in items(value)], numbers(value).shape)


def indexed(value: Any, index: tuple[Any, ...]) -> Value:
    if not isinstance(value, Tensor | np.ndarray):
        raise InputError(f"an index of {kind(value)}, expected a tensor")
    array = value.numbers if isinstance(value, Tensor) else value
    if len(index) > array.ndim:
        raise InputError(f"{len(index)} indices, but there {'is 1 axis' if array.ndim == 1 else f'are {array.ndim} axes'}")
    for axis, part in enumerate(index):
        length = array.shape[axis]
        if isinstance(part, slice):
            start, stop = part.start or 0, length if part.stop is None else part.stop
            if not start < stop <= length:
                raise InputError(f"{start}:{stop} of axis {axis}, expected a:b with a below b, within 0:{length}")
        elif part >= length:
            raise InputError(f"index {part} of axis {axis}, expected one from 0 to {length - 1}")
    part = array[index]
    return Tensor(np.asarray(part), value.make) if isinstance(value, Tensor) else array_of(part)


def among(value: Value, ranges: list[tuple[int, int]]) -> Each:
    """Each element is in one of the ranges."""

    def one(item: Linear) -> Formula:
        return some([And(((item - Linear(None, last)).at_most(), (Linear(None, first) - item).at_most())) for first, last in ranges])

    return Each([one(item) for item in items(value)])


def _sum(value: Value) -> np.ndarray:
    total = Linear()
    for item in items(value):
        total.add(item)
    return filled([total], ())


def _rank(value: Value, c: Value) -> Rank:
    return Rank(items(value), _class(value, c))


def _class(value: Value, c: Value) -> int:
    found, count = constant(c, "the class"), len(items(value))
    if not 0 <= found < count:
        raise InputError(f"class {found}, expected one in [0, {count - 1}]")
    return found


def _kept(value: Value, c: Value) -> Formula:
    """No other is larger; what is as large may be."""
    chosen, parts = _class(value, c), items(value)
    return every([(part - parts[chosen]).at_most() for j, part in enumerate(parts) if j != chosen])


def _join(join: Callable[[Sequence[Formula]], Formula]) -> Callable[[Value], Formula]:
    return lambda value: join(value.parts) if isinstance(value, Each) else condition(value)


def _one_hot(value: Value) -> Formula:
    """Each is 0 or 1, and exactly one is 1."""
    parts = items(value)
    bits = [And(((-part).at_most(), part.at_most(1))) for part in parts]
    total = items(_sum(value))[0]
    return And((*bits, total.at_most(1), (-total).at_most(-1)))


FUNCTIONS: dict[str, tuple[Callable[..., Value], int]] = {
    "abs": (lambda value: Magnitude(numbers(value)), 1),
    "max": (lambda value: Extreme(numbers(value), 1), 1),
    "min": (lambda value: Extreme(numbers(value), -1), 1),
    "sum": (_sum, 1),
    "argmax": (lambda value: First(items(value)), 1),
    "rank": (_rank, 2),
    "kept": (_kept, 2),
    "all": (_join(every), 1),
    "any": (_join(some), 1),
    "one_hot": (_one_hot, 1),
}
