"""Checks of a HOLDS by bounds or search: facts about ranges, then a tree whose leaves have no point in which the violation is true.

A node is a set of ranges, a list of inequalities (its atoms) and a list of disjunctions that wait; the root has the whole region,
narrowed by the facts, and what the ranges leave of the violation. Children are made here, out of the parent, so that they cover it
by construction. A child is made when its turn comes, in the order in which the file lists the nodes: parents before children,
children from first to last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby, islice

import numpy as np

from ..limits import Tick
from .formula import Atom, Joint, Plain, conjuncts
from .layout import FAR, Block, Layout, Ranges
from .reading import DISJUNCTION, INFEASIBLE, MULTIPLIERS, REFUTATION, SPLIT, Refused, Tree

MAX_DEPTH = 5000
# Leaves, and facts, whose multipliers are checked together.
BATCH = 64


# What checks SAT leaf number k, given the root's ranges and the leaf's ranges and atoms.
CheckSat = Callable[[int, Ranges, Ranges, list[Atom]], None]


@dataclass
class Node:
    """ranges None: no point is left, whatever the file still says below.

    cut (value, lo, hi) and part are what makes the node out of its parent; they are applied when its turn comes.
    """

    ranges: Ranges | None
    atoms: list[Atom]
    ors: list[Joint]
    depth: int
    cut: tuple[int, int, int] | None = None
    part: Plain | None = None

    def settle(self, layout: Layout) -> None:
        """Apply cut and part, and let every atom cut the ranges of its values."""
        if self.cut is not None and self.ranges is not None:
            self.ranges = layout.cut(self.ranges, *self.cut)
        if self.part is not None:
            atoms, ors = conjuncts(self.part)
            self.atoms, self.ors = self.atoms + atoms, self.ors + ors
        if self.ranges is not None and self.atoms:
            self.ranges = layout.narrowed(self.ranges, [(atom.terms, atom.bound) for atom in self.atoms])


class TreeChecker:
    """Reads a tree's nodes in order; raises `Refused` where one does not prove what it must."""

    def __init__(self, layout: Layout, formula: Plain, tree: Tree, tick: Tick, check_sat: CheckSat):
        self.layout, self.formula, self.tree, self.tick, self.check_sat = layout, formula, tree, tick, check_sat
        self.taken = dict.fromkeys(("splits", "shares", "rows", "sats"), 0)
        self.leaves: list[tuple[int, Ranges, dict[int, int], int, np.ndarray]] = []

    def check(self) -> None:
        self.root = self._after_facts()
        stack = [Node(self.root, [], [], 0, part=self.formula)]
        for number in range(len(self.tree.kinds)):
            self.tick()
            if not stack:
                raise Refused(f"node {number}: stands behind the end of the tree")
            node = stack.pop()
            node.settle(self.layout)
            children = self._children(number, int(self.tree.kinds[number]), node)
            if children and node.depth == MAX_DEPTH:
                raise Refused(f"node {number}: the tree is deeper than {MAX_DEPTH}")
            stack.extend(reversed(children))
            if len(self.leaves) >= BATCH:
                self._check_leaves()
        self._check_leaves()
        if stack:
            raise Refused(f"node {len(self.tree.kinds)}: missing; the tree ends with {len(stack)} open nodes")
        for name, count in self.taken.items():
            if count != self.tree.count(name):
                raise Refused(f"the tree uses {count} {name} of {self.tree.count(name)}")

    # --- nodes ---

    def _children(self, number: int, kind: int, node: Node) -> list[Node]:
        """The node's children, none for a leaf, which is checked."""
        if kind == SPLIT:
            k = self._take("splits", 1, number)
            value, at = int(self.tree.split_value[k]), int(self.tree.split_at[k])
            if not -self.layout.num_neurons <= value < self.layout.num_values:
                last = f"{self.layout.num_values}, or from {-self.layout.num_neurons} for an accumulator"
                raise Refused(f"node {number}: splits value {value}, expected one below {last}")
            cuts = ((value, -FAR, max(at - 1, -FAR)), (value, min(at, FAR), FAR))
            return [Node(node.ranges, node.atoms, node.ors, node.depth + 1, cut) for cut in cuts]
        if kind == DISJUNCTION:
            if not node.ors:
                raise Refused(f"node {number}: a disjunction is split, but none waits")
            return [Node(node.ranges, node.atoms, node.ors[1:], node.depth + 1, part=part) for part in node.ors[0].parts]
        {MULTIPLIERS: self._multipliers, INFEASIBLE: self._infeasible, REFUTATION: self._refutation}[kind](number, node)
        return []

    def _take(self, name: str, count: int, number: int) -> int:
        """The position of the next `count` entries of a list of the file."""
        position = self.taken[name]
        self.taken[name] += count
        if self.taken[name] > self.tree.count(name):
            raise Refused(f"node {number}: the file has only {self.tree.count(name)} {name}")
        return position

    def _infeasible(self, number: int, node: Node) -> None:
        """No point is left, or some atom is out of reach."""
        if node.ranges is None or self._out_of_reach(node.atoms, node.ranges):
            return
        ranges = self.layout.rest(node.ranges)
        if ranges is not None and not self._out_of_reach(node.atoms, ranges):
            raise Refused(f"node {number}: the ranges are not empty and can reach every inequality")

    def _out_of_reach(self, atoms: list[Atom], ranges: Ranges) -> bool:
        return any(self.layout.smallest(a.terms, ranges) > a.bound for a in atoms)

    def _multipliers(self, number: int, node: Node) -> None:
        """sum of share * (bound - left side) is negative at every point, so some atom is false; see `Layout.largest`."""
        start = self._take("shares", len(node.atoms), number)
        shares = [int(share) for share in self.tree.shares[start : start + len(node.atoms)]]
        row = self.tree.rows[self._take("rows", 1, number)]
        if any(share < 0 for share in shares):
            raise Refused(f"node {number}: a share of an inequality is negative")
        if node.ranges is not None:
            objective: dict[int, int] = {}
            for share, atom in zip(shares, node.atoms, strict=True):
                for value, coefficient in atom.terms.items():
                    objective[value] = objective.get(value, 0) - share * coefficient
            constant = sum(share * atom.bound for share, atom in zip(shares, node.atoms, strict=True))
            self.leaves.append((number, node.ranges, objective, constant, row))

    def _check_leaves(self) -> None:
        """The multipliers that wait."""
        leaves, self.leaves = self.leaves, []
        bounds = self.layout.largest([(ranges, objective, row) for _, ranges, objective, _, row in leaves]) if leaves else []
        for (number, _, _, constant, _), bound in zip(leaves, bounds, strict=True):
            if bound is not None and constant + bound >= 0:
                raise Refused(f"node {number}: the multipliers give a bound of {constant + bound}, expected one below 0")

    def _refutation(self, number: int, node: Node) -> None:
        k = self._take("sats", 1, number)
        if node.ranges is not None and self.root is not None:
            try:
                root, ranges = self.layout.rest(self.root), self.layout.rest(node.ranges)
                if root is not None and ranges is not None:
                    self.check_sat(k, root, ranges, node.atoms)
            except Refused as refused:
                raise Refused(f"node {number}: {refused}") from None

    # --- facts ---

    def _after_facts(self) -> Ranges | None:
        """The root's ranges. A fact is side * acc <= bound; each layer's facts are proved in the ranges that earlier layers' leave."""
        ranges: Ranges | None = self.layout.whole
        for number, facts in groupby(range(len(self.tree.fact_neuron)), key=self._block_of):
            if ranges is not None:
                ranges = self._facts_of(facts, self.layout.blocks[number], ranges)
        return ranges

    def _block_of(self, fact: int) -> int:
        neuron = int(self.tree.fact_neuron[fact])
        if not 0 <= neuron < self.layout.num_neurons:
            raise Refused(f"fact {fact}: neuron {neuron}, expected one below {self.layout.num_neurons}")
        return next(n for n, block in enumerate(self.layout.blocks) if neuron < block.neurons.stop)

    def _facts_of(self, facts: Iterator[int], block: Block, ranges: Ranges) -> Ranges | None:
        """What one layer's facts leave of the ranges in which they are proved."""
        tree, new = self.tree, ranges.copy()
        while batch := list(islice(facts, BATCH)):
            self.tick()
            rows = [block.row(int(tree.fact_neuron[k]) - block.neurons.start) for k in batch]
            bounds = self.layout.largest([self._case(k, *row[:2], ranges) for k, row in zip(batch, rows, strict=True)])
            for k, most, (_, _, bias) in zip(batch, bounds, rows, strict=True):
                if most is None:
                    return None
                neuron, side, bound = int(tree.fact_neuron[k]), int(tree.fact_side[k]), int(tree.fact_bound[k])
                proved = most // int(tree.fact_scale[k]) + side * bias
                if proved > bound:
                    raise Refused(f"fact {k}: {side} * acc of neuron {neuron} <= {bound} is claimed, the multipliers prove <= {proved}")
                if side > 0:
                    new.acc_hi[neuron] = min(bound, int(new.acc_hi[neuron]))
                else:
                    new.acc_lo[neuron] = max(-bound, int(new.acc_lo[neuron]))
                new.restless[self.layout.num_inputs + neuron] = True
        return None if new.empty() else self.layout.propagate(new)

    def _case(self, k: int, values: np.ndarray, weights: np.ndarray, ranges: Ranges) -> tuple[Ranges, dict[int, int], np.ndarray]:
        """What the multipliers of fact k have to bound: scale * side times the neuron's row of weights."""
        side, scale = int(self.tree.fact_side[k]), int(self.tree.fact_scale[k])
        if side not in (1, -1) or scale < 1:
            raise Refused(f"fact {k}: side {side} and scale {scale}, expected 1 or -1 and at least 1")
        return ranges, {v: scale * side * w for v, w in zip(values.tolist(), weights.tolist(), strict=True)}, self.tree.fact_rows[k]
