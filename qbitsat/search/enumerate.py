"""Every point of a region is run by the inference kernel, block by block, until one makes the violation true."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property
from typing import NamedTuple

import numpy as np

from ..errors import UnsupportedError
from ..limits import Limits, Tick, resident_bytes
from ..network import Network, forward_all
from ..properties import And, AtMost, Formula, Query, Ref
from ..properties.formula import INPUT
from ..properties.margin import FAR
from ..properties.replay import Inputs
from .cones import Cone, cones
from .grid import Block, Grid, blocks, grid, named_values

# Work arrays take at most this, or a quarter of the memory that the limit leaves: of a block, of all
# outputs of a network, and of the points that run together.
BLOCK_BYTES, TABLE_BYTES, BATCH_BYTES = 1 << 25, 1 << 26, 1 << 19
MOST_POINTS, FEWEST_POINTS = 1 << 20, 1 << 8
# Multiply-adds of the points that run together: some milliseconds between two looks at the clock.
BATCH_WORK = 1 << 22
# Nanoseconds, measured: a multiply-add, a requantized value, an input, a term of the formula, a batch.
MULTIPLY_ADD, VALUE, ELEMENT, TERM, BATCH = 1.0, 12.0, 3.0, 4.0, 60_000.0


class Enumeration:
    """The points of a query at which a formula without `Not`, equal to the violation inside the boxes, may be true.

    `counts` has the number of points done, and of all of them the logarithm to base 2: there may be more than floats reach. Raises
    `UnsupportedError` where there are more than 2**bits.
    """

    def __init__(self, query: Query, formula: Formula, bits: int, limits: Limits, counts: dict[str, float] | None = None):
        self.query, self.limits = query, limits
        self.counts = {} if counts is None else counts
        self.grid: Grid = grid(query, formula, limits)
        self.counts.update(points=0, point_bits=math.log2(max(1, self.grid.num_points)))
        if self.grid.num_points > 1 << bits:
            raise UnsupportedError(f"enumerate: more than 2**{bits} points, the limit of enumerate bits")
        # The inputs with the largest value of an objective so far, and that value.
        self.best: tuple[Inputs, int] | None = None

    @cached_property
    def free(self) -> float:
        return math.inf if self.limits.memory == math.inf else max(0.0, self.limits.memory - resident_bytes()) / 4

    @cached_property
    def runs(self) -> list[_Run]:
        return _runs(self.query, self.grid, min(TABLE_BYTES, self.free), min(BATCH_BYTES, self.free))

    @cached_property
    def place(self) -> dict[tuple[int, int], tuple[int, int]]:
        """Which run has a value of a network, and as which of those that it names."""
        rows = [{value: row for row, value in enumerate(run.named)} for run in self.runs]
        return {(run.of, v): (r, rows[r][p]) for r, run in enumerate(self.runs) for v, p in run.values.items()}

    @cached_property
    def block_points(self) -> int:
        width = 8 * (sum(len(run.named) for run in self.runs) + 8)
        return int(max(FEWEST_POINTS, min(MOST_POINTS, min(BLOCK_BYTES, self.free) // width)))

    def run(self) -> Inputs | None:
        """The first inputs in lexicographic order that make the formula true, to be replayed, or None: there are none."""
        for block in blocks(self.grid.sizes, self.block_points):
            self.limits.check()
            found = self._run_block(block)
            if found is not None:
                return found
            self.counts["points"] += math.prod(stop - start for start, stop in block)
        return None

    def largest(self, goal: AtMost) -> tuple[Inputs, int] | None:
        """The first inputs with the largest value of -goal's sum among those that make the formula true, and it: also in `best`, so far.

        The formula names all that the goal does.
        """
        for block in blocks(self.grid.sizes, self.block_points):
            self.limits.check()
            found = self._true_points(block)
            if found is not None:
                self._improve(block, goal, *found)
            self.counts["points"] += math.prod(stop - start for start, stop in block)
        return self.best

    def seconds(self) -> float:
        """What `run` takes for all points, roughly, on one core of 2024."""
        if not self.grid.num_points:
            return 0.0
        first = next(iter(blocks(self.grid.sizes, self.block_points)), [])
        total = TERM * (sum(len(run.named) for run in self.runs) + 4) * self.grid.num_points
        for run in {id(run.table) if run.table else id(run): run for run in self.runs}.values():
            # Without a table, a network is run again for every place on axes, cut by blocks, that do not move it.
            cut = [-(-n // (stop - start)) for n, (start, stop) in zip(self.grid.sizes, first, strict=True)]
            again = [places for a, places in enumerate(cut) if a not in run.axes and not run.table]
            points = math.prod(self.grid.sizes[a] for a in run.axes) * math.prod(again)
            layers = run.network.layers
            cost = sum(MULTIPLY_ADD * layer.affine.num_products + VALUE * layer.affine.n_out for layer in layers)
            total += points * (ELEMENT * run.network.num_inputs + cost + BATCH / run.batch)
        return 1e-9 * total

    def _run_block(self, block: Block) -> Inputs | None:
        found = self._true_points(block)
        # The first in C order: the last axis runs fastest.
        return None if found is None else self._inputs(block, int(found[0].argmax()))

    def _improve(self, block: Block, goal: AtMost, truth: np.ndarray, outputs: list[np.ndarray]) -> None:
        total = np.broadcast_to(_total(goal, self._values(block, outputs), len(block), self.limits.check), truth.shape)
        place = int(np.where(truth, total, FAR).argmin())
        value = -int(total.flat[place])
        if self.best is None or value > self.best[1]:
            self.best = self._inputs(block, place), value

    def _inputs(self, block: Block, place: int) -> Inputs:
        """Those of a point of a block, by its number in C order."""
        digits = _coordinates(np.array([place]), tuple(stop - start for start, stop in block))
        return self.grid.inputs([start + int(digit[0]) for (start, _), digit in zip(block, digits, strict=True)])

    def _true_points(self, block: Block) -> tuple[np.ndarray, list[np.ndarray]] | None:
        """Where the formula is true, bool of the block's shape, and what its networks give there; None if nowhere."""
        constraint = _truth(self.grid.constraint, self._values(block, []), len(block), self.limits.check)
        if not constraint.any():
            return None
        outputs = [run.outputs(block, constraint, self.limits.check) for run in self.runs]
        rest = _truth(self.grid.rest, self._values(block, outputs), len(block), self.limits.check)
        truth = np.broadcast_to(constraint & rest, tuple(stop - start for start, stop in block))
        return (truth, outputs) if truth.any() else None

    def _values(self, block: Block, outputs: list[np.ndarray]) -> Callable[[Ref], np.ndarray | int]:
        """What an element is: of the block's shape or with length 1 along axes that do not matter, or one number."""

        def value(ref: Ref) -> np.ndarray | int:
            if ref.tensor != INPUT:
                run, row = self.place[ref.network, ref.value_of(self.query.networks[ref.network])]
                return outputs[run][row]
            a, base = int(self.grid.axis[ref.network][ref.element]), int(self.grid.base[ref.network][ref.element])
            if a < 0:
                return base
            shape = [1] * len(block)
            shape[a] = -1
            return base + np.arange(*block[a], dtype=np.int64).reshape(shape)

        return value


