"""Requantizers, and those of power-of-two scales."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from ..errors import InputError, unknown
from .rounding import INT32, MAX_SHIFT, OVERFLOWS, ROUNDINGS, divide_pow2, first_with_quotient, integer, saturate, wrap

# Sums of two accumulators, rounding constants and clause weights must stay inside int64 with room to spare.
ACC_LIMIT = 1 << 60


class Requantizer(ABC):
    """How an accumulator becomes an activation: a step function acc -> y with lo <= y <= hi.

    Unless `monotone` is false (wrap-around), y never decreases when acc grows, and `first_reaching` describes it
    completely.
    """

    lo: int
    hi: int

    @property
    def monotone(self) -> bool:
        return True

    @property
    def acc_limit(self) -> int:
        """The largest |acc| that the house computes with, and for which what is modelled gives what `apply` gives."""
        return ACC_LIMIT - 1

    @abstractmethod
    def apply(self, acc):
        """y for acc: a Python int or an int64 array of any shape."""

    def first_reaching(self, y: int) -> int:
        """The smallest acc with apply(acc) >= y, for lo < y <= hi; monotone requantizers only."""
        self._require_level(y)
        below, reach = -1, 1
        while self.apply(below) >= y:
            below *= 2
        while self.apply(reach) < y:
            reach *= 2
        while reach - below > 1:
            middle = (below + reach) // 2
            if self.apply(middle) >= y:
                reach = middle
            else:
                below = middle
        return reach

    def thresholds(self, far: int) -> np.ndarray:
        """first_reaching(y) for y from lo + 1 to hi, kept within [-far, far]: int64[hi - lo]; far is at most 2**61."""
        return np.array([max(-far, min(far, self.first_reaching(y))) for y in range(self.lo + 1, self.hi + 1)], np.int64)

    def image(self, acc_lo: int, acc_hi: int) -> tuple[int, int]:
        """The smallest interval known to hold apply(acc) for every acc in [acc_lo, acc_hi]."""
        return self.apply(acc_lo), self.apply(acc_hi)

    @property
    def slope(self) -> float:
        """Outputs for one accumulator, on average between saturation at both ends; above 0, and 1 of fewer than three levels."""
        if self.hi - self.lo < 2:
            return 1.0
        first, last = self.first_reaching(self.lo + 1), self.first_reaching(self.hi)
        # A multiplier of 0 may have the same thresholds for all levels, beyond all accumulators.
        return (self.hi - self.lo - 1) / max(1, last - first) if min(abs(first), abs(last)) <= ACC_LIMIT else 1 / ACC_LIMIT

    def _require_level(self, y: int) -> None:
        if not self.monotone or not self.lo < y <= self.hi:
            raise ValueError(f"first_reaching({y}) of {self}: expected a monotone requantizer and {self.lo} < y <= {self.hi}")

    def _check_integers(self, **ranges: tuple[int, int]) -> None:
        """Fields that are integers, each in its range; `lo` and `hi` always."""
        for name, (lo, hi) in {**ranges, "lo": INT32, "hi": INT32}.items():
            object.__setattr__(self, name, integer(getattr(self, name), f"requantizer: {name}", lo, hi))
        if self.lo > self.hi:
            raise InputError(f"requantizer: lo {self.lo} is above hi {self.hi}")


@dataclass(frozen=True)
class ShiftRequantizer(Requantizer):
    """y = overflow(round(acc / 2**shift) + offset, lo, hi): every power-of-two scale.

    offset is in output units and added after the shift: an output zero point, or the bias of the Q-format of
    Giacobbe, Henzinger and Lechner (TACAS 2020). Wrap-around needs hi - lo + 1 to be a power of two.
    """

    shift: int
    rounding: str
    lo: int
    hi: int
    overflow: str = "saturate"
    offset: int = 0

    def __post_init__(self):
        self._check_integers(shift=(-MAX_SHIFT, MAX_SHIFT), offset=INT32)
        if self.rounding not in ROUNDINGS:
            raise unknown("requantizer: rounding", self.rounding, ROUNDINGS)
        if self.overflow not in OVERFLOWS:
            raise unknown("requantizer: overflow", self.overflow, OVERFLOWS)
        size = self.hi - self.lo + 1
        if self.overflow == "wrap" and size & (size - 1):
            raise InputError(f"requantizer: wrap needs a power of two of values, [{self.lo}, {self.hi}] has {size}")

    @property
    def monotone(self) -> bool:
        return self.overflow == "saturate"

    @property
    def acc_limit(self) -> int:
        return super().acc_limit >> max(0, -self.shift)

    @property
    def slope(self) -> float:
        """That between two wraps, where there are some."""
        return super().slope if self.monotone else 2.0**-self.shift

    def before_overflow(self, acc):
        """round(acc / 2**shift) + offset, before saturation or wrap-around."""
        return divide_pow2(acc, self.shift, self.rounding) + self.offset

    def apply(self, acc):
        value = self.before_overflow(acc)
        return saturate(value, self.lo, self.hi) if self.monotone else wrap(value, self.lo, self.hi)

    def first_reaching(self, y: int) -> int:
        """Closed form: the smallest acc whose rounded quotient is at least y - offset."""
        self._require_level(y)
        return first_with_quotient(y - self.offset, self.shift, self.rounding)

    def thresholds(self, far: int) -> np.ndarray:
        if not self.monotone:
            return super().thresholds(far)
        # Quotients this far out stay beyond `far` whatever the rounding does, and inside int64 once they are shifted.
        most = (far >> max(0, self.shift)) + 1
        q = np.arange(self.lo + 1 - self.offset, self.hi + 1 - self.offset, dtype=np.int64)
        return np.clip(first_with_quotient(np.clip(q, -most, most), self.shift, self.rounding), -far, far)

    def image(self, acc_lo: int, acc_hi: int) -> tuple[int, int]:
        first, last = self.before_overflow(acc_lo), self.before_overflow(acc_hi)
        y_lo, y_hi = self.apply(acc_lo), self.apply(acc_hi)
        if self.monotone or (last - first == y_hi - y_lo):
            return y_lo, y_hi
        return self.lo, self.hi
