"""Activation functions of int8 in TensorFlow Lite as tables of 256 integers, as its runtimes compute them.

HARD_SWISH works in 16-bit fixed point (reference/hard_swish.h), LEAKY_RELU with a multiplier on each side of 0 (reference/leaky_relu.h),
in XNNPACK with 8 bits after the binary point; ABS, SQRT and RSQRT are in elementwise.cc. LOGISTIC and TANH work in fixed point in
TensorFlow Lite Micro (`fixed_point`), elsewhere in float32, as others do in all that have them (`library_tables`). All was measured: tests
hold it against the runtimes.
"""

from __future__ import annotations

import math

import numpy as np

from ..arithmetic import MultiplierRequantizer, divide_pow2
from ..errors import UnsupportedError
from . import fixed_point, library_tables
from .runtimes import MICRO, Quantization, chain, quantize_multiplier

f32 = np.float32
# What the runtimes ask of the output of a function with values in [0, 1] or [-1, 1].
FIXED = {"LOGISTIC": (1 / 256, -128), "TANH": (1 / 128, 0)}
# More than any output.
LARGEST = 1 << 30
INT16 = (-(1 << 15), (1 << 15) - 1)
# Ratios that XNNPACK takes; what is outside it leaves to LiteRT's own kernels.
XNNPACK_RATIOS = (2.0**-8, 2.0**7)


def table(kind: str, runtime: str, x: Quantization, out: Quantization, alpha: float = 0.0) -> np.ndarray:
    """The output for each input from lo to hi: int64[hi - lo + 1]; alpha is LEAKY_RELU's slope below 0."""
    if kind in FIXED and (out.scale, out.zero_point) != FIXED[kind]:
        raise UnsupportedError(f"{kind} with output scale {out.scale:g} and zero point {out.zero_point}, expected {FIXED[kind]}")
    if kind in library_tables.FUNCTIONS and not (kind in FIXED and runtime in MICRO):
        return library_tables.filled(kind, runtime, x, out)
    q = x.values - x.zero_point
    if kind in INTEGER_FUNCTIONS:
        value = INTEGER_FUNCTIONS[kind](q, runtime, x.scale, out.scale)
    elif kind == "LEAKY_RELU":
        value = leaky_relu(q, runtime, x.scale, out.scale, alpha)
    else:
        value = fixed_point.squashed(kind, q, x.scale)
    return np.clip(value + out.zero_point, out.lo, out.hi)


def absolute(q: np.ndarray, runtime: str, s_in: float, s_out: float) -> np.ndarray:
    """|q| * s_in / s_out; LiteRT has the ratio in float32."""
    ratio = float(s_in) / float(s_out) if runtime in MICRO else chain(s_in, 1, s_out)
    return np.abs(q) if s_in == s_out else rescaled(np.abs(q), ratio)


def square_root(q: np.ndarray, runtime: str, s_in: float, s_out: float) -> np.ndarray:
    """In float32, without its fraction. Runtimes stop below 0, which is never read."""
    with np.errstate(over="ignore"):
        value = np.sqrt(f32(s_in) * np.maximum(q, 0).astype(f32)) / f32(s_out)
    if not (value < LARGEST).all():
        raise UnsupportedError(f"SQRT from scale {s_in:g} to {s_out:g} reaches 2**30 steps, where {runtime} defines no output")
    return np.trunc(value).astype(np.int64)


def reciprocal_root(q: np.ndarray, runtime: str, s_in: float, s_out: float) -> np.ndarray:
    """1 / sqrt(q * s_in) in steps of s_out, in fixed point with 20 bits more; of 0 the largest output. It stops below 0, too."""
    with np.errstate(over="ignore", under="ignore"):
        root = math.sqrt(s_in) * s_out if runtime in MICRO else float(np.sqrt(f32(s_in)) * f32(s_out))
    multiplier, shift = quantize_multiplier(1 / max(root, 2.0**-149))
    fine = [fixed_point.reciprocal_root(n) if n > 0 else 0 for n in q.tolist()]
    return np.array([LARGEST if n <= 0 else fixed_point.rescaled(a, multiplier, shift - 20) for n, a in zip(q.tolist(), fine, strict=True)])


