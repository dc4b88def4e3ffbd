"""What tensors are while a graph is followed: constants are numpy's arrays, all else is one of these."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np

from ...errors import UnsupportedError
from ...network import TensorFormat
from ..assembly import Wires

f32 = np.float32
Moved = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Value:
    """A tensor that is computed: wires say which integers it is made of."""

    wires: Wires

    @property
    def shape(self) -> tuple[int, ...]:
        return self.wires.shape

    def map(self, function: Moved) -> Any:
        """The elements moved as the function moves those of any array."""
        return replace(self, wires=self.wires.map(function))


@dataclass(frozen=True)
class Outside(Value):
    """Floats from outside; constants of the wires are the numbers of the elements of all inputs. They stand for factor * x + term."""

    factor: Fraction = Fraction(1)
    term: Fraction = Fraction(0)


@dataclass(frozen=True)
class Integers(Value):
    """Integers of a type that holds [lo, hi]; `unsigned` are those that the runtime computes with as uint8, 128 more than the file's. `of`
    is which function of other integers they are, with tables of integers, where that is known.
    """

    lo: int
    hi: int
    unsigned: bool = False
    of: Tabulated | None = None

    def map(self, function: Moved) -> Any:
        return replace(self, wires=self.wires.map(function), of=self.of and self.of.map(function))


@dataclass(frozen=True)
class Dequantized(Value):
    """The floats scale * (q - zero_point) of integers q in [lo, hi]; `unsigned` and `of` as of Integers."""

    lo: int
    hi: int
    scale: np.float32
    zero_point: int
    unsigned: bool = False
    of: Tabulated | None = None

    def map(self, function: Moved) -> Any:
        return replace(self, wires=self.wires.map(function), of=self.of and self.of.map(function))

    @property
    def form(self) -> TensorFormat:
        """What the integers mean; the shape is of no account."""
        return TensorFormat((1,), self.lo, self.hi, float(self.scale), self.zero_point)

    @property
    def shift(self) -> int:
        """How much more the runtime's integers are than these."""
        return 128 if self.unsigned else 0

    @property
    def floats(self) -> np.ndarray:
        """The float of each integer, float32[hi - lo + 1]."""
        return self.scale * (np.arange(self.lo, self.hi + 1) - self.zero_point).astype(f32)

    @property
    def tabulated(self) -> Tabulated:
        return Tabulated(self.wires, self.lo, self.floats[None], np.zeros(self.shape, np.int32))

    @property
    def composed(self) -> Tabulated | None:
        """The floats as a function of what the integers are a function of."""
        return self.of and replace(self.of, tables=self.floats[self.of.tables - self.lo])


@dataclass(frozen=True)
class Tabulated(Value):
    """Floats that are functions of one integer each: tables float32[n, hi - lo + 1], and which int32[shape] is that of an element."""

    lo: int
    tables: np.ndarray
    which: np.ndarray

    def map(self, function: Moved) -> Tabulated:
        return replace(self, wires=self.wires.map(function), which=function(self.which))

    def reads(self, wires: Wires, lo: int) -> bool:
        """Whether it is a function of these integers."""
        if wires.shape != self.shape or lo != self.lo:
            return False
        return bool((wires.values == self.wires.values).all() and (wires.constants == self.wires.constants).all())

    @property
    def tabulated(self) -> Tabulated:
        return self

    @property
    def composed(self) -> None:
        return None


@dataclass(frozen=True)
class Stored:
    """Floats that a constant stores as integers: scale * (q - zero_point), with one of each, or one for each slice along the axis."""

    integers: np.ndarray
    lo: int
    hi: int
    scales: np.ndarray
    zero_points: np.ndarray
    axis: int

    @property
    def shape(self) -> tuple[int, ...]:
        return self.integers.shape

    def map(self, function: Moved) -> Stored:
        """The elements moved, where none has a scale of its own."""
        if max(len(self.scales), len(self.zero_points)) > 1:
            raise UnsupportedError(f"moves a constant with {len(self.scales)} scales, expected one")
        return replace(self, integers=np.asarray(function(self.integers)))

    @property
    def floats(self) -> np.ndarray:
        shape = [1] * self.integers.ndim
        if len(self.scales) > 1:
            shape[self.axis] = -1
        return self.scales.reshape(shape) * (self.integers - self.zero_points.reshape(shape)).astype(f32)


@dataclass(frozen=True)
class Sums(Value):
    """The last sums, before a scale that is one for all of them."""


@dataclass(frozen=True)
class Rim(Value):
    """What follows the integers that are the result, and keeps their order."""
