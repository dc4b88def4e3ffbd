"""Quantization-aware training: a float model as its format computes it, in real numbers, with straight-through gradients.

All is exact in float64 while sums stay below 2**53 steps, so what is trained are the integers that are verified. `ops` is TensorFlow, or
numpy, which has functions of the same names and no gradients.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..errors import InputError, UnsupportedError, expect_kind
from ..network.float_network import Add, FloatConvolution, FloatDense, FloatLayer, FloatNetwork, GlobalPool, Pool, Reshape
from .fixed_point import limits_in
from .formats import FixedPoint, LayerFormat, parse_format
from .lowering import is_rectifier, limits_of
from .numbers import Fixed
from .prepare import prepared

# (weights, bias) of each layer that has some.
Parameters = Sequence[tuple[Any, Any]]
# Less than its negative is no number of a format.
LARGEST = 2.0**80


@dataclass(frozen=True)
class Trainable:
    """A model of dense layers, convolutions, sums, pools, ReLU, ReLU-N and reshaping, in a format whose fractional bits are all given.
    form is that format, or its name.

    parameters are what to train, float64: of FloatDense weights (n_out, n_in), of FloatConvolution (n_out, kh, kw, channels / groups), and
    biases. Raises `UnsupportedError` for other layers and formats, such as int8, and for averages and global pools of ap_fixed.
    """

    model: FloatNetwork
    form: FixedPoint | str

    def __post_init__(self):
        expect_kind(self.model, FloatNetwork, "Trainable: model", "a FloatNetwork, as of load_float(path)")
        if isinstance(self.form, str):
            object.__setattr__(self, "form", parse_format(self.form))
        if not isinstance(self.form, FixedPoint):
            raise UnsupportedError(f"training in {getattr(self.form, 'name', self.form)!r}: expected a fixed-point format, as in paper:8,5")
        object.__setattr__(self, "model", prepared(self.model)[0])
        for layer in self.model.layers:
            self._check(layer)

    @property
    def _form(self) -> FixedPoint:
        assert isinstance(self.form, FixedPoint)
        return self.form

    def _check(self, layer: FloatLayer) -> None:
        """Raise for what is not trained."""
        hls_pool = self._form.hls and (isinstance(layer, GlobalPool) or (isinstance(layer, Pool) and layer.kind == "average"))
        if not isinstance(layer, FloatDense | FloatConvolution | Add | Pool | GlobalPool | Reshape) and not is_rectifier(layer):
            raise UnsupportedError(f"{layer.place}: training of a layer of kind {type(layer).__name__}")
        if hls_pool:
            raise UnsupportedError(f"{layer.place}: training of a pool of ap_fixed that has a type of its own, or an average")
        form = self._form.of(layer.name)
        if form.accumulator is not None or form.exact:
            raise UnsupportedError(f"{layer.place}: training with an accumulator, or with exact sums")
        fixed = (form.weights, form.bias, form.output, form.rectified, self._form.input)
        if any(part is None or part.fraction is None for part in fixed):
            raise InputError(f"{layer.place}: training in {self._form.name}, expected a format with all fractional bits")

    @property
    def parameters(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Those of the model, to begin with."""
        return [(layer.weights, layer.bias) for layer in self.model.layers if isinstance(layer, FloatDense | FloatConvolution)]

    def apply(self, ops: Any, parameters: Parameters, x: Any) -> Any:
        """The output in real units, [n, *shape], for samples of the input on its grid, float64[n, *shape]."""
        # Of each tensor its numbers, and the format that they are of.
        values: dict[int, tuple[Any, Fixed]] = {-1: (x, self._form.input)}
        rest = list(parameters)
        for k, layer in enumerate(self.model.layers):
            if k in values:
                continue
            reads = [values[i] for i in layer.reads]
            (first, source) = reads[0]
            if isinstance(layer, FloatDense | FloatConvolution | Add):
                end = self._end(k)
                values[end] = self._sums(ops, layer, rest.pop(0) if not isinstance(layer, Add) else None, [v for v, _ in reads], end)
            elif isinstance(layer, Pool | GlobalPool):
                values[k] = pooled(ops, layer, first, source, self._form.of(layer.name).rectified.rounding), source
            elif isinstance(layer, Reshape):
                values[k] = ops.reshape(first, (-1, *layer.target)), source
            else:
                output = self._output(self._form.of(layer.name), layer)
                values[k] = fake(ops, clamped(ops, first, source, layer), output), output
        return values[self.model.outputs[0]][0]

    def _end(self, k: int) -> int:
        """The tensor that the sums of layer k become: that of a rectifier which alone reads them."""
        readers = self.model.readers.get(k, ())
        fused = len(readers) == 1 and k not in self.model.outputs and is_rectifier(self.model.layers[readers[0]])
        return readers[0] if fused else k

    def _output(self, form: LayerFormat, layer: FloatLayer) -> Fixed:
        """What a layer's numbers are of; rectified ones where none is negative."""
        return form.rectified if is_rectifier(layer) and limits_of(layer)[0] >= 0 else form.output

    def _sums(self, ops: Any, layer: FloatLayer, own: tuple[Any, Any] | None, reads: list[Any], end: int) -> tuple[Any, Fixed]:
        """A layer's sums as numbers of a format, rectified where that is fused; own are its weights and bias."""
        form, after = self._form.of(layer.name), self.model.layers[end]
        output = self._output(form, after)
        through = form.output if self._form.two_casts else output
        if own is None:
            y = fake(ops, sum(reads[1:], reads[0]), through)
        else:
            kernel, (x,) = fake(ops, own[0], form.weights), reads
            acc = ops.matmul(x, ops.transpose(kernel)) if isinstance(layer, FloatDense) else convolved(ops, layer, kernel, x)
            assert form.bias is not None
            bias = form.bias
            if self._form.bias_after_shift:
                # What is shifted has room for all that the format saturates.
                acc = fake(ops, acc, replace(through, bits=32, signed=True, overflow="saturate"))
                bias = bias.with_fraction(output.places)
            y = fake(ops, acc + fake(ops, own[1], bias), through)
        if end != self.model.layers.index(layer):
            y = clamped(ops, y, through, after)
        return (y if through == output else fake(ops, y, output)), output

    def trained(self, parameters: Parameters) -> FloatNetwork:
        """The model with parameters, numpy arrays, each the number that its integer stands for: `quantize` takes it in the same format."""
        layers, rest = [], list(parameters)
        for layer in self.model.layers:
            if isinstance(layer, FloatDense | FloatConvolution):
                weights, bias = rest.pop(0)
                form = self._form.of(layer.name)
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


