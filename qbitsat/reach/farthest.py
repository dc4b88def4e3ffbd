"""The farthest of many sums over values: bounds -> attack -> one query for all that is left, a bit less wide each time.

A width is decided by the farthest sum. So those whose bounds lie within what another one is known to reach are never searched.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from ..attack.climb import climb
from ..bounds import Ranges
from ..bounds.layout import Layout
from ..bounds.reduction import reduced
from ..limits import LimitReached
from ..network import Network
from ..optimize import maximize
from ..properties import And, AtMost, Box, Formula, Or, Query, Ref, at_least
from ..properties.formula import TRUE
from ..verify import UNKNOWN, VIOLATED, verify
from .extremes import Budget, width

# Ends that are attacked before all others; those whose optima stay open, after which no more are looked for; and terms of one query.
FIRST, OPEN, MOST_TERMS = 4, 4, 1 << 18

# A sum by its number, and one of its ends: 1 is the upper one.
End = tuple[int, int]
Terms = tuple[tuple[int, Ref], ...]
Inputs = tuple[int, ...]


class Reached(NamedTuple):
    """`inputs` drive a sum to `value`: end is its number, and 1 for far up, -1 for far down."""

    end: End
    value: int
    inputs: Inputs


class Farthest(ABC):
    """Sums over the values of a network for inputs in a box; network is its first layers, up to the one whose sums they are.

    lo, hi        int64[sums], which no input leaves
    least, most   int64[sums], what inputs are known to give
    reason        why something is open, or ""
    """

    def __init__(self, network: Network, box: Box, tight: Ranges, budget: Budget, lo: np.ndarray, hi: np.ndarray):
        self.network, self.box, self.tight, self.budget, self.reason = network, box, tight, budget, ""
        self.lo, self.hi = lo, hi
        self.points = [tuple(((box.lo + box.hi) // 2).tolist())]
        self.least = self.values(self.points[0])
        self.most = self.least.copy()
        # The points that give them, by side.
        self.at = {side: np.zeros(len(lo), np.int64) for side in (-1, 1)}

    @abstractmethod
    def values(self, inputs: Inputs) -> np.ndarray:
        """All of the sums, int64[sums]."""

    @abstractmethod
    def terms(self, i: int) -> tuple[Terms, int]:
        """A sum as terms and a constant."""

    def inputs(self, end: End) -> Inputs:
        """Those that give the farthest known."""
        return self.points[int(self.at[end[1]][end[0]])]

    @property
    def needed(self) -> int:
        return width(int(self.least.min()), int(self.most.max()))

    @property
    def enough(self) -> int:
        return width(int(self.lo.min()), int(self.hi.max()))

    def best(self, side: int) -> Reached:
        """The farthest known of all."""
        i = int(self.most.argmax() if side > 0 else self.least.argmin())
        return Reached((i, side), int((self.most if side > 0 else self.least)[i]), self.inputs((i, side)))

    @property
    def widest(self) -> Reached:
        """What needs the width."""
        return max(map(self.best, (-1, 1)), key=lambda found: (width(found.value, found.value), found.end[1] * found.value))

    def note(self, inputs: Inputs) -> None:
        """Keep inputs that drive some sum farther than what is known."""
        sums, number = self.values(inputs), len(self.points)
        above, below = sums > self.most, sums < self.least
        if above.any() or below.any():
            self.points.append(inputs)
            self.most, self.least = np.maximum(self.most, sums), np.minimum(self.least, sums)
            self.at[1][above] = self.at[-1][below] = number

    def decide(self, exact: bool) -> None:
        """The width of all sums, and then their range if it is asked for. Raises `LimitReached`."""
        for end in self._beyond_bits(self.enough - 1)[:FIRST] if self.needed < self.enough else ():
            self._attack(end)
        while self.needed < self.enough and self.rule_out(*_ends_of(self.enough - 1)):
            pass
        for side in (-1, 1) if exact else ():
            self._climb_to_the_end(side)

    def settle(self) -> None:
        """The range of each sum. Raises `LimitReached`."""
        for i in range(len(self.lo)):
            for side in (-1, 1):
                if (self.lo[i] < self.least[i]) if side < 0 else (self.hi[i] > self.most[i]):
                    self._optimum((i, side))

    def beyond(self, lo: np.ndarray | int, hi: np.ndarray | int) -> list[End]:
        """The ends that may leave [lo, hi], those of all sums or of each, the farthest first."""
        above, below = self.hi - hi, lo - self.lo
        ends = [(int(above[i]), (i, 1)) for i in np.flatnonzero(above > 0).tolist()]
        ends += [(int(below[i]), (i, -1)) for i in np.flatnonzero(below > 0).tolist()]
        return [end for _, end in sorted(ends, key=lambda pair: -pair[0])]

    def _beyond_bits(self, bits: int) -> list[End]:
        return self.beyond(*_ends_of(bits))

    def rule_out(self, lo: np.ndarray | int, hi: np.ndarray | int) -> bool:
        """Whether no sum leaves [lo, hi], which is proved then; if not, the best point says so or the reason is kept."""
        lo, hi = np.broadcast_to(lo, self.lo.shape), np.broadcast_to(hi, self.hi.shape)
        open_ones = False
        for part in self._portions(self.beyond(lo, hi)):
            atoms = []
            for (i, side), (terms, constant) in part:
                bound = side * ((int(hi[i]) + 1 if side > 0 else int(lo[i]) - 1) - constant)
                atoms.append(at_least(tuple((side * c, ref) for c, ref in terms), bound))
            verdict = verify(self._query(Or(tuple(atoms))), **self.budget.each())
            if verdict.verdict == VIOLATED and verdict.witness is not None:
                self.note(verdict.witness.inputs[0])
                return False
            if verdict.verdict == UNKNOWN:
                self.reason, open_ones = verdict.reason, True
                continue
            for (i, side), _ in part:
                if side > 0:
                    self.hi[i] = min(int(self.hi[i]), int(hi[i]))
                else:
                    self.lo[i] = max(int(self.lo[i]), int(lo[i]))
        return not open_ones

    def _portions(self, ends: list[End]) -> Iterator[list[tuple[End, tuple[Terms, int]]]]:
        """Ends with the terms of their sums, few terms together."""
        part: list[tuple[End, tuple[Terms, int]]] = []
        size = 0
        for end in ends:
            terms = self.terms(end[0])
            if part and size + len(terms[0]) > MOST_TERMS:
                yield part
                part, size = [], 0
            part.append((end, terms))
            size += len(terms[0])
        if part:
            yield part

    def _query(self, violation: Formula) -> Query:
        return Query((self.network,), (self.box,), violation, limits=self.budget.limits)

    def _attack(self, end: End) -> None:
        """A far point of one end, by gradients."""
        terms, _ = self.terms(end[0])
        limits, goal = self.budget.one(), AtMost(tuple((-end[1] * c, ref) for c, ref in terms), 0)
        query = self._query(And((TRUE, goal)))
        named = query.named
        assert isinstance(named, And)
        left = reduced(query, prefix_bounds(self.tight, self.network), named, limits)
        assert isinstance(left.formula, And)
        assert isinstance(left.formula.parts[1], AtMost)
        try:
            point = climb(left.query, TRUE, left.formula.parts[1], self.budget.options, limits)
        except LimitReached:
            self.budget.limits.check()
            return
        if point is not None:
            self.note(left.expand(point.inputs)[0])

    def _climb_to_the_end(self, side: int) -> None:
        """Optima of the farthest sums, until no other one has bounds beyond the best."""
        skipped = np.zeros(len(self.lo), bool)
        while skipped.sum() < OPEN:
            ends = self.hi if side > 0 else -self.lo
            i = int(np.where(skipped, np.iinfo(np.int64).min, ends).argmax())
            if skipped[i] or int(ends[i]) <= side * self.best(side).value:
                break
            skipped[i] = not self._optimum((i, side))

    def _optimum(self, end: End) -> bool:
        """Whether one end is found, exactly; what was proved and found of it is kept."""
        i, side = end
        terms, constant = self.terms(i)
        found = maximize(self._query(And(())), tuple((side * c, ref) for c, ref in terms), **self.budget.each())
        if found.upper is not None and side > 0:
            self.hi[i] = min(int(self.hi[i]), found.upper + constant)
        elif found.upper is not None:
            self.lo[i] = max(int(self.lo[i]), constant - found.upper)
        if found.witness is not None:
            self.note(found.witness.inputs[0])
        if not found.optimal:
            self.reason = found.reason
        return found.optimal


def _ends_of(bits: int) -> tuple[int, int]:
    """What so many bits of two's complement hold."""
    return -(1 << (bits - 1)), (1 << (bits - 1)) - 1


def prefix_bounds(ranges: Ranges, network: Network) -> Ranges:
    """Ranges of a network's values as those of its first layers, a network of their own."""
    n, inputs = network.num_values, network.num_inputs
    lo, hi, acc_lo, acc_hi = ranges.arrays
    return Ranges(lo[:, :n], hi[:, :n], acc_lo[:, : n - inputs], acc_hi[:, : n - inputs], Layout([network]))
