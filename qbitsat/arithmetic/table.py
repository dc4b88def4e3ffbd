"""Requantizers given by their values."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ..errors import InputError, kind_of
from .requantizers import Requantizer
from .rounding import INT32, integer, saturate

MAX_ENTRIES = 1 << 16


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
        values = tuple(integer(value, f"requantizer: values[{i}]", *INT32) for i, value in enumerate(self.values))
        for i, (before, value) in enumerate(pairwise(values), 1):
            if value < before:
                raise InputError(f"requantizer: values[{i}] is {value}, expected at least the {before} before it")
        object.__setattr__(self, "values", values)

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
