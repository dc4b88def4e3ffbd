"""The integer format of a tensor: its shape, its range and what its integers mean."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np

from ..arithmetic import INT32, ShiftRequantizer, integer
from ..errors import InputError


@dataclass(frozen=True)
class TensorFormat:
    """Integers of one shape in [lo, hi], both of 32 bits; the real value of an integer q is scale * (q - zero_point).

    scale serves reports and `quantize` only; zero_point is part of the meaning: affine layers compute on q - zero_point.
    """

    shape: tuple[int, ...]
    lo: int
    hi: int
    scale: float = 1.0
    zero_point: int = 0

    def __post_init__(self):
        if not isinstance(self.shape, tuple | list) or not self.shape:
            raise InputError(f"tensor: shape {self.shape!r}, expected positive integers in a tuple")
        shape = tuple(integer(n, f"tensor: shape {self.shape!r}: an axis", 1) for n in self.shape)
        object.__setattr__(self, "shape", shape)
        for name in ("lo", "hi", "zero_point"):
            object.__setattr__(self, name, integer(getattr(self, name), f"tensor: {name}", *INT32))
        if self.lo > self.hi:
            raise InputError(f"tensor: lo {self.lo} is above hi {self.hi}")
        object.__setattr__(self, "scale", positive(self.scale, "tensor: scale"))

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    def requantizer(self, shift: int, rounding: str, overflow: str = "saturate", bias: int = 0) -> ShiftRequantizer:
        """The requantizer that gives this format: its range, and its zero point as the offset, with which a bias in output units goes.

        y = overflow(round(acc / 2**shift) + zero_point + bias, lo, hi)
        """
        bias = integer(bias, "requantizer: bias", *INT32)
        return ShiftRequantizer(shift, rounding, self.lo, self.hi, overflow, self.zero_point + bias)

    def quantize(self, x: Any, scale: float | None = None) -> np.ndarray:
        """Real values as this format's integers, int64 of the same shape: round(x / scale) + zero_point, ties to even as in numpy.

        scale is the real value of one step, that of the format by default. Raises `InputError` that names the first element which is
        not finite or leaves [lo, hi]; nothing is clipped.
        """
        array = np.asarray(x)
        if array.dtype.kind not in "iuf":
            raise InputError(f"quantize: dtype {array.dtype}, expected numbers")
        step = self.scale if scale is None else positive(scale, "quantize: scale")
        steps = self.steps(array, step)
        wrong = ~((steps >= self.lo) & (steps <= self.hi))
        if wrong.any():
            place = [int(i) for i in np.argwhere(wrong)[0]]
            raise InputError(f"element {place} is {array[tuple(place)]}, {self.outside(float(steps[tuple(place)]), step)}")
        return steps.astype(np.int64)

    def steps(self, x: np.ndarray, scale: float) -> np.ndarray:
        """round(x / scale) + zero_point as float64, wherever that lies: no integer type holds it all."""
        with np.errstate(over="ignore", invalid="ignore"):
            return np.rint(x.astype(np.float64) / scale) + self.zero_point

    def outside(self, steps: float, scale: float) -> str:
        """What to say of a real value that is so many steps, and not in the range."""
        if not math.isfinite(steps):
            return "expected a finite number"
        return f"which is the integer {steps:.0f} at a scale of {scale:.12g} a step, expected one in [{self.lo}, {self.hi}]"


def positive(value: Any, what: str) -> float:
    """A positive finite number as a Python float."""
    if isinstance(value, bool) or not isinstance(value, Real) or not (math.isfinite(value) and float(value) > 0):
        raise InputError(f"{what} is {value!r}, expected a positive finite number")
    return float(value)
