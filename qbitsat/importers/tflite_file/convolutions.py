"""FULLY_CONNECTED, CONV_2D, DEPTHWISE_CONV_2D and AVERAGE_POOL_2D as layers, without the channels that are constant."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ...arithmetic import Requantizer
from ...errors import InputError, UnsupportedError
from ..assembly import Kernel, Wires, convolve, out_size
from ..runtimes import Runtime
from .builder import Builder
from .records import Operator, Tensor
from .schema import PADDINGS

Pair = tuple[int, int]


def fully_connected(b: Builder, op: Operator) -> None:
    """A convolution of 1 x 1 over rows of the input."""
    source, filters, target = b.tensor(op, 0), b.tensor(op, 1), b.target(op)
    if op.options["WeightsFormat"]:
        raise UnsupportedError(f"weights in format {op.options['WeightsFormat']}, expected 0, in order")
    if len(filters.shape) != 2:
        raise InputError(f"{filters.place}: shape {filters.shape}, expected (outputs, inputs)")
    n_out, n_in = filters.shape
    scales = filters.checked_scales(0)
    zero_point = filters.zero_point if len(scales) == 1 else 0
    weights = (integers(b, op, 1, "INT8") - zero_point).reshape(n_out, 1, 1, n_in)
    kernel = Kernel(weights, bias_of(b, op, n_out))
    runtime = whose(b, bare_bias(b, op, 2))
    requantizers = runtime.dense(float(source.scale), scales.tolist(), b.fused(op, target, runtime))
    rows = b.of(source).reshape(-1, 1, n_in)
    result = layer(b, op, rows, kernel, requantizers)
    b.give(target, result.reshape(*((*source.shape[:-1], n_out) if target.open else target.shape)))


def conv_2d(b: Builder, op: Operator) -> None:
    filters = b.tensor(op, 1)
    if len(filters.shape) != 4:
        raise InputError(f"{filters.place}: shape {filters.shape}, expected (outputs, height, width, channels)")
    weights = integers(b, op, 1, "INT8")
    channels = channels_of(b, op)
    if channels % filters.shape[3]:
        raise InputError(f"{filters.place}: {filters.shape[3]} channels, but the input has {channels}")
    convolution(b, op, weights, 0, channels // filters.shape[3])


def depthwise_conv_2d(b: Builder, op: Operator) -> None:
    filters = b.tensor(op, 1)
    channels = channels_of(b, op)
    if len(filters.shape) != 4 or filters.shape[0] != 1 or filters.shape[3] % channels:
        raise InputError(f"{filters.place}: shape {filters.shape}, expected (1, height, width, multiple of {channels})")
    weights = integers(b, op, 1, "INT8").transpose(3, 1, 2, 0)
    convolution(b, op, weights, 3, channels)


def convolution(b: Builder, op: Operator, weights: np.ndarray, axis: int, groups: int) -> None:
    """weights int64[n_out, kh, kw, depth]; their scales are one, or one a channel, along an axis of the tensor in the file."""
    source, filters, target = b.tensor(op, 0), b.tensor(op, 1), b.target(op)
    if filters.quantization.zero_points.any():
        raise UnsupportedError(f"{filters.place}: zero points {filters.quantization.zero_points.tolist()[:3]}, expected 0")
    strides, dilation, padding = geometry(op, source.shape[1:3], weights.shape[1:3])
    kernel = Kernel(weights, bias_of(b, op, len(weights)), strides, padding, dilation, groups)
    runtime = whose(b, bare_bias(b, op, 2))
    scales, out = filters.checked_scales(axis).tolist(), b.fused(op, target, runtime)
    if op.kind == "DEPTHWISE_CONV_2D":
        requantizers = runtime.depthwise(float(source.scale), scales, len(weights), out)
    else:
        requantizers = runtime.convolution(float(source.scale), scales, out, groups)
    made = [layer(b, op, b.of(source)[k], kernel, requantizers, place=k) for k in range(source.shape[0])]
    b.give(target, Wires(*(np.stack([getattr(part, name) for part in made]) for name in ("values", "constants"))))


def channels_of(b: Builder, op: Operator) -> int:
    """Of images, of which SPACE_TO_BATCH_ND may have made several."""
    source = b.tensor(op, 0)
    if len(source.shape) != 4:
        raise UnsupportedError(f"{source.place}: shape {source.shape}, expected (images, height, width, channels)")
    return source.shape[3]


def average_pool_2d(b: Builder, op: Operator) -> None:
    """Sums over the cells inside the image, of raw integers: those outside stand for 0, and each output has its own number of cells."""
    source, target = b.tensor(op, 0), b.target(op)
    same_quantization(source, target)
    wires, kernel = image(b, op), window(op)
    strides, _, padding = geometry(op, wires.shape[:2], kernel)
    channels = wires.shape[2]
    sizes = [out_size(n, k, s, p, 1) for n, k, s, p in zip(wires.shape, kernel, strides, padding, strict=False)]
    inside = [
        np.minimum(np.arange(size) * s - p[0] + k, n) - np.maximum(np.arange(size) * s - p[0], 0)
        for size, n, k, s, p in zip(sizes, wires.shape, kernel, strides, padding, strict=False)
    ]
    counts = np.multiply.outer(*inside)
    out = b.fused(op, target)
    b.charge(counts.size * channels)
    dividers = {n: b.runtime.average_pool(n, out) for n in np.unique(counts).tolist()}
    if len(dividers) == 1:
        requantizers = tuple(dividers.values())
    else:
        requantizers = tuple(dividers[n] for n in np.repeat(counts.ravel(), channels).tolist())
    b.charge(channels * kernel[0] * kernel[1])
    ones = np.ones((channels, *kernel, 1), np.int64)
    pool = Kernel(ones, np.zeros(channels, np.int64), strides, padding, (1, 1), channels)
    b.give(target, layer(b, op, wires, pool, requantizers, raw=True)[None])


# --- what they share ---


def layer(
    b: Builder, op: Operator, wires: Wires, kernel: Kernel, requantizers: tuple[Requantizer, ...], raw: bool = False, place: int = 0
) -> Wires:
    """The outputs for an image, which stands at some place, over q - zero_point or over raw integers; see `convolve`."""
    source, target, name = b.tensor(op, 0).format, b.target(op).format, f"{op.name}.{place}" if place else op.name
    return convolve(b, name, wires, kernel, requantizers, replace(source, zero_point=0) if raw else source, target)


def geometry(op: Operator, size: tuple[int, ...], kernel: tuple[int, ...]) -> tuple[Pair, Pair, tuple[Pair, Pair]]:
    """Strides, dilation and padding ((top, bottom), (left, right)).

    SAME pads as little as gives ceil(size / stride) positions, the smaller half first.
    """
    options = op.options
    strides = options["StrideH"], options["StrideW"]
    dilation = options.get("DilationHFactor", 1), options.get("DilationWFactor", 1)
    if min(*strides, *dilation) < 1:
        raise InputError(f"strides {strides} and dilation {dilation}, expected at least 1")
    if not 0 <= options["Padding"] < len(PADDINGS):
        raise InputError(f"padding {options['Padding']}, expected {' or '.join(PADDINGS)}")
    if PADDINGS[options["Padding"]] == "VALID":
        return strides, dilation, ((0, 0), (0, 0))
    sums = [max(0, (-(-n // s) - 1) * s + (k - 1) * d + 1 - n) for n, k, s, d in zip(size, kernel, strides, dilation, strict=True)]
    return strides, dilation, ((sums[0] // 2, sums[0] - sums[0] // 2), (sums[1] // 2, sums[1] - sums[1] // 2))


def window(op: Operator) -> Pair:
    """The size of a pool's window."""
    kernel = op.options["FilterHeight"], op.options["FilterWidth"]
    if min(kernel) < 1:
        raise InputError(f"a window of {kernel}, expected at least 1")
    return kernel


