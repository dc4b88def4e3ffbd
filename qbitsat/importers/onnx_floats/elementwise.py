"""Activations, pools, and what moves elements."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...errors import InputError, UnsupportedError
from ...network.float_network import Activation, Clip, Concat, GlobalPool, Pad, Pool, Reshape, Scale, Transpose
from ..onnx_file import shapes
from ..onnx_file.records import Node
from ..onnx_file.shapes import has
from ..onnx_file.windows import Windows
from .tensors import Follower, Tensor, bare, lead

# The largest float32, which stands for no limit.
LARGEST = 3.4e38
# By their numbers in TensorProto.
FLOATS = {1: "float32", 10: "float16", 11: "float64", 16: "bfloat16"}
FUNCTIONS = {"Relu": "relu", "Sigmoid": "sigmoid", "Tanh": "tanh"}


def unary(f: Follower, node: Node) -> None:
    f.put(node, f.tensor(node), Activation, FUNCTIONS[node.op])


def leaky_relu(f: Follower, node: Node) -> None:
    f.put(node, f.tensor(node), Activation, "leaky_relu", 0.0, float(node.attributes.get("alpha", 0.01)))


def hard_sigmoid(f: Follower, node: Node) -> None:
    """min(max(alpha * x + beta, 0), 1)."""
    x, (slope, shift) = f.tensor(node), (float(node.attributes.get(key, default)) for key, default in (("alpha", 0.2), ("beta", 0.5)))
    line = f.add(node, Scale, x.number, np.array([slope]), np.array([shift]), what="line")
    f.put(node, Tensor(line, x.shape, x.is_last), Clip, 0.0, 1.0)


def limit(f: Follower, node: Node, which: int, key: str, default: float) -> float:
    """An end of a range, an input in new versions and an attribute in old ones."""
    if not has(node, which):
        return float(node.attributes.get(key, default))
    array = f.constant(node, which)
    if array.size != 1:
        raise InputError(f"{key} of shape {array.shape}, expected one number")
    return float(array.reshape(()))


def clip(f: Follower, node: Node) -> None:
    lo, hi = limit(f, node, 1, "min", -math.inf), limit(f, node, 2, "max", math.inf)
    lo, hi = -math.inf if lo <= -LARGEST else lo, math.inf if hi >= LARGEST else hi
    if lo == 0 and hi > 0:
        f.put(node, f.tensor(node), Activation, *(("relu",) if hi == math.inf else ("relu_n", hi)))
    else:
        f.put(node, f.tensor(node), Clip, lo, hi)


def extreme(f: Follower, node: Node) -> None:
    """The larger, or the smaller, of a tensor and a number."""
    if len(node.inputs) != 2 or sum(isinstance(f.get(node, i), Tensor) for i in (0, 1)) != 1:
        raise UnsupportedError("of tensors that are computed, expected one and a number")
    which = 0 if isinstance(f.get(node, 0), Tensor) else 1
    number = f.constant(node, 1 - which)
    if number.size != 1:
        raise UnsupportedError(f"a constant of shape {number.shape}, expected one number")
    end = float(number.reshape(()))
    f.put(node, f.tensor(node, which), Clip, *((end, math.inf) if node.op == "Max" else (-math.inf, end)))


def softmax(f: Follower, node: Node) -> None:
    """Along one axis; before version 13 along all from there together."""
    x, is_old = f.tensor(node), f.opset < 13
    axes = len(x.shape)
    axis = int(node.attributes.get("axis", 1 if is_old else -1))
    axis += axes if axis < 0 else 0
    if not 0 <= axis < axes:
        raise InputError(f"axis {axis} of {x.shape}")
    if is_old and axis != axes - 1:
        x, rows = f.filed(node, x), math.prod(x.shape[:axis])
        flat = f.add(node, Reshape, x.number, bare((rows, math.prod(x.shape[axis:]))), what="rows")
        number = f.add(node, Activation, flat, "softmax")
        f.give(node, Tensor(f.add(node, Reshape, number, x.bare, what="before"), x.shape))
        return
    if axis == 1 and axes in (3, 4) and x.shape[0] == 1:
        x = f.image(node, x)
    elif axis == axes - 1:
        x = f.filed(node, x)
    else:
        raise UnsupportedError(f"softmax along axis {axis} of {x.shape}, expected the last or the channels")
    f.put(node, x, Activation, "softmax")


def identity(f: Follower, node: Node) -> None:
    if node.op == "Dropout":
        f.b.leave_out(node.title or node.name)
    f.give(node, f.get(node, 0))


def cast(f: Follower, node: Node) -> None:
    """From floats to floats; to anything else it would round."""
    kind = FLOATS.get(node.attributes.get("to", 0))
    if kind is None:
        raise UnsupportedError(f"a cast of what is computed to type {node.attributes.get('to')}, expected one to floats")
    if kind.endswith("float16"):
        f.b.note_half(node.title or node.name)
    f.give(node, f.get(node, 0))


# --- pools ---


def pool(f: Follower, node: Node) -> None:
    if len(node.outputs) > 1 and node.outputs[1]:
        raise UnsupportedError("gives indices, expected the largest alone")
    x = f.image(node, f.tensor(node))
    axes, (height, width, channels) = len(x.shape) - 2, f.b.shape(x.number)
    window = Windows(node, axes, (height, width))
    if window.dilation != (1, 1):
        raise UnsupportedError(f"dilations {window.dilation}, expected 1")
    kind = "max" if node.op == "MaxPool" else "average"
    counted = bool(node.attributes.get("count_include_pad", 0))
    number = f.add(node, Pool, x.number, kind, window.kernel, window.strides, window.padding, counted)
    height, width, channels = f.b.shape(number)
    f.give(node, Tensor(number, (1, channels, height, width) if axes == 2 else (1, channels, width), True))


def global_pool(f: Follower, node: Node) -> None:
    of_whole_image(f, node, "max" if node.op == "GlobalMaxPool" else "average", True)


def reduce(f: Follower, node: Node) -> None:
    """Over an image, in each channel."""
    x, axes = f.tensor(node), shapes.numbers(f, node, 1, "axes")
    image = tuple(range(2, len(x.shape)))
    if axes is None or len(x.shape) not in (3, 4) or tuple(sorted(k % len(x.shape) for k in axes)) != image:
        raise UnsupportedError(f"over axes {axes} of {x.shape}, expected height and width of an image")
    of_whole_image(f, node, "max" if node.op == "ReduceMax" else "average", bool(node.attributes.get("keepdims", 1)))


def of_whole_image(f: Follower, node: Node, kind: str, keepdims: bool) -> None:
    x = f.image(node, f.tensor(node))
    number, axes = f.add(node, GlobalPool, x.number, kind), len(x.shape) - 2
    channels = x.shape[1]
    if not keepdims:
        f.give(node, Tensor(number, (1, channels)))
        return
    number = f.add(node, Reshape, number, (1, 1, channels), what="image")
    f.give(node, Tensor(number, (1, channels, *(1,) * axes), True))


def product(f: Follower, node: Node) -> None:
    """Of constants, as of sizes."""
    axes = shapes.numbers(f, node, 1, "axes")
    array = shapes.constant(f, node, 0)
    over, kept = None if axes is None else tuple(axes), bool(node.attributes.get("keepdims", 1))
    f.give(node, np.asarray(np.prod(array, axis=over, keepdims=kept, dtype=array.dtype)))


# --- moves ---


def moved(f: Follower, node: Node, x: Tensor, shape: tuple[int, ...]) -> None:
    """The same elements in another shape."""
    x = f.filed(node, x)
    if math.prod(shape) != math.prod(x.shape) or min(shape, default=1) < 1:
        raise InputError(f"{x.shape} as {shape}")
    f.give(node, Tensor(f.add(node, Reshape, x.number, bare(shape)), shape))


def reshape(f: Follower, node: Node) -> None:
    x, sizes = f.tensor(node), shapes.numbers(f, node, 1, "shape")
    if sizes is None or len(sizes) > 8:
        raise InputError(f"shape {sizes}, expected one of at most 8 axes")
    if not node.attributes.get("allowzero"):
        sizes = [x.shape[i] if n == 0 and i < len(x.shape) else n for i, n in enumerate(sizes)]
    known = math.prod(n for n in sizes if n != -1)
    if sizes.count(-1) > 1 or known < 1:
        raise InputError(f"{x.shape} as {tuple(sizes)}")
    moved(f, node, x, tuple(math.prod(x.shape) // known if n == -1 else n for n in sizes))


def flatten(f: Follower, node: Node) -> None:
    x, axis = f.tensor(node), int(node.attributes.get("axis", 1))
    if not -len(x.shape) <= axis <= len(x.shape):
        raise InputError(f"axis {axis} of {x.shape}")
    axis += len(x.shape) if axis < 0 else 0
    moved(f, node, x, (math.prod(x.shape[:axis]), math.prod(x.shape[axis:])))


def squeeze(f: Follower, node: Node) -> None:
    x, axes = f.tensor(node), shapes.numbers(f, node, 1, "axes")
    gone = {k % len(x.shape) for k in axes} if axes is not None else {k for k, n in enumerate(x.shape) if n == 1}
    if any(x.shape[k] != 1 for k in gone):
        raise InputError(f"axes {axes} of {x.shape}, expected such of one element")
    moved(f, node, x, tuple(n for k, n in enumerate(x.shape) if k not in gone))


def unsqueeze(f: Follower, node: Node) -> None:
    x, axes = f.tensor(node), shapes.numbers(f, node, 1, "axes") or []
    if len(x.shape) + len(axes) > 8:
        raise InputError(f"axes {axes} of {x.shape}, expected at most 8 in all")
    moved(f, node, x, np.expand_dims(np.empty(x.shape, np.bool_), tuple(axes)).shape)


def transpose(f: Follower, node: Node) -> None:
    """The batch stays where it is."""
    x = f.filed(node, f.tensor(node))
    axes = len(x.shape)
    order = tuple(node.attributes.get("perm", tuple(reversed(range(axes)))))
    if sorted(order) != list(range(axes)):
        raise InputError(f"perm {order} of {x.shape}, expected each axis once")
    shape = tuple(x.shape[k] for k in order)
    if lead(x.shape) != lead(shape) or (lead(x.shape) and order[0] != 0):
        raise UnsupportedError(f"perm {order} of {x.shape}, expected the batch to stay first")
    skip = lead(x.shape)
    f.give(node, Tensor(f.add(node, Transpose, x.number, tuple(k - skip for k in order[skip:])), shape))


def concat(f: Follower, node: Node) -> None:
    parts = f.alike(node, [f.tensor(node, i) for i in range(len(node.inputs))])
    first, axis = parts[0], int(node.attributes.get("axis", 0))
    axes = len(first.shape)
    axis += axes if axis < 0 else 0
    skip = lead(first.shape)
    if not skip <= axis < axes or any(len(part.shape) != axes or lead(part.shape) != skip for part in parts):
        raise UnsupportedError(f"axis {axis} of shapes {', '.join(str(part.shape) for part in parts)}, expected one after the batch")
    place = axis - skip
    if first.is_last:
        place = 2 if axis == 1 else axis - 2 + (axes == 3)
    number = f.add(node, Concat, tuple(part.number for part in parts), place) if len(parts) > 1 else first.number
    f.give(node, Tensor(number, (*first.shape[:axis], sum(part.shape[axis] for part in parts), *first.shape[axis + 1 :]), first.is_last))


def pad(f: Follower, node: Node) -> None:
    x = f.tensor(node)
    pairs, value = shapes.pad_widths(f, node, x.shape)
    skip = lead(x.shape)
    if skip and pairs[0] != (0, 0):
        raise UnsupportedError(f"pads {pairs[0]} along the batch, expected none")
    shape = tuple(n + sum(pair) for n, pair in zip(x.shape, pairs, strict=True))
    if skip and len(shape) in (3, 4):
        x = f.image(node, x)
        inner = [*((0, 0) for _ in range(4 - len(shape))), *pairs[2:], pairs[1]]
    else:
        x, inner = f.filed(node, x), pairs[skip:]
    f.give(node, Tensor(f.add(node, Pad, x.number, tuple(inner), float(value or 0)), shape, x.is_last))


OPERATORS: dict[str, Any] = {
    **dict.fromkeys(FUNCTIONS, unary),
    "LeakyRelu": leaky_relu,
    "HardSigmoid": hard_sigmoid,
    "Clip": clip,
    "Max": extreme,
    "Min": extreme,
    "Softmax": softmax,
    "Identity": identity,
    "Dropout": identity,
    "Cast": cast,
    "MaxPool": pool,
    "AveragePool": pool,
    "GlobalMaxPool": global_pool,
    "GlobalAveragePool": global_pool,
    "ReduceMean": reduce,
    "ReduceMax": reduce,
    "ReduceProd": product,
    "Reshape": reshape,
    "Flatten": flatten,
    "Squeeze": squeeze,
    "Unsqueeze": unsqueeze,
    "Transpose": transpose,
    "Concat": concat,
    "Pad": pad,
}
