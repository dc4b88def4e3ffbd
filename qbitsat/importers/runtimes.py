"""How each runtime turns the scales of an operator into step functions: the one place that knows.

Scales are float32, as files hold them, and a runtime's own arithmetic with them (double or float32, in which order) is part of what it
computes: some multipliers differ in their last bit otherwise. What is said here was measured: tests hold it against the runtimes
themselves (tests/importers/test_runtimes.py).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import takewhile

import numpy as np

from ..arithmetic import (
    DivisionRequantizer,
    Float32Requantizer,
    Float64Requantizer,
    MultiplierRequantizer,
    Requantizer,
    ShiftRequantizer,
    TableRequantizer,
    ThresholdRequantizer,
    divide_pow2,
)
from ..errors import InputError, UnsupportedError, unknown

# Of each runtime the rounding of its operators: a form of `MultiplierRequantizer`; `float32` or `float64`, the requantizer of that name;
# `integers`, weights that are integers, and a shift.
#
#   tflm          TensorFlow Lite Micro's own kernels        tflite-ref   LiteRT, reference kernels (BUILTIN_REF)
#   tflite-opt    LiteRT without delegates                   xnnpack      LiteRT as it comes, on x86-64
#   cmsis-single  TFLM with CMSIS-NN, single rounding
OPERATORS = ("dense", "convolution", "multiply", "quantize", "add", "mean")
FORMS_OF = {
    # dense, convolution, multiply, quantize, add, mean
    "tflm": ("double", "double", "double", "double", "double", "double"),
    "tflite-ref": ("float64", "double", "double", "double", "double", "double"),
    "tflite-opt": ("half_up_twice", "half_up_twice", "double", "half_up_twice", "double", "double"),
    "xnnpack": ("float32", "float32", "float32", "integers", "integers", "float32"),
    "cmsis-single": ("half_up", "half_up", "half_up", "double", "half_up", "double"),
    "onnxruntime": ("float32", "float32", None, None, None, None),
    "onnxruntime-int8": ("float32", "float32", None, None, None, None),
    "onnxruntime-novnni": ("float32", "float32", None, None, None, None),
}
# Vector kernels take so many values at a time; what is left over at the end is rounded as the reference kernels do.
DEPTHWISE_BLOCK, QUANTIZE_BLOCK, ADD_BLOCK, SCALAR_BLOCK, MEAN_BLOCK = 8, 16, 16, 8, 16
RUNTIMES = tuple(FORMS_OF)
# Those that are TensorFlow Lite Micro.
MICRO = ("tflm", "cmsis-single")
# Those whose plain loops add products w (x - zero point) one by one, by ascending index (of a convolution row, column, channel), and the
# bias before them or after them, as their sources have it; other runtimes add in groups, side by side.
BIAS_FIRST, BIAS_LAST = ("cmsis-single",), ("tflm", "tflite-ref")
# The ends of activations; the last one is an operator of its own only.
ENDS = {"NONE": (None, None), "RELU": (0.0, None), "RELU6": (0.0, 6.0), "RELU_N1_TO_1": (-1.0, 1.0), "RELU_0_TO_1": (0.0, 1.0)}
ACTIVATIONS = tuple(ENDS)

f32 = np.float32


@dataclass(frozen=True)
class Quantization:
    """A quantized tensor's meaning: q stands for scale * (q - zero_point), a float32 scale; q is in [lo, hi]."""

    scale: float
    zero_point: int = 0
    lo: int = -128
    hi: int = 127

    def __post_init__(self):
        if not 0 < self.scale <= float(np.finfo(f32).max) or float(f32(self.scale)) != float(self.scale):
            raise InputError(f"quantization: scale is {self.scale!r}, expected a positive float32")

    def quantize(self, value: float, to_even: bool = False) -> int:
        """The integer of a real number, not clamped: division in float32, halves away from zero, or to even with the zero point added."""
        quotient = chain(value, 1, self.scale)
        if not abs(quotient) < 2.0**31:
            raise UnsupportedError(f"a scale of {self.scale!r}, in which {value} is no int32")
        if to_even:
            return int(np.rint(f32(quotient) + f32(self.zero_point)))
        return self.zero_point + int(math.copysign(math.floor(abs(quotient) + 0.5), quotient))

    def fused(self, activation: str, to_even: bool = False) -> Quantization:
        """With the range that an activation leaves, as TFLite computes it; see `quantize` for to_even."""
        if activation not in ACTIVATIONS:
            raise unknown("activation:", activation, ACTIVATIONS)
        lo, hi = ENDS[activation]
        low = self.lo if lo is None else max(self.lo, self.quantize(lo, to_even))
        high = self.hi if hi is None else min(self.hi, self.quantize(hi, to_even))
        return replace(self, lo=min(low, self.hi), hi=max(high, min(low, self.hi)))

    @property
    def values(self) -> np.ndarray:
        """All of them, int64[hi - lo + 1]."""
        return np.arange(self.lo, self.hi + 1)


