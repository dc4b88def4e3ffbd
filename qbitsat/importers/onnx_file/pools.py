"""Pools, maxima and means over axes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ...arithmetic import Float32Requantizer
from ...errors import InputError, UnsupportedError
from ...network import TensorFormat
from ..assembly import Kernel, Wires, convolve, largest, pooled
from .floats import quantized, ratio_of
from .means import LANES, in_lanes, mean_in_float32
from .quantizing import Target, dequantized, group, target_of
from .records import Node
from .session import Session
from .shapes import numbers
from .values import Dequantized, Integers, Value, f32
from .windows import Windows, as_before, image

MOVING = ("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity")


def max_pool(s: Session, node: Node) -> None:
    """Of integers, or of floats that grow with them."""
    x = s.computed(node, 0, Dequantized, Integers)
    form = x.form if isinstance(x, Dequantized) else TensorFormat((1,), x.lo, x.hi)
    largest_of_windows(s, node, x.wires, form, x)


def largest_of_windows(s: Session, node: Node, wires: Wires, form: TensorFormat, x: Value) -> None:
    """Along rows and then along columns, so that windows that overlap share; the result is as x, of which wires are."""
    if node.attributes.get("storage_order") or len(node.outputs) > 1:
        raise UnsupportedError("gives indices, expected values only")
    pixels, axes = image(wires), len(wires.shape) - 2
    where = Windows(node, axes, pixels.shape[:2])
    if where.dilation != (1, 1) and where.kernel != (1, 1):
        raise UnsupportedError(f"dilations {where.dilation}, expected 1")
    for axis in (1, 0):
        if max(where.padding[axis]) >= where.kernel[axis]:
            raise InputError(f"pads {where.padding[axis]}, expected less than the kernel's {where.kernel[axis]}")
        shape = where.kernel[axis], where.strides[axis], where.padding[axis]
        pixels = pooled(s.b, f"{node.name}.{'yx'[axis]}", pixels, axis, shape, form)
    s.give(node, replace(x, wires=as_before(pixels, axes)))


def reduce_max(s: Session, node: Node) -> None:
    x = s.computed(node, 0, Dequantized, Integers)
    groups, shape = reduced(s, node, x.wires)
    form = x.form if isinstance(x, Dequantized) else TensorFormat((1,), x.lo, x.hi)
    s.give(node, replace(x, wires=largest(s.b, node.name, groups, form).reshape(*shape)))


def global_max_pool(s: Session, node: Node) -> None:
    x = s.computed(node, 0, Dequantized, Integers)
    form = x.form if isinstance(x, Dequantized) else TensorFormat((1,), x.lo, x.hi)
    if len(x.shape) < 3:
        raise InputError(f"of {x.shape}, expected (1, channels, height, width)")
    groups = x.wires.map(lambda a: a.reshape(-1, a[0, 0].size))
    s.give(node, replace(x, wires=largest(s.b, node.name, groups, form).reshape(*x.shape[:2], *[1] * (len(x.shape) - 2))))


def reduce_mean(s: Session, node: Node) -> None:
    """round(sum / n / s) + z of the floats along the last axes, which the runtime adds in vectors."""
    x = s.computed(node, 0, Dequantized)
    end = quantizer_behind(s, node)
    form = target_of(s, end, 1, 2).form
    groups, shape = reduced(s, node, x.wires)
    count, rows = groups.shape[1], s.b.values(groups)
    wide = [axis for axis, n in enumerate(x.shape) if n > 1]
    gone = [axis for axis in wide if axis in reduced_axes(s, node, len(x.shape))]
    if not gone or wide[-len(gone) :] != gone:
        raise UnsupportedError(f"over axes {gone} of {x.shape}, expected the last ones")
    s.charge(rows.size)

    def levels(sums: np.ndarray) -> np.ndarray:
        return quantized(sums / f32(count), f32(form.scale), form.zero_point, form.lo, form.hi)

    made = np.empty(len(rows), np.int32)
    # Where a row begins in memory, beside a vector's begin.
    starts = -np.arange(len(rows)) * count % LANES
    for start in np.unique(starts).tolist():
        mine = starts == start
        made[mine] = mean_in_float32(s.b, f"{node.name}.{start}", rows[mine], x, levels, form, in_lanes(start))
    wires = Wires.of_values(made).reshape(*shape)
    s.give(node, Dequantized(wires, form.lo, form.hi, f32(form.scale), form.zero_point))


def quantizer_behind(s: Session, node: Node) -> Node:
    """The QuantizeLinear that alone reads what the node gives, perhaps behind operators that move it."""
    for _ in s.graph.nodes:
        readers = s.readers_of(node)
        if len(readers) != 1 or readers[0].index == node.index or readers[0].op not in (*MOVING, "QuantizeLinear"):
            break
        if readers[0].op == "QuantizeLinear":
            return readers[0]
        node = readers[0]
    raise UnsupportedError("gives floats, expected one QuantizeLinear behind")


def reduced(s: Session, node: Node, wires: Wires) -> tuple[Wires, tuple[int, ...]]:
    """The elements of each output in a row, and the output's shape."""
    rank, gone = len(wires.shape), reduced_axes(s, node, len(wires.shape))
    kept = [axis for axis in range(rank) if axis not in gone]
    count = int(np.prod([wires.shape[axis] for axis in gone]))
    if node.attributes.get("keepdims", 1):
        shape = tuple(1 if axis in gone else n for axis, n in enumerate(wires.shape))
    else:
        shape = tuple(wires.shape[axis] for axis in kept)
    return wires.map(lambda a: a.transpose(*kept, *gone).reshape(-1, count)), shape


