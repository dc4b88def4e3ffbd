"""Dense layers, convolutions, batch normalization, sums and products with constants."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...errors import InputError, UnsupportedError
from ...network.float_network import Add, FloatConvolution, FloatDense, Reshape, Scale
from ..onnx_file.records import Node
from ..onnx_file.shapes import has
from ..onnx_file.windows import Windows
from .tensors import Follower, Tensor, along_last, by_channel


def dense(f: Follower, node: Node, x: Tensor, weights: np.ndarray, bias: np.ndarray) -> None:
    """weights (n_out, n_in) along the last axis; of more axes it is a convolution of one cell."""
    x = f.filed(node, x)
    shape, n_out = x.shape, len(weights)
    if not shape or shape[-1] != weights.shape[1]:
        raise InputError(f"weights of {weights.shape[1]} inputs on a tensor of shape {shape}")
    if len(x.bare) == 1:
        number = f.add(node, FloatDense, x.number, weights, bias)
    else:
        number = f.add(node, Reshape, x.number, (1, math.prod(x.bare[:-1]), shape[-1]), what="image")
        number = f.add(node, FloatConvolution, number, weights[:, None, None], bias)
        number = f.add(node, Reshape, number, (*x.bare[:-1], n_out), what="before")
    f.give(node, Tensor(number, (*shape[:-1], n_out)))


def gemm(f: Follower, node: Node) -> None:
    """alpha * A B + beta * C."""
    x, weights = f.tensor(node, 0), f.constant(node, 1)
    if node.attributes.get("transA"):
        raise UnsupportedError("transA 1, expected 0")
    if weights.ndim != 2 or len(x.shape) != 2:
        raise InputError(f"matrices of shapes {x.shape} and {weights.shape}, expected two axes of each")
    weights = float(node.attributes.get("alpha", 1.0)) * (weights if node.attributes.get("transB") else weights.T)
    bias = float(node.attributes.get("beta", 1.0)) * f.constant(node, 2) if has(node, 2) else np.zeros(1)
    dense(f, node, x, weights, np.broadcast_to(bias.reshape(-1), weights.shape[:1]))


def matmul(f: Follower, node: Node) -> None:
    """A tensor times a matrix, or a matrix times a column."""
    if isinstance(f.get(node, 1), Tensor):
        weights, x = f.constant(node, 0), f.filed(node, f.tensor(node, 1))
        if weights.ndim != 2 or len(x.shape) < 2 or x.shape[-1] != 1 or math.prod(x.shape) != weights.shape[1]:
            raise UnsupportedError(f"a constant of shape {weights.shape} times {x.shape}, expected a matrix times a column")
        number = f.add(node, Reshape, x.number, weights.shape[1:], what="row")
        number = f.add(node, FloatDense, number, weights, np.zeros(len(weights)))
        shape = (*x.shape[:-2], len(weights), 1)
        number = f.add(node, Reshape, number, Tensor(0, shape).bare, what="column")
        f.give(node, Tensor(number, shape))
        return
    weights = f.constant(node, 1)
    if weights.ndim != 2:
        raise UnsupportedError(f"a constant of shape {weights.shape}, expected a matrix")
    dense(f, node, f.tensor(node, 0), weights.T, np.zeros(weights.shape[1]))


def conv(f: Follower, node: Node) -> None:
    x, weights = f.image(node, f.tensor(node, 0)), f.constant(node, 1)
    axes = len(x.shape) - 2
    if weights.ndim != axes + 2 or 0 in weights.shape:
        raise InputError(f"weights of shape {weights.shape}, expected {axes + 2} axes, none empty")
    height, width, _ = f.b.shape(x.number)
    window = Windows(node, axes, (height, width), weights.shape[2:])
    if tuple(node.attributes.get("kernel_shape", weights.shape[2:])) != weights.shape[2:]:
        raise InputError(f"kernel_shape {node.attributes['kernel_shape']}, but weights of shape {weights.shape}")
    bias = f.constant(node, 2) if has(node, 2) else np.zeros(len(weights))
    kernel = (weights if axes == 2 else weights[:, :, None]).transpose(0, 2, 3, 1)
    geometry = window.strides, window.padding, window.dilation, node.attributes.get("group", 1)
    number = f.add(node, FloatConvolution, x.number, kernel, bias, *geometry)
    height, width, channels = f.b.shape(number)
    f.give(node, Tensor(number, (1, channels, height, width) if axes == 2 else (1, channels, width), True))


def batch_normalization(f: Follower, node: Node) -> None:
    """scale * (x - mean) / sqrt(variance + epsilon) + bias, of each channel."""
    if node.attributes.get("training_mode"):
        raise UnsupportedError("training_mode 1, expected 0")
    x = f.tensor(node)
    x = f.image(node, x) if len(x.shape) > 2 else x
    scale, bias, mean, variance = (f.constant(node, i) for i in range(1, 5))
    factor = scale / np.sqrt(variance + float(node.attributes.get("epsilon", 1e-5)))
    f.put(node, x, Scale, factor, bias - factor * mean)


# --- sums and products ---


def binary(f: Follower, node: Node) -> None:
    """Of two constants, of a tensor and a constant, or of two tensors."""
    a, b = f.get(node, 0), f.get(node, 1)
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        f.charge(math.prod(np.broadcast_shapes(a.shape, b.shape)))
        f.give(node, computed(node.op, a, b))
    elif isinstance(a, Tensor) and isinstance(b, Tensor):
        tensors(f, node, a, b)
    else:
        with_constant(f, node, *((a, b, False) if isinstance(a, Tensor) else (b, a, True)))


def computed(op: str, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    if op == "Div" and a.dtype.kind in "iu" and b.dtype.kind in "iu":
        if not b.all():
            raise InputError("divides by 0")
        return np.asarray(np.trunc(a / b).astype(a.dtype))
    functions = {"Add": np.add, "Sub": np.subtract, "Mul": np.multiply, "Div": np.divide}
    return np.asarray(functions[op](a, b))


def tensors(f: Follower, node: Node, a: Tensor, b: Tensor) -> None:
    """Sums and differences."""
    if node.op not in ("Add", "Sub"):
        raise UnsupportedError(f"{node.op} of two tensors that are computed, expected a constant among them")
    if math.prod(a.shape) != math.prod(b.shape) or a.bare != b.bare:
        raise UnsupportedError(f"{node.op} of tensors of shapes {a.shape} and {b.shape}, expected one shape")
    a, b = f.alike(node, [a, b])
    second = b.number if node.op == "Add" else f.add(node, Scale, b.number, np.array([-1.0]), np.zeros(1), what="negative")
    f.give(node, Tensor(f.add(node, Add, (a.number, second)), a.shape, a.is_last))


def with_constant(f: Follower, node: Node, x: Tensor, array: np.ndarray, swapped: bool) -> None:
    """x + c, x - c, c - x, c * x, x / c."""
    if node.op == "Div" and swapped:
        raise UnsupportedError("a constant divided by what is computed")
    array = array.astype(np.float64)
    shape = np.broadcast_shapes(array.shape, x.shape)
    # A leading 1 more changes nothing.
    if math.prod(shape) != math.prod(x.shape):
        raise UnsupportedError(f"a constant of shape {array.shape} on a tensor of shape {x.shape}, expected one that is broadcast to it")
    if shape != x.shape:
        x = Tensor(f.add(node, Reshape, f.filed(node, x).number, Tensor(0, shape).bare, what="reshape"), shape)
    x = by_channel(f, node, x, array)
    f.charge(x_size(x, array))
    aligned = along_last(x, array)
    if aligned is None:
        raise UnsupportedError(f"a constant of shape {array.shape} on a tensor of shape {x.shape}, expected one that is broadcast to it")
    one, none = np.ones(1), np.zeros(1)
    sign = -1.0 if node.op == "Sub" and not swapped else 1.0
    if node.op in ("Add", "Sub"):
        f.put(node, x, Scale, -one if node.op == "Sub" and swapped else one, sign * aligned)
    else:
        f.put(node, x, Scale, 1 / aligned if node.op == "Div" else aligned, none)


def x_size(x: Tensor, array: np.ndarray) -> int:
    """Numbers that a constant may become."""
    return 1 if array.size == 1 else math.prod(x.shape)


def sum_(f: Follower, node: Node) -> None:
    """Of tensors of one shape."""
    parts = f.alike(node, [f.tensor(node, i) for i in range(len(node.inputs))])
    if len({part.shape for part in parts}) != 1:
        raise UnsupportedError(f"a sum of tensors of shapes {', '.join(str(part.shape) for part in parts)}, expected one shape")
    number = f.add(node, Add, tuple(part.number for part in parts)) if len(parts) > 1 else parts[0].number
    f.give(node, Tensor(number, parts[0].shape, parts[0].is_last))


def negative(f: Follower, node: Node) -> None:
    f.put(node, f.tensor(node), Scale, np.array([-1.0]), np.zeros(1))


OPERATORS: dict[str, Any] = {
    "Gemm": gemm,
    "MatMul": matmul,
    "Conv": conv,
    "BatchNormalization": batch_normalization,
    "Add": binary,
    "Sub": binary,
    "Mul": binary,
    "Div": binary,
    "Sum": sum_,
    "Neg": negative,
}
