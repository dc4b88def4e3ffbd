"""Good multipliers by a first-order method, for many nodes, sixteen of them side by side where weights repeat.

Floats: they suggest, `dual.upper_bound` says what they prove.

The dual value is convex and piecewise linear in the multipliers; its slope is the difference between both sides of the
accumulators' equations at the point that attains it. Adam follows that slope from backward substitution (the multipliers of straight
lines over the steps), or from where a node's parent ended. Running means of the points approach the solution of the linear relaxation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from .._kernels.suggest.descent import Descent
from ..network import Patches
from .float_blocks import FloatBlocks
from .layout import Block, Inequalities, Inequality, Layout
from .ranges import Ranges

# Nodes that descend side by side, where they do.
SIDE_BY_SIDE = 16
RATE, DECAY = 0.3, 0.95
# Multiply-adds of a step that take as long as one of exact integers.
FASTER = 6
VERTICES = 6


class Suggestion(NamedTuple):
    """One row a node, float32. dual estimates the dual value; below 0 it says that a proof is near.

    multipliers of accumulators, shares of inequalities, and the coefficients that they put on all values; x_best attains the dual
    value, x, acc and y are running means.
    """

    dual: np.ndarray
    multipliers: np.ndarray
    shares: np.ndarray
    coefficients: np.ndarray
    x_best: np.ndarray
    x: np.ndarray
    acc: np.ndarray
    y: np.ndarray


class DualDescent(FloatBlocks):
    """Descends on some blocks of a layout (each after what it reads) and some inequalities over their values."""

    def __init__(self, layout: Layout, blocks: Sequence[Block], inequalities: Sequence[Inequality], root: Ranges):
        super().__init__(layout, blocks, root)
        # Alone, a node with a matrix over its inputs follows those that change and leaves the others out.
        self.dense = sum(b.layer.affine.num_products for b in blocks if isinstance(b.layer.affine, Patches) and b.layer.affine.is_dense)
        self.wide = 2 * self.dense < self.products
        self.stated = Inequalities.of(inequalities).floats(self.place)
        # One for each thread that has worked.
        self.kernels = list[Descent]()
        self._add_kernel()

    def _add_kernel(self) -> None:
        # Nodes side by side; or the columns of a matrix over inputs, which the first one has asked for.
        size = Descent.bytes_for(self.layout.num_inputs, len(self.neurons)) if self.wide else 4 * self.dense * bool(self.kernels)
        self.layout.limits.require(size)
        self.kernels.append(Descent(self.floats, self.stated, self.layout.limits.check, self.wide))

    def pose(self, inequalities: Sequence[Inequality]) -> None:
        """Other inequalities instead of those there were."""
        self.stated = Inequalities.of(inequalities).floats(self.place)
        for kernel in self.kernels:
            kernel.pose(self.stated)

    def run(
        self,
        ranges: Ranges,
        atoms: np.ndarray,
        cold: np.ndarray,
        multipliers: np.ndarray,
        shares: np.ndarray,
        steps: int,
        anchor: np.ndarray | None = None,
        polish: int = 0,
    ) -> Suggestion:
        """At most `steps` steps for every node, and `polish` smaller ones from the best; each stops once its value is below 0.

        atoms int32[nodes, most]: the inequalities of each node, then -1s, and shares float32[nodes, most] for them; nodes that
        are cold start from backward substitution, others from multipliers float32[nodes, neurons of the blocks]. anchor int32[nodes]
        names a neuron whose multiplier stays as it is, or -1: without an inequality, the dual value falls to 0 with all multipliers.
        ranges have a row for each node, or one for all.
        """
        n = len(atoms)
        anchor, cold = np.full(n, -1, np.int32) if anchor is None else anchor, cold.astype(np.uint8)
        multipliers, shares = multipliers.astype(np.float32), shares.astype(np.float32)
        nodes, limits = (atoms, anchor, cold, multipliers, shares), self.layout.limits
        # Fewer nodes side by side take as long as many.
        together = SIDE_BY_SIDE if self.wide else 1
        flocks = limits.shares(-(-n // together), together * steps * self.products / FASTER)
        threads = [slice(some.start * together, min(n, some.stop * together)) for some in flocks]
        while len(self.kernels) < len(threads):
            self._add_kernel()

        def descend(k: int) -> list[tuple[np.ndarray, ...]]:
            own, parts = threads[k], list[tuple[np.ndarray, ...]]()
            # The kernel looks at the limits by itself.
            for part in limits.slices(own.stop - own.start, VERTICES * self.layout.num_values, self.bytes):
                rows = slice(own.start + part.start, own.start + part.stop)
                mine = ranges if len(ranges) == 1 else ranges.take(rows)
                parts.append(self._run(self.kernels[k], mine, [array[rows] for array in nodes], steps, polish))
            return parts

        parts = [part for some in limits.spread(descend, range(len(threads))) for part in some]
        parts = parts or [self._run(self.kernels[0], ranges, nodes, steps, polish)]
        value, *rest = parts[0] if len(parts) == 1 else map(np.concatenate, zip(*parts, strict=True))
        return Suggestion(value, multipliers, shares, *rest)

    @property
    def bytes(self) -> int:
        """What one node takes while its descent runs: the vertices of all neurons, those of the blocks once more, and the suggestion."""
        return 52 * (self.layout.num_neurons + len(self.neurons)) + 12 * self.layout.num_values + 16 * len(self.neurons)

    def _run(self, kernel: Descent, ranges: Ranges, nodes: Sequence[np.ndarray], steps: int, polish: int) -> tuple[np.ndarray, ...]:
        atoms, anchor, cold, multipliers, shares = nodes
        x_lo, x_hi, acc, y, slopes = self.vertices(ranges)
        answer = kernel.run(atoms, x_lo, x_hi, acc, y, slopes, anchor, cold, multipliers, shares, steps, RATE, DECAY, polish)
        return answer[:-1]
