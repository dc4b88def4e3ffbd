"""What all formats share: a float model's layers one after the other, each as layers of integers."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from ..errors import InputError, UnsupportedError
from ..importers.assembly import Builder, Kernel, Wires, pooled
from ..limits import Limits
from ..network import Network, TensorFormat
from ..network.float_network import (
    Activation,
    Add,
    Clip,
    Concat,
    FloatConvolution,
    FloatDense,
    FloatLayer,
    FloatNetwork,
    GlobalPool,
    Pad,
    Pool,
    Reshape,
    Transpose,
)
from .calibration import Method, Observed
from .losses import LayerReport, Loss, Probe, Tap
from .numbers import Fixed

# Numbers of the network for each of the model's: pools and products of pairs need more than one.
ROOM = 1 << 24


@dataclass(frozen=True)
class Tensor:
    """A tensor of the network: its wires, in its shape, and what its integers mean; form's range holds them all. fixed is the type of
    numbers that a fixed-point format gives it, whatever their range here.
    """

    wires: Wires
    form: TensorFormat
    fixed: Fixed | None = None


class Lowering(ABC):
    """The way from a float model to a network; `layer_...` are those of one format.

    tensors are those of the model by their index. An activation that the layer before can do by itself is `fused`: it has no layer.
    """

    def __init__(self, model: FloatNetwork, seen: dict[int, Observed] | None, method: Method, shape: tuple[int, ...] | None = None):
        """shape is the network's input's, where that is another than the model's."""
        self.model, self.seen, self.method, self.shape = model, seen, method, shape or model.inputs[0]
        self.b = Builder(model.source or model.name, ROOM)
        self.tensors: dict[int, Tensor] = {}
        self.reports: dict[int, LayerReport] = {}
        self.fused: set[int] = set()
        # What to say of layers whose biases mostly do not fit, and of others, by their index.
        self.misfits: list[str] = []
        self.remarks: dict[int, str] = {}

    def run(self, runtime: str, limits: Limits) -> tuple[Network, Probe, list[LayerReport]]:
        """The network, the one with all tensors as outputs, and what is to be said of each layer."""
        if len(self.model.inputs) != 1:
            raise UnsupportedError(f"{self.model.place}: {len(self.model.inputs)} inputs, expected one")
        limits.begin("layers", lambda: {"layers": len(self.tensors) - 1})
        self.tensors[-1] = self.input()
        for k, layer in enumerate(self.model.layers):
            limits.check()
            if k in self.fused:
                continue
            with self.b.named(layer.place):
                place = self.place(k, layer)
                self.tensors[place] = self.lower(k, layer)
        ends = [self.tensors[k] for k in self.model.outputs]
        outputs = np.concatenate([self.b.values(end.wires.map(np.ravel), end.form) for end in ends])
        network = self.b.finish(self.model.name, outputs, runtime)
        return network, self.probe(), [self.reports[k] for k in sorted(self.reports)]

    def probe(self) -> Probe:
        """The network whose outputs are all tensors of layers."""
        taps, parts, start = [], [], 0
        for k in sorted(k for k in self.tensors if k >= 0):
            tensor = self.tensors[k]
            part = slice(start, start + tensor.wires.size)
            taps.append(Tap(k, part, tensor.form.scale, tensor.form.zero_point))
            parts.append(self.b.values(tensor.wires.map(np.ravel)))
            start = part.stop
        return Probe(self.b.finish("probe", np.concatenate(parts)), tuple(taps))

    def place(self, k: int, layer: FloatLayer) -> int:
        """Whose tensor it becomes: its own, or that of a rectifier that is its only reader."""
        readers = self.model.readers.get(k, ())
        if not isinstance(layer, FloatDense | FloatConvolution | Add) or len(readers) != 1 or k in self.model.outputs:
            return k
        reader = self.model.layers[readers[0]]
        if not is_rectifier(reader):
            return k
        self.fused.add(readers[0])
        return readers[0]

    def lower(self, k: int, layer: FloatLayer) -> Tensor:
        reads = [self.tensors[i] for i in layer.reads]
        lowers: dict[type, Callable[..., Tensor]] = {
            FloatDense: self.affine, FloatConvolution: self.affine, Add: self.add, Activation: self.activation, Clip: self.activation,
            Pool: self.pool, GlobalPool: self.pool, Concat: self.concat, Pad: self.pad, Reshape: self.move, Transpose: self.move,
        }  # fmt: skip
        if type(layer) not in lowers:
            raise UnsupportedError(f"a layer of kind {type(layer).__name__}")
        return lowers[type(layer)](k, layer, *reads)

    def move(self, k: int, layer: Reshape | Transpose, x: Tensor) -> Tensor:
        wires = x.wires.reshape(*layer.target) if isinstance(layer, Reshape) else x.wires.map(lambda a: a.transpose(layer.axes))
        return replace(x, wires=wires)

    def pad(self, k: int, layer: Pad, x: Tensor) -> Tensor:
        # The range of x may be less than its type's, and without the padding.
        ends = x.fixed or x.form
        value = int(np.clip(round(layer.value / x.form.scale) + x.form.zero_point, ends.lo, ends.hi))
        size = tuple(n + sum(pair) for n, pair in zip(x.wires.shape, layer.padding, strict=True))
        inside = tuple(slice(first, first + n) for (first, _), n in zip(layer.padding, x.wires.shape, strict=True))
        self.b.charge(math.prod(size))
        wires = Wires.of_constants(np.full(size, value, np.int64))
        wires.values[inside], wires.constants[inside] = x.wires.values, x.wires.constants
        return replace(x, wires=wires, form=replace(x.form, lo=min(x.form.lo, value), hi=max(x.form.hi, value)))

    def concat(self, k: int, layer: Concat, *reads: Tensor) -> Tensor:
        parts = self.alike(k, layer, reads)
        joined = (np.concatenate([getattr(p.wires, name) for p in parts], layer.axis) for name in ("values", "constants"))
        return replace(parts[0], wires=Wires(*joined))

    def pool(self, k: int, layer: Pool | GlobalPool, x: Tensor) -> Tensor:
        if isinstance(layer, GlobalPool):
            layer = self.as_pool(layer, x)
        shape = self.model.shapes[k]
        if layer.kind == "average":
            form = replace(x.form, lo=min(x.form.lo, 0), hi=max(x.form.hi, 0)) if layer.count_padding else x.form
            return replace(x, wires=self.average(layer, x).reshape(*shape), form=form)
        wires = x.wires
        for axis in (0, 1):
            wires = pooled(self.b, layer.name, wires, axis, (layer.window[axis], layer.strides[axis], layer.padding[axis]), x.form)
        return replace(x, wires=wires.reshape(*shape))

    @staticmethod
    def as_pool(layer: GlobalPool, x: Tensor) -> Pool:
        """The pool whose window is the whole image."""
        height, width, _ = x.wires.shape
        return Pool(layer.name, layer.reads, layer.kind, (height, width))

    def kernel_of_sums(self, layer: Pool, channels: int) -> Kernel:
        """Sums of windows, each channel by itself."""
        ones = np.ones((channels, *layer.window, 1), np.int64)
        return Kernel(ones, np.zeros(channels, np.int64), layer.strides, layer.padding, (1, 1), channels)

    def place_now(self, k: int) -> int:
        """The tensor that layer k gives: its own, or its rectifier's."""
        readers = self.model.readers.get(k, ())
        return readers[0] if len(readers) == 1 and readers[0] in self.fused else k

    def note(self, k: int, name: str, formats: str, step: float, loss: Loss | None = None) -> None:
        """Remember what there is to say of tensor k, which the layer of that name gives."""
        self.reports[k] = LayerReport(name, formats, step, loss)

    def enter(self, form: TensorFormat) -> Tensor:
        """The input, in the model's shape."""
        return Tensor(Wires.of_values(self.b.enter(form)).reshape(*self.model.inputs[0]), form)

    def says_nothing(self, k: int, seen: Observed) -> bool:
        """Whether tensor k held 0 alone, from which no scale follows: an error of the input, and a remark on a layer."""
        if seen.ends(self.method) != (0, 0):
            return False
        if k < 0:
            raise InputError("input: is 0 in all calibration data, expected samples that say its range")
        name = self.model.layers[k].name
        self.remarks[k] = f"layer {name}: gives 0 for all calibration data, which say nothing of its range; its step is 1"
        return True

    @abstractmethod
    def input(self) -> Tensor: ...

    @abstractmethod
    def affine(self, k: int, layer: FloatDense | FloatConvolution, x: Tensor) -> Tensor:
        """Its sums, rectified where that is fused."""

    @abstractmethod
    def add(self, k: int, layer: Add, *reads: Tensor) -> Tensor: ...

    @abstractmethod
    def activation(self, k: int, layer: Activation | Clip, x: Tensor) -> Tensor: ...

    @abstractmethod
    def average(self, layer: Pool, x: Tensor) -> Wires:
        """Averages with the meaning of x."""

    @abstractmethod
    def alike(self, k: int, layer: Concat, reads: tuple[Tensor, ...]) -> list[Tensor]:
        """Tensors that are joined, all with one meaning."""


