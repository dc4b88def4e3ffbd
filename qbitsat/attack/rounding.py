"""Witnesses from relaxed points: the attack at the nodes of a search."""

from __future__ import annotations

import numpy as np

from .._kernels.suggest.floats import Floats
from ..bounds.dual_descent import Suggestion
from ..bounds.layout import Layout
from ..bounds.ranges import PASS_WORK
from ..limits import Limits
from ..network import Network, forward_all
from ..properties import Box, Formula, Query
from ..properties.margin import margins

# Integers below this are exact in float32.
EXACT = 1 << 24


class RoundingHeuristic:
    """Relaxed points of one search, rounded."""

    def __init__(self, query: Query, layout: Layout, formula: Formula):
        self.query, self.layout, self.formula, self.limits = query, layout, formula, layout.limits
        self.networks = [Approximate(network, self.limits) for network in query.networks]

    def propose(self, suggestion: Suggestion) -> tuple[tuple[int, ...], ...] | None:
        """Inputs in the boxes at which the networks make the formula true, or None.

        Tries every node's mean point, rounded, and the corner of the box that attains its dual value; those that look
        right in float32, where long sums are off by a few units, are run again in integers.
        """
        n, limits = len(suggestion.x), self.limits
        candidates = np.empty((2 * n, self.layout.num_inputs), np.float32)
        np.rint(suggestion.x, out=candidates[:n])
        np.rint(suggestion.x_best, out=candidates[n:])
        inputs = [_within(candidates[:, self.layout.inputs[k]], box) for k, box in enumerate(self.query.boxes)]
        values = [network.values(x) for network, x in zip(self.networks, inputs, strict=True)]
        promising = np.flatnonzero(self._margin(values) >= 0)
        if not len(promising):
            return None
        inputs = [x[promising].astype(np.int64) for x in inputs]
        margin = self._margin([forward_all(network, x, limits) for network, x in zip(self.query.networks, inputs, strict=True)])
        best = int(margin.argmax())
        return tuple(tuple(x[best].tolist()) for x in inputs) if margin[best] >= 0 else None

    def _margin(self, values: list[np.ndarray]) -> np.ndarray:
        """How far rows of all values of the networks, whole, are from making the formula true."""
        pairs = list(zip(self.query.networks, values, strict=True))
        inputs, outputs = [v[:, : n.num_inputs] for n, v in pairs], [v[:, n.outputs] for n, v in pairs]
        return margins(self.formula, inputs, outputs, [], self.limits, values)[0]


class Approximate:
    """A network with products in float32 on one thread: numpy's many threads cost more than they give on layers of this size."""

    def __init__(self, network: Network, limits: Limits):
        self.network, self.limits = network, limits
        limits.require(sum(8 * layer.affine.num_weights + 4 * layer.affine.n_out for layer in network.layers))
        self.floats = Floats(network.kernel)

    def values(self, x: np.ndarray) -> np.ndarray:
        """For whole floats [batch, num_inputs]: all values, whole floats32[batch, num_values]."""
        network = self.network
        values = np.empty((len(x), network.num_values), np.float32)
        values[:, : network.num_inputs] = x
        for k, layer in enumerate(network.layers):
            affine = layer.affine
            for rows in self.limits.slices(len(x), PASS_WORK * affine.num_products, 24 * affine.n_out):
                acc = np.rint(self.floats.apply(k, values[rows])).astype(np.int64) + affine.biases
                values[rows, network.target(k)] = layer.requantize(acc)
        return values


def _within(x: np.ndarray, box: Box) -> np.ndarray:
    """The nearest points of a box, as whole floats: of 32 bits where these are exact, and fast."""
    exact = np.abs(box.lo).max(initial=0) < EXACT and np.abs(box.hi).max(initial=0) < EXACT
    lo, hi = (end.astype(np.float32 if exact else np.float64) for end in (box.lo, box.hi))
    x = np.fmin(x, hi)  # NaN goes to an end
    return np.fmax(x, lo, out=x)
