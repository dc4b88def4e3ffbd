"""From the settings of a Keras model to a float network: layers in a row or in a graph, models within models."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from ...errors import InputError, UnsupportedError
from ..files import placed
from ..float_builder import FloatBuilder, fixed_shape, unsupported
from ..json_header import expect, shown
from . import hgq
from .kinds import HANDLERS, INPUT, MODELS, fault, is_half, is_operation, kind_of_layer, name_of_layer, quantizers_of
from .node import Node
from .settings import Settings, shown_name
from .weights import Weights, Where

# Layers, and tensors that they read, of a model and those within, as often as they are called.
MAX_PARTS = 50_000
# A tensor: the name of a layer, the number of its call, and of what that gives.
Key = tuple[str, int, int]


def layers_of(model: dict[str, Any], place: str) -> list[dict[str, Any]]:
    """The layers of a model; in old files a row of layers is all its config."""
    config = model.get("config")
    layers: Any = config.get("layers") if isinstance(config, dict) else config
    expect(layers, list, f"{place}: layers")
    for layer in layers:
        expect(layer, dict, f"{place}: a layer")
    return layers


def refuse_unsupported(model: dict[str, Any], place: str) -> None:
    """Raise for everything in a model, and in models within, that is not read."""
    faults: list[str] = []
    stack = [model]
    if kind_of_layer(model) not in MODELS or ">" in str(model.get("registered_name")):
        raise UnsupportedError(f"{place}: a model of class {shown(model.get('class_name'))}, expected Sequential or Functional")
    while stack:
        found = layers_of(stack.pop(), place)
        faults += filter(None, (fault(layer) for layer in found if kind_of_layer(layer) not in MODELS))
        stack += [layer for layer in found if kind_of_layer(layer) in MODELS]
    if faults:
        raise unsupported(place, faults)


@dataclass
class Reader:
    """Builds the layers of models; version is that of Keras."""

    builder: FloatBuilder
    weights: Weights
    version: int
    parts: int = 0

    def charge(self, count: int, place: str) -> None:
        """So many layers, or tensors that are read, more."""
        self.parts += count
        if self.parts > MAX_PARTS:
            raise UnsupportedError(f"{place}: more than {MAX_PARTS} layers and tensors that they read up to here, expected at most those")

    def model(self, model: dict[str, Any], where: Where, reads: tuple[int, ...] | None) -> tuple[int, ...]:
        """The outputs of a model that reads these tensors; None stands for inputs of the network."""
        place = f"{self.builder.place}: model {shown_name('/'.join(where.names))}" if where.names else self.builder.place
        layers = layers_of(model, place)
        self.charge(len(layers), place)
        if isinstance(model["config"], dict) and "input_layers" in model["config"]:
            return Graph(self, model["config"], layers, where, place).outputs(reads)
        return self.row(model, layers, where, reads, place)

    def row(
        self, model: dict[str, Any], layers: list[dict[str, Any]], where: Where, reads: tuple[int, ...] | None, place: str
    ) -> tuple[int, ...]:
        """Layers that each read the one before."""
        if reads is None:
            reads = (self.builder.input(self.first_shape(model, layers, place)),)
        count: Counter[str] = Counter()
        for layer in layers:
            if kind_of_layer(layer) != INPUT:
                reads = self.call(layer, where.within(self.name(layer, place), str(layer.get("class_name")), count), reads)
        return reads

    def name(self, layer: dict[str, Any], place: str) -> str:
        if not (name := name_of_layer(layer)):
            raise InputError(f"{place}: a layer has no name")
        return name

    def first_shape(self, model: dict[str, Any], layers: list[dict[str, Any]], place: str) -> tuple[int, ...]:
        """What a row of layers reads, as its first layer says, or the model."""
        config, first = model["config"], layers[0] if layers else {}
        given: list[Any] = [input_shape(first)]
        for holder in (config, model.get("build_config")):
            given += [holder.get(key) for key in ("build_input_shape", "input_shape")] if isinstance(holder, dict) else []
        while kind_of_layer(first) in MODELS and (inner := layers_of(first, place)):
            first = inner[0]
            given.append(input_shape(first))
        found = next((shape for shape in given if shape is not None), None)
        if not isinstance(found, list):
            raise InputError(f"{place}: does not say the shape of its input; save the model after it was built or called")
        return fixed_shape(found[1:], f"{place}: input")

    def call(self, layer: dict[str, Any], where: Where, reads: tuple[int, ...]) -> tuple[int, ...]:
        """What a layer gives."""
        kind = kind_of_layer(layer)
        if kind in MODELS:
            return self.model(layer, where, reads)
        place = f"{self.builder.place}: layer {shown_name('/'.join(where.names))} ({kind})"
        settings = Settings(layer.get("config"), place)
        if is_half(settings.values):
            self.builder.note_half(where.names[-1])
        node = Node(self.builder, self.weights, where, settings, reads, self.version, quantizers_of(layer))
        return (hgq.read(node, HANDLERS[kind]) if hgq.is_hgq(layer) else HANDLERS[kind](node),)


def input_shape(layer: dict[str, Any]) -> Any:
    """The shape, batch included, that a layer says it reads; None where it doesn't."""
    config = layer.get("config")
    found = [config.get(key) for key in ("batch_shape", "batch_input_shape")] if isinstance(config, dict) else []
    return next((shape for shape in found if shape is not None), None)


