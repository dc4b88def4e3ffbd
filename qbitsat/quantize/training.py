"""Quantization-aware training: a float model as its format computes it, in real numbers, with straight-through gradients.

All is exact in float64 while sums stay below 2**53 steps, so what is trained are the integers that are verified. `ops` is TensorFlow, or
numpy, which has functions of the same names and no gradients.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..errors import InputError, UnsupportedError, expect_kind
from ..network.float_network import FloatConvolution, FloatDense, FloatLayer, FloatNetwork, Reshape
from .fixed_point import limits_in
from .formats import FixedPoint, LayerFormat
from .lowering import is_rectifier
from .numbers import Fixed
from .prepare import prepared

# (weights, bias) of each layer that has some.
Parameters = Sequence[tuple[Any, Any]]


@dataclass(frozen=True)
class Trainable:
    """A model of dense layers, ReLU, ReLU-N and reshaping, and convolutions of one group, in a format whose fractional bits are all given.

    parameters are what to train, float64: of FloatDense weights (n_out, n_in), of FloatConvolution (n_out, kh, kw, channels), and biases.
    """

    model: FloatNetwork
    form: FixedPoint

    def __post_init__(self):
        expect_kind(self.model, FloatNetwork, "Trainable: model", "a FloatNetwork, as of load_float(path)")
        if not isinstance(self.form, FixedPoint):
            raise UnsupportedError(f"training in {getattr(self.form, 'name', self.form)!r}: expected a fixed-point format, as in paper:8,5")
        object.__setattr__(self, "model", prepared(self.model)[0])
        for layer in self.model.layers:
            if not isinstance(layer, FloatDense | FloatConvolution | Reshape) and not is_rectifier(layer):
                raise UnsupportedError(f"{layer.place}: training of a layer of kind {type(layer).__name__}")
            form = self.form.of(layer.name)
            if form.accumulator is not None or form.per_channel or getattr(layer, "groups", 1) > 1:
                raise UnsupportedError(f"{layer.place}: training with an accumulator, with channels of their own formats, or with groups")
            fixed = (form.weights, form.bias, form.output, form.rectified, self.form.input)
            if any(part is None or part.fraction is None for part in fixed):
                raise InputError(f"{layer.place}: training in {self.form.name}, expected a format with all fractional bits")

    @property
    def parameters(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Those of the model, to begin with."""
        return [(layer.weights, layer.bias) for layer in self.model.layers if isinstance(layer, FloatDense | FloatConvolution)]

    def apply(self, ops: Any, parameters: Parameters, x: Any) -> Any:
        """The output in real units, [n, *shape], for samples of the input on its grid, float64[n, *shape]."""
        values: dict[int, Any] = {-1: x}
        rest = list(parameters)
        for k, layer in enumerate(self.model.layers):
            reads = values[layer.reads[0]]
            if isinstance(layer, Reshape):
                values[k] = ops.reshape(reads, (-1, *layer.target))
            elif is_rectifier(layer):
                form = self.form.of(self.model.layers[layer.reads[0]].name)
                values[k] = self._rectified(ops, layer, form, reads)
            else:
                weights, bias = rest.pop(0)
                readers = [self.model.layers[i] for i in self.model.readers.get(k, ())]
                is_fused = len(readers) == 1 and is_rectifier(readers[0]) and not self.form.two_casts
                values[k] = self._sums(ops, layer, weights, bias, reads, is_fused)
        return values[self.model.outputs[0]]

    def _sums(self, ops: Any, layer: FloatLayer, weights: Any, bias: Any, x: Any, is_fused: bool) -> Any:
        """A layer's sums as numbers of its output's format."""
        form = self.form.of(layer.name)
        assert form.bias is not None
        kernel, output = fake(ops, weights, form.weights), form.rectified if is_fused else form.output
        is_dense = isinstance(layer, FloatDense)
        acc = ops.matmul(x, ops.transpose(kernel)) if is_dense else convolved(ops, layer, kernel, x)
        # A rectifier that is fused cuts what the wider format below would saturate.
        if not self.form.bias_after_shift:
            return fake(ops, acc + fake(ops, bias, form.bias), output)
        shifted = fake(ops, acc, replace(output, bits=32, signed=True, overflow="saturate"))
        return fake(ops, shifted + fake(ops, bias, form.bias.with_fraction(output.places)), output)

    def _rectified(self, ops: Any, layer: FloatLayer, form: LayerFormat, x: Any) -> Any:
        """Numbers within a rectifier's limits, and where it has a format of its own as numbers of that."""
        source = form.output if self.form.two_casts else form.rectified
        limits = limits_in(source, layer)
        assert limits is not None
        kept = ops.minimum(ops.maximum(x, limits[0] * source.step), limits[1] * source.step)
        return fake(ops, kept, form.rectified) if self.form.two_casts else kept

    def trained(self, parameters: Parameters) -> FloatNetwork:
        """The model with parameters, numpy arrays, each the number that its integer stands for: `quantize` takes it in the same format."""
        layers, rest = [], list(parameters)
        for layer in self.model.layers:
            if isinstance(layer, FloatDense | FloatConvolution):
                weights, bias = rest.pop(0)
                form = self.form.of(layer.name)
                assert form.bias is not None
                layer = replace(layer, weights=fake(np, weights, form.weights), bias=fake(np, bias, form.bias))
            layers.append(layer)
        return replace(self.model, layers=tuple(layers))


