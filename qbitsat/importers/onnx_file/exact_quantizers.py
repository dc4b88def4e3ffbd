"""Quantizers of exact files, and their operands: constants on a grid, sums, and inputs from outside."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from ...arithmetic import ThresholdRequantizer
from ...errors import InputError, UnsupportedError
from ...network import TensorFormat
from .floats import exponent
from .pending import ROUNDINGS, Line, Pending, Quantizer, Scaled, quantize, raw, thresholds
from .records import Node
from .session import Session
from .values import Outside

# Inputs that a file uses without a quantizer: those of integer files, and those of others: ap_fixed<16, 6>.
BYTES = TensorFormat((1,), -128, 255)
FIXED = TensorFormat((1,), -(1 << 15), (1 << 15) - 1, 2.0**-10)


@dataclass(frozen=True)
class Grid:
    """A constant as integers times scales, float64 of the same shape."""

    integers: np.ndarray
    scales: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        return self.integers.shape

    @property
    def floats(self) -> np.ndarray:
        return self.integers * self.scales

    def map(self, function: Callable[[np.ndarray], np.ndarray]) -> Grid:
        return Grid(function(self.integers), function(self.scales))


def grid_of(x: Any) -> Grid:
    """A constant, of floats or integers, as integers of the largest power of two that divides them."""
    if isinstance(x, Grid):
        return x
    if not isinstance(x, np.ndarray):
        raise UnsupportedError("a product of two tensors that are both computed, expected a constant one")
    array = x.astype(np.float64)
    if not np.isfinite(array).all():
        raise InputError("a constant that is not finite")
    unit = min((exponent(v) for v in np.unique(array).tolist()), default=0)
    unit = 0 if unit == 128 else unit
    integers = np.ldexp(array, -unit)
    if np.abs(integers).max(initial=0) >= 1 << 31:
        raise UnsupportedError("float weights that are not quantized, expected multiples of a power of two in 32 bits")
    return Grid(integers.astype(np.int64), np.full(array.shape, 2.0**unit))


def entered(s: Session, x: Any) -> Any:
    """Floats from outside that nothing quantizes, as integers."""
    if not isinstance(x, Outside):
        return x
    if (x.factor, x.term) != (1, 0):
        raise UnsupportedError("inputs that are scaled and not quantized, expected a quantizer")
    integers = any(node.op == "RequantShift" for node in s.graph.nodes)
    form = BYTES if integers else FIXED
    s.become(x, form)
    said = (
        "the file does not say which integers its inputs are: those from -128 to 255, so that bytes of both kinds are among them"
        if integers
        else "the file does not quantize its inputs: they are fixed-point numbers of 16 bits here, 10 of them after the point"
    )
    if said not in s.b.remarks:
        s.b.remarks.append(said)
    return Scaled(x.wires, Fraction(form.scale), 0, form.lo, form.hi)


def pending(s: Session, node: Node, which: int) -> Pending:
    """An input as sums."""
    x = entered(s, s.get(node, which))
    if isinstance(x, Pending):
        return x
    if not isinstance(x, Scaled):
        raise UnsupportedError(f"input {which} is a constant, expected a tensor that is computed")
    axis = min(1, len(x.shape) - 1)
    return Pending(x.shape, axis, x.scale, x.form, terms=((x.wires, 1),), bias=-x.zero_point)


def scaled(s: Session, node: Node, which: int) -> Scaled:
    """An input as integers: sums without functions behind become that."""
    x = entered(s, s.get(node, which))
    if isinstance(x, Pending):
        if x.after:
            raise UnsupportedError(f"input {which} is not quantized, expected a quantizer before it")
        return raw(s.b, f"{node.name}.{which}", x)
    if not isinstance(x, Scaled):
        raise UnsupportedError(f"input {which} is a constant, expected a tensor that is computed")
    return x


# --- quantizers ---


def number(s: Session, node: Node, which: int) -> np.ndarray:
    x = s.get(node, which)
    x = x.floats if isinstance(x, Grid) else x
    if not isinstance(x, np.ndarray) or not np.isfinite(x.astype(np.float64)).all():
        raise UnsupportedError(f"input {which} is computed or not finite, expected a constant")
    return x.astype(np.float64)


def quant(s: Session, node: Node) -> None:
    """QONNX's Quant: clamp(round(x / scale + zero_point), lo, hi), of `bits` bits."""
    scale, zero_point, bits = (number(s, node, i) for i in (1, 2, 3))
    if bits.size != 1 or not 1 <= float(bits.item()) <= 32 or float(bits.item()) % 1 or (zero_point % 1).any():
        raise UnsupportedError(f"{bits.ravel()[:3].tolist()} bits and a zero point of {zero_point.ravel()[:3].tolist()}, expected integers")
    if not ((scale >= 2.0**-126) & (scale <= 2.0**127)).all():
        raise InputError(f"a scale of {scale.min():g}, expected positive finite numbers")
    rounding = str(node.attributes.get("rounding_mode", "ROUND")).upper()
    if rounding not in ROUNDINGS:
        raise UnsupportedError(f"rounding_mode {rounding}, expected one of {', '.join(ROUNDINGS)}")
    signed, narrow, top = node.attributes.get("signed", 1), node.attributes.get("narrow", 0), 1 << int(bits.item())
    lo, hi = (-(top >> 1) + bool(narrow), (top >> 1) - 1) if signed else (0, top - 1 - bool(narrow))
    x = s.get(node, 0)
    if isinstance(x, np.ndarray | Grid):
        s.give(node, quantized_constant(x, scale, zero_point, lo, hi, rounding))
        return
    if scale.size != 1 or zero_point.size != 1:
        raise UnsupportedError(f"{scale.size} scales of a tensor that is computed, expected 1")
    q = Quantizer(Fraction(float(scale.item())), int(zero_point.item()), lo, hi, rounding)
    if isinstance(x, Outside):
        s.give(node, quantized_input(s, x, q))
        return
    s.give(node, Scaled(quantize(s.b, node.name, pending(s, node, 0), q), q.scale, q.zero_point, lo, hi))


