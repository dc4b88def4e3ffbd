"""Sums and means of floats as a runtime computes them: rounded to float32 at each step, in the runtime's order.

All floats are integers of one unit. A sum S is slope * (the sum of q - z) and what rounding adds to it, which is small. Where S has few
values, its rounding is one step function that numbers the floats it can become, and a table of what each of them adds; else it is a sum of
shifts that saturate, one for each power of two that S may have.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...arithmetic import ShiftRequantizer, TableRequantizer, ThresholdRequantizer
from ...network import TensorFormat
from ..assembly import Builder, Wires, once
from .floats import DIGITS, Levels, f32, in_units, require_bits, unit_of
from .values import Dequantized

# Values int32[n, k] of the network, and the weight int64[k] of each column.
Terms = tuple[np.ndarray, np.ndarray]
# Sums of which all values are known have at most so many pairs of operands, and floats.
MOST_PAIRS, MOST_FLOATS = 1 << 22, 1 << 13
# Lanes of a vector of the runtime's sums.
LANES = 4


@dataclass(frozen=True)
class Sum:
    """bias + the sum of weight * value, a row of terms each, in [lo, hi]. `columns` are the integers q whose floats are summed; `known` are
    all values that the sum can have, sorted, or None.
    """

    terms: Terms
    bias: int
    columns: np.ndarray
    known: np.ndarray | None
    lo: int
    hi: int


Order = Callable[[list[Sum], Callable[[Sum, Sum], Sum]], Sum]


class Float32Sums:
    """Sums of the floats of x; `name` is that of the layers."""

    def __init__(self, b: Builder, name: str, x: Dequantized):
        self.b, self.name, self.x = b, name, x
        self.unit = unit_of(x.floats, np.array([x.scale]))
        self.slope = int(in_units(np.array([x.scale]), self.unit)[0])
        self.table = in_units(x.floats, self.unit)
        self.count = 0
        # What is made of the same arrays, made once: sums of as many floats are alike. Arrays are kept, so that their ids stay theirs.
        self._made: dict[tuple[Any, ...], tuple[Any, Any]] = {}

    def once_for(self, function: Callable[..., Any], *arrays: np.ndarray) -> Any:
        """function(*arrays), computed once for the same arrays."""
        key = (function.__name__, *map(id, arrays))
        if key not in self._made:
            self._made[key] = function(*arrays), arrays
        return self._made[key][0]

    def parts(self, groups: np.ndarray) -> list[Sum]:
        """The floats of each column of values int32[n, k]."""
        q = np.arange(self.x.lo, self.x.hi + 1)
        more, drop = self.corrected(self.name, groups, self.x.lo, self.table - self.slope * (q - self.x.zero_point))
        bias, known = drop - self.slope * self.x.zero_point, np.unique(self.table)
        parts = []
        for i in range(groups.shape[1]):
            column = groups[:, i : i + 1]
            terms = joined((column, np.array([self.slope])), *((values[:, i : i + 1], weight) for values, weight in more))
            parts.append(Sum(terms, bias, column, known, int(known[0]), int(known[-1])))
        return parts

    def corrected(self, name: str, places: np.ndarray, lo: int, added: np.ndarray) -> tuple[list[Terms], int]:
        """Terms and a bias that give added[place - lo]: a table that never decreases, less a multiple of the place."""
        if not added.any():
            return [], 0
        down = max(0, -int(np.diff(added).min(initial=0)))
        step = replace(self.once_for(rising, added), first=lo)
        wires = once(self.b, f"{name}.rest", Wires.of_values(places), 1, 0, step)
        terms = [(wires.values, np.array([1])), (places, np.array([-down]))]
        return terms[: 2 if down else 1], int(added[0]) + down * lo

    def added(self, x: Sum, y: Sum) -> Sum:
        """The sum of two floats, not rounded yet."""
        x, y = self.rounded(x), self.rounded(y)
        known = None
        if x.known is not None and y.known is not None and len(x.known) * len(y.known) <= MOST_PAIRS:
            known = self.once_for(sums_of, x.known, y.known)
        terms, columns = joined(x.terms, y.terms), np.concatenate([x.columns, y.columns], axis=1)
        return Sum(terms, x.bias + y.bias, columns, known, x.lo + y.lo, x.hi + y.hi)

    def rounded(self, x: Sum) -> Sum:
        """float32(x), ties to even."""
        require_bits(max(-x.lo, x.hi))
        if x.known is not None and self.once_for(is_float32, x.known):
            return x
        self.count += 1
        name, ends = f"{self.name}.{self.count}", np.array([x.lo, x.hi]).astype(f32).astype(np.int64).tolist()
        return (None if x.known is None else self.numbered(name, x, x.known, ends)) or self.shifted(name, x, ends)

    def numbered(self, name: str, x: Sum, known: np.ndarray, ends: list[int]) -> Sum | None:
        """A step function numbers the floats; a table says how much each is more than the slope times the sum of q - z."""
        # Roundings that may add up to half of the slope do not say which sum of q - z a float is of.
        found = self.once_for(self.floats_of, known)
        if found is None or self.error(x.columns.shape[1], max(-x.lo, x.hi)) * 2 >= self.slope:
            return None
        distinct, added, step = found
        form = TensorFormat((1,), step.lo, step.hi)
        number = self.b.sums(name, x.terms[0], x.terms[1].tolist(), x.bias, (step,), form)[:, None]
        more, bias = self.corrected(name, number, 0, added)
        count = x.columns.shape[1]
        terms = joined((x.columns, np.full(count, self.slope)), *more)
        return Sum(terms, bias - count * self.slope * self.x.zero_point, x.columns, distinct, *ends)

    def floats_of(self, known: np.ndarray) -> tuple[np.ndarray, np.ndarray, ThresholdRequantizer] | None:
        """The floats that sums of these values become, what each adds to a multiple of the slope, and the step that numbers them."""
        distinct, first = np.unique(known.astype(f32).astype(np.int64), return_index=True)
        if len(distinct) > MOST_FLOATS:
            return None
        added = distinct - self.slope * np.rint(distinct / self.slope).astype(np.int64)
        return distinct, added, ThresholdRequantizer(0, tuple(known[first[1:]].tolist()))

    def shifted(self, name: str, x: Sum, ends: list[int]) -> Sum:
        """float32(S) = the sum over both signs of +- (clamp(+-S, 0, 2**24) + the sum over e > 0 of
        2**e (clamp(round(+-S / 2**e), 2**23, 2**24) - 2**23)), ties to even
        """
        made: list[Terms] = []
        for sign, most in ((1, ends[1]), (-1, -ends[0])):
            for e in range(max(1, most.bit_length() - DIGITS + 1) if most > 0 else 0):
                least = 1 << (DIGITS - 1) if e else 0
                step = ShiftRequantizer(e, "half_even", 0, (1 << DIGITS) - least, offset=-least)
                form = TensorFormat((1,), step.lo, step.hi)
                out = self.b.sums(f"{name}.{'-+'[sign > 0]}{e}", x.terms[0], (sign * x.terms[1]).tolist(), sign * x.bias, (step,), form)
                made.append((out[:, None], np.array([sign << e])))
        return Sum(joined(*made), 0, x.columns, None, *ends)

    def error(self, count: int, most: int | np.ndarray) -> int | np.ndarray:
        """How far a sum of so many floats may be from slope * (the sum of q - z), when no part of it is beyond `most` in size: half a unit
        in the last place of every float and of every sum of two.
        """
        return count * ((most >> DIGITS - 1) + 2)


def rising(added: np.ndarray) -> TableRequantizer:
    """What is added, plus as much for each place as makes it never decrease."""
    down = max(0, -int(np.diff(added).min(initial=0)))
    return TableRequantizer(0, tuple((added - added[0] + down * np.arange(len(added))).tolist()))


def sums_of(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """All sums of two values, sorted."""
    sums = np.sort(np.add.outer(x, y), axis=None)
    return sums[np.diff(sums, prepend=sums[0] - 1) > 0]


def is_float32(x: np.ndarray) -> bool:
    return bool((x.astype(f32).astype(np.int64) == x).all())


def joined(*terms: Terms) -> Terms:
    return np.concatenate([values for values, _ in terms], axis=1), np.concatenate([weights for _, weights in terms])


def in_turn(parts: list[Sum], add: Callable[[Sum, Sum], Sum]) -> Sum:
    """From left to right."""
    return functools.reduce(add, parts)


def in_lanes(start: int) -> Order:
    """As Eigen adds a row: from its element `start` on in vectors, every other one; then both sums, the lanes, and in turn what is left."""

    def order(parts: list[Sum], add: Callable[[Sum, Sum], Sum]) -> Sum:
        def both(one: list[Sum], other: list[Sum]) -> list[Sum]:
            return [add(a, b) for a, b in zip(one, other, strict=True)]

        end = start + (len(parts) - start) // LANES * LANES
        vectors = [parts[i : i + LANES] for i in range(start, end, LANES)]
        if not vectors:
            return in_turn(parts, add)
        even = len(vectors) // 2 * 2
        sums = [functools.reduce(both, vectors[i:even:2]) for i in (0, 1) if even] + vectors[even:]
        first, second, third, last = functools.reduce(both, sums)
        return in_turn([add(add(first, third), add(second, last)), *parts[:start], *parts[end:]], add)

    return order


def mean_in_float32(
    b: Builder, name: str, groups: np.ndarray, x: Dequantized, levels: Levels, form: TensorFormat, order: Order = in_turn
) -> np.ndarray:
    """levels(sum) for each row of groups, values int32[n, k] of x: the sum of their floats, in this order, rounded at each step.

    levels is of sums as float32 and never decreases. Where no rounding can change a level, one sum of integers is all.
    """
    sums, length = Float32Sums(b, name, x), groups.shape[1]
    largest = length * int(np.abs(sums.table).max()) + 1
    require_bits(largest + (largest >> DIGITS - 4))

    def of_units(acc: np.ndarray) -> np.ndarray:
        return levels(acc.astype(f32) * f32(2.0**sums.unit))

    all_sums = np.arange(length * (x.lo - x.zero_point), length * (x.hi - x.zero_point) + 1)
    exact = sums.slope * all_sums
    error = sums.error(length, exact if x.zero_point <= x.lo else largest)
    ends = [of_units(exact - error), of_units(exact + error)]
    if (ends[0] == ends[1]).all():
        step = ThresholdRequantizer.of(lambda acc: ends[0][acc - all_sums[0]], (form.lo, form.hi), (int(all_sums[0]), int(all_sums[-1])))
        return b.sums(name, groups, [1] * length, -length * x.zero_point, (step,), form)
    b.charge(groups.size * DIGITS)
    total = order(sums.parts(groups), sums.added)
    step = ThresholdRequantizer.of(of_units, (form.lo, form.hi), (total.lo, total.hi))
    return b.sums(name, total.terms[0], total.terms[1].tolist(), total.bias, (step,), form)
