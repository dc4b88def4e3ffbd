"""What the elements of a tensor are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...arithmetic import Requantizer
from ...errors import UnsupportedError

CONSTANT = -1


def stepped(step: Requantizer, acc: Any) -> Any:
    """What a step makes of accumulators that are constants, a Python int or an int64 array, within its limit as those of layers are."""
    largest = int(np.abs(acc).max(initial=0))
    if largest > step.acc_limit:
        raise UnsupportedError(
            f"a constant accumulator of {largest}, expected at most {step.acc_limit}, as far as {step} is what its runtime computes"
        )
    return step.apply(acc)


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