def quantized_constant(x: Any, scale: np.ndarray, zero_point: np.ndarray, lo: int, hi: int, rounding: str) -> Grid:
    floats = (x.floats if isinstance(x, Grid) else x).astype(np.float64)
    if not np.isfinite(floats).all():
        raise InputError("a constant that is not finite")
    rounded = {"ROUND": np.rint, "FLOOR": np.floor, "CEIL": np.ceil, "ROUND_TO_ZERO": np.trunc}[rounding](floats / scale + zero_point)
    integers = np.clip(rounded, lo, hi) - zero_point
    return Grid(integers.astype(np.int64), np.broadcast_to(scale, integers.shape))


def quantized_input(s: Session, x: Outside, q: Quantizer) -> Scaled:
    """q = round((factor * x + term) / scale) + zero_point as the network's input, and what it means of x."""
    factor, term = x.factor, x.term
    point = q.zero_point + term / q.scale
    if point.denominator != 1 or factor <= 0:
        raise UnsupportedError(f"inputs times {float(factor):g} and {float(term):g} more, expected whole steps more, and a positive factor")
    s.become(x, TensorFormat((1,), q.lo, q.hi, float(q.scale / factor), int(point)))
    return Scaled(x.wires, q.scale, q.zero_point, q.lo, q.hi)


def bipolar_quant(s: Session, node: Node) -> None:
    """scale where x is at least 0, -scale elsewhere."""
    scale, x = number(s, node, 1), s.get(node, 0)
    if isinstance(x, np.ndarray | Grid):
        floats = x.floats if isinstance(x, Grid) else x
        s.give(node, Grid(np.where(floats >= 0, 1, -1), np.broadcast_to(scale, floats.shape)))
        return
    if scale.size != 1 or not scale.item() > 0:
        raise UnsupportedError("scales of a tensor that is computed, expected one, positive")
    sums, sign = pending(s, node, 0), Quantizer(Fraction(1), 0, -1, 0, "FLOOR")
    found = [thresholds(sums, sign, channel) for channel in range(sums.differing)]
    if any(direction < 0 for direction, _ in found):
        raise UnsupportedError("functions that fall before BipolarQuant, expected such that grow")
    steps = tuple(ThresholdRequantizer(-1, firsts * 2) for _, firsts in found)
    form = TensorFormat((1,), -1, 1, float(scale.item()))
    s.give(node, Scaled(sums.layered(s.b, node.name, steps, form), Fraction(float(scale.item())), 0, -1, 1))


def requant_shift(s: Session, node: Node) -> None:
    """clamp(floor((acc * mul + add + div / 2) / div)) to n_levels integers."""
    div, levels, signed = (int(np.asarray(node.attributes.get(name, default)).item()) for name, default in
                           (("div", 0), ("n_levels_out", node.attributes.get("n_levels", 0)), ("signed", 0)))  # fmt: skip
    if div < 1 or not 2 <= levels <= 1 << 16:
        raise InputError(f"div {div} and {levels} levels, expected a positive number, and 2 to 65536")
    lo = -(levels // 2) if signed else 0
    x = pending(s, node, 0)
    mul, add = (x.of_channels(number(s, node, i)) for i in (1, 2))
    sums = x.then(Line(tuple(v / div for v in mul), tuple(v / div + Fraction(div // 2, div) for v in add)))
    q = Quantizer(Fraction(1), 0, lo, lo + levels - 1, "FLOOR")
    s.give(node, Scaled(quantize(s.b, node.name, sums, q), Fraction(1), 0, q.lo, q.hi))
