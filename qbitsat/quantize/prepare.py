"""A float model in fewer kinds of layers: scales go into weights, and what changes nothing, or no class, goes."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from ..errors import UnsupportedError
from ..network.float_network import Activation, Clip, FloatConvolution, FloatDense, FloatLayer, FloatNetwork, Reshape, Scale


def prepared(model: FloatNetwork) -> tuple[FloatNetwork, tuple[str, ...]]:
    """The model without scales, linear activations and a softmax at the end, and remarks on what was left out.

    Scales are multiplied into the layer before where nobody else reads it, and else become depthwise convolutions of 1 x 1.
    """
    made = _Prepared(model)
    for k, layer in enumerate(model.layers):
        made.take(k, layer)
    outputs = tuple(made.places[k] for k in model.outputs)
    if not made.layers:
        raise UnsupportedError(f"{model.place}: computes nothing, expected a layer with weights")
    return replace(model, layers=tuple(made.layers), outputs=outputs), tuple(made.remarks)


class _Prepared:
    def __init__(self, model: FloatNetwork):
        self.model = model
        self.layers: list[FloatLayer] = []
        self.remarks: list[str] = []
        # Where each tensor of the model is now.
        self.places = {-1 - k: -1 - k for k in range(len(model.inputs))}

    def add(self, layer: FloatLayer) -> int:
        self.layers.append(layer)
        return len(self.layers) - 1

    def take(self, k: int, layer: FloatLayer) -> None:
        layer = replace(layer, reads=tuple(self.places[i] for i in layer.reads))
        self.places[k] = self.place_of(k, layer)

    def place_of(self, k: int, layer: FloatLayer) -> int:
        if isinstance(layer, Activation) and layer.kind == "linear":
            return layer.reads[0]
        if isinstance(layer, Activation) and layer.kind == "softmax":
            if k in self.model.readers or k not in self.model.outputs:
                raise UnsupportedError(f"{layer.place}: a softmax that is read on, expected it at the end")
            self.remarks.append(f"layer {layer.name}: softmax was left out, classes are those of what it reads")
            return layer.reads[0]
        if isinstance(layer, Clip) and layer.lo == 0:
            kind = ("relu", 0.0) if layer.hi == math.inf else ("relu_n", layer.hi)
            return self.add(Activation(layer.name, layer.reads, *kind))
        if isinstance(layer, Scale):
            (asked,) = self.model.layers[k].reads
            nothing = (layer.scale == 1).all() and not layer.shift.any() and self.model.shape(asked) == self.model.shapes[k]
            return layer.reads[0] if nothing else self.scaled(k, layer)
        return self.add(layer)

    def scaled(self, k: int, layer: Scale) -> int:
        (source,), shape = layer.reads, self.model.shapes[k]
        before = self.layers[source] if source >= 0 else None
        (asked,) = self.model.layers[k].reads
        alone = len(self.model.readers[asked]) == 1 and asked not in self.model.outputs
        fits = all(array.shape in ((1,), shape[-1:]) for array in (layer.scale, layer.shift))
        if alone and fits and isinstance(before, FloatDense | FloatConvolution) and source == len(self.layers) - 1:
            factor = np.broadcast_to(layer.scale, before.bias.shape)
            weights = before.weights * factor.reshape(-1, *[1] * (before.weights.ndim - 1))
            self.layers[source] = replace(before, weights=weights, bias=before.bias * factor + layer.shift)
            return source
        # One channel for each number that may have a scale of its own.
        size = shape[-1] if fits else math.prod(shape)
        image = self.add(Reshape(f"{layer.name}.image", (source,), (1, math.prod(shape) // size, size)))
        scale, shift = (np.broadcast_to(array, shape if not fits else (size,)).ravel() for array in (layer.scale, layer.shift))
        scaled = self.add(FloatConvolution(layer.name, (image,), scale.reshape(-1, 1, 1, 1), shift, groups=size))
        return self.add(Reshape(f"{layer.name}.shape", (scaled,), shape))
