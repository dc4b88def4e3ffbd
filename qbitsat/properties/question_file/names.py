"""The names of a question file: networks and their tensors, inputs, and what the file defines."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ...network import Network
from ..formula import INPUT, OUTPUT, VALUE, Ref
from .functions import FUNCTIONS
from .grammar import WORDS, Scope
from .linear import Linear, Tensor

NUMBERED = re.compile(r"(layer|input)(\d{1,6})", re.ASCII)
NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
RESERVED = frozenset((*WORDS, *FUNCTIONS))


@dataclass(frozen=True)
class Part:
    """A network of a question: the one with this number in the query, or one of those that it joins.

    Its inputs are those of the query's network; its other values come `values` later there, its outputs from `outputs` on.
    """

    name: str
    network: Network
    number: int = 0
    values: int = 0
    outputs: int = 0

    def value(self, v: int) -> Linear:
        """A value by its number in this network."""
        if v < self.network.num_inputs:
            return Linear({Ref(self.number, INPUT, v): 1})
        return Linear({Ref(self.number, VALUE, v + self.values): 1})

    def output(self, j: int) -> Linear:
        return Linear({Ref(self.number, OUTPUT, j + self.outputs): 1})

    def accumulator(self, layer: int) -> Callable[[int], Linear]:
        """Accumulators of a layer by their number."""

        def make(i: int) -> Linear:
            values, weights, bias = self.network.row(layer, i)
            total = Linear(None, bias)
            for v, w in zip(values.tolist(), weights.tolist(), strict=True):
                total.add(self.value(v).scaled(w))
            return total

        return make


class LayerScope(Scope):
    """A layer's outputs, and `acc`, its accumulators."""

    def __init__(self, part: Part, layer: int):
        self.part, self.layer = part, layer

    def itself(self) -> Tensor:
        first = self.part.network.first_value(self.layer)
        return Tensor(first + self._numbers(), self.part.value)

    def find(self, name: str) -> Any:
        if name == "acc":
            return Tensor(self._numbers(), self.part.accumulator(self.layer))
        return Tensor(self.itself().numbers.reshape(-1), self.part.value) if name == "flat" else None

    def names(self) -> Sequence[str]:
        return ("acc", "flat")

    def _numbers(self) -> np.ndarray:
        form = self.part.network.layers[self.layer].output
        return np.arange(form.size).reshape(form.shape)


class NetworkScope(Scope):
    """`input`, or `input0`, `input1` ... of several; `output`; layers by name, or as `layer0`, `layer1` ... by number."""

    def __init__(self, part: Part):
        self.part = part

    @cached_property
    def _layers(self) -> dict[str, int]:
        """Names that are of one layer alone."""
        layers = [layer.name for layer in self.part.network.layers]
        return {name: k for k, name in enumerate(layers) if layers.count(name) == 1}

    def find(self, name: str) -> Any:
        network = self.part.network
        if name == "output":
            return Tensor(np.arange(len(network.outputs)).reshape(network.output.shape), self.part.output)
        if name == "input":
            return Tensor(np.arange(network.num_inputs).reshape(network.input.shape), self.part.value)
        if found := NUMBERED.fullmatch(name):
            k = int(found[2])
            if found[1] == "layer" and k < len(network.layers):
                return LayerScope(self.part, k)
            if found[1] == "input" and k < len(network.inputs):
                sizes = [form.size for form in network.inputs]
                first = sum(sizes[:k])
                return Tensor(np.arange(first, first + sizes[k]).reshape(network.inputs[k].shape), self.part.value)
        return LayerScope(self.part, self._layers[name]) if name in self._layers else None

    def names(self) -> Sequence[str]:
        several = [f"input{k}" for k in range(len(self.part.network.inputs))] if len(self.part.network.inputs) > 1 else []
        return ("output", "input", *several, *(f"layer{k}" for k in range(len(self.part.network.layers))), *self._layers)


class TopScope(Scope):
    """What the file defines, then inputs by their names, networks, and of the only network its tensors."""

    def __init__(self, parts: Sequence[Part], inputs: dict[str, Part]):
        self.defined: dict[str, Any] = {}
        self.networks = {part.name: NetworkScope(part) for part in parts}
        self.inputs = {name: NetworkScope(part).find("input") for name, part in inputs.items() if name not in self.networks}
        self.only = next(iter(self.networks.values())) if len(parts) == 1 else None

    def find(self, name: str) -> Any:
        for names in (self.defined, self.inputs, self.networks):
            if name in names:
                return names[name]
        return self.only.find(name) if self.only else None

    def names(self) -> Sequence[str]:
        return (*self.defined, *self.inputs, *self.networks, *(self.only.names() if self.only else ()))
