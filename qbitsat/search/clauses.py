"""Clauses that refuted nodes have taught: conflict clauses over ranges of values.

For given multipliers D is a sum with one term for each value, and each depends on the value's range alone. So what a refutation needs of
its node's ranges shows in one pass: values whose terms grow least get the root's ranges back as long as D stays below 0, and the rest of
the slack moves the others' ends out. What is left refutes every node within it. One that lies within all of a clause but one value loses
the part of that value's range which the clause has, before its descent (unit propagation).

A clause's D is computed in integers when it is learned. It holds for the inequalities of its branch; one without shares holds for all.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .._kernels.exact import clauses as _clauses
from ..bounds.dual import Dual, Sparse
from ..bounds.layout import Layout
from ..bounds.ranges import Ranges
from .nodes import Nodes

# Clauses that are kept, those that were learned or used last, and their literals at most.
KEPT, LITERALS = 32768, 48
# What a clause takes, in bytes, and what those of a proof may take for their multipliers, of which there are fewer then.
SIZE, REASONS = 12 * LITERALS + 48, 1 << 26
# Cuts of a node at a time, and looks at literals that a clause takes for each node.
MOST, LOOKS = 256, 4
# Clauses for all branches have this one.
ALL = -1
# Literals are of 32 bits.
FITS = np.iinfo(np.int32)
EVERYTHING = np.array([0, FITS.min, FITS.max], np.int32)
# Nodes after which the share that clauses cut or close decides whether there are to be more, and that share.
TRIED, WORTH = 2000, 0.005


class Cut(NamedTuple):
    """Of a node (its row): value < at, or value >= at if above, is all that a clause leaves; value -1: nothing."""

    row: int
    clause: int
    value: int
    at: int
    above: bool


class Clauses:
    """The clauses of one search within a root's ranges; atoms: inequalities of a node at most; kept: for a proof."""

    def __init__(self, layout: Layout, atoms: int, kept: bool):
        self.limits, self.kept, self.most = (
            layout.limits,
            kept,
            min(KEPT, 1 + REASONS // (12 * layout.num_neurons + 16 * atoms)) if kept else KEPT,
        )
        self.able = layout.stepped and layout.limits.has_room(SIZE * self.most + kept * REASONS)
        # Nodes that were held against clauses, and those of which these left less.
        self.seen = self.met = 0
        self.count = 0
        self.branches, self.sizes = np.zeros((2, self.most), np.int32)
        # (value, lo, hi) each, and two of them in a column.
        self.literals, self.watched = np.zeros((self.most, LITERALS, 3), np.int32), np.zeros((6, self.most), np.int32)
        # When each was learned, or used the last time, by a clock that counts batches.
        self.clock, self.used = 0, np.full(self.most, FITS.max, np.int64)
        # In a proof, of each the inequalities' places in its branch, their shares, and multipliers.
        self.reasons: dict[int, tuple[np.ndarray, np.ndarray, Sparse]] = {}

    def learn(self, dual: Dual, root: Ranges, nodes: Nodes, rows: np.ndarray) -> None:
        """What refuted rows of nodes within a root's ranges say of others."""
        if not self.able or not len(rows):
            return
        found = dual.explain(root, nodes.ranges, rows, nodes.atoms, nodes.shares, nodes.multipliers, LITERALS)
        good = np.flatnonzero((found.sizes >= 0) & (found.lo.min(axis=1) >= FITS.min) & (found.hi.max(axis=1) <= FITS.max))[: self.most]
        places = self._places(len(good))
        self.branches[places] = np.where(found.shares[good].any(axis=1), nodes.branch[rows[good]], ALL)
        self.sizes[places] = found.sizes[good]
        for i, part in enumerate((found.values, found.lo, found.hi)):
            self.literals[places, :, i] = part[good]
        for i in range(2):
            self.watched[3 * i : 3 * i + 3, places] = np.where(found.sizes[good] > i, self.literals[places, i].T, EVERYTHING[:, None])
        for at, k in zip(places.tolist(), good.tolist(), strict=True) if self.kept else ():
            used = np.flatnonzero(found.shares[k])
            self.reasons[at] = nodes.slots[rows[k], used], found.shares[k, used], Sparse.of(found.multipliers[k])

    def _places(self, count: int) -> np.ndarray:
        """Where new clauses go: behind the others while there is room, then in place of those that were not used for longest."""
        new = min(count, self.most - self.count)
        old: np.ndarray | list[int] = np.argpartition(self.used, count - new - 1)[: count - new] if count > new else []
        places = np.append(np.arange(self.count, self.count + new), old).astype(np.int64)
        self.count += new
        self.used[places] = self.clock
        return places

    def cut(self, nodes: Nodes) -> list[Cut]:
        """Cut the ranges of nodes, in place, to what clauses leave of them; in a proof each node once."""
        if not self.count or not self.able:
            return []
        self.clock += 1
        known = self.count, self.branches, self.sizes, self.literals, self.watched
        branches, parts = nodes.branch.astype(np.int32), [np.zeros((0, 5), np.int64)]
        for rows in self.limits.slices(len(nodes), LOOKS * self.count + nodes.ranges.lo.shape[1]):
            ranges = nodes.ranges.take(rows)
            parts.append(_clauses.cut(ranges.lo, ranges.hi, branches[rows], *known, 1 if self.kept else MOST))
            parts[-1][:, 0] += rows.start
        made = np.concatenate(parts)
        self.used[made[:, 1]] = self.clock
        self.seen += len(nodes)
        self.met += len(np.unique(made[:, 0]))
        self.able = self.seen < TRIED or self.met > WORTH * self.seen
        return [Cut(row, clause, value, at, bool(above)) for row, clause, value, at, above in made.tolist()]
