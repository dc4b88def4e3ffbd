"""Sums of integers that are not integers of a tensor yet: what an exact file computes between one quantizer and the next.

A real number is unit * acc, acc an integer, and after it functions that grow or fall: factor * v + term, and limits. A quantizer behind
makes one step function of them all, in rational arithmetic.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from ...arithmetic import Requantizer, ShiftRequantizer, ThresholdRequantizer
from ...errors import UnsupportedError
from ...network import TensorFormat
from ..assembly import Builder, Kernel, Wires, combined, convolve
from .values import Value
from .windows import as_before

NEVER = 1 << 62
MAX_SHIFT, WEIGHT_LIMIT, BIAS_LIMIT = 60, 1 << 31, 1 << 59
MAX_LEVELS = 1 << 16
# Roundings of quantizers, and how a shift says them.
ROUNDINGS = {"ROUND": "half_even", "FLOOR": "floor", "ROUND_TO_ZERO": "toward_zero", "CEIL": ""}


@dataclass(frozen=True)
class Line:
    """factor * v + term, each one number for all elements, or one for each channel."""

    factors: tuple[Fraction, ...]
    terms: tuple[Fraction, ...]


@dataclass(frozen=True)
class Limits:
    """v within [lo, hi]; None is no limit."""

    lo: Fraction | None
    hi: Fraction | None


@dataclass(frozen=True)
class Quantizer:
    """y = clamp(round(v / scale + zero_point), lo, hi)."""

    scale: Fraction
    zero_point: int
    lo: int
    hi: int
    rounding: str = "ROUND"


@dataclass(frozen=True)
class Scaled(Value):
    """The numbers scale * (q - zero_point) of integers q in [lo, hi]."""

    scale: Fraction
    zero_point: int
    lo: int
    hi: int

    @property
    def form(self) -> TensorFormat:
        return TensorFormat((1,), self.lo, self.hi, float(self.scale), self.zero_point)


@dataclass(frozen=True)
class Pending:
    """unit * acc, and then `after`. acc is a convolution over an image (height, width, channels) of integers less their zero point, or
    the sum of terms (integers and a weight) and a bias. `axis` is that of channels in the shape.
    """

    shape: tuple[int, ...]
    axis: int
    unit: Fraction
    source: TensorFormat
    kernel: Kernel | None = None
    pixels: Wires | None = None
    terms: tuple[tuple[Wires, int], ...] = ()
    bias: int = 0
    after: tuple[Line | Limits, ...] = ()

    @property
    def channels(self) -> int:
        return self.shape[self.axis]

    @property
    def differing(self) -> int:
        """How many functions there are: 1, or as many as channels."""
        return max([1, *(len(part) for f in self.after if isinstance(f, Line) for part in (f.factors, f.terms))])

    def then(self, function: Line | Limits) -> Pending:
        return replace(self, after=(*self.after, function))

    def of_channels(self, x: np.ndarray) -> tuple[Fraction, ...]:
        """The numbers of a constant that is added or multiplied: one, or one for each channel."""
        if x.size == 1:
            return (Fraction(float(x.item())),)
        shape = (1,) * (len(self.shape) - x.ndim) + x.shape
        if len(shape) != len(self.shape) or any(n != 1 for k, n in enumerate(shape) if k != self.axis):
            raise UnsupportedError(f"a constant of shape {x.shape} for {self.shape}, expected one number, or one for each channel")
        return tuple(Fraction(v) for v in x.ravel().astype(float).tolist())

    def layered(self, b: Builder, name: str, steps: tuple[Requantizer, ...], form: TensorFormat, kernel: Kernel | None = None) -> Wires:
        """The layer, with one step for all outputs or one for each channel."""
        if self.kernel is not None and self.pixels is not None:
            result = convolve(b, name, self.pixels, kernel or self.kernel, steps, self.source, form)
            return as_before(result, len(self.shape) - 2) if self.axis == 1 and len(self.shape) > 2 else result.reshape(*self.shape)
        if len(steps) == 1:
            return combined(b, name, self.terms, self.bias, steps[0], form)
        if any(wires.fixed.any() for wires, _ in self.terms):
            raise UnsupportedError("functions for each channel of tensors with constants, expected one function")
        columns = [np.moveaxis(wires.values, self.axis, -1) for wires, _ in self.terms]
        reads = np.stack([column.ravel() for column in columns], axis=1)
        made = b.sums(name, reads, [weight for _, weight in self.terms], self.bias, steps, form)
        return Wires.of_values(np.moveaxis(made.reshape(columns[0].shape), -1, self.axis))


def quantize(b: Builder, name: str, x: Pending, q: Quantizer) -> Wires:
    """The integers of a quantizer behind."""
    form = TensorFormat((1,), q.lo, q.hi, float(q.scale), q.zero_point)
    shifted = as_shift(x, q)
    if shifted is not None:
        return x.layered(b, name, *shifted[:1], form, shifted[1])
    if q.hi - q.lo > MAX_LEVELS:
        raise UnsupportedError(f"{q.hi - q.lo + 1} levels of a scale that is no power of two, expected at most {MAX_LEVELS}")
    found = [thresholds(x, q, channel) for channel in range(x.differing)]
    signs = [sign for sign, _ in found]
    steps = tuple(ThresholdRequantizer(q.lo, firsts) for _, firsts in found)
    if all(sign > 0 for sign in signs):
        return x.layered(b, name, steps, form)
    if x.kernel is None:
        if any(sign > 0 for sign in signs):
            raise UnsupportedError("functions of which some grow and some fall, expected one kind")
        turned = replace(x, terms=tuple((wires, -weight) for wires, weight in x.terms), bias=-x.bias)
        return turned.layered(b, name, steps, form)
    factors = np.resize(np.array(signs, np.int64), len(x.kernel.bias))
    kernel = replace(x.kernel, weights=x.kernel.weights * factors.reshape(-1, 1, 1, 1), bias=x.kernel.bias * factors)
    return x.layered(b, name, steps, form, kernel)


def thresholds(x: Pending, q: Quantizer, channel: int) -> tuple[int, tuple[int, ...]]:
    """The sign of acc with which outputs grow, and for each level above lo the smallest sign * acc that reaches it.

    A level is reached where sign * v is at least, or is more than, an edge; from the last function to the first, the edge is what the
    function must be given.
    """
    firsts, sign = [], 1
    for level in range(q.lo + 1, q.hi + 1):
        edge, strict = first_edge(level, q.rounding)
        edge, sign, known = (edge - q.zero_point) * q.scale, 1, None
        for function in reversed(x.after):
            if isinstance(function, Limits):
                low, high = (function.lo, function.hi) if sign > 0 else tuple(None if v is None else -v for v in (function.hi, function.lo))
                if low is not None and (edge < low or (edge == low and not strict)):
                    known = -NEVER
                elif high is not None and (edge > high or (edge == high and strict)):
                    known = NEVER
                if known is not None:
                    break
                continue
            factor, term = (part[channel % len(part)] for part in (function.factors, function.terms))
            if factor == 0:
                reached = sign * term > edge if strict else sign * term >= edge
                known = -NEVER if reached else NEVER
                break
            edge, sign = (edge - sign * term) / abs(factor), sign if factor > 0 else -sign
        edge /= x.unit
        first = math.floor(edge) + 1 if strict else math.ceil(edge)
        firsts.append(max(-NEVER, min(NEVER, first)) if known is None else known)
    return overall(x, channel), tuple(firsts)


def overall(x: Pending, channel: int) -> int:
    """Whether the functions grow (1) or fall (-1) with acc."""
    factors = [f.factors[channel % len(f.factors)] for f in x.after if isinstance(f, Line)]
    return -1 if sum(factor < 0 for factor in factors) % 2 else 1


def first_edge(level: int, rounding: str) -> tuple[Fraction, bool]:
    """Where a rounding reaches a level: from which number on, and whether that number itself is below."""
    if rounding == "ROUND":
        return Fraction(2 * level - 1, 2), level % 2 == 1
    if rounding == "FLOOR" or (rounding == "ROUND_TO_ZERO" and level > 0):
        return Fraction(level), False
    return Fraction(level - 1), True


def as_shift(x: Pending, q: Quantizer) -> tuple[tuple[Requantizer, ...], Kernel | None] | None:
    """The step as a shift, with factors in the weights, if all numbers are multiples of powers of two; else None."""
    lo, after = q.lo, x.after
    if after and after[-1] == Limits(Fraction(0), None) and q.lo <= q.zero_point <= q.hi:
        lo, after = q.zero_point, after[:-1]
    if any(isinstance(function, Limits) for function in after) or not ROUNDINGS[q.rounding]:
        return None
    count = len(x.kernel.bias) if x.kernel is not None else 1
    factors, terms = [x.unit] * count, [Fraction(0)] * count
    for function in after:
        if not isinstance(function, Line) or (x.kernel is None and max(len(function.factors), len(function.terms)) > 1):
            return None
        factors = [f * function.factors[i % len(function.factors)] for i, f in enumerate(factors)]
        terms = [t * function.factors[i % len(function.factors)] + function.terms[i % len(function.terms)] for i, t in enumerate(terms)]
    factors = [f / q.scale for f in factors]
    terms = [t / q.scale + q.zero_point for t in terms]
    shift = common_shift([*factors, *terms])
    if shift is None:
        return None
    step = (ShiftRequantizer(shift, ROUNDINGS[q.rounding], lo, q.hi),)
    multiples, biases = ([int(v * Fraction(2) ** shift) for v in part] for part in (factors, terms))
    if x.kernel is None:
        same = multiples[0] == 1 and biases[0] == 0
        return (step, None) if same else None
    return kernel_times(x.kernel, multiples, biases, step)


def common_shift(numbers: list[Fraction]) -> int | None:
    """The smallest shift that makes integers of all of them, which may be negative; None if there is none."""
    denominator = max(v.denominator for v in numbers)
    if denominator & (denominator - 1) or any(v.denominator & (v.denominator - 1) for v in numbers):
        return None
    shift = denominator.bit_length() - 1
    return shift if shift <= MAX_SHIFT else None


def kernel_times(
    kernel: Kernel, multiples: list[int], biases: list[int], step: tuple[Requantizer, ...]
) -> tuple[tuple[Requantizer, ...], Kernel] | None:
    """The kernel with factors and terms of each output in it, if they fit."""
    heaviest = np.abs(kernel.weights).reshape(len(multiples), -1).max(axis=1).tolist()
    bias = [int(v) * m + t for v, m, t in zip(kernel.bias.tolist(), multiples, biases, strict=True)]
    if any(w * abs(m) >= WEIGHT_LIMIT for w, m in zip(heaviest, multiples, strict=True)) or any(abs(v) >= BIAS_LIMIT for v in bias):
        return None
    weights = kernel.weights * np.array(multiples, np.int64).reshape(-1, 1, 1, 1)
    return step, replace(kernel, weights=weights, bias=np.array(bias, np.int64))


def raw(b: Builder, name: str, x: Pending) -> Scaled:
    """The sums themselves as integers of 32 bits."""
    if x.kernel is not None:
        largest = max(abs(x.source.lo - x.source.zero_point), abs(x.source.hi - x.source.zero_point))
        most = int((np.abs(x.kernel.weights).reshape(len(x.kernel.bias), -1).sum(axis=1) * largest + np.abs(x.kernel.bias)).max())
    else:
        ends = [(abs(weight), b.range_of(wires.values[~wires.fixed]) if not wires.fixed.all() else (0, 0)) for wires, weight in x.terms]
        fixed = [int(np.abs(wires.constants).max(initial=0)) for wires, _ in x.terms]
        most = abs(x.bias) + sum(w * max(abs(lo), abs(hi), c) for (w, (lo, hi)), c in zip(ends, fixed, strict=True))
    if most >= 1 << 31:
        raise UnsupportedError(f"sums that can reach {most} and are not quantized, expected less than 2**31")
    form = TensorFormat((1,), -most, most, float(x.unit))
    wires = x.layered(b, name, (ShiftRequantizer(0, "floor", -most, most),), form)
    return Scaled(wires, x.unit, 0, -most, most)


def square_root(x: Fraction, bits: int = 200) -> Fraction:
    """The root, exact where it is rational, else to so many bits."""
    product = x.numerator * x.denominator
    exact = math.isqrt(product)
    if exact * exact == product:
        return Fraction(exact, x.denominator)
    scale = 1 << bits
    return Fraction(math.isqrt(product * scale * scale), x.denominator * scale)
