"""What each tensor's elements are, beside the layers in the making."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ...errors import InputError, UnsupportedError
from ...network import TensorFormat
from .. import assembly, runtimes
from ..assembly import A_CONSTANT, CONSTANT, Wires
from ..runtimes import MICRO, Quantization, Runtime
from .records import Graph, Operator, Tensor
from .schema import ACTIVATIONS

INT8 = (-128, 127)
# What stands for the function of floats that are inputs.
OUTSIDE = -1


class Builder(assembly.Builder):
    """A network in the making: `wires` of each tensor, by its index, and the layers with what they read."""

    def __init__(self, graph: Graph, runtime: Runtime, path: str, size: int):
        super().__init__(path, size)
        self.graph, self.runtime = graph, runtime
        self.tensors = list(graph.tensors)
        self.wires: dict[int, Wires] = {}
        self.entries: dict[int, TensorFormat | None] = {}
        # Functions of integers that are floats: the least and the most that each may be, float32[2, 256].
        self.floats: list[np.ndarray] = []
        # Tensors that are a function of another one: its index, and int64[256], the function of each integer.
        self.functions: dict[int, tuple[int, np.ndarray]] = {}

    @property
    def forms(self) -> list[TensorFormat]:
        """The formats of the inputs; of those that nothing has made INT8 yet, only their sizes."""
        return [form or TensorFormat((self.tensors[index].size,), *INT8) for index, form in self.entries.items()]

    # --- tensors ---

    def tensor(self, operator: Operator, which: int) -> Tensor:
        """An input of the operator."""
        index = operator.inputs[which] if which < len(operator.inputs) else CONSTANT
        if index == CONSTANT:
            raise InputError(f"has {len(operator.inputs)} inputs, expected one at place {which}")
        return self.tensors[index]

    def target(self, operator: Operator) -> Tensor:
        """The operator's only output."""
        if len(operator.outputs) != 1:
            raise InputError(f"has {len(operator.outputs)} outputs, expected 1")
        return self.tensors[operator.outputs[0]]

    def of(self, tensor: Tensor) -> Wires:
        """What the elements of a tensor are."""
        if tensor.index in self.wires:
            return self.wires[tensor.index]
        if tensor.data is None:
            raise InputError(f"{tensor.place}: is read before an operator gives it")
        self.charge(A_CONSTANT * tensor.size)
        if tensor.type == "FLOAT32":
            return self.of_floats(tensor.data)
        if tensor.data.dtype.kind not in "iu":
            raise UnsupportedError(f"{tensor.place}: constants of type {tensor.type}, expected integers")
        return Wires.of_constants(tensor.data.astype(np.int64))

    def of_floats(self, data: np.ndarray) -> Wires:
        """Constants that are floats: functions that are the same for each integer."""
        floats, places = np.unique(data, return_inverse=True)
        count = INT8[1] - INT8[0] + 1
        self.charge(2 * count * floats.size)
        first = len(self.floats)
        self.floats.extend(np.broadcast_to(floats.astype(np.float32)[:, None, None], (floats.size, 2, count)))
        return Wires.of_constants(first + places.reshape(data.shape))

    def constant(self, operator: Operator, which: int) -> np.ndarray:
        """An input that must be constant: int64 of its shape."""
        tensor = self.tensor(operator, which)
        if tensor.type == "FLOAT32":
            raise UnsupportedError(f"{tensor.place}: FLOAT32, expected integers")
        wires = self.of(tensor)
        if not wires.fixed.all():
            raise UnsupportedError(f"{tensor.place}: is computed, expected a constant")
        return wires.constants

    def function_of(self, tensor: Tensor) -> tuple[int, np.ndarray]:
        """The tensor that one is a function of, if only itself, and the function of each integer, int64[256]; of a number CONSTANT."""
        integers, constants = np.arange(INT8[0], INT8[1] + 1), tensor.data
        if constants is None and self.of(tensor).fixed.all():
            constants = self.of(tensor).constants
        if constants is not None and constants.size and (constants == constants.flat[0]).all():
            return CONSTANT, np.full(integers.size, constants.flat[0], np.int64)
        return self.functions.get(tensor.index, (tensor.index, integers))

    def remember(self, target: Tensor, sources: list[Tensor], function: Callable[..., np.ndarray | None]) -> None:
        """An output is this function of its inputs, or None: where they are functions of one tensor of its shape, it is one, too."""
        shape = np.broadcast_shapes(*(source.shape for source in sources))
        found = [self.function_of(source) for source in sources]
        roots = {root for root, _ in found if root >= 0}
        if len(roots) == 1 and self.of(self.tensors[min(roots)]).shape == shape:
            values = function(*(table for _, table in found))
            if values is not None:
                self.functions[target.index] = min(roots), values

    def give(self, tensor: Tensor, wires: Wires) -> None:
        """An operator's output; its shape must be what the file says. LiteRT makes a shape that is open fit, and TFLM does not."""
        if tensor.open and self.runtime.name not in MICRO:
            self.tensors[tensor.index] = replace(tensor, shape=wires.shape)
        elif wires.shape != tensor.shape:
            hint = f"; {self.runtime.name} takes the file's: convert it with a batch of 1" if tensor.open else ""
            raise InputError(f"{tensor.place}: shape {tensor.shape}, expected {wires.shape} from its inputs and options{hint}")
        if tensor.index in self.wires or tensor.data is not None:
            raise InputError(f"{tensor.place}: is given twice")
        self.wires[tensor.index] = wires

    def fused(self, operator: Operator, target: Tensor, runtime: Runtime | None = None) -> Quantization:
        """What the output's integers mean, with the range that the fused activation function leaves, in the runtime or another one."""
        number = operator.options["FusedActivationFunction"]
        name = ACTIVATIONS[number] if 0 <= number < len(ACTIVATIONS) else str(number)
        if name not in runtimes.ACTIVATIONS:
            raise UnsupportedError(f"fused activation function {name}, expected {', '.join(runtimes.ACTIVATIONS)}")
        return (runtime or self.runtime).fused(target.meaning, name, operator.kind)
