"""Sign-gradient attack on the integer network, with straight-through rounding.

The forward pass is the exact integer one. Backwards, a requantizer counts as the identity where its output is not
saturated and as nearly flat where it is, so that a network that saturates everywhere still shows a direction. Points
go to corners of the box, first with all their elements and then with random parts of them: moving everything at once
overshoots a kink and comes back for ever (of the 17 violated AAAI 2021 MNIST queries, all
elements at once found 12 and random parts 15, both in about 10 ms each). Whatever makes the formula true is handed back
for exact replay.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .._kernels.suggest.ascent import products_back
from ..limits import Limits
from ..network import Network, forward_all
from ..properties import AtMost, Formula, Or, Query
from .margin import Batch, gradients, margins

STEPS = 16
MOVED_SHARES = (0.15, 0.5)  # of the elements, in turn
LEAK = np.float32(0.1)
# A batch is one step without a look at the limits: points of a way at once, and elements of all points together.
MAX_POINTS = 16
MAX_ELEMENTS = 1 << 20
# What an element of a point takes: its value, and as much again in temporary arrays.
POINT_BYTES = 40


def propose(query: Query, formula: Formula, options: Any, limits: Limits) -> tuple[tuple[int, ...], ...] | None:
    """Inputs in the boxes that make `formula` (without `Not`) true, or None.

    Each disjunct at the top is attacked from the middle of the boxes and from options.restarts random corners.
    """
    rng = np.random.default_rng(options.seed)
    ways = formula.parts if isinstance(formula, Or) else (formula,)
    layers = [layer for network in query.networks for layer in network.layers]
    for layer in layers:
        layer.affine.build("matrix", limits)
    widest = max(layer.affine.n_in + layer.affine.n_out for layer in layers)
    elements = sum(layer.affine.n_in + layer.affine.n_out for layer in layers)
    most = max(1, MAX_ELEMENTS // widest)
    points = min(1 + options.restarts, MAX_POINTS, most)
    for tried in range(0, 1 + options.restarts, points):
        start = 0
        while start < len(ways):
            count = limits.fit(min(most // points, len(ways) - start), POINT_BYTES * elements * points)
            found = _attack_ways(query, ways[start : start + count], points, tried == 0, rng, limits)
            start += count
            if found is not None:
                return found
    return None


def _attack_ways(query: Query, ways: tuple[Formula, ...], points: int, middle: bool, rng: np.random.Generator, limits: Limits):
    """All ways at once, `points` points each: row w * points + p is point p of way w; p = 0 may start in the middle."""
    batch = []
    for box in query.boxes:
        x = np.where(rng.random((len(ways) * points, len(box.lo))) < 0.5, box.lo, box.hi)
        if middle:
            x[::points] = (box.lo + box.hi) // 2
        batch.append(x)
    for step in range(STEPS):
        limits.check()
        traces = [_trace(network, x, limits) for network, x in zip(query.networks, batch, strict=True)]
        found: list[AtMost] = []
        deciding = np.empty(len(batch[0]), np.int64)
        for w, way in enumerate(ways):
            rows = slice(w * points, (w + 1) * points)
            margin, deciding[rows] = margins(way, [x[rows] for x in batch], [t[-1][rows] for t in traces], found, limits)
            best = int(margin.argmax())
            if margin[best] >= 0:
                return tuple(tuple(x[w * points + best].tolist()) for x in batch)
        share = MOVED_SHARES[step % len(MOVED_SHARES)] if step else 1.0
        _move(query, batch, traces, found, deciding, share, rng, limits)
    return None


def _trace(network: Network, x: np.ndarray, limits: Limits) -> list[np.ndarray]:
    """Every layer's outputs."""
    return network.by_layer(forward_all(network, x, limits))


def _move(
    query: Query,
    batch: Batch,
    traces: list[Batch],
    found: list[AtMost],
    deciding: np.ndarray,
    share: float,
    rng: np.random.Generator,
    limits: Limits,
) -> None:
    """Send a random share of every point's elements to the end of the box that its gradient points to."""
    by_input, by_output = gradients(found, deciding, batch, [trace[-1] for trace in traces], limits)
    for k, (network, box) in enumerate(zip(query.networks, query.boxes, strict=True)):
        direction = by_input[k] + _backward(network, traces[k], by_output[k], limits)
        moved = rng.random(direction.shape) < share
        batch[k] = np.where(moved & (direction > 0), box.hi, np.where(moved & (direction < 0), box.lo, batch[k]))


def _backward(network: Network, trace: Batch, gradient: np.ndarray, limits: Limits) -> np.ndarray:
    """Gradient with respect to the input; the last requantizer counts as the identity, its accumulators decide."""
    for k in reversed(range(len(network.layers))):
        layer = network.layers[k]
        if k < len(network.layers) - 1:
            inside = (trace[k] > layer.output.lo) & (trace[k] < layer.output.hi)
            gradient = gradient * np.where(inside, np.float32(1), LEAK)
        outputs = np.ascontiguousarray(gradient, np.float32)
        gradient = np.empty((len(outputs), layer.affine.n_in), np.float32)
        for rows in limits.slices(len(outputs), layer.affine.matrix.size / 8):
            gradient[rows] = products_back(outputs[rows], layer.affine.matrix)
        largest = np.abs(gradient).max(axis=1, keepdims=True)
        gradient = gradient / np.maximum(largest, np.float32(1e-30))
    return gradient
