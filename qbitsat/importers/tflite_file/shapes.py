"""Operators that compute nothing: they say which element stands where. They work on constants and on floats before QUANTIZE, too."""

from __future__ import annotations

import math

import numpy as np

from ...errors import InputError, UnsupportedError
from .builder import CONSTANT, INT8, Builder, Wires
from .convolutions import same_quantization
from .records import Operator, Tensor


def reshape(b: Builder, op: Operator) -> None:
    """RESHAPE, SQUEEZE and EXPAND_DIMS: the file says the shape that results, or for RESHAPE an input."""
    source, target = b.tensor(op, 0), b.target(op)
    moves(source, target)
    b.give(target, reshaped(b, op))


def reshaped(b: Builder, op: Operator) -> Wires:
    source, target = b.tensor(op, 0), b.target(op)
    sizes = target.shape
    if target.open and op.kind == "RESHAPE" and len(op.inputs) > 1:
        sizes = tuple(b.constant(op, 1).ravel().tolist())
    elif target.open and sizes:
        # The file knows all sizes but that of the batch.
        sizes = (-1, *sizes[1:])
    return b.of(source).reshape(*sizes)


def transpose(b: Builder, op: Operator) -> None:
    source, target = b.tensor(op, 0), b.target(op)
    moves(source, target)
    axes = b.constant(op, 1).ravel().tolist()
    b.give(target, b.of(source).map(lambda a: a.transpose(axes)))


def shape(b: Builder, op: Operator) -> None:
    source, target = b.tensor(op, 0), b.target(op)
    b.give(target, Wires.of_constants(np.array(source.shape, np.int64)))


def pack(b: Builder, op: Operator) -> None:
    join(b, op, np.stack)


def concatenation(b: Builder, op: Operator) -> None:
    if op.options["FusedActivationFunction"]:
        raise UnsupportedError("a fused activation function, expected none")
    join(b, op, np.concatenate)


def join(b: Builder, op: Operator, function) -> None:
    target = b.target(op)
    sources = [b.tensor(op, i) for i in range(len(op.inputs))]
    for source in sources:
        moves(source, target)
    if not sources or sum(source.size for source in sources) != target.size:
        raise InputError(f"{target.place}: {target.size} elements, expected those of all {len(sources)} inputs")
    parts = [b.of(source) for source in sources]
    values, constants = (function([getattr(part, name) for part in parts], op.options["Axis"]) for name in ("values", "constants"))
    b.give(target, Wires(values, constants))


def unpack(b: Builder, op: Operator) -> None:
    source, axis, count = b.tensor(op, 0), op.options["Axis"], op.options["Num"]
    if not count == len(op.outputs) == source.shape[axis]:
        raise InputError(f"{len(op.outputs)} outputs and {count} of them said, expected those of axis {axis} of {source.shape}")
    wires = b.of(source).map(lambda a: np.moveaxis(a, axis, 0))
    give_parts(b, op, source, [wires[k] for k in range(count)])


def split(b: Builder, op: Operator) -> None:
    """The axis comes first, then the tensor."""
    source, count = b.tensor(op, 1), op.options["NumSplits"]
    axis = int(b.constant(op, 0).item())
    if count != len(op.outputs) or count < 1:
        raise InputError(f"{len(op.outputs)} outputs, expected {count}, and at least 1")
    give_parts(b, op, source, cut(b.of(source), count, axis))


def split_v(b: Builder, op: Operator) -> None:
    """Sizes along an axis; size -1 is all that is left."""
    source, sizes, axis = b.tensor(op, 0), b.constant(op, 1).ravel(), int(b.constant(op, 2).item())
    length = source.shape[axis]
    lengths = np.where(sizes == -1, length - sizes[sizes != -1].sum(), sizes)
    if len(lengths) != len(op.outputs) or lengths.min() < 1 or lengths.sum() != length:
        raise InputError(f"{len(op.outputs)} outputs of sizes {sizes.tolist()}, expected as many, and {length} together")
    give_parts(b, op, source, cut(b.of(source), np.cumsum(lengths)[:-1], axis))


def cut(wires: Wires, where: int | np.ndarray, axis: int) -> list[Wires]:
    """So many equal parts along an axis, or those between some places."""
    return [Wires(*pair) for pair in zip(*(np.split(a, where, axis) for a in (wires.values, wires.constants)), strict=True)]


