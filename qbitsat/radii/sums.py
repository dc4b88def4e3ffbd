"""L1 and L0: distances that are sums over elements."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..attack import propose
from ..attack.swaps import Swaps
from ..bounds import propagate, simplify
from ..bounds.reduction import Reduction, reduced
from ..limits import Limits
from ..options import Options
from ..properties import And, Query
from ..properties.balls import L1, LINF, distances_of
from ..properties.formula import FALSE, without_not
from ..properties.robustness import movable
from ..search import Search
from .moved import moved
from .question import Measure, Question

# Points that are tried together when a witness is drawn nearer, how often at most, and how often without a gain; and by which shares of
# the way elements go back, the last of which is a step.
TRIED, BATCHES, VAIN = 32, 80, 4
SHARES = (1.0, 0.5, 0.1, 1e-9)
# A search from below goes beyond what is proved by one step, and by such a part of that.
STEP = 16
# The part of all time that goes to nearer witnesses while balls are searched, and runs in vain after which it is half of that.
SWAPS, DOUBTED = 1 / 6, 4
# Before all else there are runs until so many are in vain, for so many seconds at most: small questions have the same witness every time.
FIRST_SECONDS, FIRST_VAIN = 1.0, 2
# Of the counts of searches, those that are added up.
COUNTS = ("nodes", "refuted", "leaves")


class Sums(Measure):
    """The sum of changes, or how many elements change."""

    def __init__(self, question: Question, norm: str, farthest: int, options: Options, limits: Limits):
        super().__init__(question, farthest, options, limits)
        self.norm, self.rng = norm, np.random.default_rng(options.seed)
        self.violation = question.within(0).violation

    def query(self, radius: int) -> Query:
        """Is the class kept in the ball?"""
        return self.question.within(radius, self.norm)

    def found(self, point: np.ndarray) -> None:
        """A witness: elements go back to the sample, all of the way and then parts of it, as long as it stays one."""
        for share in SHARES if self.norm == L1 else SHARES[:1]:
            point = self._drawn(point, share)
        far = int(distances_of(self.norm, self.question.x, point[None])[0])
        if far < self.nearest:
            self.nearest, self.point = far, point

    def _drawn(self, point: np.ndarray, share: float) -> np.ndarray:
        """The witness with as many elements as may be gone that share of the way, at least a step: many at a time, and then few."""
        x, vain = self.question.x, 0
        size = max(1, int(np.count_nonzero(point != x)) // 2)
        for _ in range(BATCHES):
            self.limits.check()
            changed = np.flatnonzero(point != x)
            if len(changed) < 2 or vain == VAIN:
                break
            points = np.repeat(point[None], TRIED, axis=0)
            for row in range(TRIED):
                back = self.rng.choice(changed, min(size, len(changed)), replace=False)
                points[row, back] += np.ceil(share * np.abs(x - point)[back]).astype(np.int64) * np.sign(x - point)[back]
            still = np.flatnonzero(self.question.violated(points, self.limits))
            if len(still):
                point, vain = points[still[0]], 0
            elif size > 1:
                size = max(1, size * 2 // 3)
            else:
                vain += 1
        return point


class Searched(Sums):
    """By searches of balls, each as small as what is proved allows."""

    def __init__(self, question: Question, norm: str, farthest: int, options: Options, limits: Limits):
        super().__init__(question, norm, farthest, options, limits)
        self.own = replace(options, certificates=False)
        self.searches: list[Search] = []
        self.swaps: Swaps | None = None

    def measure(self) -> None:
        """Until nothing is open: from above by the attack, from below by multipliers of the root, and then ball by ball."""
        if not self.open:
            return
        self.moved = moved(self.question.network, self.question.x, self.norm, movable(self.question.region, self.question.network))
        self.formula = without_not(Query((self.moved.network,), (self.moved.box(0),), self.violation).named)
        self.limits.begin("attack", self.counts)
        if self.options.attack:
            whole = self.question.within(self.question.farthest(LINF))
            self.swaps = Swaps(whole, without_not(whole.named), self.question.x, self.norm, self.options, self.limits)
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
        """Witnesses of larger and then smaller changes of all elements, as long as there are some, drawn nearer."""
        eps = self.question.farthest(LINF) if self.options.attack else 0
        while eps:
            query = self.question.within(eps)
            inputs = propose(query, without_not(query.named), self.options, self.limits).inputs
            if inputs is None:
                return
            self.found(np.array(inputs[0]))
            eps //= 2

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
        search.start()
        steps = search.steps()
        try:
            while True:
                next(steps)
                self._swap()
                if self.nearest <= radius:
                    return
        except StopIteration as end:
            if end.value is None:
                self.lower = radius
            else:
                self.found(self.moved.point(np.array(left.expand(end.value)[0])))

    def _swap(self) -> None:
        """Nearer witnesses, for as long as it is their turn."""
        swaps = self.swaps
        if swaps is None or self.point is None:
            return

        def due() -> bool:
            first = swaps.vain < FIRST_VAIN and swaps.seconds < FIRST_SECONDS
            return first or swaps.seconds * (1 + swaps.vain / DOUBTED) < SWAPS * self.limits.seconds()

        while self.open and due():
            point = swaps.run(self.point, self.lower + 1)
            if point is not None and self.question.violated(point[None], self.limits).any():
                self.found(point)
