"""Good multipliers by a first-order method, for many nodes. Floats: they suggest, `dual.upper_bound` says what they prove.

The dual value is convex and piecewise linear in the multipliers; its slope is the difference between both sides of the
accumulators' equations at the point that attains it. Adam follows that slope from backward substitution (the multipliers of straight
lines over the steps), or from where a node's parent ended. Running means of the points approach the solution of the linear relaxation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from .. import _ranges
from .._ascent import Ascent
from .frame import Block, Frame, Inequality
from .ranges import Ranges

RATE, DECAY = 0.3, 0.95

# Products of a weight and a float between two looks at the limits: some hundredths of a second.
WORK = 1 << 28


class Suggestion(NamedTuple):
    """One row a node, float32. value estimates the dual value; below 0 it says that a proof is near.

    multipliers of accumulators, shares of inequalities, and the coefficients that they put on all values; x_best attains the dual
    value, x, acc and y are running means.
    """

    value: np.ndarray
    multipliers: np.ndarray
    shares: np.ndarray
    coefficients: np.ndarray
    x_best: np.ndarray
    x: np.ndarray
    acc: np.ndarray
    y: np.ndarray


class Ascender:
    """Ascends on some blocks of a frame (each after what it reads) and some inequalities over their values."""

    def __init__(
        self,
        frame: Frame,
        blocks: Sequence[Block],
        inequalities: Sequence[Inequality],
        root: Ranges,
        check: Callable[[], None] = lambda: None,
    ):
        self.frame, self.blocks, self.check = frame, blocks, check
        self.weights = sum(block.layer.affine.matrix.size for block in blocks)
        self.neurons = np.concatenate([np.arange(b.neurons.start, b.neurons.stop) for b in blocks])
        self.whole = len(self.neurons) == frame.num_neurons
        # Values in the kernel's order: inputs, then the neurons of these blocks.
        place = np.full(frame.num_values, -1, np.int32)
        place[: frame.num_inputs] = np.arange(frame.num_inputs)
        place[frame.num_inputs + self.neurons] = frame.num_inputs + np.arange(len(self.neurons))
        layers, neuron = [], 0
        for block in blocks:
            affine = block.layer.affine
            layers.append((affine.matrix, affine.bias.astype(np.float32), int(place[block.source.start]), neuron))
            neuron += affine.n_out
        atoms = [(place[values], coefficients.astype(np.float32), float(bound)) for values, coefficients, bound in inequalities]
        self.kernel = Ascent(frame.num_inputs, layers, atoms)
        fixed = root.lo[0, frame.num_inputs :] == root.hi[0, frame.num_inputs :]
        self.useless = np.concatenate([fixed[b.neurons] for b in blocks])

    def run(
        self,
        ranges: Ranges,
        atoms: np.ndarray,
        fresh: np.ndarray,
        multipliers: np.ndarray,
        shares: np.ndarray,
        steps: int,
        held: np.ndarray | None = None,
        polish: int = 0,
    ) -> Suggestion:
        """At most `steps` steps for every node, and `polish` smaller ones from the best; each stops once its value is below 0.

        `check` is called now and then, and may raise.

        atoms int32[nodes, most]: the inequalities of each node, then -1s, and shares float32[nodes, most] for them; nodes that
        are fresh start from backward substitution, others from multipliers float32[nodes, neurons of the blocks]. held int32[nodes]
        names a neuron whose multiplier stays as it is, or -1: without an inequality, the dual value falls to 0 with all multipliers.
        """
        held = np.full(len(ranges), -1, np.int32) if held is None else held
        corners = _ranges.corners(self.frame.kernel, *ranges.arrays)
        acc, y, slopes = corners if self.whole else (np.ascontiguousarray(part[..., self.neurons]) for part in corners)
        slopes[:, self.useless] = -1
        multipliers, shares = multipliers.astype(np.float32), shares.astype(np.float32)
        x_lo, x_hi = (np.ascontiguousarray(a[:, : self.frame.num_inputs], np.float32) for a in (ranges.lo, ranges.hi))
        run: Any = self.kernel.run
        nodes = (atoms, x_lo, x_hi, acc, y, slopes, held, fresh.astype(np.uint8), multipliers, shares)
        size, parts = max(1, WORK // max(1, self.weights * (steps + polish))), []
        for start in range(0, len(ranges), size):
            self.check()
            parts.append(run(*(array[start : start + size] for array in nodes), steps, RATE, DECAY, polish)[:-1])
        value, *rest = parts[0] if len(parts) == 1 else map(np.concatenate, zip(*parts, strict=True))
        return Suggestion(value, multipliers, shares, *rest)
