"""Layers over real numbers that compute nothing: they say which number stands where."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..arithmetic import integer
from ..errors import InputError
from .convolution import MAX_EXTENT, Pair, pair_of
from .float_layers import FloatLayer, Shape
from .float_steps import real_number


@dataclass(frozen=True, eq=False)
class Reshape(FloatLayer):
    """The same numbers in the same order, in another shape; flattening is one axis of all."""

    target: Shape

    def __post_init__(self):
        super().__post_init__()
        if not isinstance(self.target, tuple | list) or not self.target:
            raise InputError(f"{self.place}: target {self.target!r}, expected a shape")
        object.__setattr__(self, "target", tuple(integer(n, f"{self.place}: a size of target", 1) for n in self.target))

    def shape(self, *shapes: Shape) -> Shape:
        if math.prod(self.only(shapes)) != math.prod(self.target):
            raise InputError(f"{self.place}: reshapes {shapes[0]} to {self.target}, expected as many elements")
        return self.target

    def apply(self, *x: np.ndarray) -> np.ndarray:
        return x[0].reshape(len(x[0]), *self.target)


@dataclass(frozen=True, eq=False)
class Transpose(FloatLayer):
    """Axis i of what it gives is axis axes[i] of what it reads; axes count from 0, the batch not among them."""

    axes: tuple[int, ...]

    def __post_init__(self):
        super().__post_init__()
        axes = tuple(self.axes) if isinstance(self.axes, tuple | list) else ()
        if not axes or sorted(axes, key=str) != sorted(range(len(axes)), key=str):
            raise InputError(f"{self.place}: axes {self.axes!r}, expected each axis once")
        object.__setattr__(self, "axes", tuple(integer(k, f"{self.place}: an axis") for k in axes))

    def shape(self, *shapes: Shape) -> Shape:
        shape = self.only(shapes, len(self.axes), f"{len(self.axes)} axes")
        return tuple(shape[k] for k in self.axes)

    def apply(self, *x: np.ndarray) -> np.ndarray:
        return x[0].transpose(0, *(k + 1 for k in self.axes))


@dataclass(frozen=True, eq=False)
class Concat(FloatLayer):
    """Tensors one after the other along an axis, which counts from 0, the batch not among them."""

    axis: int

    def __post_init__(self):
        super().__post_init__()
        object.__setattr__(self, "axis", integer(self.axis, f"{self.place}: axis", 0))

    def shape(self, *shapes: Shape) -> Shape:
        k, first = self.axis, shapes[0]
        if k >= len(first) or any(len(s) != len(first) or s[:k] + s[k + 1 :] != first[:k] + first[k + 1 :] for s in shapes):
            raise InputError(
                f"{self.place}: joins tensors of shapes {', '.join(map(str, shapes))}, expected such that differ along axis {k}"
            )
        return (*first[:k], sum(shape[k] for shape in shapes), *first[k + 1 :])

    def apply(self, *x: np.ndarray) -> np.ndarray:
        return np.concatenate(x, self.axis + 1)


@dataclass(frozen=True, eq=False)
class Pad(FloatLayer):
    """Cells of one value around a tensor; padding is (before, after) for each axis."""

    padding: tuple[Pair, ...]
    value: float = 0.0

    def __post_init__(self):
        super().__post_init__()
        if not isinstance(self.padding, tuple | list) or not self.padding:
            raise InputError(f"{self.place}: padding {self.padding!r}, expected (before, after) for each axis")
        object.__setattr__(self, "padding", tuple(pair_of(pair, 0, f"{self.place}: padding") for pair in self.padding))
        object.__setattr__(self, "value", real_number(self.value, f"{self.place}: value"))

    def shape(self, *shapes: Shape) -> Shape:
        shape = self.only(shapes, len(self.padding), f"{len(self.padding)} axes")
        padded = tuple(n + sum(pair) for n, pair in zip(shape, self.padding, strict=True))
        if max(padded) > MAX_EXTENT:
            raise InputError(f"{self.place}: pads to {padded}, expected at most {MAX_EXTENT} along an axis")
        return padded

    def apply(self, *x: np.ndarray) -> np.ndarray:
        return np.pad(x[0], ((0, 0), *self.padding), constant_values=self.value)
