"""Operators on single elements and pairs of them: ADD, SUB, MUL, MAXIMUM, MINIMUM, QUANTIZE inside, activation functions, tables."""

from __future__ import annotations

import math

import numpy as np

from ...arithmetic import Requantizer
from ...errors import InputError, UnsupportedError
from .. import tables
from ..assembly import CONSTANT, Term, Wires, combined, larger, mapped, multiplied, once
from ..runtimes import Sum
from .builder import INT8, Builder
from .convolutions import same_quantization
from .records import Operator, Tensor

# They stop at what is negative.
ROOTS = ("SQRT", "RSQRT")
# Functions of single integers.
TABLES = ("ABS", "ELU", "EXP", "GELU", "HARD_SWISH", "LEAKY_RELU", "LOG", "LOGISTIC", "RSQRT", "SQRT", "TANH")


def add(b: Builder, op: Operator) -> None:
    sum_of_two(b, op, 1)


def sub(b: Builder, op: Operator) -> None:
    sum_of_two(b, op, -1)


def sum_of_two(b: Builder, op: Operator, sign: int) -> None:
    """Of each operand a multiple and, where the runtime rounds it by itself, what that differs by: in vectors otherwise than elsewhere."""
    first, second, target = b.tensor(op, 0), b.tensor(op, 1), b.target(op)
    operands, out = broadcast(b, first, second, target), b.fused(op, target)
    runtime = b.runtime.adding(first.meaning, second.meaning, out)
    run, block, special = runtime.add_blocks(first.shape, second.shape) if op.kind == "ADD" else (1, 1, "")
    shape = operands[0].shape
    place = np.arange(operands[0].size).reshape(shape) % run
    inside = (place < run - run % block) & bool(special)
    terms: list[Term] = []
    totals: list[Sum] = []
    bias = np.zeros(shape, np.int64)
    for name, mask, rounding in (("", ~inside, ""), (".vector", inside, special)):
        if not mask.any():
            continue
        total = runtime.add(first.meaning, second.meaning, out, sign, rounding)
        totals.append(total)
        for letter, wires, term in zip("ab", operands, total.terms, strict=True):
            terms.append((wires, term.weight * mask))
            bias -= term.weight * term.zero_point * mask
            if term.table is not None:
                some = Wires(np.where(mask, wires.values, CONSTANT), np.where(mask, wires.constants, 0))
                terms.append((once(b, f"{op.name}.{letter}{name}", some, 1, 0, term.table), term.sign * mask))
    b.give(target, combined(b, op.name, terms, bias, total.requantizer, target.format))
    b.remember(target, [first, second], lambda p, q: if_one([total.apply(p, q) for total in totals]))


def if_one(functions: list[np.ndarray]) -> np.ndarray | None:
    """The function that all of them are."""
    return functions[0] if all((function == functions[0]).all() for function in functions) else None


def if_exact(step: Requantizer, acc: np.ndarray) -> np.ndarray | None:
    """What a step makes of accumulators, where that is what its runtime computes of all of them."""
    return step.apply(acc) if np.abs(acc).max() <= step.acc_limit else None


def mul(b: Builder, op: Operator) -> None:
    """(a - z_a) (c - z_c): with a constant, with a function of the other operand, which is a function again, or with any tensor."""
    first, second, target = b.tensor(op, 0), b.tensor(op, 1), b.target(op)
    x, y = broadcast(b, first, second, target)
    zero_points = first.zero_point, second.zero_point
    step = b.runtime.multiply(float(first.scale), float(second.scale), b.fused(op, target))
    b.remember(target, [first, second], lambda p, q: if_exact(step, (p - first.zero_point) * (q - second.zero_point)))
    if x.fixed.all():
        x, y, zero_points = y, x, zero_points[::-1]
    if y.fixed.all():
        weights = y.constants - zero_points[1]
        b.give(target, combined(b, op.name, [(x, weights)], -zero_points[0] * weights, step, target.format))
        return
    if target.index not in b.functions:
        b.give(target, multiplied(b, op.name, x, y, zero_points, step, target.format))
        return
    root, values = b.functions[target.index]
    b.give(target, of_each(b, op, b.of(b.tensors[root]), values[None], np.zeros(x.shape, np.int64)))


