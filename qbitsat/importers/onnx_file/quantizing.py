"""QuantizeLinear and DequantizeLinear, and which operators between them the runtime computes in integers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...errors import UnsupportedError
from ...network import TensorFormat
from ..assembly import Wires
from .floats import quantized
from .meaning import range_of, scale_of, scales_of, zero_point_of, zero_points_of
from .records import Node
from .session import Session
from .tables import mapped
from .values import Dequantized, Integers, Outside, Rim, Stored, Sums, Tabulated, f32

# The runtime with the session option that keeps INT8 as it is.
INT8_ALLOWED = "onnxruntime-int8"
# What others compute in floats where INT8 stays INT8.
ONLY_ALLOWED = ("Conv", "MatMul")


@dataclass(frozen=True)
class Target:
    """The integers that an operator ends in: those that `node` gives."""

    node: Node
    form: TensorFormat
    unsigned: bool = False

    @property
    def shift(self) -> int:
        """How much more the runtime's integers are than these."""
        return 128 if self.unsigned else 0

    def give(self, s: Session, wires: Wires, of: Tabulated | None = None) -> None:
        """The integers; `of` says which function of others they are, where that is known."""
        s.give(self.node, Integers(wires, self.form.lo, self.form.hi, self.unsigned, of))


def target_of(s: Session, node: Node, scale: int, zero_point: int) -> Target:
    """Of a node whose inputs at these places are the scale and the zero point of its output."""
    point, dtype = zero_point_of(s, node, zero_point)
    return Target(node, TensorFormat((1,), *range_of(dtype), float(scale_of(s, node, scale)), point))


def quantize_linear(s: Session, node: Node) -> None:
    x = s.get(node, 0)
    if isinstance(x, Rim | Sums):
        s.give(node, Rim(x.wires))
        return
    target, of = target_of(s, node, 1, 2), None
    form = target.form
    if isinstance(x, np.ndarray):
        s.give(node, quantized(x, f32(form.scale), form.zero_point, form.lo, form.hi).astype("int8" if form.lo else "uint8"))
        return
    before = taken_away_with(s, node, form)
    if before is not None:
        Target(node, form, before.unsigned).give(s, before.wires, before.of)
        return
    if isinstance(x, Outside):
        s.become(x, form)
        # Constants among floats from outside are the 0.0 of a padding.
        wires = Wires(x.wires.values, np.where(x.wires.fixed, form.zero_point, 0))
    elif isinstance(x, Dequantized) and x.form == form:
        wires = x.wires
    elif isinstance(x, Dequantized | Tabulated):
        if follows_a_pair(s, node):
            raise UnsupportedError(
                "quantizes again what a QuantizeLinear and a DequantizeLinear give: the runtime makes one such pair of both, with a scale"
                " of its own; expected the same scale and zero point"
            )
        table = x.tabulated
        of = replace(table, tables=quantized(table.tables, f32(form.scale), form.zero_point, form.lo, form.hi))
        wires = mapped(s.b, node.name, table, of.tables, form)
    else:
        raise UnsupportedError("quantizes what are no floats")
    Target(node, form, becomes_unsigned(s, node, form)).give(s, wires, of)


def follows_a_pair(s: Session, node: Node) -> bool:
    """Whether the node and its DequantizeLinear come right behind another QuantizeLinear and DequantizeLinear."""
    before = s.maker_of(node.inputs[0])
    if before is None or before.op != "DequantizeLinear" or all(reader.op != "DequantizeLinear" for reader in s.readers_of(node)):
        return False
    first = s.maker_of(before.inputs[0])
    return first is not None and first.op == "QuantizeLinear"


