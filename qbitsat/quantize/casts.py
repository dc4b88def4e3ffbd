"""How a sum becomes a fixed-point number: rounding and overflow of any kind, as requantizers and layers that there are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..arithmetic import INT32, Requantizer, ShiftRequantizer, ThresholdRequantizer, divide_pow2
from ..arithmetic import ROUNDINGS as STEP_ROUNDINGS
from ..errors import UnsupportedError
from ..importers.assembly import Builder, Wires, combined, once
from ..network import TensorFormat
from .numbers import Fixed

# Steps with more levels than a table of thresholds may have.
MAX_LEVELS = 1 << 16
Ends = tuple[float, float]


@dataclass(frozen=True)
class Sum:
    """Accumulators of one output channel: exact integers from lo to hi with so many fractional bits, and a bias in units of the output."""

    lo: int
    hi: int
    fraction: int
    offset: int = 0


# Makes the wires of a layer of sums: of one step for each channel, and what is added to the sums before.
First = Callable[[tuple[Requantizer, ...], Sequence[int]], Wires]
# A layer of sums with some steps, what is added before them, and the meaning of what it gives.
Make = Callable[[tuple[Requantizer, ...], Sequence[int], TensorFormat], Wires]


def cast(b: Builder, name: str, sums: Sequence[Sum], fixed: Fixed, first: First, clamp: tuple[int, int] | None = None) -> Wires:
    """The sums of a layer as fixed-point numbers, and then within `clamp`.

    Where nothing can overflow all kinds of overflow are the same, and one step does it; so does one that saturates.
    """
    lo, hi = (max(fixed.lo, clamp[0]), min(fixed.hi, clamp[1])) if clamp else (fixed.lo, fixed.hi)
    form = meaning(fixed, lo, hi)
    if fixed.overflow in ("saturate", "symmetric") or not any(overflows(s, fixed) for s in sums):
        return first(*zip_steps([saturating(s, fixed, lo, hi) for s in sums]))
    if fixed.overflow == "wrap" and fixed.rounding != "half_zero":
        wires = first(*zip_steps([rounding_step(s, fixed, fixed.lo, fixed.hi, "wrap") for s in sums]))
        return wires if (lo, hi) == (fixed.lo, fixed.hi) else once(b, f"{name}.clamp", wires, 1, 0, kept(lo, hi), form)
    wide = min(quotient(s.lo, s, fixed) for s in sums), max(quotient(s.hi, s, fixed) for s in sums)
    if not INT32[0] <= wide[0] <= wide[1] <= INT32[1]:
        raise UnsupportedError(f"rounded sums from {wide[0]} to {wide[1]} before overflow, expected 32 bits")
    wires = first(*zip_steps([saturating(s, fixed, *wide) for s in sums]))
    if fixed.overflow == "wrap":
        wires = once(b, f"{name}.wrap", wires, 1, 0, ShiftRequantizer(0, "floor", fixed.lo, fixed.hi, "wrap"), meaning(fixed))
        return wires if (lo, hi) == (fixed.lo, fixed.hi) else once(b, f"{name}.clamp", wires, 1, 0, kept(lo, hi), form)
    # min(max(v, lo), hi) less hi where v is above it, and less lo where v is below that.
    inside = once(b, f"{name}.inside", wires, 1, 0, kept(fixed.lo, fixed.hi), meaning(fixed))
    above = once(b, f"{name}.above", wires, 1, -fixed.hi, kept(0, 1))
    below = once(b, f"{name}.below", wires, -1, fixed.lo, kept(0, 1))
    return combined(b, name, [(inside, 1), (above, -fixed.hi), (below, -fixed.lo)], 0, kept(lo, hi), form)


def meaning(fixed: Fixed, lo: int | None = None, hi: int | None = None) -> TensorFormat:
    """The format of single values; shapes and ranges follow from the layers."""
    return TensorFormat((1,), fixed.lo if lo is None else lo, fixed.hi if hi is None else hi, fixed.step)


def kept(lo: int, hi: int) -> ShiftRequantizer:
    """min(max(v, lo), hi)."""
    return ShiftRequantizer(0, "floor", lo, hi)


def zip_steps(steps: Sequence[tuple[Requantizer, int]]) -> tuple[tuple[Requantizer, ...], list[int]]:
    return tuple(step for step, _ in steps), [added for _, added in steps]


def quotient(acc: int, s: Sum, fixed: Fixed) -> int:
    """The rounded sum with its bias, before overflow."""
    shift = s.fraction - fixed.places
    if fixed.rounding in STEP_ROUNDINGS or shift <= 0:
        return divide_pow2(acc, shift, fixed.rounding if shift > 0 else "floor") + s.offset
    half = 1 << (shift - 1)
    return ((acc + half - 1 + (fixed.rounding == "half_zero" and acc < 0)) >> shift) + s.offset


def overflows(s: Sum, fixed: Fixed) -> bool:
    return quotient(s.lo, s, fixed) < fixed.lo or quotient(s.hi, s, fixed) > fixed.hi


def saturating(s: Sum, fixed: Fixed, lo: int, hi: int) -> tuple[Requantizer, int]:
    """The step that saturates to [lo, hi], and what is added to the sum before."""
    if fixed.rounding != "half_zero" or s.fraction <= fixed.places:
        return rounding_step(s, fixed, lo, hi)
    # Nearest to zero is down above it, and up below it.
    if lo >= s.offset or hi <= s.offset:
        return rounding_step(s, replace(fixed, rounding="half_down" if lo >= s.offset else "half_up"), lo, hi)
    if hi - lo > MAX_LEVELS:
        raise UnsupportedError(f"rounding half_zero to values from {lo} to {hi}, expected at most 16 bits")
    shift = s.fraction - fixed.places
    q = np.arange(lo + 1, hi + 1, dtype=object) - s.offset
    half = 1 << (shift - 1)
    # The first that is rounded to q: above q - 1/2 where q is positive, and from there where it is not.
    firsts = [int(v) * 2 * half - half + (v > 0) for v in q]
    return ThresholdRequantizer(lo, tuple(firsts)), 0


def rounding_step(s: Sum, fixed: Fixed, lo: int, hi: int, overflow: str = "saturate") -> tuple[Requantizer, int]:
    """A shift with a rounding that is not half_zero: half_down is floor with almost half a step more."""
    shift, added, rounding = s.fraction - fixed.places, 0, fixed.rounding
    if shift <= 0:
        rounding = "floor"
    elif rounding == "half_down":
        rounding, added = "floor", (1 << (shift - 1)) - 1
    if not -60 <= shift <= 60:
        raise UnsupportedError(f"a shift by {shift} from sums to outputs, expected at most 60")
    return ShiftRequantizer(shift, rounding, lo, hi, overflow, s.offset), added