@dataclass
class Call:
    """One call of a layer, and how many of the tensors that it reads are not there yet."""

    layer: dict[str, Any]
    where: Where
    number: int
    reads: list[Key]
    missing: int = 0


@dataclass
class Graph:
    """A functional model."""

    reader: Reader
    config: dict[str, Any]
    layers: list[dict[str, Any]]
    where: Where
    place: str
    tensors: dict[Key, int] = field(default_factory=dict)

    def outputs(self, reads: tuple[int, ...] | None) -> tuple[int, ...]:
        calls = self.calls()
        self.set_inputs(reads)
        waiting: dict[Key, list[Call]] = {}
        for call in calls:
            missing = {key for key in call.reads if key not in self.tensors}
            call.missing = len(missing)
            for key in missing:
                waiting.setdefault(key, []).append(call)
        ready = [call for call in reversed(calls) if not call.missing]
        while ready:
            call = ready.pop()
            given = self.reader.call(call.layer, call.where, tuple(self.tensors[key] for key in call.reads))
            for k, tensor in enumerate(given):
                key = (call.where.names[-1], call.number, k)
                self.tensors[key] = tensor
                for other in reversed(waiting.pop(key, [])):
                    other.missing -= 1
                    if not other.missing:
                        ready.append(other)
        keys = keys_in(self.config.get("output_layers"), f"{self.place}: output_layers")
        self.reader.charge(len(keys), self.place)
        return tuple(self.tensor(key) for key in keys)

    def tensor(self, key: Key) -> int:
        if key not in self.tensors:
            raise InputError(f"{self.place}: output of layer {shown_name(key[0])} is given by no layer that can be computed")
        return self.tensors[key]

    def set_inputs(self, reads: tuple[int, ...] | None) -> None:
        wanted = keys_in(self.config["input_layers"], f"{self.place}: input_layers")
        if reads is not None and len(reads) != len(wanted):
            raise InputError(f"{self.place}: reads {len(reads)} tensors, expected {len(wanted)}")
        inputs = {name_of_layer(layer): layer for layer in self.layers if kind_of_layer(layer) == INPUT}
        for k, key in enumerate(wanted):
            if key in self.tensors or key[0] not in inputs:
                raise InputError(f"{self.place}: input {shown_name(key[0])} is no input layer, or is there twice")
            if reads is None:
                place = f"{self.place}: input {shown_name(key[0])}"
                sizes = input_shape(inputs[key[0]])
                expect(sizes, list, f"{place}: shape")
                self.tensors[key] = self.reader.builder.input(fixed_shape(sizes[1:], place))
            else:
                self.tensors[key] = reads[k]

    def calls(self) -> list[Call]:
        """All calls of all layers, in the order of the file."""
        found: list[Call] = []
        count: Counter[str] = Counter()
        skipped = {name_of_layer(layer) for layer in self.layers if starts_at_one(layer)}
        for layer in self.layers:
            name = self.reader.name(layer, self.place)
            kind = str(layer.get("class_name"))
            where = Where((*self.where.names, name)) if is_operation(layer) else self.where.within(name, kind, count)
            nodes = layer.get("inbound_nodes", [])
            expect(nodes, list, f"{self.place}: layer {shown_name(name)}: inbound_nodes")
            for number, node in enumerate(nodes):
                reads = reads_of(node, f"{self.place}: layer {shown_name(name)} ({kind})")
                found.append(Call(layer, where, number + (name in skipped), reads))
        self.reader.charge(sum(len(call.reads) for call in found), self.place)
        return found


def starts_at_one(layer: dict[str, Any]) -> bool:
    """Whether calls of a layer count from 1: in Keras 2 a model that begins with its own input is its call 0."""
    nodes = layer.get("inbound_nodes")
    if kind_of_layer(layer) not in MODELS or not isinstance(nodes, list) or not nodes or not isinstance(nodes[0], list):
        return False
    config = layer.get("config")
    inner = config.get("layers") if isinstance(config, dict) else None
    return isinstance(inner, list) and bool(inner) and isinstance(inner[0], dict) and kind_of_layer(inner[0]) == INPUT


def is_key(value: Any) -> bool:
    return isinstance(value, list) and len(value) >= 3 and isinstance(value[0], str) and all(type(n) is int and n >= 0 for n in value[1:3])


def keys_in(value: Any, place: str) -> list[Key]:
    """The tensors that a list of them names, or lists and objects of them."""
    if is_key(value):
        return [(value[0], value[1], value[2])]
    parts = list(value.values()) if isinstance(value, dict) else value
    if not isinstance(parts, list) or not parts:
        raise InputError(f"{place}: {shown(value)}, expected tensors, as [layer, call, number]")
    with placed(place):
        return [key for part in parts for key in keys_in(part, "in it")]


def reads_of(node: Any, place: str) -> list[Key]:
    """The tensors that a call reads: in Keras 2 a list of them, in Keras 3 the tensors among its arguments."""
    if not isinstance(node, dict):
        return keys_in(node, place)
    found: list[Key] = []
    stack: list[Any] = [node.get("args")]
    while stack:
        part = stack.pop()
        if isinstance(part, list):
            stack += reversed(part)
        elif isinstance(part, dict) and part.get("class_name") == "__keras_tensor__" and isinstance(part.get("config"), dict):
            found += keys_in(part["config"].get("keras_history"), place)
        elif part is not None:
            raise UnsupportedError(f"{place}: is called with {shown(part)}, expected tensors that layers give")
    if not found:
        raise InputError(f"{place}: is called without a tensor")
    return found
