"""The meaning of rounding, saturation, wrap-around and requantizers, on exact integers.

Everything else in the house (bounds, encoder, kernels, reference) takes the meaning of a rounding mode from here.
All functions work on Python ints, where they are exact without limit, and elementwise on int64 arrays, where the
caller keeps |acc| * 2**max(0, -shift) below 2**62 (`network` refuses networks that could exceed it).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from operator import index
from typing import Any

import numpy as np

from .errors import InputError, unknown

ROUNDINGS = ("floor", "toward_zero", "half_up", "half_away", "half_even")
OVERFLOWS = ("saturate", "wrap")
MAX_SHIFT = 61
# Inputs and activations are 32-bit words, both ends included.
INT32 = (-(1 << 31), (1 << 31) - 1)


def integer(value: Any, what: str, lo: int | None = None, hi: int | None = None) -> int:
    """The value as a Python int in [lo, hi]: numpy's integers are taken, booleans and floats are not, whole or otherwise."""
    try:
        number = None if isinstance(value, bool) else index(value)
    except TypeError:
        number = None
    if number is None or (lo is not None and number < lo) or (hi is not None and number > hi):
        limits = "" if lo is None else f" of at least {lo}" if hi is None else f" in [{lo}, {hi}]"
        raise InputError(f"{what} is {value!r}, expected an integer{limits}")
    return number


def divide_pow2(value, shift: int, rounding: str):
    """value / 2**shift rounded to an integer; a negative shift multiplies by 2**-shift, exactly.

    floor        largest integer <= the quotient (arithmetic shift)
    toward_zero  the quotient without its fraction (C division)
    half_up      nearest; ties to +infinity
    half_away    nearest; ties away from zero
    half_even    nearest; ties to the even neighbour
    """
    if rounding not in ROUNDINGS:
        raise unknown("rounding:", rounding, ROUNDINGS)
    if shift <= 0:
        return value << -shift
    half = 1 << (shift - 1)
    if rounding == "floor":
        return value >> shift
    if rounding == "toward_zero":
        return (value + (value < 0) * (2 * half - 1)) >> shift
    if rounding == "half_up":
        return (value + half) >> shift
    if rounding == "half_away":
        return (value + (half - (value < 0))) >> shift
    return (value + (half - 1) + ((value >> shift) & 1)) >> shift


def saturate(value, lo: int, hi: int):
    """Clamp to [lo, hi]."""
    if isinstance(value, np.ndarray):
        return np.clip(value, lo, hi)
    return min(max(value, lo), hi)


def wrap(value, lo: int, hi: int):
    """The number congruent to value modulo hi - lo + 1 (a power of two) that lies in [lo, hi]."""
    return lo + ((value - lo) & (hi - lo))


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

    @abstractmethod
    def apply(self, acc):
        """y for acc: a Python int or an int64 array of any shape."""

    def first_reaching(self, y: int) -> int:
        """The smallest acc with apply(acc) >= y, for lo < y <= hi; monotone requantizers only."""
        if not self.monotone or not self.lo < y <= self.hi:
            raise ValueError(f"first_reaching({y}) of {self}: expected a monotone requantizer and {self.lo} < y <= {self.hi}")
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
        for name, (lo, hi) in {"shift": (-MAX_SHIFT, MAX_SHIFT), "lo": INT32, "hi": INT32, "offset": INT32}.items():
            object.__setattr__(self, name, integer(getattr(self, name), f"requantizer: {name}", lo, hi))
        if self.rounding not in ROUNDINGS:
            raise unknown("requantizer: rounding", self.rounding, ROUNDINGS)
        if self.overflow not in OVERFLOWS:
            raise unknown("requantizer: overflow", self.overflow, OVERFLOWS)
        size = self.hi - self.lo + 1
        if size < 1:
            raise InputError(f"requantizer: lo {self.lo} is above hi {self.hi}")
        if self.overflow == "wrap" and size & (size - 1):
            raise InputError(f"requantizer: wrap needs a power of two of values, [{self.lo}, {self.hi}] has {size}")

    @property
    def monotone(self) -> bool:
        return self.overflow == "saturate"

    def before_overflow(self, acc):
        """round(acc / 2**shift) + offset, before saturation or wrap-around."""
        return divide_pow2(acc, self.shift, self.rounding) + self.offset

    def apply(self, acc):
        value = self.before_overflow(acc)
        return saturate(value, self.lo, self.hi) if self.monotone else wrap(value, self.lo, self.hi)

    def first_reaching(self, y: int) -> int:
        """Closed form: the smallest acc whose rounded quotient is at least q = y - offset.

        q * 2**shift less half a step, where a tie at q - 1/2 is not lost to q - 1.
        """
        if not self.monotone or not self.lo < y <= self.hi:
            return super().first_reaching(y)
        return self._first_of(y - self.offset)

    def thresholds(self, far: int) -> np.ndarray:
        if not self.monotone:
            return super().thresholds(far)
        # Quotients this far out stay beyond `far` whatever the rounding does, and inside int64 once they are shifted.
        most = (far >> max(0, self.shift)) + 1
        q = np.arange(self.lo + 1 - self.offset, self.hi + 1 - self.offset, dtype=np.int64)
        return np.clip(self._first_of(np.clip(q, -most, most)), -far, far)

    def _first_of(self, q):
        """The smallest acc whose rounded quotient is at least q: a Python int or an int64 array."""
        if self.shift <= 0:
            return -((-q) >> -self.shift)
        if self.rounding == "floor":
            return q << self.shift
        if self.rounding == "toward_zero":
            return ((q - (q <= 0)) << self.shift) + (q <= 0)
        half = 1 << (self.shift - 1)
        tie_is_lost = {"half_up": 0, "half_away": q <= 0, "half_even": q % 2 == 1}[self.rounding]
        return (q << self.shift) - half + tie_is_lost

    def image(self, acc_lo: int, acc_hi: int) -> tuple[int, int]:
        first, last = self.before_overflow(acc_lo), self.before_overflow(acc_hi)
        y_lo, y_hi = self.apply(acc_lo), self.apply(acc_hi)
        if self.monotone or (last - first == y_hi - y_lo):
            return y_lo, y_hi
        return self.lo, self.hi
