"""Requantizers whose step is a product in floating point: defined on integers all the same, and exact."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..errors import InputError
from .requantizers import Requantizer
from .rounding import INT32, divide_pow2, saturate


@dataclass(frozen=True)
class Float32Requantizer(Requantizer):
    """y = clamp(round(float32(acc) * scale + bias) + offset, lo, hi) with ties to even: conversion, product, sum in float32.

    XNNPACK's and ONNX Runtime's. `scale` is a positive normal float32; `bias` is a float32, and 0 but for means.
    """

    scale: float
    lo: int
    hi: int
    offset: int = 0
    bias: float = 0.0

    def __post_init__(self):
        self._check_integers(offset=INT32)
        scale, bias = (_float32_field(value) for value in (self.scale, self.bias))
        if not scale >= float(np.finfo(np.float32).tiny):
            raise InputError(f"requantizer: scale is {self.scale!r}, expected a positive normal float32")
        if math.isnan(bias):
            raise InputError(f"requantizer: bias is {self.bias!r}, expected a float32")
        object.__setattr__(self, "scale", scale)
        object.__setattr__(self, "bias", bias)

    @property
    def acc_limit(self) -> int:
        """Accumulators are int32."""
        return INT32[1]

    def apply(self, acc):
        with np.errstate(over="ignore"):
            value = _float32(acc) * np.float32(self.scale) + np.float32(self.bias)
        # float64 holds the value and the limits, which float32 need not.
        rounded = np.clip(np.rint(value.astype(np.float64)), self.lo - self.offset, self.hi - self.offset)
        return rounded.astype(np.int64) + self.offset if isinstance(acc, np.ndarray) else int(rounded) + self.offset

    def thresholds(self, far: int) -> np.ndarray:
        """By bisection of all levels at once, in what the roundings to 24 bits leave around (y - offset - 1/2 - bias) / scale."""
        return _bisect(self, self.bias, 2.0**-21, far)


@dataclass(frozen=True)
class Float64Requantizer(Requantizer):
    """y = clamp(round(float64(acc) * scale) + offset, lo, hi) with ties away from zero: the product in float64, rounded.

    What LiteRT's reference kernel of FULLY_CONNECTED computes. `scale` is a float64 from 2**-128 to 2**128.
    """

    scale: float
    lo: int
    hi: int
    offset: int = 0

    def __post_init__(self):
        self._check_integers(offset=INT32)
        scale = _number(self.scale)
        if not 2.0**-128 <= scale <= 2.0**128:
            raise InputError(f"requantizer: scale is {self.scale!r}, expected a float64 from 2**-128 to 2**128")
        object.__setattr__(self, "scale", scale)

    @property
    def acc_limit(self) -> int:
        """Accumulators are int32, also as products with the offset added; one less for what the product rounds."""
        return min(INT32[1], int((INT32[1] - abs(self.offset) - 1) / self.scale))

    def apply(self, acc):
        value = np.float64(_exact_float(acc)) * self.scale
        whole = np.floor(np.abs(value))
        rounded = np.copysign(whole + (np.abs(value) - whole >= 0.5), value)
        rounded = np.clip(rounded, self.lo - self.offset, self.hi - self.offset)
        return rounded.astype(np.int64) + self.offset if isinstance(acc, np.ndarray) else int(rounded) + self.offset

    def thresholds(self, far: int) -> np.ndarray:
        """By bisection of all levels at once, in what the roundings to 53 bits leave around (y - offset - 1/2) / scale."""
        return _bisect(self, 0.0, 2.0**-50, far)


def _exact_float(acc):
    """The nearest float64, ties to even, of an int64 array or an int, which is kept where every scale takes it beyond all levels."""
    return acc.astype(np.float64) if isinstance(acc, np.ndarray) else float(saturate(int(acc), -(1 << 256), 1 << 256))


def _bisect(r: Float32Requantizer | Float64Requantizer, bias: float, precision: float, far: int) -> np.ndarray:
    """The thresholds, looked for around (y - offset - 1/2 - bias) / scale first; where they are not there, everywhere."""
    levels = np.arange(r.lo + 1, r.hi + 1)
    centre = (levels - r.offset - 0.5 - bias) / r.scale
    width = np.minimum((np.abs(centre) + abs(bias) / r.scale) * precision + 2, far)
    centre = np.clip(centre, -far, far)
    below = np.maximum((centre - width).astype(np.int64), -far - 1)
    reach = np.minimum((centre + width).astype(np.int64), far)
    below[r.apply(below) >= levels] = -far - 1
    reach[r.apply(reach) < levels] = far
    while (reach - below > 1).any():
        middle = below + (reach - below + 1) // 2
        reached = r.apply(middle) >= levels
        reach, below = np.where(reached, middle, reach), np.where(reached, below, middle)
    return reach


def _number(value) -> float:
    """A field that is a number as a float, or NaN."""
    try:
        return math.nan if isinstance(value, bool | str) else float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan


def _float32_field(value) -> float:
    """A finite float32 as a float, or NaN."""
    number = _number(value)
    return number if abs(number) <= float(np.finfo(np.float32).max) and float(np.float32(number)) == number else math.nan


def _float32(acc):
    """The nearest float32, ties to even; beyond all of them an infinity."""
    if isinstance(acc, np.ndarray):
        return acc.astype(np.float32)
    acc = saturate(int(acc), -(1 << 128), 1 << 128)
    rest = max(0, abs(acc).bit_length() - 24)
    return np.float32(math.ldexp(divide_pow2(acc, rest, "half_even"), rest))
