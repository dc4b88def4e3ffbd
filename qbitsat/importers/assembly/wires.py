"""What the elements of a tensor are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

CONSTANT = -1


@dataclass(frozen=True)
class Wires:
    """What the elements of a tensor are: values int32[shape], numbers of the network's values or CONSTANT, and constants int64[shape]."""

    values: np.ndarray
    constants: np.ndarray

    @classmethod
    def of_constants(cls, constants: np.ndarray) -> Wires:
        return cls(np.full(constants.shape, CONSTANT, np.int32), constants.astype(np.int64, copy=False))

    @classmethod
    def of_values(cls, values: np.ndarray) -> Wires:
        return cls(values.astype(np.int32, copy=False), np.zeros(values.shape, np.int64))

    @property
    def shape(self) -> tuple[int, ...]:
        return self.values.shape

    @property
    def size(self) -> int:
        return self.values.size

    @property
    def fixed(self) -> np.ndarray:
        """Which elements are constants."""
        return self.values == CONSTANT

    def __getitem__(self, part: Any) -> Wires:
        return Wires(self.values[part], self.constants[part])

    def reshape(self, *shape: int) -> Wires:
        return Wires(self.values.reshape(shape), self.constants.reshape(shape))

    def map(self, function: Callable[[np.ndarray], np.ndarray]) -> Wires:
        """The elements moved as the function moves those of any array."""
        return Wires(function(self.values), function(self.constants))
