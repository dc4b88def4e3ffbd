"""Operators of files whose numbers are exact: QONNX (Quant, BipolarQuant) and RequantShift, in rational arithmetic by their definition.

Between quantizers nothing is rounded. Float constants are the rational numbers that they are.
"""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np

from ...errors import InputError, UnsupportedError
from ..assembly import Kernel, Wires
from . import pools, shapes
from .exact_quantizers import Grid, bipolar_quant, entered, grid_of, number, pending, quant, requant_shift, scaled
from .pending import Limits, Line, Pending, Scaled, raw, square_root
from .records import Node
from .session import Handler, Session
from .shapes import has
from .values import Outside, Rim
from .windows import Windows, image

# --- products ---


def output_scales(weights: Grid, axis: int) -> tuple[Fraction, ...]:
    """The scale of each slice along the axis of outputs, or one."""
    scales = np.moveaxis(weights.scales, axis, 0).reshape(weights.shape[axis], -1)
    if (scales != scales[:, :1]).any():
        raise UnsupportedError("scales of weights that differ within an output, expected one for each output")
    each = [Fraction(v) for v in scales[:, 0].tolist()]
    return (each[0],) if len(set(each)) == 1 else tuple(each)


def weighted(s: Session, x: Scaled, weights: Grid, axis: int, found: Pending, bias: Any) -> Pending:
    scales = output_scales(weights, axis)
    one = len(scales) == 1
    made = replace(found, unit=x.scale * scales[0]) if one else found.then(Line(scales, (Fraction(0),)))
    return made if bias is None else plus(made, bias)


def matmul(s: Session, node: Node) -> None:
    product(s, node, grid_of(s.get(node, 1)), None)


def gemm(s: Session, node: Node) -> None:
    for name, expected in (("alpha", 1.0), ("beta", 1.0), ("transA", 0)):
        if node.attributes.get(name, expected) != expected:
            raise UnsupportedError(f"{name} is {node.attributes[name]}, expected {expected}")
    weights = grid_of(s.get(node, 1))
    weights = weights.map(np.transpose) if node.attributes.get("transB") else weights
    product(s, node, weights, number(s, node, 2) if has(node, 2) else None)


def product(s: Session, node: Node, weights: Grid, bias: np.ndarray | None) -> None:
    x = scaled(s, node, 0)
    if len(weights.shape) != 2 or not x.shape or x.shape[-1] != weights.shape[0]:
        raise UnsupportedError(f"a product of {x.shape} and {weights.shape}, expected (..., n) and (n, m)")
    n_in, n_out = weights.shape
    kernel = Kernel(weights.integers.T.reshape(n_out, 1, 1, n_in), np.zeros(n_out, np.int64))
    shape = (*x.shape[:-1], n_out)
    found = Pending(shape, len(shape) - 1, x.scale, x.form, kernel, x.wires.reshape(-1, 1, n_in))
    s.values[node.outputs[0]] = weighted(s, x, weights, 1, found, bias)


def conv(s: Session, node: Node) -> None:
    x, weights = scaled(s, node, 0), grid_of(s.get(node, 1))
    axes, pixels = len(weights.shape) - 2, image(x.wires)
    if axes not in (1, 2) or len(x.shape) != len(weights.shape):
        raise UnsupportedError(f"weights of shape {weights.shape} and an input of {x.shape}, expected one or two axes of an image")
    groups, where = node.attributes.get("group", 1), Windows(node, axes, pixels.shape[:2], weights.shape[2:])
    if not isinstance(groups, int) or groups < 1 or weights.shape[1] * groups != pixels.shape[2] or weights.shape[0] % groups:
        raise InputError(f"{groups} groups of {weights.shape[1]} channels, but the input has {pixels.shape[2]}")
    w = weights.integers.reshape(*weights.shape[:2], *where.kernel).transpose(0, 2, 3, 1)
    kernel = Kernel(w, np.zeros(len(w), np.int64), where.strides, where.padding, where.dilation, groups)
    shape = (1, len(w), *(where.out if axes == 2 else where.out[1:]))
    found = Pending(shape, 1, x.scale, x.form, kernel, pixels)
    bias = number(s, node, 2) if has(node, 2) else None
    bias = None if bias is None else bias.reshape(-1, *[1] * axes)
    s.values[node.outputs[0]] = weighted(s, x, weights, 0, found, bias)