def becomes_unsigned(s: Session, node: Node, form: TensorFormat) -> bool:
    """Whether the runtime makes INT8 into UINT8: where a QuantizeLinear, and all that it makes one with, is read once, by a
    DequantizeLinear of the same zero point that is read once.
    """
    if s.runtime == INT8_ALLOWED or form.lo == 0 or len(node.inputs) < 3 or node.index in s.twins:
        return False
    readers = read_by(s, node, form)
    if len(readers) != 1 or readers[0].op != "DequantizeLinear" or len(readers[0].inputs) < 3 or len(s.readers_of(readers[0])) > 1:
        return False
    return zero_point_of(s, readers[0], 2)[0] == form.zero_point


def read_by(s: Session, node: Node, form: TensorFormat) -> list[Node]:
    """The readers of a QuantizeLinear as the runtime has them, where more than one are of no account: it takes a DequantizeLinear and a
    QuantizeLinear of the same meaning right behind away, and what reads the latter reads the integers before both.
    """
    left, found = list(s.readers_of(node)), list[Node]()
    for _ in s.graph.nodes:
        if not left or len(found) > 1:
            break
        reader = left.pop()
        ends = ends_of(s, reader, form) if reader.op == "DequantizeLinear" else []
        same = [end for end in ends if end.op == "QuantizeLinear" and target_of(s, end, 1, 2).form == form]
        left += [behind for end in same for behind in s.readers_of(end)]
        found += [reader] if len(same) < max(1, len(ends)) else []
    return found + left


def ends_of(s: Session, node: Node, form: TensorFormat) -> list[Node]:
    """The readers of what a node gives, behind operators that change nothing before a QuantizeLinear of this form."""
    left, found = list(s.readers_of(node)), list[Node]()
    for _ in s.graph.nodes:
        if not left:
            break
        reader = left.pop()
        if reader.index != node.index and unchanged(s, reader.outputs[0], form) is node:
            left += s.readers_of(reader)
        else:
            found.append(reader)
    return found + left


def unchanged(s: Session, name: str, form: TensorFormat) -> Node | None:
    """The node that a tensor comes from, without those that change nothing before a QuantizeLinear of this form."""
    node = s.maker_of(name)
    for _ in s.graph.nodes:  # names that hostile files give twice may lead round
        if node is None or node.op not in ("Relu", "Clip") or not is_redundant(s, node, form):
            break
        node = s.maker_of(node.inputs[0])
    return node


def taken_away_with(s: Session, node: Node, form: TensorFormat) -> Dequantized | None:
    """What a DequantizeLinear right before a QuantizeLinear gives, if it has the same elements and meaning."""
    before = unchanged(s, node.inputs[0], form)
    if before is None or before.op != "DequantizeLinear":
        return None
    x, y = s.values.get(before.outputs[0]), s.values[node.inputs[0]]
    if not isinstance(x, Dequantized) or x.form != form or not isinstance(y, Dequantized | Tabulated):
        return None
    return x if y.tabulated.reads(x.wires, x.lo) else None


def dequantize_linear(s: Session, node: Node) -> None:
    x, scales = s.get(node, 0), scales_of(s, node, 1)
    if isinstance(x, np.ndarray):
        if x.dtype.name not in ("int8", "uint8", "int32"):
            raise UnsupportedError(f"a constant of {x.dtype}, expected int8, uint8 or int32")
        zero_points, dtype = zero_points_of(s, node, 2, x.dtype.name)
        if dtype != x.dtype.name or len(zero_points) not in (1, len(scales)):
            raise UnsupportedError(f"{len(zero_points)} zero points of {dtype}, expected {len(scales)} of {x.dtype}")
        axis, info = node.attributes.get("axis", 1), np.iinfo(x.dtype)
        if len(scales) > 1 and (not -x.ndim <= axis < x.ndim or x.shape[axis] != len(scales)):
            raise UnsupportedError(f"{len(scales)} scales along axis {axis} of {x.shape}")
        s.give(node, Stored(x.astype(np.int64), info.min, info.max, scales, zero_points, axis % max(1, x.ndim)))
        return
    if isinstance(x, Rim):
        s.give(node, x)
        return
    if not isinstance(x, Integers):
        raise UnsupportedError("dequantizes what are no integers of 8 bits")
    s.give(node, dequantized(s, node, 0, 1, 2))


