"""What the SAT engine builds for an output that is no shift: comparators for its steps, or a line through all of them.

Steps and lines are as docs/reference/certificates.md defines them; here they are found level by level, on Python's integers.
"""

from __future__ import annotations

from fractions import Fraction
from math import floor
from typing import NamedTuple

from ..arithmetic import (
    DivisionRequantizer,
    Float32Requantizer,
    Float64Requantizer,
    MultiplierRequantizer,
    Requantizer,
    TableRequantizer,
    ThresholdRequantizer,
)

STAIRCASES = (
    MultiplierRequantizer, Float32Requantizer, Float64Requantizer, DivisionRequantizer, TableRequantizer, ThresholdRequantizer,
)  # fmt: skip
# Steps that are always comparators, the most that there may be of them, and what products stay below.
FEW, MOST, LIMIT = 31, 1 << 16, 1 << 60


class Output(NamedTuple):
    """acc = base + word, in [least, most]; y in [lo, hi]."""

    requantizer: Requantizer
    base: int
    least: int
    most: int
    lo: int
    hi: int

    def level(self, acc: int) -> int:
        """y - lo, clamped."""
        return min(max(self.requantizer.apply(acc), self.lo), self.hi) - self.lo


def steps(output: Output) -> tuple[list[int], list[int]] | None:
    """(starts, levels): y - lo is levels[j] from the word starts[j - 1] on; None if there are more than MOST to look at."""
    least, most, base = output.least, output.most, output.base
    if min(most - least, output.hi - output.lo) > MOST:
        return None
    starts, levels = [], [output.level(least)]
    if most - least <= output.hi - output.lo:
        reached = range(least + 1, most + 1)
    else:
        firsts = (output.requantizer.first_reaching(y) for y in range(output.lo + levels[0] + 1, output.hi + 1))
        reached = sorted({acc for acc in firsts if acc <= most})  # type: ignore[assignment]
    for acc in reached:
        level = output.level(acc)
        if level > levels[-1]:
            starts.append(acc - base)
            levels.append(level)
    return starts, levels


def line(output: Output, starts: list[int], levels: list[int]) -> tuple[int, int, int, int, int] | None:
    """(factor, constant, shift, reach_low, reach_high) of the smallest shift, factor and constant in that order; None if there is none.

    (factor * word + constant) >> shift is the level of every word from `reach_low` on, where that is not 0, and below `reach_high`.
    """
    requantizer, base, least, most, lo, hi = output
    low = requantizer.apply(least) == requantizer.lo or requantizer.apply(least) < lo
    high = requantizer.apply(most) == requantizer.hi or requantizer.apply(most) > hi
    begins, ends = [least - base, *starts], [start - 1 for start in starts] + [most - base]
    stairs = list(zip(begins, ends, levels, strict=True))[low : len(levels) - high]
    flattest, steepest = Fraction(0), Fraction(1 << 32)
    while flattest < steepest:
        shift = 0
        while floor(flattest * 2**shift) + 1 >= steepest * 2**shift:
            shift += 1
        factor = floor(flattest * 2**shift) + 1
        if factor * (most - base) >= LIMIT or hi - lo + 1 << shift >= LIMIT:
            return None
        least_constant, begin, level = max(((v << shift) - factor * begin, begin, v) for begin, _, v in stairs)
        end_constant, end, next_level = min(((v + 1 << shift) - factor * end, end, v + 1) for _, end, v in stairs)
        if least_constant < end_constant:
            return factor, least_constant, shift, starts[0] if low else 0, starts[-1] if high else 0
        # No line at or above one corner and below the other is as steep as this one, or as flat.
        slope = Fraction(next_level - level, end - begin)
        flattest, steepest = (flattest, slope) if end > begin else (slope, steepest)
    return None
