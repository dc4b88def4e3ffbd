"""Layers in the making: what each tensor's elements are, and the layers and reads so far."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...arithmetic import Requantizer, ShiftRequantizer
from ...errors import InputError, UnsupportedError
from ...network import AffineMap, Layer, Linear, Patches, SparseRows, TensorFormat
from .. import runtimes
from ..files import one_line, placed
from ..runtimes import Quantization, Runtime
from .records import Graph, Operator, Tensor
from .schema import ACTIVATIONS

CONSTANT = -1
INT8 = (-128, 127)
# Elements of all tensors and layers together: so many, and so many more for each byte of the file. A constant counts for some, each time
# that it is read: weights become 64 bits wide.
MOST_VALUES, VALUES_A_BYTE, A_CONSTANT = 1 << 22, 64, 16
# What numpy raises on shapes and indices that do not fit.
ERRORS = (ValueError, IndexError, TypeError, OverflowError)


@dataclass(frozen=True)
class Wires:
    """What the elements of a tensor are: values int32[shape], numbers of the network's values or CONSTANT, and constants int64[shape]."""

    values: np.ndarray
    constants: np.ndarray

    @classmethod
    def of_constants(cls, constants: np.ndarray) -> Wires:
        return cls(np.full(constants.shape, CONSTANT, np.int32), constants)

    @classmethod
    def of_values(cls, values: np.ndarray) -> Wires:
        return cls(values.astype(np.int32, copy=False), np.zeros(values.shape, np.int64))

    @property
    def shape(self) -> tuple[int, ...]:
        return self.values.shape

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


