"""Layers over real numbers, as a float model has them: what they are, and what they compute. They are quantized before anything is proved.

A layer says which shape it gives for those that it reads, without a batch dimension, and computes a batch at a time. Images are
(height, width, channels).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, fields
from functools import partial
from typing import Any

import numpy as np

from ..arithmetic import integer
from ..errors import InputError, kind_of
from .affine import Record, frozen
from .convolution import MAX_EXTENT, Pair, out_size, pair_of
from .names import check_name

Shape = tuple[int, ...]
ONE: Pair = (1, 1)
NO_PADDING: tuple[Pair, Pair] = ((0, 0), (0, 0))
# What a quantizer is of: the kernel of a depthwise layer, whose last axis is another than that of a "kernel".
DEPTHWISE = "depthwise kernel"
# How weights were quantized that are already numbers of types which each has for itself.
OWN_TYPES = "its own types"


def real_array(values: Any, axes: tuple[int, ...], what: str) -> np.ndarray:
    """A read-only float64 copy of numbers, all finite, not empty, and with as many axes as one of `axes`."""
    array = np.asarray(values)
    if array.dtype.kind not in "iuf":
        raise InputError(f"{what}: dtype {array.dtype}, expected numbers")
    if array.ndim not in axes or not array.size:
        raise InputError(f"{what}: shape {array.shape}, expected {' or '.join(map(str, axes))} axes, none empty")
    array = frozen(array.astype(np.float64, copy=False))
    if not np.isfinite(array).all():
        place = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise InputError(f"{what}: element {list(place)} is {array[place]}, expected a finite number")
    return array


@dataclass(frozen=True, eq=False)
class FloatLayer(Record, ABC):
    """What every layer has: a name, and what it reads.

    reads       for each tensor that it reads the index of the layer that gives it, or -1 - k for input k of the network
    quantizers  what the file says of how it was trained to be quantized, as (of what, how): of "kernel", "depthwise kernel", "bias" or
                "output", in QKeras's words, such as "quantized_bits(6,0,alpha=1)"
    """

    name: str
    reads: tuple[int, ...]
    quantizers: tuple[tuple[str, str], ...] = field(default=(), kw_only=True)

    def __post_init__(self):
        check_name(self.name, "layer")
        if not isinstance(self.reads, tuple | list) or not self.reads:
            raise InputError(f"{self.place}: reads {kind_of(self.reads)}, expected at least one index of a layer, or -1 - k for input k")
        object.__setattr__(self, "reads", tuple(integer(k, f"{self.place}: an index that it reads") for k in self.reads))
        object.__setattr__(self, "quantizers", tuple((str(what), str(how)) for what, how in self.quantizers))

    def __reduce__(self) -> tuple[Any, ...]:
        """As of any record, with the field that is only given by name."""
        return partial(type(self), **{part.name: getattr(self, part.name) for part in fields(self)}), ()

    @property
    def place(self) -> str:
        return f"layer {self.name!r}"

    @property
    def num_parameters(self) -> int:
        """Numbers that the layer stores."""
        return sum(value.size for value in vars(self).values() if isinstance(value, np.ndarray))

    def set_real(self, name: str, *axes: int) -> np.ndarray:
        """Check a field that is an array of real numbers, and freeze it."""
        array = real_array(getattr(self, name), axes, f"{self.place}: {name}")
        object.__setattr__(self, name, array)
        return array

    def set_pairs(self, least: int, *names: str) -> None:
        """Check fields that are two integers each."""
        for name in names:
            object.__setattr__(self, name, pair_of(getattr(self, name), least, f"{self.place}: {name}"))

    def set_padding(self) -> None:
        padding = self.padding  # type: ignore[attr-defined]
        if not isinstance(padding, tuple | list) or len(padding) != 2:
            raise InputError(f"{self.place}: padding {padding!r}, expected ((top, bottom), (left, right))")
        object.__setattr__(self, "padding", tuple(pair_of(pair, 0, f"{self.place}: padding") for pair in padding))

    def only(self, shapes: tuple[Shape, ...], axes: int | None = None, what: str = "") -> Shape:
        """The one shape that is read, of so many axes."""
        if len(shapes) != 1:
            raise InputError(f"{self.place}: reads {len(shapes)} tensors, expected one")
        if axes is not None and len(shapes[0]) != axes:
            raise InputError(f"{self.place}: reads a tensor of shape {shapes[0]}, expected {what}")
        return shapes[0]

    @abstractmethod
    def shape(self, *shapes: Shape) -> Shape:
        """The shape of what it gives, for those of what it reads; raises `InputError` where they don't fit."""

    @abstractmethod
    def apply(self, *x: np.ndarray) -> np.ndarray:
        """What it gives, float[n, *shape], for what it reads, in the floats of that."""


@dataclass(frozen=True, eq=False)
class FloatDense(FloatLayer):
    """y = weights @ x + bias of a vector x; weights (n_out, n_in), bias (n_out,)."""

    weights: np.ndarray
    bias: np.ndarray

    def __post_init__(self):
        super().__post_init__()
        weights, bias = self.set_real("weights", 2), self.set_real("bias", 1)
        if len(weights) != len(bias):
            raise InputError(f"{self.place}: bias of shape {bias.shape}, expected ({len(weights)},)")

    def shape(self, *shapes: Shape) -> Shape:
        if self.only(shapes) != self.weights.shape[1:]:
            raise InputError(f"{self.place}: reads a tensor of shape {shapes[0]}, expected {self.weights.shape[1:]}")
        return self.bias.shape

    def apply(self, *x: np.ndarray) -> np.ndarray:
        return x[0] @ self.weights.T.astype(x[0].dtype) + self.bias.astype(x[0].dtype)


