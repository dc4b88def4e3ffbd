"""MEAN, SUM, REDUCE_MAX, REDUCE_MIN and MAX_POOL_2D."""

from __future__ import annotations

import numpy as np

from ...arithmetic import Requantizer, ShiftRequantizer
from ...errors import InputError, UnsupportedError
from ..assembly import CONSTANT, Wires, combined, largest, pooled, stepped
from .builder import INT8, Builder
from .convolutions import geometry, image, same_quantization, window
from .records import Operator


def mean(b: Builder, op: Operator) -> None:
    groups, shape = reduced(b, op)
    give_sums(b, op, groups, shape, *mean_steps(b, op, groups.shape[1]))


def sum_(b: Builder, op: Operator) -> None:
    groups, shape = reduced(b, op)
    bias, step = b.runtime.sum(b.tensor(op, 0).meaning, groups.shape[1], b.target(op).meaning)
    give_sums(b, op, groups, shape, bias, (step,))


def give_sums(b: Builder, op: Operator, groups: Wires, shape: tuple[int, ...], bias: int, steps: tuple[Requantizer, ...]) -> None:
    """step(bias + sum) of each row of (n, count); steps are one, or one for each output."""
    target, count = b.target(op), groups.shape[1]
    constant = np.all(groups.fixed, axis=1)
    sums = np.where(constant, groups.constants.sum(axis=1), 0) + bias
    values, constants = np.full(groups.shape[0], CONSTANT, np.int32), np.zeros(groups.shape[0], np.int64)
    for i in np.flatnonzero(constant).tolist():
        constants[i] = stepped(steps[i % len(steps)], int(sums[i]))
    if not constant.all():
        reads = b.values(groups[~constant])
        kept = steps if len(steps) == 1 else tuple(steps[i] for i in np.flatnonzero(~constant).tolist())
        values[~constant] = b.sums(op.name, reads, [1] * count, bias, kept, target.format)
    b.give(target, Wires(values, constants).reshape(*shape))


def mean_steps(b: Builder, op: Operator, count: int) -> tuple[int, tuple[Requantizer, ...]]:
    """The constant of the sums, and their steps, one or one for each output."""
    source, target = b.tensor(op, 0), b.target(op)
    axes = {axis % len(source.shape) for axis in b.constant(op, 1).ravel().tolist()}
    if b.runtime.name == "tflite-opt" and len(source.shape) == 4 and axes == {1, 2} and op.options["KeepDims"]:
        return 0, b.runtime.mean_of_image(source.meaning, count, source.shape[3], target.meaning)
    bias, step = b.runtime.mean(source.meaning, count, target.meaning)
    return bias, (step,)


def extreme(b: Builder, op: Operator) -> None:
    """REDUCE_MAX and REDUCE_MIN."""
    source, target = b.tensor(op, 0), b.target(op)
    same_quantization(source, target)
    sign = 1 if op.kind == "REDUCE_MAX" else -1
    groups, shape = reduced(b, op)
    b.give(target, largest(b, op.name, groups, target.format, sign).reshape(*shape))


def max_pool_2d(b: Builder, op: Operator) -> None:
    """Along rows and then along columns, so that windows that overlap share."""
    source, target = b.tensor(op, 0), b.target(op)
    same_quantization(source, target)
    wires, kernel = image(b, op), window(op)
    strides, _, padding = geometry(op, wires.shape[:2], kernel)
    for axis in (1, 0):
        wires = pooled(b, f"{op.name}.{'yx'[axis]}", wires, axis, (kernel[axis], strides[axis], padding[axis]), target.format)
    out = b.fused(op, target)
    result = wires[None]
    if (out.lo, out.hi) != INT8:
        result = combined(b, f"{op.name}.clamp", [(result, 1)], 0, ShiftRequantizer(0, "floor", out.lo, out.hi), target.format)
    b.give(target, result)


def reduced(b: Builder, op: Operator) -> tuple[Wires, tuple[int, ...]]:
    """The elements of each output in a row, (outputs, elements of one), and the shape of the outputs."""
    source, target = b.tensor(op, 0), b.target(op)
    axes = b.constant(op, 1).ravel().tolist()
    rank = len(source.shape)
    if not all(-rank <= axis < rank for axis in axes):
        raise InputError(f"{b.tensor(op, 1).place}: axes {axes}, expected axes of {source.shape}")
    gone = sorted({axis % rank for axis in axes})
    if not gone:
        raise UnsupportedError(f"{b.tensor(op, 1).place}: no axes, expected at least one")
    kept = [axis for axis in range(rank) if axis not in gone]
    expected = (
        [1 if axis in gone else n for axis, n in enumerate(source.shape)] if op.options["KeepDims"] else [source.shape[a] for a in kept]
    )
    if tuple(expected) != target.shape and not target.open:
        raise InputError(f"{target.place}: shape {target.shape}, expected {tuple(expected)}")
    count = int(np.prod([source.shape[axis] for axis in gone]))
    return b.of(source).map(lambda a: a.transpose(*kept, *gone).reshape(-1, count)), tuple(expected)
