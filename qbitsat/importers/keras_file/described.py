"""Weights of dense layers alone, with a description of the layers: "784,64,32,10", or "28x28,64:relu7,10:softmax"."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import Any

from ...errors import ArgumentError, InputError, UnsupportedError, none_of
from ...network.float_network import Activation, FloatDense, FloatNetwork, Reshape
from ..files import Path
from ..float_builder import FloatBuilder
from ..hdf5 import Source, follow
from .weights import LAYERS, OLD_LAYERS, Budget

Description = str | Sequence[str | int]
MAX_UNITS, MAX_LAYERS = 1 << 24, 1000
WORDS = ("linear", "relu", "sigmoid", "tanh", "softmax")
EXPECTED = 'expected an input and the units of each dense layer, as "784,64,32,10" or "28x28,64:relu,10:softmax"'


def parsed(layers: Description) -> tuple[tuple[int, ...], list[tuple[int, tuple[Any, ...]]]]:
    """The input's shape, and of each layer its units and the activation; by default relu, and linear at the end."""
    parts = layers.split(",") if isinstance(layers, str) else [str(part) for part in layers]
    parts = [part.strip() for part in parts]
    if not 2 <= len(parts) <= MAX_LAYERS:
        raise ArgumentError("layers", f"{len(parts)} parts; {EXPECTED}")
    shape = parts[0].split("x")
    units = [part.partition(":") for part in parts[1:]]
    for text in (*shape, *(number for number, _, _ in units)):
        if not re.fullmatch(r"[0-9]{1,8}", text) or not 0 < int(text) <= MAX_UNITS:
            raise ArgumentError("layers", f"{text!r:.40} is no number from 1 to {MAX_UNITS}; {EXPECTED}")
    found = []
    for k, (number, colon, word) in enumerate(units):
        word = word if colon else "linear" if k == len(units) - 1 else "relu"
        most = re.fullmatch(r"relu([0-9]{1,6}(\.[0-9]{1,6})?)", word)
        if not most and word not in WORDS:
            raise ArgumentError("layers", f"activation {none_of(word, (*WORDS, 'relu6'))}")
        found.append((int(number), ("relu_n", float(most[1])) if most else (word,)))
    return tuple(map(int, shape)), found


def read(source: Source, path: Path, layers: Description) -> FloatNetwork:
    """The network of a file's dense layers, in order, with what the description says of them."""
    builder, (shape, units) = FloatBuilder(path), parsed(layers)
    groups = dense_groups(source, builder.place)
    if len(groups) != len(units):
        raise InputError(f"{builder.place}: has {len(groups)} layers with weights, expected {len(units)} as in layers")
    x, budget = builder.input(shape), Budget()
    if len(shape) > 1:
        size = 1
        for n in shape:
            size *= n
        x = builder.add(Reshape, "flatten", x, (size,))
    for (name, kernel, bias), (size, activation) in zip(groups, units, strict=True):
        place = f"{builder.place}: layer {name!r}"
        weights = budget.read(kernel, (builder.shape(x)[0], size), f"{place}: kernel")
        x = builder.add(FloatDense, name, x, weights.T, budget.read(bias, (size,), f"{place}: bias"))
        x = builder.add(Activation, f"{name}.{activation[0]}", x, *activation)
    return builder.finish((x,), os.path.splitext(os.path.basename(builder.place))[0])


def dense_groups(source: Source, place: str) -> list[tuple[str, Any, Any]]:
    """Name, kernel and bias of each layer that has weights."""
    if "model_weights" in source.group:
        source = source.at("model_weights", place)
    return named_groups(source, place) if "layer_names" in source.group.attrs else numbered_groups(source.group, place)


def named_groups(source: Source, place: str) -> list[tuple[str, Any, Any]]:
    """As Keras 2 saves weights."""
    found = []
    for name in source.names("layer_names", place):
        layer, where = source.at(name, place), f"{place}: layer {name!r}"
        paths = {path.split("/")[-1].split(":")[0]: path for path in layer.names("weight_names", where)}
        if paths and set(paths) != {"kernel", "bias"}:
            raise UnsupportedError(f"{where}: weights {', '.join(paths)}, expected kernel and bias of a dense layer")
        if paths:
            found.append((name, *(follow(layer.group, paths[key], where) for key in ("kernel", "bias"))))
    return found


def numbered_groups(file: Any, place: str) -> list[tuple[str, Any, Any]]:
    """As Keras 3 saves weights: dense, dense_1, dense_2, ..."""
    layers = follow(file, OLD_LAYERS if OLD_LAYERS in file else LAYERS, place)
    found = []
    for name in layers:
        group = follow(layers, name, place)
        held = follow(group, "vars", f"{place}: layer {name!r}") if "vars" in group else ()
        if not len(held):
            continue
        number = re.fullmatch(r"(?:quantized_)?dense(?:_([0-9]{1,6}))?", name)
        if number is None or set(held) != {"0", "1"}:
            raise UnsupportedError(f"{place}: layer {name!r}: {len(held)} weights, expected kernel and bias of a dense layer")
        found.append((int(number[1] or 0), (name, *(follow(held, key, place) for key in ("0", "1")))))
    return [entry for _, entry in sorted(found, key=lambda pair: pair[0])]
