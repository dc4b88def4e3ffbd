"""Interval propagation: the exact range of every accumulator and activation over boxes of integers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .._kernels.exact import forward as _forward
from .._kernels.exact.layers import Layers
from ..limits import NO_LIMITS, Limits
from ..network import Layer, Network
from ..properties import Box, Query, Ref
from ..properties.formula import INPUT


@dataclass(frozen=True, eq=False)
class LayerBounds:
    """Ranges over one layer's outputs, int64[n_out]: accumulators before, activations after the requantizer."""

    acc_lo: np.ndarray
    acc_hi: np.ndarray
    lo: np.ndarray
    hi: np.ndarray

    @property
    def num_fixed(self) -> int:
        """Outputs that take one value only."""
        return int((self.lo == self.hi).sum())


@dataclass(frozen=True, eq=False)
class NetworkBounds:
    """The input box and the bounds of every layer, in order. outputs: the values that are the result, by default the last layer's."""

    input: Box
    layers: tuple[LayerBounds, ...]
    outputs: np.ndarray | None = None

    def before(self, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Ranges of what layer k reads."""
        source = self.layers[k - 1] if k else self.input
        return source.lo, source.hi


@dataclass(frozen=True, eq=False)
class Bounds:
    """The bounds of every network of a query."""

    networks: tuple[NetworkBounds, ...]

    def of(self, ref: Ref) -> tuple[int, int]:
        """Range of one element that a formula names."""
        network = self.networks[ref.network]
        source: Box | LayerBounds = network.input if ref.tensor == INPUT else network.layers[-1]
        element = ref.element
        if ref.tensor != INPUT and network.outputs is not None:
            element, source = int(network.outputs[element]), network.input
            for layer in network.layers:
                if element < len(source.lo):
                    break
                element, source = element - len(source.lo), layer
        return int(source.lo[element]), int(source.hi[element])


def propagate_layer(layer: Layer, x_lo: np.ndarray, x_hi: np.ndarray, limits: Limits = NO_LIMITS) -> LayerBounds:
    """Ranges of a layer's outputs for inputs in [x_lo, x_hi], int64[layer.input.size]."""
    view = np.arange(layer.input.size, dtype=np.int32) if layer.cells is None else layer.cells
    kernel = Layers(layer.input.size, [(layer.affine, view, layer.input.zero_point, ())], limits.check)
    ends = np.zeros((2, kernel.num_values), np.int64)
    ends[:, : layer.input.size] = x_lo, x_hi
    return _layer(kernel, 0, layer, ends, limits)


def _layer(kernel: Layers, k: int, layer: Layer, ends: np.ndarray, limits: Limits) -> LayerBounds:
    """Bounds of layer k of a kernel where all values that it reads lie between two rows, int64[2, num_values]."""
    acc_lo, acc_hi = np.empty((2, layer.affine.n_out), np.int64)
    limits.check()
    _forward.accumulate_ranges(kernel, k, ends[:1], ends[1:], acc_lo[None], acc_hi[None])
    lo, hi = layer.requantize(acc_lo), layer.requantize(acc_hi)
    jumping = np.resize([not r.monotone for r in layer.requantizers], len(lo))
    for i in np.flatnonzero(jumping).tolist():
        lo[i], hi[i] = layer.requantizer(i).image(int(acc_lo[i]), int(acc_hi[i]))
    return LayerBounds(acc_lo, acc_hi, lo, hi)


def propagate_network(network: Network, box: Box, limits: Limits = NO_LIMITS) -> NetworkBounds:
    """Ranges of every layer of a network for inputs in the box."""
    layers: list[LayerBounds] = []
    ends = np.zeros((2, network.num_values), np.int64)
    ends[:, : network.num_inputs] = box.lo, box.hi
    for k, layer in enumerate(network.layers):
        layers.append(_layer(network.kernel, k, layer, ends, limits))
        ends[:, network.target(k)] = layers[-1].lo, layers[-1].hi
    return NetworkBounds(box, tuple(layers), network.outputs)


def propagate(query: Query, limits: Limits = NO_LIMITS) -> Bounds:
    """Ranges of everything that the query's networks compute inside its boxes."""
    return Bounds(tuple(propagate_network(n, b, limits) for n, b in zip(query.networks, query.boxes, strict=True)))
