"""Operators on single elements and pairs of them: ADD, SUB, MUL, MAXIMUM, MINIMUM, QUANTIZE inside, activation functions, tables."""

from __future__ import annotations

import numpy as np

from ...arithmetic import Requantizer, ShiftRequantizer, TableRequantizer
from ...errors import InputError, UnsupportedError
from ...network import SparseRows, TensorFormat
from .. import tables
from .builder import CONSTANT, INT8, Builder, Wires
from .convolutions import same_quantization
from .records import Operator, Tensor

# What is left of a difference above 0, and a sum of INT8 that is INT8 again.
ABOVE, KEPT = ShiftRequantizer(0, "floor", 0, 255), ShiftRequantizer(0, "floor", *INT8)
# A part of a sum: the elements, and what each counts, in their shape.
Term = tuple[Wires, np.ndarray | int]
Steps = Requantizer | tuple[Requantizer, ...]


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
    b.give(target, combined(b, op.name, terms, bias, total.requantizer, target))


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
    b.give(target, combined(b, op.name, [(x, weights)], -zero_points[0] * weights, step, target))


def maximum(b: Builder, op: Operator) -> None:
    extremum(b, op, 1)


def minimum(b: Builder, op: Operator) -> None:
    extremum(b, op, -1)


def extremum(b: Builder, op: Operator, sign: int) -> None:
    first, second, target = b.tensor(op, 0), b.tensor(op, 1), b.target(op)
    for source in (first, second):
        same_quantization(source, target)
    b.give(target, larger(b, op.name, *broadcast(b, first, second, target), target, sign))


def relu(b: Builder, op: Operator) -> None:
    """RELU, RELU6 and RELU_N1_TO_1 as operators of their own: rescaled and clamped."""
    source, target = b.tensor(op, 0), b.target(op)
    step = b.runtime.relu(source.meaning, target.meaning, op.kind)
    b.give(target, combined(b, op.name, [(b.of(source), 1)], -source.zero_point, step, target))


def requantize(b: Builder, op: Operator) -> None:
    """QUANTIZE from INT8 to another scale of INT8."""
    source, target = b.tensor(op, 0), b.target(op)
    weight, steps = b.runtime.quantize(float(source.scale), target.size, target.meaning)
    b.give(target, combined(b, op.name, [(b.of(source), weight)], -weight * source.zero_point, steps, target))


def table(b: Builder, op: Operator) -> None:
    """LOGISTIC, TANH, HARD_SWISH and LEAKY_RELU: the output of each of the 256 integers, as what its steps up give less those down."""
    source, target = b.tensor(op, 0), b.target(op)
    values = tables.table(op.kind, b.runtime.name, source.meaning, target.meaning, op.options.get("Alpha", 0.0))
    steps = np.diff(values)
    wires = b.of(source)
    if (steps >= 0).all():
        b.give(target, combined(b, op.name, [(wires, 1)], 0, TableRequantizer(INT8[0], tuple(values.tolist())), target))
        return
    up, down = (np.concatenate([[0], np.cumsum(np.maximum(part, 0))]) for part in (steps, -steps))
    parts = [
        once(b, f"{op.name}.{name}", wires, 1, 0, TableRequantizer(INT8[0], tuple(part.tolist())))
        for name, part in (("up", up), ("down", down))
    ]
    b.give(target, combined(b, op.name, [(parts[0], 1), (parts[1], -1)], int(values[0]), KEPT, target))


# --- what they share ---


def broadcast(b: Builder, first: Tensor, second: Tensor, target: Tensor) -> tuple[Wires, Wires]:
    """Both operands in the output's shape."""
    if np.broadcast_shapes(first.shape, second.shape) != target.shape:
        raise InputError(f"{target.place}: shape {target.shape}, expected that of {first.shape} and {second.shape} together")
    b.charge(2 * target.size)
    x, y = (b.of(tensor).map(lambda a: np.broadcast_to(a, target.shape)) for tensor in (first, second))
    return x, y


def once(b: Builder, name: str, wires: Wires, weight: int, bias: int, step: Requantizer) -> Wires:
    """step(weight * x + bias) of each element, each value once however often it is there."""
    fixed = wires.fixed
    constants = np.where(fixed, step.apply(weight * wires.constants + bias), 0)
    values = np.full(wires.shape, CONSTANT, np.int32)
    if not fixed.all():
        distinct, places = np.unique(wires.values[~fixed], return_inverse=True)
        made = b.sums(name, distinct[:, None], [weight], bias, (step,), TensorFormat((1,), 0, 0))
        values[~fixed] = made[places]
    return Wires(values, constants)