def is_rectifier(layer: FloatLayer) -> bool:
    return isinstance(layer, Clip) or (isinstance(layer, Activation) and layer.kind in ("relu", "relu_n"))


def limits_of(layer: FloatLayer) -> tuple[float, float]:
    """Between which real numbers a rectifier keeps what it is given."""
    if isinstance(layer, Clip):
        return layer.lo, layer.hi
    assert isinstance(layer, Activation)
    return 0.0, layer.n if layer.kind == "relu_n" else math.inf


def kernel_of(layer: FloatDense | FloatConvolution, weights: np.ndarray, bias: np.ndarray) -> Kernel:
    """Integers as the kernel of a layer; a dense one is a convolution of 1 x 1."""
    if isinstance(layer, FloatDense):
        return Kernel(weights[:, None, None], bias)
    return Kernel(weights, bias, layer.strides, layer.padding, layer.dilation, layer.groups)


def image_of(layer: FloatDense | FloatConvolution, wires: Wires) -> Wires:
    return wires.reshape(1, 1, wires.size) if isinstance(layer, FloatDense) else wires


def apply_function(layer: Activation, values: np.ndarray) -> np.ndarray:
    """An activation of real numbers, as a function that never decreases."""
    if layer.kind == "leaky_relu" and layer.alpha < 0:
        raise UnsupportedError(f"an alpha of {layer.alpha}, expected at least 0")
    return np.maximum.accumulate(layer.apply(values))


def loss_of(weights: np.ndarray, whole: np.ndarray, w_out: int, bias: np.ndarray, biases: np.ndarray, b_out: int) -> Loss:
    """weights and bias are real, whole and biases the integers that they became; so many of them were clipped."""
    zeroed = [int(((q == 0) & (v != 0)).sum()) for v, q in ((weights, whole), (bias, biases))]
    return Loss(weights.size, w_out, zeroed[0], bias.size, b_out, zeroed[1])
