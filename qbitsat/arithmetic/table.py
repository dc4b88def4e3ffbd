"""Requantizers given by their values, or by the accumulators where these change."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from operator import gt
from typing import Any

import numpy as np

from ..errors import InputError, kind_of
from .requantizers import Requantizer
from .rounding import INT32, integer, saturate
from .scaled import UNREACHED

MAX_ENTRIES = 1 << 16


def rising(given: Sequence[Any], what: str, ends: tuple[int, int]) -> tuple[int, ...]:
    """These as Python integers, which must be inside both ends and never decrease."""
    numbers = tuple(given)
    if set(map(type, numbers)) - {int} or (numbers and not ends[0] <= min(numbers) <= max(numbers) <= ends[1]):
        numbers = tuple(integer(number, f"requantizer: {what}[{i}]", *ends) for i, number in enumerate(numbers))
    if any(map(gt, numbers, numbers[1:])):
        i = next(i for i, (before, number) in enumerate(pairwise(numbers), 1) if number < before)
        raise InputError(f"requantizer: {what}[{i}] is {numbers[i]}, expected at least the {numbers[i - 1]} before it")
    return numbers


@dataclass(frozen=True)
class TableRequantizer(Requantizer):
    """y = values[acc - first], where values never decrease; an acc outside [first, first + len(values)) counts as its end.

    At most 65,536 values; lo and hi are the first and the last one.
    """

    first: int
    values: tuple[int, ...]

    def __post_init__(self):
        object.__setattr__(self, "first", integer(self.first, "requantizer: first", *INT32))
        if isinstance(self.values, str) or not hasattr(self.values, "__len__") or not 1 <= len(self.values) <= MAX_ENTRIES:
            raise InputError(f"requantizer: values are {kind_of(self.values)}, expected 1 to {MAX_ENTRIES} integers")
        object.__setattr__(self, "values", rising(self.values, "values", INT32))

    @property
    def lo(self) -> int:  # type: ignore[override]
        return self.values[0]

    @property
    def hi(self) -> int:  # type: ignore[override]
        return self.values[-1]

    def apply(self, acc):
        place = saturate(acc, self.first, self.first + len(self.values) - 1) - self.first
        return np.array(self.values, np.int64)[place] if isinstance(acc, np.ndarray) else self.values[place]

    def first_reaching(self, y: int) -> int:
        self._require_level(y)
        return self.first + bisect_left(self.values, y)

    def thresholds(self, far: int) -> np.ndarray:
        levels = np.arange(self.lo + 1, self.hi + 1)
        return np.clip(self.first + np.searchsorted(np.array(self.values), levels), -far, far)


@dataclass(frozen=True)
class ThresholdRequantizer(Requantizer):
    """y = lo + how many of `firsts` are at most acc: firsts[k] is the smallest acc with y > lo + k, and they never decrease.

    Any step function of accumulators however wide: what an arithmetic in floats does to integers, a batch normalization before a
    quantizer. At most 65,536 thresholds below 2**62 in magnitude; 2**62 is never reached, -2**62 always is. hi is lo + len(firsts).
    """

    lo: int
    firsts: tuple[int, ...]

    def __post_init__(self):
        object.__setattr__(self, "lo", integer(self.lo, "requantizer: lo", *INT32))
        if isinstance(self.firsts, str) or not hasattr(self.firsts, "__len__") or len(self.firsts) > MAX_ENTRIES:
            raise InputError(f"requantizer: firsts are {kind_of(self.firsts)}, expected at most {MAX_ENTRIES} integers")
        object.__setattr__(self, "firsts", rising(self.firsts, "firsts", (-UNREACHED, UNREACHED)))
        integer(self.hi, "requantizer: hi", *INT32)

    @classmethod
    def of(cls, levels: Callable[[np.ndarray], np.ndarray], ends: tuple[int, int], accs: tuple[int, int]) -> ThresholdRequantizer:
        """The one that gives levels(acc), within both ends and never decreasing, for every acc from the first to the last of accs."""
        (lo, hi), (first, last) = ends, accs
        wanted = np.arange(lo + 1, hi + 1)
        below, reach = np.full(len(wanted), first - 1, np.int64), np.full(len(wanted), last + 1, np.int64)
        while (reach - below > 1).any():
            middle = below + (reach - below) // 2
            reached = levels(np.clip(middle, first, last)) >= wanted
            inside = reach - below > 1
            reach, below = np.where(inside & reached, middle, reach), np.where(inside & ~reached, middle, below)
        return cls(lo, tuple(-UNREACHED if at == first else UNREACHED if at > last else at for at in reach.tolist()))

    @property
    def hi(self) -> int:  # type: ignore[override]
        return self.lo + len(self.firsts)

    def apply(self, acc):
        if isinstance(acc, np.ndarray):
            return self.lo + np.searchsorted(np.array(self.firsts, np.int64), acc, side="right")
        return self.lo + bisect_right(self.firsts, acc)

    def first_reaching(self, y: int) -> int:
        self._require_level(y)
        return self.firsts[y - self.lo - 1]

    def thresholds(self, far: int) -> np.ndarray:
        return np.clip(np.array(self.firsts, np.int64), -far, far)
