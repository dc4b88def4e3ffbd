"""The integer format of a tensor: its shape, its range and what its integers mean."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..errors import InputError


@dataclass(frozen=True)
class TensorFormat:
    """Integers of one shape in [lo, hi]; the real value of an integer q is scale * (q - zero_point).

    scale serves reports only; zero_point is part of the meaning: affine layers compute on q - zero_point.
    """

    shape: tuple[int, ...]
    lo: int
    hi: int
    scale: float = 1.0
    zero_point: int = 0

    def __post_init__(self):
        if not isinstance(self.shape, tuple) or not self.shape or any(not isinstance(n, int) or n < 1 for n in self.shape):
            raise InputError(f"tensor: shape {self.shape!r}, expected positive integers in a tuple")
        for name in ("lo", "hi", "zero_point"):
            value = getattr(self, name)
            if not isinstance(value, int) or abs(value) >= 1 << 31:
                raise InputError(f"tensor: {name} is {value!r}, expected an integer smaller than 2**31 in magnitude")
        if self.lo > self.hi:
            raise InputError(f"tensor: lo {self.lo} is above hi {self.hi}")
        if not (isinstance(self.scale, float) and math.isfinite(self.scale) and self.scale > 0):
            raise InputError(f"tensor: scale is {self.scale!r}, expected a positive finite number (float)")

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)