def reduced_axes(s: Session, node: Node, rank: int) -> list[int]:
    axes = numbers(s, node, 1, "axes") or list(range(rank))
    if not all(-rank <= axis < rank for axis in axes):
        raise InputError(f"axes {axes} of {rank}")
    return sorted({axis % rank for axis in axes})


def average_pool(s: Session, node: Node) -> None:
    x = s.computed(node, 0, Dequantized)
    average(s, node, x, group(s, node, [x]))


def qlinear_average_pool(s: Session, node: Node) -> None:
    average(s, node, channels_first(node, dequantized(s, node, 0, 1, 2)), target_of(s, node, 3, 4))


def channels_first(node: Node, x: Dequantized) -> Dequantized:
    if node.attributes.get("channels_last"):
        raise UnsupportedError("channels_last 1, expected 0")
    return x


def average(s: Session, node: Node, x: Dequantized, target: Target) -> None:
    """round(mean / s + z) of the cells inside the image, the sum and all else in float32 from left to right and top to bottom. A window
    that is the image is what GlobalAveragePool has.
    """
    pixels, axes, form = image(x.wires), len(x.shape) - 2, target.form
    where = Windows(node, axes, pixels.shape[:2])
    if where.dilation != (1, 1):
        raise UnsupportedError(f"dilations {where.dilation}, expected 1")
    if where.kernel == pixels.shape[:2] and not np.any(where.padding):
        global_average(s, node, x, target)
        return
    ratio_of(x.scale, form.scale)  # refuses what leaves int32
    (rows, row_inside), (columns, column_inside) = (where.cells(axis, pixels.shape[axis]) for axis in (0, 1))
    whole, channels = where.kernel[0] * where.kernel[1], pixels.shape[2]
    s.charge(where.out[0] * where.out[1] * channels * whole)
    values = s.b.values(pixels)
    made = np.empty((*where.out, channels), np.int32)
    spans = [[tuple(line[ok].tolist()) for line, ok in zip(*part, strict=True)] for part in ((rows, row_inside), (columns, column_inside))]
    sizes = np.multiply.outer(row_inside.sum(axis=1), column_inside.sum(axis=1))
    for k, size in enumerate(np.unique(sizes).tolist()):
        places = np.argwhere(sizes == size)
        groups = np.concatenate([values[np.ix_(spans[0][i], spans[1][j])].reshape(size, channels).T for i, j in places.tolist()])
        count = f32(whole if node.attributes.get("count_include_pad") else size)
        # The runtime adds its own zero point before it rounds.
        point = f32(form.zero_point + target.shift)

        def levels(sums: np.ndarray, count: np.float32 = count, point: np.float32 = point) -> np.ndarray:
            found = np.rint(sums / count / f32(form.scale) + point)
            return np.clip(found - f32(target.shift), form.lo, form.hi).astype(np.int64)

        out = mean_in_float32(s.b, f"{node.name}.{k}", groups, x, levels, form).reshape(len(places), channels)
        made[places[:, 0], places[:, 1]] = out
    target.give(s, as_before(Wires.of_values(made), axes))


def global_average_pool(s: Session, node: Node) -> None:
    x = s.computed(node, 0, Dequantized)
    global_average(s, node, x, group(s, node, [x]))


def qlinear_global_average_pool(s: Session, node: Node) -> None:
    global_average(s, node, channels_first(node, dequantized(s, node, 0, 1, 2)), target_of(s, node, 3, 4))


def global_average(s: Session, node: Node, x: Dequantized, target: Target) -> None:
    """round(float32(sum of q - n z_x) * (s_x / (s_y * n))) + z, ties to even."""
    pixels, axes, form = image(x.wires), len(x.shape) - 2, target.form
    height, width, channels = pixels.shape
    scale = x.scale / (f32(form.scale) * f32(height * width))
    if not 2.0**-32 <= scale < 256 or height * width >= 1 << 24:
        raise UnsupportedError(f"a scale of {scale:g} over {height * width} cells, expected 2**-32 to 256 over less than 2**24")
    s.charge(pixels.size)
    kernel = Kernel(np.ones((channels, height, width, 1), np.int64), np.zeros(channels, np.int64), groups=channels)
    step = Float32Requantizer(float(scale), form.lo, form.hi, form.zero_point)
    target.give(s, as_before(convolve(s.b, node.name, pixels, kernel, (step,), x.form, form), axes))
