"""Witnesses by dives: outputs of the first layers are fixed one after the other where the linear relaxation wants them.

Relaxed points claim every rounding for themselves, and rounded to whole inputs they lose nearly all of them. A dive fixes roundings
one by one and lets the rest of the relaxation follow. When the first layers are fixed, so is all behind them, and what is left is to
find whole inputs that give these outputs: accumulators kept a little away from the ends of their steps while it dived.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from ..attack.margin import margins
from ..bounds.frame import Block, Frame
from ..bounds.ranges import Ranges
from ..limits import Limits
from ..network import forward
from ..properties import Formula, Query
from .cases import Cases
from .leaves import Inputs
from .nodes import Nodes
from .relaxation import Point, Relaxation

# Weights beyond which one linear program takes too long.
MAX_WEIGHTS = 1 << 21
# Seconds for one linear program; a search whose programs take longer dives no more.
PATIENCE = 2.0
# Accumulators stay this many mean weights, and at most this share of a step, away from the ends of their steps; in the end, as many
# times further as leaves the program a solution.
SHY_WEIGHTS, SHY_SHARE, SHYER = 2.5, 0.1, (16, 8, 4, 2)
# A slack that linear programming may mistake for 0.
ROUNDING = 1e-6
# Among outputs, chance is worth a factor of about this power of e.
CHANCE = 0.5
# A value that keeps this share of the slack is taken without a look at others.
KEPT = 0.97
# A dive that got at least so deep goes on from half its depth, so many times.
DEEP, RETRIES = 10, 3
# Candidates of a move over whole inputs that are looked at together, in elements, and moves for one point.
ELEMENTS, MOVES = 1 << 20, 200


class Diver:
    """Dives of one search. `seconds` is the time that they took so far."""

    def __init__(self, query: Query, frame: Frame, formula: Formula, cases: Cases, root: Ranges, options: Any, limits: Limits):
        self.query, self.frame, self.formula, self.cases, self.root, self.limits = query, frame, formula, cases, root, limits
        self.rng = np.random.default_rng(options.seed)
        self.first = [block for block in frame.blocks if block.source.start < frame.num_inputs and len(block.steps)]
        weights = sum(block.layer.affine.matrix.size for block in frame.blocks)
        self.able = bool(self.first) and weights <= MAX_WEIGHTS
        self.seconds = 0.0
        self.relaxation: Relaxation | None = None
        self.unit, self.shy = np.ones(frame.num_neurons), np.zeros(frame.num_neurons)
        self.is_output = np.zeros(frame.num_neurons, bool)
        for block in frame.blocks:
            self.is_output[block.neurons] = block.target in frame.outputs
            if len(block.steps):
                run = (block.steps[:, -2] - block.steps[:, 1])[block.channel]
                self.unit[block.neurons] = max(1, block.steps.shape[1] - 3) / np.maximum(1, run)
        for block in self.first:
            weight = np.abs(block.layer.affine.matrix).mean(axis=1)
            self.shy[block.neurons] = np.minimum(SHY_WEIGHTS * weight, SHY_SHARE / self.unit[block.neurons])

    def dive(self, nodes: Nodes, row: int) -> Inputs | None:
        """Inputs that make the formula true, found from one node, or None."""
        case = self.cases.table[nodes.case[row]]
        if not self.able or case.waiting:
            return None
        started = time.monotonic()
        try:
            ranges = nodes.ranges.take(np.array([row]))
            atoms = [atom for atom in nodes.atoms[row].tolist() if atom >= 0]
            return self._descend(ranges, atoms, self._sides(ranges, atoms))
        finally:
            self.seconds += time.monotonic() - started

    def _sides(self, ranges: Ranges, atoms: list[int]) -> np.ndarray:
        """Where to count slack from, if the ranges imply all inequalities: the outputs that were cut."""
        raised, lowered = ranges.acc_lo[0] > self.root.acc_lo[0], ranges.acc_hi[0] < self.root.acc_hi[0]
        sides = np.where(self.is_output, lowered.astype(float) - raised, 0.0)
        return np.zeros_like(sides) if atoms else sides

    def _descend(self, ranges: Ranges, atoms: list[int], sides: np.ndarray) -> Inputs | None:
        point, path = self._solve(ranges, atoms, sides), []
        for _ in range(1 + RETRIES):
            while point is not None and point.slack >= -ROUNDING:
                path.append((ranges, point))
                chosen = self._choose(ranges, point)
                if chosen is None:
                    found = self._whole(ranges, point, atoms, sides)
                    if found is not None:
                        return found
                    break
                ranges, point = self._fix(ranges, point, *chosen, atoms, sides)
            if len(path) < DEEP:
                return None
            del path[len(path) // 2 :]
            ranges, point = path.pop()
        return None

    def _solve(self, ranges: Ranges, atoms: list[int], sides: np.ndarray, shyness: float = 1) -> Point | None:
        self.limits.check()
        if self.relaxation is None:
            self.relaxation = Relaxation(self.frame, self.cases.inequalities, self.unit)
        started = time.monotonic()
        left = min(PATIENCE, self.limits.timeout - self.limits.seconds())
        point = self.relaxation.solve(ranges, atoms, sides, shyness * self.shy, left)
        self.able &= time.monotonic() - started < PATIENCE
        return point

    def _choose(self, ranges: Ranges, point: Point) -> tuple[Block, int] | None:
        """The open output of a first layer that is furthest from whole, weighed by its worth and by chance; None if all are whole."""
        best, chosen = 1e-6, None
        for block in self.first:
            y, at = point.y[block.neurons], block.target
            apart = np.where(ranges.lo[0, at] < ranges.hi[0, at], np.abs(y - np.rint(y)), 0)
            score = np.where(apart > 1e-5, apart * (point.worth[block.neurons] + 1e-3), 0) * np.exp(
                CHANCE * self.rng.standard_normal(len(y))
            )
            if len(score) and score.max() > best:
                best, chosen = float(score.max()), (block, int(score.argmax()))
        return chosen

    def _fix(self, ranges: Ranges, point: Point, block: Block, i: int, atoms: list[int], sides: np.ndarray) -> tuple[Ranges, Point | None]:
        """Fix one output at the value that costs the least slack: one next to the relaxed output, or next to the accumulator's own."""
        neuron, value = block.neurons.start + i, block.target.start + i
        below = int(np.floor(point.y[neuron]))
        own = block.y_min + int(np.searchsorted(block.steps[block.channel[i]], point.acc[neuron], side="right")) - 1
        best, found = ranges, None
        for at in sorted({below, below + 1, own, own + 1}, key=lambda at: abs(at - point.y[neuron])):
            if not ranges.lo[0, value] <= at <= ranges.hi[0, value]:
                continue
            narrowed = ranges.take(np.array([0]))
            narrowed.lo[0, value] = narrowed.hi[0, value] = at
            if not narrowed.propagate(self.frame).all():
                continue
            solved = self._solve(narrowed, atoms, sides)
            if solved is not None and (found is None or solved.slack > found.slack):
                best, found = narrowed, solved
                if solved.slack >= KEPT * point.slack:
                    break
        return best, found

    def _whole(self, ranges: Ranges, point: Point, atoms: list[int], sides: np.ndarray) -> Inputs | None:
        """Whole inputs near the point with its first outputs, as far as moves find them; only if they make the formula true."""
        m = self.frame.num_inputs
        for block in self.first:
            at = block.target
            y = np.clip(np.rint(point.y[block.neurons]), ranges.lo[0, at], ranges.hi[0, at])
            ranges.lo[0, at] = ranges.hi[0, at] = y.astype(np.int64)
        if not ranges.propagate(self.frame).all():
            return None
        for shyness in SHYER:
            shyer = self._solve(ranges, atoms, sides, shyness)
            if shyer is not None and shyer.slack >= -ROUNDING:
                point = shyer
                break
        lo, hi = ranges.lo[0, :m], ranges.hi[0, :m]
        x = np.clip(np.rint(point.x), lo, hi).astype(np.int64)
        for block in self.first:
            x[block.source] = self._repaired(block, x[block.source], ranges, lo[block.source], hi[block.source])
        inputs = [x[None, part] for part in self.frame.inputs]
        outputs = [forward(network, part) for network, part in zip(self.query.networks, inputs, strict=True)]
        margin, _ = margins(self.formula, inputs, outputs, [])
        return tuple(tuple(part[0].tolist()) for part in inputs) if margin[0] >= 0 else None

    def _repaired(self, block: Block, x: np.ndarray, ranges: Ranges, lo: np.ndarray, hi: np.ndarray) -> np.ndarray:
        """Inputs whose accumulators leave their ranges by less in all: the best move by one, or a random one of the best few, each time."""
        affine, least, most = block.layer.affine, ranges.acc_lo[0, block.neurons], ranges.acc_hi[0, block.neurons]
        turned = np.ascontiguousarray(affine.whole.T, np.int64)
        acc, best = x @ turned + affine.bias, x
        smallest = excess = int(_outside(acc, least, most))
        for _ in range(MOVES):
            if smallest == 0:
                break
            ways = [(sign, np.flatnonzero(room > 0)) for sign, room in ((1, hi - x), (-1, x - lo))]
            moved = np.concatenate([inputs for _, inputs in ways])
            signs = np.concatenate([np.full(len(inputs), sign) for sign, inputs in ways])
            if not len(moved):
                break
            picked = self.rng.permutation(len(moved))[: max(1, ELEMENTS // affine.n_out)]
            moved, signs = moved[picked], signs[picked]
            after = _outside(acc + signs[:, None] * turned[moved], least, most)
            k = int(after.argmin())
            if after[k] >= excess:
                k = int(self.rng.choice(np.argsort(after)[:8]))
            x = x.copy()
            x[moved[k]] += signs[k]
            acc, excess = acc + signs[k] * turned[moved[k]], int(after[k])
            if excess < smallest:
                smallest, best = excess, x
        return best


def _outside(acc: np.ndarray, least: np.ndarray, most: np.ndarray) -> np.ndarray:
    """Sum of distances of accumulators from their ranges."""
    return (np.maximum(0, least - acc) + np.maximum(0, acc - most)).sum(axis=-1)
