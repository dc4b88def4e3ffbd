"""How the step function of one output becomes a circuit: shifts as they are, all others by comparators or a constant product.

y - lo is a staircase over `word`, the accumulator less its smallest value. Up to FEW steps, it is a comparator for each. Above that it is

    y - lo = (factor * word + constant) >> shift

with the shortest factor that is exact on every step in the range, if there is one. A range has few levels, so its factor is much
shorter than the requantizer's own multiplier, whatever kind that is.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from math import floor
from typing import NamedTuple

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
)
from ..bounds.view import Neuron
from ..errors import UnsupportedError

# A subclass may mean something else by `apply`.
STAIRCASES = (
    MultiplierRequantizer, Float32Requantizer, Float64Requantizer, DivisionRequantizer, TableRequantizer, ThresholdRequantizer,
)  # fmt: skip
# Steps that get a comparator each, where a product could do.
FEW = 31
# Accumulators or levels that are looked at one by one.
MOST = 1 << 16
# Tables of thresholds of at most this many levels are kept.
LEVELS = 1 << 12
# Products, and levels that are shifted to the left, stay below it.
LIMIT = 1 << 60
FAR = 1 << 61


class Steps(NamedTuple):
    """y - lo is levels[j] from the word starts[j - 1] on, and levels[0] before: int64[n] ascending, int64[n + 1]."""

    starts: np.ndarray
    levels: np.ndarray


class Line(NamedTuple):
    """y - lo = (factor * word + constant) >> shift from the word reach_low on, below it 0; hi - lo from reach_high on; 0: no clamp."""

    factor: int
    constant: int
    shift: int
    reach_low: int
    reach_high: int


def circuit(neuron: Neuron, where: str) -> Steps | Line:
    """The circuit of an output that is no shift; raises `UnsupportedError`, which names `where`, if there is none."""
    if type(neuron.requantizer) not in STAIRCASES:
        raise UnsupportedError(f"{where}: no encoding of a requantizer of kind {type(neuron.requantizer).__name__}")
    found = steps(neuron, where)
    return (len(found.starts) > FEW and line(neuron, found)) or found


def reaches(neuron: Neuron) -> tuple[int, int]:
    """Of a shift: the words from which y > lo and from which y = hi; either is 0 where the clamp at that end can't act."""
    requantizer, base, least, most, lo, hi = neuron
    assert isinstance(requantizer, ShiftRequantizer)
    reach_low = reach_high = 0
    if requantizer.monotone:
        if requantizer.before_overflow(least) < lo:
            reach_low = requantizer.first_reaching(lo + 1) - base
        if requantizer.before_overflow(most) > hi or hi - lo == 1:
            reach_high = requantizer.first_reaching(hi) - base
    return reach_low, reach_high


def steps(neuron: Neuron, where: str) -> Steps:
    """The steps inside the range, each that is there: found by accumulators or by levels, whatever is fewer."""
    requantizer, base, least, most, lo, hi = neuron
    most = max(least, most)  # where cuts leave no accumulator, clauses say so
    if min(most - least, hi - lo) > MOST:
        raise UnsupportedError(f"{where}: no encoding of more than {MOST} steps of a {type(requantizer).__name__}")
    if most - least <= hi - lo:
        y = np.clip(requantizer.apply(np.arange(least, most + 1)), lo, hi)
        starts = np.flatnonzero(np.diff(y)) + 1
        return Steps(starts + (least - base), y[np.append(0, starts)] - lo)
    firsts = _thresholds(requantizer, lo, hi)
    begin, end = np.searchsorted(firsts, (least, most), side="right").tolist()
    inside = firsts[begin:end]
    last = np.append(inside[1:] > inside[:-1], True)[: len(inside)]  # of levels that begin at one accumulator only the highest is there
    return Steps(inside[last] - base, np.append(begin, np.arange(begin + 1, end + 1)[last]))


def _thresholds(requantizer: Requantizer, lo: int, hi: int) -> np.ndarray:
    """The smallest accumulators that reach lo + 1 to hi."""
    if requantizer.hi - requantizer.lo <= LEVELS:
        return _all_thresholds(requantizer)[lo - requantizer.lo : hi - requantizer.lo]
    return np.array([requantizer.first_reaching(y) for y in range(lo + 1, hi + 1)], np.int64)


@lru_cache(maxsize=1024)
def _all_thresholds(requantizer: Requantizer) -> np.ndarray:
    return requantizer.thresholds(FAR)


def line(neuron: Neuron, found: Steps) -> Line | None:
    """The line of the smallest shift, then the smallest factor, then the smallest constant; None if there is none below LIMIT.

    A level v from the word a to the word b asks for  v * 2**shift <= factor * a + constant  and
    factor * b + constant < (v + 1) * 2**shift. An end of the range where the requantizer saturates is left to a clamp.
    """
    requantizer, base, least, most, lo, hi = neuron
    low = requantizer.apply(least) <= max(requantizer.lo, lo - 1)
    high = requantizer.apply(most) >= min(requantizer.hi, hi + 1)
    inner = slice(int(low), len(found.levels) - int(high))
    first = np.append(least - base, found.starts)[inner]
    last = np.append(found.starts - 1, most - base)[inner]
    level = found.levels[inner]
    flattest, steepest = Fraction(0), Fraction(1 << 32)
    while flattest < steepest:
        factor, shift = _simplest(flattest, steepest)
        if max(factor * (most - base), (hi - lo + 1) << shift) >= LIMIT:
            return None
        least_constants, ends = (level << shift) - factor * first, (level + 1 << shift) - factor * last
        i, j = int(least_constants.argmax()), int(ends.argmin())
        if least_constants[i] < ends[j]:
            return Line(factor, int(least_constants[i]), shift, int(low and found.starts[0]), int(high and found.starts[-1]))
        # A line above both (first i, level i) and below (last j, level j + 1) is flatter than that, or steeper.
        run, rise = int(last[j] - first[i]), int(level[j] + 1 - level[i])
        if run > 0:
            steepest = min(steepest, Fraction(rise, run))
        else:
            flattest = max(flattest, Fraction(rise, run))
    return None


def _simplest(flattest: Fraction, steepest: Fraction) -> tuple[int, int]:
    """(factor, shift) of the smallest shift, then the smallest factor, with flattest < factor / 2**shift < steepest."""
    shift = 0
    while (factor := floor(flattest * (1 << shift)) + 1) >= steepest * (1 << shift):
        shift += 1
    return factor, shift
