"""Slow, obvious inference on Python ints: what every fast path and every witness is held against."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import UnsupportedError
from ..limits import NO_LIMITS, Limits
from .layers import Dense, Layer
from .network import Network


def run_layer(layer: Layer, x: Sequence[int], limits: Limits = NO_LIMITS) -> list[int]:
    """Outputs of one layer for flattened inputs x."""
    if type(layer) is not Dense:  # a subclass may mean something else
        raise UnsupportedError(f"layer {layer.name!r}: no reference for a layer of kind {type(layer).__name__}")
    zero_point = layer.input.zero_point
    y = []
    for i, row in enumerate(layer.weights):
        limits.check()
        acc = int(layer.bias[i])
        for weight, value in zip(row.tolist(), x, strict=True):
            acc += weight * (value - zero_point)
        y.append(layer.requantizer(i).apply(acc))
    return y


def run(network: Network, x: Sequence[int], limits: Limits = NO_LIMITS) -> list[list[int]]:
    """The input and every layer's output, flattened; the last entry is the network's output."""
    values = [[int(v) for v in x]]
    for layer in network.layers:
        values.append(run_layer(layer, values[-1], limits))
    return values


def first_maximum(y: Sequence[int]) -> int:
    """The class: the first index of the largest output, as in numpy and every runtime."""
    return max(range(len(y)), key=lambda j: (y[j], -j))
