"""Witnesses by walks: simulated annealing over the outputs of the layers that read inputs.

Relaxed points claim every rounding for themselves, and moves of single inputs seldom change one. A walk moves where roundings are: its
state is a level for each output of a first layer together with real inputs that give these levels, so what lies behind is exact, roundings
and saturation included. A move changes some levels by one and counts only if the inputs can follow. `walk` has the moves. First layers
are matrices over inputs: a move follows all inputs of an output, and of a convolution the outputs are too many to be moved one by one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from .._kernels.suggest.anneal import Annealing
from ..arithmetic import Requantizer
from ..arithmetic.steps import MAX_LEVELS, NOWHERE
from ..bounds.dual_descent import DualDescent
from ..bounds.layout import Block, Inequalities, Layout
from ..bounds.ranges import Ranges
from ..limits import Limits
from ..network import Patches, SparseRows, forward_all
from ..options import Options
from ..properties import Formula, Query
from ..properties.margin import margins
from ..properties.replay import Inputs

# Weights, those of inequalities over inputs among them, outputs in one inequality, and inequalities, beyond which a move takes too long.
MAX_WEIGHTS, MAX_TERMS, MAX_TARGETS = 1 << 21, 256, 1 << 14
# Moves of one walk, and how many in a row start from the end of the best before, in a branch, until one starts anew; fewer if one ends
# with more than this share of the smallest score so far, and with more than so many mean changes of the score.
MOVES, SERIES, GAIN, NEAR = 20_000, 8, 0.9, 4.0
# Moves between two looks at limits, of networks with up to so many weights; larger ones get fewer.
SLICE, SLICE_WEIGHTS = 500, 1 << 16
# Seconds after which the tree, and another process that asks it for nodes, gets a turn.
CALL = 0.5
# Nodes that are drawn until one's branch gets the next walk.
DRAWS = 16
# First temperatures of walks that start anew and of others, and the last one, in mean changes of the score by one move.
HOT, WARM, COLD = 1.0, 0.15, 0.03
# Accumulators stay this many mean weights, and at most this share of a step, away from the ends of their steps.
CLEARANCE_WEIGHTS, CLEARANCE_SHARE = 2.0, 0.1


@dataclass
class Series:
    """The walks of one branch since one started anew: what they are drawn to, the smallest score, where that walk ended, how many."""

    ranges: tuple[np.ndarray, np.ndarray, np.ndarray]
    x: np.ndarray
    score: float = math.inf
    walks: int = 0
    ended: bool = False


class Start(NamedTuple):
    """Where a walk may begin: a branch and its inequalities, none of which makes no walk.

    ranges are those of a node, of one row: while inequalities do not hold yet, the accumulators of their outputs are drawn there. x are
    inputs float[num_inputs] to start from.
    """

    branch: int
    atoms: tuple[int, ...]
    ranges: Ranges
    x: np.ndarray


class Annealer:
    """Walks of one search, one after the other. `seconds` is the time of all."""

    def __init__(
        self,
        query: Query,
        formula: Formula,
        inequalities: Inequalities,
        descent: DualDescent,
        root: Ranges,
        options: Options,
        limits: Limits,
    ):
        layout = descent.layout
        self.query, self.layout, self.formula, self.root, self.limits = query, layout, formula, root, limits
        self.inequalities = inequalities
        self.floats, self.rng = descent.floats, np.random.default_rng(options.seed)
        self.first = [block for block in layout.blocks if _reads_inputs(block, layout)]
        # Inequalities over outputs are targets, those over inputs fences; for others there is no kernel.
        sizes = np.diff(inequalities.starts)
        inputs = np.bincount(np.repeat(np.arange(len(sizes)), sizes), inequalities.values < layout.num_inputs, len(sizes))
        self.fences = np.flatnonzero(inputs == sizes).tolist()
        self.targets = np.flatnonzero((inputs == 0) & (sizes > 0) & (sizes <= MAX_TERMS)).tolist()
        rows = len(self.fences) + sum(block.layer.affine.n_out for block in self.first)
        later = sum(block.layer.affine.num_products for block in layout.blocks if not _reads_inputs(block, layout))
        self.weights = rows * layout.num_inputs + later
        self.able = self.weights <= MAX_WEIGHTS and len(self.targets) <= MAX_TARGETS and all(_is_matrix(b, layout) for b in self.first)
        self.able &= all(r.monotone and r.hi - r.lo < MAX_LEVELS for block in layout.blocks for r in block.layer.requantizers)
        self.able &= len(self.targets) + len(self.fences) == len(inequalities)
        self.seconds = 0.0
        self.kernel: Annealing | None = None
        # The branch whose walk is under way, or None, and the moves that it has made.
        self.branch: int | None = None
        self.moves = 0
        # For every branch its walks, and the smallest score of any.
        self.series: dict[int, Series] = {}
        self.best: dict[int, float] = {}

    def anneal(self, draw: Callable[[], Start], seconds: float) -> Inputs | None:
        """Go on until all walks of the search have taken so many seconds, or for CALL: inputs that make the formula true, or None.

        draw() is for new walks.
        """
        inputs, until = None, min(seconds, self.seconds + CALL)
        while inputs is None and self.able and self.seconds < until:
            self.limits.check()
            started = self.limits.seconds()
            if self.branch is None and not any(self._begin(*draw()) for _ in range(DRAWS)):
                break
            inputs = self._go_on()
            self.seconds += self.limits.seconds() - started
        return inputs

    def _begin(self, branch: int, atoms: tuple[int, ...], ranges: Ranges, x: np.ndarray) -> bool:
        """Whether the branch gets a walk: one whose walks ended far from a witness, more rarely."""
        if not atoms:
            return False
        nearest = min(self.best.values(), default=0.0)
        if self.rng.random() > ((nearest + 1) / (self.best.get(branch, nearest) + 1)) ** 2:
            return False
        if self.kernel is None:
            self.kernel = self._build()
        if branch not in self.series or self.series[branch].ended:
            self.series[branch] = Series(self._outputs(atoms, ranges), x)
        series, inequalities = self.series[branch], self.inequalities
        self.branch, self.moves = branch, 0
        targets = [k for k, atom in enumerate(self.targets) if atom in atoms]
        fences = np.array([inequalities[atom][2] if atom in atoms else np.inf for atom in self.fences], np.float32)
        self.kernel.begin(series.x, targets, series.ranges, fences, int(self.rng.integers(1 << 62)))
        return True

    def _outputs(self, atoms: tuple[int, ...], ranges: Ranges) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The neurons of inequalities, less those of first layers, and the ranges of their accumulators."""
        named = np.unique(np.concatenate([self.inequalities[atom][0] for atom in atoms])) - self.layout.num_inputs
        named = named[named >= 0]
        for block in self.first:
            named = named[(named < block.neurons.start) | (named >= block.neurons.stop)]
        return named.astype(np.int32), ranges.acc_lo[0, named].astype(np.float32), ranges.acc_hi[0, named].astype(np.float32)

    def _go_on(self) -> Inputs | None:
        """The next moves of the walk that is under way."""
        assert self.kernel is not None
        assert self.branch is not None
        series, kernel = self.series[self.branch], self.kernel
        hot = WARM if series.walks else HOT
        moves = max(1, SLICE * SLICE_WEIGHTS // max(SLICE_WEIGHTS, self.weights))
        found = kernel.on(moves, hot * (COLD / hot) ** (self.moves / MOVES))
        inputs = self._checked(kernel.rounded) if found else None
        self.moves += moves
        if self.moves >= MOVES:
            series.walks += 1
            series.ended = series.walks == SERIES or kernel.best > max(GAIN * series.score, NEAR * kernel.scale)
            if kernel.best <= series.score:
                series.score, series.x = kernel.best, kernel.x
            self.best[self.branch] = min(self.best.get(self.branch, math.inf), kernel.best)
            self.branch = None
        return inputs

    def _checked(self, rounded: np.ndarray) -> Inputs | None:
        """Rounded inputs if they make the formula true in integers."""
        m = self.layout.num_inputs
        x = np.clip(np.nan_to_num(rounded.astype(float)), self.root.lo[0, :m], self.root.hi[0, :m]).astype(np.int64)
        inputs = [x[None, part] for part in self.layout.inputs]
        values = [forward_all(network, part, self.limits) for network, part in zip(self.query.networks, inputs, strict=True)]
        outputs = [v[:, network.outputs] for network, v in zip(self.query.networks, values, strict=True)]
        margin, _ = margins(self.formula, inputs, outputs, [], self.limits, values)
        return tuple(tuple(part[0].tolist()) for part in inputs) if margin[0] >= 0 else None

    def _build(self) -> Annealing:
        """The kernel's view of the query, in float32."""
        m, root, inequalities = self.layout.num_inputs, self.root, self.inequalities
        # Two matrices, and tables of steps in float32.
        tables: dict[Requantizer, Steps] = {}
        steps = []
        self.limits.require(8 * self.weights + 48 * self.layout.num_neurons)
        for block in self.layout.blocks:
            for r in block.layer.requantizers:
                if r not in tables:
                    self.limits.require(4 * (r.hi - r.lo + 2))
                    tables[r] = _steps(r)
            steps += [tables[block.layer.requantizer(i)] for i in range(block.layer.affine.n_out)]
        neurons = np.concatenate([np.arange(block.neurons.start, block.neurons.stop) for block in self.first])
        rows = len(neurons) + len(self.fences)
        matrix, bias, clearance = np.zeros((rows, m), np.float32), np.zeros(rows, np.float32), np.zeros(rows, np.float32)
        at = 0
        for block in self.first:
            affine, mine = block.layer.affine, slice(at, at + block.layer.affine.n_out)
            for i in range(affine.n_out):
                self.limits.check()
                cells, weights = affine.row(i)
                np.add.at(matrix[at + i], block.view[cells], weights)
            bias[mine], at = affine.biases, mine.stop
            room = CLEARANCE_SHARE * np.array([max(0.0, steps[i][3] - 1) for i in range(block.neurons.start, block.neurons.stop)])
            clearance[mine] = np.minimum(CLEARANCE_WEIGHTS * affine.magnitudes() / affine.n_in, room)
        for row, atom in enumerate(self.fences, start=at):
            np.add.at(matrix[row], inequalities[atom][0], inequalities[atom][1])
        lowest, highest = (end[0, neurons + m] - [steps[i][4] for i in neurons] for end in (root.lo, root.hi))
        targets = []
        for values, coefficients, bound in (inequalities[atom] for atom in self.targets):
            counts = coefficients != 0
            targets.append(((values - m).astype(np.int32)[counts], coefficients[counts].astype(np.float32), float(bound)))
        levels = neurons.astype(np.int32), lowest.astype(np.int32), highest.astype(np.int32)
        box = root.lo[0, :m].astype(np.float32), root.hi[0, :m].astype(np.float32)
        later = np.array([k for k, block in enumerate(self.layout.blocks) if not _reads_inputs(block, self.layout)], np.int32)
        tolerance = min(1.0, (0.1 * min(row[3] for row in steps)) ** 2)
        return Annealing(box, (matrix, bias, clearance, *levels), steps, self.floats, later, targets, tolerance)


def _reads_inputs(block: Block, layout: Layout) -> bool:
    return bool(((block.view >= 0) & (block.view < layout.num_inputs)).any())


def _is_matrix(block: Block, layout: Layout) -> bool:
    """Whether a layer is one matrix, and over inputs alone."""
    affine = block.layer.affine
    one = isinstance(affine, SparseRows) or (isinstance(affine, Patches) and affine.is_dense)
    return one and bool(((block.view >= 0) & (block.view < layout.num_inputs)).all())


# A requantizer's steps, and the line that they are near: (steps, base, begin, length, y_min) of `Annealing`.
Steps = tuple[np.ndarray, int, float, float, float]


def _steps(r: Requantizer) -> Steps:
    row = np.concatenate([[-NOWHERE], r.thresholds(NOWHERE), [NOWHERE]])
    inner = np.flatnonzero(np.abs(row) < NOWHERE)
    base, begin, length = 0, 0.0, 1.0
    if len(inner):
        base, begin = int(inner[0]), float(row[inner[0]])
    if len(inner) > 1:
        length = max(1.0, float(row[inner[-1]] - row[inner[0]]) / float(inner[-1] - inner[0]))
    return row.astype(np.float32), base, begin, length, float(r.lo)
