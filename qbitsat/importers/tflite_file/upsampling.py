"""TRANSPOSE_CONV and RESIZE_BILINEAR: images on a grid that is finer, or coarser, than that of their input."""

from __future__ import annotations

import math
from itertools import product

import numpy as np

from ...arithmetic import Requantizer, ShiftRequantizer
from ...errors import InputError, UnsupportedError
from .. import interpolation
from ..assembly import Kernel, Wires, combined, convolve, out_size, stepped
from ..runtimes import MICRO
from .builder import CONSTANT, INT8, Builder
from .convolutions import bare_bias, bias_of, geometry, integers, same_quantization, whose
from .records import Operator
from .schema import PADDINGS

# Outputs that take the same weights: the first of them, and the places of these weights, backwards.
Phase = tuple[int, range]


def transpose_conv(b: Builder, op: Operator) -> None:
    """Transposes a convolution from the output to the input: input i adds weight k to output i * stride + k - padding."""
    filters, source, target = b.tensor(op, 1), b.tensor(op, 2), b.target(op)
    shape = tuple(integers(b, op, 0, "INT32").ravel().tolist())
    if len(source.shape) != 4 or len(filters.shape) != 4 or filters.shape[3] != source.shape[3]:
        raise InputError(f"{filters.place}: shape {filters.shape}, expected (outputs, height, width, channels) for {source.shape}")
    if len(shape) != 4 or min(shape) < 1 or (shape[0], shape[3]) != (source.shape[0], filters.shape[0]):
        raise InputError(f"an output of {shape}, expected {source.shape[0]} images of {filters.shape[0]} channels")
    if filters.quantization.zero_points.any():
        raise UnsupportedError(f"{filters.place}: zero points {filters.quantization.zero_points.tolist()[:3]}, expected 0")
    strides, _, padding = geometry(op, shape[1:3], filters.shape[1:3])
    sizes = tuple(out_size(*numbers, 1) for numbers in zip(shape[1:3], filters.shape[1:3], strides, padding, strict=True))
    if sizes != source.shape[1:3]:
        raise InputError(f"an output of {shape}, of which a convolution makes {sizes}, expected {source.shape[1:3]} as the input has")
    # XNNPACK leaves gaps between kernels to LiteRT, unless outputs are VALID, and a shape that is computed, even if it is always the same.
    gaps = PADDINGS[op.options["Padding"]] == "SAME" and any(s > k for s, k in zip(strides, filters.shape[1:3], strict=True))
    runtime = whose(b, gaps or bare_bias(b, op, 3) or b.tensor(op, 0).data is None)
    steps = runtime.transposed(float(source.scale), filters.checked_scales(0).tolist(), shape[3], b.fused(op, target, runtime))
    kernel = Kernel(integers(b, op, 1, "INT8"), bias_of(b, op, shape[3], 3), strides, padding)
    b.charge(math.prod(shape))
    made = [transposed(b, op, b.of(source)[k], shape[1:], kernel, steps, f"{op.name}.{k}" if k else op.name) for k in range(shape[0])]
    b.give(target, Wires(*(np.stack([getattr(part, name) for part in made]) for name in ("values", "constants"))))


def transposed(
    b: Builder, op: Operator, wires: Wires, shape: tuple[int, ...], kernel: Kernel, steps: tuple[Requantizer, ...], name: str
) -> Wires:
    """The outputs (h, w, n_out) of an image: where no weight gets to, what the bias gives; all phases that read the same cells are one
    convolution.
    """
    source, target, n_out = b.tensor(op, 2).format, b.target(op).format, shape[2]
    steps = steps * n_out if len(steps) == 1 else steps
    rests = np.array([stepped(step, int(rest)) for step, rest in zip(steps, kernel.bias, strict=True)], np.int64)
    values, constants = np.full(shape, CONSTANT, np.int32), np.broadcast_to(rests, shape).copy()
    axes = [
        phases(count, taps, stride, before)
        for count, taps, stride, (before, _) in zip(shape, kernel.weights.shape[1:], kernel.strides, kernel.padding, strict=False)
    ]
    for number, ((rows, below), (columns, beside)) in enumerate(product(*(axis.items() for axis in axes))):
        parts = list(product(below, beside))
        weights = np.concatenate([kernel.weights[:, y][:, :, x] for (_, y), (_, x) in parts])
        part = Kernel(weights, np.tile(kernel.bias, len(parts)))
        cells = spread(wires, rows[0], columns[0], source.zero_point)
        made = convolve(b, f"{name}.phase{number}" if number else name, cells, part, steps * len(parts), source, target)
        for k, ((top, _), (left, _)) in enumerate(parts):
            mine = slice(top, None, kernel.strides[0]), slice(left, None, kernel.strides[1])
            channels = made[..., k * n_out : (k + 1) * n_out]
            values[mine], constants[mine] = channels.values, channels.constants
    return Wires(values, constants)