@dataclass(frozen=True)
class Term:
    """One operand of a sum: weight * (q - zero_point) + sign * table(q), where the table reads q itself; None is 0."""

    weight: int
    zero_point: int
    table: TableRequantizer | None = None
    sign: int = 1

    def apply(self, q):
        """Its part of the accumulator: of a Python int or an int64 array."""
        rest = 0 if self.table is None else self.sign * self.table.apply(q)
        return self.weight * (q - self.zero_point) + rest


@dataclass(frozen=True)
class Sum:
    """ADD or SUB: y = requantizer(terms[0](a) + terms[1](b))."""

    terms: tuple[Term, Term]
    requantizer: Requantizer

    def apply(self, a, b):
        """y: of int64 arrays."""
        return self.requantizer.apply(self.terms[0].apply(a) + self.terms[1].apply(b))


def quantize_multiplier(scale: float) -> tuple[int, int]:
    """TFLite's QuantizeMultiplier: (multiplier, shift) of a double, scale ~ multiplier * 2**(shift - 31)."""
    if not 0 <= scale < 2.0**30:
        raise UnsupportedError(f"a scale of {scale!r} from accumulators to outputs, expected less than 2**30")
    fraction, shift = math.frexp(scale)
    multiplier = math.floor(fraction * 2**31 + 0.5)
    if multiplier == 1 << 31:
        multiplier, shift = multiplier >> 1, shift + 1
    return (0, 0) if shift < -31 else (multiplier, shift)


def by_multiplier(scale: float, form: str, out: Quantization) -> Requantizer:
    return MultiplierRequantizer(*quantize_multiplier(scale), form, out.lo, out.hi, out.zero_point)


def by_float32(scale: float, out: Quantization, bias: float | None = None) -> Requantizer:
    """With a bias the zero point is in it already."""
    tiny = float(np.finfo(f32).tiny)
    if not tiny <= scale < math.inf:
        raise UnsupportedError(f"a float32 scale of {float(scale)!r} from accumulators to outputs, expected at least {tiny!r}")
    return Float32Requantizer(float(scale), out.lo, out.hi, out.zero_point if bias is None else 0, float(bias or 0))


def by_float64(scale: float, out: Quantization) -> Requantizer:
    return Float64Requantizer(scale, out.lo, out.hi, out.zero_point)


def _blocks(steps: tuple[Requantizer, ...], rest: tuple[Requantizer, ...], block: int, count: int) -> tuple[Requantizer, ...]:
    """Of `count` values in a row those in whole blocks by `steps`, the last ones by `rest`; both have one entry, or one a value."""
    whole = count - count % block
    if whole == count:
        return steps
    return tuple((steps if i < whole else rest)[i % len(steps)] for i in range(count))


def _equal(pair: tuple[int, int]) -> bool:
    return pair[0] == pair[1]


def _first_is_one(pair: tuple[int, int]) -> bool:
    return pair[0] == 1


def _second_is_one(pair: tuple[int, int]) -> bool:
    return pair[1] == 1


def chain(s_a: float, s_b: float, s_out: float) -> float:
    """s_a * s_b / s_out in float32."""
    with np.errstate(over="ignore", under="ignore"):
        return float(f32(s_a) * f32(s_b) / f32(s_out))