class _Table:
    """Named values of a network at every point of its own grid, as far as they are known: one for all networks that are alike."""

    def __init__(self, named: int, points: int):
        self.values, self.known = np.zeros((named, points), np.int64), np.zeros(points, bool)


class _Run(NamedTuple):
    """A cone of a network on the grid: the values that are kept, the axes that move it, and how many points run together.

    values says which of them are values of network `of` of the query.
    """

    of: int
    values: dict[int, int]
    network: Network
    named: list[int]
    axes: list[int]
    axis: np.ndarray
    base: np.ndarray
    sizes: tuple[int, ...]
    batch: int
    table: _Table | None

    def outputs(self, block: Block, wanted: np.ndarray, tick: Tick) -> np.ndarray:
        """int64[named, *the block], with length 1 along axes that do not move the network; anything where not wanted."""
        shape = tuple(stop - start if a in self.axes else 1 for a, (start, stop) in enumerate(block))
        whole = tuple(stop - start for start, stop in block)
        still = tuple(a for a in range(len(block)) if a not in self.axes)
        wanted = np.broadcast_to(wanted, whole).any(axis=still, keepdims=True).ravel()
        starts = [start if a in self.axes else 0 for a, (start, _) in enumerate(block)]
        if self.table is None:
            values = np.zeros((len(self.named), math.prod(shape)), np.int64)
            self._fill(values, np.flatnonzero(wanted), np.flatnonzero(wanted), starts, shape, tick)
            return values.reshape(-1, *shape)
        place = np.zeros((1,) * len(shape), np.int64)
        for a in self.axes:
            ends = [1] * len(shape)
            ends[a] = -1
            place = place * self.sizes[a] + np.arange(*block[a]).reshape(ends)
        place = place.ravel()
        rows = np.flatnonzero(wanted & ~self.table.known[place])
        self._fill(self.table.values, place[rows], rows, starts, shape, tick)
        self.table.known[place[rows]] = True
        return self.table.values[:, place].reshape(-1, *shape)

    def _fill(self, values: np.ndarray, at: np.ndarray, rows: np.ndarray, starts: list[int], shape: tuple[int, ...], tick: Tick) -> None:
        """values[:, at[r]] becomes the named values at the rows[r]-th point of a block that begins at `starts`."""
        moved = np.flatnonzero(self.axis >= 0).tolist()
        for first in range(0, len(rows), self.batch):
            tick()
            place = _coordinates(rows[first : first + self.batch], shape)
            x = np.repeat(self.base[None], len(place[0]) if place else 1, axis=0)
            for i in moved:
                x[:, i] += starts[self.axis[i]] + place[self.axis[i]]
            values[:, at[first : first + self.batch]] = forward_all(self.network, x)[:, self.named].T


