"""Obvious inference in numpy's integers, off the definition of every layer: what every fast path and every witness is held against.

int64 sums are exact modulo 2**64 in any order, and what they end at stays below 2**60: layers have checked that for all inputs
of their format.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from ..errors import UnsupportedError
from ..limits import NO_LIMITS, Limits
from .affine import AffineMap, Patches, SparseRows
from .convolution import Convolution
from .layers import PADDING, Dense, Layer, Linear
from .network import Network

Integers = Sequence[int] | np.ndarray
# Cells that positions with shared weights, or rows with their own, read at a time.
TOGETHER = 1 << 16


def accumulators(layer: Layer, x: Integers, limits: Limits = NO_LIMITS) -> list[int]:
    """Accumulators of one layer for flattened inputs x of its format."""
    return _accumulators(layer, np.asarray(x, np.int64), limits).tolist()


def run_layer(layer: Layer, x: Integers, limits: Limits = NO_LIMITS) -> list[int]:
    """Outputs of one layer for flattened inputs x of its format."""
    return layer.requantize(_accumulators(layer, np.asarray(x, np.int64), limits)).tolist()


def _accumulators(layer: Layer, x: np.ndarray, limits: Limits) -> np.ndarray:
    limits.check()
    if type(layer) is Dense:  # a subclass may mean something else
        return layer.weights @ (x - layer.input.zero_point) + layer.bias
    if type(layer) is Convolution:
        return _convolution(layer, x, limits)
    if type(layer) is Linear:
        cells = x if layer.cells is None else np.where(layer.cells == PADDING, layer.input.zero_point, x[layer.cells])
        return _affine(layer.affine, cells, limits)
    raise UnsupportedError(f"layer {layer.name!r}: no reference for a layer of kind {type(layer).__name__}")


def _convolution(layer: Convolution, x: np.ndarray, limits: Limits) -> np.ndarray:
    """Tap by tap, of all positions at once; where a tap reads padding it adds nothing."""
    (height, width, _), (rows, columns, n_out), groups = layer.input.shape, layer.output.shape, layer.groups
    pixels = (x - layer.input.zero_point).reshape(height, width, groups, -1)
    weights = layer.weights.reshape(groups, n_out // groups, *layer.weights.shape[1:])
    acc = np.tile(layer.bias.reshape(groups, -1), (rows, columns, 1, 1))
    for ky, kx in np.ndindex(weights.shape[2:4]):
        limits.check()
        in_y = np.arange(rows) * layer.strides[0] + ky * layer.dilation[0] - layer.padding[0][0]
        in_x = np.arange(columns) * layer.strides[1] + kx * layer.dilation[1] - layer.padding[1][0]
        y, x_ = (np.flatnonzero((at >= 0) & (at < size)) for at, size in ((in_y, height), (in_x, width)))
        taps = pixels[np.ix_(in_y[y], in_x[x_])]
        acc[np.ix_(y, x_)] += np.einsum("yxgc,goc->yxgo", taps, weights[:, :, ky, kx])
    return acc.ravel()


def _affine(affine: AffineMap, cells: np.ndarray, limits: Limits) -> np.ndarray:
    if type(affine) is SparseRows:
        return _rows(affine, cells, limits)
    assert type(affine) is Patches
    in_groups, parts = np.arange(affine.groups)[:, None] * affine.stride + affine.offset, list[np.ndarray]()
    together = max(1, TOGETHER // in_groups.size)
    for first in range(0, affine.positions, together):
        limits.check()
        taps = cells[affine.start[first : first + together, None, None] + in_groups]
        parts.append(np.einsum("pgk,gck->pgc", taps, affine.rows) + affine.bias)
    return np.concatenate(parts).ravel()


def _rows(affine: SparseRows, cells: np.ndarray, limits: Limits) -> np.ndarray:
    """A row is the difference of two running sums."""
    acc, starts = affine.bias.copy(), affine.indptr
    firsts = np.searchsorted(starts, np.arange(0, len(affine.weights), TOGETHER), side="right") - 1
    for first, last in pairwise([*np.unique(firsts).tolist(), affine.n_out]):
        limits.check()
        part = slice(starts[first], starts[last])
        sums = np.concatenate([[0], np.cumsum(affine.weights[part] * cells[affine.indices[part]])])
        acc[first:last] += np.diff(sums[starts[first : last + 1] - part.start])
    return acc


def run_all(network: Network, x: Integers, limits: Limits = NO_LIMITS) -> list[list[int]]:
    """The input and every layer's output, flattened. Raises `ValueError` for inputs that are none of the network's."""
    if len(x) != network.num_inputs:
        raise ValueError(f"{len(x)} inputs, expected {network.num_inputs}")
    (lo, hi), values = network.value_ranges, np.zeros(network.num_values, np.int64)
    inputs = values[: len(x)] = x
    if ((inputs < lo[: len(x)]) | (inputs > hi[: len(x)])).any():
        raise ValueError("inputs outside the network's format")
    parts = [values[: len(x)].tolist()]
    for k, (layer, reads) in enumerate(zip(network.layers, network.reads, strict=True)):
        parts.append(run_layer(layer, values[reads], limits))
        values[network.target(k)] = parts[-1]
    return parts


def run_values(network: Network, x: Integers, limits: Limits = NO_LIMITS) -> list[int]:
    """All values, numbered as in `Network`."""
    return [v for part in run_all(network, x, limits) for v in part]


def run(network: Network, x: Integers, limits: Limits = NO_LIMITS) -> list[int]:
    """The network's output, flattened."""
    values = run_values(network, x, limits)
    return [values[v] for v in network.outputs.tolist()]


def first_maximum(y: Sequence[int]) -> int:
    """The class: the first index of the largest output, as in numpy and every runtime."""
    return max(range(len(y)), key=lambda j: (y[j], -j))
