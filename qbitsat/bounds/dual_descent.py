"""Good multipliers by a first-order method, for many nodes. Floats: they suggest, `dual.upper_bound` says what they prove.

The dual value is convex and piecewise linear in the multipliers; its slope is the difference between both sides of the
accumulators' equations at the point that attains it. Adam follows that slope from backward substitution (the multipliers of straight
lines over the steps), or from where a node's parent ended. Running means of the points approach the solution of the linear relaxation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from .._kernels.exact import ranges as _ranges
from .._kernels.exact.layers import Layers
from .._kernels.suggest.descent import Descent
from .._kernels.suggest.floats import Floats
from .layout import Block, Inequalities, Inequality, Layout
from .ranges import PASS_WORK, Ranges

RATE, DECAY = 0.3, 0.95


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


class DualDescent:
    """Descends on some blocks of a layout (each after what it reads) and some inequalities over their values.

    layers and floats are these blocks, numbered among themselves: value v is place[v] there.
    """

    def __init__(self, layout: Layout, blocks: Sequence[Block], inequalities: Sequence[Inequality], root: Ranges):
        self.layout, self.blocks = layout, blocks
        self.products = sum(block.layer.affine.num_products for block in blocks)
        self.neurons = np.concatenate([np.arange(b.neurons.start, b.neurons.stop) for b in blocks])
        self.is_complete = len(self.neurons) == layout.num_neurons
        # Values in the kernel's order: inputs, then the neurons of these blocks.
        self.place = np.full(layout.num_values, -1, np.int32)
        self.place[: layout.num_inputs] = np.arange(layout.num_inputs)
        self.place[layout.num_inputs + self.neurons] = layout.num_inputs + np.arange(len(self.neurons))
        # Weights of the kernels and of the floats, and once more as columns.
        layout.limits.require(sum(12 * b.layer.affine.num_weights + 12 * b.layer.affine.n_out for b in blocks))
        parts: Any = [(b.layer.affine, self._placed(b), b.layer.input.zero_point, ()) for b in blocks]
        self.layers = Layers(layout.num_inputs, parts)
        self.floats = Floats(self.layers)
        self.kernel = Descent(self.floats, Inequalities.of(inequalities).floats(self.place), layout.limits.check)
        fixed = root.lo[0, layout.num_inputs :] == root.hi[0, layout.num_inputs :]
        self.useless = np.concatenate([fixed[b.neurons] for b in blocks])

    def _placed(self, block: Block) -> np.ndarray:
        """What a block reads, as the kernel numbers it."""
        placed = np.append(self.place, np.int32(-1))[block.view]
        if (placed[block.view >= 0] < 0).any():
            raise ValueError(f"layer {block.layer.name!r} reads a layer that is not before it")
        return placed

    def pose(self, inequalities: Sequence[Inequality]) -> None:
        """Other inequalities instead of those there were."""
        self.kernel.pose(Inequalities.of(inequalities).floats(self.place))

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
        means: bool = True,
    ) -> Suggestion:
        """At most `steps` steps for every node, and `polish` smaller ones from the best; each stops once its value is below 0.

        atoms int32[nodes, most]: the inequalities of each node, then -1s, and shares float32[nodes, most] for them; nodes that
        are cold start from backward substitution, others from multipliers float32[nodes, neurons of the blocks]. anchor int32[nodes]
        names a neuron whose multiplier stays as it is, or -1: without an inequality, the dual value falls to 0 with all multipliers.
        ranges have a row for each node, or one for all. Without `means`, x, acc and y of the suggestion have no columns.
        """
        n = len(atoms)
        anchor, cold = np.full(n, -1, np.int32) if anchor is None else anchor, cold.astype(np.uint8)
        multipliers, shares = multipliers.astype(np.float32), shares.astype(np.float32)
        work = PASS_WORK * ((self.products + len(self.neurons)) * (steps + polish) + self.layout.num_values)
        nodes, parts = (atoms, anchor, cold, multipliers, shares), list[tuple[np.ndarray, ...]]()
        for rows in self.layout.limits.slices(n, work, self.bytes):
            mine = ranges if len(ranges) == 1 else ranges.take(rows)
            parts.append(self._run(mine, [array[rows] for array in nodes], steps, polish, means))
        parts = parts or [self._run(ranges, nodes, steps, polish, means)]
        value, *rest = parts[0] if len(parts) == 1 else map(np.concatenate, zip(*parts, strict=True))
        return Suggestion(value, multipliers, shares, *rest)

    @property
    def bytes(self) -> int:
        """What one node takes while its descent runs: the vertices of all neurons, those of the blocks once more, and the suggestion."""
        return 52 * (self.layout.num_neurons + len(self.neurons)) + 12 * self.layout.num_values + 16 * len(self.neurons)

    def _run(self, ranges: Ranges, nodes: Sequence[np.ndarray], steps: int, polish: int, means: bool) -> tuple[np.ndarray, ...]:
        atoms, anchor, cold, multipliers, shares = nodes
        vertices = _ranges.vertices(self.layout.kernel, *ranges.arrays)
        acc, y, slopes = vertices if self.is_complete else (np.ascontiguousarray(part[..., self.neurons]) for part in vertices)
        slopes[:, self.useless] = -1
        x_lo, x_hi = (np.ascontiguousarray(a[:, : self.layout.num_inputs], np.float32) for a in (ranges.lo, ranges.hi))
        answer = self.kernel.run(atoms, x_lo, x_hi, acc, y, slopes, anchor, cold, multipliers, shares, steps, RATE, DECAY, polish, means)
        return answer[:-1]
