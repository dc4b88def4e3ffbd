"""Nearer witnesses in L1 and L0: simulated annealing at one distance, where what some element gives back another one takes.

A gradient moves all elements at once, and of a witness that it finds many can go back, one by one; but which few would be enough is another
question, and whether a network's class changes has no slope there. Points stay at the distance wanted, and their score is the
margin of the formula. What is found counts once it is replayed.
"""

from __future__ import annotations

import numpy as np

from ..limits import Limits
from ..network import forward_all
from ..options import Options
from ..properties import AtMost, Formula, Query
from ..properties.balls import L1, distances_of
from ..properties.margin import margins

# Neighbours of a point that are run together, and at most so many values of them.
TOGETHER, MOST_VALUES = 64, 1 << 20
# Random draws are from fewer than 10**9 things.
DRAWN_BITS = 29
# Points of a run, and its first and last temperature in mean changes of the margin.
STEPS, HOT, COLD = 150, 1.0, 0.05


class Swaps:
    """Runs from witnesses of a query about one network and one sample, x int64[num_inputs], in its box. `seconds` is the time of all."""

    def __init__(self, query: Query, formula: Formula, x: np.ndarray, norm: str, options: Options, limits: Limits):
        """formula: the query's, without `Not`."""
        (self.network,), (box,) = query.networks, query.boxes
        self.formula, self.x, self.norm, self.limits = formula, x, norm, limits
        self.lo, self.hi = box.lo, box.hi
        self.movable = np.flatnonzero(box.lo < box.hi)
        self.rng = np.random.default_rng(options.seed)
        self.together = max(4, min(TOGETHER, MOST_VALUES // self.network.num_values))
        self.seconds = 0.0
        # How much nearer the next run tries to come, and how many were in vain since the last that did.
        self.nearer, self.vain = 1 << 60, 0

    def run(self, witness: np.ndarray, least: int) -> np.ndarray | None:
        """One run from a witness, at a smaller distance than it has, and at least this one: another witness, or None."""
        started, far = self.limits.seconds(), self._distance(witness)
        self.nearer = max(1, min(self.nearer, far // 4))
        found = self._annealed(witness, max(least, far - self.nearer))
        if found is None:
            self.nearer, self.vain = max(1, self.nearer // 2), self.vain + 1
        else:
            self.vain = 0
        self.seconds += self.limits.seconds() - started
        return found

    def _annealed(self, point: np.ndarray, distance: int) -> np.ndarray | None:
        """The first point of a run at this distance that makes the formula true."""
        point = self._drawn(point, distance)
        (margin,), unit = self._margins(point[None]), 0.0
        for step in range(STEPS):
            if margin >= 0:
                return point
            points = self._neighbours(point, distance)
            found = self._margins(points)
            unit = unit or max(1.0, float(np.abs(found - margin).mean()))
            # The best of them, with noise of the temperature: each is drawn with the odds of annealing.
            heat = unit * HOT * (COLD / HOT) ** (step / STEPS)
            best = int(found.argmax()) if found.max() >= 0 else int((found + heat * self.rng.gumbel(size=len(found))).argmax())
            point, margin = points[best], found[best]
        return point if margin >= 0 else None

    def _distance(self, point: np.ndarray) -> int:
        return int(distances_of(self.norm, self.x, point[None])[0])

    def _margins(self, points: np.ndarray) -> np.ndarray:
        """Of the formula at points, int64[n]."""
        values, met = forward_all(self.network, points, self.limits), list[AtMost]()
        return margins(self.formula, [points], [values[:, self.network.outputs]], met, self.limits, [values])[0]

    def _drawn(self, point: np.ndarray, distance: int) -> np.ndarray:
        """The point with random elements back at the sample, or a part of the way in L1, until it is no farther than this."""
        change, over = point - self.x, self._distance(point) - distance
        order = self.rng.permutation(np.flatnonzero(change))
        sizes = np.abs(change)[order]
        back = np.zeros_like(change)
        if self.norm == L1:
            # Random steps of all, or random multiples of a step where numpy cannot draw from so many, and what is missing then.
            shift = max(0, int(sizes.sum()).bit_length() - DRAWN_BITS)
            parts = sizes >> shift
            gone = self.rng.multivariate_hypergeometric(parts, min(over >> shift, int(parts.sum())), method="marginals") << shift
            room = sizes - gone
            back[order] = gone + np.clip(over - gone.sum() - np.cumsum(room) + room, 0, room)
        else:
            back[order[:over]] = sizes[:over]
        return point - np.sign(change) * back

    def _neighbours(self, point: np.ndarray, distance: int) -> np.ndarray:
        """Points at most so far, int64[n, num_inputs]: one element of each takes what another gives back, or what there is room for."""
        n = self.limits.fit(self.together, 16 * self.network.num_values + 32 * len(point))
        rng, change = self.rng, point - self.x
        room, changed = distance - self._distance(point), np.flatnonzero(change)
        taken = rng.choice(self.movable, n)
        given = taken if room else rng.choice(changed, n)
        up = rng.random(n) < 0.5
        if self.norm == L1:
            # Away from the sample: what comes nearer takes nothing.
            up = np.where(change[taken] == 0, up, change[taken] > 0)
        left = np.where(up, self.hi[taken] - point[taken], point[taken] - self.lo[taken])
        if self.norm == L1:
            most = np.minimum(left, room or np.abs(change)[given])
            # All of it as often as a part.
            amount = np.where(rng.random(n) < 0.5, most, np.minimum(most, 1 + (rng.random(n) * most).astype(np.int64)))
            back = np.zeros(n, np.int64) if room else amount
        else:
            amount, back = left, np.zeros(n, np.int64) if room else np.abs(change)[given]
        points, rows = np.repeat(point[None], n, axis=0), np.arange(n)
        points[rows, given] -= np.sign(change)[given] * back
        points[rows, taken] += np.where(up, amount, -amount)
        return np.clip(points, self.lo, self.hi)
