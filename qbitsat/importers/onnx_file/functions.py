"""Functions of single elements, in float32 as the runtime computes them: tables of one integer each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ...errors import InputError, UnsupportedError
from ...network import TensorFormat
from ..assembly import clamped
from .floats import quantized
from .quantizing import Target, clamp_limits, dequantized, group, target_of
from .records import Node
from .session import Session
from .shapes import constant, has
from .tables import mapped
from .values import Dequantized, Integers, Stored, Tabulated, Value, f32

Function = Callable[[np.ndarray], np.ndarray]
# How far the runtime's polynomials for these functions may be from them: more than was measured.
DOUBT = 2.0**-21
# How many tensors may be the same integers before a Clip makes a layer of its own.
MOST_NAMES = 4
SMOOTH: dict[str, Function] = {"Sigmoid": lambda x: 1 / (1 + np.exp(-x)), "Tanh": np.tanh}


def unary(s: Session, node: Node) -> None:
    """Relu, Clip, LeakyRelu, Neg, Abs, HardSigmoid, HardSwish, each step rounded to float32."""
    if node.op == "Clip" and clip_integers(s, node):
        return
    x = s.computed(node, 0, Dequantized, Tabulated).tabulated
    if node.op in ("Relu", "Clip"):
        lo, hi = clamp_limits(s, node)
        tables = np.minimum(np.maximum(x.tables, lo), hi)
    elif node.op == "LeakyRelu":
        tables = leaky(x.tables, node)
    elif node.op == "HardSigmoid":
        tables = hard_sigmoid(x.tables, node.attributes.get("alpha", 0.2), node.attributes.get("beta", 0.5))
    elif node.op == "HardSwish":
        tables = x.tables * hard_sigmoid(x.tables, 1 / 6, 0.5)
    else:
        tables = -x.tables if node.op == "Neg" else np.abs(x.tables)
    s.give(node, Tabulated(x.wires, x.lo, tables, x.which))


def clip_integers(s: Session, node: Node) -> bool:
    """A Clip of integers, as between QuantizeLinear and DequantizeLinear where they have fewer than 8 bits; False if it is of floats."""
    x = s.get(node, 0)
    constant_integers = isinstance(x, np.ndarray) and x.dtype.kind in "iu"
    if not (constant_integers or isinstance(x, Integers)):
        return False
    least, most = (np.iinfo(x.dtype).min, np.iinfo(x.dtype).max) if constant_integers else (x.lo, x.hi)
    lo, hi = (int(constant(s, node, i).item()) if has(node, i) else end for i, end in ((1, least), (2, most)))
    if not least <= lo <= hi <= most:
        raise InputError(f"limits {lo} and {hi}, expected integers of the type in order")
    if constant_integers:
        s.give(node, np.clip(x, lo, hi))
        return True
    wires = clamped(s.b, node.name, x.wires, (lo, hi), TensorFormat((1,), x.lo, x.hi), is_alone(s, node))
    s.give(node, replace(x, wires=wires, of=x.of and replace(x.of, tables=np.clip(x.of.tables, lo, hi))))
    return True


def is_alone(s: Session, node: Node) -> bool:
    """Whether nothing but the node reads what makes its integers: neither they nor what they are by another name, a few names back."""
    name, wires = node.inputs[0], s.values[node.inputs[0]].wires
    held = wires.values[~wires.fixed]
    for _ in range(MOST_NAMES):
        maker = s.makers.get(name)
        if len(s.readers.get(name, [])) != 1 or name in s.graph.outputs:
            return False
        found = [(i, s.values.get(i)) for i in maker.inputs] if maker is not None else []
        others = [i for i, value in found if isinstance(value, Value) and np.isin(value.wires.values, held).any()]
        if len(others) != 1:
            return not others
        name = others[0]
    return False


def leaky(x: np.ndarray, node: Node) -> np.ndarray:
    return np.where(x >= 0, x, x * f32(node.attributes.get("alpha", 0.01)))


def hard_sigmoid(x: np.ndarray, alpha: float, beta: float) -> np.ndarray:
    return np.maximum(np.minimum(f32(alpha) * x + f32(beta), f32(1)), f32(0))


def qlinear_leaky(s: Session, node: Node) -> None:
    x, target = dequantized(s, node, 0, 1, 2), target_of(s, node, 3, 4)
    form, table = target.form, x.tabulated
    ends = quantized(leaky(table.tables, node), f32(form.scale), form.zero_point, form.lo, form.hi)
    target.give(s, mapped(s.b, node.name, table, ends, form), replace(table, tables=ends))


# --- functions with constants for each channel ---


def by_channel(x: Tabulated, shape: tuple[int, ...], function: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Tabulated:
    """function(floats, channels) of each pair of a table and a channel; `shape` is that of the constants, which broadcasts to x's."""
    places = np.broadcast_to(np.arange(int(np.prod(shape))).reshape(shape), x.shape)
    count = int(np.prod(shape))
    pairs, which = np.unique(x.which.astype(np.int64) * count + places, return_inverse=True)
    return Tabulated(x.wires, x.lo, function(x.tables[pairs // count], pairs % count), which.reshape(x.shape).astype(np.int32))


def floats_of(s: Session, node: Node, which: int) -> np.ndarray:
    """Constants, stored as floats or as integers."""
    x = s.get(node, which)
    x = x.floats if isinstance(x, Stored) else constant(s, node, which)
    if x.dtype != np.float32:
        raise UnsupportedError(f"input {which} is {x.dtype}, expected float32")
    return x


def prelu(s: Session, node: Node) -> None:
    x, slopes = s.computed(node, 0, Dequantized, Tabulated).tabulated, floats_of(s, node, 1)
    if np.broadcast_shapes(x.shape, slopes.shape) != x.shape:
        raise InputError(f"slopes of shape {slopes.shape} for {x.shape}")
    s.charge(x.tables.shape[1] * slopes.size)
    factors = slopes.ravel()[:, None]
    s.give(node, by_channel(x, slopes.shape, lambda floats, k: np.where(floats > 0, floats, floats * factors[k])))


def batch_normalization(s: Session, node: Node) -> None:
    """x f + (bias - mean f), f = (1 / sqrt(variance + epsilon)) * scale."""
    x = s.computed(node, 0, Dequantized, Tabulated).tabulated
    scale, bias, mean, variance = (floats_of(s, node, i) for i in (1, 2, 3, 4))
    if len(node.outputs) > 1 or node.attributes.get("training_mode"):
        raise UnsupportedError("in training, expected it as it is run")
    if len(x.shape) < 2 or any(part.shape != (x.shape[1],) for part in (scale, bias, mean, variance)):
        raise InputError(f"constants of shapes {scale.shape}, {bias.shape}, {mean.shape} and {variance.shape} for {x.shape}")
    s.charge(x.tables.shape[1] * len(scale))
    factors = f32(1) / np.sqrt(variance + f32(node.attributes.get("epsilon", 1e-5))) * scale
    terms = bias - mean * factors
    shape = (len(scale), *[1] * (len(x.shape) - 2))
    s.give(node, by_channel(x, shape, lambda floats, k: floats * factors[k][:, None] + terms[k][:, None]))


# --- functions that a runtime has polynomials for ---


def sigmoid(s: Session, node: Node) -> None:
    """Sigmoid and Tanh before a QuantizeLinear."""
    x = s.computed(node, 0, Dequantized, Tabulated)
    readers = s.readers_of(node)
    if len(readers) != 1 or readers[0].op != "QuantizeLinear":
        raise UnsupportedError("its only reader is no QuantizeLinear, expected one")
    if isinstance(x, Dequantized) and node.op == "Sigmoid":
        smooth(s, node, x.tabulated, SMOOTH[node.op], group(s, node, []))
        return
    s.done.add(readers[0].index)
    smooth(s, node, x.tabulated, SMOOTH[node.op], target_of(s, readers[0], 1, 2))


def qlinear_sigmoid(s: Session, node: Node) -> None:
    smooth(s, node, dequantized(s, node, 0, 1, 2).tabulated, SMOOTH["Sigmoid"], target_of(s, node, 3, 4))


def smooth(s: Session, node: Node, x: Tabulated, function: Function, target: Target) -> None:
    """The function, wherever it is far enough from a tie that no polynomial for it can give another integer."""
    form, exact = target.form, function(x.tables.astype(np.float64))
    low, high = (quantized((exact + sign * DOUBT).astype(f32), f32(form.scale), form.zero_point, form.lo, form.hi) for sign in (-1, 1))
    if (low != high).any():
        value = x.tables[low != high][0]
        raise UnsupportedError(f"{node.op} of {value:g} in steps of {form.scale:g} is too near a tie to say what {s.runtime} gives")
    target.give(s, mapped(s.b, node.name, x, low, form), replace(x, tables=low))
