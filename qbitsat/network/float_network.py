"""A float model: an acyclic graph of layers over real numbers, checked once and frozen. It is quantized before anything is proved."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..arithmetic import integer
from ..errors import InputError, UnsupportedError, kind_of
from ..limits import NO_LIMITS, Limits
from .affine import Record
from .float_layers import Add, FloatConvolution, FloatDense, FloatLayer, Scale, Shape
from .float_moves import Concat, Pad, Reshape, Transpose
from .float_steps import Activation, Clip, GlobalPool, Pool
from .names import check_name, escape_path

__all__ = [
    "Activation", "Add", "Clip", "Concat", "FloatConvolution", "FloatDense", "FloatLayer", "FloatNetwork", "GlobalPool", "Pad", "Pool",
    "Reshape", "Scale", "Transpose",
]  # fmt: skip

# Numbers that a tensor, and all tensors together, may have.
MAX_TENSOR, MAX_NUMBERS = 1 << 27, 1 << 31


@dataclass(frozen=True, eq=False, repr=False)
class FloatNetwork(Record):
    """Layers in topological order. `source` is the file that it came from, or ""; remarks are what was changed when it was read.

    inputs    shapes of the tensors that come from outside, without a batch dimension
    outputs   the tensors that are the result: indices of layers, or -1 - k for input k; by default the last layer

    Layers have different names.
    """

    inputs: tuple[Shape, ...]
    layers: tuple[FloatLayer, ...]
    outputs: tuple[int, ...] = ()
    name: str = "network"
    source: str = ""
    remarks: tuple[str, ...] = ()

    def __post_init__(self):
        check_name(self.name, "network")
        if not isinstance(self.source, str):
            raise InputError(f"{self.place}: source is {self.source!r}, expected the name of a file, or ''")
        escape_path(self.source)
        for field, kind in (("inputs", tuple | list), ("layers", FloatLayer), ("remarks", str)):
            parts = getattr(self, field)
            if not isinstance(parts, tuple | list) or not all(isinstance(part, kind) for part in parts):
                raise InputError(f"{self.place}: {field} are {kind_of(parts)}, expected a tuple")
            object.__setattr__(self, field, tuple(parts))
        if not self.layers or not self.inputs:
            raise InputError(f"{self.place}: has {len(self.inputs)} inputs and {len(self.layers)} layers, expected at least one of each")
        shapes = tuple(tuple(integer(n, f"{self.place}: a size of an input", 1) for n in shape) for shape in self.inputs)
        if not all(shapes):
            raise InputError(f"{self.place}: inputs {shapes}, expected at least one axis of each")
        object.__setattr__(self, "inputs", shapes)
        names = [layer.name for layer in self.layers]
        if len(set(names)) != len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise InputError(f"{self.place}: two layers are named {twice!r}, expected different names")
        outputs = self.outputs or (len(self.layers) - 1,)
        object.__setattr__(self, "outputs", tuple(self._index(k, len(self.layers), "outputs") for k in outputs))
        self.shapes  # noqa: B018 (checks them)

    def __repr__(self) -> str:
        shapes = ", ".join("x".join(map(str, shape)) for shape in self.inputs)
        return f"<FloatNetwork {self.name!r}: {len(self.layers)} {'layer' if len(self.layers) == 1 else 'layers'} on {shapes}>"

    @property
    def place(self) -> str:
        return f"network {self.name!r}"

    def _index(self, k: Any, end: int, what: str) -> int:
        return integer(k, f"{self.place}: {what}: a tensor", -len(self.inputs), end - 1)

    @cached_property
    def shapes(self) -> tuple[Shape, ...]:
        """The shape of what each layer gives."""
        shapes: list[Shape] = []
        numbers = sum(map(math.prod, self.inputs))
        for k, layer in enumerate(self.layers):
            reads = [self._index(i, k, layer.place) for i in layer.reads]
            shape = layer.shape(*(shapes[i] if i >= 0 else self.inputs[-1 - i] for i in reads))
            numbers += math.prod(shape)
            if math.prod(shape) > MAX_TENSOR or numbers > MAX_NUMBERS:
                raise UnsupportedError(f"{layer.place}: gives a tensor of shape {shape}, {numbers} numbers so far, expected fewer")
            shapes.append(shape)
        return tuple(shapes)

    def shape(self, k: int) -> Shape:
        """The shape of a tensor: what layer k gives, or input -1 - k."""
        return self.shapes[k] if k >= 0 else self.inputs[-1 - k]

    @cached_property
    def readers(self) -> dict[int, tuple[int, ...]]:
        """For each tensor that is read, by its index, the layers that read it, in order."""
        readers: dict[int, list[int]] = {}
        for k, layer in enumerate(self.layers):
            for i in dict.fromkeys(layer.reads):
                readers.setdefault(i, []).append(k)
        return {i: tuple(found) for i, found in readers.items()}

    @property
    def num_parameters(self) -> int:
        """Weights, biases, scales and shifts of all layers."""
        return sum(layer.num_parameters for layer in self.layers)

    def forward(self, x: Any, up_to: int | None = None, dtype: type = np.float64, limits: Limits = NO_LIMITS) -> list[np.ndarray]:
        """What every layer gives, from the first to the last or to layer `up_to`: float[n, *shape] each, in float64 or float32.

        x are samples of the input, [n, *shape] or [n, size], or a tuple or list of them, one for each input, where there are several.
        Sums and products that leave the floats become infinite or NaN, as in any framework.
        """
        if dtype not in (np.float32, np.float64):
            raise InputError(f"forward: dtype {dtype!r}, expected float32 or float64")
        inputs = self._batches(x, dtype)
        last = len(self.layers) - 1 if up_to is None else integer(up_to, "forward: up_to", 0, len(self.layers) - 1)
        values: list[np.ndarray] = []
        with np.errstate(all="ignore"):
            for layer in self.layers[: last + 1]:
                limits.check()
                values.append(layer.apply(*(values[i] if i >= 0 else inputs[-1 - i] for i in layer.reads)))
        return values

    def run(self, x: Any, dtype: type = np.float64, limits: Limits = NO_LIMITS) -> tuple[np.ndarray, ...]:
        """The outputs for samples x, as `forward` takes them: float[n, *shape] each."""
        values, inputs = self.forward(x, dtype=dtype, limits=limits), self._batches(x, dtype)
        return tuple(values[k] if k >= 0 else inputs[-1 - k] for k in self.outputs)

    def _batches(self, x: Any, dtype: type) -> list[np.ndarray]:
        parts = [x] if len(self.inputs) == 1 else list(x)
        if len(parts) != len(self.inputs):
            raise InputError(f"{self.place}: {len(parts)} inputs, expected {len(self.inputs)}")
        batches: list[np.ndarray] = []
        for k, (part, shape) in enumerate(zip(parts, self.inputs, strict=True)):
            array = np.asarray(part)
            if array.dtype.kind not in "iuf" or not array.ndim or array.shape[1:] not in (shape, (math.prod(shape),)):
                raise InputError(f"input {k}: {array.dtype} of shape {array.shape}, expected numbers of shape (samples, {shape})")
            batches.append(array.astype(dtype).reshape(len(array), *shape))
        return batches
