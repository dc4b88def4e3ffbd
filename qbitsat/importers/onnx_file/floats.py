"""Arithmetic in float32 as step functions of integers, exactly: what a runtime does with floats between two integers.

A float is an integer times a power of two. Sums of a few floats are sums of integers in one unit.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np

from ...arithmetic import TableRequantizer, ThresholdRequantizer
from ...errors import UnsupportedError
from ...network import TensorFormat
from ..assembly import Builder, Wires, combined, once

f32 = np.float32
# Bits of a float32, and the smallest power of two that all of them are multiples of.
DIGITS, LEAST = 24, -149
# Sums stay below 2**MAX_BITS units.
MAX_BITS = 56
Levels = Callable[[np.ndarray], np.ndarray]


def quantized(x: np.ndarray, scale: np.float32, zero_point: int, lo: int, hi: int) -> np.ndarray:
    """QuantizeLinear: round(x / scale) + zero_point in [lo, hi], the quotient in float32, ties to even; int64."""
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        quotient = x.astype(f32) / scale
    if np.isnan(quotient).any():
        raise UnsupportedError("a computation in floats gives NaN")
    return np.clip(np.rint(quotient), f32(lo - zero_point), f32(hi - zero_point)).astype(np.int64) + zero_point


def ratio_of(scale: np.float32, other: float, bits: int = 16, factor: np.float32 | float = 1.0) -> np.float32:
    """(scale * factor) / other in float32, at most 2**bits: beyond int32 kernels of integers give the least level, not the largest."""
    with np.errstate(over="ignore"):
        ratio = scale * f32(factor) / f32(other)
    if not ratio <= 2.0**bits:
        raise UnsupportedError(f"scales that differ too much, expected ratios of at most 2**{bits}")
    return ratio


def exponent(x: float) -> int:
    """The largest e such that a finite float32 is a multiple of 2**e; 128 for 0."""
    if x == 0:
        return 128
    numerator, denominator = float(x).as_integer_ratio()
    return (numerator & -numerator).bit_length() - denominator.bit_length()


def in_units(x: np.ndarray, unit: int) -> np.ndarray:
    """Floats as integers of 2**unit, which divides them; int64."""
    return np.array([int(Fraction(float(v)) / Fraction(2) ** unit) for v in x.ravel()], np.int64).reshape(x.shape)


def unit_of(*floats: np.ndarray) -> int:
    """The largest power of two that divides all of them, at least what all floats are multiples of."""
    exponents = [exponent(v) for x in floats for v in np.unique(x).tolist()]
    return max(LEAST, min(exponents, default=0))


def require_bits(largest: int) -> None:
    """Refuse sums that do not fit."""
    if largest.bit_length() > MAX_BITS:
        raise UnsupportedError(f"floats of scales that differ too much: sums of {largest.bit_length()} bits, expected at most {MAX_BITS}")


# --- sums of functions of one integer each ---


def tables_added(b: Builder, name: str, parts: list[tuple[Wires, int, np.ndarray]], levels: Levels, form: TensorFormat) -> Wires:
    """levels(acc) of acc = the sum of table[q - lo] of parts (wires, lo, table int64), all of one shape; levels never decreases.

    A table is a line, as steep as its least step, and what is left of it, which never decreases and stays small.
    """
    terms, bias, first, last = [], 0, 0, 0
    for i, (wires, lo, table) in enumerate(parts):
        slope = int(np.diff(table).min()) if len(table) > 1 else 0
        if not -(1 << 31) < slope < 1 << 31:
            raise UnsupportedError(f"floats of scales that differ too much: a weight of {slope}, expected less than 2**31")
        rest = table - slope * np.arange(len(table)) - table[0]
        bias += int(table[0]) - slope * lo
        terms.append((wires, slope))
        if rest.any():
            terms.append((once(b, f"{name}.{i}", wires, 1, 0, TableRequantizer(lo, tuple(rest.tolist()))), 1))
        first, last = first + int(table.min()), last + int(table.max())
    require_bits(max(-first, last))
    return combined(b, name, terms, bias, ThresholdRequantizer.of(levels, (form.lo, form.hi), (first, last)), form)
