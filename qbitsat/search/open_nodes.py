"""The open nodes of a search: a stack, newest first, and nodes whose children are still to be made."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..bounds.dual_descent import SIDE_BY_SIDE
from ..bounds.layout import Layout
from ..limits import Limits
from ..options import Options
from .disjuncts import Disjuncts
from .nodes import Nodes
from .proof import Infeasible, Multipliers, Proof

# Children of one node that are made at a time.
TOGETHER = 256
# Bytes that nodes may take while they are worked on. A batch of a large network has fewer, a multiple of those that descend side by side.
WORKED_ON = 5 << 27


class OpenNodes:
    """What is open, and what is counted and written down as it closes; proof: None where nothing is written."""

    def __init__(self, layout: Layout, disjuncts: Disjuncts, options: Options, limits: Limits, proof: Proof | None):
        self.layout, self.disjuncts, self.options, self.limits, self.proof = layout, disjuncts, options, limits, proof
        self.stack: list[Nodes] = []
        # Nodes of one row whose children for these branches, with these ids, are still to be made.
        self.waiting: list[tuple[Nodes, np.ndarray, np.ndarray]] = []
        self.ids = 1
        # Of the nodes that were worked on: all, refuted by multipliers, doubted by integers, left to SAT; the number that is open now, and
        # the share of the tree that is closed.
        self.counts: dict[str, float] = dict.fromkeys(("nodes", "refuted", "doubted", "leaves", "open", "closed"), 0)

    def _push(self, nodes: Nodes, narrowed: bool = False) -> None:
        """Onto the stack what `_ready` leaves of them."""
        nodes = self._ready(nodes, narrowed)
        if len(nodes):
            self.stack.append(nodes)

    def _ready(self, nodes: Nodes, narrowed: bool = False) -> Nodes:
        """The nodes with what their ranges, cut in place, say of their inequalities; impossible ones are closed here."""
        nodes = nodes if narrowed else self._narrowed(nodes)
        nodes.atoms, nodes.slots, filled = self.disjuncts.undecided(nodes.branch, nodes.ranges)
        # A share that lost its partners sets the scale alone.
        nodes.shares[(filled == 1) & (nodes.shares[:, 0] < 1e-3), 0] = 1
        return nodes

    def _pop(self, descent_bytes: int) -> Nodes:
        """Up to options.batch nodes from the top of the stack, fewer of large networks; bytes of a node's descent."""
        taken: list[Nodes] = []
        # Their ranges, those of two children each before and after they are narrowed, the descent's arrays and the points'.
        size = 6 * self.layout.node_bytes + descent_bytes + 32 * self.layout.num_values + 16 * self.disjuncts.most
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

    def new_ids(self, count: int) -> np.ndarray:
        ids = np.arange(self.ids, self.ids + count)
        self.ids += count
        return ids

    def _note_multipliers(self, nodes: Nodes, row: int, *refutation: Any, number: int | None = None) -> None:
        """Slots, shares and multipliers that refute a node, or what has this number and the node's inequalities."""
        atoms = len(self.disjuncts.table[nodes.branch[row]].atoms)
        self._note(int(nodes.id[row]) if number is None else number, Multipliers.of_some(atoms, *refutation))

    def _note(self, number: int, node: Any) -> None:
        if self.proof is not None:
            self.proof.nodes[number] = node
