"""Outputs of layers that nobody reads are taken away, from the last layer to the first."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ...network import Convolution, Dense, Layer, Linear, Patches, SparseRows
from .convolving import Kernel, layer_of, without_dead

Plan = list[tuple[Layer, np.ndarray]]


def pruned(plan: Plan, num_inputs: int, outputs: np.ndarray) -> tuple[Plan, np.ndarray]:
    """Layers with what they read, and the values that are the result, both renumbered; layers that nobody reads go."""
    firsts = np.cumsum([num_inputs, *(layer.output.size for layer, _ in plan)])
    used = np.zeros(firsts[-1], bool)
    used[outputs] = True
    kept = np.ones(firsts[-1], bool)
    narrow: Plan = []
    for k in range(len(plan) - 1, -1, -1):
        mine = slice(firsts[k], firsts[k + 1])
        kept[mine] = False
        if used[mine].any():
            layer, reads, kept[mine] = narrowed(*plan[k], used[mine])
            used[reads] = True
            narrow.append((layer, reads))
    numbers = np.cumsum(kept, dtype=np.int64).astype(np.int32) - 1
    return [(layer, numbers[reads]) for layer, reads in reversed(narrow)], numbers[outputs]


def narrowed(layer: Layer, reads: np.ndarray, used: np.ndarray) -> tuple[Layer, np.ndarray, np.ndarray]:
    """The layer with the outputs that are used, and perhaps some others; what it reads, and a mask of the outputs that are left."""
    channels = layer.output.shape[-1]
    output: tuple[int, ...]
    live = np.array(used.reshape(-1, channels).any(axis=0))
    if isinstance(layer, Linear):
        return narrowed_sums(layer, reads, used)
    if live.all() or len(layer.requantizers) not in (1, channels):
        return layer, reads, np.ones(layer.output.size, bool)
    if isinstance(layer, Dense):
        form, output = replace(layer.input, shape=(1, 1, layer.input.size)), (1, 1, channels)
        kernel = Kernel(layer.weights[:, None, None], layer.bias)
    elif isinstance(layer, Convolution):
        form, output = layer.input, layer.output.shape
        kernel = Kernel(layer.weights, layer.bias, layer.strides, layer.padding, layer.dilation, layer.groups)
    else:
        return layer, reads, np.ones(layer.output.size, bool)
    live, inputs, kernel = without_dead(~live, kernel)
    requantizers = layer.requantizers if len(layer.requantizers) == 1 else tuple(layer.requantizers[i] for i in np.flatnonzero(live))
    lo, hi = min(r.lo for r in requantizers), max(r.hi for r in requantizers)
    target = replace(layer.output, shape=(*output[:2], int(live.sum())), lo=lo, hi=hi)
    source = replace(form, shape=(*form.shape[:2], int(inputs.sum())))
    made = layer_of(layer.name, source, target, requantizers, kernel)
    return made, reads.reshape(form.shape)[..., inputs].ravel(), np.tile(live, layer.output.size // channels)


def narrowed_sums(layer: Linear, reads: np.ndarray, used: np.ndarray) -> tuple[Layer, np.ndarray, np.ndarray]:
    """The same for sums that share their weights, each of as many values of its own, and for constants."""
    everything = layer, reads, np.ones(len(used), bool)
    if used.all():
        return everything
    count, affine, steps = int(used.sum()), layer.map, layer.requantizers
    steps = steps if len(steps) == 1 else tuple(layer.requantizer(i) for i in np.flatnonzero(used).tolist())
    if isinstance(affine, Patches):
        width = len(affine.offset)
        reads = reads.reshape(len(used), width)[used].ravel()
        affine = replace(affine, n_in=count * width, start=affine.start[:count])
    elif isinstance(affine, SparseRows) and not len(affine.weights):
        affine = replace(affine, indptr=affine.indptr[: count + 1], bias=affine.bias[used])
    else:
        return everything
    output = replace(layer.output, shape=(count,), lo=min(step.lo for step in steps), hi=max(step.hi for step in steps))
    source = replace(layer.input, shape=(len(reads),))
    return replace(layer, input=source, output=output, requantizers=steps, map=affine), reads, used
