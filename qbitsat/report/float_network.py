"""What a float model is made of: layers, shapes, parameters."""

from __future__ import annotations

import dataclasses

from ..network.float_network import FloatLayer, FloatNetwork
from ..network.names import printable
from .network import shape_text
from .table import table

HEADER = ("layer", "kind", "reads", "output", "parameters", "settings")
# Fields that are shown elsewhere, or that are what a layer of this kind mostly has.
USUAL = {
    "strides": (1, 1),
    "dilation": (1, 1),
    "padding": ((0, 0), (0, 0)),
    "groups": 1,
    "n": 0.0,
    "alpha": 0.0,
    "count_padding": False,
    "value": 0.0,
}


def describe_floats(network: FloatNetwork) -> str:
    """The model in some lines and a row for each layer."""
    facts = [
        ("network", network.name),
        ("source", printable(network.source) or "-"),
        ("numbers", "floats: a float model, which has to be quantized (qbitsat quantize) before anything of it can be verified"),
        ("input", ", ".join(map(shape_text, network.inputs))),
        ("output", ", ".join(f"{shape_text(network.shape(k))} ({tensor(network, k)})" for k in network.outputs)),
        ("parameters", str(network.num_parameters)),
        *(("note", remark) for remark in network.remarks),
    ]
    head = "\n".join(f"{name:<12}{value}" for name, value in facts)
    rows = [
        (layer.name, type(layer).__name__.removeprefix("Float"), " ".join(tensor(network, i) for i in layer.reads),
         shape_text(network.shape(k)), layer.num_parameters, settings(layer))
        for k, layer in enumerate(network.layers)
    ]  # fmt: skip
    return f"{head}\n\n{table([HEADER, *rows])}"


def tensor(network: FloatNetwork, k: int) -> str:
    """What gives a tensor."""
    return network.layers[k].name if k >= 0 else "input" if len(network.inputs) == 1 else f"input {-1 - k}"


def settings(layer: FloatLayer) -> str:
    """Everything of a layer but its numbers, and what it is trained to be quantized to."""
    values = {field.name: getattr(layer, field.name) for field in dataclasses.fields(layer)}
    for name in ("name", "reads", "quantizers", "weights", "bias", "scale", "shift"):
        values.pop(name, None)
    said = [value if name == "kind" else f"{name} {text(value)}" for name, value in values.items() if value != USUAL.get(name)]
    said += [f"weights {shape_text(layer.weights.shape)}"] if hasattr(layer, "weights") else []
    return ", ".join([*said, *(f"{what} {how}" for what, how in layer.quantizers)])


def text(value: object) -> str:
    """A number, or numbers joined by x; pairs of them as (before, after)."""
    if isinstance(value, tuple):
        return str(value) if value and isinstance(value[0], tuple) else shape_text(value)
    return f"{value:g}" if isinstance(value, float) else str(value)
