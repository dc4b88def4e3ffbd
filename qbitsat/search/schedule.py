"""Whose turn it is in a search, and for how long.

Every node gets a dual descent. Who costs more comes later: linear programs after LinearPrograms' own number of nodes, annealing after
ANNEAL_AFTER and for a share of the time (local search, in its place, from the start), SAT where nothing is left to split. What any of
them says is checked by who asks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from ..attack.annealing import Annealer, Start
from ..attack.local import LocalSearch
from ..attack.rounding import RoundingHeuristic
from ..bounds import Ranges
from ..bounds.dual_descent import DualDescent, Suggestion
from ..bounds.reduction import Reduction
from ..limits import LimitReached, Limits
from ..options import Options
from .disjuncts import Disjuncts
from .leaves import Inputs, Leaf
from .linear_programs import LinearPrograms
from .nodes import Nodes
from .proof import Infeasible, Refutation

# Nodes before the first walk, and the share of all time that walks may take: most that holds is proved before, and much that stays open is
# violated.
ANNEAL_AFTER, ANNEAL_SHARE = 1000, 1 / 3
# Walks have at most so many times the share of a search's nodes that are open: a tree that closes what it opens is likely to be proved.
OPEN_SHARE = 10
# Local search has its share from the first open nodes on, of so many seconds, and less after these: most of what it finds it finds at once.
LOCAL_SHARE, LOCAL_SECONDS, LATER_SHARE = 1 / 3, 3.0, 1 / 10
# The reason where nothing but unconfirmed inputs is left of a node.
UNCONFIRMED = "inputs of the search do not replay"


class Scheduler:
    """The helpers of one search; root: its ranges, one row."""

    def __init__(self, reduction: Reduction, disjuncts: Disjuncts, root: Ranges, options: Options, limits: Limits):
        layout, inequalities, query, formula = disjuncts.layout, disjuncts.inequalities, reduction.query, reduction.formula
        self.reduction, self.layout, self.disjuncts, self.root = reduction, layout, disjuncts, root
        self.options, self.limits = options, limits
        # One output step's share of an accumulator, for every neuron.
        self.unit = np.concatenate([block.units for block in layout.blocks])
        # Neurons that are results, or that the formula names.
        self.shown = layout.is_result | disjuncts.named
        self.descent = DualDescent(layout, layout.blocks, inequalities, root)
        self.rounding = RoundingHeuristic(query, layout, formula)
        self.lp = LinearPrograms(layout, disjuncts, self.descent, root, self.unit, options, limits)
        self.annealer = Annealer(query, formula, inequalities, self.descent, root, options, limits)
        # Where walks cannot be; not for who leaves them to another process.
        self.local = None if self.annealer.able else LocalSearch(layout, inequalities, root, options, limits, reduction.near)
        # Nodes that were worked on in this process.
        self.worked = 0
        # Seconds that the search has had.
        self.seconds = limits.seconds
        # For every branch the relaxed inputs of its newest node.
        self.relaxed: dict[int, np.ndarray] = {}

    def descend(self, nodes: Nodes) -> Suggestion:
        """What a descent says of nodes; their multipliers and shares become those that it ends with."""
        self.worked += len(nodes)
        self._set_anchors(nodes)
        unanchored = nodes.cold & (nodes.atoms[:, 0] < 0) & (nodes.anchor < 0)
        arrays = nodes.atoms, nodes.cold & ~unanchored, nodes.multipliers, nodes.shares
        polish = 0 if self.lp.begun(self.worked) else self.options.polish
        suggestion = self.descent.run(nodes.ranges, *arrays, self.options.steps, nodes.anchor, polish)
        nodes.multipliers, nodes.shares, nodes.cold = suggestion.multipliers, suggestion.shares, unanchored
        return suggestion

    def solve(self, nodes: Nodes, dual: np.ndarray) -> np.ndarray:
        """Those of the nodes, with these dual values so far, that linear programs find empty; none before it is their turn."""
        return self.lp.solve(nodes, dual) if self.lp.begun(self.worked) else np.empty(0, np.int64)

    def witnesses(self, nodes: Nodes, suggestion: Suggestion, others: Sequence[Nodes]) -> Iterator[tuple[Inputs, str]]:
        """Inputs that look as if they made the formula true, and who found them; others: further open nodes."""
        found = self.rounding.propose(suggestion) if self.options.rounding else None
        if found is not None:
            yield found, "relaxed points"
        found = self._anneal(nodes, suggestion, others)
        if found is not None:
            yield found, "annealing"

    def leaf(
        self, nodes: Nodes, row: int, confirmed: Callable[[Inputs, str], bool]
    ) -> tuple[Inputs | None, Refutation | Infeasible | None]:
        """Inputs that SAT finds in a node, if they are confirmed; else there are none, with a refutation if certificates are asked for."""
        formulas = [self.disjuncts.formulas[atom] for atom in self.disjuncts.table[nodes.branch[row]].atoms]
        leaf = Leaf(self.reduction, self.layout, self.root, nodes.ranges, row, formulas)
        result, inputs, refutation = leaf.solve(self.options, self.limits)
        if inputs is not None and not confirmed(inputs, "leaf"):
            # The branch over the whole boxes: whatever was wrong with the node's ranges, it is not in there.
            result, inputs = leaf.solve_without_ranges(self.options, self.limits)
            if inputs is not None and not confirmed(inputs, "leaf without ranges"):
                raise LimitReached(UNCONFIRMED)
            if inputs is None and self.options.certificates:
                raise LimitReached(UNCONFIRMED)  # the node itself has no proof
        if result.satisfiable is None:
            raise LimitReached(result.reason)
        return inputs, refutation

    def _set_anchors(self, nodes: Nodes) -> None:
        """Give cold nodes whose ranges imply all their inequalities a cut output to refute, whose multiplier then stays."""
        for row in np.flatnonzero(nodes.cold & (nodes.atoms[:, 0] < 0)).tolist():
            raised = nodes.ranges.acc_lo[row] > self.root.acc_lo[0]
            cut = np.flatnonzero(self.shown & (raised | (nodes.ranges.acc_hi[row] < self.root.acc_hi[0])))
            if len(cut):
                anchor = int(cut[0])
                nodes.anchor[row] = anchor
                nodes.multipliers[row, anchor] = self.unit[anchor] if raised[anchor] else -self.unit[anchor]

    def _anneal(self, nodes: Nodes, suggestion: Suggestion, others: Sequence[Nodes]) -> Inputs | None:
        """Local search, or walks of a search that has gone on for long; as long as they have taken less than their share of the time."""
        if not self.options.anneal or self.worked < (0 if self.local else ANNEAL_AFTER):
            return None
        for row, branch in enumerate(nodes.branch.tolist()):
            self.relaxed[branch] = suggestion.x[row].copy()
        parts, rng = [*others, nodes], self.annealer.rng
        ends = np.cumsum([len(part) for part in parts])

        def draw() -> Start:
            """One of the newest nodes, or an open one that is likely old, as these are of more branches; relaxed inputs, or the middle."""
            newest = rng.random() < 0.5
            row = int(ends[-1] - 1 - rng.integers(len(nodes)) if newest else ends[-1] * rng.random() ** 2)
            k = int(np.searchsorted(ends, row, side="right"))
            at = row - int(ends[k]) + len(parts[k])
            branch, ranges = int(parts[k].branch[at]), parts[k].ranges.take(np.array([at]))
            atoms = () if self.disjuncts.table[branch].waiting else self.disjuncts.table[branch].atoms
            if newest:
                return Start(branch, atoms, ranges, suggestion.x[at].copy())
            middle = (ranges.lo + ranges.hi)[0, : self.layout.num_inputs] / 2
            return Start(branch, atoms, ranges, self.relaxed.get(branch, middle) if rng.random() < 0.5 else middle)

        if self.local:
            seconds = self.seconds()
            return self.local.search(draw, LATER_SHARE * seconds + (LOCAL_SHARE - LATER_SHARE) * min(seconds, LOCAL_SECONDS))
        share = min(ANNEAL_SHARE, OPEN_SHARE * int(ends[-1]) / self.worked)
        return self.annealer.anneal(draw, share * self.seconds())
