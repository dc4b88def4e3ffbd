"""Which integers the floats of an interval become: float32 in their order, and the cells of those that QuantizeLinear makes one integer.

QuantizeLinear never falls, so each integer is made of an interval of floats, perhaps an empty one. Floats are counted by their ordinals: 0
is 0.0, and each float32 above has the next number.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from ...importers.onnx_file.borders import Border
from .numbers import nearest

# The ordinal of the largest finite float32.
LARGEST = 0x7F7FFFFF


def float_of(ordinals: np.ndarray) -> np.ndarray:
    """The floats of ordinals, float32."""
    magnitudes = np.abs(ordinals).astype(np.uint32)
    return (magnitudes | np.where(ordinals < 0, np.uint32(1 << 31), np.uint32(0))).view(np.float32)


def value_of(ordinal: int) -> Fraction:
    return Fraction(float(float_of(np.array([ordinal]))[0]))


def ordinal_of(value: Fraction) -> int:
    """The ordinal of the largest float at most this; -LARGEST - 1 below all of them."""
    near = nearest(value, "float32")
    if near is None:
        return LARGEST if value > 0 else -LARGEST - 1
    bits = int(np.array([float(near)], np.float32).view(np.int32)[0])
    ordinal = bits if bits >= 0 else -(bits & 0x7FFFFFFF)
    return ordinal - 1 if near > value else ordinal


@dataclass(frozen=True)
class Cells:
    """starts int64[levels + 1]: the ordinal of the first float that becomes integer lo + i or more; LARGEST + 1 where there is none."""

    lo: int
    starts: np.ndarray

    @classmethod
    def of(cls, border: Border) -> Cells:
        """Those of an input of floats, found by bisection of QuantizeLinear itself."""
        form = border.form
        wanted = np.arange(form.lo + 1, form.hi + 1)
        below, reach = np.full(len(wanted), -LARGEST - 1, np.int64), np.full(len(wanted), LARGEST + 1, np.int64)
        while (reach - below > 1).any():
            middle = below + (reach - below) // 2
            reached = border.quantize(float_of(np.clip(middle, -LARGEST, LARGEST))) >= wanted
            inside = reach - below > 1
            reach, below = np.where(inside & reached, middle, reach), np.where(inside & ~reached, middle, below)
        return cls(form.lo, np.concatenate([[-LARGEST], reach, [LARGEST + 1]]))

    def integer(self, ordinal: int) -> int:
        """What a float becomes."""
        return self.lo + int(np.searchsorted(self.starts, ordinal, side="right")) - 1

    def cell(self, q: int) -> tuple[int, int]:
        """The first and the last float that become q; none if the last is before the first."""
        i = q - self.lo
        return int(self.starts[i]), int(self.starts[i + 1]) - 1

    def unreached(self, first: int, last: int) -> list[int]:
        """Integers from first to last that no float becomes."""
        part = self.starts[first - self.lo : last - self.lo + 2]
        return (np.flatnonzero(part[1:] == part[:-1]) + first).tolist()
