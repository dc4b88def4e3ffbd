"""Models of HGQ: weights are numbers of their types as they are read, and `Rounded` layers stand where values become numbers of one."""

from __future__ import annotations

from dataclasses import replace

from ..errors import InputError, UnsupportedError
from ..network.float_layers import OWN_TYPES
from ..network.float_network import Activation, FloatConvolution, FloatDense, FloatLayer, FloatNetwork, Scale
from .numbers import parse_ap
from .trained import Rounded, refuse_scale


def trained_model(model: FloatNetwork) -> FloatNetwork:
    """The model with the types of its values as layers."""
    if not any(layer.quantizers for layer in model.layers):
        raise UnsupportedError(f"{model.place}: has no types, expected a model of HGQ; other models need another --format")
    return replace(model, layers=tuple(trained_layer(layer) for layer in model.layers))


def trained_layer(layer: FloatLayer) -> FloatLayer:
    if isinstance(layer, FloatDense | FloatConvolution) and {how for _, how in layer.quantizers} != {OWN_TYPES}:
        raise UnsupportedError(f"{layer.place}: its weights have no types, expected a layer of HGQ: floats are not exact")
    if isinstance(layer, Scale):
        refuse_scale(layer)
    if not isinstance(layer, Activation) or not layer.quantizers:
        return layer
    ((_, text),) = layer.quantizers
    try:
        return Rounded(layer.name, layer.reads, parse_ap(text), quantizers=layer.quantizers)
    except InputError as error:
        raise UnsupportedError(f"{layer.place}: values of {text}, expected one type of 1 to 32 bits for all of them ({error})") from None