@dataclass(frozen=True, eq=False)
class FloatConvolution(FloatLayer):
    """y[y, x, o] = bias[o] + sum over ky, kx, c of weights[o, ky, kx, c] * in[y', x', g * C + c]

        y' = y * strides[0] + ky * dilation[0] - top,    x' = x * strides[1] + kx * dilation[1] - left

    input (h, w, channels), output (h', w', n_out), C = channels / groups, g = o // (n_out / groups); what lies outside the input
    is 0. weights (n_out, kh, kw, C), bias (n_out,), padding ((top, bottom), (left, right)). Depthwise: as many groups as channels;
    output channel c * multiplier + m reads channel c.
    """

    weights: np.ndarray
    bias: np.ndarray
    strides: Pair = ONE
    padding: tuple[Pair, Pair] = NO_PADDING
    dilation: Pair = ONE
    groups: int = 1

    def __post_init__(self):
        super().__post_init__()
        weights, bias = self.set_real("weights", 4), self.set_real("bias", 1)
        if len(weights) != len(bias):
            raise InputError(f"{self.place}: bias of shape {bias.shape}, expected ({len(weights)},)")
        object.__setattr__(self, "groups", integer(self.groups, f"{self.place}: groups", 1, MAX_EXTENT))
        self.set_pairs(1, "strides", "dilation")
        self.set_padding()

    def shape(self, *shapes: Shape) -> Shape:
        height, width, channels = self.only(shapes, 3, "(height, width, channels)")
        n_out, kh, kw, depth = self.weights.shape
        if depth * self.groups != channels or n_out % self.groups:
            raise InputError(
                f"{self.place}: weights of shape {self.weights.shape} in {self.groups} groups on {channels} channels, expected "
                f"(outputs, height, width, channels / groups), and groups that divide the outputs"
            )
        return (*window_positions(self, (height, width), (kh, kw), self.dilation), n_out)

    def apply(self, *x: np.ndarray) -> np.ndarray:
        n_out, kh, kw, depth = self.weights.shape
        height, width, _ = self.shape(x[0].shape[1:])
        padded = np.pad(x[0], ((0, 0), *self.padding, (0, 0)))
        # (kh, kw, groups, C, n_out / groups)
        weights = self.weights.reshape(self.groups, n_out // self.groups, kh, kw, depth).transpose(2, 3, 0, 4, 1).astype(x[0].dtype)
        sums = np.zeros((self.groups, len(padded) * height * width, n_out // self.groups), x[0].dtype)
        for ky, kx, part in windows(padded, (kh, kw), self.strides, self.dilation, (height, width)):
            cells = part.reshape(-1, self.groups, depth).transpose(1, 0, 2)
            sums += cells @ weights[ky, kx] if depth > 1 else cells * weights[ky, kx]
        return sums.transpose(1, 0, 2).reshape(len(padded), height, width, n_out) + self.bias.astype(x[0].dtype)


@dataclass(frozen=True, eq=False)
class Scale(FloatLayer):
    """y = scale * x + shift; both of shape (1,), of one number for each entry of the last axis, (channels,), or of x's own shape."""

    scale: np.ndarray
    shift: np.ndarray

    def __post_init__(self):
        super().__post_init__()
        self.set_real("scale", *range(1, 9))
        self.set_real("shift", *range(1, 9))

    def shape(self, *shapes: Shape) -> Shape:
        shape = self.only(shapes)
        for name in ("scale", "shift"):
            found = getattr(self, name).shape
            if found not in ((1,), shape[-1:], shape):
                raise InputError(f"{self.place}: {name} of shape {found}, expected (1,), {shape[-1:]} or {shape}")
        return shape

    def apply(self, *x: np.ndarray) -> np.ndarray:
        return x[0] * self.scale.astype(x[0].dtype) + self.shift.astype(x[0].dtype)


@dataclass(frozen=True, eq=False)
class Add(FloatLayer):
    """The sum of two or more tensors of one shape."""

    def shape(self, *shapes: Shape) -> Shape:
        if len(shapes) < 2 or len(set(shapes)) != 1:
            raise InputError(f"{self.place}: adds tensors of shapes {', '.join(map(str, shapes))}, expected two or more of one shape")
        return shapes[0]

    def apply(self, *x: np.ndarray) -> np.ndarray:
        return sum(x[1:], x[0])


def window_positions(layer: Any, size: Pair, window: Pair, dilation: Pair) -> Pair:
    """How many positions there are along height and width for a layer's strides and padding."""
    try:
        sizes = [out_size(*n) for n in zip(size, window, layer.strides, layer.padding, dilation, strict=True)]
    except InputError as error:
        raise InputError(f"{layer.place}: {error}") from error
    return sizes[0], sizes[1]


def windows(padded: np.ndarray, window: Pair, strides: Pair, dilation: Pair, positions: Pair):
    """For each tap (ky, kx) of a window the cells that it meets, [n, *positions, channels]."""
    for ky in range(window[0]):
        for kx in range(window[1]):
            rows, columns = (
                slice(tap * step, tap * step + (count - 1) * stride + 1, stride)
                for tap, step, count, stride in zip((ky, kx), dilation, positions, strides, strict=True)
            )
            yield ky, kx, padded[:, rows, columns]
