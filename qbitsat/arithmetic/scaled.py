"""Requantizers of scales that are no powers of two, in integers: by a multiplier or a divisor.

Those of integer multipliers are TFLite's and gemmlowp's, who write a real scale below 2**30 as multiplier * 2**(shift - 31).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import unknown
from .requantizers import Requantizer
from .rounding import INT32, divide_pow2, first_with_quotient, saturate

FORMS = ("double", "half_up_twice", "half_up", "half_away")
# What a multiplier of 0 never reaches, and never misses: beyond every accumulator.
UNREACHED = 1 << 62


@dataclass(frozen=True)
class MultiplierRequantizer(Requantizer):
    """y = clamp(R(acc) + offset, lo, hi), where R(acc) is acc * multiplier * 2**(shift - 31), rounded as `form` says.

    double         half up at 2**(shift - 31) for shifts up to 0, then what is left of the shift half away from zero: gemmlowp's
                   SaturatingRoundingDoublingHighMul and RoundingDivideByPOT, in the reference kernels of TFLite
    half_up_twice  the same with both steps half up: ruy's vector kernels
    half_up        one step: TFLITE_SINGLE_ROUNDING, CMSIS_NN_USE_SINGLE_ROUNDING, TOSA
    half_away      one step, ties away from zero

    With a shift above 0 the first three are the same. A multiplier of 0 has one level; `first_reaching` is then 2**62 for what is
    never reached, and -2**62 for what always is.
    """

    multiplier: int
    shift: int
    form: str
    lo: int
    hi: int
    offset: int = 0

    def __post_init__(self):
        self._check_integers(multiplier=(0, INT32[1]), shift=(-62, 30), offset=INT32)
        if self.form not in FORMS:
            raise unknown("requantizer: form", self.form, FORMS)

    @property
    def acc_limit(self) -> int:
        """Accumulators are int32, also after a shift to the left and with the offset added."""
        return max(0, (INT32[1] - abs(self.offset)) >> max(0, self.shift))

    def apply(self, acc):
        negative = acc < 0
        if self.form == "half_away":
            acc = abs(acc)
        value = self._rounded_product(acc)
        if self.form == "half_away":
            value = value * (1 - 2 * negative)
        return saturate(self._second(divide_pow2, value) + self.offset, self.lo, self.hi)

    def first_reaching(self, y: int) -> int:
        """Closed form, from the last step of the rounding to the first."""
        self._require_level(y)
        return self._first_of(y - self.offset)

    def thresholds(self, far: int) -> np.ndarray:
        q = np.arange(self.lo + 1 - self.offset, self.hi + 1 - self.offset)
        return np.clip(self._first_of(q if self._product_bits < 62 else q.astype(object)), -far, far).astype(np.int64)

    @property
    def _exponent(self) -> int:
        """What the product is divided by first: 2**_exponent."""
        return 31 - self.shift if self.form in ("half_up", "half_away") else 31 - max(0, self.shift)

    @property
    def _product_bits(self) -> int:
        """Products of 2**_product_bits and more are beyond lo and hi, whatever the rounding."""
        return (max(abs(self.lo), abs(self.hi)) + abs(self.offset) + 2).bit_length() + 31 - self.shift

    def _second(self, function, value):
        """The second step of the rounding, or its inverse."""
        rest = 31 - self.shift - self._exponent
        return function(value, rest, "half_away" if self.form == "double" else "half_up")

    def _rounded_product(self, acc):
        """floor(acc * multiplier / 2**_exponent + 1/2): of Python ints, or of an int64 array with magnitudes up to 2**62."""
        m, e = self.multiplier, self._exponent
        if not isinstance(acc, np.ndarray):
            return (int(acc) * m + (1 << (e - 1))) >> e
        most = min(1 << 62, (1 << self._product_bits) // max(1, m) + 1)
        acc = np.clip(acc, -most, most)
        if self._product_bits < 62:
            return (acc * m + (1 << (e - 1))) >> e
        # acc = high * 2**31 + low, and each product fits.
        high, low = (acc >> 31) * m, (acc & INT32[1]) * m
        if e <= 31:
            return (high << (31 - e)) + ((low + (1 << (e - 1))) >> e)
        return (high + (low >> 31) + (1 << (e - 32))) >> (e - 31)

    def _first_of(self, q):
        """The smallest acc with R(acc) >= q: of a Python int, an int64 array, or an array of Python ints."""
        m, e = self.multiplier, self._exponent
        if m == 0:
            return UNREACHED * (1 - 2 * (q <= 0))
        least = self._second(first_with_quotient, q)
        mirrored = (q <= 0) * (self.form == "half_away")
        # R(acc) >= q is R(-acc) < 1 - q, where R is odd.
        least = least + mirrored * (1 - 2 * least)
        first = -(((1 << (e - 1)) - (least << e)) // m)
        return first + mirrored * (1 - 2 * first)


@dataclass(frozen=True)
class DivisionRequantizer(Requantizer):
    """y = clamp(acc / divisor, lo, hi), rounded to the nearest integer, ties away from zero: the mean of TFLite's AVERAGE_POOL_2D,
    which is C's (acc + n/2) / n for acc > 0 and (acc - n/2) / n otherwise.
    """

    divisor: int
    lo: int
    hi: int

    def __post_init__(self):
        self._check_integers(divisor=(1, INT32[1]))

    @property
    def acc_limit(self) -> int:
        """Accumulators are int32, also with half of the divisor added."""
        return INT32[1] - self.divisor // 2

    def apply(self, acc):
        value = (abs(acc) + self.divisor // 2) // self.divisor
        return saturate(value * (1 - 2 * (acc < 0)), self.lo, self.hi)

    def first_reaching(self, y: int) -> int:
        """Closed form."""
        self._require_level(y)
        return self._first_of(y)

    def thresholds(self, far: int) -> np.ndarray:
        return np.clip(self._first_of(np.arange(self.lo + 1, self.hi + 1)), -far, far)

    def _first_of(self, q):
        """The smallest acc with a quotient of at least q: a Python int or an int64 array. For q <= 0 that of 1 - q, mirrored."""
        mirrored = q <= 0
        first = (q + mirrored * (1 - 2 * q)) * self.divisor - self.divisor // 2
        return first + mirrored * (1 - 2 * first)
