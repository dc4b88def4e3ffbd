"""The steps of a layer's outputs: which accumulators give which output, and the best pair of both on a line.

Outputs are in groups: those of saturating shifts have closed forms, whatever their levels; those of at most MAX_LEVELS levels, or with a
table of values, have tables of steps. Outputs in no group, those that wrap around or have more levels, count as unrelated to
their accumulators.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from ..arithmetic import (
    DivisionRequantizer,
    Float32Requantizer,
    Float64Requantizer,
    MultiplierRequantizer,
    Requantizer,
    ShiftRequantizer,
    TableRequantizer,
    ThresholdRequantizer,
    divide_pow2,
)
from ..arithmetic.rounding import first_with_quotient
from ..arithmetic.table import MAX_ENTRIES
from ..limits import Limits
from ..network import Layer

# Accumulators stay far below this; it stands for "none".
FAR = 1 << 61
# Requantizers with more levels get no table.
MAX_LEVELS = 1 << 12
FINAL = (
    ShiftRequantizer,
    MultiplierRequantizer,
    Float32Requantizer,
    Float64Requantizer,
    DivisionRequantizer,
    TableRequantizer,
    ThresholdRequantizer,
)
# Pairs that are compared at a time, and the bytes that each takes.
ROOM, ENTRY = 1 << 17, 150


class Group(ABC):
    """Some outputs of a layer, whose steps are found in one way; `at` are places in `outputs`, v levels and accs accumulators."""

    outputs: np.ndarray

    @abstractmethod
    def level(self, at: np.ndarray, acc: np.ndarray) -> np.ndarray:
        """The outputs that accumulators give."""

    @abstractmethod
    def first(self, at: np.ndarray, v: np.ndarray) -> np.ndarray:
        """The smallest accumulators that give at least v: -FAR where all do, FAR where none does."""

    @abstractmethod
    def best(self, at: np.ndarray, c: np.ndarray, m: np.ndarray, first: np.ndarray, last: np.ndarray, limits: Limits) -> np.ndarray:
        """The largest c * y - m * acc over first <= acc <= last, one axis each, for m != 0."""


class Shifts(Group):
    """Saturating shifts of one shift and rounding."""

    def __init__(self, outputs: np.ndarray, requantizers: list[ShiftRequantizer]):
        self.outputs, self.shift, self.rounding = outputs, requantizers[0].shift, requantizers[0].rounding
        self.lo, self.hi, self.offset = (np.array([getattr(r, name) for r in requantizers], np.int64) for name in ("lo", "hi", "offset"))

    def level(self, at: np.ndarray, acc: np.ndarray) -> np.ndarray:
        return np.clip(divide_pow2(acc, self.shift, self.rounding) + self.offset[at], self.lo[at], self.hi[at])

    def first(self, at: np.ndarray, v: np.ndarray) -> np.ndarray:
        # Quotients this far out stay beyond FAR whatever the rounding does, and inside int64 once they are shifted.
        most = (FAR >> max(0, self.shift)) + 1
        acc = first_with_quotient(np.clip(v - self.offset[at], -most, most), self.shift, self.rounding)
        return np.where(v <= self.lo[at], -FAR, np.where(v > self.hi[at], FAR, np.clip(acc, -FAR, FAR)))

    def best(self, at: np.ndarray, c: np.ndarray, m: np.ndarray, first: np.ndarray, last: np.ndarray, limits: Limits) -> np.ndarray:
        """An end of a step is best, and, apart from ties, ends of steps lie on a line: the first and last three levels, the longer ones at
        the ends among them, and those around the quotient 0 and of both parities are enough. To the left steps are accumulators: the
        ends, and where saturation begins.
        """
        if self.shift < 0:
            rise, full = self.first(at, self.lo[at] + 1), self.first(at, self.hi[at])
            accs = np.stack([first, last, rise - 1, rise, full - 1, full])
        else:
            lo, hi, zero = self.level(at, first), self.level(at, last), self.offset[at]
            levels = np.clip(np.stack([lo, lo + 1, lo + 2, hi - 2, hi - 1, hi, zero - 1, zero, zero + 1, zero + 2]), lo, hi)
            accs = np.where(m >= 0, self.first(at, levels), self.first(at, levels + 1) - 1)
        accs = np.clip(accs, first, last)
        return (c * self.level(at, accs) - m * accs).max(axis=0)


class Tables(Group):
    """Steps in tables: step k of an output gives levels[begin + k] from starts[begin + k] on; there are `count` of them."""

    def __init__(self, outputs: np.ndarray, requantizers: list[Requantizer], limits: Limits):
        self.outputs, parts, places, end = outputs, [], dict[Requantizer, tuple[int, int]](), 0
        for requantizer in dict.fromkeys(requantizers):
            limits.require(32.0 * MAX_ENTRIES)
            parts.append(table(requantizer))
            places[requantizer] = end, len(parts[-1][0]) - 1
            end += len(parts[-1][0])
        self.levels, self.starts = (np.concatenate([part[k] for part in parts]) for k in (0, 1))
        self.begin, self.count = np.array([places[r] for r in requantizers], np.int64).T

    def _last_at_most(self, entries: np.ndarray, at: np.ndarray, keys: np.ndarray) -> np.ndarray:
        """The last step whose entry is at most the key, by bisection; the first one where there is none."""
        low, high = np.zeros_like(keys), np.broadcast_to(self.count[at] - 1, keys.shape)
        while (low < high).any():
            middle = (low + high + 1) >> 1
            fits = entries[self.begin[at] + middle] <= keys
            low, high = np.where(fits, middle, low), np.where(fits, high, middle - 1)
        return low

    def level(self, at: np.ndarray, acc: np.ndarray) -> np.ndarray:
        return self.levels[self.begin[at] + self._last_at_most(self.starts, at, acc)]

    def first(self, at: np.ndarray, v: np.ndarray) -> np.ndarray:
        before = self._last_at_most(self.levels, at, v - 1)
        return self.starts[self.begin[at] + before + (self.levels[self.begin[at] + before] < v)]

    def best(self, at: np.ndarray, c: np.ndarray, m: np.ndarray, first: np.ndarray, last: np.ndarray, limits: Limits) -> np.ndarray:
        """On a step y is constant, so an end of the step is best: of inner steps it stands in the table."""
        low, high = self._last_at_most(self.starts, at, first), self._last_at_most(self.starts, at, last)
        one, other, back = self.begin[at] + low, self.begin[at] + high, (m < 0).astype(np.int64)
        # Of the first step and of the last one.
        begins, ends = (first, np.maximum(first, self.starts[other])), (np.minimum(last, self.starts[one + 1] - 1), last)
        accs = [np.where(m > 0, *pair) for pair in zip(begins, ends, strict=True)]
        found = np.maximum(c * self.levels[one] - m * accs[0], c * self.levels[other] - m * accs[1])
        inner = np.flatnonzero(high - low > 1)
        counts = (high - low - 1)[inner]
        for part in pieces(counts, limits):
            some, begin = inner[part], np.cumsum(counts[part]) - counts[part]
            step = np.repeat(one[some] + 1 - begin, counts[part]) + np.arange(counts[part].sum())
            less, factor = np.repeat(back[some], counts[part]), np.repeat(m[some], counts[part])
            value = np.repeat(c[some], counts[part]) * self.levels[step] - factor * (self.starts[step + less] - less)
            found[some] = np.maximum(found[some], np.maximum.reduceat(value, begin))
        return found


def table(requantizer: Requantizer) -> tuple[np.ndarray, np.ndarray]:
    """Levels that some accumulator gives, and the smallest one for each, -FAR for the first; both end with one more, which none gives."""
    if isinstance(requantizer, TableRequantizer):
        levels, places = np.unique(np.array(requantizer.values, np.int64), return_index=True)
        starts = requantizer.first + places
    else:
        levels = np.arange(requantizer.lo, requantizer.hi + 1)
        starts = np.concatenate([[0], requantizer.thresholds(FAR)])
    starts[0] = -FAR
    levels, starts = np.append(levels, FAR), np.append(starts, FAR).astype(np.int64)
    given = np.append(starts[:-1] < starts[1:], True)
    return levels[given], starts[given]


def pieces(counts: np.ndarray, limits: Limits) -> Iterator[slice]:
    """Neighbours, with about ROOM in all at a time."""
    places = np.cumsum(counts) // ROOM
    bounds = [0, *(np.flatnonzero(np.diff(places)) + 1).tolist(), len(counts)]
    for start, stop in pairwise(bounds):
        if start < stop:
            limits.require(float(ENTRY * counts[start:stop].sum()))
            yield slice(start, stop)


class Steps:
    """The steps of all outputs of a layer."""

    def __init__(self, layer: Layer, limits: Limits):
        n, requantizers = layer.affine.n_out, layer.requantizers
        self.limits, self.stepped, self.groups = limits, np.zeros(n, bool), list[Group]()
        kinds: dict[tuple, list[int]] = {}
        for i, requantizer in enumerate(requantizers):
            kinds.setdefault(_way(requantizer), []).append(i)
        for way, places in kinds.items():
            outputs = (np.array(places)[None] + np.arange(0, n, len(requantizers))[:, None]).ravel()
            mine = [requantizers[i % len(requantizers)] for i in outputs.tolist()]
            if way == LOOSE:
                continue
            self.groups.append(Tables(outputs, mine, limits) if way == TABLE else Shifts(outputs, mine))  # type: ignore[arg-type]
            self.stepped[outputs] = True
        self.loose = np.flatnonzero(~self.stepped)

    def narrow(self, acc_lo: np.ndarray, acc_hi: np.ndarray, lo: np.ndarray, hi: np.ndarray) -> bool:
        """Outputs by accumulators, and these by outputs, in place, [n] each; whether something is left."""
        for group in self.groups:
            o, at = group.outputs, np.arange(len(group.outputs))
            lo[o], hi[o] = np.maximum(lo[o], group.level(at, acc_lo[o])), np.minimum(hi[o], group.level(at, acc_hi[o]))
            if (lo[o] > hi[o]).any():
                return False
            acc_lo[o] = np.maximum(acc_lo[o], group.first(at, lo[o]))
            acc_hi[o] = np.minimum(acc_hi[o], group.first(at, hi[o] + 1) - 1)
        return bool((acc_lo <= acc_hi).all())

    def best(self, c: np.ndarray, m: np.ndarray, ends: tuple[np.ndarray, ...]) -> tuple[np.ndarray, np.ndarray]:
        """The sum over all outputs of the largest c * y - m * acc over the pairs (acc, y) in their ranges, and whether each has a pair.

        c, m and the ends acc_lo, acc_hi, lo, hi are [batch, n]; the results [batch].
        """
        total, possible = np.zeros(len(c), c.dtype), np.ones(len(c), bool)
        step = max(1, ROOM // len(c))
        for group in self.groups:
            for start in range(0, len(group.outputs), step):
                at = np.arange(start, min(start + step, len(group.outputs)))
                self.limits.require(float(ENTRY * len(c) * len(at)))
                o = group.outputs[at]
                best, some = self._best_of(group, at, c[:, o], m[:, o], tuple(end[:, o] for end in ends))
                total += best.sum(axis=1)
                possible &= some.all(axis=1)
        o = self.loose
        if len(o):
            acc_lo, acc_hi, lo, hi = (end[:, o] for end in ends)
            total += (np.maximum(c[:, o] * lo, c[:, o] * hi) + np.maximum(-m[:, o] * acc_lo, -m[:, o] * acc_hi)).sum(axis=1)
            possible &= (acc_lo <= acc_hi).all(axis=1)
        return total, possible

    def _best_of(self, group: Group, at: np.ndarray, c: np.ndarray, m: np.ndarray, ends: tuple[np.ndarray, ...]):
        acc_lo, acc_hi, lo, hi = ends
        first, last = np.maximum(acc_lo, group.first(at, lo)), np.minimum(acc_hi, group.first(at, hi + 1) - 1)
        possible = first <= last
        first, last = np.where(possible, first, acc_lo), np.where(possible, last, acc_lo)
        low, high = group.level(at, first), group.level(at, last)
        # Exact where one of the two does not matter or does not change.
        value = np.maximum(c * low, c * high) + np.maximum(-m * first, -m * last)
        case, output = np.nonzero((m != 0) & (low < high))
        if len(case):
            one = case, output
            value[one] = group.best(at[output], c[one], m[one], first[one], last[one], self.limits)
        return value, possible


LOOSE, TABLE = ("loose",), ("table",)


def _way(requantizer: Requantizer) -> tuple:
    """How the steps of a requantizer are found; all with the same shift and rounding are found together."""
    if not requantizer.monotone:
        return LOOSE
    if type(requantizer) is ShiftRequantizer:
        return ("shift", requantizer.shift, requantizer.rounding)
    # A subclass of ours may mean something else by `apply` and still inherit closed forms.
    strange = isinstance(requantizer, FINAL) and type(requantizer) not in FINAL
    many = requantizer.hi - requantizer.lo >= MAX_LEVELS and type(requantizer) is not TableRequantizer
    return LOOSE if strange or many else TABLE