def give_parts(b: Builder, op: Operator, source: Tensor, parts: list[Wires]) -> None:
    """The outputs of an operator that takes a tensor apart."""
    for part, index in zip(parts, op.outputs, strict=True):
        target = b.tensors[index]
        moves(source, target)
        b.give(target, part)


def slice_(b: Builder, op: Operator) -> None:
    """Begin and size of each axis; size -1 is all that is left."""
    source, target = b.tensor(op, 0), b.target(op)
    moves(source, target)
    begins, sizes = (b.constant(op, which).ravel().tolist() for which in (1, 2))
    if len(begins) != len(source.shape) or len(sizes) != len(source.shape):
        raise InputError(f"{len(begins)} begins and {len(sizes)} sizes, expected {len(source.shape)} of each")
    parts = []
    for begin, size, length in zip(begins, sizes, source.shape, strict=True):
        end = length if size == -1 else begin + size
        if not 0 <= begin < end <= length:
            raise InputError(f"elements {begin} to {end} of an axis of {length}, expected some that are there")
        parts.append(slice(begin, end))
    b.give(target, b.of(source)[tuple(parts)])


def strided_slice(b: Builder, op: Operator) -> None:
    """Begin, end and stride of each axis, as Python slices; masks are bits, one an axis."""
    source, target, options = b.tensor(op, 0), b.target(op), op.options
    moves(source, target)
    for name in ("EllipsisMask", "NewAxisMask", "Offset"):
        if options[name]:
            raise UnsupportedError(f"{name} {options[name]}, expected none")
    begins, ends, strides = (b.constant(op, which).ravel().tolist() for which in (1, 2, 3))
    if not len(begins) == len(ends) == len(strides) <= len(source.shape):
        raise InputError(f"{len(begins)} begins, {len(ends)} ends and {len(strides)} strides of {len(source.shape)} axes")
    parts: list[slice | int] = []
    for axis, (begin, end, stride) in enumerate(zip(begins, ends, strides, strict=True)):
        if options["ShrinkAxisMask"] >> axis & 1:
            parts.append(begin)
            continue
        first, last = (None if options[name] >> axis & 1 else at for name, at in (("BeginMask", begin), ("EndMask", end)))
        parts.append(slice(first, last, stride))
    b.give(target, b.of(source)[tuple(parts)])


def pad(b: Builder, op: Operator) -> None:
    """PAD with the zero point, of floats with 0.0, PADV2 with a constant."""
    source, target = b.tensor(op, 0), b.target(op)
    widths = b.constant(op, 1)
    if widths.shape != (len(source.shape), 2) or widths.min() < 0:
        raise InputError(f"{b.tensor(op, 1).place}: {widths.tolist()}, expected two numbers of at least 0 for each axis")
    shape = tuple(n + sum(pair) for n, pair in zip(source.shape, widths.tolist(), strict=True))
    if shape != target.shape:
        raise InputError(f"{target.place}: shape {target.shape}, expected {shape}")
    wires, value = b.of(source), fill_of(b, op)
    values = np.pad(wires.values, widths, constant_values=CONSTANT)
    b.give(target, Wires(values, np.pad(wires.constants, widths, constant_values=value)))


def fill_of(b: Builder, op: Operator) -> int:
    """The constant that PAD or PADV2 puts around."""
    source, target = b.tensor(op, 0), b.target(op)
    if source.type == target.type == "FLOAT32":
        given = b.of_floats(np.zeros(1)) if op.kind == "PAD" else b.of(b.tensor(op, 2))
        if not given.fixed.all():
            raise UnsupportedError(f"{b.tensor(op, 2).place}: is computed, expected a constant")
        return int(given.constants.item())
    same_quantization(source, target)
    value = target.zero_point if op.kind == "PAD" else int(b.constant(op, 2).item())
    if not INT8[0] <= value <= INT8[1]:
        raise InputError(f"pads with {value}, expected one in {list(INT8)}")
    return value


def moves(source: Tensor, target: Tensor) -> None:
    """Raise unless values of one are values of the other."""
    if source.type == target.type == "INT8" and len(source.quantization.scales):
        same_quantization(source, target)
    elif source.type != target.type:
        raise InputError(f"{target.place}: type {target.type}, expected {source.type} of {source.place}")
    if math.prod(target.shape) > 1 << 31:
        raise UnsupportedError(f"{target.place}: {target.size} elements, expected fewer than 2**31")
