"""Multipliers from linear programs, for nodes that the descent leaves open.

A descent closes most of what a linear program would, but where it stops short, all below stays open too: its search goes dozens of levels
deeper than linear programs let it. So once a search takes long, every node that stays open gets one, from the basis where its parent's
ended; ten exchanges are usual. Descents are cut short then: they only have to choose splits. Whether a node is closed, integers decide.

Where programs take long, as with many inputs and neurons, polish may close as much in a fraction of the time. So both work on some nodes
now and then, and programs go on only where they make the tree narrower by more than they make it slower.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field

import numpy as np

from .._kernels.exact import forward as _forward
from .._kernels.exact import ranges as _ranges
from .._kernels.suggest.simplex import Simplex
from ..bounds.dual_descent import DualDescent
from ..bounds.layout import Inequalities, Layout
from ..bounds.ranges import PASS_WORK, Ranges
from ..limits import Limits
from ..options import Options
from .disjuncts import Disjuncts
from .nodes import Nodes

# Nodes of the search before the first program: most searches end before.
AFTER = 500
# Multipliers and shares of a node beyond which exchanges take too long, and bases too much memory: FEWEST of 400 take 82 MB, of 2,000
# two GB, and one inverse of these is made in 2.5 s.
MAX_SIZE = 400
# Exchanges in one node: after many, most that come gain nothing.
EXCHANGES = 60
# A node whose value is above this share of the largest that its inequality can have: the ranges of the outputs set it, not the network.
FULL = 0.9
# Bytes for the bases of the newest nodes, and how many there are at least and at most; more are seldom needed.
POOL, FEWEST, MOST = 1 << 25, 64, 1 << 14
# Numbers of all columns, and weights of all active neurons, beyond which there are no programs: some 40 MB.
MAX_ENTRIES = 1 << 22
# What an exchange takes for a neuron, active or not, in products.
NEURON_WORK = 20
# Open nodes whose parents had programs, as many as tell whether these pay: after AFTER nodes of the search, and again after AGAIN more,
# or where they did not pay once it has worked on twice as many.
TRIED, AGAIN = 64, 1000
# Splits that are still ahead of an open node, as a guess: what programs close makes the tree narrower on each of these levels.
LEVELS = 10
# Products of numbers in one node beyond which exchanges take too long: some tenths of a second.
WORK = 1 << 30


@dataclass
class Trial:
    """Open nodes on which both programs and polish worked: what each closed, and how long it took."""

    nodes: int = 0
    closed: np.ndarray = field(default_factory=lambda: np.zeros(2))
    seconds: np.ndarray = field(default_factory=lambda: np.zeros(2))

    def add(self, nodes: int, programs: tuple[int, float], polish: tuple[int, float]) -> None:
        """So many more nodes; of each (closed, seconds)."""
        self.nodes += nodes
        self.closed += programs[0], polish[0]
        self.seconds += programs[1], polish[1]

    def pays(self) -> bool:
        """Whether programs do.

        Of a tree with LEVELS levels to go, where a share p of the nodes stays open, (2 p)^LEVELS are left; each takes a descent too, as
        long as polish.
        """
        programs, polish = (self.nodes - self.closed).tolist()
        slower = (self.seconds[0] + self.seconds[1]) / max(1e-9, 2 * self.seconds[1])
        return LEVELS * math.log(max(0.5, polish) / max(0.5, programs)) >= math.log(slower)


class LinearPrograms:
    """Those of one search."""

    def __init__(
        self, layout: Layout, disjuncts: Disjuncts, descent: DualDescent, root: Ranges, unit: np.ndarray, options: Options, limits: Limits
    ):
        """unit float64[num_neurons]: one output step's share of an accumulator."""
        self.layout, self.disjuncts, self.descent, self.root, self.unit, self.limits = layout, disjuncts, descent, root, unit, limits
        self.hidden, named = ~layout.is_result, np.zeros(layout.num_values, bool)
        named[disjuncts.inequalities.values] = True
        self.active = ~descent.useless & (self.hidden | named[layout.num_inputs :])
        self.size = int(self.active.sum()) + disjuncts.most
        self.work = EXCHANGES * (layout.num_inputs * self.size + 4 * self.size**2 + descent.products + NEURON_WORK * layout.num_neurons)
        self.able = options.lp and self.size <= MAX_SIZE and self.work <= WORK
        self.able &= layout.stepped
        self.kernel: Simplex | None = None
        self.polish = options.polish
        # The nodes of the search so far and after which the next trial begins; of the trial under way, if there is one, what it has found.
        self.worked, self.due, self.pay = 0, AFTER, True
        self.trial: Trial | None = None
        # For every branch the normalization of its nodes without inequalities, float64[num_neurons].
        self.normalizations: dict[int, np.ndarray] = {}

    def begun(self, worked: int) -> bool:
        """Whether a search that has worked on so many nodes solves programs: it tries, or they pay."""
        if self.able and worked >= self.due:
            self.trial = self.trial or Trial()
        self.worked = worked
        return self.able and worked >= AFTER and (self.pay or self.trial is not None)

    def solve(self, nodes: Nodes, value: np.ndarray) -> np.ndarray:
        """Those of the nodes, with these dual values so far, that programs find empty; multipliers become those of the programs."""
        rows = self._due(nodes, value)
        if not len(rows):
            return rows
        if self.kernel is None:
            self.kernel = self._build()
            self.able = self.kernel is not None
        if not self.able:
            return rows[:0]
        return self._solve_all(nodes, rows) if self.trial is None else self._try(self.trial, nodes, rows)

    def _solve_all(self, nodes: Nodes, rows: np.ndarray) -> np.ndarray:
        parts = self.limits.slices(len(rows), PASS_WORK * self.work, self.descent.bytes + self.layout.node_bytes)
        return np.concatenate([self._solve(nodes, rows[part]) for part in parts])

    def _try(self, trial: Trial, nodes: Nodes, rows: np.ndarray) -> np.ndarray:
        """The same by programs and by polish; nodes that stay open go on as if there had been polish alone."""
        solved, cold = nodes.take(rows), nodes.basis[rows] < 0
        seconds, closed = list[float](), list[np.ndarray]()
        for part in (np.flatnonzero(cold), np.flatnonzero(~cold)):
            started = time.thread_time()
            closed.append(self._solve_all(solved, part) if len(part) else part)
            seconds.append(time.thread_time() - started)
        nodes.basis[rows] = solved.basis
        polished, below = nodes.take(rows), np.zeros(len(rows), bool)
        started = time.thread_time()
        arrays = polished.atoms, np.zeros(len(rows), bool), polished.multipliers, polished.shares
        suggestion = self.descent.run(polished.ranges, *arrays, 1, polished.anchor, self.polish)
        below[suggestion.dual < 0] = True
        warm = int((~cold).sum())
        trial.add(warm, (len(closed[1]), seconds[1]), (int(below[~cold].sum()), (time.thread_time() - started) * warm / len(rows)))
        if trial.nodes >= TRIED:
            self.pay, self.trial = trial.pays(), None
            self.due = self.worked + (AGAIN if self.pay else max(AGAIN, self.worked))
        nodes.multipliers[rows], nodes.shares[rows] = suggestion.multipliers, suggestion.shares
        proved = np.concatenate(closed)
        proved = proved[~below[proved]]
        nodes.multipliers[rows[proved]], nodes.shares[rows[proved]] = solved.multipliers[proved], solved.shares[proved]
        below[proved] = True
        return rows[below]

    def _solve(self, nodes: Nodes, rows: np.ndarray) -> np.ndarray:
        assert self.kernel is not None
        part, m = nodes.take(rows), self.layout.num_inputs
        acc, y, slopes = _ranges.vertices(self.layout.kernel, *part.ranges.arrays)
        x_lo, x_hi = (np.ascontiguousarray(a[:, :m], np.float32) for a in (part.ranges.lo, part.ranges.hi))
        normalizations = np.array([self._normalization(branch) for branch in part.branch.tolist()])
        hulls = x_lo, x_hi, acc, y, slopes
        value, *_ = self.kernel.run(part.atoms, *hulls, normalizations, part.basis, part.multipliers, part.shares, EXCHANGES)
        nodes.basis[rows] = part.basis
        # Children start from multipliers that say something of the network.
        useful = np.abs(part.multipliers[:, self.hidden]).max(axis=1, initial=0) > 1e-6 if self.hidden.any() else True
        kept = (value < 0) | (np.isfinite(value) & useful)
        nodes.multipliers[rows[kept]], nodes.shares[rows[kept]] = part.multipliers[kept], part.shares[kept]
        return rows[value < 0]

    def _due(self, nodes: Nodes, value: np.ndarray) -> np.ndarray:
        """The nodes that get a program."""
        largest, first = np.full(len(nodes), np.inf), nodes.atoms[:, 0]
        single = (nodes.atoms >= 0).sum(axis=1) == 1
        for atom in np.unique(first[single]).tolist():
            rows = np.flatnonzero(single & (first == atom))
            values, coefficients, bound = self.disjuncts.inequalities[atom]
            ends = (coefficients * end[np.ix_(rows, values)] for end in (nodes.ranges.lo, nodes.ranges.hi))
            largest[rows] = bound - np.minimum(*ends).sum(axis=1)
        branches = nodes.branch.tolist()
        normalized = np.array(
            [not self.disjuncts.table[branch].waiting and bool(self._normalization(branch).any()) for branch in branches], bool
        )
        return np.flatnonzero(np.where(first < 0, normalized, value < FULL * largest))

    def _normalization(self, branch: int) -> np.ndarray:
        """Outputs of a branch's inequalities, each with the sign that its multiplier has where its accumulator has to go."""
        if branch not in self.normalizations:
            normalization, m = np.zeros(self.layout.num_neurons), self.layout.num_inputs
            for atom in self.disjuncts.table[branch].atoms:
                values, coefficients, _ = self.disjuncts.inequalities[atom]
                normalization[values[values >= m] - m] = -np.sign(coefficients[values >= m])
            self.normalizations[branch] = normalization * self.active
        return self.normalizations[branch]

    def _build(self) -> Simplex | None:
        """The kernel's view of the query, in float32; None if that is too large."""
        m = self.layout.num_inputs
        pool = min(MOST, max(FEWEST, POOL // (8 * self.size**2 + 16 * self.size)))
        return build(self.descent, self.disjuncts.inequalities, self.unit, self.active, self.root.lo[0, :m], self.disjuncts.most, pool)


def build(
    descent: DualDescent, inequalities: Inequalities, unit: np.ndarray, active: np.ndarray, x_lo: np.ndarray, most: int, pool: int
) -> Simplex | None:
    """The kernel for all blocks of a layout, of which a descent knows the layers; None if its columns would be too large.

    unit float64[num_neurons]; active bool[num_neurons]; x_lo int64[num_inputs]: the root's lower ends.
    """
    layout = descent.layout
    columns = _columns(layout, unit, np.flatnonzero(active))
    if columns is None:
        return None
    values = np.zeros((2, layout.num_values), np.int64)
    values[1, : layout.num_inputs] = x_lo
    accs = np.empty((2, layout.num_neurons), np.int64)
    for k, block in enumerate(layout.blocks):
        part = np.empty((2, block.size), np.int64)
        _forward.accumulate(descent.layers, k, values, part)
        accs[:, block.neurons] = part
    neurons = active, unit, accs[0].astype(float), (accs[1] - accs[0]).astype(float)
    return Simplex(descent.floats, inequalities.floats(), x_lo.astype(np.float32), neurons, columns, most, pool)


def _columns(layout: Layout, unit: np.ndarray, active: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """(first, starts, weights): what every value puts on the active neurons, in units; see `Simplex`. None if they are too many."""
    rows = list[tuple[np.ndarray, np.ndarray]]()
    entries, last = 0, np.array([block.neurons.stop for block in layout.blocks])
    for neuron in active.tolist():
        layout.limits.check()
        block = layout.blocks[int(np.searchsorted(last, neuron, side="right"))]
        cells, weights = block.layer.affine.row(neuron - block.neurons.start)
        rows.append((block.view[cells], weights * unit[neuron]))
        entries += len(cells)
        if entries > MAX_ENTRIES:
            return None
    values = np.concatenate([np.empty(0, np.int64), *(part for part, _ in rows)])
    slots = np.repeat(np.arange(len(rows)), [len(part) for part, _ in rows])
    weights = np.concatenate([np.empty(0), *(part for _, part in rows)])[values >= 0]
    values, slots = values[values >= 0], slots[values >= 0]
    first, beyond = np.full(layout.num_values, len(rows), np.int32), np.zeros(layout.num_values, np.int32)
    np.minimum.at(first, values, slots)
    np.maximum.at(beyond, values, slots + 1)
    first[beyond == 0] = 0
    starts = np.zeros(layout.num_values + 1, np.int64)
    np.cumsum(beyond - first, out=starts[1:])
    if starts[-1] > MAX_ENTRIES:
        return None
    numbers = np.zeros(starts[-1])
    np.add.at(numbers, starts[values] + slots - first[values], weights)
    return first, starts, numbers.astype(np.float32)
