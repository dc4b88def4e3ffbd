"""Sums and products: of integers with constants, of two tensors; and the rims of a network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np

from ...arithmetic import Float32Requantizer
from ...errors import UnsupportedError
from ...network import TensorFormat
from .. import assembly
from ..assembly import CONSTANT, Wires
from .floats import in_units, quantized, ratio_of, tables_added, unit_of
from .functions import qlinear_sigmoid, sigmoid
from .meaning import range_of, scale_of, zero_point_of
from .quantizing import Target, clamp_limits, dequantized, group, target_of
from .records import Node
from .session import Handler, Session, said
from .shapes import joined, pad_widths
from .tables import mapped
from .values import Dequantized, Integers, Outside, Rim, Stored, Sums, Tabulated, f32

Binary = Callable[[np.ndarray, np.ndarray], np.ndarray]
FUNCTIONS: dict[str, Handler] = {
    "Sigmoid": sigmoid,
    "com.microsoft.QLinearSigmoid": qlinear_sigmoid,
}
# A product of two numbers of 255 steps, times a power of two of so many bits, is an int32.
PRODUCTS = 15
# What may follow a softmax.
RIMS = ("QuantizeLinear", "DequantizeLinear", "Reshape", "Flatten", "Squeeze", "Identity", "Cast")
BINARY: dict[str, Binary] = {"Add": np.add, "Sub": np.subtract, "Mul": np.multiply, "Div": np.divide}


def fused(a: float, b: float, c: np.float32) -> np.float32:
    """a * b + c, rounded once."""
    return to_float32(Fraction(a) * Fraction(b) + Fraction(float(c)))


def to_float32(x: Fraction) -> np.float32:
    """The nearest float32, ties to even."""
    nearest = f32(float(x))
    candidates = (np.nextafter(nearest, f32(-np.inf)), nearest, np.nextafter(nearest, f32(np.inf)))
    return min(candidates, key=lambda v: (abs(Fraction(float(v)) - x), int(np.array(v).view(np.uint32)) & 1))


# --- floats between DequantizeLinear and QuantizeLinear ---


def binary(s: Session, node: Node) -> None:
    """Add, Sub, Mul and Div: with a constant, of two functions of the same integers, or the sum of two that are computed."""
    operands = [s.get(node, i) for i in (0, 1)]
    if all(isinstance(x, np.ndarray) for x in operands):
        s.give(node, BINARY[node.op](*operands))
        return
    floats: list[Any] = [x.floats if isinstance(x, Stored) else x for x in operands]
    computed = [isinstance(x, Dequantized | Tabulated) for x in floats]
    constants = [isinstance(x, np.ndarray) and x.dtype == np.float32 for x in floats]
    if all(computed):
        two(s, node, operands)
    elif any(computed) and any(constants):
        if is_integer(s, node, operands):
            target = group(s, node, [x for x in operands if isinstance(x, Dequantized)])
            with_constant(s, node, operands, target)
            return
        which = 1 - computed.index(True)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            s.give(node, with_floats(s, floats[1 - which].tabulated, floats[which], BINARY[node.op], which == 0))
    else:
        raise UnsupportedError(f"of {' and '.join(map(said, operands))}, expected dequantized integers and constants")


def is_integer(s: Session, node: Node, operands: list[Any]) -> bool:
    """Whether the runtime computes it in integers: Add and Mul with a quantizer behind, and one type of all operands."""
    if node.op not in ("Add", "Mul") or not all(isinstance(x, Dequantized | Stored) for x in operands):
        return False
    types = {"uint8" if x.lo == 0 or getattr(x, "unsigned", False) else "int8" for x in operands}
    if len(types) > 1:
        return False
    done = set(s.done)
    try:
        target = group(s, node, operands)
    except UnsupportedError:
        return False
    finally:
        s.done = done
    return target.unsigned == any(getattr(x, "unsigned", False) for x in operands)


def with_floats(s: Session, x: Tabulated, y: np.ndarray, function: Binary, swapped: bool) -> Tabulated:
    """A table of each pair of a table and a constant."""
    shape = np.broadcast_shapes(x.shape, y.shape)
    s.charge(int(np.prod(shape)) * 2)
    distinct, places = np.unique(y, return_inverse=True)
    places, which = np.broadcast_to(places.reshape(y.shape), shape), np.broadcast_to(x.which, shape)
    pairs, renamed = np.unique(which.astype(np.int64) * len(distinct) + places, return_inverse=True)
    s.charge(len(pairs) * x.tables.shape[1])
    left, right = x.tables[pairs // len(distinct)], distinct[pairs % len(distinct)][:, None]
    tables = function(right, left) if swapped else function(left, right)
    wires = x.wires.map(lambda a: np.broadcast_to(a, shape))
    return Tabulated(wires, x.lo, tables.astype(f32), renamed.reshape(shape).astype(np.int32))


def of_the_same(operands: list[Any], function: Binary) -> Tabulated | None:
    """A table of each pair of tables, if both operands are functions of the same integers."""
    left, right = ([form for form in (x.tabulated, x.composed) if form is not None] for x in operands)
    found = next(((x, y) for x in left for y in right if x.reads(y.wires, y.lo)), None)
    if found is None:
        return None
    x, y = found
    pairs, which = np.unique(x.which.astype(np.int64) * len(y.tables) + y.which, return_inverse=True)
    tables = function(x.tables[pairs // len(y.tables)], y.tables[pairs % len(y.tables)])
    return Tabulated(x.wires, x.lo, tables, which.reshape(x.shape).astype(np.int32))


def two(s: Session, node: Node, operands: list[Any]) -> None:
    """Two tensors that are computed: their sum or difference, or any function of the same integers."""
    if is_integer(s, node, operands):
        of_integers(s, node, operands, group(s, node, operands))
        return
    same = of_the_same(operands, BINARY[node.op])
    if same is not None:
        s.give(node, same)
        return
    if node.op not in ("Add", "Sub"):
        raise UnsupportedError("of two tensors that are both computed, and in floats, expected a constant one, or integers of one type")
    readers = s.readers_of(node)
    clamp = readers[0] if len(readers) == 1 and readers[0].op in ("Relu", "Clip") else None
    ends = s.readers_of(clamp) if clamp else readers
    if len(ends) != 1 or ends[0].op != "QuantizeLinear":
        raise UnsupportedError("computes floats: its only reader is no QuantizeLinear, expected one")
    limits = clamp_limits(s, clamp) if clamp else (f32(-np.inf), f32(np.inf))
    target = target_of(s, ends[0], 1, 2)
    s.done |= {ends[0].index} | ({clamp.index} if clamp else set())
    form, tables = target.form, [x.tabulated for x in operands]
    if any(len(t.tables) > 1 for t in tables):
        raise UnsupportedError("of floats that are different functions of integers, expected one function of each operand")
    unit = unit_of(*(t.tables for t in tables))
    sign = 1 if node.op == "Add" else -1
    ints = [in_units(t.tables[0], unit) * factor for t, factor in zip(tables, (1, sign), strict=True)]

    def levels(acc: np.ndarray) -> np.ndarray:
        total = np.clip(acc.astype(f32) * f32(2.0**unit), *limits)
        return quantized(total, f32(form.scale), form.zero_point, form.lo, form.hi)

    wires = broadcast(s, *(t.wires for t in tables))
    parts = [(w, t.lo, i) for w, t, i in zip(wires, tables, ints, strict=True)]
    target.give(s, tables_added(s.b, node.name, parts, levels, form))


def broadcast(s: Session, *wires: Wires) -> list[Wires]:
    shape = np.broadcast_shapes(*(w.shape for w in wires))
    s.charge(len(wires) * int(np.prod(shape)))
    return [w.map(lambda a: np.broadcast_to(a, shape)) for w in wires]


# --- QLinearAdd, QLinearMul ---


def qlinear_binary(s: Session, node: Node) -> None:
    operands: list[Any] = []
    for which in (0, 3):
        x = s.get(node, which)
        if isinstance(x, np.ndarray):
            point, dtype = zero_point_of(s, node, which + 2, x.dtype.name)
            lo, hi = range_of(dtype)
            scales, points = np.array([scale_of(s, node, which + 1)]), np.array([point])
            operands.append(Stored(x.astype(np.int64), lo, hi, scales, points, 0))
        else:
            operands.append(dequantized(s, node, which, which + 1, which + 2))
    target = target_of(s, node, 6, 7)
    if all(isinstance(x, Dequantized) for x in operands):
        of_integers(s, node, operands, target)
    else:
        with_constant(s, node, operands, target)


def of_integers(s: Session, node: Node, operands: list[Dequantized], target: Target) -> None:
    """The sum of two tensors, or their product: a table, where one is a function of the other."""
    x, y = operands
    if node.op in ("QLinearAdd", "Add"):
        add(s, node, x, y, target)
        return
    if y.of is None or not y.of.reads(x.wires, x.lo):
        x, y = y, x
    if y.of is None or not y.of.reads(x.wires, x.lo):
        form, (left, right) = target.form, broadcast(s, x.wires, y.wires)
        step = Float32Requantizer(float(ratio_of(x.scale, form.scale, PRODUCTS, y.scale)), form.lo, form.hi, 0, float(form.zero_point))
        target.give(s, assembly.multiplied(s.b, node.name, left, right, (x.zero_point, y.zero_point), step, form))
        return
    q = np.arange(x.lo, x.hi + 1)
    rows = np.stack([multiplied(x, q, row, y.scale, y.zero_point, target.form) for row in y.of.tables])
    target.give(s, mapped(s.b, node.name, y.of, rows, target.form), replace(y.of, tables=rows))


def with_constant(s: Session, node: Node, operands: list[Any], target: Target) -> None:
    """A table for each constant."""
    which = next(i for i, x in enumerate(operands) if isinstance(x, Stored))
    x, y, form = operands[1 - which], operands[which], target.form
    if not isinstance(x, Dequantized):
        raise UnsupportedError("of two constants, expected one")
    if len(y.scales) != 1:
        raise UnsupportedError(f"a constant of {len(y.scales)} scales, expected 1")
    shape = np.broadcast_shapes(x.shape, y.integers.shape)
    s.charge(int(np.prod(shape)) * 2)
    distinct, places = np.unique(y.integers, return_inverse=True)
    q = np.arange(x.lo, x.hi + 1)
    if node.op in ("QLinearMul", "Mul"):
        rows = [multiplied(x, q, c, y.scales[0], int(y.zero_points[0]), form) for c in distinct]
    else:
        alone = y.integers.size == 1
        rows = [added(x, q, int(c), y, target, which == 0, alone) for c in distinct.tolist()]
    wires = x.wires.map(lambda a: np.broadcast_to(a, shape))
    table = Tabulated(wires, x.lo, np.zeros((len(rows), len(q)), f32), np.broadcast_to(places.reshape(y.integers.shape), shape))
    target.give(s, mapped(s.b, node.name, table, np.stack(rows), form))


def multiplied(x: Dequantized, q: np.ndarray, c: np.ndarray, scale: np.float32, point: int, form: TensorFormat) -> np.ndarray:
    """round(float32((q - z_x) (c - z_y)) * ((s_x * s_y) / s) + z): a product and a sum in float32; s_y and z_y are scale and point."""
    products = ((q - x.zero_point) * (c - point)).astype(f32)
    return np.clip(np.rint(products * ratio_of(x.scale, form.scale, PRODUCTS, scale) + f32(form.zero_point)), form.lo, form.hi).astype(
        np.int64
    )


def fixed_part(ratio_a: np.float32, point_a: int, ratio_b: np.float32, point_b: int, point: int) -> np.float32:
    """z - (r_a * z_a + r_b * z_b), the first product within the sum that rounds it."""
    return f32(point) - fused(float(ratio_a), point_a, ratio_b * f32(point_b))


def added(x: Dequantized, q: np.ndarray, c: int, y: Stored, target: Target, swapped: bool, alone: bool) -> np.ndarray:
    """QLinearAdd of each integer q and a constant c; swapped: c is the first operand; alone: c is the only element."""
    form, shift = target.form, target.shift
    ratio_x, ratio_y = (ratio_of(scale, form.scale) for scale in (x.scale, y.scales[0]))
    first, second = (ratio_x, x.zero_point + x.shift), (ratio_y, int(y.zero_points[0]))
    pair = second + first if swapped and not alone else first + second
    fixed = fixed_part(pair[0], pair[1], pair[2], pair[3], form.zero_point + shift)
    if alone:
        start = fixed + f32(c) * ratio_y
        sums = [fused(v + x.shift, float(ratio_x), start) for v in q.tolist()]
    elif swapped:
        sums = [fused(c, float(ratio_y), fused(v + x.shift, float(ratio_x), fixed)) for v in q.tolist()]
    else:
        start = fused(c, float(ratio_y), fixed)
        sums = [fused(v + x.shift, float(ratio_x), start) for v in q.tolist()]
    return np.clip(np.rint(np.array(sums)) - shift, form.lo, form.hi).astype(np.int64)


def add(s: Session, node: Node, x: Dequantized, y: Dequantized, target: Target) -> None:
    """QLinearAdd of two tensors: fma(q_x, r_x, fma(q_y, r_y, fixed)), rounded; the inner sum is a table, the outer one a sum of two."""
    form, shift = target.form, target.shift
    ratio_x, ratio_y = (ratio_of(t.scale, form.scale) for t in (x, y))
    points = [t.zero_point + t.shift for t in (x, y)]
    fixed = fixed_part(ratio_x, points[0], ratio_y, points[1], form.zero_point + shift)
    inner = np.array([fused(v + y.shift, float(ratio_y), fixed) for v in range(y.lo, y.hi + 1)], f32)
    unit = unit_of(inner, np.array([ratio_x]))
    line = int(in_units(np.array([ratio_x]), unit)[0]) * (np.arange(x.lo, x.hi + 1) + x.shift)

    def levels(acc: np.ndarray) -> np.ndarray:
        return np.clip(np.rint(acc.astype(f32) * f32(2.0**unit)).astype(np.int64) - shift, form.lo, form.hi)

    wires = broadcast(s, x.wires, y.wires)
    parts = [(wires[0], x.lo, line), (wires[1], y.lo, in_units(inner, unit))]
    target.give(s, tables_added(s.b, node.name, parts, levels, form))


# --- what moves, and rims ---


def qlinear_concat(s: Session, node: Node) -> None:
    """Each part rescaled to the output's scale, in floats, unless it has it already."""
    target = target_of(s, node, 0, 1)
    form, parts = target.form, []
    for i in range(2, len(node.inputs), 3):
        x = dequantized(s, node, i, i + 1, i + 2)
        if x.form == form:
            parts.append(Integers(x.wires, form.lo, form.hi))
            continue
        ends = quantized(x.tabulated.tables, f32(form.scale), form.zero_point, form.lo, form.hi)
        parts.append(Integers(mapped(s.b, f"{node.name}.{i // 3}", x.tabulated, ends, form), form.lo, form.hi))
    target.give(s, joined(parts, node.attributes.get("axis", 0)).wires)


