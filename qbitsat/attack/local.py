"""Witnesses by local search over inputs: simulated annealing with single inputs and blocks of images.

Where gradients see a plateau of roundings, many small moves still find a way down: convolutions are sums of few inputs, so a block of
pixels changes few outputs, and only what follows from these is computed again, exactly. The score of a point is the number of output
steps that its violated inequalities lack; accumulators tell shares of steps.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .._kernels.exact import forward as _forward
from .._kernels.suggest.local import Local
from ..bounds.layout import Inequalities, Inequality, Layout
from ..bounds.ranges import Ranges
from ..limits import Limits
from ..network.inference import requantize
from ..options import Options
from ..properties.replay import Inputs
from .annealing import MAX_TERMS, Start

# Multiply-adds of networks beyond which readings, of 16 bytes and at most as many, take too much memory.
MAX_PRODUCTS = 1 << 24
# Moves of the first run of a branch and of its longest ones: each is twice as long as the one before.
SHORTEST, LONGEST = 4_000, 1 << 20
# Moves between two looks at the clock; multiply-adds of the network that make them fewer.
SLICE, SLICE_PRODUCTS = 500, 1 << 16
# Seconds after which the tree gets a turn.
CALL = 0.5
# Nodes that are drawn until one's branch gets the next run.
DRAWS = 16
# First temperatures of runs that start anew and from the best, and the last one, in mean changes of the score by one move.
HOT, WARM, COLD = 0.1, 0.05, 0.01
# Of the runs that start anew, those that do so where the attack ended; the first one always.
ATTACKED = 0.5


@dataclass
class Series:
    """The runs of one branch: how many, the smallest score of any, and where it was; attacked: the point of the attack that is nearest."""

    x: np.ndarray
    attacked: np.ndarray | None
    runs: int = 0
    score: float = math.inf


class LocalSearch:
    """The runs of one search, one after the other. `seconds` is the time of all."""

    def __init__(
        self,
        layout: Layout,
        inequalities: Inequalities,
        root: Ranges,
        options: Options,
        limits: Limits,
        near: tuple[np.ndarray, ...] = (),
    ):
        """near: int64[num_inputs] each, where an attack ended."""
        self.ends = near
        # All values there, once they are asked for: int64[len(ends), num_values].
        self.near = np.empty((0, 0), np.int64)
        self.layout, self.inequalities = layout, inequalities = _without_differences(layout, inequalities)
        self.root, self.limits = root, limits
        self.rng = np.random.default_rng(options.seed)
        longest = int(np.diff(inequalities.starts).max(initial=0))
        self.able = layout.stepped and longest <= MAX_TERMS and layout.products <= MAX_PRODUCTS
        self.moves = max(1, SLICE * SLICE_PRODUCTS // max(SLICE_PRODUCTS, layout.products))
        self.seconds = 0.0
        self.kernel: Local | None = None
        self.series: dict[int, Series] = {}
        # Of the run under way: its branch, or None, how long it is, how far, and its first temperature.
        self.branch: int | None = None
        self.length = self.done = 0
        self.hot = HOT

    def search(self, draw: Callable[[], Start], seconds: float) -> Inputs | None:
        """Go on until all runs have taken so many seconds, or for CALL: inputs at which a branch holds, or None. draw() is for new runs."""
        inputs, until = None, min(seconds, self.seconds + CALL)
        while inputs is None and self.able and self.seconds < until:
            self.limits.check()
            started = self.limits.seconds()
            if self.branch is None and not any(self._begin(draw()) for _ in range(DRAWS)):
                break
            inputs = self._go_on()
            self.seconds += self.limits.seconds() - started
        return inputs

    def _begin(self, start: Start) -> bool:
        """Whether the branch gets a run: one whose runs ended far from a witness, more rarely."""
        if not start.atoms:
            return False
        nearest = min((series.score for series in self.series.values()), default=0.0)
        mine = self.series.get(start.branch)
        if mine is not None and self.rng.random() > ((nearest + 1) / (mine.score + 1)) ** 2:
            return False
        if self.kernel is None:
            self.kernel = self._build()
        wanted = tuple(dict.fromkeys(start.atoms))  # a formula may ask for one twice
        if start.branch not in self.series:
            self.series[start.branch] = Series(start.x, self._attacked(wanted))
        series = self.series[start.branch]
        # Every other run goes on from the best point of the branch.
        again = series.runs % 2 == 1
        self.branch, self.done, self.hot = start.branch, 0, WARM if again else HOT
        self.length = min(LONGEST, SHORTEST << series.runs // 2)
        if again:
            x = series.x
        elif series.attacked is not None and (not series.runs or self.rng.random() < ATTACKED):
            x = series.attacked
        else:
            x = np.rint(np.nan_to_num(start.x))
        self.kernel.begin(np.clip(x, -(1 << 31), 1 << 31).astype(np.int64), wanted, int(self.rng.integers(1 << 62)))
        return True

    def _attacked(self, wanted: tuple[int, ...]) -> np.ndarray | None:
        """Of the points where the attack ended, the one that is nearest to these inequalities."""
        if not len(self.near):
            return None
        missing = np.zeros(len(self.near))
        for k in wanted:
            values, coefficients, bound = self.inequalities[k]
            missing += np.maximum(0, self.near[:, values] @ coefficients.astype(np.float64) - float(bound))
        return self.near[missing.argmin(), : self.layout.num_inputs]

    def _go_on(self) -> Inputs | None:
        """The next moves of the run under way."""
        assert self.kernel is not None
        assert self.branch is not None
        series, kernel = self.series[self.branch], self.kernel
        found = kernel.on(self.moves, self.hot * (COLD / self.hot) ** (self.done / self.length))
        self.done += self.moves
        if found:
            x = kernel.values[: self.layout.num_inputs]
            self.branch = None
            return tuple(tuple(x[part].tolist()) for part in self.layout.inputs)
        if self.done >= self.length:
            series.runs += 1
            if kernel.best < series.score:
                series.score, series.x = kernel.best, kernel.best_x
            self.branch = None
        return None

    def _build(self) -> Local:
        """The kernel's view of the query, in the middle of its box; and what follows of the points where the attack ended."""
        layout, m, rows = self.layout, self.layout.num_inputs, 1 + len(self.ends)
        self.limits.require(32 * layout.products + (80 + 20 * rows) * layout.num_values)
        box = self.root.lo[0, :m], self.root.hi[0, :m]
        values, acc = np.zeros((rows, layout.num_values), np.int64), np.zeros(layout.num_neurons, np.int64)
        values[:, :m] = [(box[0] + box[1]) // 2, *self.ends]
        for k, block in enumerate(layout.blocks):
            self.limits.check()
            part = np.empty((rows, block.size), np.int64)
            _forward.accumulate(layout.kernel, k, values, part)
            values[:, block.target], acc[block.neurons] = requantize(layout.kernel, k, block.layer, part), part[0]
        self.near = values[1:]
        length = 1 / np.maximum(1e-30, np.concatenate([block.units for block in layout.blocks]))
        atoms = self.inequalities.kernel(layout.num_values)
        return Local(layout.kernel, atoms, values[0], acc, box, self._partners(), self._images(), length)

    def _partners(self) -> np.ndarray:
        """Rings of inputs that inequalities tie: a x - a x' <= b."""
        partner, ring = np.arange(self.layout.num_inputs), np.arange(self.layout.num_inputs)
        for k in range(len(self.inequalities)):
            values, coefficients, _ = self.inequalities[k]
            if len(values) != 2 or coefficients.sum() or values.max() >= len(ring):
                continue
            i, j = values.tolist()
            if ring[i] != ring[j]:
                ring[ring == ring[j]] = ring[i]
                partner[[i, j]] = partner[[j, i]]
        return partner

    def _images(self) -> list[tuple[int, int, int, int]]:
        """(first, height, width, depth) of every tensor that is an input: what has one axis is a row, further axes are rows of images."""
        images = []
        first = 0
        for network in self.layout.networks:
            for form in network.inputs:
                shape = form.shape if len(form.shape) > 2 else (*form.shape, 1) if len(form.shape) == 2 else (1, form.size, 1)
                images.append((first, math.prod(shape[:-2]), shape[-2], shape[-1]))
                first += form.size
        return images


def _without_differences(layout: Layout, inequalities: Inequalities) -> tuple[Layout, Inequalities]:
    """Inequalities over what paired outputs differ by as such over these outputs, whose accumulators tell shares of steps, and, where no
    other is left, the layout without the layers of differences, which moves then need not follow.
    """
    if not len(layout.pairs):
        return layout, inequalities
    apart = {d: (a, b) for a, b, d in (layout.pairs[:, [0, 1, 3]] + layout.num_inputs).tolist()}
    found, most = list[Inequality](), 0
    for values, coefficients, bound in inequalities:
        layout.limits.check()
        terms = Counter[int]()
        for value, c in zip(values.tolist(), coefficients.tolist(), strict=True):
            for part, sign in zip(apart.get(value, (value,)), (1, -1), strict=False):
                terms[part] += sign * c
        kept = {value: c for value, c in terms.items() if c}
        found.append((np.array(list(kept), np.int64), np.array(list(kept.values()), np.int64), bound))
        most = max([most, *kept])
    ends = layout.pairs[:, 2:4]
    before = layout.before(layout.place(int(ends[ends >= 0].min()) + layout.num_inputs)[0])
    return before if most < before.num_values else layout, Inequalities.of(found)
