"""What a .tflite file says, as plain records: tensors, operators and the graph that they make."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...errors import InputError, UnsupportedError
from ...network import TensorFormat
from ..runtimes import Quantization as Meaning

# The integers of each type that can be an activation, and the numpy types of what can be a constant.
RANGES = {"INT8": (-128, 127), "UINT8": (0, 255), "INT32": (-(1 << 31), (1 << 31) - 1)}
DTYPES = {"INT8": "<i1", "UINT8": "<u1", "INT16": "<i2", "INT32": "<i4", "INT64": "<i8", "FLOAT16": "<f2", "FLOAT32": "<f4", "BOOL": "<u1"}
# The smallest float32 with all its digits: below it no runtime promises a rounding.
SMALLEST_SCALE, LARGEST_SCALE = 2.0**-126, 2.0**127


@dataclass(frozen=True)
class Quantization:
    """scales float32[n] and zero_points int64[n] of n slices along the axis; n is 1 for the whole tensor."""

    scales: np.ndarray
    zero_points: np.ndarray
    axis: int = 0


@dataclass(frozen=True)
class Tensor:
    """data are the integers or floats of a constant, in its shape, and None for what is computed; fault is why a tensor is not read; the
    shape of one that is open is what the operator that gives it makes it.
    """

    index: int
    name: str
    type: str
    shape: tuple[int, ...]
    quantization: Quantization
    data: np.ndarray | None = None
    fault: str = ""
    open: bool = False

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def place(self) -> str:
        return f"tensor {self.index} ({self.name!r})"

    def checked_scales(self, axis: int | None) -> np.ndarray:
        """Scales, float32[1] or one a slice along `axis`; None takes one only. Zero points of other slices than the whole must be 0."""
        q = self.quantization
        count = len(q.scales)
        lengths = (1,) if axis is None else (1, self.shape[axis])
        if count not in lengths or len(q.zero_points) not in (0, count):
            expected = " or ".join(map(str, dict.fromkeys(lengths)))
            raise InputError(f"{self.place}: {count} scales and {len(q.zero_points)} zero points, expected {expected} of each")
        if count > 1 and q.axis != axis:
            raise InputError(f"{self.place}: its scales are along dimension {q.axis}, expected {axis}")
        for scale in q.scales.tolist():
            if not SMALLEST_SCALE <= scale <= LARGEST_SCALE:
                raise InputError(f"{self.place}: scale {scale:g}, expected a positive finite number that float32 holds in full")
        lo, hi = RANGES.get(self.type, (0, 0))
        for zero_point in q.zero_points.tolist():
            if not lo <= zero_point <= hi:
                raise InputError(f"{self.place}: zero point {zero_point}, expected one in [{lo}, {hi}]")
            if zero_point and count > 1:
                raise UnsupportedError(f"{self.place}: zero point {zero_point} of one of {count} slices, expected 0")
        return q.scales

    @property
    def scale(self) -> np.float32:
        """The one scale."""
        return self.checked_scales(None)[0]

    @property
    def zero_point(self) -> int:
        """The one zero point."""
        self.checked_scales(None)
        return int(self.quantization.zero_points[0]) if len(self.quantization.zero_points) else 0

    @property
    def meaning(self) -> Meaning:
        """Of integers that are computed."""
        return Meaning(float(self.scale), self.zero_point, *RANGES[self.type])

    @property
    def inner_shape(self) -> tuple[int, ...]:
        """The shape without a batch of one; at least one axis."""
        return (self.shape[1:] if len(self.shape) > 1 and self.shape[0] == 1 else self.shape) or (1,)

    @property
    def format(self) -> TensorFormat:
        """The meaning with the shape."""
        return TensorFormat(self.inner_shape, *RANGES[self.type], float(self.scale), self.zero_point)


@dataclass(frozen=True)
class Operator:
    """inputs and outputs are tensors' indices, -1 for an input that is left out."""

    index: int
    kind: str
    version: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def place(self) -> str:
        return f"operator {self.index} ({self.kind})"

    @property
    def name(self) -> str:
        """Of the layers that it becomes."""
        return f"{self.kind.lower()}_{self.index}"


@dataclass(frozen=True)
class Graph:
    """Operators in the order in which they run; each reads constants, inputs and what operators before it give."""

    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
