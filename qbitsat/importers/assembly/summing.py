"""Sums of few values: steps of single elements, weighted sums of several, and maxima."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...arithmetic import Requantizer, ShiftRequantizer
from ...network import SparseRows, TensorFormat
from .builder import Builder
from .convolving import Pair, out_size
from .wires import CONSTANT, Wires, stepped

# A part of a sum: the elements, and what each counts, in their shape.
Term = tuple[Wires, np.ndarray | int]
Steps = Requantizer | tuple[Requantizer, ...]


def once(b: Builder, name: str, wires: Wires, weight: int, bias: int, step: Requantizer, form: TensorFormat | None = None) -> Wires:
    """step(weight * x + bias) of each element, each value once however often it is there; form is what the result means."""
    fixed = wires.fixed
    constants = np.zeros(wires.shape, np.int64)
    constants[fixed] = stepped(step, weight * wires.constants[fixed] + bias)
    values = np.full(wires.shape, CONSTANT, np.int32)
    if not fixed.all():
        distinct, places = np.unique(wires.values[~fixed], return_inverse=True)
        made = b.sums(name, distinct[:, None], [weight], bias, (step,), form or TensorFormat((1,), step.lo, step.hi))
        values[~fixed] = made[places]
    return Wires(values, constants)


def combined(b: Builder, name: str, terms: Sequence[Term], bias: np.ndarray | int, steps: Steps, form: TensorFormat) -> Wires:
    """step(bias + the sum of weight * element) for each element of the terms, all of one shape; without elements that are computed, a
    constant. steps are one for all, or one for each element; form is what the result means.
    """
    shape, steps = terms[0][0].shape, (steps,) if isinstance(steps, Requantizer) else steps
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
    if not live.all():
        still = np.flatnonzero(~live)
        cases, places = np.unique(np.stack([still % len(steps), biases[still]]), axis=1, return_inverse=True)
        constants[still] = np.array([stepped(steps[k], acc) for k, acc in cases.T.tolist()], np.int64)[places.ravel()]
    if live.any():
        kept = steps if len(steps) == 1 else tuple(steps[i] for i in np.flatnonzero(live).tolist())
        values[live] = weighted(b, name, reads[live], matrix[live], biases[live], kept, form)
    return Wires(values, constants).reshape(*shape)


def weighted(
    b: Builder, name: str, reads: np.ndarray, weights: np.ndarray, bias: np.ndarray, steps: tuple[Requantizer, ...], form: TensorFormat
) -> np.ndarray:
    """The layer of some sums, each a row of reads and weights: one set of weights where all have the same."""
    if (weights == weights[0]).all() and (bias == bias[0]).all():
        part = weights[0] != 0
        return b.sums(name, reads[:, part], weights[0, part].tolist(), int(bias[0]), steps, form)
    b.charge(reads.size)
    used = weights != 0
    rows = SparseRows(int(used.sum()), np.concatenate([[0], np.cumsum(used.sum(axis=1))]), np.arange(used.sum()), weights[used], bias)
    return b.linear(name, rows, steps, form, reads[used])


def larger(b: Builder, name: str, x: Wires, y: Wires, form: TensorFormat, sign: int = 1) -> Wires:
    """The larger of each two elements, the smaller with sign -1: max(x, y) = y + max(x - y, 0) and min(x, y) = x - max(x - y, 0).

    form says what all of them mean, and their range. Pairs of one element, of two constants, and of one with the integer that is never
    larger cost nothing; a pair that comes twice, once.
    """
    shape, least = x.shape, form.lo if sign > 0 else form.hi
    above_0, kept_inside = ShiftRequantizer(0, "floor", 0, form.hi - form.lo), ShiftRequantizer(0, "floor", form.lo, form.hi)
    x, y = (wires.map(np.ravel) for wires in (x, y))
    both = x.fixed & y.fixed
    extreme = np.maximum(x.constants, y.constants) if sign > 0 else np.minimum(x.constants, y.constants)
    take_y = x.fixed & (x.constants == least) & ~both
    values, constants = np.where(take_y, y.values, x.values), np.where(both, extreme, np.where(take_y, y.constants, x.constants))
    needed = ~both & ~take_y & (x.values != y.values) & ~(y.fixed & (y.constants == least))
    if needed.any():
        pairs = np.stack([b.values(Wires(w.values[needed], w.constants[needed])) for w in (x, y)], axis=1)
        distinct, places = np.unique(np.sort(pairs, axis=1), axis=0, return_inverse=True)
        above = b.sums(f"{name}.above", distinct, [1, -1], 0, (above_0,), TensorFormat((1,), 0, 0, form.scale))
        kept = distinct[:, 1] if sign > 0 else distinct[:, 0]
        made = b.sums(name, np.stack([kept, above], axis=1), [1, sign], 0, (kept_inside,), form)
        values[needed], constants[needed] = made[places.ravel()], 0
    return Wires(values, constants).reshape(*shape)


def pooled(b: Builder, name: str, wires: Wires, axis: int, shape: tuple[int, int, Pair], form: TensorFormat) -> Wires:
    """The largest of windows along an axis, of (length, stride, padding): what lies outside repeats the border, which is inside."""
    size, (length, stride, padding) = wires.shape[axis], shape
    count = out_size(size, length, stride, padding, 1)
    b.charge(wires.values.size // size * count * length)
    cells = np.clip(np.arange(count)[:, None] * stride - padding[0] + np.arange(length), 0, size - 1)
    rows = wires.map(lambda a: np.moveaxis(a, axis, -1))
    best = largest(b, name, rows[..., cells].reshape(-1, length), form)
    return best.reshape(*rows.shape[:-1], count).map(lambda a: np.moveaxis(a, -1, axis))


def largest(b: Builder, name: str, groups: Wires, form: TensorFormat, sign: int = 1) -> Wires:
    """The largest of each row of (n, k), with sign -1 the smallest, by halves: (n,)."""
    level = 0
    while groups.shape[1] > 1:
        half = groups.shape[1] // 2
        b.charge(groups.values.size)
        best = larger(b, f"{name}.{level}", groups[:, :half], groups[:, half : 2 * half], form, sign)
        rest = groups[:, 2 * half :]
        groups = Wires(np.hstack([best.values, rest.values]), np.hstack([best.constants, rest.constants]))
        level += 1
    return groups[:, 0]
