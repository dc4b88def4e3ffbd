"""Convolutions, grouped and depthwise ones included, channels last."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..arithmetic import integer
from ..errors import InputError, UnsupportedError
from .affine import WEIGHT_LIMIT, AffineMap, Patches, frozen
from .layers import BIAS_LIMIT, PADDING, Layer, integer_array, raw_bias

Pair = tuple[int, int]
# Strides and the like are at most this: their products stay inside int64.
MAX_EXTENT = 1 << 20
# Cells of a padded input, of 4 bytes each.
MAX_CELLS = 1 << 28


@dataclass(frozen=True, eq=False)
class Convolution(Layer):
    """acc[y, x, o] = bias[o] + sum over ky, kx, c of weights[o, ky, kx, c] * (in[y', x', g * C + c] - z)

        y' = y * strides[0] + ky * dilation[0] - top,    x' = x * strides[1] + kx * dilation[1] - left

    input (h, w, channels), output (h', w', n_out), C = channels / groups, g = o // (n_out / groups); z is the input's zero point,
    and what lies outside the input counts as z. weights int (n_out, kh, kw, C) and bias int (n_out,), below 2**31 and 2**59 in
    magnitude. padding is ((top, bottom), (left, right)). Depthwise: as many groups as channels; output channel
    c * multiplier + m reads channel c.
    """

    weights: np.ndarray
    bias: np.ndarray
    strides: Pair = (1, 1)
    padding: tuple[Pair, Pair] = ((0, 0), (0, 0))
    dilation: Pair = (1, 1)
    groups: int = 1

    def __post_init__(self):
        super().__post_init__()
        where = f"layer {self.name!r}"
        if len(self.input.shape) != 3 or len(self.output.shape) != 3:
            raise InputError(f"{where}: shapes {self.input.shape} and {self.output.shape}, expected (height, width, channels) of both")
        object.__setattr__(self, "groups", integer(self.groups, f"{where}: groups", 1, MAX_EXTENT))
        for name, least in (("strides", 1), ("dilation", 1)):
            object.__setattr__(self, name, pair_of(getattr(self, name), least, f"{where}: {name}"))
        padding = self.padding
        if not isinstance(padding, tuple | list) or len(padding) != 2:
            raise InputError(f"{where}: padding {padding!r}, expected ((top, bottom), (left, right))")
        object.__setattr__(self, "padding", tuple([pair_of(pair, 0, f"{where}: padding") for pair in padding]))
        self._check_parameters(where)
        self.check()

    def _check_parameters(self, where: str) -> None:
        weights = np.asarray(self.weights)
        channels, n_out = self.input.shape[2], self.output.shape[2]
        if weights.ndim != 4 or 0 in weights.shape:
            raise InputError(f"{where}: weights of shape {weights.shape}, expected (outputs, height, width, channels)")
        if channels % self.groups or n_out % self.groups:
            raise InputError(f"{where}: {self.groups} groups do not divide {channels} channels and {n_out} outputs")
        shape = (n_out, *weights.shape[1:3], channels // self.groups)
        for name, sizes, limit in (("weights", shape, WEIGHT_LIMIT), ("bias", shape[:1], BIAS_LIMIT)):
            object.__setattr__(self, name, integer_array(getattr(self, name), sizes, 1 - limit, limit - 1, f"{where}: {name}"))
        for axis, name in enumerate(("height", "width")):
            span = (shape[1 + axis] - 1) * self.dilation[axis] + 1
            room = self.input.shape[axis] + sum(self.padding[axis]) - span
            if room < 0 or room // self.strides[axis] + 1 != self.output.shape[axis]:
                size = room // self.strides[axis] + 1 if room >= 0 else 0
                raise InputError(f"{where}: output {name} {self.output.shape[axis]}, but strides, padding and kernel give {size}")
        height, width = self._padded
        if height * width * channels > MAX_CELLS:
            raise UnsupportedError(f"{where}: a padded input of {height} x {width} x {channels} elements, expected at most {MAX_CELLS}")

    @property
    def _padded(self) -> Pair:
        """Height and width of the padded input."""
        return self.input.shape[0] + sum(self.padding[0]), self.input.shape[1] + sum(self.padding[1])

    @cached_property
    def cells(self) -> np.ndarray | None:
        """The padded input, (top + h + bottom, left + w + right, channels)."""
        if not any(map(any, self.padding)):
            return None
        elements = np.arange(self.input.size, dtype=np.int32).reshape(self.input.shape)
        return frozen(np.pad(elements, (*self.padding, (0, 0)), constant_values=PADDING).ravel())

    @cached_property
    def affine(self) -> AffineMap:
        width, channels = self._padded[1], self.input.shape[2]
        n_out, kh, kw, depth = self.weights.shape
        y, x = (np.arange(self.output.shape[axis]) * self.strides[axis] for axis in (0, 1))
        start = (y[:, None] * width + x[None]).ravel() * channels
        ky, kx = (np.arange(size) * step for size, step in ((kh, self.dilation[0]), (kw, self.dilation[1])))
        offset = ((ky[:, None] * width + kx[None]).ravel()[:, None] * channels + np.arange(depth)[None]).ravel()
        rows = self.weights.reshape(self.groups, n_out // self.groups, kh * kw * depth)
        bias = raw_bias(self.name, self.weights, self.bias, self.input.zero_point).reshape(self.groups, -1)
        return Patches(self._padded[0] * width * channels, start, offset, depth, rows, bias)


def pair_of(value: object, least: int, what: str) -> Pair:
    """Two integers of at least `least`, as a tuple."""
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise InputError(f"{what} {value!r}, expected two integers")
    first, second = (integer(part, what, least, MAX_EXTENT) for part in value)
    return first, second


def out_size(size: int, kernel: int, stride: int, padding: Pair, dilation: int) -> int:
    """How many positions of a window there are along an axis."""
    room = size + sum(padding) - (kernel - 1) * dilation - 1
    if room < 0:
        raise InputError(f"a kernel that spans {(kernel - 1) * dilation + 1} of {size} cells, expected at most those")
    return room // stride + 1
