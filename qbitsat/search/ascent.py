"""The largest value of a linear objective by one search.

The formula holds `objective >= bound`, and every better point raises the bound. What was closed stays closed: ranges and multipliers that
leave no point above a bound leave none above a higher one, and open nodes go on with the ranges that they have, which hold all points
above the bound of the time. So no node is searched twice but for those at hand when a point is found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..bounds import Ranges
from ..bounds.dual import NO_BOUND, NO_POINT, Dual
from ..bounds.dual_descent import Suggestion
from ..bounds.reduction import Reduction
from ..limits import LimitReached, Limits
from ..network import forward_all
from ..options import Options
from ..properties import And, AtMost
from ..properties.margin import margins
from ..properties.replay import Inputs
from .nodes import Nodes
from .tree import Search


class Ascent(Search):
    """The reduction's formula is a conjunction of two: an assumption, and the goal -objective <= -bound, of other terms than any
    inequality of the assumption. What its query asks is looked at by nobody.

    `inputs` are the best ones so far, None for none, and no inputs have an objective above `upper`. What lies below the first bound is of
    no interest.
    """

    def __init__(self, reduction: Reduction, options: Options, limits: Limits):
        assert isinstance(reduction.formula, And)
        self.assumption, goal = reduction.formula.parts
        assert isinstance(goal, AtMost)
        self.goal = goal
        super().__init__(reduction, options, limits)
        self.number = self.disjuncts.numbers[goal]
        self.inputs: Inputs | None = None
        self.upper = int(self._reach(self.root)[0])
        self.counts["raised"] = 0

    def climb(self) -> str:
        """Go on until nothing is above the best inputs; or why not, in a word: what limit ran out."""
        at_hand: Sequence[Nodes] = ()
        try:
            self._begin()
            while self.stack:
                self.limits.check()
                at_hand = [*self.stack, *(parent for parent, _, _ in self.waiting)]
                if self._tightened():
                    continue
                before = [*self.stack], [*self.waiting], self.counts["open"], self.counts["closed"]
                found = self.step()
                if found is not None:
                    # What became of the nodes that the step took is not known: all of them are open again.
                    self.stack, self.waiting, self.counts["open"], self.counts["closed"] = before
                    self._raise(found)
        except LimitReached as limit:
            if at_hand:
                self.upper = min(
                    self.upper, max(self.closed, *(int(self._reach(nodes.ranges.take(slice(None))).max()) for nodes in at_hand))
                )
            return limit.reason
        self.upper = self.closed
        return ""

    @property
    def closed(self) -> int:
        """No point of a closed node has a larger objective; the best inputs have this one."""
        return -self.goal.bound - 1

    def _raise(self, inputs: Inputs) -> None:
        """From now on only points above these inputs count."""
        self.inputs, self.goal = inputs, AtMost(self.goal.terms, -self._values(inputs)[1] - 1)
        self.reduction = replace(self.reduction, formula=And((self.assumption, self.goal)))
        self.disjuncts.restate(self.number, self.goal)
        self.dual = Dual(self.layout, self.disjuncts.inequalities)
        self.schedule()
        self.counts["raised"] += 1
        self._push(self.unload())

    def _confirmed(self, inputs: Inputs, stage: str) -> bool:
        """Whether inputs make the formula true in integers; who asked for the search replays the best in the reference."""
        if self._values(inputs)[0] >= 0:
            return True
        self.counts["unconfirmed"] = self.counts.get("unconfirmed", 0) + 1
        return False

    def _values(self, inputs: Inputs) -> tuple[int, int]:
        """How far inputs are from making the formula false, and the objective."""
        networks = self.reduction.query.networks
        values = [forward_all(n, np.array([x], np.int64), self.limits) for n, x in zip(networks, inputs, strict=True)]
        starts = [v[:, : n.num_inputs] for n, v in zip(networks, values, strict=True)]
        outputs = [v[:, n.outputs] for n, v in zip(networks, values, strict=True)]
        margin, slack = (int(margins(part, starts, outputs, [], self.limits, values)[0][0]) for part in (self.reduction.formula, self.goal))
        return margin, slack - self.goal.bound

    def _refute(self, nodes: Nodes) -> tuple[Nodes, Suggestion]:
        alone = not self.stack and not self.waiting
        nodes, suggestion = super()._refute(nodes)
        if alone and len(nodes):
            self.upper = min(self.upper, max(self.closed, int(self._proved(nodes).max())))
        return nodes, suggestion

    def _reach(self, ranges: Ranges) -> np.ndarray:
        """The largest objective in the ranges of each node: int64[nodes]."""
        values, coefficients, _ = self.disjuncts.inequalities[self.number]
        ends = np.where(coefficients < 0, ranges.hi[:, values], ranges.lo[:, values])
        return -(ends * coefficients).sum(axis=1)

    def _proved(self, nodes: Nodes) -> np.ndarray:
        """An upper bound of the objective in each of the nodes: int64[nodes].

        With a share s of the goal, s (objective - bound) <= D wherever the other inequalities hold; see `Dual.prove`.
        """
        most = self._reach(nodes.ranges)
        proved = self.dual.prove(nodes.ranges, np.arange(len(nodes)), nodes.atoms, nodes.shares, nodes.multipliers)
        for k, slot in zip(*np.nonzero(nodes.atoms == self.number), strict=True):
            share, value = int(proved.shares[k, slot]), proved.values[k]
            if share > 0 and value not in (NO_POINT, NO_BOUND):
                most[k] = min(int(most[k]), max(self.closed, int(value) // share - self.goal.bound))
        return most
