"""Operators on single elements and pairs of them: ADD, SUB, MUL, MAXIMUM, MINIMUM, QUANTIZE inside, activation functions, tables."""

from __future__ import annotations

import numpy as np

from ...arithmetic import ShiftRequantizer, TableRequantizer
from ...errors import InputError, UnsupportedError
from .. import tables
from ..assembly import CONSTANT, Term, Wires, combined, larger, once
from .builder import INT8, Builder
from .convolutions import same_quantization
from .records import Operator, Tensor

# A sum of INT8 that is INT8 again.
KEPT = ShiftRequantizer(0, "floor", *INT8)


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
    place = np.arange(target.size).reshape(target.shape) % run
    inside = (place < run - run % block) & bool(special)
    terms: list[Term] = []
    bias = np.zeros(target.shape, np.int64)
    for name, mask, rounding in (("", ~inside, ""), (".vector", inside, special)):
        if not mask.any():
            continue
        total = runtime.add(first.meaning, second.meaning, out, sign, rounding)
        for letter, wires, term in zip("ab", operands, total.terms, strict=True):
            terms.append((wires, term.weight * mask))
            bias -= term.weight * term.zero_point * mask
            if term.table is not None:
                some = Wires(np.where(mask, wires.values, CONSTANT), np.where(mask, wires.constants, 0))
                terms.append((once(b, f"{op.name}.{letter}{name}", some, 1, 0, term.table), term.sign * mask))
    b.give(target, combined(b, op.name, terms, bias, total.requantizer, target.format))


def mul(b: Builder, op: Operator) -> None:
    """A product with a constant: (a - z_a) (c - z_c)."""
    first, second, target = b.tensor(op, 0), b.tensor(op, 1), b.target(op)
    x, y = broadcast(b, first, second, target)
    zero_points = first.zero_point, second.zero_point
    if x.fixed.all():
        x, y, zero_points = y, x, zero_points[::-1]
    if not y.fixed.all():
        raise UnsupportedError("a product of two operands that are both computed, expected a constant one")
    weights = y.constants - zero_points[1]
    step = b.runtime.multiply(float(first.scale), float(second.scale), b.fused(op, target))
    b.give(target, combined(b, op.name, [(x, weights)], -zero_points[0] * weights, step, target.format))


def maximum(b: Builder, op: Operator) -> None:
    extremum(b, op, 1)


def minimum(b: Builder, op: Operator) -> None:
    extremum(b, op, -1)


def extremum(b: Builder, op: Operator, sign: int) -> None:
    first, second, target = b.tensor(op, 0), b.tensor(op, 1), b.target(op)
    for source in (first, second):
        same_quantization(source, target)
    b.give(target, larger(b, op.name, *broadcast(b, first, second, target), target.format, sign))


def relu(b: Builder, op: Operator) -> None:
    """RELU, RELU6 and RELU_N1_TO_1 as operators of their own: rescaled and clamped."""
    source, target = b.tensor(op, 0), b.target(op)
    step = b.runtime.relu(source.meaning, target.meaning, op.kind)
    b.give(target, combined(b, op.name, [(b.of(source), 1)], -source.zero_point, step, target.format))


def requantize(b: Builder, op: Operator) -> None:
    """QUANTIZE from INT8 to another scale of INT8."""
    source, target = b.tensor(op, 0), b.target(op)
    weight, steps = b.runtime.quantize(float(source.scale), target.size, target.meaning)
    b.give(target, combined(b, op.name, [(b.of(source), weight)], -weight * source.zero_point, steps, target.format))


def table(b: Builder, op: Operator) -> None:
    """LOGISTIC, TANH, HARD_SWISH and LEAKY_RELU: the output of each of the 256 integers, as what its steps up give less those down."""
    source, target = b.tensor(op, 0), b.target(op)
    values = tables.table(op.kind, b.runtime.name, source.meaning, target.meaning, op.options.get("Alpha", 0.0))
    steps = np.diff(values)
    wires = b.of(source)
    if (steps >= 0).all():
        b.give(target, combined(b, op.name, [(wires, 1)], 0, TableRequantizer(INT8[0], tuple(values.tolist())), target.format))
        return
    up, down = (np.concatenate([[0], np.cumsum(np.maximum(part, 0))]) for part in (steps, -steps))
    parts = [
        once(b, f"{op.name}.{name}", wires, 1, 0, TableRequantizer(INT8[0], tuple(part.tolist())))
        for name, part in (("up", up), ("down", down))
    ]
    b.give(target, combined(b, op.name, [(parts[0], 1), (parts[1], -1)], int(values[0]), KEPT, target.format))


# --- what they share ---


def broadcast(b: Builder, first: Tensor, second: Tensor, target: Tensor) -> tuple[Wires, Wires]:
    """Both operands in the output's shape."""
    if np.broadcast_shapes(first.shape, second.shape) != target.shape:
        raise InputError(f"{target.place}: shape {target.shape}, expected that of {first.shape} and {second.shape} together")
    b.charge(2 * target.size)
    x, y = (b.of(tensor).map(lambda a: np.broadcast_to(a, target.shape)) for tensor in (first, second))
    return x, y
