"""The steps of requantizers, as whoever needs the exact graph of one finds them: outputs over accumulators, never falling."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from .floating import Float32Requantizer, Float64Requantizer
from .requantizers import Requantizer, ShiftRequantizer
from .rounding import ROUNDINGS
from .scaled import DivisionRequantizer, MultiplierRequantizer
from .table import TableRequantizer, ThresholdRequantizer

# Beyond these accumulators there is nothing: "no smallest" and "no largest".
NOWHERE = 1 << 61
# Requantizers with more levels have no table of thresholds.
MAX_LEVELS = 1 << 16
# Of those with more, fewer tables are kept.
FEW_LEVELS = 1 << 12
KNOWN = (ShiftRequantizer, MultiplierRequantizer, Float32Requantizer, Float64Requantizer, DivisionRequantizer,
         TableRequantizer, ThresholdRequantizer)  # fmt: skip
# Kinds, as in layer.h.
NONE, TABLE, SHIFT, POINTS = range(4)


class Steps(NamedTuple):
    """The steps of one requantizer with outputs from lo to hi.

    NONE    outputs do not grow with accumulators, or have too many levels: the two count as unrelated
    TABLE   table int64[hi - lo + 2]: [y - lo] is the smallest accumulator that reaches y, -NOWHERE for lo and NOWHERE beyond hi;
            breakpoints int32[hi - lo + 1], see `breakpoints`; full: no output is passed over
    SHIFT   y = clamp(round(acc / 2**shift) + offset, lo, hi), with ROUNDINGS[rounding]
    POINTS  y = table[acc - first], and as at the ends beyond them

    unit: output units for one of the accumulator, between the first step and the last; 1 without steps.
    """

    kind: int
    lo: int
    hi: int
    shift: int = 0
    rounding: int = 0
    offset: int = 0
    first: int = 0
    unit: float = 1.0
    table: np.ndarray = np.empty(0, np.int64)
    breakpoints: np.ndarray = np.empty(0, np.int32)
    full: bool = False

    @property
    def stepped(self) -> bool:
        return self.kind != NONE


def steps_of(requantizer: Requantizer) -> Steps:
    """The steps of a requantizer. Equal ones share their tables, of which the last ones are kept."""
    has_few = isinstance(requantizer, ShiftRequantizer) or requantizer.hi - requantizer.lo < FEW_LEVELS
    return (_of_few if has_few else _of_many)(requantizer)


def _found(r: Requantizer) -> Steps:
    lo, hi = r.lo, r.hi
    # A subclass of ours may mean something else by `apply` and still inherit the rest.
    strange = isinstance(r, KNOWN) and type(r) not in KNOWN
    if strange or not r.monotone:
        return Steps(NONE, lo, hi)
    if isinstance(r, ShiftRequantizer):
        return Steps(SHIFT, lo, hi, r.shift, ROUNDINGS.index(r.rounding), r.offset, unit=r.slope)
    if isinstance(r, TableRequantizer) and len(r.values) <= hi - lo + 1:
        return Steps(POINTS, lo, hi, first=r.first, unit=r.slope, table=_frozen(np.array(r.values, np.int64)))
    if hi - lo >= MAX_LEVELS:
        return Steps(NONE, lo, hi)
    table = _frozen(np.concatenate([[-NOWHERE], r.thresholds(NOWHERE), [NOWHERE]]))
    return Steps(TABLE, lo, hi, unit=r.slope, table=table, breakpoints=_frozen(breakpoints(table)), full=bool((np.diff(table) > 0).all()))


# A table takes 12 bytes a level: either keeps some 100 MB.
_of_few, _of_many = lru_cache(maxsize=1 << 11)(_found), lru_cache(maxsize=1 << 7)(_found)


def table_bytes(requantizers: Iterable[Requantizer]) -> int:
    """What tables of their steps take, at most; equal ones count once."""
    spans = [r.hi - r.lo for r in set(requantizers) if not isinstance(r, ShiftRequantizer)]
    return 12 * sum(span + 2 for span in spans if span < MAX_LEVELS)


def breakpoints(starts: np.ndarray) -> np.ndarray:
    """int32[levels]: index of the next level, or levels, whose step is empty or differs in length from a neighbour's.

    Between two of them thresholds are linear, and so is in y what is linear in (acc, y). starts int64[levels + 1].
    """
    lengths = np.diff(starts)
    levels = len(lengths)
    places, inner = np.arange(levels, dtype=np.int32), lengths[1:-1]
    places[1:-1][(lengths[:-2] == inner) & (lengths[2:] == inner) & (inner > 0)] = levels
    following = np.full_like(places, levels)
    following[:-1] = np.minimum.accumulate(places[:0:-1])[::-1]
    return following


def _frozen(table: np.ndarray) -> np.ndarray:
    table.flags.writeable = False
    return table
