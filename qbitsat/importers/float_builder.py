"""Float networks as importers build them: a layer at a time, and simplified at the end.

Simplified is what computes the same: scales and shifts go into the weights before them, zeros around an image into the padding of the
convolution after them, and what leaves every number where it is goes altogether.
"""

from __future__ import annotations

import math
import os
from collections import Counter
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from ..errors import InputError, UnsupportedError
from ..network.float_layers import FloatLayer, Shape
from ..network.float_network import (
    MAX_NUMBERS,
    MAX_TENSOR,
    Activation,
    Clip,
    FloatConvolution,
    FloatDense,
    FloatNetwork,
    Pad,
    Reshape,
    Scale,
    Transpose,
)
from ..network.names import printable
from .files import Path, placed

# Numbers that the layers of a network may store, and layers that there may be.
MAX_PARAMETERS, MAX_LAYERS = 1 << 26, 10_000
SHOWN = 12


class FloatBuilder:
    """Layers so far; tensors are numbered as in `FloatNetwork`. place is the file; those who say where in it a fault is, name it, too."""

    def __init__(self, path: Path, is_placed: bool = False):
        self.place = os.fsdecode(path)
        self._named = nullcontext if is_placed else partial(placed, self.place)
        self.inputs: list[Shape] = []
        self.layers: list[FloatLayer] = []
        self.left_out: list[str] = []
        self.halves: list[str] = []
        self._shapes: list[Shape] = []
        self._names: Counter[str] = Counter()
        self._parameters = self._numbers = 0

    def input(self, shape: Shape) -> int:
        self.inputs.append(shape)
        self._count(shape, f"input {len(self.inputs) - 1}")
        return -len(self.inputs)

    def shape(self, k: int) -> Shape:
        return self._shapes[k] if k >= 0 else self.inputs[-1 - k]

    def add(self, kind: type[FloatLayer], name: str, reads: int | tuple[int, ...], *values: Any, **more: Any) -> int:
        """One more layer; its name gets a number if there is one of that name."""
        name = printable(name)[:80] or "layer"
        self._names[name] += 1
        while self._names[name] > 1:
            name = f"{name}_{self._names[name]}"
            self._names[name] += 1
        reads = (reads,) if isinstance(reads, int) else reads
        with self._named():
            layer = kind(name, reads, *values, **more)
            shape = layer.shape(*map(self.shape, layer.reads))
            self._count(shape, layer.place)
            self.charge(layer.num_parameters, layer.place)
        self.layers.append(layer)
        self._shapes.append(shape)
        return len(self.layers) - 1

    def charge(self, parameters: int, place: str) -> None:
        """So many numbers more are stored."""
        self._parameters += parameters
        if self._parameters > MAX_PARAMETERS:
            raise UnsupportedError(f"{place}: {self._parameters} parameters so far, expected at most {MAX_PARAMETERS}")

    def _count(self, shape: Shape, place: str) -> None:
        size = math.prod(shape)
        self._numbers += size
        if size > MAX_TENSOR or self._numbers > MAX_NUMBERS or len(self.layers) >= MAX_LAYERS:
            raise UnsupportedError(
                f"{place}: gives a tensor of shape {shape}, {self._numbers} numbers in {len(self.layers)} layers so far; expected at most "
                f"{MAX_TENSOR} numbers in a tensor, {MAX_NUMBERS} in all, and {MAX_LAYERS} layers"
            )

    def leave_out(self, name: str) -> None:
        """A layer of the file that computes nothing once the network is trained."""
        self.left_out.append(printable(name)[:80])

    def note_half(self, name: str) -> None:
        """A layer that the file computes in floats of 16 bits."""
        self.halves.append(printable(name)[:80])

    def finish(self, outputs: tuple[int, ...], name: str) -> FloatNetwork:
        """The network, simplified."""
        with placed(self.place), np.errstate(all="ignore"):
            layers, outputs = self._without_idle(outputs)
            layers, outputs, folded = fold(*without_unread(layers, outputs))
            said = {
                "left out": self.left_out,
                "folded into their neighbours": folded,
                "floats of 16 bits in the file, of 32 or 64 here": self.halves,
            }
            remarks = [f"{what}: {listed(names)}" for what, names in said.items() if names]
            return FloatNetwork(tuple(self.inputs), layers, outputs, printable(name), self.place, tuple(remarks))

    def _without_idle(self, outputs: tuple[int, ...]) -> tuple[tuple[FloatLayer, ...], tuple[int, ...]]:
        """Without layers that give what is there already."""
        made = Renumbered()
        for k, layer in enumerate(self.layers):
            source = made[layer.reads[0]]
            before = made.layers[source] if source >= 0 else None
            if is_idle(layer, self.shape(layer.reads[0])):
                made.same(k, source)
            elif isinstance(layer, Transpose) and isinstance(before, Transpose) and undoes(layer, before):
                made.same(k, before.reads[0])
            else:
                made.keep(k, layer)
        return tuple(made.layers), made.all(outputs)


def without_unread(layers: tuple[FloatLayer, ...], outputs: tuple[int, ...]) -> tuple[tuple[FloatLayer, ...], tuple[int, ...]]:
    """Without layers that nobody reads."""
    read = set(outputs)
    for k in reversed(range(len(layers))):
        if k in read:
            read.update(layers[k].reads)
    made = Renumbered()
    for k, layer in enumerate(layers):
        if k in read:
            made.keep(k, layer)
    return tuple(made.layers), made.all(outputs)


def is_idle(layer: FloatLayer, shape: Shape) -> bool:
    """Whether a layer gives what it reads, of that shape."""
    if isinstance(layer, Activation):
        return layer.kind == "linear" and not layer.quantizers
    return isinstance(layer, Reshape) and layer.target == shape


