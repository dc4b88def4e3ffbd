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

# What the image of a range under a requantizer takes, in multiply-adds.
IMAGE_WORK = 1 << 12


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
    """The input box and the bounds of every layer, in order."""

    input: Box
    layers: tuple[LayerBounds, ...]

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
        source = network.input if ref.tensor == INPUT else network.layers[-1]
        return int(source.lo[ref.element]), int(source.hi[ref.element])


def propagate_layer(layer: Layer, x_lo: np.ndarray, x_hi: np.ndarray, limits: Limits = NO_LIMITS) -> LayerBounds:
    """Ranges of a layer's outputs for inputs in [x_lo, x_hi], int64[layer.input.size]."""
    n, cells = layer.affine.n_out, layer.cells
    view = np.arange(layer.input.size, dtype=np.int32) if cells is None else cells
    acc_lo, acc_hi, lo, hi = np.empty((4, n), np.int64)
    limits.check()
    kernel = Layers(layer.input.size, [(layer.affine, view, layer.input.zero_point, ())], limits.check)
    values = np.zeros((2, kernel.num_values), np.int64)
    values[0, : layer.input.size], values[1, : layer.input.size] = x_lo, x_hi
    _forward.accumulate_ranges(kernel, 0, values[:1], values[1:], acc_lo[None], acc_hi[None])
    for rows in limits.slices(n, IMAGE_WORK):
        for i in range(rows.start, rows.stop):
            lo[i], hi[i] = layer.requantizer(i).image(int(acc_lo[i]), int(acc_hi[i]))
    return LayerBounds(acc_lo, acc_hi, lo, hi)


def propagate_network(network: Network, box: Box, limits: Limits = NO_LIMITS) -> NetworkBounds:
    """Ranges of every layer of a network for inputs in the box."""
    layers: list[LayerBounds] = []
    lo, hi = box.lo, box.hi
    for layer in network.layers:
        layers.append(propagate_layer(layer, lo, hi, limits))
        lo, hi = layers[-1].lo, layers[-1].hi
    return NetworkBounds(box, tuple(layers))


def propagate(query: Query, limits: Limits = NO_LIMITS) -> Bounds:
    """Ranges of everything that the query's networks compute inside its boxes."""
    return Bounds(tuple(propagate_network(n, b, limits) for n, b in zip(query.networks, query.boxes, strict=True)))