@dataclass(frozen=True)
class Runtime:
    """The steps of one runtime. Scales `s_...` are float32 numbers; `out` says scale, zero point and range of the output."""

    name: str

    def __post_init__(self):
        if self.name not in RUNTIMES:
            raise unknown("runtime:", self.name, RUNTIMES)

    def form(self, operator: str) -> str:
        """How this runtime rounds an operator of OPERATORS."""
        form = FORMS_OF[self.name][OPERATORS.index(operator)]
        if form is None:
            raise UnsupportedError(f"{operator} in {self.name}")
        return form

    def fused(self, out: Quantization, activation: str, operator: str) -> Quantization:
        """The output of an operator with a fused activation. XNNPACK rounds ends to even, but leaves AVERAGE_POOL_2D to LiteRT."""
        return out.fused(activation, to_even=self.name == "xnnpack" and operator != "AVERAGE_POOL_2D")

    def dense(self, s_in: float, s_weights: Sequence[float], out: Quantization) -> tuple[Requantizer, ...]:
        """FULLY_CONNECTED, Gemm, MatMul: of acc = sum w (x - z) + b; one for each scale of the weights."""
        form = self.form("dense")
        if self.name == "tflite-opt" and len(s_weights) == 1:
            product = float(f32(s_in) * f32(s_weights[0]))
            return (by_multiplier(product / float(out.scale), form, out),)
        return self._affine(form, s_in, s_weights, out)

    def convolution(self, s_in: float, s_weights: Sequence[float], out: Quantization, groups: int = 1) -> tuple[Requantizer, ...]:
        """CONV_2D, Conv: of acc = sum w (x - z) + b; one for each scale of the weights. LiteRT leaves groups to its reference kernel."""
        form = "double" if groups > 1 and self.name == "tflite-opt" else self.form("convolution")
        return self._affine(form, s_in, s_weights, out)

    def depthwise(self, s_in: float, s_weights: Sequence[float], channels: int, out: Quantization) -> tuple[Requantizer, ...]:
        """DEPTHWISE_CONV_2D, and Conv of one group a channel: of acc = sum w (x - z) + b; one, or one for each of the output channels."""
        steps = self.convolution(s_in, s_weights, out)
        if self.name != "tflite-opt":
            return steps
        return _blocks(steps, self._affine("double", s_in, s_weights, out), DEPTHWISE_BLOCK, channels)

    def transposed(self, s_in: float, s_weights: Sequence[float], channels: int, out: Quantization) -> tuple[Requantizer, ...]:
        """TRANSPOSE_CONV: in vectors of channels as DEPTHWISE_CONV_2D; XNNPACK refuses large scales."""
        if self.form("convolution") == "float32":
            self._refuse_large("TRANSPOSE_CONV", max(chain(s_in, s, out.scale) for s in s_weights))
        return self.depthwise(s_in, s_weights, channels, out)

    def _affine(self, form: str, s_in: float, s_weights: Sequence[float], out: Quantization) -> tuple[Requantizer, ...]:
        """Products of scales in float32 where the step is, else in double."""
        if form == "float32":
            return tuple(by_float32(chain(s_in, s, out.scale), out) for s in s_weights)
        if form == "float64":
            return tuple(by_float64(float(s_in) * float(s) / float(out.scale), out) for s in s_weights)
        return tuple(by_multiplier(float(s_in) * float(s) / float(out.scale), form, out) for s in s_weights)

    def multiply(self, s_a: float, s_b: float, out: Quantization) -> Requantizer:
        """MUL: of acc = (a - z_a) (b - z_b)."""
        form, single = self.form("multiply"), chain(s_a, s_b, out.scale)
        if form == "float32":
            self._refuse_large("MUL", single)
            return by_float32(single, out) if single >= 2.0**-16 else by_multiplier(single, "double", out)
        exact = float(s_a) * float(s_b) / float(out.scale)
        self._refuse_wrapping("MUL", 255 * 255 * exact)
        return by_multiplier(single if self.name in ("tflite-ref", "tflite-opt") else exact, form, out)

    def _refuse_large(self, operator: str, ratio: float) -> None:
        """XNNPACK refuses extreme scales, or leaves them to LiteRT's own kernels, where results of large ones wrap around."""
        if not ratio < 2.0**8:
            raise UnsupportedError(f"{operator} in {self.name} with a scale of {ratio!r} from operands to outputs, expected less than 256")

    def _refuse_wrapping(self, operator: str, largest: float) -> None:
        """LiteRT's vector kernels add the zero point of elementwise results in 16 bits, where large ones wrap around."""
        if self.name == "tflite-opt" and not largest < 2.0**15 - 256:
            raise UnsupportedError(f"{operator} in {self.name} can reach {largest:g} steps of its output, expected less than 2**15 - 256")

    def quantize(self, s_in: float, size: int, out: Quantization) -> tuple[int, tuple[Requantizer, ...]]:
        """QUANTIZE from integers to integers: a weight, and what is to be done with acc = weight * (q - z); one, or one for each of the
        `size` elements.
        """
        form, scale = self.form("quantize"), float(s_in) / float(out.scale)
        if form == "integers" and not 2.0**-8 <= chain(s_in, 1, out.scale) <= 2.0**7:
            return replace(self, name="tflite-opt").quantize(s_in, size, out)
        if form == "integers":
            weight = int(np.rint(256 * chain(s_in, 1, out.scale)))
            return weight, (ShiftRequantizer(8, "half_up", out.lo, out.hi, offset=out.zero_point),)
        steps = (by_multiplier(scale, form, out),)
        if self.name != "tflite-opt":
            return 1, steps
        return 1, _blocks(steps, (by_multiplier(scale, "double", out),), QUANTIZE_BLOCK, size)

    def relu(self, x: Quantization, out: Quantization, activation: str) -> Requantizer:
        """RELU, RELU6, RELU_N1_TO_1 and RELU_0_TO_1 that stand alone: of q - z. TFLM's RELU6 clamps q where it is."""
        if self.name in MICRO and activation == "RELU6":
            fused = x.fused(activation)
            return ShiftRequantizer(0, "floor", fused.lo, fused.hi, offset=x.zero_point)
        in_double = self.name in MICRO
        scale = float(x.scale) / float(out.scale) if in_double else chain(x.scale, 1, out.scale)
        return by_multiplier(scale, "double", out.fused(activation))

    def average_pool(self, count: int, out: Quantization) -> Requantizer:
        """AVERAGE_POOL_2D over `count` cells, padding not counted: of the sum of q, whose quantization the output has."""
        return DivisionRequantizer(count, out.lo, out.hi)

    def mean(self, x: Quantization, count: int, out: Quantization) -> tuple[int, Requantizer]:
        """MEAN over `count` values: a constant, and what is to be done with acc = constant + sum of q."""
        if self.form("mean") == "float32":
            scale = f32(chain(x.scale, 1, out.scale)) * (f32(1) / f32(count))
            return 0, by_float32(float(scale), out, float(f32(out.zero_point) - f32(count * x.zero_point) * scale))
        multiplier, shift = quantize_multiplier(float(x.scale) / float(out.scale))
        left = min(count.bit_length() - 1, 32, 31 + shift)
        step = MultiplierRequantizer((multiplier << left) // count, shift - left, "double", out.lo, out.hi, out.zero_point)
        return -count * x.zero_point, step

    def sum(self, x: Quantization, count: int, out: Quantization) -> tuple[int, Requantizer]:
        """SUM of `count` values, as `mean`. LiteRT's own kernels round a float32, with halves away from 0, XNNPACK to even."""
        if self.name == "tflite-ref":
            raise UnsupportedError("SUM in tflite-ref, which gives something else than the sum; expected another runtime")
        if self.name in MICRO:
            return -count * x.zero_point, by_multiplier(float(x.scale) / float(out.scale), "double", out)
        scale = f32(chain(x.scale, 1, out.scale))
        if self.name == "xnnpack":
            return 0, by_float32(float(scale), out, float(f32(out.zero_point) - f32(count * x.zero_point) * scale))
        accs = count * x.lo, count * x.hi

        def levels(sums: np.ndarray) -> np.ndarray:
            reals = (sums.astype(f32) * scale + f32(-x.zero_point) * scale * f32(count)).astype(float)
            return np.copysign(np.floor(np.abs(reals) + 0.5), reals) + out.zero_point

        with np.errstate(over="ignore", invalid="ignore"):
            if not (np.abs(levels(np.array(accs)) - out.zero_point) < 2.0**31).all():
                raise UnsupportedError(f"SUM in {self.name} that reaches 2**31 steps of its output, which are no int32")
        return 0, ThresholdRequantizer.of(levels, (out.lo, out.hi), accs)

    def add(self, a: Quantization, b: Quantization, out: Quantization, sign: int = 1, operands: str = "") -> Sum:
        """ADD (sign 1) or SUB (sign -1) of two tensors; operands says how they are rounded where that is not as elsewhere: `add_blocks`."""
        form = self.form("add")
        if form == "integers":
            ratios = [chain(t.scale, 1, out.scale) for t in (a, b)]
            self._refuse_large("ADD", max(ratios))
            if self.adding(a, b, out) != self:
                return self.adding(a, b, out).add(a, b, out, sign, operands)
            shift = 21 - math.frexp(max(ratios))[1]
            weights = [int(np.rint(ratio * 2.0**shift)) for ratio in ratios]
            terms = (Term(weights[0], a.zero_point), Term(sign * weights[1], b.zero_point))
            return Sum(terms, ShiftRequantizer(shift, "half_up", out.lo, out.hi, offset=out.zero_point))
        twice = 2.0 * max(float(a.scale), float(b.scale))
        self._refuse_wrapping("ADD", 255 * twice / float(out.scale))
        terms = (self._term(operands or form, a, twice, 1), self._term(operands or form, b, twice, sign))
        scale = twice / (2.0**20 * float(out.scale))
        if quantize_multiplier(scale)[1] > 0:
            raise UnsupportedError(f"ADD in {self.name} with an output of so small a scale, {float(out.scale):g}, that it stops")
        return Sum(terms, by_multiplier(scale, form, out))

    def _term(self, form: str, x: Quantization, twice: float, sign: int) -> Term:
        """What (q - z) * 2**20 becomes at scale `twice`: its least slope, and a table of what is beyond; the table never decreases."""
        multiplier, shift = quantize_multiplier(float(x.scale) / twice)
        wide = (x.values - x.zero_point) << 20
        if form == "floor":
            values = divide_pow2((wide * multiplier + (1 << 30)) >> 31, -shift, "floor")
        else:
            values = MultiplierRequantizer(multiplier, shift, form, -(1 << 30), 1 << 30).apply(wide)
        slope = int(np.diff(values).min(initial=1 << 20)) if len(values) > 1 else 0
        rest = values - slope * (x.values - x.zero_point)
        table = TableRequantizer(x.lo, tuple(rest.tolist())) if rest.any() else None
        return Term(sign * slope, x.zero_point, table, sign)

    def adding(self, a: Quantization, b: Quantization, out: Quantization) -> Runtime:
        """Whose ADD and SUB it is: XNNPACK leaves small ratios of scales to LiteRT."""
        small = min(chain(t.scale, 1, out.scale) for t in (a, b)) < 2.0**-10
        return replace(self, name="tflite-opt") if self.name == "xnnpack" and small else self

    def add_blocks(self, a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, int, str]:
        """Of ADD of tensors with these shapes (run, block, operands): of each run of so many elements, those in whole blocks have their
        operands rounded in that way, as in the vectors of LiteRT's own kernels; operands "" where all are as elsewhere.

        A run is what both have, or else what meets a single element of the other (ProcessBroadcastShapes).
        """
        rank = max(len(a), len(b))
        pairs = [*zip((1,) * (rank - len(a)) + a, (1,) * (rank - len(b)) + b, strict=True)][::-1]
        once = next((n == 1 for n, m in pairs if n != m), False)
        pairs = [pair if once else pair[::-1] for pair in pairs]
        runs = []
        for same in (_equal, _first_is_one, _equal, _second_is_one, _equal):
            run = list(takewhile(same, pairs))
            pairs = pairs[len(run) :]
            runs.append(math.prod(max(pair) for pair in run))
        if self.name != "tflite-opt" or pairs:
            return 1, 1, ""
        return (runs[0], ADD_BLOCK, "half_up") if runs[0] > 1 else (runs[1], SCALAR_BLOCK, "floor")

    def mean_of_image(self, x: Quantization, count: int, channels: int, out: Quantization) -> tuple[Requantizer, ...]:
        """MEAN over height and width of an image that keeps its axes, in LiteRT's optimized kernels: of the sum of q, for each channel."""
        ratio = float(f32(f32(x.zero_point) * f32(x.scale)) / f32(out.scale))
        bias = out.zero_point - int(math.copysign(math.floor(abs(ratio) + 0.5), ratio))
        scale = float(f32(x.scale) / (f32(count) * f32(out.scale)))
        shifted = replace(out, zero_point=bias)
        return _blocks((by_multiplier(scale, "half_up_twice", shifted),), (by_multiplier(scale, "double", shifted),), MEAN_BLOCK, channels)