def leaky_relu(q: np.ndarray, runtime: str, s_in: float, s_out: float, alpha: float) -> np.ndarray:
    """q * s_in / s_out, below 0 times alpha."""
    with np.errstate(over="ignore", under="ignore"):
        ratio = f32(s_in) / f32(s_out)
        slope, below = ratio * f32(alpha), f32(s_in) * f32(alpha) / f32(s_out)
        exact = float(s_in) / float(s_out), float(s_in) * float(f32(alpha)) / float(s_out)
    lo, hi = XNNPACK_RATIOS
    if runtime == "xnnpack" and lo <= min(ratio, abs(slope)) and max(ratio, abs(slope)) <= hi:
        weights = np.where(q >= 0, int(np.rint(256 * ratio)), int(np.rint(256 * slope)))
        return divide_pow2(weights * q, 8, "half_up")
    scales = exact if runtime in MICRO else (float(ratio), float(below))
    # A negative multiplier is that of the same size of the negative integers.
    above, under = (rescaled(q if scale >= 0 else -q, abs(scale)) for scale in scales)
    return np.where(q >= 0, above, under)


def prelu(runtime: str, x: Quantization, s_slope: float, slope: int, out: Quantization) -> np.ndarray:
    """The output for each input: q * s_in / s_out, below 0 q * slope with the scales of both; LiteRT has ratios of scales in float32."""
    q = x.values - x.zero_point
    if runtime in MICRO:
        above, below = x.scale / out.scale, x.scale * s_slope / out.scale
    else:
        above, below = chain(x.scale, 1, out.scale), chain(x.scale, s_slope, out.scale)
    value = np.where(q >= 0, rescaled(q, above), rescaled(q * slope, below))
    return np.clip(value + out.zero_point, out.lo, out.hi)


def rescaled(q: np.ndarray, scale: float) -> np.ndarray:
    """q * scale, rounded twice."""
    multiplier, shift = quantize_multiplier(scale)
    if int(np.abs(q).max()) << max(0, shift) >= LARGEST:
        raise UnsupportedError(f"{np.abs(q).max()} steps times {scale:g}, which are 2**30 steps of the output or more")
    return MultiplierRequantizer(multiplier, shift, "double", -LARGEST, LARGEST).apply(q)


def hard_swish(q: np.ndarray, runtime: str, s_in: float, s_out: float) -> np.ndarray:
    """x * min(6, max(0, x + 3)) / 6 in steps of s_out, in 16 bits: q with 7 bits more, times (1 + x / 3 in [-1, 1]) / 2."""
    fine = f32(s_in) * f32(1 / 128)
    # LiteRT rounds the quotient to float32, which may make a tie of it.
    output, output_shift = multiplier16(float(fine) / s_out if runtime in MICRO else float(fine / f32(s_out)))
    if output_shift > 0:
        raise UnsupportedError(f"HARD_SWISH from scale {s_in:g} to {s_out:g}, which runtimes refuse: expected at least 1/128 of it")
    reluish, reluish_shift = multiplier16(float(fine / f32(f32(3) / f32(32768))))
    if min(output_shift, reluish_shift) < -15:
        raise UnsupportedError(f"HARD_SWISH from scale {s_in:g} to {s_out:g}, of which less is left than 16 bits hold")
    hires = q << 7
    value = high_product(hires, output)
    part = saturated(hires << min(16, max(0, reluish_shift - 1)))
    part = high_product(part, reluish)
    part = saturated(part << 1) if reluish_shift > 0 else divide_pow2(part, -reluish_shift, "half_away")
    part = (part + (1 << 15)) >> 1
    return divide_pow2(saturated(divide_pow2(part * value, 15, "toward_zero")), -output_shift, "half_away")


def multiplier16(scale: float) -> tuple[int, int]:
    """QuantizeMultiplier with a multiplier of 16 bits."""
    multiplier, shift = quantize_multiplier(scale)
    return min(INT16[1], (multiplier + (1 << 15)) >> 16), shift


def high_product(a: np.ndarray, b: int) -> np.ndarray:
    """gemmlowp's SaturatingRoundingDoublingHighMul of 16 bits."""
    return saturated((a * b + (1 << 14)) >> 15)


def saturated(a: np.ndarray) -> np.ndarray:
    return np.clip(a, *INT16)


# Of q - z, and both scales.
INTEGER_FUNCTIONS = {"ABS": absolute, "HARD_SWISH": hard_swish, "RSQRT": reciprocal_root, "SQRT": square_root}