def concat(s: Session, node: Node) -> None:
    """Of floats with scales of their own, each is quantized to the scale of what reads them."""
    parts = [s.get(node, i) for i in range(len(node.inputs))]
    axis = node.attributes.get("axis", 0)
    readers = s.readers_of(node)
    if all(isinstance(x, Dequantized) for x in parts) and any(x.form != parts[0].form for x in parts):
        if len(readers) != 1 or readers[0].op != "QuantizeLinear":
            raise UnsupportedError("joins tensors of different scales, expected one QuantizeLinear behind")
        target = target_of(s, readers[0], 1, 2)
        form, made = target.form, []
        for i, x in enumerate(parts):
            ends = quantized(x.tabulated.tables, f32(form.scale), form.zero_point, form.lo, form.hi)
            same = x.form == form
            made.append(Integers(x.wires if same else mapped(s.b, f"{node.name}.{i}", x.tabulated, ends, form), form.lo, form.hi))
        s.done.add(readers[0].index)
        target.give(s, joined(made, axis).wires)
        return
    s.give(node, joined(parts, axis))


def pad(s: Session, node: Node) -> None:
    x = s.get(node, 0)
    pairs, value = pad_widths(s, node, tuple(x.shape))
    if isinstance(x, np.ndarray):
        s.give(node, np.pad(x, pairs, constant_values=value or 0))
        return
    if isinstance(x, Dequantized) and not value:
        fill = x.zero_point
    elif isinstance(x, Outside) and not value:
        fill = 0
    elif isinstance(x, Integers) and value is not None and x.lo <= int(value) <= x.hi:
        fill = int(value)
    else:
        raise UnsupportedError(f"pads with {value}, expected 0.0 for floats, or an integer for integers")
    wires = Wires(np.pad(x.wires.values, pairs, constant_values=CONSTANT), np.pad(x.wires.constants, pairs, constant_values=fill))
    s.give(node, replace(x, wires=wires) if isinstance(x, Outside) else replace(x, wires=wires, of=None))


