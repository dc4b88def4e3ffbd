"""Branch and bound over integer ranges: nodes are refuted by integer multipliers, split on a neuron's output, or left to SAT."""

from __future__ import annotations

import math
from collections.abc import Generator
from typing import Any

import numpy as np

from ..bounds.dual import Dual, Sparse
from ..bounds.dual_descent import SIDE_BY_SIDE, Suggestion
from ..bounds.reduction import Reduction
from ..bounds.tighten import LITTLE, tighten, work_of
from ..limits import Limits
from ..options import Options
from ..properties import Witness
from . import split
from .disjuncts import Disjuncts
from .guest import drained
from .leaves import Inputs
from .nodes import Nodes
from .proof import Disjunction, Infeasible, Multipliers, Proof, Split
from .refine import Pass, Refinement
from .schedule import Scheduler

# Children of one node that are made at a time.
TOGETHER = 256
# Where tight ranges take long, so many nodes are tried with looser ones before.
TRIAL = 16
# Bytes that nodes may take while they are worked on. A batch of a large network has fewer, a multiple of those that descend side by side.
WORKED_ON = 5 << 27


class Search:
    """One query's search. `run` is the whole of it; `start` and `advance` are for who shares the work.

    All of it is about the smaller query of a reduction: what is found are inputs of that one, and so are the numbers of the proof.
    """

    def __init__(self, reduction: Reduction, options: Options, limits: Limits, proof: Proof | None = None):
        self.reduction, self.options, self.limits, self.proof = reduction, options, limits, proof
        # The last inputs that were replayed, as a witness of the whole query.
        self.witness: Witness | None = None
        if proof is not None:
            proof.places, proof.pairs = reduction.places, reduction.pairs
        self.layout = reduction.bounds.layout.under(limits)
        self.disjuncts = Disjuncts(self.layout, reduction.formula)
        self.dual = Dual(self.layout, self.disjuncts.inequalities)
        self.root = reduction.bounds.take(np.zeros(1, np.int64))
        self.stack: list[Nodes] = []
        # Nodes of one row whose children for these branches, with these ids, are still to be made.
        self.waiting: list[tuple[Nodes, np.ndarray, np.ndarray]] = []
        self.ids = 1
        # Nodes after which the search starts anew, with tighter ranges; 0: never.
        self.trial = 0
        atoms = len(self.disjuncts.table[0].atoms)
        self.refinement = Refinement(self.layout, options.steps, options.tighten, atoms, proof is not None)
        # Of the nodes that were worked on: all, refuted by multipliers, doubted by integers, left to SAT; the number that is open now, and
        # the share of the tree that is closed.
        self.counts: dict[str, float] = dict.fromkeys(("nodes", "refuted", "doubted", "leaves", "open", "closed"), 0)

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
            nodes, _ = self._refute(self._pop())
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
        nodes, suggestion = self._refute(self._pop())
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

    def _pop(self) -> Nodes:
        """Up to options.batch nodes from the top of the stack, fewer of large networks."""
        taken: list[Nodes] = []
        # Their ranges, those of two children each before and after they are narrowed, the descent's arrays and the points'.
        size = 6 * self.layout.node_bytes + self.scheduler.descent.bytes + 32 * self.layout.num_values + 16 * self.disjuncts.most
        room = max(1, WORKED_ON // (SIDE_BY_SIDE * size)) * SIDE_BY_SIDE
        wanted = self.limits.fit(min(self.options.batch, room), size)
        while self.stack and wanted:
            nodes = self.stack.pop()
            rest = max(0, len(nodes) - wanted)
            if rest:
                # Views here would keep all of them in memory for as long as some stay.
                self.stack.append(nodes.take(np.arange(rest)).kept())
            taken.insert(0, nodes.take(slice(rest, None)))
            wanted -= len(taken[0])
        return Nodes.stack(taken)

    def _refuted(self, nodes: Nodes, rows: np.ndarray) -> list[int]:
        """Those of the rows whose multipliers, rounded to integers, prove that no point of their ranges satisfies their branches."""
        proved = self.dual.prove(nodes.ranges, rows, nodes.atoms, nodes.shares, nodes.multipliers)
        closed = [k for k, value in enumerate(proved.values) if value < 0]
        self.counts["refuted"] += len(closed)
        self._count_closed(nodes.weight[rows[closed]])
        for k in closed if self.proof is not None else ():
            row = int(rows[k])
            shares = np.zeros(len(self.disjuncts.table[nodes.branch[row]].atoms), object)
            for slot, share in zip(nodes.slots[row].tolist(), proved.shares[k].tolist(), strict=True):
                if slot >= 0:
                    shares[slot] = share
            self._note(int(nodes.id[row]), Multipliers(shares, Sparse.of(proved.multipliers[k])))
        return rows[closed].tolist()

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

    def _make_children(self) -> None:
        """The next of the nodes that wait to be made."""
        parent, parts, ids = self.waiting.pop()
        n = self.limits.fit(min(len(parts), max(TOGETHER, self.options.batch)), 4 * self.layout.node_bytes + 8 * self.layout.num_neurons)
        if n < len(parts):
            self.waiting.append((parent, parts[:-n], ids[:-n]))
        children = parent.take(np.zeros(n, np.int64))
        children.branch, children.id = parts[-n:], ids[-n:]
        children.cold, children.anchor = np.ones(n, bool), np.full(n, -1, np.int32)
        children.shares, children.basis = np.ones_like(children.shares), np.full(n, -1, np.int64)
        self._push(children)

    def _refill(self) -> None:
        """The stack is empty only if no node is left."""
        while self.waiting and not self.stack:
            self._make_children()

    def unloaded_bytes(self) -> int:
        """Memory of all open nodes together, where they are not kept as differences."""
        count = sum(map(len, self.stack)) + sum(len(parts) for _, parts, _ in self.waiting)
        return count * (self.layout.node_bytes + 4 * self.layout.num_neurons)

    def has_room_to_unload(self) -> bool:
        """Whether all open nodes together, both halves of them, and a copy on its way to another process have room beside the others."""
        return self.limits.has_room(3 * self.unloaded_bytes())

    def unload(self) -> Nodes:
        """All open nodes, taken off the stack."""
        while self.waiting:
            self._make_children()
        self.limits.require(self.unloaded_bytes())
        nodes, self.stack = Nodes.stack(self.stack), []
        return nodes

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

    def _push(self, nodes: Nodes, narrowed: bool = False) -> None:
        """Onto the stack with what their ranges, cut in place, say of their inequalities; impossible nodes are closed here."""
        nodes = nodes if narrowed else self._narrowed(nodes)
        if not len(nodes):
            return
        nodes.atoms, nodes.slots, filled = self.disjuncts.undecided(nodes.branch, nodes.ranges)
        # A share that lost its partners sets the scale alone.
        nodes.shares[(filled == 1) & (nodes.shares[:, 0] < 1e-3), 0] = 1
        self.stack.append(nodes)

    def _narrowed(self, nodes: Nodes) -> Nodes:
        """The nodes that are possible, their ranges cut by each of their inequalities in turn and then carried forward."""
        possible, inputs = self.disjuncts.narrow(nodes.branch, nodes.ranges), self.disjuncts.name_inputs(nodes.branch)
        self._close(nodes, ~possible)
        nodes = nodes if possible.all() else nodes.take(np.flatnonzero(possible))
        return self._carried_forward(nodes, inputs, np.full(len(nodes), self.disjuncts.first_named))

    def _carried_forward(self, nodes: Nodes, inputs: bool, changed: np.ndarray | None = None) -> Nodes:
        """The nodes with something left after one propagation: from the inputs on if one of those was cut, else from the value that was."""
        left = nodes.ranges.propagate(self.layout, inputs, changed)
        self._close(nodes, ~left)
        return nodes if left.all() else nodes.take(np.flatnonzero(left))

    def _close(self, nodes: Nodes, infeasible: np.ndarray) -> None:
        """Nodes, bool[nodes], in which nothing is left."""
        for number in nodes.id[infeasible].tolist():
            self._note(number, Infeasible())
        self._count_closed(nodes.weight[infeasible])

    def _count_closed(self, weight: np.ndarray) -> None:
        self.counts["open"] -= len(weight)
        self.counts["closed"] += float(weight.sum())

    def _leaf(self, nodes: Nodes, row: int) -> Inputs | None:
        """Inputs that SAT finds in a node; None closes it."""
        self.counts["leaves"] += 1
        inputs, refutation = self.scheduler.leaf(nodes, row, self._confirmed)
        if refutation is not None:
            self._note(int(nodes.id[row]), refutation)
        if inputs is None:
            self._count_closed(nodes.weight[[row]])
        return inputs

    def new_ids(self, count: int) -> np.ndarray:
        ids = np.arange(self.ids, self.ids + count)
        self.ids += count
        return ids

    def _note(self, number: int, node: Any) -> None:
        if self.proof is not None:
            self.proof.nodes[number] = node
