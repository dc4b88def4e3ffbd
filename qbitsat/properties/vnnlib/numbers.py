"""Constants of VNN-LIB files: exact rationals, or numbers of an element type."""

from __future__ import annotations

import re
from fractions import Fraction

import numpy as np

from .expressions import Source, Word, shown

INTEGERS = {
    **{f"int{bits}": (-(1 << bits - 1), (1 << bits - 1) - 1) for bits in (8, 16, 32, 64)},
    **{f"uint{bits}": (0, (1 << bits) - 1) for bits in (8, 16, 32, 64)},
}
FLOATS = ("float16", "float32", "float64")
# Digits of a number, and the largest exponent of ten: numbers stay small enough to compute with.
MAX_DIGITS, MAX_EXPONENT = 400, 400
NUMBER = re.compile(r"[+-]?(\d+(?:\.\d*)?|\.\d+)(?:[eE]([+-]?\d+))?", re.ASCII)


def is_number(text: str) -> bool:
    return text[:1] in "+-.0123456789" and NUMBER.fullmatch(text) is not None


def number(word: Word, source: Source) -> Fraction:
    """The number that a word is, exactly."""
    found = NUMBER.fullmatch(word.text)
    if found is None:
        source.refuse(word, f"{shown(word)}, expected a number")
    digits, exponent = found[1], found[2] or "0"
    if len(digits) > MAX_DIGITS or len(exponent) > 4 or abs(int(exponent)) > MAX_EXPONENT:
        source.refuse(word, f"a number of more than {MAX_DIGITS} digits or an exponent beyond {MAX_EXPONENT}")
    return Fraction(word.text)


def constant(word: Word, dtype: str, source: Source) -> Fraction:
    """A constant of an element type: integers as they are, whatever the type's range is, floats as the nearest of the type."""
    value = number(word, source)
    if dtype in INTEGERS:
        if value.denominator != 1 or not word.text.lstrip("+-").isdigit():
            source.refuse(word, f"{shown(word)} among elements of {dtype}, expected an integer")
        return value
    if dtype in FLOATS:
        rounded = nearest(value, dtype)
        if rounded is None:
            source.refuse(word, f"{shown(word)}, which is beyond {dtype}")
        return rounded
    return value


def nearest(value: Fraction, dtype: str) -> Fraction | None:
    """The nearest number of a float type, of two the even one; None beyond the largest."""
    kind = np.finfo(dtype)
    digits, least = kind.nmant, int(kind.minexp) - kind.nmant
    if value == 0:
        return value
    # The unit of the last digit: 2**exponent for numbers in [2**(exponent + digits), 2**(exponent + digits + 1)).
    magnitude = abs(value)
    exponent = magnitude.numerator.bit_length() - magnitude.denominator.bit_length() - digits
    if magnitude < Fraction(2) ** (exponent + digits):
        exponent -= 1
    unit = Fraction(2) ** max(exponent, least)
    rounded = round(value / unit) * unit
    return rounded if abs(rounded) <= Fraction(float(kind.max)) else None
