"""Sign-gradient attack on the integer network, with straight-through rounding.

The forward pass is the exact integer one. Backwards, a requantizer counts as a line of its mean slope where its output is not
saturated. One that is, and should come back, is nearly flat, so that a network that saturates everywhere still shows a
direction; a result comes back at its full slope. One that should go further cannot: at every other start it does not count, at
the others it is as flat, for what others do may bring it back. Each way finds what the other does not. Points
go to corners of the box, first with all their elements and then with random parts of them, by a mean of the gradients so far:
moving everything at once overshoots a kink and comes back for ever (of the 17 violated AAAI 2021 MNIST queries, all
elements at once found 12 and random parts 15, both in about 10 ms each). Whatever makes the formula true is handed back
for exact replay.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .._kernels.suggest.floats import Floats
from ..limits import Limits
from ..network import Network, forward_all
from ..options import Options
from ..properties import AtMost, Formula, Or, Query
from ..properties.margin import gradients, margins
from ..properties.replay import Inputs

STEPS = 16
MOVED_SHARES = (0.15, 0.5)  # of the elements, in turn
LEAK = np.float32(0.1)
# How starts count outputs at an end that should go further, by turns; each first from the middle.
WAYS = 2
# What gradients of the steps before count in a direction, each step this much less.
MOMENTUM = np.float32(0.9)
# A batch is one step without a look at the limits: points of a disjunct at once, and elements of all points together.
MAX_POINTS = 16
MAX_ELEMENTS = 1 << 20
# Multiply-adds of one step of all disjuncts, beyond which points go one after the other: most violations are found from the middle.
AT_ONCE = 1 << 25
# Disjuncts whose nearest points are kept for who looks further.
KEPT = 16
# What an element of a point takes: its value, its gradients, and as much again in temporary arrays.
POINT_BYTES = 48
# Gradients beyond it, or its inverse, are scaled back: float32 ends at 1e38.
FAR = np.float32(1e6)
# The smallest mean of a gradient that is not 0.
SMALLEST = np.float32(1e-30)


class Attack(NamedTuple):
    """inputs   make the formula true; None if no point did
    nearest  int64[inputs of all networks] each: points in the boxes, one for each of the disjuncts that were nearest to being true
    """

    inputs: Inputs | None
    nearest: tuple[np.ndarray, ...] = ()


def propose(query: Query, formula: Formula, options: Options, limits: Limits) -> Attack:
    """Inputs in the boxes that make `formula` (without `Not`) true, or are near it.

    Each disjunct at the top is attacked from the middle of the boxes, twice if options.restarts allow it, and from random corners.
    """
    rng = np.random.default_rng(options.seed)
    disjuncts = formula.parts if isinstance(formula, Or) else (formula,)
    backwards = [Backward(network, limits) for network in query.networks]
    affines = [layer.affine for network in query.networks for layer in network.layers]
    widest = max(affine.n_in + affine.n_out for affine in affines)
    elements = sum(affine.n_in + affine.n_out for affine in affines)
    most = max(1, MAX_ELEMENTS // widest)
    work = len(disjuncts) * sum(affine.num_products for affine in affines)
    points = max(1, min(1 + options.restarts, MAX_POINTS, most, AT_ONCE // max(1, work)))
    nearest = Nearest()
    for tried in range(0, 1 + options.restarts, points):
        start = 0
        while start < len(disjuncts):
            count = limits.fit(min(most // points, len(disjuncts) - start), POINT_BYTES * elements * points)
            found = _attack_disjuncts(query, backwards, disjuncts[start : start + count], tried, points, rng, nearest, limits)
            start += count
            if found is not None:
                return Attack(found)
    return Attack(None, tuple(nearest.points.values()))


class Nearest:
    """The point with the largest margin of each disjunct, of the KEPT disjuncts where that is largest."""

    def __init__(self) -> None:
        # By the identity of disjuncts: hashing a long formula takes longer than a step.
        self._margins = dict[int, int]()
        self.points = dict[int, np.ndarray]()

    def look(self, disjunct: Formula, margin: int, batch: list[np.ndarray], row: int) -> None:
        """A point, one row of a batch, of which a margin is known."""
        key = id(disjunct)
        if key not in self._margins and len(self._margins) == KEPT:
            worst = min(self._margins, key=self._margins.__getitem__)
            if margin <= self._margins[worst]:
                return
            del self._margins[worst], self.points[worst]
        if margin > self._margins.get(key, margin - 1):
            self._margins[key], self.points[key] = margin, np.concatenate([x[row] for x in batch])


class Backward:
    """The path back through a network, layer by layer."""

    def __init__(self, network: Network, limits: Limits):
        self.network, self.limits = network, limits
        results = np.zeros(network.num_values, bool)
        results[network.outputs] = True
        limits.require(sum(8 * layer.affine.num_weights + 40 * layer.affine.n_out for layer in network.layers))
        self.floats = Floats(network.kernel)
        # For every layer the slope of each output's requantizer, those at an end back and on, and the ends.
        self.layers: list[tuple[np.ndarray, ...]] = []
        for k, layer in enumerate(network.layers):
            slope, lo, hi = (
                np.resize(np.array([getattr(r, name) for r in layer.requantizers], dtype), layer.affine.n_out)
                for name, dtype in (("slope", np.float32), ("lo", np.int64), ("hi", np.int64))
            )
            shown = results[network.target(k)]
            self.layers.append((slope, np.where(shown, slope, LEAK * slope), np.where(shown, 0, LEAK * slope), lo, hi))

    def gradient(self, values: np.ndarray, gradient: np.ndarray, further: np.ndarray) -> np.ndarray:
        """Gradient with respect to the inputs, float32[batch, num_inputs], from what the formula says of values, which is used up.

        values int64[batch, num_values], gradient float32 of that shape; further bool[batch], for which points outputs count that are at an
        end and should go further. Each point's gradient is right up to a factor.
        """
        work = sum(layer.affine.num_products for layer in self.network.layers)
        shares = self.limits.shares(len(values), work)
        self.limits.spread(lambda mine: self._go_back(values[mine], gradient[mine], further[mine]), shares)
        return gradient[:, : self.network.num_inputs]

    def _go_back(self, values: np.ndarray, gradient: np.ndarray, further: np.ndarray) -> None:
        network = self.network
        for k in reversed(range(len(self.layers))):
            slope, back, on, lo, hi = self.layers[k]
            y, wanted = values[:, network.target(k)], gradient[:, network.target(k)]
            low, high = y <= lo, y >= hi
            outputs = wanted * np.where(low | high, back, slope)
            np.copyto(outputs, wanted * on * further[:, None], where=(low & (wanted < 0)) | (high & (wanted > 0)))
            largest = np.abs(outputs).max(axis=1)
            far = np.flatnonzero((largest > FAR) | ((largest > 0) & (largest < 1 / FAR)))
            gradient[far] /= largest[far, None]
            outputs[far] /= largest[far, None]
            for rows in self.limits.slices(len(outputs), network.layers[k].affine.num_products / 8):
                self.floats.back(k, outputs[rows], gradient[rows])


def _attack_disjuncts(
    query: Query,
    backwards: list[Backward],
    disjuncts: tuple[Formula, ...],
    tried: int,
    points: int,
    rng: np.random.Generator,
    nearest: Nearest,
    limits: Limits,
) -> Inputs | None:
    """All disjuncts at once, `points` points each: row w * points + p is point p of disjunct w, its start number tried + p."""
    number = np.tile(tried + np.arange(points), len(disjuncts))
    further, batch = number % WAYS > 0, []
    for box in query.boxes:
        x = np.where(rng.random((len(disjuncts) * points, len(box.lo))) < 0.5, box.lo, box.hi)
        x[number < WAYS] = (box.lo + box.hi) // 2
        batch.append(x)
    mean = [np.zeros(x.shape, np.float32) for x in batch]
    for step in range(STEPS):
        limits.check()
        values = [forward_all(network, x, limits) for network, x in zip(query.networks, batch, strict=True)]
        outputs = [v[:, network.outputs] for network, v in zip(query.networks, values, strict=True)]
        found: list[AtMost] = []
        deciding = np.empty(len(batch[0]), np.int64)
        for w, disjunct in enumerate(disjuncts):
            rows = slice(w * points, (w + 1) * points)
            parts = [x[rows] for x in batch], [y[rows] for y in outputs]
            margin, deciding[rows] = margins(disjunct, *parts, found, limits, [v[rows] for v in values])
            best = int(margin.argmax())
            if margin[best] >= 0:
                return tuple(tuple(x[w * points + best].tolist()) for x in batch)
            nearest.look(disjunct, int(margin[best]), batch, w * points + best)
        share = MOVED_SHARES[step % len(MOVED_SHARES)] if step else 1.0
        by_value = gradients(found, deciding, query.networks, limits)
        # A random share of every point's elements goes to the end of the box that its gradients point to.
        for k, box in enumerate(query.boxes):
            newest = backwards[k].gradient(values[k], by_value[k], further)
            mean[k] *= MOMENTUM
            mean[k] += newest / np.maximum(SMALLEST, np.abs(newest).mean(axis=1, keepdims=True))
            moved = rng.random(newest.shape) < share
            batch[k] = np.where(moved & (mean[k] > 0), box.hi, np.where(moved & (mean[k] < 0), box.lo, batch[k]))
    return None