def combined(b: Builder, name: str, terms: list[Term], bias: np.ndarray | int, steps: Steps, target: Tensor) -> Wires:
    """step(bias + the sum of weight * element) for each element of the target's shape; without elements that are computed, a constant.

    steps are one for all, or one for each element.
    """
    shape, steps = target.shape, (steps,) if isinstance(steps, Requantizer) else steps
    biases = np.broadcast_to(np.asarray(bias, np.int64), shape).ravel().copy()
    columns, weights = [], []
    for wires, factor in terms:
        factors = np.broadcast_to(np.asarray(factor, np.int64), shape).ravel()
        fixed = wires.fixed.ravel()
        biases += np.where(fixed, factors * wires.constants.ravel(), 0)
        columns.append(wires.values.ravel())
        weights.append(np.where(fixed, 0, factors))
    reads, matrix = np.stack(columns, axis=1), np.stack(weights, axis=1)
    live = np.any(matrix, axis=1)
    values, constants = np.full(len(biases), CONSTANT, np.int32), np.zeros(len(biases), np.int64)
    for i in np.flatnonzero(~live).tolist():
        constants[i] = steps[i % len(steps)].apply(int(biases[i]))
    if live.any():
        kept = steps if len(steps) == 1 else tuple(steps[i] for i in np.flatnonzero(live).tolist())
        values[live] = weighted(b, name, reads[live], matrix[live], biases[live], kept, target)
    return Wires(values, constants).reshape(*shape)


def weighted(
    b: Builder, name: str, reads: np.ndarray, weights: np.ndarray, bias: np.ndarray, steps: tuple[Requantizer, ...], target: Tensor
) -> np.ndarray:
    """The layer of some sums, each a row of reads and weights: one set of weights where all have the same."""
    if (weights == weights[0]).all() and (bias == bias[0]).all():
        part = weights[0] != 0
        return b.sums(name, reads[:, part], weights[0, part].tolist(), int(bias[0]), steps, target.format)
    b.charge(reads.size)
    used = weights != 0
    rows = SparseRows(int(used.sum()), np.concatenate([[0], np.cumsum(used.sum(axis=1))]), np.arange(used.sum()), weights[used], bias)
    lo, hi = b.range_of(reads[used])
    return b.linear(name, rows, (lo, hi), steps, target.format, reads[used])


def larger(b: Builder, name: str, x: Wires, y: Wires, target: Tensor, sign: int = 1) -> Wires:
    """The larger of each two elements, the smaller with sign -1: max(x, y) = y + max(x - y, 0) and min(x, y) = x - max(x - y, 0).

    Pairs of one element, of two constants, and of one with the integer that is never larger cost nothing; a pair that comes twice, once.
    """
    shape, least = x.shape, INT8[0] if sign > 0 else INT8[1]
    x, y = (wires.map(np.ravel) for wires in (x, y))
    both = x.fixed & y.fixed
    extreme = np.maximum(x.constants, y.constants) if sign > 0 else np.minimum(x.constants, y.constants)
    take_y = x.fixed & (x.constants == least) & ~both
    values, constants = np.where(take_y, y.values, x.values), np.where(both, extreme, np.where(take_y, y.constants, x.constants))
    needed = ~both & ~take_y & (x.values != y.values) & ~(y.fixed & (y.constants == least))
    if needed.any():
        pairs = np.stack([b.values(Wires(w.values[needed], w.constants[needed])) for w in (x, y)], axis=1)
        distinct, places = np.unique(np.sort(pairs, axis=1), axis=0, return_inverse=True)
        above = b.sums(f"{name}.above", distinct, [1, -1], 0, (ABOVE,), TensorFormat((1,), 0, 0, target.format.scale))
        kept = distinct[:, 1] if sign > 0 else distinct[:, 0]
        made = b.sums(name, np.stack([kept, above], axis=1), [1, sign], 0, (KEPT,), target.format)
        values[needed], constants[needed] = made[places.ravel()], 0
    return Wires(values, constants).reshape(*shape)