def dequantized(s: Session, node: Node, which: int, scale: int, zero_point: int) -> Dequantized:
    """Integers that an input is, with their scale and zero point."""
    x: Integers = s.computed(node, which, Integers)
    point, dtype = zero_point_of(s, node, zero_point, "int8" if x.lo else "uint8")
    if range_of(dtype) != (x.lo, x.hi):
        raise UnsupportedError(f"a zero point of {dtype}, expected the type of the integers")
    found = Dequantized(x.wires, x.lo, x.hi, scale_of(s, node, scale), point, x.unsigned, x.of)
    if (x.wires.values < sum(form.size for form in s.b.inputs)).all() and not x.wires.fixed.any():
        s.become(found, found.form)
    return found


# --- groups ---


def group(s: Session, node: Node, inputs: list[Any]) -> Target:
    """The integers that an operator between DequantizeLinear and QuantizeLinear ends in, if the runtime makes it one operator on integers:
    its only reader is a QuantizeLinear, perhaps behind a clamp that this makes redundant, and all types are one.
    """
    readers = s.readers_of(node)
    clamp = None
    if len(readers) == 1 and readers[0].op in ("Relu", "Clip") and readers[0].index != node.index:
        clamp = readers[0]
        readers = s.readers_of(clamp)
    if len(readers) != 1 or readers[0].op != "QuantizeLinear":
        raise UnsupportedError("computes floats: its only reader is no QuantizeLinear; expected one, so that it is computed in integers")
    end = readers[0]
    form = target_of(s, end, 1, 2).form
    unsigned = becomes_unsigned(s, end, form)
    types = ["uint8" if x.lo == 0 or getattr(x, "unsigned", False) else "int8" for x in inputs]
    if clamp is not None and not is_redundant(s, clamp, form):
        raise UnsupportedError(f"computes floats: {clamp.place} clamps more than the QuantizeLinear behind it")
    if any(kind != ("uint8" if form.lo == 0 or unsigned else "int8") for kind in types):
        raise UnsupportedError(
            "computes floats: the runtime has uint8 on one side and int8 on the other (it makes int8 that is read once into uint8),"
            f" expected one type on both, as --runtime {INT8_ALLOWED} has it"
        )
    if "int8" in types and node.op in ONLY_ALLOWED and s.runtime != INT8_ALLOWED:
        raise UnsupportedError(
            f"computes floats: by default the runtime leaves {node.op} of int8 in floats where it cannot make uint8 of it, expected uint8,"
            f" or --runtime {INT8_ALLOWED}"
        )
    s.done |= {end.index} | ({clamp.index} if clamp else set())
    return Target(end, form, unsigned)


def is_redundant(s: Session, clamp: Node, form: TensorFormat) -> bool:
    """Whether a Relu or Clip changes nothing that a QuantizeLinear would not."""
    lo, hi = clamp_limits(s, clamp)
    least, most = (f32(form.scale) * f32(end - form.zero_point) for end in (form.lo, form.hi))
    return bool(lo <= least and hi >= most)


def clamp_limits(s: Session, node: Node) -> tuple[np.float32, np.float32]:
    """The limits of Relu or Clip."""
    if node.op == "Relu":
        return f32(0), f32(np.inf)
    limits = []
    for i, (name, default) in enumerate((("min", -np.inf), ("max", np.inf)), 1):
        if i < len(node.inputs) and node.inputs[i]:
            x = s.values.get(node.inputs[i])
            x = x.floats if isinstance(x, Stored) else x
            if not isinstance(x, np.ndarray) or x.size != 1:
                raise UnsupportedError(f"{node.place}: limits that are computed, expected constants")
            limits.append(f32(x.item()))
        else:
            limits.append(f32(node.attributes.get(name, default)))
    return limits[0], limits[1]