def image(b: Builder, op: Operator) -> Wires:
    """The first input as (height, width, channels)."""
    source = b.tensor(op, 0)
    if len(source.shape) != 4 or source.shape[0] != 1:
        raise UnsupportedError(f"{source.place}: shape {source.shape}, expected (1, height, width, channels)")
    return b.of(source)[0]


def integers(b: Builder, op: Operator, which: int, kind: str) -> np.ndarray:
    """A constant input of that type as int64."""
    tensor = b.tensor(op, which)
    if tensor.type != kind:
        raise UnsupportedError(f"{tensor.place}: type {tensor.type}, expected {kind}")
    return b.constant(op, which)


def bias_of(b: Builder, op: Operator, n_out: int, which: int = 2) -> np.ndarray:
    """The bias, int64[n_out]; zeros where there is none."""
    if len(op.inputs) <= which or op.inputs[which] < 0:
        return np.zeros(n_out, np.int64)
    bias = integers(b, op, which, "INT32")
    if bias.shape != (n_out,):
        raise InputError(f"{b.tensor(op, which).place}: shape {bias.shape}, expected ({n_out},)")
    return bias


def bare_bias(b: Builder, op: Operator, which: int) -> bool:
    """Whether there is a bias without scales, which XNNPACK leaves to LiteRT. Runtimes refuse files where it has zero points, and XNNPACK
    convolutions where it has not as many scales as the weights.
    """
    if len(op.inputs) <= which or op.inputs[which] < 0:
        return False
    bias, weights = b.tensor(op, which), b.tensor(op, 1)
    count, expected = len(bias.quantization.scales), len(weights.quantization.scales)
    if bias.quantization.zero_points.any():
        raise UnsupportedError(f"{bias.place}: zero points {bias.quantization.zero_points.tolist()[:3]}, expected 0")
    if b.runtime.name == "xnnpack" and op.kind != "FULLY_CONNECTED" and count and len(bias.checked_scales(0)) != expected:
        raise UnsupportedError(f"{bias.place}: {count} scales, expected {expected} as the weights have")
    return not count


def whose(b: Builder, left: bool) -> Runtime:
    """Whose operator it is: XNNPACK leaves some to LiteRT."""
    return replace(b.runtime, name="tflite-opt") if b.runtime.name == "xnnpack" and left else b.runtime


def same_quantization(source: Tensor, target: Tensor) -> None:
    """Raise where values would have to be rescaled by an operator that moves them only."""
    if (source.type, source.scale, source.zero_point) != (target.type, target.scale, target.zero_point):
        raise UnsupportedError(f"{source.place} and {target.place}: different scales or zero points, expected the same of both")