def global_average(s: Session, node: Node) -> None:
    x = scaled(s, node, 0)
    pixels = image(x.wires)
    height, width, channels = pixels.shape
    s.charge(pixels.size)
    kernel = Kernel(np.ones((channels, height, width, 1), np.int64), np.zeros(channels, np.int64), groups=channels)
    shape = (1, channels, *[1] * (len(x.shape) - 2))
    s.values[node.outputs[0]] = Pending(shape, 1, x.scale / (height * width), x.form, kernel, pixels)


# --- elementwise ---


def plus(x: Pending, constant: np.ndarray) -> Pending:
    """x + constant: in the bias of whole units, else a function behind."""
    terms = x.of_channels(constant)
    units = [term / x.unit for term in terms]
    if x.kernel is not None and not x.after and all(v.denominator == 1 and abs(v) < 1 << 40 for v in units):
        bias = x.kernel.bias + np.resize(np.array([int(v) for v in units], np.int64), len(x.kernel.bias))
        return replace(x, kernel=replace(x.kernel, bias=bias))
    return x.then(Line((Fraction(1),), terms))


def times(x: Pending, factors: tuple[Fraction, ...]) -> Pending:
    if not x.after and len(factors) == 1 and factors[0] > 0:
        return replace(x, unit=x.unit * factors[0])
    return x.then(Line(factors, (Fraction(0),)))


def binary(s: Session, node: Node) -> None:
    """Add, Sub, Mul, Div, Pow: of constants, of a tensor and a constant, or the sum of two tensors."""
    operands = [s.get(node, i) for i in (0, 1)]
    fixed = [x.floats if isinstance(x, Grid) else x for x in operands]
    if all(isinstance(x, np.ndarray) for x in fixed):
        function = {"Add": np.add, "Sub": np.subtract, "Mul": np.multiply, "Div": np.divide, "Pow": np.power}[node.op]
        with np.errstate(all="ignore"):
            s.give(node, np.asarray(function(*fixed)))
        return
    which = next((i for i, x in enumerate(fixed) if isinstance(x, np.ndarray)), None)
    if node.op == "Pow" or (node.op == "Div" and which == 0):
        raise UnsupportedError("of a tensor that is computed, expected constants")
    if which is None:
        two(s, node)
        return
    value = number(s, node, which)
    if node.op == "Div" and not value.all():
        raise InputError("divides by 0")
    if isinstance(operands[1 - which], Outside):
        s.give(node, outside_with(operands[1 - which], node.op, value, which))
        return
    x = pending(s, node, 1 - which)
    if node.op in ("Add", "Sub"):
        x = x.then(Line((Fraction(-1),), (Fraction(0),))) if node.op == "Sub" and which == 0 else x
        made = plus(x, -value if node.op == "Sub" and which == 1 else value)
    else:
        made = times(x, tuple(1 / v if node.op == "Div" else v for v in x.of_channels(value)))
    s.values[node.outputs[0]] = made


def outside_with(x: Outside, op: str, value: np.ndarray, which: int) -> Outside:
    """factor * x + term."""
    if value.size != 1:
        raise UnsupportedError("inputs that are scaled by element, expected one factor")
    v, factor, term = Fraction(float(value.item())), x.factor, x.term
    if op in ("Mul", "Div"):
        v = 1 / v if op == "Div" else v
        return replace(x, factor=factor * v, term=term * v)
    if op == "Sub":
        return replace(x, term=term - v) if which == 1 else replace(x, factor=-factor, term=v - term)
    return replace(x, term=term + v)


def two(s: Session, node: Node) -> None:
    """Sum or difference in the largest unit of both."""
    if node.op not in ("Add", "Sub"):
        raise UnsupportedError("of two tensors that are both computed, expected a constant one")
    x, y = (scaled(s, node, i) for i in (0, 1))
    shape = np.broadcast_shapes(x.shape, y.shape)
    s.charge(2 * int(np.prod(shape)))
    (p, q), (r, t) = x.scale.as_integer_ratio(), y.scale.as_integer_ratio()
    unit = Fraction(math.gcd(p * t, r * q), q * t)
    weights = [int(v.scale / unit) * sign for v, sign in ((x, 1), (y, 1 if node.op == "Add" else -1))]
    if max(map(abs, weights)) >= 1 << 31:
        raise UnsupportedError(f"scales that differ too much: weights {weights}")
    terms = tuple((v.wires.map(lambda a: np.broadcast_to(a, shape)), weight) for v, weight in zip((x, y), weights, strict=True))
    bias = -sum(weight * v.zero_point for v, weight in zip((x, y), weights, strict=True))
    s.values[node.outputs[0]] = Pending(shape, min(1, len(shape) - 1), unit, x.form, terms=terms, bias=bias)


