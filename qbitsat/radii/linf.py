"""L-infinity: attack and bounds from both sides, then searches from both sides, over boxes that grow and shrink."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..attack import propose
from ..bounds import propagate, simplify
from ..bounds.reduction import Reduction, reduced
from ..limits import Limits
from ..options import Options
from ..properties import Formula, Query
from ..properties.formula import FALSE, without_not
from ..properties.robustness import linf_box
from ..search import Search
from ..search.nearest import Nearest
from .question import Measure, Question

# Seconds of a search's turn, at least, and the share of those that it has had.
TURN, SHARE = 0.2, 0.25
# Distances between which an open one is found by a search from below.
PARTS = 4
# Of the counts of searches, those that are added up.
COUNTS = ("nodes", "refuted", "leaves", "shrunk")


class Linf(Measure):
    """The largest change of an element."""

    def __init__(self, question: Question, farthest: int, options: Options, limits: Limits):
        super().__init__(question, farthest, options, limits)
        self.searches: list[Nearest] = []
        self.violation = without_not(question.within(0).named)

    def measure(self) -> None:
        """Until nothing is open."""
        self.limits.begin("bounds", self.counts)
        self._surround()
        self.limits.begin("search", self.counts)
        self._search()

    def _left(self, eps: int, formula: Formula) -> Reduction | None:
        """What bounds leave open within eps; None if that is nothing, and then eps is proved."""
        query = Query((self.question.network,), (linf_box(self.question.network, self.question.x, eps, self.question.region),), formula)
        bounds = propagate(query, self.limits)
        left = simplify(query, bounds, self.limits)
        if left == FALSE:
            self.lower = max(self.lower, eps)
            return None
        return reduced(query, bounds, left, self.limits) if self.options.bounds else Reduction(query, bounds, left)

    def counts(self) -> dict[str, float]:
        """Counts of all searches."""
        counts: Counter[str] = Counter()
        for search in self.searches:
            counts.update(search.counts)
        return {"searches": len(self.searches), **{name: counts[name] for name in COUNTS}}

    # --- cheap looks ---

    def _surround(self) -> None:
        """Bounds from below and the attack from above, farther and farther, and then in between."""
        eps, unproved = 1, self.nearest
        while eps < self.nearest:
            left = self._left(eps, self.violation)
            if left is not None and not self._attacked(left, eps) and not (unproved > eps and self._refuted(left, eps)):
                unproved = min(unproved, eps)
            eps = min(2 * eps, self.farthest) if eps < self.farthest else self.nearest
        low = self.lower
        while self.nearest - low > 1:
            middle = (low + self.nearest) // 2
            left = self._left(middle, self.violation)
            if left is None or not self._attacked(left, middle):
                low = middle
        high = min(unproved, self.nearest)
        while high - self.lower > 1:
            middle = (self.lower + high) // 2
            left = self._left(middle, self.violation)
            if left is not None and not self._refuted(left, middle):
                high = middle

    def _refuted(self, left: Reduction, eps: int) -> bool:
        """Whether multipliers of the root's branches prove eps."""
        found = Search(left, self.options, self.limits).refutes_branches()
        if found:
            self.lower = max(self.lower, eps)
        return found

    def _attacked(self, left: Reduction, eps: int) -> bool:
        """Whether gradients find a witness within eps."""
        inputs = propose(left.query, left.formula, self.options, self.limits).inputs if self.options.attack else None
        if inputs is None:
            return False
        x = self.question.x
        self.found(np.clip(np.array(left.expand(inputs)[0]), x - eps, x + eps))
        return True

    # --- searches ---

    def _search(self) -> None:
        """Turns of two searches: one within what is not beyond the nearest witness, and one a little beyond what is proved.

        The first closes for good what has no witness nearer than the nearest: the second asks only for what that leaves open. It is far
        smaller, and what it proves stands when time runs out.
        """
        far: Nearest | None = None
        near: Nearest | None = None
        while self.open:
            if near is not None and near.radius >= (self.nearest - 1 if far is None else far.radius):
                far, near = near, None  # its tree is that of a smaller box
            elif far is None and self.point is not None:
                far = self._start(self.nearest - 1, self.violation)
            elif near is None and (far is None or self.lower + 1 < far.radius):
                top = min(self.farthest, 2 * self.lower + 1) if far is None else far.radius
                near = self._start(self.lower + max(1, (top - self.lower) // PARTS), self.violation if far is None else far.open_formula())
            turns = [part for part in (far, near) if part is not None]
            if turns:
                self._turn(min(turns, key=lambda part: part.seconds), turns)
            if near is not None and near.ended:
                near = None

    def _turn(self, mine: Nearest, all_: Sequence[Nearest]) -> None:
        """One search works, and all learn of what it finds."""
        point = mine.work(max(TURN, SHARE * mine.seconds))
        if point is not None:
            self.found(point)
        for part in all_:
            part.shrink(self.nearest - 1)
            if part.ended:
                self.lower = max(self.lower, part.radius)

    def _start(self, eps: int, formula: Formula) -> Nearest | None:
        """A search within eps; None if bounds prove it at once."""
        left = self._left(eps, formula)
        if left is None:
            return None
        options = replace(self.options, certificates=False)
        search = Nearest(left, self.question.x, eps, options, self.limits)
        self.searches.append(search)
        return search
