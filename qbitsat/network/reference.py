"""Slow, obvious inference on Python ints: what every fast path and every witness is held against."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import UnsupportedError
from ..limits import NO_LIMITS, Limits
from .convolution import Convolution
from .layers import PADDING, Dense, Layer, Linear
from .network import Network


def accumulators(layer: Layer, x: Sequence[int], limits: Limits = NO_LIMITS) -> list[int]:
    """Accumulators of one layer for flattened inputs x."""
    if type(layer) is Dense:  # a subclass may mean something else
        return _dense(layer, x, limits)
    if type(layer) is Convolution:
        return _convolution(layer, x, limits)
    if type(layer) is Linear:
        return _linear(layer, x, limits)
    raise UnsupportedError(f"layer {layer.name!r}: no reference for a layer of kind {type(layer).__name__}")


def run_layer(layer: Layer, x: Sequence[int], limits: Limits = NO_LIMITS) -> list[int]:
    """Outputs of one layer for flattened inputs x."""
    return [layer.requantizer(i).apply(acc) for i, acc in enumerate(accumulators(layer, x, limits))]


def _dense(layer: Dense, x: Sequence[int], limits: Limits) -> list[int]:
    zero_point = layer.input.zero_point
    accs = []
    for row, bias in zip(layer.weights, layer.bias.tolist(), strict=True):
        limits.check()
        accs.append(bias + sum(w * (v - zero_point) for w, v in zip(row.tolist(), x, strict=True)))
    return accs


def _convolution(layer: Convolution, x: Sequence[int], limits: Limits) -> list[int]:
    (height, width, channels), zero_point = layer.input.shape, layer.input.zero_point
    rows, columns, n_out = layer.output.shape
    weights, depth, accs = layer.weights.tolist(), channels // layer.groups, []
    for y in range(rows):
        for column in range(columns):
            limits.check()
            for o in range(n_out):
                acc, first = int(layer.bias[o]), o // (n_out // layer.groups) * depth
                for ky, kernel_row in enumerate(weights[o]):
                    in_y = y * layer.strides[0] + ky * layer.dilation[0] - layer.padding[0][0]
                    for kx, taps in enumerate(kernel_row):
                        in_x = column * layer.strides[1] + kx * layer.dilation[1] - layer.padding[1][0]
                        if 0 <= in_y < height and 0 <= in_x < width:
                            at = (in_y * width + in_x) * channels + first
                            acc += sum(w * (v - zero_point) for w, v in zip(taps, x[at : at + depth], strict=True))
                accs.append(acc)
    return accs


def _linear(layer: Linear, x: Sequence[int], limits: Limits) -> list[int]:
    cells = x if layer.cells is None else [layer.input.zero_point if e == PADDING else x[e] for e in layer.cells.tolist()]
    accs = []
    for i in range(layer.affine.n_out):
        limits.check()
        read, weights = layer.affine.row(i)
        accs.append(int(layer.affine.biases[i]) + sum(w * cells[j] for j, w in zip(read.tolist(), weights.tolist(), strict=True)))
    return accs


def run_all(network: Network, x: Sequence[int], limits: Limits = NO_LIMITS) -> list[list[int]]:
    """The input and every layer's output, flattened."""
    values = [int(v) for v in x]
    if len(values) != network.num_inputs:
        raise ValueError(f"{len(values)} inputs, expected {network.num_inputs}")
    parts = [list(values)]
    for layer, reads in zip(network.layers, network.reads, strict=True):
        parts.append(run_layer(layer, [values[v] for v in reads.tolist()], limits))
        values += parts[-1]
    return parts


def run_values(network: Network, x: Sequence[int], limits: Limits = NO_LIMITS) -> list[int]:
    """All values, numbered as in `Network`."""
    return [v for part in run_all(network, x, limits) for v in part]


def run(network: Network, x: Sequence[int], limits: Limits = NO_LIMITS) -> list[int]:
    """The network's output, flattened."""
    values = run_values(network, x, limits)
    return [values[v] for v in network.outputs.tolist()]


def first_maximum(y: Sequence[int]) -> int:
    """The class: the first index of the largest output, as in numpy and every runtime."""
    return max(range(len(y)), key=lambda j: (y[j], -j))