def _runs(query: Query, points: Grid, table_bytes: float, batch_bytes: float) -> list[_Run]:
    tables: dict[tuple, _Table] = {}
    runs, parts = [], [(k, cone) for k, network in enumerate(query.networks) for cone in _cones(points, k, network)]
    alike = [_shape(points, k, cone) for k, cone in parts]
    for (k, cone), shape in zip(parts, alike, strict=True):
        network, axis = cone.network, points.axis[k][cone.inputs]
        named = sorted({i for (_, other), same in zip(parts, alike, strict=True) if same == shape for i in other.places})
        axes = _axes(axis)
        size = math.prod(points.sizes[a] for a in axes)
        table = None
        if size * (8 * len(named) + 1) <= table_bytes:
            table = tables.setdefault(shape, _Table(len(named), size))
        widest = max(network.num_inputs, *(max(layer.affine.n_in, layer.affine.n_out) for layer in network.layers))
        work = sum(layer.affine.num_products for layer in network.layers)
        batch = int(max(1, min(batch_bytes // (8 * network.num_values + 24 * widest), BATCH_WORK // max(1, work))))
        values = dict(zip(cone.values, cone.places, strict=True))
        runs.append(_Run(k, values, network, named, axes, axis, points.base[k][cone.inputs], points.sizes, batch, table))
    return runs


def _cones(points: Grid, k: int, network: Network) -> list[Cone]:
    named = named_values(points.rest, k, network)
    return cones(network, named, points.axis[k]) if named else []


def _axes(axis: np.ndarray) -> list[int]:
    """Those that move inputs, in the order of the first that each moves."""
    return list(dict.fromkeys(a for a in axis.tolist() if a >= 0))


def _shape(points: Grid, k: int, cone: Cone) -> tuple:
    """Equal for cones that are one function on grids of one form."""
    axis, base = points.axis[k][cone.inputs], points.base[k][cone.inputs]
    axes = _axes(axis)
    order = [axes.index(a) if a >= 0 else -1 for a in axis.tolist()]
    return cone.network.sha256, tuple(order), tuple(base.tolist()), tuple(points.sizes[a] for a in axes)


def _total(formula: AtMost, value: Callable[[Ref], np.ndarray | int], dimensions: int, tick: Tick) -> np.ndarray:
    tick()
    # Every partial sum is below 2**60, as the query has checked.
    total = np.zeros((1,) * dimensions, np.int64)
    for ref, coefficient in formula.coefficients().items():
        total = total + coefficient * value(ref)
    return total


def _truth(formula: Formula, value: Callable[[Ref], np.ndarray | int], dimensions: int, tick: Tick) -> np.ndarray:
    if isinstance(formula, AtMost):
        return _total(formula, value, dimensions, tick) <= formula.bound
    every = isinstance(formula, And)
    truth = np.full((1,) * dimensions, every)
    for part in formula.parts:  # type: ignore[union-attr]
        more = _truth(part, value, dimensions, tick)
        truth = truth & more if every else truth | more
        if truth.all() != every and not (truth.any() if every else not truth.all()):
            break
    return truth


def _coordinates(index: np.ndarray, shape: tuple[int, ...]) -> list[np.ndarray]:
    """Of points by their numbers in C order, along each axis."""
    places = []
    for size in reversed(shape):
        index, place = np.divmod(index, size)
        places.append(place)
    return places[::-1]
