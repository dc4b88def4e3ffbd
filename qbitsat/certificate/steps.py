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
from ..limits import SLICE, Limits
from ..network import Layer

# Accumulators stay far below this; it stands for "none".
FAR = 1 << 61
# Requantizers with more levels get no table.
MAX_LEVELS = 1 << 16
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
        self.lo, self.hi, self.offset = (of_outputs([getattr(r, name) for r in requantizers], outputs) for name in ("lo", "hi", "offset"))

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


class Lists:
    """Ascending lists of integers, one after the other, all searched at once: each for its own keys."""

    def __init__(self, lists: list[np.ndarray]):
        self.entries, counts = np.concatenate(lists), [len(entries) for entries in lists]
        self.first = np.cumsum([0, *counts[:-1]])
        self.last = self.first + counts - 1
        # Entries by their ranks among all of them, list by list: small numbers that ascend.
        self.all = np.unique(self.entries)
        self.ranks = np.repeat(np.arange(len(lists)) * (len(self.all) + 1), counts) + np.searchsorted(self.all, self.entries)

    def last_at_most(self, lists: np.ndarray, keys: np.ndarray) -> np.ndarray:
        """The place of each list's last entry that is at most the key, none but the one before the list's end; else of its first one."""
        ranks = lists * (len(self.all) + 1) + np.searchsorted(self.all, keys, side="right")
        return np.clip(np.searchsorted(self.ranks, ranks) - 1, self.first[lists], self.last[lists] - 1)


