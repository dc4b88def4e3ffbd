"""Sign-gradient attack on the integer network, with straight-through rounding.

The forward pass is the exact integer one. Backwards, a requantizer counts as the identity where its output is not
saturated and as nearly flat where it is, so that a network that saturates everywhere still shows a direction. Points
are corners of the box or steps between them; whatever makes the formula true is handed back for exact replay.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..limits import Limits
from ..network import Network, forward_all
from ..properties import Formula, Or, Query
from .margin import Batch, gradients, margins

STEPS = 10
LEAK = np.float32(0.1)
MAX_WAYS = 64


def propose(query: Query, formula: Formula, options: Any, limits: Limits) -> tuple[tuple[int, ...], ...] | None:
    """Inputs in the boxes that seem to make `formula` (without `Not`) true, or None.

    Each disjunct at the top is attacked from the middle of the boxes and from options.restarts random corners.
    """
    rng = np.random.default_rng(options.seed)
    ways = formula.parts if isinstance(formula, Or) else (formula,)
    for group in range(0, len(ways), MAX_WAYS):
        found = _attack_ways(query, ways[group : group + MAX_WAYS], options.restarts, rng, limits)
        if found is not None:
            return found
    return None


def _attack_ways(query: Query, ways: tuple[Formula, ...], restarts: int, rng: np.random.Generator, limits: Limits):
    """All ways at once, one block of points after the other: the middle first, then a random corner each."""
    for restart in range(restarts + 1):
        points = [_starts(box, len(ways), restart, rng) for box in query.boxes]
        for step in range(STEPS):
            limits.check()
            found = _step(query, ways, points, 2 if step < STEPS // 2 else 1 + 2 * (step % 2))
            if found is not None:
                return found
    return None


def _starts(box, count: int, restart: int, rng: np.random.Generator) -> np.ndarray:
    middle = (box.lo + box.hi) // 2
    if restart == 0:
        return np.repeat(middle[None], count, axis=0)
    return np.where(rng.random((count, len(middle))) < 0.5, box.lo, box.hi)


def _step(query: Query, ways: tuple[Formula, ...], points: Batch, divisor: int):
    """Evaluate the points (row i belongs to way i); return inputs that make their way true, else move the points."""
    traces = [forward_all(network, x) for network, x in zip(query.networks, points, strict=True)]
    outputs = [trace[-1] for trace in traces]
    found: list = []
    deciding = np.empty(len(ways), np.int64)
    for i, way in enumerate(ways):
        row = slice(i, i + 1)
        margin, atom = margins(way, [x[row] for x in points], [y[row] for y in outputs], found)
        if margin[0] >= 0:
            return tuple(tuple(x[i].tolist()) for x in points)
        deciding[i] = atom[0]
    by_input, by_output = gradients(found, deciding, points, outputs)
    for k, network in enumerate(query.networks):
        direction = np.sign(by_input[k] + _backward(network, traces[k], by_output[k])).astype(np.int64)
        box = query.boxes[k]
        reach = -(-(box.hi - box.lo) // divisor) if divisor > 1 else box.hi - box.lo
        points[k] = np.clip(points[k] + direction * reach, box.lo, box.hi)
    return None


def _backward(network: Network, trace: Batch, gradient: np.ndarray) -> np.ndarray:
    """Gradient with respect to the input; the last requantizer counts as the identity, its accumulators decide."""
    for k in reversed(range(len(network.layers))):
        layer = network.layers[k]
        if k < len(network.layers) - 1:
            inside = (trace[k] > layer.output.lo) & (trace[k] < layer.output.hi)
            gradient = gradient * np.where(inside, np.float32(1), LEAK)
        gradient = gradient @ layer.affine.matrix
        largest = np.abs(gradient).max(axis=1, keepdims=True)
        gradient = gradient / np.maximum(largest, np.float32(1e-30))
    return gradient