def squash(s: Session, node: Node) -> None:
    """Softmax and the like on the output: what it reads decides. A sigmoid elsewhere is a function."""
    if node.kind in FUNCTIONS and not ends_in(s, node):
        FUNCTIONS[node.kind](s, node)
        return
    x = s.computed(node, 0, Dequantized, Integers, Sums, Rim)
    if not ends_in(s, node):
        raise UnsupportedError("before other operators, expected it on the output only")
    s.b.remarks.append(f"{node.op} on the output ({node.place}) is left out: outputs are what it reads, and decide the class")
    s.give(node, Rim(x.wires))


def ends_in(s: Session, node: Node) -> bool:
    """Whether there is nothing behind a node but what a rim may have."""
    left, seen = [node], {node.index}
    while left:
        for reader in s.readers_of(left.pop()):
            if reader.index not in seen:
                if reader.op not in RIMS:
                    return False
                seen.add(reader.index)
                left.append(reader)
    return True


def result(s: Session, x: Any) -> Wires:
    """The integers that are the output, without what keeps their order."""
    if isinstance(x, Tabulated) and (np.diff(x.tables, axis=1) > 0).all() and (x.which == x.which.flat[0]).all():
        s.b.remarks.append("what follows the last integers grows with them, and is left out: outputs are these integers")
    elif not isinstance(x, Integers | Dequantized | Sums | Rim):
        raise UnsupportedError("floats that are computed and not quantized again, expected integers")
    wires: Wires = x.wires
    return wires
