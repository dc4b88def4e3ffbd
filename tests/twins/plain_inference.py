"""Inference on Python ints, one multiply-add after the other, which the reference is held against."""

from __future__ import annotations

from collections.abc import Sequence

from qbitsat.network import Convolution, Dense, Linear, Network
from qbitsat.network.layers import PADDING


def dense_accumulators(layer: Dense, x: Sequence[int]) -> list[int]:
    zero_point = layer.input.zero_point
    accs = []
    for row, bias in zip(layer.weights, layer.bias.tolist(), strict=True):
        accs.append(bias + sum(w * (v - zero_point) for w, v in zip(row.tolist(), x, strict=True)))
    return accs


def convolution_accumulators(layer: Convolution, x: Sequence[int]) -> list[int]:
    (height, width, channels), zero_point = layer.input.shape, layer.input.zero_point
    rows, columns, n_out = layer.output.shape
    weights, depth, accs = layer.weights.tolist(), channels // layer.groups, []
    for y in range(rows):
        for column in range(columns):
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


def linear_accumulators(layer: Linear, x: Sequence[int]) -> list[int]:
    cells = x if layer.cells is None else [layer.input.zero_point if e == PADDING else x[e] for e in layer.cells.tolist()]
    accs = []
    for i in range(layer.affine.n_out):
        read, weights = layer.affine.row(i)
        accs.append(int(layer.affine.biases[i]) + sum(w * cells[j] for j, w in zip(read.tolist(), weights.tolist(), strict=True)))
    return accs


ACCUMULATORS = {Dense: dense_accumulators, Convolution: convolution_accumulators, Linear: linear_accumulators}


def run_all(network: Network, x: Sequence[int]) -> list[list[int]]:
    """The input and every layer's output, flattened."""
    values = list(x)
    parts = [list(values)]
    for layer, reads in zip(network.layers, network.reads, strict=True):
        accs = ACCUMULATORS[type(layer)](layer, [values[v] for v in reads.tolist()])
        parts.append([layer.requantizer(i).apply(acc) for i, acc in enumerate(accs)])
        values += parts[-1]
    return parts