class Builder:
    """A network in the making: `wires` of each tensor, by its index, and the layers with what they read."""

    def __init__(self, graph: Graph, runtime: Runtime, path: str, size: int):
        self.graph, self.runtime, self.path = graph, runtime, path
        self.wires: dict[int, Wires] = {}
        self.layers: list[Layer] = []
        self.reads: list[np.ndarray] = []
        self.inputs: dict[int, TensorFormat | None] = {}
        self.remarks: list[str] = []
        self.num_values = 0
        self.left = MOST_VALUES + VALUES_A_BYTE * size
        self._known: dict[int, int] = {}

    @contextmanager
    def named(self, place: str) -> Iterator[None]:
        """Errors within name the file and the place."""
        with placed(f"{self.path}: {place}"):
            try:
                yield
            except ERRORS as error:
                raise InputError(f"its tensors do not fit: {one_line(error)}") from error

    def charge(self, size: int) -> None:
        """Count elements that are about to be made."""
        self.left -= size
        if self.left < 0:
            raise UnsupportedError("so many values that the network is beyond what a file of its size may have")

    # --- tensors ---

    def tensor(self, operator: Operator, which: int) -> Tensor:
        """An input of the operator."""
        index = operator.inputs[which] if which < len(operator.inputs) else CONSTANT
        if index == CONSTANT:
            raise InputError(f"has {len(operator.inputs)} inputs, expected one at place {which}")
        return self.graph.tensors[index]

    def target(self, operator: Operator) -> Tensor:
        """The operator's only output."""
        if len(operator.outputs) != 1:
            raise InputError(f"has {len(operator.outputs)} outputs, expected 1")
        return self.graph.tensors[operator.outputs[0]]

    def of(self, tensor: Tensor) -> Wires:
        """What the elements of a tensor are."""
        if tensor.index in self.wires:
            return self.wires[tensor.index]
        if tensor.data is None:
            raise InputError(f"{tensor.place}: is read before an operator gives it")
        if tensor.data.dtype.kind not in "iu":
            raise UnsupportedError(f"{tensor.place}: constants of type {tensor.type}, expected integers")
        self.charge(A_CONSTANT * tensor.size)
        return Wires.of_constants(tensor.data.astype(np.int64))

    def constant(self, operator: Operator, which: int) -> np.ndarray:
        """An input that must be constant: int64 of its shape."""
        tensor = self.tensor(operator, which)
        wires = self.of(tensor)
        if not wires.fixed.all():
            raise UnsupportedError(f"{tensor.place}: is computed, expected a constant")
        return wires.constants

    def give(self, tensor: Tensor, wires: Wires) -> None:
        """An operator's output; its shape must be what the file says."""
        if wires.shape != tensor.shape:
            raise InputError(f"{tensor.place}: shape {tensor.shape}, expected {wires.shape} from its inputs and options")
        if tensor.index in self.wires or tensor.data is not None:
            raise InputError(f"{tensor.place}: is given twice")
        self.wires[tensor.index] = wires

    def fused(self, operator: Operator, target: Tensor) -> Quantization:
        """What the output's integers mean, with the range that the fused activation function leaves."""
        number = operator.options["FusedActivationFunction"]
        name = ACTIVATIONS[number] if 0 <= number < len(ACTIVATIONS) else str(number)
        if name not in runtimes.ACTIVATIONS:
            raise UnsupportedError(f"fused activation function {name}, expected {', '.join(runtimes.ACTIVATIONS)}")
        return self.runtime.fused(target.meaning, name, operator.kind)

    # --- layers ---

    def add(self, layer: Layer, reads: np.ndarray) -> np.ndarray:
        """A layer that reads these values; the values that are its outputs, in its output's shape."""
        self.charge(layer.output.size)
        first = self.num_values
        self.layers.append(layer)
        self.reads.append(reads.ravel())
        self.num_values += layer.output.size
        return np.arange(first, self.num_values, dtype=np.int32).reshape(layer.output.shape)

    def values(self, wires: Wires) -> np.ndarray:
        """The values that the elements are; a constant becomes the output of a neuron without weights, one for all its places."""
        missing = [c for c in np.unique(wires.constants[wires.fixed]).tolist() if c not in self._known]
        if missing:
            bias = np.array(missing, np.int64)
            output = TensorFormat((len(missing),), missing[0], missing[-1])
            nothing = np.empty(0, np.int32)
            rows = SparseRows(1, np.zeros(len(missing) + 1, np.int64), nothing, nothing, bias)
            requantizer = ShiftRequantizer(0, "floor", output.lo, output.hi)
            layer = Linear(f"constants_{len(self.layers)}", TensorFormat((1,), *INT8), output, (requantizer,), rows)
            self._known |= zip(missing, self.add(layer, np.zeros(1, np.int32)).tolist(), strict=True)
        values = wires.values.copy()
        values[wires.fixed] = [self._known[c] for c in wires.constants[wires.fixed].tolist()]
        return values

    def sums(
        self, name: str, reads: np.ndarray, weights: list[int], bias: int, steps: tuple[Requantizer, ...], form: TensorFormat
    ) -> np.ndarray:
        """A layer of reads.shape[0] weighted sums of as many values as there are weights, over raw integers; see `linear`."""
        count, width = reads.shape
        self.charge(reads.size)
        start, offset = width * np.arange(count, dtype=np.int32), np.arange(width, dtype=np.int32)
        affine = Patches(count * width, start, offset, 0, np.array([[weights]], np.int32), np.array([[bias]], np.int64))
        return self.linear(name, affine, self.range_of(reads), steps, form, reads)

    def linear(
        self, name: str, affine: AffineMap, ends: tuple[int, int], steps: tuple[Requantizer, ...], form: TensorFormat, reads: np.ndarray
    ) -> np.ndarray:
        """A layer that is this map, of values within these ends; form is of what it gives, steps are one or one for each output."""
        shared = steps[:1] if len(set(steps)) == 1 else steps
        lo, hi = min(step.lo for step in shared), max(step.hi for step in shared)
        output = TensorFormat((affine.n_out,), lo, hi, form.scale, form.zero_point)
        return self.add(Linear(name, TensorFormat((affine.n_in,), *ends), output, shared, affine), reads)

    def range_of(self, values: np.ndarray) -> tuple[int, int]:
        """The smallest and the largest integer that some values can be by their formats."""
        firsts = np.cumsum([self.num_values - sum(layer.output.size for layer in self.layers), *(y.output.size for y in self.layers)])
        owners = np.unique(np.searchsorted(firsts, values, side="right")).tolist()
        forms = [(*INT8,) if owner == 0 else (self.layers[owner - 1].output.lo, self.layers[owner - 1].output.hi) for owner in owners]
        return min(lo for lo, _ in forms), max(hi for _, hi in forms)
