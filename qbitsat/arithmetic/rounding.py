"""The meaning of rounding, saturation and wrap-around on exact integers.

All functions work on Python ints, where they are exact without limit, and elementwise on int64 arrays, where the
caller keeps |value| * 2**max(0, -shift) below 2**62 (`network` refuses networks that could exceed it).
"""

from __future__ import annotations

from operator import index
from typing import Any

import numpy as np

from ..errors import InputError, unknown

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


def smallest(array: np.ndarray) -> np.ndarray:
    """The same integers in the smallest little-endian signed dtype that holds them."""
    lo, hi = (int(array.min()), int(array.max())) if array.size else (0, 0)
    size = next((n for n in (1, 2, 4) if -1 << 8 * n - 1 <= lo and hi < 1 << 8 * n - 1), 8)
    return array.astype(f"<i{size}")


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


def first_with_quotient(q, shift: int, rounding: str):
    """The smallest integer whose `divide_pow2` by 2**shift is at least q: q * 2**shift less half a step, where a tie at q - 1/2 is not
    lost to q - 1. A Python int or an int64 array.
    """
    if shift <= 0:
        return -((-q) >> -shift)
    if rounding == "floor":
        return q << shift
    if rounding == "toward_zero":
        return ((q - (q <= 0)) << shift) + (q <= 0)
    half = 1 << (shift - 1)
    tie_is_lost = {"half_up": 0, "half_away": q <= 0, "half_even": q % 2 == 1}[rounding]
    return (q << shift) - half + tie_is_lost


def saturate(value, lo: int, hi: int):
    """Clamp to [lo, hi]."""
    if isinstance(value, np.ndarray):
        return np.clip(value, lo, hi)
    return min(max(value, lo), hi)


def wrap(value, lo: int, hi: int):
    """The number congruent to value modulo hi - lo + 1 (a power of two) that lies in [lo, hi]."""
    return lo + ((value - lo) & (hi - lo))