def limit(s: Session, node: Node) -> None:
    """Relu and Clip."""
    x, lo, hi = pending(s, node, 0), Fraction(0), None
    if node.op == "Clip":
        ends = [number(s, node, i).item() if has(node, i) else node.attributes.get(name) for i, name in ((1, "min"), (2, "max"))]
        lo, hi = (None if v is None else Fraction(float(v)) for v in ends)  # type: ignore[assignment]
    s.values[node.outputs[0]] = x.then(Limits(lo, hi))


def batch_normalization(s: Session, node: Node) -> None:
    """(x - mean) / sqrt(variance + epsilon) * scale + bias, the root to 200 bits."""
    x = pending(s, node, 0)
    scale, bias, mean, variance = ([Fraction(v) for v in number(s, node, i).ravel().tolist()] for i in (1, 2, 3, 4))
    epsilon = Fraction(float(node.attributes.get("epsilon", 1e-5)))
    if not len(scale) == len(bias) == len(mean) == len(variance) == x.channels or any(v + epsilon <= 0 for v in variance):
        raise InputError(f"{len(scale)} channels, or variances below 0, expected {x.channels} positive ones")
    factors = [g / square_root(v + epsilon) for g, v in zip(scale, variance, strict=True)]
    terms = [b - m * f for b, m, f in zip(bias, mean, factors, strict=True)]
    s.values[node.outputs[0]] = x.then(Line(tuple(factors), tuple(terms)))


def move(function: Handler) -> Handler:
    """An operator that moves elements, of integers or constants."""

    def handler(s: Session, node: Node) -> None:
        if isinstance(s.get(node, 0), Pending):
            s.values[node.inputs[0]] = scaled(s, node, 0)
        function(s, node)

    return handler


def max_pool(s: Session, node: Node) -> None:
    x = scaled(s, node, 0)
    s.values[node.inputs[0]] = x
    pools.largest_of_windows(s, node, x.wires, x.form, x)


def squash(s: Session, node: Node) -> None:
    if node.outputs[0] not in s.graph.outputs:
        raise UnsupportedError("before other operators, expected it on the output only")
    s.b.remarks.append(f"{node.op} on the output ({node.place}) is left out: outputs are what it reads, and decide the class")
    s.values[node.outputs[0]] = s.get(node, 0)


def result(s: Session, x: Any) -> Wires:
    """The integers that are the output: sums without what keeps their order."""
    x = entered(s, x)
    if isinstance(x, Pending):
        lines = [f for f in x.after if isinstance(f, Line)]
        if any(len(f.factors) > 1 or len(set(f.terms)) > 1 or f.factors[0] <= 0 for f in lines) or len(lines) != len(x.after):
            raise UnsupportedError("functions of the last sums that differ by output or do not grow; expected such that keep their order")
        if lines:
            s.b.remarks.append("what follows the last sums grows with them, and is left out: outputs are these sums")
        return raw(s.b, "output", replace(x, after=())).wires
    if not isinstance(x, Scaled | Rim):
        raise UnsupportedError("a constant, expected integers that are computed")
    return x.wires


OPERATORS: dict[str, Handler] = {
    **{kind: move(function) for kind, function in shapes.OPERATORS.items()},
    "Quant": quant,
    "BipolarQuant": bipolar_quant,
    "RequantShift": requant_shift,
    "MatMul": matmul,
    "Gemm": gemm,
    "Conv": conv,
    "GlobalAveragePool": global_average,
    "MaxPool": max_pool,
    "Add": binary,
    "Sub": binary,
    "Mul": binary,
    "Div": binary,
    "Pow": binary,
    "Relu": limit,
    "Clip": limit,
    "BatchNormalization": batch_normalization,
    "Softmax": squash,
    "LogSoftmax": squash,
    "Sigmoid": squash,
}