class Tables(Group):
    """Steps in tables: step k of a table, of all tables one after the other, gives levels[k] from starts[k] on."""

    def __init__(self, outputs: np.ndarray, requantizers: list[Requantizer], limits: Limits):
        parts, numbers = list[tuple[np.ndarray, np.ndarray]](), dict[Requantizer, int]()
        for requantizer in dict.fromkeys(requantizers):
            limits.require(32.0 * MAX_ENTRIES)
            numbers[requantizer] = len(parts)
            parts.append(table(requantizer))
        self.outputs, self.number = outputs, of_outputs([numbers[requantizer] for requantizer in requantizers], outputs)
        limits.require(64.0 * sum(len(levels) for levels, _ in parts))
        self.by_level, self.by_start = (Lists([part[k] for part in parts]) for k in (0, 1))
        self.levels, self.starts = self.by_level.entries, self.by_start.entries
        self.slope, self.unevenness = np.array([line_of(*part) for part in parts]).T

    def level(self, at: np.ndarray, acc: np.ndarray) -> np.ndarray:
        return self.levels[self.by_start.last_at_most(self.number[at], acc)]

    def first(self, at: np.ndarray, v: np.ndarray) -> np.ndarray:
        before = self.by_level.last_at_most(self.number[at], v - 1)
        return self.starts[before + (self.levels[before] < v)]

    def best(self, at: np.ndarray, c: np.ndarray, m: np.ndarray, first: np.ndarray, last: np.ndarray, limits: Limits) -> np.ndarray:
        """On a step y is constant, so an end of the step is best: of inner steps it stands in the table."""
        one, other = (self.by_start.last_at_most(self.number[at], acc) for acc in (first, last))
        # Of the first step and of the last one.
        begins, ends = (first, np.maximum(first, self.starts[other])), (np.minimum(last, self.starts[one + 1] - 1), last)
        accs = [np.where(m > 0, *pair) for pair in zip(begins, ends, strict=True)]
        found = np.maximum(c * self.levels[one] - m * accs[0], c * self.levels[other] - m * accs[1])
        low, count = self._candidates(at, c, m, one + 1, other)
        inner = np.flatnonzero(count > 0)
        for part in pieces(count[inner], limits):
            some = inner[part]
            counts = count[some]
            begin = np.cumsum(counts) - counts
            step = np.repeat(low[some] - begin, counts) + np.arange(counts.sum())
            less, factor = np.repeat((m[some] < 0).astype(np.int64), counts), np.repeat(m[some], counts)
            value = np.repeat(c[some], counts) * self.levels[step] - factor * (self.starts[step + less] - less)
            found[some] = np.maximum(found[some], np.maximum.reduceat(value, begin))
        return found

    def _candidates(self, at: np.ndarray, c: np.ndarray, m: np.ndarray, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Some steps from `low` to before `high`, the best one among them: the first, and how many.

        An end of a step is slope * y + e with e in an interval as long as the unevenness, so c y - m acc is (c - m slope) y - m e: a step
        that is more than |m| * unevenness / |c - m slope| levels from the end to which this rises is worse than the one there. In floats,
        whose roundings the margins cover many times over.
        """
        number, count = self.number[at], np.maximum(high - low, 0)
        c, m = c.astype(float), m.astype(float)
        tilt, error = c - m * self.slope[number], 2.0**-40 * (np.abs(c) + np.abs(m * self.slope[number]))
        steep = np.abs(tilt) > 2 * error
        with np.errstate(over="ignore", invalid="ignore"):
            reach = np.abs(m) * self.unevenness[number] / np.where(steep, np.abs(tilt) - error, 1.0) * (1 + 2.0**-20) + 1
            few = np.where(steep & (reach < count), reach, count).astype(np.int64) + 1
        few = np.minimum(few, count)
        return np.where(tilt > 0, low + count - few, low), few


def of_outputs(of_rows: list[int], outputs: np.ndarray) -> np.ndarray:
    """What the rows of a layer say, for outputs that come row by row, again and again: int64[outputs]."""
    return np.tile(np.array(of_rows, np.int64), len(outputs) // len(of_rows))


def line_of(levels: np.ndarray, starts: np.ndarray) -> tuple[float, float]:
    """(slope, unevenness): how far apart starts - slope * levels and, no matter which, ends - slope * levels of inner steps are at most."""
    starts, levels = starts[1:-1].astype(float), (levels[1:-1] - levels[1]).astype(float)
    if len(starts) < 2:
        return 0.0, 0.0
    slope = (starts[-1] - starts[0]) / levels[-1]
    # An end is the start of the next step less 1, of the last inner one too.
    unevenness = max(float(np.ptp(accs - slope * levels[: len(accs)])) for accs in (starts, starts[1:]))
    return slope, unevenness * (1 + 2.0**-20) + 2.0**-40 * float(np.abs(starts).max())


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
        self.limits, self.groups = limits, list[Group]()
        kinds: dict[tuple, list[int]] = {}
        for i, requantizer in enumerate(requantizers):
            kinds.setdefault(_way(requantizer), []).append(i)
        # The group of an output, -1 for none, and its place there.
        self.group, self.place = np.full(n, -1), np.zeros(n, np.int64)
        for way, rows in kinds.items():
            outputs = (np.array(rows)[None] + np.arange(0, n, len(requantizers))[:, None]).ravel()
            mine = [requantizers[i] for i in rows]
            if way == LOOSE:
                continue
            self.group[outputs], self.place[outputs] = len(self.groups), np.arange(len(outputs))
            self.groups.append(Tables(outputs, mine, limits) if way == TABLE else Shifts(outputs, mine))  # type: ignore[arg-type]
        self.stepped = self.group >= 0

    def level(self, outputs: np.ndarray, acc: np.ndarray) -> np.ndarray:
        """What accumulators give, of outputs of which all are stepped."""
        return self._of_groups(outputs, acc, "level")

    def first(self, outputs: np.ndarray, v: np.ndarray) -> np.ndarray:
        """The smallest accumulators that give at least v."""
        return self._of_groups(outputs, v, "first")

    def _of_groups(self, outputs: np.ndarray, numbers: np.ndarray, what: str) -> np.ndarray:
        found, mine = np.zeros_like(numbers), self.group[outputs]
        for k, group in enumerate(self.groups):
            o = np.flatnonzero(mine == k)
            found[o] = getattr(group, what)(self.place[outputs[o]], numbers[o])
        return found

    def narrow(
        self, acc_lo: np.ndarray, acc_hi: np.ndarray, lo: np.ndarray, hi: np.ndarray, outputs: np.ndarray | slice = slice(None)
    ) -> bool:
        """Outputs by accumulators, and these by outputs, in place, [n] each, of some outputs; whether something is left of these."""
        mine = self.group[outputs]
        some = np.arange(len(lo))[outputs]
        for k, group in enumerate(self.groups):
            o = some[mine == k]
            at = self.place[o]
            lo[o], hi[o] = np.maximum(lo[o], group.level(at, acc_lo[o])), np.minimum(hi[o], group.level(at, acc_hi[o]))
            if (lo[o] > hi[o]).any():
                return False
            acc_lo[o] = np.maximum(acc_lo[o], group.first(at, lo[o]))
            acc_hi[o] = np.minimum(acc_hi[o], group.first(at, hi[o] + 1) - 1)
        return bool((acc_lo[some] <= acc_hi[some]).all())

    def best(self, c: np.ndarray, m: np.ndarray, ends: tuple[np.ndarray, ...]) -> tuple[np.ndarray, np.ndarray]:
        """The sum over all outputs of the largest c * y - m * acc over the pairs (acc, y) in their ranges, and whether each has a pair.

        c, m and the ends acc_lo, acc_hi, lo, hi are [batch, n]; the results [batch]. Where c and m are 0, ranges that are not empty count
        as ones with a pair.
        """
        acc_lo, acc_hi, lo, hi = ends
        values, possible = np.zeros(c.shape, c.dtype), np.array(((acc_lo <= acc_hi) & (lo <= hi)).all(axis=1))
        case, output = np.nonzero((c != 0) | (m != 0))
        mine = self.group[output]
        for k in range(-1, len(self.groups)):
            found = np.flatnonzero(mine == k)
            for part in self.limits.slices(len(found), float(SLICE / ROOM), ENTRY):
                pair = case[found[part]], output[found[part]]
                some = c[pair], m[pair], tuple(end[pair] for end in ends)
                if k < 0:
                    values[pair] = _of_ends(*some)
                    continue
                values[pair], has = self._best_of(self.groups[k], self.place[pair[1]], *some)
                possible[pair[0][~has]] = False
        return values.sum(axis=1), possible

    def _best_of(self, group: Group, at: np.ndarray, c: np.ndarray, m: np.ndarray, ends: tuple[np.ndarray, ...]):
        acc_lo, acc_hi, lo, hi = ends
        first, last = np.maximum(acc_lo, group.first(at, lo)), np.minimum(acc_hi, group.first(at, hi + 1) - 1)
        possible = first <= last
        first, last = np.where(possible, first, acc_lo), np.where(possible, last, acc_lo)
        low, high = group.level(at, first), group.level(at, last)
        # Exact where one of the two does not matter or does not change.
        value = _of_ends(c, m, (first, last, low, high))
        o = np.flatnonzero((m != 0) & (low < high))
        if len(o):
            value[o] = group.best(at[o], c[o], m[o], first[o], last[o], self.limits)
        return value, possible


def _of_ends(c: np.ndarray, m: np.ndarray, ends: tuple[np.ndarray, ...]) -> np.ndarray:
    """The largest c * y - m * acc where accumulators and outputs are unrelated."""
    acc_lo, acc_hi, lo, hi = ends
    return np.maximum(c * lo, c * hi) + np.maximum(-m * acc_lo, -m * acc_hi)


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
