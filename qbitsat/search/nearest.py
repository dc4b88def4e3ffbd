"""The inputs nearest to a centre, in L-infinity, that make a formula true, by one search over a box that shrinks.

Inputs found at a distance d leave the box of radius d - 1 to be searched. What was closed stays closed, for it had all points of its ranges
in a larger box. Open nodes go on with what the smaller box leaves of their ranges, tightened anew from the root.
"""

from __future__ import annotations

import weakref
from dataclasses import replace

import numpy as np

from ..bounds import Ranges
from ..bounds.reduction import Reduction
from ..bounds.tighten import LITTLE, tighten
from ..limits import Limits
from ..network import forward_all
from ..options import Options
from ..properties import And, Box, Formula, Or
from ..properties.margin import margins
from ..properties.replay import Inputs
from .nodes import Nodes
from .tree import Search


class Nearest(Search):
    """The reduction's query, of one network, has the box of `radius` around centre int64[num_inputs], which its whole query counts."""

    def __init__(self, reduction: Reduction, centre: np.ndarray, radius: int, options: Options, limits: Limits):
        super().__init__(reduction, options, limits)
        self.centre, self.radius = centre, radius
        # Seconds that it has worked, and the time since when it does.
        self.seconds, self.since = 0.0, 0.0
        self.begun = False
        self.counts["shrunk"] = 0
        # The inputs of the reduction that are inputs of the whole query, and what they are there.
        places = reduction.places
        here = np.arange(self.layout.num_inputs)
        there = here if places is None else places.values[here]
        self.inputs_here, self.inputs_there = here[there < len(centre)], there[there < len(centre)]

    def work(self, seconds: float) -> np.ndarray | None:
        """Go on for so long at least: inputs of the whole query within the radius, or None. Without open nodes there are none."""
        self.since = self.limits.seconds()
        try:
            if not self.begun:
                self.start()
                self.begun = True
            while self.stack:
                self.limits.check()
                if self._tightened():
                    continue
                before = [*self.stack], [*self.waiting], self.counts["open"], self.counts["closed"]
                found = self.step()
                if found is not None:
                    # What became of the nodes that the step took is not known: all of them are open again.
                    self.stack, self.waiting, self.counts["open"], self.counts["closed"] = before
                    return self._whole(found)
                if self.limits.seconds() - self.since >= seconds:
                    break
            return None
        finally:
            self.seconds += self.limits.seconds() - self.since

    @property
    def ended(self) -> bool:
        """Whether no inputs within the radius are left."""
        return self.begun and not self.stack

    def shrink(self, radius: int) -> None:
        """From now on only inputs within a smaller radius count."""
        if radius >= self.radius:
            return
        self.radius = radius
        self.counts["shrunk"] += 1
        query, bounds = self.reduction.query, self.reduction.bounds.take(np.zeros(1, np.int64))
        possible = self._cut(bounds).all() and bounds.propagate(self.layout, inputs=True).all()
        if not possible:
            self.stack, self.waiting, self.counts["open"], self.begun = [], [], 0, True
            return
        lo, hi = bounds.lo[0, : self.layout.num_inputs], bounds.hi[0, : self.layout.num_inputs]
        boxes = tuple(Box(lo[part], hi[part]) for part in self.layout.inputs)
        self.reduction = replace(self.reduction, query=replace(query, boxes=boxes), bounds=bounds)
        if self.begun:
            self._narrow(bounds)
        else:
            self.root = bounds.take(np.zeros(1, np.int64))

    def _narrow(self, bounds: Ranges) -> None:
        """Open nodes, and the root, with what these bounds leave of them."""
        self.root.meet(bounds)
        steps = self.options.tighten
        left = self.root.propagate(self.layout, inputs=True).all()
        if not left or (steps and tighten(self.layout, self.root, steps, False, LITTLE if self.trial else None) is None):
            self.stack, self.waiting, self.counts["open"] = [], [], 0
            return
        worked = self.scheduler.worked
        self.schedule()
        self.scheduler.worked = worked
        if self.stack or self.waiting:
            nodes = self.unload()
            nodes.ranges.meet(self.root)
            possible = nodes.ranges.possible()
            self._close(nodes, ~possible)
            self._push(self._carried_forward(nodes.take(np.flatnonzero(possible)), inputs=True))

    def schedule(self) -> None:
        super().schedule()
        mine = weakref.proxy(self)  # the scheduler is its own
        self.scheduler.seconds = lambda: mine.seconds + mine.limits.seconds() - mine.since

    def _cut(self, ranges: Ranges) -> np.ndarray:
        """Cut inputs to the radius, in place; whether something is left."""
        here, at = self.inputs_here, self.centre[self.inputs_there]
        ranges.lo[:, here] = np.maximum(ranges.lo[:, here], at - self.radius)
        ranges.hi[:, here] = np.minimum(ranges.hi[:, here], at + self.radius)
        return ranges.possible()

    def open_formula(self) -> Formula:
        """The branches of the formula that are not closed, over the whole query's values."""
        if not self.begun:
            return self._widened(self.reduction.formula)
        nodes: list[Nodes] = [*self.stack, *(parent for parent, _, _ in self.waiting)]
        branches = {int(b) for part in nodes for b in part.branch} | {int(b) for _, parts, _ in self.waiting for b in parts}
        parts = []
        for number in sorted(branches):
            atoms, waiting = self.disjuncts.table[number]
            parts.append(And((*(self._widened(self.disjuncts.formulas[a]) for a in atoms), *map(self._widened, waiting))))
        return parts[0] if len(parts) == 1 else Or(tuple(parts))

    def _widened(self, formula: Formula) -> Formula:
        if isinstance(formula, And | Or):
            return type(formula)(tuple(map(self._widened, formula.parts)))
        return self.reduction.widened(formula)  # type: ignore[arg-type]

    def _whole(self, inputs: Inputs) -> np.ndarray:
        """The same as inputs of the whole query; those that nothing depends on stay within the radius, too."""
        (x,) = self.reduction.expand(inputs)
        return np.clip(np.array(x, np.int64), self.centre - self.radius, self.centre + self.radius)

    def _confirmed(self, inputs: Inputs, stage: str) -> bool:
        """Whether inputs make the formula true in integers, and are near; who asked replays the last ones in the reference."""
        networks = self.reduction.query.networks
        values = [forward_all(n, np.array([x], np.int64), self.limits) for n, x in zip(networks, inputs, strict=True)]
        starts = [v[:, : n.num_inputs] for n, v in zip(networks, values, strict=True)]
        outputs = [v[:, n.outputs] for n, v in zip(networks, values, strict=True)]
        near = all(((box.lo <= v[0]) & (v[0] <= box.hi)).all() for box, v in zip(self.reduction.query.boxes, starts, strict=True))
        if near and margins(self.reduction.formula, starts, outputs, [], self.limits, values)[0][0] >= 0:
            return True
        self.counts["unconfirmed"] = self.counts.get("unconfirmed", 0) + 1
        return False
