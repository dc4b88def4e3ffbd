"""Where floats and UINT8 meet the integer network: QUANTIZE and DEQUANTIZE, and what follows the last integers, which is left out."""

from __future__ import annotations

import numpy as np

from ...errors import InputError, UnsupportedError
from ...network import TensorFormat
from . import floats
from .builder import INT8, OUTSIDE, Builder, Wires
from .elementwise import requantize
from .records import Graph, Operator, Tensor
from .shapes import reshaped

# What keeps the order of the outputs, and what moves them only: both may follow the last integers of the network.
SQUASHING = ("SOFTMAX", "LOG_SOFTMAX", "LOGISTIC", "ARG_MAX")
RESHAPING = ("RESHAPE", "SQUEEZE", "EXPAND_DIMS")
MOVING = ("QUANTIZE", "DEQUANTIZE", *RESHAPING)


def tail(graph: Graph) -> frozenset[int]:
    """Operators after which nothing is computed but softmax and the like, and conversions.

    They are left out: the network's outputs are the integers before them, the logits, which have the same order.
    """
    readers: dict[int, list[int]] = {}
    for op in graph.operators:
        for index in op.inputs:
            readers.setdefault(index, []).append(op.index)
    found: set[int] = set()
    for op in reversed(graph.operators):
        after = [reader for index in op.outputs for reader in readers.get(index, [])]
        inside = op.kind == "QUANTIZE" and all(graph.tensors[index].type == "INT8" for index in op.outputs)
        if op.kind in (*SQUASHING, *MOVING) and not inside and all(reader in found for reader in after):
            found.add(op.index)
    return frozenset(found)


def pass_on(b: Builder, op: Operator) -> None:
    """An operator of the tail: its outputs are its input."""
    source, target = b.tensor(op, 0), b.target(op)
    if op.kind == "ARG_MAX":
        axis = int(b.constant(op, 1).item())
        if not -len(source.shape) <= axis < len(source.shape) or source.shape[axis] != source.size:
            raise UnsupportedError(f"along axis {axis} of {source.shape}, expected all elements along one axis")
        b.wires[target.index] = b.of(source)
    else:
        b.give(target, reshaped(b, op) if op.kind in RESHAPING else b.of(source))
    if op.kind in SQUASHING:
        b.remarks.append(f"{op.kind} on the output (operator {op.index}) is left out: outputs are what it reads, and decide the class")


def enter(b: Builder, tensor: Tensor) -> None:
    """An input of the graph: its elements are values, of a format that is known at once if it is INT8, else where they become that."""
    if tensor.type not in ("INT8", "FLOAT32", "UINT8"):
        raise UnsupportedError(f"{tensor.place}: an input of type {tensor.type}, expected INT8, FLOAT32 or UINT8")
    if tensor.data is not None or tensor.index in b.entries:
        raise InputError(f"{tensor.place}: expected an input that is no constant, once")
    b.charge(tensor.size)
    first, b.num_values = b.num_values, b.num_values + tensor.size
    values = np.arange(first, b.num_values, dtype=np.int32).reshape(tensor.shape)
    b.give(tensor, Wires(values, np.full(tensor.shape, OUTSIDE if tensor.type == "FLOAT32" else 0, np.int64)))
    b.entries[tensor.index] = tensor.format if tensor.type == "INT8" else None


def quantize(b: Builder, op: Operator) -> None:
    """FLOAT32 or UINT8 from outside becomes INT8, the network's input; floats inside are rounded, and INT8 inside is rescaled."""
    source, target = b.tensor(op, 0), b.target(op)
    if source.type == "INT8":
        requantize(b, op)
        return
    if source.type not in ("FLOAT32", "UINT8"):
        raise UnsupportedError(f"{source.place}: {source.type}, expected INT8, FLOAT32 or UINT8")
    wires = b.of(source)
    outside = wires.constants == OUTSIDE if source.type == "FLOAT32" else ~wires.fixed
    if source.type == "UINT8" and not outside.all():
        raise UnsupportedError(f"{source.place}: UINT8, some of it constant, expected inputs alone")
    if outside.any():
        become(b, op, wires.values[outside])
    b.give(target, wires if outside.all() else floats.quantize(b, op))


def become(b: Builder, op: Operator, values: np.ndarray) -> None:
    """Values from outside are integers of the operator's output from here on."""
    source, target = b.tensor(op, 0), b.target(op)
    if source.type == "UINT8":
        if (source.scale, source.zero_point) != (target.scale, target.zero_point + 128):
            raise UnsupportedError(f"{source.place} and {target.place}: expected the same scale, and zero points that differ by 128")
        b.remarks.append(f"the file's input is UINT8, of which each integer is 128 more than that of this network (operator {op.index})")
    first = 0
    for index, form in b.entries.items():
        tensor = b.tensors[index]
        if ((values >= first) & (values < first + tensor.size)).any():
            found = TensorFormat(tensor.inner_shape, *INT8, float(target.scale), target.zero_point)
            if form not in (None, found):
                raise UnsupportedError(f"{tensor.place}: becomes integers of two kinds, expected one scale and zero point")
            b.entries[index] = found
        first += tensor.size
