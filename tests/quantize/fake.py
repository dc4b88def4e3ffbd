"""Fixed point as it is meant: numbers are fractions, and each becomes the nearest that its format has. Nothing of
`qbitsat.quantize` is used but the formats themselves.
"""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np

from qbitsat.network.float_network import (
    Activation,
    Add,
    Concat,
    FloatConvolution,
    FloatDense,
    FloatNetwork,
    GlobalPool,
    Pad,
    Pool,
    Reshape,
)

HALF = Fraction(1, 2)


def whole(v: Fraction, rounding: str) -> int:
    """The integer that v is rounded to."""
    low, high = math.floor(v), math.ceil(v)
    if rounding == "floor":
        return low
    if rounding == "toward_zero":
        return int(v)
    if v - low != HALF:
        return low if v - low < HALF else high
    return {
        "half_up": high,
        "half_down": low,
        "half_even": low if low % 2 == 0 else high,
        "half_away": high if v > 0 else low,
        "half_zero": low if v > 0 else high,
    }[rounding]


def fitted(q: int, fixed) -> int:
    """q after overflow."""
    size = 1 << fixed.bits
    lo = -(size >> 1) if fixed.signed else 0
    hi = lo + size - 1
    if fixed.overflow == "wrap":
        return (q - lo) % size + lo
    if fixed.overflow == "zero":
        return q if lo <= q <= hi else 0
    return min(max(q, lo + (fixed.overflow == "symmetric" and fixed.signed)), hi)


def number(v, fixed) -> Fraction:
    """The number of a format that v becomes."""
    unit = Fraction(2) ** fixed.fraction
    return fitted(whole(Fraction(v) * unit, fixed.rounding), fixed) / unit


def arrays(values: np.ndarray, function) -> np.ndarray:
    """function of each element, as an array of objects."""
    return np.array([function(v) for v in values.ravel().tolist()], object).reshape(values.shape)


def run(model: FloatNetwork, form, x: np.ndarray) -> list[np.ndarray]:
    """All tensors for one sample of fractions: an activation is one with the layer before where that has no other reader."""
    tensors: dict[int, np.ndarray] = {-1: x}
    fused: dict[int, int] = {}
    for k, layer in enumerate(model.layers):
        own = form.of(layer.name)
        reads = [tensors[i] for i in layer.reads]
        if isinstance(layer, FloatDense | FloatConvolution | Add):
            tensors[k] = sums(layer, own, form, reads)
            readers = model.readers.get(k, ())
            after = model.layers[readers[0]] if len(readers) == 1 else None
            if isinstance(after, Activation) and after.kind in ("relu", "relu_n") and not form.two_casts:
                fused[readers[0]] = k
            else:
                tensors[k] = cast(tensors[k], own.output)
        elif isinstance(layer, Activation):
            own = form.of(model.layers[fused[k]].name) if k in fused else own
            if k in fused:
                tensors[k] = activation(layer, cast(reads[0], own.rectified), own.rectified)
            else:
                tensors[k] = cast(activation(layer, reads[0], own.output), own.rectified)
        else:
            tensors[k] = moved(layer, reads, own)
    return [tensors[k] for k in range(len(model.layers))]


def cast(sums, fixed):
    """Sums with what is added after the rounding."""
    if isinstance(sums, tuple):
        acc, bias = sums
        unit = Fraction(2) ** fixed.fraction
        pairs = zip(acc.ravel(), bias.ravel(), strict=True)
        parts = [fitted(whole(a * unit, fixed.rounding) + int(b * unit), fixed) / unit for a, b in pairs]
        return np.array(parts, object).reshape(acc.shape)
    return arrays(sums, lambda v: number(v, fixed))


def sums(layer, own, form, reads):
    if isinstance(layer, Add):
        return sum(reads[1:], reads[0])
    weights, bias = (arrays(v, lambda w, f=f: number(w, f)) for v, f in ((layer.weights, own.weights), (layer.bias, own.bias)))
    acc = reads[0] @ weights.T if isinstance(layer, FloatDense) else convolved(layer, weights, reads[0])
    if form.bias_after_shift:
        return acc, np.broadcast_to(bias, acc.shape)
    acc = acc + bias
    return acc if own.accumulator is None else arrays(acc, lambda v: number(v, own.accumulator))


def convolved(layer, weights, x):
    padded = np.pad(x, (*layer.padding, (0, 0)), constant_values=Fraction(0))
    n_out, kh, kw, depth = weights.shape
    height, width, _ = layer.shape(x.shape)
    y = np.full((height, width, n_out), Fraction(0), object)
    for i in range(height):
        for j in range(width):
            for o in range(n_out):
                first = o // (n_out // layer.groups) * depth
                rows = slice(i * layer.strides[0], i * layer.strides[0] + kh)
                columns = slice(j * layer.strides[1], j * layer.strides[1] + kw)
                y[i, j, o] = (padded[rows, columns, first : first + depth] * weights[o]).sum()
    return y


def activation(layer, values, fixed):
    if layer.kind == "relu":
        return np.maximum(values, Fraction(0))
    if layer.kind == "relu_n":
        return np.minimum(np.maximum(values, Fraction(0)), number(layer.n, replace(fixed, overflow="saturate")))
    raise NotImplementedError(layer.kind)


def moved(layer, reads, own):
    if isinstance(layer, Reshape):
        return reads[0].reshape(layer.target)
    if isinstance(layer, Concat):
        return np.concatenate(reads, layer.axis)
    if isinstance(layer, Pad):
        return np.pad(reads[0], layer.padding, constant_values=Fraction(layer.value))
    if isinstance(layer, GlobalPool):
        return reads[0].max(axis=(0, 1))
    assert isinstance(layer, Pool)
    height, width, channels = layer.shape(reads[0].shape)
    y = np.empty((height, width, channels), object)
    for i in range(height):
        for j in range(width):
            part = reads[0][
                i * layer.strides[0] : i * layer.strides[0] + layer.window[0], j * layer.strides[1] : j * layer.strides[1] + layer.window[1]
            ].reshape(-1, channels)
            y[i, j] = part.max(axis=0) if layer.kind == "max" else [average(part[:, c], own.rectified) for c in range(channels)]
    return y


def average(values, fixed):
    """To the nearest, away from zero; in the format's rounding where the count is a power of two."""
    unit, count = Fraction(2) ** fixed.fraction, len(values)
    rounding = fixed.rounding if count & (count - 1) == 0 and fixed.rounding not in ("half_down", "half_zero") else "half_away"
    return whole(sum(values) * unit / count, rounding) / unit