def phases(count: int, taps: int, stride: int, before: int) -> dict[tuple[range, int], list[Phase]]:
    """Along an axis of `count` outputs, for the cells that a phase reads and how many of them each output takes: all phases that do."""
    found: dict[tuple[range, int], list[Phase]] = {}
    for place in range(min(stride, count)):
        mine = range((place + before) % stride, taps, stride)[::-1]
        if mine:
            first = (place + before - mine[0]) // stride
            cells = range(first, first + len(mine) + (count - 1 - place) // stride)
            found.setdefault((cells, len(mine)), []).append((place, mine))
    return found


def spread(wires: Wires, rows: range, columns: range, zero_point: int) -> Wires:
    """These rows and columns of an image; outside it is the zero point."""
    ends = wires.shape[0] - 1, wires.shape[1] - 1
    y, x = (np.clip(cells, 0, end) for cells, end in zip((rows, columns), ends, strict=True))
    inside = np.logical_and.outer(y == rows, x == columns)[..., None]
    part = wires[y][:, x]
    return Wires(np.where(inside, part.values, CONSTANT), np.where(inside, part.constants, zero_point))


def resize_bilinear(b: Builder, op: Operator) -> None:
    """Weighted means of the four cells around a place; where one of them has all the weight, it is what stands there."""
    source, target, options = b.tensor(op, 0), b.target(op), op.options
    same_quantization(source, target)
    sizes = integers(b, op, 1, "INT32").ravel().tolist()
    if len(source.shape) != 4 or len(sizes) != 2 or min(sizes) < 1:
        raise InputError(f"of {source.shape} to {sizes}, expected an image, and a height and a width")
    if options["AlignCorners"] and options["HalfPixelCenters"]:
        raise UnsupportedError("AlignCorners and HalfPixelCenters, which exclude each other")
    if b.runtime.name in MICRO and b.tensor(op, 1).data is None:
        raise UnsupportedError(f"a size that is computed, where {b.runtime.name} takes a constant")
    shape = (source.shape[0], *sizes, source.shape[3])
    b.charge(4 * math.prod(shape))
    runtime = whose(b, b.tensor(op, 1).data is None).name
    (rows, heights), (columns, widths) = (
        interpolation.neighbours(runtime, n, m, options["AlignCorners"], options["HalfPixelCenters"])
        for n, m in zip(source.shape[1:3], sizes, strict=True)
    )
    bits, rounding = interpolation.rounding(runtime)
    wires = b.of(source)
    terms = [
        (wires[:, rows[i]][:, :, columns[j]], np.broadcast_to(np.multiply.outer(heights[i], widths[j])[..., None], shape))
        for i, j in product((0, 1), repeat=2)
    ]
    whole = terms[0][1] == 1 << bits
    values, constants = terms[0][0].values, terms[0][0].constants
    if not whole.all():
        step = ShiftRequantizer(bits, rounding, *INT8)
        made = combined(b, op.name, [(cells[~whole], weights[~whole]) for cells, weights in terms], 0, step, target.format)
        values[~whole], constants[~whole] = made.values, made.constants
    b.give(target, Wires(values, constants))


OPERATORS = {"TRANSPOSE_CONV": transpose_conv, "RESIZE_BILINEAR": resize_bilinear}
