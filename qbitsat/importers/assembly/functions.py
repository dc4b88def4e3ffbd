"""Functions of single integers: a table for each element, often one for each channel."""

from __future__ import annotations

import numpy as np

from ...arithmetic import ShiftRequantizer, TableRequantizer
from ...errors import UnsupportedError
from ...network import TensorFormat
from .builder import Builder
from .summing import combined, once
from .wires import CONSTANT, Wires

# Tables that are one layer each; more of them are one layer with a step for each output.
MOST_LAYERS = 8


def mapped(b: Builder, name: str, x: Wires, lo: int, integers: np.ndarray, which: np.ndarray, form: TensorFormat) -> Wires:
    """integers[which[i], x[i] - lo] of each element of x: tables int64[n, count] of what they become, and of which table each element is;
    form is what the result means, and its range.
    """
    tables, renamed = np.unique(integers, axis=0, return_inverse=True)
    which = renamed.reshape(-1)[which]
    steps = np.diff(tables, axis=1)
    if (steps >= 0).all():
        return monotone(b, name, x, lo, tables, which, form)
    if tables.size and (steps <= 0).all() and not x.fixed.any() and len(tables) == 1:
        step = TableRequantizer(1 - lo - tables.shape[1], tuple(tables[0, ::-1].tolist()))
        return once(b, name, x, -1, 0, step, form)
    # What the steps up give, less what those down give.
    parts = [np.cumsum(np.hstack([np.zeros((len(tables), 1), np.int64), np.maximum(side, 0)]), axis=1) for side in (steps, -steps)]
    up, down = (
        monotone(b, f"{name}.{side}", x, lo, part, which, TensorFormat((1,), 0, int(part.max()) or 1))
        for side, part in zip(("up", "down"), parts, strict=True)
    )
    kept = ShiftRequantizer(0, "floor", form.lo, form.hi)
    return combined(b, name, [(up, 1), (down, -1)], tables[:, 0][which], kept, form)


def monotone(b: Builder, name: str, x: Wires, lo: int, tables: np.ndarray, which: np.ndarray, form: TensorFormat) -> Wires:
    """The same for tables that never decrease."""
    requantizers = [TableRequantizer(lo, tuple(table)) for table in tables.tolist()]
    if len(tables) == 1:
        return once(b, name, x, 1, 0, requantizers[0], form)
    fixed, axis = x.fixed, channel_axis(which)
    if axis is not None and not fixed.any():
        last = x.map(lambda a: np.moveaxis(a, axis, -1))
        channels = np.moveaxis(which, axis, -1).reshape(-1, which.shape[axis])[0]
        steps = tuple(requantizers[k] for k in channels.tolist())
        made = b.sums(name, last.values.reshape(-1, 1), [1], 0, steps, form).reshape(last.shape)
        return Wires.of_values(np.moveaxis(made, -1, axis))
    values, constants = np.full(which.shape, CONSTANT, np.int32), np.zeros(which.shape, np.int64)
    if len(tables) > MOST_LAYERS:
        raise UnsupportedError(f"{len(tables)} different functions of its elements, expected one, or one for each channel")
    for k, requantizer in enumerate(requantizers):
        mine = which == k
        part = once(b, f"{name}.{k}", x[mine], 1, 0, requantizer, form)
        values[mine], constants[mine] = part.values, part.constants
    return Wires(values, constants)


def channel_axis(which: np.ndarray) -> int | None:
    """The axis along which alone the tables differ."""
    for axis in range(which.ndim):
        if (which == which.take([0], 0 if which.ndim < 1 else axis)).all():
            continue
        others = tuple(k for k in range(which.ndim) if k != axis)
        same = (which == which.max(axis=others, keepdims=True)).all() if others else True
        return axis if same else None
    return 0 if which.ndim else None
