"""Convolutions and products with matrices: integers times constant integers, and one scale in float32."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...arithmetic import Requantizer, ShiftRequantizer
from ...errors import InputError, UnsupportedError
from ...network import TensorFormat
from ..assembly import Kernel, convolve
from ..runtimes import Quantization, Runtime
from .meaning import scales_of, zero_points_of
from .quantizing import Target, dequantized, group, target_of
from .records import Node
from .session import Session
from .shapes import constant, has
from .values import Dequantized, Stored, Sums
from .windows import Windows, as_before, image

INT16 = (-(1 << 15), (1 << 15) - 1)
# How far scales of biases may be off, relatively; the runtime takes somewhat more before it computes floats.
BIAS_TOLERANCE = 1e-3


def rescaling(s: Session, x: Dequantized, scales: np.ndarray, form: TensorFormat) -> tuple[Requantizer, ...]:
    """round(float32(acc) * ((s_x * s_w) / s_y)) + z, all of it in float32, ties to even."""
    return Runtime(s.runtime).convolution(float(x.scale), scales.tolist(), Quantization(form.scale, form.zero_point, form.lo, form.hi))


def convolution(s: Session, node: Node, x: Dequantized, weights: Stored, bias: np.ndarray | None, target: Target) -> None:
    w = weights.integers
    axes = w.ndim - 2
    if axes not in (1, 2) or len(x.shape) != w.ndim:
        raise UnsupportedError(f"weights of shape {w.shape} and an input of {x.shape}, expected one or two axes of an image")
    groups, pixels = node.attributes.get("group", 1), image(x.wires)
    if not isinstance(groups, int) or groups < 1 or w.shape[1] * groups != pixels.shape[2] or w.shape[0] % groups:
        raise InputError(
            f"{groups} groups of {w.shape[1]} channels, but the input has {pixels.shape[2]}, and there are {w.shape[0]} outputs"
        )
    where = Windows(node, axes, pixels.shape[:2], w.shape[2:])
    flat = weights_of(s, weights, 0, x)
    kernel = flat.reshape(w.shape if axes == 2 else (*w.shape[:2], 1, w.shape[2])).transpose(0, 2, 3, 1)
    if kernel.shape[1:3] != where.kernel:
        raise InputError(f"kernel_shape {where.kernel}, but weights of shape {w.shape}")
    made = Kernel(kernel, bias_of(bias, len(w)), where.strides, where.padding, where.dilation, groups)
    steps = rescaling(s, x, np.broadcast_to(weights.scales, len(w)), target.form)
    target.give(s, as_before(convolve(s.b, node.name, pixels, made, steps, x.form, target.form), axes))


def product(s: Session, node: Node, x: Dequantized, weights: Stored, bias: np.ndarray | None, target: Target) -> None:
    """Rows of x times a matrix (inputs, outputs)."""
    if weights.integers.ndim != 2 or not x.shape or x.shape[-1] != len(weights.integers):
        raise UnsupportedError(f"a product of {x.shape} and {weights.integers.shape}, expected (..., n) and (n, m)")
    n_in, n_out = weights.integers.shape
    w = weights_of(s, weights, 1, x).T.reshape(n_out, 1, 1, n_in)
    steps = rescaling(s, x, np.broadcast_to(weights.scales, n_out), target.form)
    rows = x.wires.reshape(-1, 1, n_in)
    result = convolve(s.b, node.name, rows, Kernel(w, bias_of(bias, n_out)), steps, x.form, target.form)
    target.give(s, result.reshape(*x.shape[:-1], n_out))


def weights_of(s: Session, weights: Stored, axis: int, x: Dequantized) -> np.ndarray:
    """w - z, with scales and zero points of the whole, or of each slice along the axis."""
    if max(len(weights.scales), len(weights.zero_points)) > 1 and weights.axis != axis:
        raise UnsupportedError(f"scales of weights along axis {weights.axis}, expected {axis}")
    if weights.lo < -128 or weights.hi > 255:
        raise UnsupportedError("weights of 32 bits, expected 8")
    w = np.moveaxis(weights.integers, axis, 0)
    if s.runtime == "onnxruntime-novnni" and weights.lo < 0:
        require_no_saturation(w.reshape(len(w), -1))
    points = weights.zero_points.reshape(-1, *[1] * (w.ndim - 1))
    return np.moveaxis(w - points, 0, axis)


def require_no_saturation(w: np.ndarray) -> None:
    """Refuse INT8 weights for which the sum of two products with bytes can leave 16 bits: such sums saturate without VNNI, and which two
    products are added is not for the file to say.
    """
    for sign, limit in ((1, INT16[1]), (-1, -INT16[0])):
        largest = np.sort(np.maximum(sign * w, 0), axis=1)[:, -2:].sum(axis=1).max(initial=0)
        if 255 * largest > limit:
            raise UnsupportedError(
                "onnxruntime-novnni: sums of two products can saturate to 16 bits, as two weights of an output have"
                f" {largest} together; expected at most {limit // 255}, as with weights of 7 bits"
            )


def bias_of(bias: np.ndarray | None, n_out: int) -> np.ndarray:
    if bias is None:
        return np.zeros(n_out, np.int64)
    if bias.dtype.kind not in "iu" or bias.size != n_out:
        raise InputError(f"a bias of {bias.dtype} of shape {bias.shape}, expected {n_out} integers of 32 bits")
    return bias.astype(np.int64).ravel()


# --- the three forms ---


def stored(s: Session, node: Node, which: int, scale: int, zero_point: int, axis: int) -> Stored:
    """Weights that are an input, with their scales and zero points."""
    w = constant(s, node, which)
    if w.dtype.name not in ("int8", "uint8"):
        raise UnsupportedError(f"weights of {w.dtype}, expected int8 or uint8")
    scales, (points, dtype) = scales_of(s, node, scale), zero_points_of(s, node, zero_point, w.dtype.name)
    count = w.shape[axis] if w.ndim > axis else 0
    if len(scales) not in (1, count) or len(points) not in (1, count) or dtype != w.dtype.name:
        raise UnsupportedError(f"{len(scales)} scales and {len(points)} zero points of {dtype}, expected 1 or {count}, of {w.dtype}")
    info = np.iinfo(w.dtype)
    return Stored(w.astype(np.int64), info.min, info.max, scales, points, axis)


def qlinear_conv(s: Session, node: Node) -> None:
    bias = constant(s, node, 8) if has(node, 8) else None
    convolution(s, node, dequantized(s, node, 0, 1, 2), stored(s, node, 3, 4, 5, 0), bias, target_of(s, node, 6, 7))


def qlinear_matmul(s: Session, node: Node) -> None:
    product(s, node, dequantized(s, node, 0, 1, 2), stored(s, node, 3, 4, 5, 1), None, target_of(s, node, 6, 7))


def qgemm(s: Session, node: Node) -> None:
    plain(node)
    weights = stored(s, node, 3, 4, 5, 0 if node.attributes.get("transB") else 1)
    if not has(node, 7):
        raise UnsupportedError("gives floats, expected a scale and a zero point of its output")
    bias = constant(s, node, 6) if has(node, 6) else None
    product(s, node, dequantized(s, node, 0, 1, 2), turned(node, weights), bias, target_of(s, node, 7, 8))


def conv(s: Session, node: Node) -> None:
    x, weights, bias = operands(s, node)
    convolution(s, node, x, weights, bias, group(s, node, [x]))


def matmul(s: Session, node: Node) -> None:
    x, weights, _ = operands(s, node)
    product(s, node, x, weights, None, group(s, node, [x]))


def gemm(s: Session, node: Node) -> None:
    plain(node)
    x, weights, bias = operands(s, node)
    if any(reader.op == "QuantizeLinear" or reader.op in ("Relu", "Clip") for reader in s.readers_of(node)):
        product(s, node, x, turned(node, weights), bias, group(s, node, [x]))
    else:
        last_sums(s, node, x, turned(node, weights), bias)


def last_sums(s: Session, node: Node, x: Dequantized, weights: Stored, bias: np.ndarray | None) -> None:
    """The sums that a Gemm without a QuantizeLinear gives times one scale, which is positive: outputs of the same order."""
    if len(weights.scales) > 1:
        raise UnsupportedError("gives floats, each output with a scale of its own; expected one scale, or a QuantizeLinear behind")
    n_in, n_out = weights.integers.shape
    w, b = weights_of(s, weights, 1, x).T.reshape(n_out, 1, 1, n_in), bias_of(bias, n_out)
    reach = max(abs(x.lo - x.zero_point), abs(x.hi - x.zero_point))
    most = int((np.abs(w).reshape(n_out, -1).sum(axis=1) * reach + np.abs(b)).max())
    if x.shape[-1:] != (n_in,) or most >= 1 << 31:
        raise UnsupportedError(f"a product of {x.shape} and {weights.integers.shape}, or sums up to {most}, expected less than 2**31")
    form = TensorFormat((1,), -most, most, float(x.scale * weights.scales[0]))
    steps = (ShiftRequantizer(0, "floor", -most, most),)
    result = convolve(s.b, node.name, x.wires.reshape(-1, 1, n_in), Kernel(w, b), steps, x.form, form)
    s.b.remarks.append(f"{node.place} gives floats: outputs are its sums of integers, which it multiplies by one scale")
    s.give(node, Sums(result.reshape(*x.shape[:-1], n_out)))


def operands(s: Session, node: Node) -> tuple[Dequantized, Stored, np.ndarray | None]:
    """Input, weights and bias between DequantizeLinear and QuantizeLinear."""
    x: Dequantized = s.computed(node, 0, Dequantized)
    weights: Any = s.computed(node, 1, Stored)
    if (x.lo < 0 and not x.unsigned) and weights.lo == 0:
        raise UnsupportedError("computes floats: weights of uint8 and activations of int8, expected int8 of both")
    if not has(node, 2):
        return x, weights, None
    bias: Any = s.computed(node, 2, Stored)
    if bias.integers.dtype != np.int64 or bias.hi < 1 << 16 or bias.zero_points.any():
        raise UnsupportedError("computes floats: a bias that is not stored as int32 with a zero point of 0")
    expected = np.float64(x.scale) * weights.scales
    if len(bias.scales) not in (1, len(expected)) or (np.abs(bias.scales - expected) > BIAS_TOLERANCE * expected).any():
        raise UnsupportedError("computes floats: the bias's scales are not those of its input times those of its weights, expected these")
    return x, weights, bias.integers


def plain(node: Node) -> None:
    """Refuse what Gemm has beyond x W + b."""
    for name, expected in (("alpha", 1.0), ("beta", 1.0), ("transA", 0)):
        if node.attributes.get(name, expected) != expected:
            raise UnsupportedError(f"{name} is {node.attributes[name]}, expected {expected}")


def turned(node: Node, weights: Stored) -> Stored:
    """The matrix (inputs, outputs)."""
    if not node.attributes.get("transB"):
        return weights
    return Stored(weights.integers.T, weights.lo, weights.hi, weights.scales, weights.zero_points, 1 - weights.axis)
