"""Branch and bound over integer ranges: nodes are refuted by integer multipliers, split on a neuron's output, or left to SAT."""

from __future__ import annotations

import math
from collections.abc import Generator

import numpy as np

from ..bounds.dual import Dual, Sparse
from ..bounds.dual_descent import Suggestion
from ..bounds.reduction import Reduction
from ..bounds.tighten import LITTLE, tighten, work_of
from ..limits import Limits
from ..options import Options
from ..properties import Witness
from . import split
from .clauses import Clauses, Cut
from .disjuncts import Disjuncts
from .guest import drained
from .leaves import Inputs
from .nodes import Nodes
from .open_nodes import OpenNodes
from .proof import Disjunction, Infeasible, Proof, Split
from .refine import Pass, Refinement
from .schedule import Scheduler

# Times that a node is held against clauses before its descent, in a proof.
CUTS = 3
# Where tight ranges take long, so many nodes are tried with looser ones before.
TRIAL = 16


class Search(OpenNodes):
    """One query's search. `run` is the whole of it; `start` and `advance` are for who shares the work.

    All of it is about the smaller query of a reduction: what is found are inputs of that one, and so are the numbers of the proof.
    """

    def __init__(self, reduction: Reduction, options: Options, limits: Limits, proof: Proof | None = None):
        layout = reduction.bounds.layout.under(limits)
        super().__init__(layout, Disjuncts(layout, reduction.formula), options, limits, proof)
        self.reduction = reduction
        # The last inputs that were replayed, as a witness of the whole query.
        self.witness: Witness | None = None
        if proof is not None:
            proof.places, proof.pairs = reduction.places, reduction.pairs
        self.dual = Dual(self.layout, self.disjuncts.inequalities)
        self.root = reduction.bounds.take(np.zeros(1, np.int64))
        self.clauses = Clauses(self.layout, self.disjuncts.most, proof is not None)
        # Nodes after which the search starts anew, with tighter ranges; 0: never.
        self.trial = 0
        atoms = len(self.disjuncts.table[0].atoms)
        self.refinement = Refinement(self.layout, options.steps, options.tighten, atoms, proof is not None)

    def start(self) -> None:
        """Put the root on the stack, unless tighter ranges leave nothing of it."""
        steps = self.options.tighten
        # Few nodes are often enough, and cost less than tight ranges of a large network.
        tried = steps and work_of(self.layout, self.root, steps) > LITTLE
        self.trial = TRIAL if tried else 0
        self._begin(LITTLE if tried else None)

    def _tightened(self) -> bool:
        """Whether it was time for tighter ranges, which the search goes on with, from the root on after a trial."""
        worked = self.scheduler.worked
        if self.trial:
            due = worked >= self.trial
            if due:
                self._restart()
        else:
            due = self.may_refine(worked)
            if due:
                self.refine()
        return due

    def may_refine(self, worked: float = math.inf) -> bool:
        """Whether small trees may narrow ranges, once a search has worked on so many nodes."""
        return self.options.refine and self.refinement.due(worked, bool(self.counts["leaves"]))

    def _restart(self) -> None:
        """The root once more, with ranges as tight as they come."""
        self.stack, self.waiting, self.ids, self.trial = [], [], 1, 0
        self.clauses = Clauses(self.layout, self.disjuncts.most, self.proof is not None)
        self.counts["open"] = self.counts["closed"] = 0
        self.root = self.reduction.bounds.take(np.zeros(1, np.int64))
        if self.proof is not None:
            self.proof.nodes.clear()
            self.proof.facts.clear()
        self._begin()

    def _begin(self, work: float | None = None) -> None:
        kept = self.proof is not None
        facts = tighten(self.layout, self.root, self.options.tighten, kept, work) if self.options.tighten else []
        if facts is None:
            self._note(0, Infeasible())
            self.counts["closed"] = 1
            return
        if self.proof is not None:
            self.proof.facts.extend(facts)
        self.schedule()
        self.counts["open"] = 1
        self._push(Nodes.root(self.root.take(np.zeros(1, np.int64)), self.layout.num_neurons, self.disjuncts.most))

    def refine(self) -> None:
        """The root and all open nodes with ranges that small trees have narrowed; where that has no room the search goes on without."""
        if not self.has_room_to_unload():
            self.refinement.able = False
            return
        nodes, found = self.unload(), self.refinement.pass_over(self.root, self.new_ids)
        nodes.id[nodes.id == found.first] = self.refinement.end
        self.go_on_within(found)
        self._push_within_root(nodes)

    def record(self, found: Pass) -> None:
        """The root's ranges, and the proof's nodes, that a pass has found, here or in another process."""
        if self.proof is not None:
            self.proof.go_on(found.first, found.progress["end"], found.notes)
        self.refinement.progress, self.root = found.progress, found.root

    def go_on_within(self, found: Pass) -> None:
        """`record` it, and search within these ranges from now on; who looks for witnesses goes on."""
        self.record(found)
        before = self.scheduler
        self.schedule()
        self.scheduler.annealer, self.scheduler.local, self.scheduler.worked = before.annealer, before.local, before.worked

    def meet_root(self) -> None:
        """Open nodes get the root's ranges, unless there is no room."""
        if self.stack and self.has_room_to_unload():
            self._push_within_root(self.unload())

    def _push_within_root(self, nodes: Nodes) -> None:
        nodes.basis[:] = -1
        nodes.ranges.meet(self.root)
        possible = nodes.ranges.possible()
        self._close(nodes, ~possible)
        nodes = self._carried_forward(nodes.take(np.flatnonzero(possible)), False)
        # In a proof inequalities cut the ranges of a node once; a second time might leave less than the checker has.
        self._push(nodes, self.proof is not None)

    def schedule(self) -> None:
        """Helpers for the root's ranges, which have not worked yet."""
        self.scheduler = Scheduler(self.reduction, self.disjuncts, self.root, self.options, self.limits)

    def run(self) -> Inputs | None:
        """Inputs that make the formula true, to be replayed, or None: there are none. Raises `LimitReached`."""
        self.start()
        return self.advance()

    def advance(self, most: float = math.inf) -> Inputs | None:
        """Steps until inputs are found, nothing is left, or `most` nodes are open."""
        return drained(self.steps(most))

    def steps(self, most: float = math.inf) -> Generator[None, None, Inputs | None]:
        """`advance`, which rests after every step."""
        while self.stack and (self.trial or (self.options.refine and self.refinement.undecided) or sum(map(len, self.stack)) < most):
            self.limits.check()
            if self._tightened():
                continue
            found = self.step()
            if found is not None:
                return found
            yield
        return None

    def refutes_branches(self) -> bool:
        """Whether multipliers alone refute the formula, split into its branches and no further."""
        self.start()
        refuted = self._branches_refuted()
        if refuted or not self.trial:
            return refuted
        self._restart()
        return self._branches_refuted()

    def _branches_refuted(self) -> bool:
        """The same from the open nodes on; where not, the last of them are gone."""
        while self.stack:
            self.limits.check()
            nodes, _ = self._refute(self._pop(self.scheduler.descent.bytes))
            if not all(self.disjuncts.table[branch].waiting for branch in nodes.branch):
                return False
            for row in range(len(nodes)):
                self._split_disjunction(nodes, row)
            self._refill()
        return True

    def step(self) -> Inputs | None:
        """Work on the newest nodes: refute them, or put their children on the stack; inputs if they make the formula true."""
        found = self._step()
        self._refill()
        return found

    def _step(self) -> Inputs | None:
        nodes, suggestion = self._refute(self._pop(self.scheduler.descent.bytes))
        if not len(nodes):
            return None
        for inputs, stage in self.scheduler.witnesses(nodes, suggestion, self.stack):
            if self._confirmed(inputs, stage):
                return inputs
        return self._divide(nodes, suggestion)

    def _confirmed(self, inputs: Inputs, stage: str) -> bool:
        """Whether inputs replay; those that don't are our own mistake, and dropped."""
        self.witness = self.reduction.confirm(inputs, stage, self.counts, self.limits)
        return self.witness is not None

    def _refute(self, nodes: Nodes) -> tuple[Nodes, Suggestion]:
        """Those of the nodes that stay open, and what the descent says of them."""
        # In a proof inequalities cut ranges after each split: not after several at once, which might leave more than the checker has.
        for _ in range((CUTS if self.proof is not None else 1) * self.options.clauses):
            nodes = self._within_clauses(nodes)
        self.counts["nodes"] += len(nodes)
        suggestion = self.scheduler.descend(nodes)
        nodes, suggestion = self._without_refuted(nodes, suggestion, np.flatnonzero(suggestion.dual < 0))
        return self._without_refuted(nodes, suggestion, self.scheduler.solve(nodes, suggestion.dual))

    def _without_refuted(self, nodes: Nodes, suggestion: Suggestion, tried: np.ndarray) -> tuple[Nodes, Suggestion]:
        """All but those of the tried rows that integers refute."""
        closed = self._refuted(nodes, tried) if len(tried) else []
        self.counts["doubted"] += len(tried) - len(closed)
        if not closed:
            return nodes, suggestion
        rest = np.delete(np.arange(len(nodes)), closed)
        return nodes.take(rest), Suggestion(*(part[rest] for part in suggestion))

    def _refuted(self, nodes: Nodes, rows: np.ndarray) -> list[int]:
        """Those of the rows whose multipliers, rounded to integers, prove that no point of their ranges satisfies their branches."""
        proved = self.dual.prove(nodes.ranges, rows, nodes.atoms, nodes.shares, nodes.multipliers)
        closed = [k for k, value in enumerate(proved.values) if value < 0]
        self.counts["refuted"] += len(closed)
        self._count_closed(nodes.weight[rows[closed]])
        for k in closed if self.proof is not None else ():
            self._note_multipliers(nodes, int(rows[k]), nodes.slots[rows[k]], proved.shares[k], Sparse.of(proved.multipliers[k]))
        if self.options.clauses:
            self.clauses.learn(self.dual, self.root, nodes, rows[closed])
        return rows[closed].tolist()

    def _within_clauses(self, nodes: Nodes) -> Nodes:
        """What clauses leave of nodes; a cut is a split, one side of which the clause's multipliers refute."""
        cuts = self.clauses.cut(nodes)
        if not cuts:
            return nodes
        for cut in cuts if self.proof is not None else ():
            self._note_cut(nodes, cut)
        closed = np.array([cut.row for cut in cuts if cut.value < 0], np.int64)
        self.counts["refuted"] += len(closed)
        self._count_closed(nodes.weight[closed])
        changed = np.setdiff1d([cut.row for cut in cuts], closed)
        same = np.delete(np.arange(len(nodes)), np.append(changed, closed))
        first = np.full(len(nodes), self.layout.num_values - 1)
        np.minimum.at(first, [cut.row for cut in cuts], [max(0, cut.value) for cut in cuts])
        inputs = any(0 <= cut.value < self.layout.num_inputs for cut in cuts)
        return Nodes.stack([nodes.take(same), self._ready(self._carried_forward(nodes.take(changed), inputs, first[changed]))])

    def _note_cut(self, nodes: Nodes, cut: Cut) -> None:
        number, (slots, shares, multipliers) = int(nodes.id[cut.row]), self.clauses.reasons[cut.clause]
        if cut.value >= 0:
            rest, refuted = self.new_ids(2).tolist()
            self._note(number, Split(cut.value, cut.at, *((refuted, rest) if cut.above else (rest, refuted))))
            nodes.id[cut.row] = rest
            number = refuted
        self._note_multipliers(nodes, cut.row, slots, shares, multipliers, number=number)

    def _divide(self, nodes: Nodes, suggestion: Suggestion) -> Inputs | None:
        """Children of nodes that stay open: branches of a waiting `Or`, halves of a neuron's range, or the answer of SAT."""
        settled = np.array([bool(self.disjuncts.table[branch].waiting) for branch in nodes.branch])
        value, at = split.choose(self.layout, nodes.ranges, suggestion)
        for row in np.flatnonzero(settled).tolist():
            self._split_disjunction(nodes, row)
        for row in np.flatnonzero(~settled & (value < 0)).tolist():
            if split.input_bits(self.layout, nodes.ranges, row) > (0 if self.refinement.noted else self.options.leaf):
                value[row], at[row] = split.choose_input(self.layout, nodes.ranges, row, suggestion)
                continue
            settled[row] = True
            found = self._leaf(nodes, row)
            if found is not None:
                return found
        rows = np.flatnonzero(~settled)
        if len(rows):
            self._push(self._halves(nodes, rows, value[rows], at[rows], suggestion))
        return None

    def _split_disjunction(self, nodes: Nodes, row: int) -> None:
        """A child for each part of the first waiting `Or`; those that are many are made a few at a time."""
        parts = np.array(self.disjuncts.parts(int(nodes.branch[row])), np.int64)
        ids = self.new_ids(len(parts))
        self._note(int(nodes.id[row]), Disjunction(tuple(ids.tolist())))
        self.counts["open"] += len(parts) - 1
        if not len(parts):
            self.counts["closed"] += float(nodes.weight[row])
            return
        parent = nodes.take(np.array([row]))
        parent.weight = parent.weight / len(parts)
        self.waiting.append((parent, parts, ids))
        self._make_children()

    def _halves(self, nodes: Nodes, rows: np.ndarray, value: np.ndarray, at: np.ndarray, suggestion: Suggestion) -> Nodes:
        """value < at and value >= at, next to each other; the half that holds the relaxed point comes second, to be next."""
        n = len(rows)
        point_above = np.concatenate([suggestion.x, suggestion.y], axis=1)[rows, value] >= at
        children = nodes.take(np.repeat(rows, 2))
        above = np.stack([~point_above, point_above], axis=1).ravel()
        ids = self.new_ids(2 * n)
        ranges, k, value2, at2 = children.ranges, np.arange(2 * n), np.repeat(value, 2), np.repeat(at, 2)
        ranges.lo[k[above], value2[above]] = at2[above]
        ranges.hi[k[~above], value2[~above]] = at2[~above] - 1
        for i in range(n) if self.proof is not None else ():
            low, high = (ids[2 * i + 1], ids[2 * i]) if above[2 * i] else (ids[2 * i], ids[2 * i + 1])
            self._note(int(nodes.id[rows[i]]), Split(int(value[i]), int(at[i]), int(low), int(high)))
        children.id, children.depth, children.weight = ids, children.depth + 1, children.weight / 2
        self.counts["open"] += n
        return self._carried_forward(children, bool((value < self.layout.num_inputs).any()), value2)

    def _leaf(self, nodes: Nodes, row: int) -> Inputs | None:
        """Inputs that SAT finds in a node; None closes it."""
        self.counts["leaves"] += 1
        inputs, refutation = self.scheduler.leaf(nodes, row, self._confirmed)
        if refutation is not None:
            self._note(int(nodes.id[row]), refutation)
        if inputs is None:
            self._count_closed(nodes.weight[[row]])
        return inputs
