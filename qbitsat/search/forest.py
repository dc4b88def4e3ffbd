"""Narrower ends of one layer's accumulators, each by a small tree of its own.

A tree covers a root's ranges by cuts of earlier outputs; multipliers bound the accumulator in each leaf, and the largest of these bounds
holds everywhere. All trees of a layer grow side by side, always where an end promises most for a node.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from ..bounds.dual import NO_BOUND, NO_POINT, Dual, Sparse
from ..bounds.dual_descent import SIDE_BY_SIDE, DualDescent
from ..bounds.layout import ROW_BYTES, Block, Inequalities, Layout
from ..bounds.ranges import Ranges
from ..network import forward_all
from . import split

# Leaves that are cut in two together.
TOGETHER = 64
# Nodes of a tree whose relaxed inputs are run: more hardly reach further.
RUN = 8
# The bound of a leaf without any point.
EMPTY = -(1 << 62)
# Multipliers that nobody starts from any more.
NOTHING = np.empty(0, np.float32)


@dataclass(eq=False, slots=True)
class Cell:
    """A node of a small tree: side * acc <= bound where the cuts, (value, lo, hi) each, hold.

    row are multipliers of earlier accumulators that prove an upper bound of scale * side * (acc - bias); None if the root's ranges say as
    much, or nothing is left. Cut at `at` of `value`, -1 for none, it has halves.
    """

    tree: int
    cuts: tuple[tuple[int, int, int], ...]
    bound: int
    multipliers: np.ndarray
    row: Sparse | None = None
    scale: int = 1
    value: int = -1
    at: int = 0
    halves: tuple[Cell, Cell] | None = None


@dataclass(eq=False)
class Grown:
    """One end: side * acc <= bound of a neuron, proved by the tree below root."""

    neuron: int
    side: int
    bound: int
    root: Cell
    leaves: list[tuple[int, int, Cell]] = field(repr=False)


class Forest:
    """Trees for ends of a block: outputs int64[n], side 1 for the upper end of each and -1 for the lower.

    weights float64[n]: what an accumulator's step is worth at each end. The layout has one network, and ranges one row. kept: cells keep
    the multipliers that prove their bounds.
    """

    def __init__(
        self,
        layout: Layout,
        ranges: Ranges,
        block: Block,
        outputs: np.ndarray,
        sides: np.ndarray,
        weights: np.ndarray,
        steps: int,
        kept: bool = True,
    ):
        self.layout, self.sides, self.weights, self.steps, self.kept = layout, sides, weights, steps, kept
        self.part = layout.before(block)
        self.ranges = ranges.before(self.part).take(np.zeros(1, np.int64))
        layout.limits.require(float(ROW_BYTES) * len(outputs) * (block.layer.affine.num_products // block.size))
        # 0 >= -side * (acc - bias): D of that, with a share of 1, is above side * (acc - bias).
        objectives, biases = layout.rows(block, outputs, -sides)
        self.neurons = block.neurons.start + outputs
        self.offsets = sides * biases
        self.known = np.where(sides > 0, ranges.acc_hi[0, self.neurons], -ranges.acc_lo[0, self.neurons])
        # What points reach; an output step of an accumulator, which is as near as anyone needs to know.
        self.reached = np.full(len(outputs), EMPTY)
        self.nodes = np.ones(len(outputs))
        self.enough = np.maximum(1, 1 / block.units[outputs]).astype(np.int64)
        # What trees have cut off, and all that ends are above what points reach; ends count by their weights.
        self.gained = np.zeros(2)
        self.dual = Dual(self.part, objectives)
        # The same with bounds of their own, which change.
        self.stated = Inequalities(objectives.starts, objectives.values, objectives.coefficients, objectives.bounds.copy())
        self.descent = DualDescent(self.part, self.part.blocks, self.stated, self.ranges)

    @property
    def cost(self) -> int:
        """What a node takes, in multiply-adds."""
        return 2 * self.steps * self.part.products

    def grow(self, work: float) -> list[Grown]:
        """The trees after so many multiply-adds, of ends that are narrower than they were."""
        count, nothing = len(self.sides), np.zeros(self.part.num_neurons, np.float32)
        roots = [Cell(k, (), int(self.known[k]), nothing) for k in range(count)]
        self._evaluate(roots, True)
        trees = [
            Grown(int(self.neurons[k]), int(self.sides[k]), root.bound, root, [(-root.bound, 0, root)]) for k, root in enumerate(roots)
        ]
        made = 1
        work -= count * self.cost
        while work > 0:
            self.layout.limits.check()
            gaps = np.array([self._gap(tree, k) for k, tree in enumerate(trees)])
            promise = self.weights * gaps / self.nodes
            chosen = np.argsort(-promise)[:TOGETHER]
            chosen = chosen[promise[chosen] > 0]
            if not len(chosen):
                break
            most = max(1, SIDE_BY_SIDE // (2 * len(chosen)))
            halves = [half for k in chosen.tolist() for cell in self._worst(trees[k], k, most) for half in _halved(cell)]
            self._evaluate(halves, False)
            for half in halves:
                heapq.heappush(trees[half.tree].leaves, (-half.bound, made, half))
                self.nodes[half.tree] += 1
                made += 1
            work -= len(halves) * self.cost
        for tree in trees:
            tree.bound = -tree.leaves[0][0]
        after = np.array([tree.bound for tree in trees])
        self.gained = np.stack([self.known - after, self.known - self.reached]) @ self.weights
        return [tree for k, tree in enumerate(trees) if tree.bound < self.known[k]]

    def _worst(self, tree: Grown, k: int, most: int) -> list[Cell]:
        """At most so many leaves, taken off the tree, all of which its end is to be below."""
        found = list[Cell]()
        while tree.leaves and len(found) < most and self._gap(tree, k) > 0:
            found.append(heapq.heappop(tree.leaves)[2])
        return found

    def _gap(self, tree: Grown, k: int) -> int:
        """How far an end is above what points reach; 0 where nothing is to be gained, or no neuron is left to cut."""
        worst = tree.leaves[0][2]
        gap = worst.bound - int(self.reached[k])
        return 0 if worst.value < 0 or gap < self.enough[k] else gap

    def _evaluate(self, cells: Sequence[Cell], cold: bool) -> None:
        """Bounds of cells, which have those of their parents, and where to cut them; as many together as have room."""
        # Their ranges, those of which something is left, the descent's arrays, and what is proved.
        size = 2 * self.layout.node_bytes + self.descent.bytes + 16 * self.part.num_neurons
        # A descent looks at limits within a node, not from one to the next: at most as many of large networks as a batch of the search.
        for part in self.layout.limits.slices(len(cells), self.cost / TOGETHER, size):
            self._bound(cells[part], cold)

    def _bound(self, cells: Sequence[Cell], cold: bool) -> None:
        ranges, left = self._ranges_of(cells)
        for k in np.flatnonzero(~left).tolist():
            cells[k].bound, cells[k].row, cells[k].value = EMPTY, None, -1
        if not left.all():
            rows = np.flatnonzero(left)
            cells, ranges = [cells[k] for k in rows.tolist()], ranges.take(rows)
        if not cells:
            return
        n = len(cells)
        atoms, shares = np.array([cell.tree for cell in cells], np.int32)[:, None], np.ones((n, 1), np.float32)
        # Below what points reach nobody needs to look.
        self.stated.bounds[:] = self.offsets - self.reached - 1
        self.descent.pose(self.stated)
        start = np.stack([cell.multipliers for cell in cells])
        suggestion = self.descent.run(ranges, atoms, np.full(n, cold), start, shares, self.steps)
        proved = self.dual.prove(ranges, np.arange(n), atoms, suggestion.shares, suggestion.multipliers)
        value, at = split.choose(self.part, ranges, suggestion)
        for k, cell in enumerate(cells):
            cell.multipliers, cell.value, cell.at = suggestion.multipliers[k], int(value[k]), int(at[k])
            scale, most = int(proved.shares[k, 0]), proved.values[k]
            if scale < 1 or most == NO_BOUND:
                continue
            bound = EMPTY if most == NO_POINT else int(most) // scale + int(self.offsets[cell.tree])
            if bound < cell.bound:
                cell.bound, cell.scale, cell.row = bound, scale, Sparse.of(proved.multipliers[k]) if self.kept else None
        few = [k for k, cell in enumerate(cells) if self.nodes[cell.tree] < RUN]
        if few:
            self._reach([cells[k] for k in few], suggestion.x_best[few])

    def _ranges_of(self, cells: Sequence[Cell]) -> tuple[Ranges, np.ndarray]:
        """The ranges of cells, and which of them have something left."""
        ranges = self.ranges.take(np.zeros(len(cells), np.int64))
        first = np.full(len(cells), self.part.num_values - 1)
        for k, cell in enumerate(cells):
            for value, lo, hi in cell.cuts:
                ranges.lo[k, value] = max(int(ranges.lo[k, value]), lo)
                ranges.hi[k, value] = min(int(ranges.hi[k, value]), hi)
                first[k] = min(int(first[k]), value)
        return ranges, ranges.propagate(self.part, changed=first)

    def _reach(self, cells: Sequence[Cell], x: np.ndarray) -> None:
        """Take into account what the network makes of the cells' relaxed inputs."""
        m = self.layout.num_inputs
        inputs = np.clip(np.rint(np.nan_to_num(x)).astype(np.int64), self.ranges.lo[0, :m], self.ranges.hi[0, :m])
        values = forward_all(self.layout.networks[0], inputs, self.layout.limits)
        for k, cell in enumerate(cells):
            read, coefficients, _ = self.stated[cell.tree]
            acc = int(self.offsets[cell.tree]) - int(values[k, read] @ coefficients)
            self.reached[cell.tree] = max(int(self.reached[cell.tree]), acc)


def _halved(cell: Cell) -> tuple[Cell, Cell]:
    """value < at and value >= at, until more is known with the parent's bound and what proves it."""
    low, high = (cell.value, EMPTY, cell.at - 1), (cell.value, cell.at, -EMPTY)
    below, above = (Cell(cell.tree, (*cell.cuts, cut), cell.bound, cell.multipliers, cell.row, cell.scale) for cut in (low, high))
    cell.halves, cell.multipliers = (below, above), NOTHING
    return cell.halves
