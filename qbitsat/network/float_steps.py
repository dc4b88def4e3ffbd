"""Layers over real numbers that are no affine maps: activations and pools."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real

import numpy as np

from ..errors import InputError, unknown
from .float_layers import NO_PADDING, ONE, FloatLayer, Pair, Shape, window_positions, windows

POOLS = ("max", "average")
ACTIVATIONS = ("linear", "relu", "relu_n", "leaky_relu", "sigmoid", "tanh", "softmax")


@dataclass(frozen=True, eq=False)
class Activation(FloatLayer):
    """A function of each number, or softmax along the last axis.

    linear x    relu max(x, 0)    relu_n min(max(x, 0), n)    leaky_relu x where x >= 0, else alpha * x    sigmoid    tanh    softmax
    """

    kind: str
    n: float = 0.0
    alpha: float = 0.0

    def __post_init__(self):
        super().__post_init__()
        if self.kind not in ACTIVATIONS:
            raise unknown(f"{self.place}: activation", self.kind, ACTIVATIONS)
        for name in ("n", "alpha"):
            object.__setattr__(self, name, real_number(getattr(self, name), f"{self.place}: {name}"))
        if self.kind == "relu_n" and self.n <= 0:
            raise InputError(f"{self.place}: n is {self.n}, expected a positive number")

    def shape(self, *shapes: Shape) -> Shape:
        return self.only(shapes)

    def apply(self, *x: np.ndarray) -> np.ndarray:
        z = x[0]
        if self.kind in ("relu", "relu_n"):
            return np.clip(z, 0, self.n if self.kind == "relu_n" else None)
        if self.kind == "leaky_relu":
            return np.where(z >= 0, z, z.dtype.type(self.alpha) * z)
        if self.kind == "sigmoid":
            return np.exp(-np.logaddexp(z.dtype.type(0), -z))
        if self.kind == "softmax":
            powers = np.exp(z - z.max(axis=-1, keepdims=True))
            return powers / powers.sum(axis=-1, keepdims=True)
        return np.tanh(z) if self.kind == "tanh" else z


@dataclass(frozen=True, eq=False)
class Clip(FloatLayer):
    """min(max(x, lo), hi); lo or hi may be infinite."""

    lo: float
    hi: float

    def __post_init__(self):
        super().__post_init__()
        for name, end in (("lo", -math.inf), ("hi", math.inf)):
            value = getattr(self, name)
            object.__setattr__(self, name, end if value == end else real_number(value, f"{self.place}: {name}"))
        if self.lo > self.hi:
            raise InputError(f"{self.place}: lo {self.lo} is above hi {self.hi}")

    def shape(self, *shapes: Shape) -> Shape:
        return self.only(shapes)

    def apply(self, *x: np.ndarray) -> np.ndarray:
        return np.clip(x[0], x[0].dtype.type(self.lo), x[0].dtype.type(self.hi))


@dataclass(frozen=True, eq=False)
class Pool(FloatLayer):
    """The largest, or the average, of each window of an image, in each channel.

    kind is "max" or "average", padding ((top, bottom), (left, right)). Cells of the padding are no candidates for the largest; an average
    counts them as 0 with count_padding, and leaves them out without.
    """

    kind: str
    window: Pair
    strides: Pair = ONE
    padding: tuple[Pair, Pair] = NO_PADDING
    count_padding: bool = False

    def __post_init__(self):
        super().__post_init__()
        if self.kind not in POOLS:
            raise unknown(f"{self.place}: pool", self.kind, POOLS)
        self.set_pairs(1, "window", "strides")
        self.set_padding()
        if any(max(pair) >= size for pair, size in zip(self.padding, self.window, strict=True)):
            raise InputError(f"{self.place}: padding {self.padding} of windows {self.window}, expected windows that reach the input")
        object.__setattr__(self, "count_padding", bool(self.count_padding))

    def shape(self, *shapes: Shape) -> Shape:
        height, width, channels = self.only(shapes, 3, "(height, width, channels)")
        return (*window_positions(self, (height, width), self.window, ONE), channels)

    def apply(self, *x: np.ndarray) -> np.ndarray:
        n, (height, width, channels) = len(x[0]), self.shape(x[0].shape[1:])
        is_max = self.kind == "max"
        outside = -np.inf if is_max else 0
        padded = np.pad(x[0], ((0, 0), *self.padding, (0, 0)), constant_values=outside)
        result = np.full((n, height, width, channels), outside, x[0].dtype)
        for _, _, part in windows(padded, self.window, self.strides, ONE, (height, width)):
            result = np.maximum(result, part) if is_max else result + part
        return result if is_max else result / self.counts(x[0].shape[1:]).astype(x[0].dtype)

    def counts(self, shape: Shape) -> np.ndarray:
        """What an average divides by at each position, int64[h', w', 1], for an input of that shape."""
        height, width, _ = self.shape(shape)
        if self.count_padding:
            return np.full((height, width, 1), self.window[0] * self.window[1], np.int64)
        inside = np.pad(np.ones((1, *shape[:2], 1), np.int64), ((0, 0), *self.padding, (0, 0)))
        return sum(part for _, _, part in windows(inside, self.window, self.strides, ONE, (height, width)))[0]


@dataclass(frozen=True, eq=False)
class GlobalPool(FloatLayer):
    """The largest, or the average, of each channel of an image: (height, width, channels) -> (channels,)."""

    kind: str

    def __post_init__(self):
        super().__post_init__()
        if self.kind not in POOLS:
            raise unknown(f"{self.place}: pool", self.kind, POOLS)

    def shape(self, *shapes: Shape) -> Shape:
        return self.only(shapes, 3, "(height, width, channels)")[2:]

    def apply(self, *x: np.ndarray) -> np.ndarray:
        return x[0].max(axis=(1, 2)) if self.kind == "max" else x[0].mean(axis=(1, 2))


def real_number(value: object, what: str) -> float:
    """A finite number as a Python float."""
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
        raise InputError(f"{what} is {value!r}, expected a finite number")
    return float(value)