def maximum(b: Builder, op: Operator) -> None:
    extremum(b, op, 1)


def minimum(b: Builder, op: Operator) -> None:
    extremum(b, op, -1)


def extremum(b: Builder, op: Operator, sign: int) -> None:
    first, second, target = b.tensor(op, 0), b.tensor(op, 1), b.target(op)
    for source in (first, second):
        same_quantization(source, target)
    b.remember(target, [first, second], np.maximum if sign > 0 else np.minimum)
    b.give(target, larger(b, op.name, *broadcast(b, first, second, target), target.format, sign))


def relu(b: Builder, op: Operator) -> None:
    """RELU, RELU6 and RELU_N1_TO_1 as operators of their own: rescaled and clamped."""
    source, target = b.tensor(op, 0), b.target(op)
    step = b.runtime.relu(source.meaning, target.meaning, op.kind)
    b.remember(target, [source], lambda q: step.apply(q - source.zero_point))
    b.give(target, combined(b, op.name, [(b.of(source), 1)], -source.zero_point, step, target.format))


def requantize(b: Builder, op: Operator) -> None:
    """QUANTIZE from INT8 to another scale of INT8."""
    source, target = b.tensor(op, 0), b.target(op)
    weight, steps = b.runtime.quantize(float(source.scale), source.size, target.meaning)
    b.give(target, combined(b, op.name, [(b.of(source), weight)], -weight * source.zero_point, steps, target.format))


def table(b: Builder, op: Operator) -> None:
    """LOGISTIC, TANH, HARD_SWISH, GELU and the like: the output of each of the 256 integers."""
    source, target = b.tensor(op, 0), b.target(op)
    if op.kind in ROOTS:
        check_not_negative(b, source)
    kind = f"{op.kind} approximate" if op.options.get("Approximate") else op.kind
    values = tables.table(kind, b.runtime.name, source.meaning, target.meaning, op.options.get("Alpha", 0.0))
    b.remember(target, [source], lambda q: values[q - INT8[0]])
    b.give(target, of_each(b, op, b.of(source), values[None], np.zeros(source.shape, np.int64)))


def check_not_negative(b: Builder, tensor: Tensor) -> None:
    """Refuse what stops a runtime for some input."""
    wires = b.of(tensor)
    ends = [int(wires.constants[wires.fixed].min(initial=INT8[1]))]
    if not wires.fixed.all():
        ends.append(b.range_of(wires.values[~wires.fixed])[0])
    if min(ends) < tensor.zero_point:
        raise UnsupportedError(f"{tensor.place}: can be {min(ends) - tensor.zero_point} steps, below 0, where {b.runtime.name} stops")


def prelu(b: Builder, op: Operator) -> None:
    """Below the zero point a multiple of the input, with a constant for each channel or element."""
    source, slopes, target = b.tensor(op, 0), b.tensor(op, 1), b.target(op)
    if np.broadcast_shapes(source.shape, slopes.shape) != source.shape or slopes.type != "INT8":
        raise InputError(f"{slopes.place}: {slopes.type} of {slopes.shape}, expected INT8 that fits {source.shape}")
    distinct, which = np.unique(b.constant(op, 1) - slopes.zero_point, return_inverse=True)
    values = [tables.prelu(b.runtime.name, source.meaning, float(slopes.scale), int(slope), target.meaning) for slope in distinct]
    b.give(target, of_each(b, op, b.of(source), np.stack(values), np.broadcast_to(which.reshape(slopes.shape), source.shape)))


def of_each(b: Builder, op: Operator, wires: Wires, values: np.ndarray, which: np.ndarray) -> Wires:
    """values[which, q + 128] of each element."""
    return mapped(b, op.name, wires, INT8[0], values, which, b.target(op).format)


# --- what they share ---


def broadcast(b: Builder, first: Tensor, second: Tensor, target: Tensor) -> tuple[Wires, Wires]:
    """Both operands in the output's shape."""
    shape = np.broadcast_shapes(first.shape, second.shape)
    if shape != target.shape and not target.open:
        raise InputError(f"{target.place}: shape {target.shape}, expected that of {first.shape} and {second.shape} together")
    b.charge(2 * math.prod(shape))
    x, y = (b.of(tensor).map(lambda a: np.broadcast_to(a, shape)) for tensor in (first, second))
    return x, y