def undoes(layer: Transpose, before: Transpose) -> bool:
    """Whether two transpositions leave every axis where it was."""
    return tuple(before.axes[axis] for axis in layer.axes) == tuple(range(len(layer.axes)))


def listed(names: list[str]) -> str:
    """Names of layers, not too many."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


class Renumbered:
    """Layers of a network that is made anew, and the numbers of tensors there."""

    def __init__(self) -> None:
        self.layers: list[FloatLayer] = []
        self._numbers: dict[int, int] = {}

    def __getitem__(self, k: int) -> int:
        return k if k < 0 else self._numbers[k]

    def all(self, tensors: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(self[k] for k in tensors)

    def keep(self, k: int, layer: FloatLayer) -> None:
        self.layers.append(replace(layer, reads=self.all(layer.reads)))
        self._numbers[k] = len(self.layers) - 1

    def same(self, k: int, number: int) -> None:
        """Tensor k is what number is here."""
        self._numbers[k] = number


def fold(layers: tuple[FloatLayer, ...], outputs: tuple[int, ...]) -> tuple[tuple[FloatLayer, ...], tuple[int, ...], list[str]]:
    """With each layer that only one other reads, and that is no output, joined with it where the two are one affine map.

    A function of single numbers goes before what moves those that an affine map gives.
    """
    uses = Counter([*outputs, *(k for layer in layers for k in layer.reads)])
    made, folded, shared = Renumbered(), list[str](), set[int]()
    for k, layer in enumerate(layers):
        source = made[layer.reads[0]]
        before = made.layers[source] if source >= 0 and source not in shared else None
        # What moves the numbers of an affine map that nobody else reads, if that is what there is before.
        inner = before.reads[0] if isinstance(before, Reshape | Transpose) and before.reads[0] not in shared else -1
        affine = made.layers[inner] if inner >= 0 else None
        if before is not None and (joined := join(before, layer)) is not None:
            made.layers[source] = joined
            made.same(k, source)
            folded += [before.name if isinstance(before, Pad) else layer.name] if not isinstance(layer, Reshape) else []
        elif isinstance(affine, FloatDense | FloatConvolution) and before is not None and is_movable(layer, before, affine):
            if (joined := join(affine, layer)) is not None:
                made.layers[inner] = joined
                made.same(k, source)
                folded.append(layer.name)
            else:
                made.layers[source] = replace(layer, reads=(inner,))
                made.layers.append(replace(before, reads=(source,)))
                made.same(k, len(made.layers) - 1)
        else:
            made.keep(k, layer)
        if uses[k] > 1:
            shared.add(made[k])
    return tuple(made.layers), made.all(outputs), folded


def is_movable(layer: FloatLayer, move: FloatLayer, affine: FloatDense | FloatConvolution) -> bool:
    """Whether a layer computes the same before a layer that moves the numbers of an affine map as after it."""
    if isinstance(layer, Scale):
        channels = affine.bias.size if isinstance(move, Reshape) and move.target[-1] == affine.bias.size else 1
        return {layer.scale.size, layer.shift.size} <= {1, channels}
    return isinstance(layer, Clip) or (isinstance(layer, Activation) and layer.kind != "softmax")


def join(before: FloatLayer, layer: FloatLayer) -> FloatLayer | None:
    """One layer for the two, or None; what was trained to be quantized stays as it is.

    scale * (weights x + bias) + shift = (scale weights) x + (scale bias + shift)
    """
    if before.quantizers or layer.quantizers:
        return None
    if isinstance(layer, Scale) and isinstance(before, FloatDense | FloatConvolution):
        if max(layer.scale.size, layer.shift.size) > before.bias.size:
            return None
        scale = np.broadcast_to(layer.scale.reshape(-1), before.bias.shape)
        weights = before.weights * scale.reshape(-1, *[1] * (before.weights.ndim - 1))
        return replace(before, weights=weights, bias=before.bias * scale + layer.shift.reshape(-1))
    if isinstance(layer, Scale) and isinstance(before, Scale):
        return replace(before, scale=layer.scale * before.scale, shift=layer.scale * before.shift + layer.shift)
    if isinstance(layer, FloatConvolution) and isinstance(before, Pad) and before.value == 0 and before.padding[2:] == ((0, 0),):
        (top, bottom), (left, right) = ((a + c, b + d) for (a, b), (c, d) in zip(before.padding, layer.padding, strict=False))
        return replace(layer, reads=before.reads, padding=((top, bottom), (left, right)))
    if isinstance(layer, Reshape) and isinstance(before, Reshape):
        return replace(before, target=layer.target)
    return None


def unsupported(place: str, faults: list[str]) -> UnsupportedError:
    """The error about all layers of a file that are not read."""
    return UnsupportedError(
        f"{place}: not read: {'; '.join(faults[:SHOWN])}{f'; and {len(faults) - SHOWN} more' if len(faults) > SHOWN else ''}"
    )


def same_padding(size: int, kernel: int, stride: int, dilation: int) -> tuple[int, int]:
    """What TensorFlow puts before and after an axis with padding "same": the larger half after it."""
    span = (kernel - 1) * dilation + 1
    total = max(0, (-(-size // stride) - 1) * stride + span - size)
    return total // 2, total - total // 2


def fixed_shape(sizes: Any, place: str) -> Shape:
    """Sizes without a batch dimension, none of them left open."""
    if not isinstance(sizes, list | tuple) or not sizes or not all(type(n) is int and 0 < n <= MAX_TENSOR for n in sizes):
        raise InputError(f"{place}: shape {str(sizes)[:80]}, expected fixed sizes, the batch not among them")
    return tuple(sizes)