def fake(ops: Any, values: Any, fixed: Fixed) -> Any:
    """The numbers of a format that values become; the gradient passes the rounding, and stops where it saturates or wraps around."""
    hold = getattr(ops, "stop_gradient", lambda v: v)
    scaled = values * 2.0**fixed.places
    inside = ops.minimum(ops.maximum(scaled, float(fixed.lo)), float(fixed.hi))
    whole = overflowing(ops, nearest(ops, scaled, fixed.rounding), fixed)
    # The difference is exactly 0: it only carries the gradient.
    return (hold(whole) + (inside - hold(inside))) * fixed.step


def nearest(ops: Any, scaled: Any, rounding: str) -> Any:
    """Whole numbers near scaled ones, exactly; see `numbers.rounded`."""
    size, sign = ops.abs(scaled), ops.sign(scaled)
    low = ops.floor(size)
    rest = size - low
    one, none = ops.ones_like(size), ops.zeros_like(size)
    odd = ops.where(low - 2 * ops.floor(low / 2) > 0, one, none)
    tie, beyond = ops.where(rest == 0.5, one, none), ops.where(rest > 0.5, one, none)
    above, below = ops.where(scaled > 0, one, none), ops.where(scaled < 0, one, none)
    away = {
        "floor": ops.where(rest > 0, one, none) * below,
        "toward_zero": none,
        "half_up": beyond + tie * above,
        "half_down": beyond + tie * below,
        "half_away": beyond + tie,
        "half_zero": beyond,
        "half_even": beyond + tie * odd,
    }[rounding]
    return sign * (low + away)


def overflowing(ops: Any, whole: Any, fixed: Fixed) -> Any:
    lo, hi = float(fixed.lo), float(fixed.hi)
    if fixed.overflow == "wrap":
        size = 2.0**fixed.bits
        return whole - size * ops.floor((whole - lo) / size)
    inside = ops.minimum(ops.maximum(whole, lo), hi)
    return ops.where(inside == whole, inside, ops.zeros_like(inside)) if fixed.overflow == "zero" else inside


def convolved(ops: Any, layer: FloatLayer, kernel: Any, x: Any) -> Any:
    """The sums of a convolution of one group: one product for each place of its window."""
    assert isinstance(layer, FloatConvolution)
    height, width, _ = layer.shape(tuple(int(n) for n in x.shape[1:]))
    padded = ops.pad(x, ((0, 0), *layer.padding, (0, 0)))
    acc = 0.0
    for ky in range(layer.weights.shape[1]):
        for kx in range(layer.weights.shape[2]):
            y, left = ky * layer.dilation[0], kx * layer.dilation[1]
            rows = slice(y, y + (height - 1) * layer.strides[0] + 1, layer.strides[0])
            columns = slice(left, left + (width - 1) * layer.strides[1] + 1, layer.strides[1])
            acc = acc + ops.matmul(padded[:, rows, columns], ops.transpose(kernel[:, ky, kx]))
    return acc