def clamped(ops: Any, x: Any, source: Fixed, rectifier: FloatLayer) -> Any:
    """Numbers of a format within a rectifier's limits."""
    limits = limits_in(source, rectifier)
    assert limits is not None
    return ops.minimum(ops.maximum(x, limits[0] * source.step), limits[1] * source.step)


def windows_of(
    x: Any, window: tuple[int, int], layer: FloatConvolution | Pool, dilation: tuple[int, int]
) -> Iterator[tuple[int, int, Any]]:
    """What each place of a window sees of a padded batch [n, h, w, channels]."""
    height, width = ((size - (n - 1) * d - 1) // s + 1 for size, n, d, s in zip(x.shape[1:3], window, dilation, layer.strides, strict=True))
    for ky in range(window[0]):
        for kx in range(window[1]):
            y, left = ky * dilation[0], kx * dilation[1]
            rows = slice(y, y + (height - 1) * layer.strides[0] + 1, layer.strides[0])
            columns = slice(left, left + (width - 1) * layer.strides[1] + 1, layer.strides[1])
            yield ky, kx, x[:, rows, columns]


def convolved(ops: Any, layer: FloatLayer, kernel: Any, x: Any) -> Any:
    """The sums of a convolution: one product for each place of its window, of groups with weights of 0 between them."""
    assert isinstance(layer, FloatConvolution)
    n_out, kh, kw, depth = layer.weights.shape
    if layer.groups > 1:
        group = np.arange(n_out) // (n_out // layer.groups)
        inside = (group[:, None] == np.arange(layer.groups * depth) // depth).astype(np.float64)
        kernel = ops.tile(kernel, (1, 1, 1, layer.groups)) * inside[:, None, None]
    padded = ops.pad(x, ((0, 0), *layer.padding, (0, 0)))
    return sum(ops.matmul(part, ops.transpose(kernel[:, ky, kx])) for ky, kx, part in windows_of(padded, (kh, kw), layer, layer.dilation))


def pooled(ops: Any, layer: FloatLayer, x: Any, source: Fixed, rounding: str) -> Any:
    """The largest of windows, or their averages as numbers of the same format; those round as `FixedPointLowering.average`."""
    height, width, channels = (int(n) for n in x.shape[1:])
    is_global = isinstance(layer, GlobalPool)
    pool = Pool(layer.name, layer.reads, layer.kind, (height, width)) if isinstance(layer, GlobalPool) else layer
    assert isinstance(pool, Pool)
    is_max = pool.kind == "max"
    padded = ops.pad(x, ((0, 0), *pool.padding, (0, 0)), constant_values=-LARGEST if is_max else 0.0)
    parts = [part for _, _, part in windows_of(padded, pool.window, pool, (1, 1))]
    y = parts[0]
    for part in parts[1:]:
        y = ops.maximum(y, part) if is_max else y + part
    if not is_max:
        y = averaged(ops, y, pool.counts((height, width, channels)), source, rounding)
    return ops.reshape(y, (-1, channels)) if is_global else y


def averaged(ops: Any, sums: Any, counts: np.ndarray, source: Fixed, rounding: str) -> Any:
    """Sums by their counts, rounded in steps; the gradient passes."""
    hold = getattr(ops, "stop_gradient", lambda v: v)
    exact = sums / counts.astype(np.float64)
    shifts = (counts & (counts - 1)) == 0
    if rounding in ("half_down", "half_zero"):
        shifts = np.zeros_like(shifts)
    ways = [nearest(ops, exact * 2.0**source.places, way) for way in (rounding, "half_away")]
    whole = ops.where(np.broadcast_to(shifts, sums.shape[1:]), *ways)
    return hold(whole * source.step) + (exact - hold(exact))
