"""Floats inside the network: DEQUANTIZE, functions of them, and QUANTIZE.

Each is a function of one integer. Of the wires of a FLOAT32 tensor the values say of which integer, and the constants, of all elements,
which function: its place in Builder.floats, or OUTSIDE of floats that are inputs.
"""

from __future__ import annotations

import math

import numpy as np

from ...errors import InputError, UnsupportedError
from .. import float_steps
from ..assembly import CONSTANT, Wires, mapped
from .builder import INT8, OUTSIDE, Builder
from .records import Operator, Tensor
from .schema import ACTIVATIONS

INTEGERS = np.arange(INT8[0], INT8[1] + 1)
CLAMPS = ("RELU", "RELU6", "RELU_N1_TO_1")
KINDS = ("DEQUANTIZE", *float_steps.UNARY, *float_steps.BINARY)


def compute(b: Builder, op: Operator) -> None:
    """An operator whose output are floats."""
    if op.kind == "DEQUANTIZE":
        dequantize(b, op)
    else:
        (binary if op.kind in float_steps.BINARY else unary)(b, op)


def dequantize(b: Builder, op: Operator) -> None:
    """Of integers that are computed, and of each constant, a function; what is in vectors has others."""
    source, target = b.tensor(op, 0), b.target(op)
    wires, meaning = b.of(source), source.meaning
    vector = float_steps.in_vectors(b.runtime.name, wires.size).reshape(wires.shape)
    cases, places = np.unique(2 * np.where(wires.fixed, wires.constants, INT8[1] + 1) + vector, return_inverse=True)
    b.charge(4 * INTEGERS.size * len(cases))
    # Integers that cannot be stand for the nearest that can.
    live = wires.values[~wires.fixed]
    reached = np.clip(INTEGERS, *b.range_of(live)) if live.size else INTEGERS
    q = np.where((cases >> 1 > INT8[1])[:, None], reached, (cases >> 1)[:, None])
    floats = float_steps.dequantized(q, meaning, (cases & 1).astype(bool)[:, None])
    give(b, target, wires.values, np.stack([floats, floats], axis=1), places)


def unary(b: Builder, op: Operator) -> None:
    tables, places, x = distinct(b, b.tensor(op, 0))
    give(b, b.target(op), x.values, float_steps.unary(op.kind, b.runtime.name, tables, op.options), places)


def binary(b: Builder, op: Operator) -> None:
    """Of two functions of the same integers, or of one and constants."""
    first, second, target = b.tensor(op, 0), b.tensor(op, 1), b.target(op)
    shape = np.broadcast_shapes(first.shape, second.shape)
    b.charge(2 * math.prod(shape))
    x, y = (floats_of(b, tensor).map(lambda a: np.broadcast_to(a, shape)) for tensor in (first, second))
    if not (x.fixed | y.fixed | (x.values == y.values)).all():
        raise UnsupportedError("of floats that depend on two integers, expected functions of the same one, or constants")
    count = len(b.floats)
    pairs, places = np.unique(x.constants * count + y.constants, return_inverse=True)
    b.charge(4 * INTEGERS.size * len(pairs))
    tables = [np.stack([b.floats[k] for k in numbers.tolist()]) for numbers in (pairs // count, pairs % count)]
    made = float_steps.binary(op.kind, b.runtime.name, *tables)
    give(b, target, np.where(x.fixed, y.values, x.values), clamped(op, made), places)


def clamped(op: Operator, tables: np.ndarray) -> np.ndarray:
    """What the fused activation function leaves."""
    number = op.options.get("FusedActivationFunction", 0)
    name = ACTIVATIONS[number] if 0 <= number < len(ACTIVATIONS) else str(number)
    if name != "NONE" and name not in CLAMPS:
        raise UnsupportedError(f"fused activation function {name}, expected NONE, {', '.join(CLAMPS)}")
    return tables if name == "NONE" else float_steps.unary(name, "", tables, {})


def quantize(b: Builder, op: Operator) -> Wires:
    """A table for each function; one that leaves all integers as they are costs nothing, and floats from outside stay what they are."""
    source, target = b.tensor(op, 0), b.target(op)
    x = b.of(source)
    inner = x.constants != OUTSIDE
    vector = float_steps.in_vectors(b.runtime.name, x.size).reshape(x.shape)
    cases, found = np.unique((2 * x.constants + vector)[inner], return_inverse=True)
    places = np.zeros(x.shape, np.int64)
    places[inner] = found.ravel()
    b.charge(4 * INTEGERS.size * len(cases))
    floats = np.stack([b.floats[k] for k in (cases >> 1).tolist()])
    least, most = np.moveaxis(float_steps.quantized(b.runtime.name, floats, target.meaning, (cases & 1).astype(bool)[:, None, None]), 1, 0)
    if (least != most).any():
        value = floats[:, 0][least != most][0]
        raise UnsupportedError(f"{value:g} in steps of {target.scale:g} is too near a tie to say what {b.runtime.name} gives")
    fixed = x.fixed
    values, constants = np.full(x.shape, CONSTANT, np.int32), np.where(fixed, least[places, 0], 0)
    kept = ~fixed & (~inner | (least == INTEGERS).all(axis=1)[places])
    values[kept] = x.values[kept]
    left = ~fixed & ~kept
    if left.all():
        return table_layers(b, op, x.values, least, places)
    if left.any():
        values[left] = table_layers(b, op, x.values[left], least, places[left]).values
    return Wires(values, constants)


def table_layers(b: Builder, op: Operator, values: np.ndarray, tables: np.ndarray, which: np.ndarray) -> Wires:
    return mapped(b, op.name, Wires.of_values(values), INT8[0], tables, which, b.target(op).format)


# --- what they share ---


def floats_of(b: Builder, tensor: Tensor) -> Wires:
    """The wires of floats that are functions of integers."""
    x = b.of(tensor)
    if (x.constants == OUTSIDE).any():
        raise UnsupportedError(f"{tensor.place}: floats from outside, expected a QUANTIZE before anything is computed")
    return x


def distinct(b: Builder, tensor: Tensor) -> tuple[np.ndarray, np.ndarray, Wires]:
    """The functions that a tensor has, float32[n, 2, 256], which of them each element is, and its wires."""
    x = floats_of(b, tensor)
    numbers, places = np.unique(x.constants, return_inverse=True)
    b.charge(4 * INTEGERS.size * len(numbers))
    return np.stack([b.floats[k] for k in numbers.tolist()]), places, x


def give(b: Builder, target: Tensor, values: np.ndarray, tables: np.ndarray, places: np.ndarray) -> None:
    """An output of floats: tables[places] of the values."""
    if target.type != "FLOAT32":
        raise InputError(f"{target.place}: type {target.type}, expected FLOAT32")
    first = len(b.floats)
    b.floats.extend(tables)
    b.give(target, Wires(values, first + places.reshape(values.shape).astype(np.int64)))
