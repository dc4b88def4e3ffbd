"""Dense layers, convolutions and sums over windows as layers, without what is constant."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ...arithmetic import Requantizer
from ...network import Convolution, Dense, Layer, TensorFormat
from ...network.convolution import Pair, out_size
from .wires import CONSTANT, Wires, stepped

if TYPE_CHECKING:
    from .builder import Builder


@dataclass(frozen=True)
class Kernel:
    """weights int64[n_out, kh, kw, depth] and bias int64[n_out] over q - zero_point; output o reads group o // (n_out / groups)."""

    weights: np.ndarray
    bias: np.ndarray
    strides: Pair = (1, 1)
    padding: tuple[Pair, Pair] = ((0, 0), (0, 0))
    dilation: Pair = (1, 1)
    groups: int = 1


def convolve(
    b: Builder, name: str, wires: Wires, kernel: Kernel, requantizers: tuple[Requantizer, ...], source: TensorFormat, target: TensorFormat
) -> Wires:
    """The outputs (h', w', n_out) for an image (h, w, channels), over q - source.zero_point; requantizers are one, one an output channel,
    or one an output. Of both formats only what the integers mean is taken; shapes and ranges follow.

    Constant channels cost nothing: those of the input go into the bias, and an output without weights is a constant.
    """
    zero_point = source.zero_point
    height, width = (out_size(*numbers) for numbers in zip(wires.shape, kernel.weights.shape[1:], kernel.strides, kernel.padding,
                                                           kernel.dilation, strict=False))  # fmt: skip
    n_out = len(kernel.weights)
    requantizers = requantizers * n_out if len(requantizers) == 1 else requantizers
    a_channel = len(requantizers) == n_out
    if a_channel:
        wires, kernel = with_padding(wires, kernel, zero_point)
        kernel = fold(wires, kernel, zero_point)
    dead = np.logical_and(~kernel.weights.any(axis=(1, 2, 3)), a_channel)
    constants = [stepped(requantizers[o], int(kernel.bias[o])) if dead[o] else 0 for o in range(n_out)]
    b.charge(height * width * n_out)
    values = np.full((height, width, n_out), CONSTANT, np.int32)
    if not dead.all():
        live, inputs, kernel = without_dead(dead, kernel)
        kept = requantizers if not a_channel else tuple(requantizers[o] for o in np.flatnonzero(live).tolist())
        reads = b.values(wires[..., inputs])
        b.charge(math.prod(n + sum(p) for n, p in zip(reads.shape, kernel.padding, strict=False)) * reads.shape[2])
        lo, hi = b.range_of(reads)
        form = replace(source, shape=reads.shape, lo=min(lo, source.lo), hi=max(hi, source.hi))
        output = replace(target, shape=(height, width, int(live.sum())), lo=min(r.lo for r in kept), hi=max(r.hi for r in kept))
        values[..., live] = b.add(layer_of(name, form, output, kept, kernel), reads).reshape(output.shape)
    return Wires(values, np.where(values < 0, np.array(constants, np.int64), 0))


def layer_of(name: str, form: TensorFormat, output: TensorFormat, requantizers: tuple[Requantizer, ...], kernel: Kernel) -> Layer:
    """Dense where there is one position, and no cell around it, else a convolution."""
    shared = requantizers[:1] if len(set(requantizers)) == 1 else requantizers
    weights = kernel.weights
    if form.shape[:2] == weights.shape[1:3] == (1, 1) and kernel.groups == 1 and not any(map(any, kernel.padding)):
        flat = replace(form, shape=form.shape[2:]), replace(output, shape=output.shape[2:])
        return Dense(name, *flat, shared, weights[:, 0, 0], kernel.bias)
    return Convolution(name, form, output, shared, weights, kernel.bias, kernel.strides, kernel.padding, kernel.dilation, kernel.groups)


def with_padding(wires: Wires, kernel: Kernel, zero_point: int) -> tuple[Wires, Kernel]:
    """Rows and columns at the border that are all zero points, as of PAD, become padding."""
    border = wires.fixed.all(axis=2) & (wires.constants == zero_point).all(axis=2)
    padding = []
    for axis in (0, 1):
        inner = np.flatnonzero(~border.all(axis=1 - axis))
        first, last = (int(inner[0]), int(inner[-1])) if inner.size else (0, border.shape[axis] - 1)
        before, after = kernel.padding[axis]
        padding.append((before + first, after + border.shape[axis] - 1 - last))
        wires = wires[(slice(None),) * axis + (slice(first, last + 1),)]
    return wires, replace(kernel, padding=(padding[0], padding[1]))


def fold(wires: Wires, kernel: Kernel, zero_point: int) -> Kernel:
    """Weights of constant input channels become 0, and what they add goes into the bias: without padding, or if it is nothing."""
    first = wires.constants[:1, :1]
    padded = any(map(any, kernel.padding))
    constant = (wires.fixed & (wires.constants == first)).all(axis=(0, 1)) & (~padded | (first[0, 0] == zero_point))
    added = np.where(constant, first[0, 0] - zero_point, 0).reshape(kernel.groups, -1, 1)
    grouped = kernel.weights.reshape(kernel.groups, -1, *kernel.weights.shape[1:])
    bias = kernel.bias + (grouped.sum(axis=(2, 3)) @ added).ravel()
    weights = np.where(constant.reshape(kernel.groups, 1, 1, 1, -1), 0, grouped).reshape(kernel.weights.shape)
    return replace(kernel, weights=weights, bias=bias)


def without_dead(dead: np.ndarray, kernel: Kernel) -> tuple[np.ndarray, np.ndarray, Kernel]:
    """Masks of the outputs and of the input channels that are kept, and their kernel: single ones of one group, whole groups of several."""
    weights, groups, depth = kernel.weights, kernel.groups, kernel.weights.shape[3]
    if groups == 1:
        inputs = weights[~dead].any(axis=(0, 1, 2))
        return ~dead, inputs, replace(kernel, weights=weights[~dead][..., inputs], bias=kernel.bias[~dead])
    kept = ~dead.reshape(groups, -1).all(axis=1)
    live = np.repeat(kept, len(weights) // groups)
    inputs = np.repeat(kept, depth)
    return live, inputs, replace(kernel, weights=weights[live], bias=kernel.bias[live], groups=int(kept.sum()))
