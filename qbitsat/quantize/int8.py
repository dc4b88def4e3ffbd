"""A float model in affine int8, as TensorFlow Lite's converter does it: q stands for scale * (q - zero_point).

Activations: the range that was seen, with 0 in it, in 255 steps. Weights: symmetric in [-127, 127], a scale for each output channel or for
all. Biases: int32 at the scale of the sums, which is coarser where a bias would take more than half of that. Pools, joins and moves keep
scale and zero point. What is computed with them is the runtime's
(importers/runtimes.py), as for the same operators in a file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..arithmetic import Requantizer, TableRequantizer
from ..errors import InputError, UnsupportedError
from ..importers import tables
from ..importers.assembly import Term, Wires, combined, convolve, once
from ..importers.runtimes import Quantization, Runtime
from ..network import TensorFormat
from ..network.float_network import Activation, Add, Clip, Concat, FloatConvolution, FloatDense, FloatLayer, FloatNetwork, GlobalPool, Pool
from .calibration import Method, Observed
from .formats import Int8
from .losses import Loss
from .lowering import Lowering, Tensor, image_of, is_rectifier, kernel_of, limits_of, loss_of
from .numbers import rounded

MOST = 127
# Half of an int32.
MOST_BIAS = 1 << 30
f32 = np.float32


class Int8Lowering(Lowering):
    def __init__(self, model: FloatNetwork, seen: dict[int, Observed] | None, method: Method, form: Int8, shape: tuple[int, ...] | None):
        super().__init__(model, seen, method, shape)
        if seen is None:
            raise InputError("int8: scales come from calibration data, expected some (--calibration FILE)")
        self.ranges, self.form, self.runtime = seen, form, Runtime(form.runtime)

    def of(self, k: int) -> Quantization:
        """Scale and zero point of tensor k, from what was seen; sigmoid and tanh have their own."""
        layer = self.model.layers[k] if k >= 0 else None
        if isinstance(layer, Activation) and layer.kind in ("sigmoid", "tanh"):
            return Quantization(*tables.FIXED[TABLES[layer.kind]])
        # The scale of nothing is 1.
        self.says_nothing(k, self.ranges[k])
        return quantization(*self.ranges[k].ends(self.method))

    def input(self) -> Tensor:
        return self.enter(format_of(self.of(-1), self.shape))

    # --- sums ---

    def affine(self, k: int, layer: FloatDense | FloatConvolution, x: Tensor) -> Tensor:
        end = self.place_now(k)
        out = self.rectified(end, "FULLY_CONNECTED" if isinstance(layer, FloatDense) else "CONV_2D")
        weights, scales = self.weights(layer, float(x.form.scale))
        biases = rounded(layer.bias / (float(x.form.scale) * np.resize(np.array(scales), len(weights))), "half_away")
        steps = self.steps(layer, x, scales, out)
        kernel = kernel_of(layer, weights, biases.astype(np.int64))
        wires = convolve(self.b, layer.name, image_of(layer, x.wires), kernel, steps, x.form, format_of(out))
        loss = loss_of(layer.weights, weights, 0, layer.bias, biases, 0)
        tensor = Tensor(wires.reshape(*self.model.shapes[end]), format_of(out))
        self.report(end, layer.name, out, loss)
        return tensor

    def weights(self, layer: FloatDense | FloatConvolution, s_in: float) -> tuple[np.ndarray, list[float]]:
        """Integers of the same shape, and their scales: one, or one for each output; sums have scale s_in times that."""
        rows = layer.weights.reshape(len(layer.weights), -1)
        needed = np.maximum(np.abs(rows).max(axis=1) / MOST, np.abs(layer.bias) / (s_in * MOST_BIAS))
        largest = needed if self.form.per_channel else needed.max(keepdims=True)
        scales = [float(f32(most)) if f32(most) > 0 else 1.0 for most in largest.tolist()]
        integers = rounded(rows / np.array(scales)[:, None], "half_away")
        return np.clip(integers, -MOST, MOST).astype(np.int64).reshape(layer.weights.shape), scales

    def steps(self, layer: FloatDense | FloatConvolution, x: Tensor, scales: Sequence[float], out: Quantization) -> tuple[Requantizer, ...]:
        scale = float(x.form.scale)
        if isinstance(layer, FloatDense):
            return self.runtime.dense(scale, scales, out)
        n_out, _, _, depth = layer.weights.shape
        if layer.groups > 1 and depth == 1:
            return self.runtime.depthwise(scale, scales, n_out, out)
        return self.runtime.convolution(scale, scales, out, layer.groups)

    def add(self, k: int, layer: Add, *reads: Tensor) -> Tensor:
        """Sums of two; of more one after the other, all but the last with the range of what was seen at the end."""
        end = self.place_now(k)
        out = self.rectified(end, "ADD")
        first, *rest = reads
        for i, other in enumerate(rest):
            form = out if i == len(rest) - 1 else replace(out, lo=-128, hi=127)
            name = layer.name if len(rest) == 1 else f"{layer.name}.{i}"
            first = Tensor(self.sum_of_two(name, first, other, form), format_of(form))
        self.report(end, layer.name, out)
        return Tensor(first.wires.reshape(*self.model.shapes[end]), first.form)

    def sum_of_two(self, name: str, a: Tensor, c: Tensor, out: Quantization) -> Wires:
        meanings = meaning_of(a.form), meaning_of(c.form)
        if self.runtime.name == "tflite-opt":
            raise UnsupportedError("ADD in tflite-opt, whose vectors round in a way of their own; expected another runtime")
        total = self.runtime.add(*meanings, out)
        terms: list[Term] = []
        bias = 0
        for letter, tensor, term in zip("ab", (a, c), total.terms, strict=True):
            wires = tensor.wires.map(np.ravel)
            terms.append((wires, term.weight))
            bias -= term.weight * term.zero_point
            if term.table is not None:
                terms.append((once(self.b, f"{name}.{letter}", wires, 1, 0, term.table), term.sign))
        return combined(self.b, name, terms, bias, total.requantizer, format_of(out))

    # --- other layers ---

    def activation(self, k: int, layer: Activation | Clip, x: Tensor) -> Tensor:
        meaning = meaning_of(x.form)
        if is_rectifier(layer):
            out = self.rectified(k, "RELU")
            step = replace_range(self.runtime.relu(meaning, self.of(k), "NONE"), out)
            wires = once(self.b, layer.name, x.wires, 1, -meaning.zero_point, step, format_of(out))
        else:
            assert isinstance(layer, Activation)
            out = self.of(k)
            values = tables.table(TABLES[layer.kind], self.runtime.name, meaning, out, layer.alpha)
            values = np.maximum.accumulate(values) if layer.kind == "leaky_relu" else values
            if (np.diff(values) < 0).any():
                raise UnsupportedError(f"{layer.kind} that decreases in {self.runtime.name}")
            wires = once(self.b, layer.name, x.wires, 1, 0, TableRequantizer(meaning.lo, tuple(values.tolist())), format_of(out))
        self.report(k, layer.name, out)
        return Tensor(wires, format_of(out))

    def pool(self, k: int, layer: Pool | GlobalPool, x: Tensor) -> Tensor:
        if not isinstance(layer, GlobalPool) or layer.kind == "max":
            return super().pool(k, layer, x)
        # MEAN has a scale of its own.
        out, (height, width, channels) = self.of(k), x.wires.shape
        bias, step = self.runtime.mean(meaning_of(x.form), height * width, out)
        kernel = self.kernel_of_sums(Pool(layer.name, layer.reads, "average", (height, width)), channels)
        kernel = replace(kernel, bias=np.full(channels, bias, np.int64))
        wires = convolve(self.b, layer.name, x.wires, kernel, (step,), replace(x.form, zero_point=0), format_of(out))
        self.report(k, layer.name, out)
        return Tensor(wires.reshape(*self.model.shapes[k]), format_of(out))

    def average(self, layer: Pool, x: Tensor) -> Wires:
        """Of raw integers inside the image, each position by its own count."""
        if layer.count_padding and any(map(any, layer.padding)):
            raise UnsupportedError("an average that counts padding, which TensorFlow Lite does not have")
        counts = layer.counts(x.wires.shape).ravel().tolist()
        steps = {n: self.runtime.average_pool(n, meaning_of(x.form)) for n in set(counts)}
        channels = x.wires.shape[2]
        chosen = (steps[counts[0]],) if len(steps) == 1 else tuple(steps[n] for n in counts for _ in range(channels))
        return convolve(self.b, layer.name, x.wires, self.kernel_of_sums(layer, channels), chosen, replace(x.form, zero_point=0), x.form)

    def alike(self, k: int, layer: Concat, reads: tuple[Tensor, ...]) -> list[Tensor]:
        """QUANTIZE where scales differ."""
        meanings = [meaning_of(t.form) for t in reads]
        if len({(m.scale, m.zero_point) for m in meanings}) == 1:
            return [replace(t, form=replace(t.form, lo=-128, hi=127)) for t in reads]
        out, parts = self.of(k), []
        for i, (t, m) in enumerate(zip(reads, meanings, strict=True)):
            weight, steps = self.runtime.quantize(m.scale, t.wires.size, out)
            wires = t.wires.map(np.ravel)
            made = combined(self.b, f"{layer.name}.{i}", [(wires, weight)], -weight * m.zero_point, steps, format_of(out))
            parts.append(Tensor(made.reshape(*t.wires.shape), format_of(out)))
        return parts

    # --- formats ---

    def rectified(self, end: int, operator: str) -> Quantization:
        """Scale and zero point of tensor `end` with the range that its rectifier leaves."""
        out, layer = self.of(end), self.model.layers[end]
        return clamped(out, layer, self.runtime.name == "xnnpack") if is_rectifier(layer) else out

    def report(self, k: int, name: str, out: Quantization, loss: Loss | None = None) -> None:
        self.note(k, name, f"int8, scale {out.scale:.6g}, zero point {out.zero_point}", out.scale, loss)


TABLES = {"sigmoid": "LOGISTIC", "tanh": "TANH", "leaky_relu": "LEAKY_RELU"}


def clamped(out: Quantization, layer: FloatLayer, to_even: bool) -> Quantization:
    """The range that a rectifier leaves: RELU and RELU6 as runtimes compute it, and any other end in the same way."""
    lo, hi = limits_of(layer)
    low = out.lo if lo == -np.inf else min(max(out.lo, out.quantize(lo, to_even)), out.hi)
    return replace(out, lo=low, hi=out.hi if hi == np.inf else max(min(out.hi, out.quantize(hi, to_even)), low))


def replace_range(step: Requantizer, out: Quantization) -> Requantizer:
    return replace(step, lo=out.lo, hi=out.hi)  # type: ignore[type-var]


def quantization(lo: float, hi: float) -> Quantization:
    """Scale and zero point of a range, as the converter chooses them: 0 is an integer, on the side where that costs less."""
    lo, hi = min(lo, 0.0), max(hi, 0.0)
    step = (hi - lo) / 255
    if not f32(step) > 0 or not np.isfinite(f32(step)):
        return Quantization(1.0 if hi == lo else float(np.finfo(f32).tiny), 0)
    from_lo, from_hi = -128 - lo / step, 127 - hi / step
    point = from_lo if 128 + abs(lo / step) < 127 + abs(hi / step) else from_hi
    zero_point = int(np.clip(rounded(np.array(point), "half_away"), -128, 127))
    return Quantization(float(f32(step)), zero_point)


def format_of(q: Quantization, shape: tuple[int, ...] = (1,)) -> TensorFormat:
    return TensorFormat(shape, q.lo, q.hi, float(q.scale), q.zero_point)


def meaning_of(form: TensorFormat) -> Quantization:
    """As operators read it: all of int8."""
    return Quantization(form.scale, form.zero_point)
