"""L1 and L0: distances that are sums over elements."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ..attack import propose
from ..bounds import propagate, simplify
from ..bounds.reduction import Reduction, reduced
from ..limits import Limits
from ..properties import And, AtMost, Query
from ..properties.balls import distance, distances_of, surrounding
from ..properties.formula import FALSE, without_not
from ..search import Search
from .moved import moved
from .question import Measure, Question

# Points that are tried together when a witness is drawn nearer, and how often without a gain.
TRIED, VAIN = 64, 4
# A search from below goes beyond what is proved by one step, and by such a part of that.
STEP = 16
# Of the counts of searches, those that are added up.
COUNTS = ("nodes", "refuted", "leaves")


class Sums(Measure):
    """The sum of changes, or how many elements change."""

    def __init__(self, question: Question, norm: str, farthest: int, options: Any, limits: Limits):
        super().__init__(question, farthest, options, limits)
        self.norm, self.rng = norm, np.random.default_rng(options.seed)
        self.distance = distance(question.network, question.x, norm)
        self.violation = question.within(0).violation

    def query(self, radius: int) -> Query:
        """Is the class kept in the ball?"""
        network, terms = self.distance
        box = surrounding(network, self.question.x, self.norm, radius)
        return Query((network,), (box,), And((self.violation, AtMost(terms, radius))))

    def found(self, point: np.ndarray) -> None:
        """A witness: elements go back to the sample as long as it stays one, many at a time and then few."""
        x = self.question.x
        changed = np.flatnonzero(point != x)
        size, vain = max(1, len(changed) // 2), 0
        while len(changed) > 1 and vain < VAIN:
            self.limits.check()
            points = np.repeat(point[None], TRIED, axis=0)
            for row in range(TRIED):
                back = self.rng.choice(changed, min(size, len(changed)), replace=False)
                points[row, back] = x[back]
            still = np.flatnonzero(self.question.violated(points, self.limits))
            if len(still):
                point = points[still[0]]
                changed = np.flatnonzero(point != x)
            elif size > 1:
                size = max(1, size * 2 // 3)
            else:
                vain += 1
        point = self._stepped_back(point)
        far = int(distances_of(self.norm, x, point[None])[0])
        if far < self.nearest:
            self.nearest, self.point = far, point

    def _stepped_back(self, point: np.ndarray) -> np.ndarray:
        """Single steps towards the sample, as long as it stays a witness."""
        x = self.question.x
        while True:
            self.limits.check()
            changed = np.flatnonzero(point != x)
            points = np.repeat(point[None], len(changed), axis=0)
            points[np.arange(len(changed)), changed] -= np.sign(point - x)[changed]
            still = np.flatnonzero(self.question.violated(points, self.limits)) if len(changed) > 1 else changed[:0]
            if not len(still):
                return point
            point = points[still[0]]


class Searched(Sums):
    """By searches of balls, each as small as what is proved allows."""

    def __init__(self, question: Question, norm: str, farthest: int, options: Any, limits: Limits):
        super().__init__(question, norm, farthest, options, limits)
        self.own = replace(options, certificates=False)
        self.searches: list[Search] = []

    def measure(self) -> None:
        """Until nothing is open: from above by the attack, from below by multipliers of the root, and then ball by ball."""
        if not self.open:
            return
        self.moved = moved(self.question.network, self.question.x, self.norm)
        self.formula = without_not(Query((self.moved.network,), (self.moved.box(0),), self.violation).named)
        self.limits.begin("attack", self.counts)
        self._attack()
        self.limits.begin("bounds", self.counts)
        high = self.nearest
        while high - self.lower > 1:
            middle = min(2 * self.lower + 1, (self.lower + high) // 2)
            left = self._left(middle)
            if left is None or Search(left, self.own, self.limits).refutes_branches():
                self.lower = middle
            else:
                high = middle
        self.limits.begin("search", self.counts)
        while self.open:
            self._search(min(self.nearest - 1, self.lower + 1 + self.lower // STEP))

    def counts(self) -> dict[str, float]:
        """Counts of all searches."""
        return {"searches": len(self.searches), **{name: sum(s.counts[name] for s in self.searches) for name in COUNTS}}

    def _attack(self) -> None:
        """Witnesses anywhere, drawn nearer."""
        eps, farthest = 1, self.question.farthest("linf")
        while self.options.attack and eps <= farthest:
            query = self.question.within(eps)
            inputs = propose(query, without_not(query.named), self.options, self.limits)
            if inputs is not None:
                self.found(np.array(inputs[0]))
            eps = min(2 * eps, farthest) if eps < farthest else farthest + 1

    def _left(self, radius: int) -> Reduction | None:
        """What bounds leave open in a ball; None if that is nothing."""
        query = Query((self.moved.network,), (self.moved.box(radius),), And((self.formula, self.moved.ball(radius))))
        bounds = propagate(query, self.limits)
        if not self.moved.tighten(bounds, radius):
            return None
        left = simplify(query, bounds, self.limits)
        return None if left == FALSE else reduced(query, bounds, left, self.limits)

    def _search(self, radius: int) -> None:
        left = self._left(radius)
        if left is None:
            self.lower = radius
            return
        search = Search(left, self.own, self.limits)
        self.searches.append(search)
        inputs = search.run()
        if inputs is None:
            self.lower = radius
        else:
            self.found(self.moved.point(np.array(left.expand(inputs)[0])))
