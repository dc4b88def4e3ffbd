"""Narrower ranges of a search's root by small trees, where it does not end soon.

In deep dense networks most of what relaxations lose comes of ranges: each layer's, somewhat too wide, leave the next one's far too wide.
So a search that stays open has small trees (`forest`) narrow the ends of the layers in turn, and all open nodes with them; and again,
each time for longer.

In a proof, an end is a split of the root at an accumulator: the side beyond the end is the small tree, and the other one goes on. What was
closed before has narrower ranges then, in which its multipliers prove no less.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from ..bounds.dual import Sparse
from ..bounds.layout import ROW_BYTES, Block, Layout
from ..bounds.ranges import Ranges
from ..bounds.tighten import KEPT, deep_blocks, prove_ends
from ..limits import LimitReached
from ..network import Patches
from .forest import Cell, Forest, Grown
from .proof import Infeasible, Multipliers, Node, Split

# Nodes of the tree before the first pass; before each of the others twice as many as before the last.
NODES = 100
# A pass takes so many times their work, half of what is left of it for each layer.
GREATER = 6
# A pass whose trees cut off no more than this share of what ends are above points, in any layer, was the last.
FRUITLESS = 0.1
# Ends that a proof has at most, as each is a level of it; the checker's limit is 5000.
MOST_ENDS = 3000
# Ends that are worth less than this share of an accumulator's step have no tree.
WORTH = 1e-3
# Trees of a layer at most, of the ends that are worth most.
TREES = 1024
# Passes before nodes are shared: what others do meanwhile, within wider ranges, is lost.
ALONE = 2
PROGRESS = ("able", "after", "nodes", "end", "ends", "bytes")


class Pass(NamedTuple):
    """What a pass over a root has found.

    root has its ranges, of one row. In a proof, what was at the number `first` goes on behind notes, which begin there. progress is that
    of the refinement.
    """

    root: Ranges
    first: int
    notes: Mapping[int, Node]
    progress: Mapping[str, int]


class Refinement:
    """Passes over the root of one search; `end` is the number of the proof's node behind all ends, and notes are new ones before it."""

    def __init__(self, layout: Layout, steps: int, bounds: int, atoms: int, kept: bool):
        self.layout, self.steps, self.bounds, self.atoms, self.kept = layout, steps, bounds, atoms, kept
        # Nodes of the tree before the next pass, and since the last one.
        self.after = self.nodes = NODES
        self.end, self.ends, self.bytes = 0, 0, 0
        self.notes: dict[int, Node] = {}
        # Whether a pass may come from another process.
        self.shared = False
        self.deep = deep_blocks(layout)
        self.able = len(self.deep) > 1 and _is_dense(layout, [part for earlier, block in self.deep for part in (*earlier, block)])
        # A proof counts passes over ranges: where they are not at rest after one, more of them here would leave less than the checker has.
        self.able &= not kept or layout.settles

    def due(self, worked: float, leaves: bool) -> bool:
        """Whether it is time for a pass, in a search that has worked on so many nodes, and had leaves for SAT.

        Clauses in a proof are those of a leaf's ranges, and the checker has narrower ones of what comes before a pass.
        """
        self.able &= not (self.kept and leaves)
        return self.able and worked >= self.after

    def postpone(self, nodes: int) -> None:
        """Leave passes out, up to the one that is due so many nodes, or more, after the one before it."""
        while self.nodes < nodes:
            self._count_on()

    def _count_on(self) -> None:
        self.nodes *= 2
        self.after += self.nodes

    @property
    def noted(self) -> bool:
        """Whether the proof has small trees, or may get some from another process, so that no leaf of it may be left to SAT."""
        return self.kept and (self.ends > 0 or (self.shared and self.able))

    @property
    def progress(self) -> Mapping[str, int]:
        """What a pass changes."""
        return {name: getattr(self, name) for name in PROGRESS}

    @progress.setter
    def progress(self, progress: Mapping[str, int]) -> None:
        for name in PROGRESS:
            setattr(self, name, progress[name])

    @property
    def undecided(self) -> bool:
        """Whether a pass may still come that is made before nodes are shared."""
        return self.able and self.nodes < NODES << ALONE

    def pass_over(self, root: Ranges, new_ids: Callable[[int], np.ndarray]) -> Pass:
        """One pass over a root, which stays as it is."""
        root, first = root.take(np.zeros(1, np.int64)), self.end
        self.run(root, new_ids)
        notes, self.notes = self.notes, {}
        return Pass(root, first, notes, self.progress)

    def run(self, root: Ranges, new_ids: Callable[[int], np.ndarray]) -> None:
        """One pass: narrow the root in place. Where a limit is reached, it was the last, and all ends up to there count."""
        try:
            self._pass(root, new_ids)
        except LimitReached:
            self.able = False

    def _pass(self, root: Ranges, new_ids: Callable[[int], np.ndarray]) -> None:
        """All deep blocks, one after the other."""
        work, gained = GREATER * self.nodes * 2.0 * self.steps * self.layout.products, 0.0
        for k, (earlier, block) in enumerate(self.deep):
            if k:
                found = prove_ends(self.layout, root, earlier, block, self.bounds, KEPT if self.kept else None) or []
                for neuron, side, bound, scale, multipliers in found:
                    self._cut(root, neuron, side, bound, Cell(0, (), bound, np.empty(0), multipliers, scale), new_ids)
                root.propagate(self.layout)
            share = work / 2
            outputs, sides, weights = self._ends(root, block)
            if len(outputs):
                trees, cut_off = self._grown(root, block, outputs, sides, weights, share)
                for tree in trees:
                    self._cut(root, tree.neuron, tree.side, tree.bound, tree.root, new_ids)
                root.propagate(self.layout)
                gained = max(gained, cut_off)
            work -= share
        self._count_on()
        self.able = gained > FRUITLESS and not (self.kept and (self.ends == MOST_ENDS or self.bytes > KEPT))

    def _grown(
        self, root: Ranges, block: Block, outputs: np.ndarray, sides: np.ndarray, weights: np.ndarray, work: float
    ) -> tuple[list[Grown], float]:
        """Trees for ends of a block, and the share that they cut off; with several cores, as many forests."""

        def grow(mine: np.ndarray) -> tuple[list[Grown], np.ndarray]:
            forest = Forest(self.layout, root, block, outputs[mine], sides[mine], weights[mine], self.steps, self.kept)
            return forest.grow(work * len(mine) / len(outputs)), forest.gained

        limits, count = self.layout.limits, len(outputs)
        cores = len(limits.shares(count, work / count))
        forests = limits.spread(grow, [np.arange(k, count, cores) for k in range(cores)])
        cut_off, above = np.sum([gained for _, gained in forests], axis=0)
        return [tree for trees, _ in forests for tree in trees], cut_off / max(1e-9, above)

    def _ends(self, root: Ranges, block: Block) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Outputs, sides and weights of the ends of a block that matter.

        An accumulator that reaches u beyond the end of saturation and l on the other side of it may have an output u l / (u + l) off its
        steps; the derivatives of that by u and l are what its ends are worth, for all that read it.
        """
        n = block.neurons
        lo, hi = root.acc_lo[0, n].astype(float), root.acc_hi[0, n].astype(float)
        upper, lower = np.zeros(block.size), np.zeros(block.size)
        for ends in _saturated(block):
            beyond, within = np.maximum(hi - ends, 0), np.maximum(ends - lo, 0)
            both = np.where((beyond > 0) & (within > 0), beyond + within, np.inf)
            upper += (within / both) ** 2
            lower += (beyond / both) ** 2
        weights = np.stack([upper, lower], axis=1) * (self._read_by_all(block) * block.units)[:, None]
        outputs, which = np.nonzero((np.stack([upper, lower], axis=1) > WORTH) & (weights > 0))
        best = np.sort(np.argsort(-weights[outputs, which], kind="stable")[:TREES])
        outputs, which = outputs[best], which[best]
        return outputs, 1 - 2 * which, weights[outputs, which]

    def _read_by_all(self, block: Block) -> np.ndarray:
        """The sum of the magnitudes of the weights, in output units, with which later layers read each output."""
        total = np.zeros(self.layout.num_values)
        for other in self.layout.blocks:
            if other.neurons.start > block.neurons.start:
                each = other.layer.affine.num_products / other.size  # a weight takes memory more than time: slices of so many bytes
                for part in self.layout.limits.slices(other.size, ROW_BYTES * each, ROW_BYTES * each):
                    outputs = np.arange(part.start, part.stop)
                    rows, _ = self.layout.rows(other, outputs, np.ones(len(outputs), np.int64))
                    weights = np.abs(rows.coefficients) * np.repeat(other.units[part], np.diff(rows.starts))
                    total += np.bincount(rows.values, weights, len(total))
        return total[block.target]

    def _cut(self, root: Ranges, neuron: int, side: int, bound: int, cell: Cell, new_ids: Callable[[int], np.ndarray]) -> None:
        """side * acc <= bound, proved by a small tree, if that says anything new."""
        ends = root.acc_hi if side > 0 else root.acc_lo
        if side * int(ends[0, neuron]) <= bound or (self.kept and self.ends == MOST_ENDS):
            return
        ends[0, neuron] = side * bound
        self.ends += 1
        if self.kept:
            rest, proof = new_ids(2).tolist()
            self.notes[self.end] = Split(-1 - neuron, bound + 1, rest, proof) if side > 0 else Split(-1 - neuron, -bound, proof, rest)
            self.end = rest
            self._note(cell, proof, neuron, side, new_ids)

    def _note(self, cell: Cell, number: int, neuron: int, side: int, new_ids: Callable[[int], np.ndarray]) -> None:
        """Write down a small tree: there the accumulator is beyond what its leaves prove."""
        todo = [(cell, number)]
        while todo:
            cell, number = todo.pop()
            if cell.halves is not None:
                below, above = new_ids(2).tolist()
                self.notes[number] = Split(cell.value, cell.at, below, above)
                todo += zip(cell.halves, (below, above), strict=True)
            elif cell.row is None:
                self.notes[number] = Infeasible()
            else:
                # With side * scale for its own equation the row of weights is the objective.
                row = Sparse.of(np.append(cell.row.values.astype(object), side * cell.scale))
                row = Sparse(np.append(cell.row.neurons, np.int32(neuron)), row.values)
                self.notes[number] = Multipliers(np.zeros(self.atoms, object), row)
                self.bytes += row.nbytes


def _is_dense(layout: Layout, blocks: Sequence[Block]) -> bool:
    """Whether blocks of one network, whose outputs grow with their accumulators, are matrices: small trees gain little in convolutions."""
    affines = [block.layer.affine for block in blocks]
    dense = all(isinstance(affine, Patches) and affine.is_dense for affine in affines)
    return dense and layout.stepped and len(layout.networks) == 1 and not len(layout.pairs)


def _saturated(block: Block) -> tuple[np.ndarray, np.ndarray]:
    """The accumulators at which outputs begin to grow, and those from which on they do not any more."""
    requantizers = [block.layer.requantizer(i) for i in range(block.size)]
    first = [r.first_reaching(r.lo + 1) if r.lo < r.hi else 0 for r in requantizers]
    last = [r.first_reaching(r.hi) if r.lo < r.hi else 0 for r in requantizers]
    return np.array(first, float), np.array(last, float)
