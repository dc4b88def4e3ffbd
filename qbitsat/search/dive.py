"""Witnesses by dives: outputs of the first layers are fixed one after the other where the linear relaxation wants them.

Relaxed points claim every rounding for themselves, and rounded to whole inputs they lose nearly all of them. A dive fixes roundings
one by one and lets the rest of the relaxation follow. When the first layers are fixed, so is all behind them, and what is left is to
find whole inputs that give these outputs: accumulators kept a little away from the ends of their steps while it dived. A
dive that ends short of a witness is climbed from: some outputs are freed and fixed anew, again and again.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
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
from .relaxation import MAX_WEIGHTS, PATIENCE, Point, Relaxation

# Seconds for one call; a search that needs longer dives no more.
CALL = 10.0
# Accumulators stay this many mean weights, and at most this share of a step, away from the ends of their steps; in the end, as many
# times further as leaves the program a solution.
SHY_WEIGHTS, SHY_SHARE, SHYER = 2.5, 0.1, (16, 8, 4, 2)
# A slack that linear programming may mistake for 0.
ROUNDING = 1e-6
# Among outputs, chance is worth a factor of about this power of e.
CHANCE = 0.5
# A value that loses less than this share of the slack (or of 1) is taken without a look at others.
LOSS = 0.03
# Share of the time of all dives that goes to new ones, once a case has a climb.
STARTING = 1 / 3
# Share of the outputs that a round frees, rounds of one call, and rounds without a gain after which a case starts anew.
FREED, ROUNDS, STALE = 0.3, 2, 40
# Candidates of a move over whole inputs that are looked at together, in elements, and moves for one point.
ELEMENTS, MOVES = 1 << 20, 200


@dataclass
class Climb:
    """The ranges that it keeps to, those with all outputs of the first layers fixed, the point there, and rounds since the last gain."""

    base: Ranges
    ranges: Ranges
    point: Point
    stale: int = 0


class Diver:
    """Dives of one search: each case of the formula has its own climb. `seconds` is the time of all, `starting` that of new dives."""

    def __init__(
        self, query: Query, frame: Frame, formula: Formula, cases: Cases, root: Ranges, unit: np.ndarray, options: Any, limits: Limits
    ):
        """unit float64[num_neurons]: one output step's share of an accumulator."""
        self.query, self.frame, self.formula, self.cases, self.root, self.limits = query, frame, formula, cases, root, limits
        self.rng = np.random.default_rng(options.seed)
        self.first = [block for block in frame.blocks if block.source.start < frame.num_inputs and len(block.steps)]
        weights = sum(block.layer.affine.matrix.size for block in frame.blocks)
        self.able = bool(self.first) and weights <= MAX_WEIGHTS
        self.seconds = self.starting = self.began = 0.0
        self.relaxation: Relaxation | None = None
        self.climbs: dict[int, Climb] = {}
        self.begun: dict[int, int] = {}
        self.hopeless: set[int] = set()
        self.unit, self.shy = unit, np.zeros(frame.num_neurons)
        for block in self.first:
            weight = np.abs(block.layer.affine.matrix).mean(axis=1)
            self.shy[block.neurons] = np.minimum(SHY_WEIGHTS * weight, SHY_SHARE / self.unit[block.neurons])

    def dive(self, case: int, ranges: Ranges) -> Inputs | None:
        """Some work on one case: inputs that make the formula true, or None.

        A case has one climb after the other, in the ranges of the root and of a node by turns. A third of the time is for dives in nodes
        that find a witness at once or nothing. ranges: those of a node, of one row.
        """
        atoms, waiting = self.cases.table[case]
        if not self.able or waiting or not atoms or case in self.hopeless:
            return None
        self.began = started = time.monotonic()
        climbs = case in self.climbs and self.starting > STARTING * self.seconds
        try:
            return self._climb(case, atoms) if climbs else self._start(case, atoms, ranges)
        finally:
            taken = time.monotonic() - started
            self.seconds += taken
            self.starting += 0 if climbs else taken

    def _start(self, case: int, atoms: tuple[int, ...], ranges: Ranges) -> Inputs | None:
        """A new dive, from the ranges of the node, or of the root for every other climb that begins."""
        begins = case not in self.climbs
        self.begun[case] = self.begun.get(case, 0) + begins
        base = self.root if begins and self.begun[case] % 2 else ranges
        point = self._solve(base, atoms)
        if point is None or point.slack < -ROUNDING:
            if base is self.root:
                self.hopeless.add(case)
            return None
        fixed, point = self._descend(base, point, atoms, -np.inf)
        if point is None:
            return None
        if begins:
            self.climbs[case] = Climb(base, fixed, point)
        return self._whole(fixed, point, atoms) if point.slack >= -ROUNDING else None

    def _climb(self, case: int, atoms: tuple[int, ...]) -> Inputs | None:
        """Rounds that free some outputs and fix them anew."""
        climb = self.climbs[case]
        for _ in range(ROUNDS):
            freed = self._freed(climb)
            climb.stale += 1
            point = self._solve(freed, atoms) if freed.propagate(self.frame).all() else None
            if point is not None and point.slack > climb.point.slack + ROUNDING:
                ranges, point = self._descend(freed, point, atoms, climb.point.slack - ROUNDING)
                if point is not None:
                    climb.stale *= point.slack <= climb.point.slack + ROUNDING
                    climb.ranges, climb.point = ranges, point
                    found = self._whole(ranges, point, atoms) if point.slack >= -ROUNDING else None
                    if found is not None:
                        return found
            if climb.stale > STALE:
                del self.climbs[case]
                break
        return None

    def _freed(self, climb: Climb) -> Ranges:
        """The ranges that a climb keeps to, with most outputs of the first layers as it has fixed them."""
        freed, ranges = climb.base.take(np.array([0])), climb.ranges
        for block in self.first:
            kept = block.target.start + np.flatnonzero(self.rng.random(block.layer.affine.n_out) >= FREED)
            freed.lo[0, kept], freed.hi[0, kept] = ranges.lo[0, kept], ranges.hi[0, kept]
        return freed

    def _descend(self, ranges: Ranges, point: Point, atoms: tuple[int, ...], least: float) -> tuple[Ranges, Point | None]:
        """Fix outputs of the first layers one by one, as long as the slack is at least `least`; None if it gets below."""
        now: Point | None = point
        while now is not None and now.slack >= least:
            chosen = self._choose(ranges, now)
            if chosen is None:
                ranges = self._fixed(ranges, now)
                now = self._solve(ranges, atoms) if ranges.propagate(self.frame).all() else None
                return ranges, now if now is not None and now.slack >= least else None
            ranges, now = self._fix(ranges, now, *chosen, atoms)
        return ranges, None

    def _solve(self, ranges: Ranges, atoms: tuple[int, ...], shyness: float = 1) -> Point | None:
        self.limits.check()
        if self.relaxation is None:
            self.relaxation = Relaxation(self.frame, self.cases.inequalities, self.unit)
        started = time.monotonic()
        left = min(PATIENCE, self.limits.timeout - self.limits.seconds())
        point = self.relaxation.solve(ranges, atoms, shyness * self.shy, left)
        now = time.monotonic()
        self.able &= now - started < PATIENCE and now - self.began < CALL
        return point if self.able else None

    def _choose(self, ranges: Ranges, point: Point) -> tuple[Block, int] | None:
        """The open output of a first layer that is furthest from whole and from its accumulator, weighed by worth and chance, or None."""
        best, chosen = 1e-6, None
        for block in self.first:
            y, at, neurons = point.y[block.neurons], block.target, block.neurons
            acc = np.clip(np.rint(point.acc[neurons]), ranges.acc_lo[0, neurons], ranges.acc_hi[0, neurons])
            apart = np.maximum(np.abs(y - np.rint(y)), np.abs(y - block.layer.requantize(acc.astype(np.int64))))
            apart = np.where((ranges.lo[0, at] < ranges.hi[0, at]) & (apart > 1e-5), apart, 0)
            score = apart * (point.worth[neurons] + 1e-3) * np.exp(CHANCE * self.rng.standard_normal(len(y)))
            if len(score) and score.max() > best:
                best, chosen = float(score.max()), (block, int(score.argmax()))
        return chosen

    def _fix(self, ranges: Ranges, point: Point, block: Block, i: int, atoms: tuple[int, ...]) -> tuple[Ranges, Point | None]:
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
            solved = self._solve(narrowed, atoms)
            if solved is not None and (found is None or solved.slack > found.slack):
                best, found = narrowed, solved
                if solved.slack >= point.slack - LOSS * max(1.0, abs(point.slack)):
                    break
        return best, found

    def _fixed(self, ranges: Ranges, point: Point) -> Ranges:
        """The ranges with all outputs of the first layers at the point's."""
        fixed = ranges.take(np.array([0]))
        for block in self.first:
            at = block.target
            y = np.clip(np.rint(point.y[block.neurons]), fixed.lo[0, at], fixed.hi[0, at])
            fixed.lo[0, at] = fixed.hi[0, at] = y.astype(np.int64)
        return fixed

    def _whole(self, ranges: Ranges, point: Point, atoms: tuple[int, ...]) -> Inputs | None:
        """Whole inputs near the point with its first outputs, as far as moves find them; only if they make the formula true."""
        m = self.frame.num_inputs
        for shyness in SHYER:
            shyer = self._solve(ranges, atoms, shyness)
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
