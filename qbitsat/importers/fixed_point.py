"""Logistic function and hyperbolic tangent as gemmlowp computes them in 32-bit fixed point (fixedpoint/fixedpoint.h), for int8 in
TensorFlow Lite Micro (reference/integer_ops/logistic.h, tanh.h), and reciprocal roots, for int8 in LiteRT, too (internal/common.h).
Numbers are raw integers; F0, F2, ... says how many of their bits stand before the binary point.
"""

from __future__ import annotations

import math

import numpy as np

from ..arithmetic import INT32, divide_pow2

# 1 of F0, F2 and F3, exp(-1/8), 1/3 and sqrt(1/2) of F0, 48/17 and -32/17 of F2.
ONE, ONE_F2, ONE_F3 = INT32[1], 1 << 29, 1 << 28
HALF_ROOT = 1518500250
EXP_EIGHTH, THIRD = 1895147668, 715827883
NUMERATOR, SLOPE = 1515870810, -1010580540
# exp(-2**e) of F0, for e from -2.
EXPONENTIALS = (1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242)
# Bits of the input before the binary point, and of the output after it.
INPUT_BITS = 4
OUTPUT_BITS = {"LOGISTIC": 8, "TANH": 7}


def squashed(kind: str, q: np.ndarray, scale: float) -> np.ndarray:
    """LOGISTIC in steps of 1/256, or TANH in steps of 1/128, of scale * q; unclamped, but for what saturates."""
    fraction, shift = math.frexp(float(scale) * 2.0 ** (31 - INPUT_BITS))
    multiplier = math.floor(fraction * 2**31 + 0.5)
    if multiplier == 1 << 31:
        multiplier, shift = multiplier >> 1, shift + 1
    radius = math.floor(((1 << INPUT_BITS) - 1) * 2.0 ** (31 - INPUT_BITS - shift))
    top = 1 << OUTPUT_BITS[kind]
    least = 0 if kind == "LOGISTIC" else -top
    raw = [_wide(int(n), multiplier, shift) for n in q.tolist()]
    function = logistic if kind == "LOGISTIC" else tanh
    inner = [divide_pow2(function(a), 31 - OUTPUT_BITS[kind], "half_away") for a in raw]
    return np.array([least if n <= -radius else top if n >= radius else y for n, y in zip(q.tolist(), inner, strict=True)], np.int64)


def _wide(n: int, multiplier: int, shift: int) -> int:
    """MultiplyByQuantizedMultiplier, whose result is clamped to 32 bits here: beyond the radius it is not used."""
    return _saturated(rescaled(n, multiplier, shift))


def logistic(a: int) -> int:
    """1 / (1 + exp(-a)): F4 to F0."""
    if a == 0:
        return 1 << 30
    positive = _inverse(_exp_negative(-abs(a), 4)) << 1
    positive = min(positive, ONE)
    return positive if a > 0 else ONE - positive


def tanh(a: int) -> int:
    """F4 to F0: of -|a|, from exp(-2 |a|)."""
    if a == 0:
        return 0
    value = _saturated((_inverse(_exp_negative(-abs(a), 5)) - ONE_F2) << 2)
    return -value if a < 0 else value


def reciprocal_root(n: int) -> int:
    """2**20 / sqrt(n) of an integer from 1 to 255: five steps of Newton and Raphson from 1, for n times a power of 4, F3 in [1/4, 1)."""
    if n == 1:
        return rescaled(1, INT32[1], 20)
    pairs = (31 - n.bit_length()) // 2 - 1
    half = divide_pow2(n << 2 * pairs - 1, 1, "half_away")
    x = ONE_F3
    for _ in range(5):
        cube = _saturated(_mul(_mul(x, x), x) << 6)
        x = _saturated((_mul(3 * ONE_F3 // 2, x) - _mul(half, cube)) << 3)
    return rescaled(1, _mul(x, HALF_ROOT), pairs + 9)


def rescaled(n: int, multiplier: int, shift: int) -> int:
    """MultiplyByQuantizedMultiplier of what stays in 32 bits."""
    product = (n << max(0, shift)) * multiplier
    return divide_pow2((product + (1 << 30)) >> 31, max(0, -shift), "half_away")


def _saturated(a: int) -> int:
    return min(max(a, INT32[0]), INT32[1])


def _mul(a: int, b: int) -> int:
    """SaturatingRoundingDoublingHighMul; nobody multiplies the least integer by itself."""
    return (a * b + (1 << 30)) >> 31


def _exp_negative(a: int, bits: int) -> int:
    """exp(a) of a <= 0 with so many bits before the point: F0. exp of what is left of a quarter, then times exp(-2**e) for each bit."""
    if a == 0:
        return ONE
    fractional = 31 - bits
    quarter = 1 << (fractional - 2)
    rest = (a & (quarter - 1)) - quarter
    result = _exp_quarter(rest << bits)
    remainder = rest - a
    for place, factor in enumerate(EXPONENTIALS, -2):
        if bits > place and remainder >> (fractional + place) & 1:
            result = _mul(result, factor)
    return result


def _exp_quarter(a: int) -> int:
    """exp of a in [-1/4, 0): F0, by Taylor's polynomial around -1/8."""
    x = a + (1 << 28)
    x2 = _mul(x, x)
    x3, x4 = _mul(x2, x), _mul(x2, x2)
    quarter_x4 = divide_pow2(x4, 2, "half_away")
    rest = divide_pow2(_mul(quarter_x4 + x3, THIRD) + x2, 1, "half_away")
    return EXP_EIGHTH + _mul(EXP_EIGHTH, x + rest)


def _inverse(a: int) -> int:
    """2 / (1 + a) of a in [0, 1]: F0 to F2, by three steps of Newton and Raphson."""
    half = (a + ONE + 1) >> 1
    x = NUMERATOR + _mul(half, SLOPE)
    for _ in range(3):
        x += _mul(x, ONE_F2 - _mul(half, x)) << 2
    return x
