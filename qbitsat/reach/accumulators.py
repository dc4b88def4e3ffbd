"""The accumulators of one layer: how far each goes, and what becomes of the outputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from .._kernels.exact import forward as _forward
from ..bounds import Ranges
from ..network import Network, forward_all, reference
from ..network.layers import PADDING
from ..properties import Box, accumulator
from .extremes import Budget, prefix
from .farthest import Farthest, Inputs, Reached, Terms

# The place of an end that is a corner of the box.
CORNER = -1
# What no accumulator reaches.
BEYOND = 1 << 61
# Numbers of inputs that are kept for single accumulators.
MOST_NUMBERS = 1 << 22


class Outputs(NamedTuple):
    """Outputs of a layer over a region, by their numbers. What is proved or seen; `maybe`: what may be so as well, in the same order.

    constant   they have one value only
    dead       they never leave the low end of their range: of a rectifier, 0
    low, high  an input drives them to that end
    """

    constant: tuple[int, ...]
    dead: tuple[int, ...]
    low: tuple[int, ...]
    high: tuple[int, ...]
    maybe: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Each:
    """Each accumulator of a layer: two tuples of as many numbers, for the lower ends and for the upper ones.

    bounds   which no input leaves; reached: what inputs are known to give
    points   these inputs, and at: which of them gives each end; empty where that would be more than 2**22 numbers
    """

    bounds: tuple[tuple[int, ...], tuple[int, ...]]
    reached: tuple[tuple[int, ...], tuple[int, ...]]
    points: tuple[Inputs, ...]
    at: tuple[tuple[int, ...], ...]

    @property
    def exact(self) -> int:
        """How many ranges are proved."""
        return sum(a == b for a, b in zip(zip(*self.bounds, strict=True), zip(*self.reached, strict=True), strict=True))


class Accumulators(Farthest):
    """All accumulators of layer k."""

    def __init__(self, network: Network, box: Box, k: int, tight: Ranges, budget: Budget):
        self.k, self.block = k, tight.layout.block(0, k)
        part = self.block.neurons
        super().__init__(prefix(network, k), box, tight, budget, tight.acc_lo[0, part].copy(), tight.acc_hi[0, part].copy())
        if not self.block.reads_neurons:
            self._take_corners()

    def values(self, inputs: Inputs) -> np.ndarray:
        """By the inference kernel."""
        values = forward_all(self.network, np.array([inputs], np.int64))
        acc = np.empty((1, self.block.size), np.int64)
        _forward.accumulate(self.network.kernel, self.k, values, acc)
        return acc[0]

    def terms(self, i: int) -> tuple[Terms, int]:
        return accumulator(self.network, self.k, i)

    def inputs(self, end: tuple[int, int]) -> Inputs:
        return self._corner(*end) if self.at[end[1]][end[0]] == CORNER else super().inputs(end)

    def _take_corners(self) -> None:
        """Inputs are free of each other: the ends of a sum over inputs are at corners of the box, and exact."""
        for i in range(self.block.size) if self._reads_twice() else ():
            values, weights, bias = self.network.row(self.k, i)
            lo, hi = self.box.lo[values], self.box.hi[values]
            self.lo[i] = bias + int(np.where(weights > 0, weights * lo, weights * hi).sum())
            self.hi[i] = bias + int(np.where(weights > 0, weights * hi, weights * lo).sum())
        self.least, self.most = self.lo.copy(), self.hi.copy()
        self.at[1][:] = self.at[-1][:] = CORNER

    def _corner(self, i: int, side: int) -> Inputs:
        values, weights, _ = self.network.row(self.k, i)
        x = self.box.lo.copy()
        x[values] = np.where(side * weights > 0, self.box.hi[values], self.box.lo[values])
        return tuple(x.tolist())

    def _reads_twice(self) -> bool:
        """Whether some value is more than one cell, so that intervals of cells say too little."""
        cells = self.block.view[self.block.view != PADDING]
        return len(np.unique(cells)) < len(cells)

    def replay(self, found: Reached) -> None:
        """The reference must say the same of a point. Raises `LimitReached`."""
        layer, reads, limits = self.network.layers[self.k], self.network.reads[self.k].tolist(), self.budget.all
        values = reference.run_values(self.network, found.inputs, limits)
        said = reference.accumulators(layer, [values[v] for v in reads], limits)[found.end[0]]
        if said != found.value:
            what = f"accumulator {found.end[0]} is {found.value} by the kernel, {said} by the reference"
            raise RuntimeError(f"layer {layer.name!r}: {what}; please report this")

    def settle(self) -> None:
        """Also what becomes of outputs, where ranges that stay open leave that open."""
        super().settle()
        constant, dead, low, high = self.outputs().maybe
        for kind, numbers in (("constant", constant), ("dead", dead), ("low", low), ("high", high)):
            for i in numbers:
                ends = self._ends_of(i, kind)
                if ends is not None:
                    lo, hi = np.full(self.block.size, -BEYOND), np.full(self.block.size, BEYOND)
                    lo[i], hi[i] = (max(-BEYOND, min(BEYOND, end)) for end in ends)
                    self.rule_out(lo, hi)

    def _ends_of(self, i: int, kind: str) -> tuple[int, int] | None:
        """The accumulators of output i that keep it from being, or make it be, what is asked; None where it wraps around."""
        step = self.network.layers[self.k].requantizer(i)
        if not step.monotone or step.lo == step.hi:
            return None
        if kind == "high":
            return -BEYOND, step.first_reaching(step.hi) - 1
        if kind == "low":
            return step.first_reaching(step.lo + 1), BEYOND
        y = step.lo if kind == "dead" else step.apply(int(self.least[i]))
        first = -BEYOND if y == step.lo else step.first_reaching(y)
        return first, BEYOND if y == step.hi else step.first_reaching(y + 1) - 1

    def each(self) -> Each:
        """The ranges of all, one by one."""
        points, at = dict[Inputs, int](), list[tuple[int, ...]]()
        if 2 * self.block.size * len(self.box.lo) <= MOST_NUMBERS:
            for side in (-1, 1):
                ends = [self.inputs((i, side)) for i in range(self.block.size)]
                at.append(tuple([points.setdefault(inputs, len(points)) for inputs in ends]))
        bounds, reached = (tuple(self.lo.tolist()), tuple(self.hi.tolist())), (tuple(self.least.tolist()), tuple(self.most.tolist()))
        return Each(bounds, reached, tuple(points), tuple(at))

    def outputs(self) -> Outputs:
        """What ranges of accumulators, and inputs that reach them, say of outputs."""
        layer, target = self.network.layers[self.k], self.block.target
        lo, hi = self.tight.lo[0, target], self.tight.hi[0, target]
        steady = np.resize([r.monotone for r in layer.requantizers], len(lo))
        lo = np.where(steady, np.maximum(lo, layer.requantize(self.lo)), lo)
        hi = np.where(steady, np.minimum(hi, layer.requantize(self.hi)), hi)
        first, last = (np.resize([getattr(r, name) for r in layer.requantizers], len(lo)) for name in ("lo", "hi"))
        seen = np.stack([layer.requantize(self.least), layer.requantize(self.most)])
        moved, left = seen[0] != seen[1], (seen > first).any(axis=0)
        low, high = (seen == first).any(axis=0), (seen == last).any(axis=0)
        sure = (lo == hi, hi == first, low, high)
        not_so = (moved, left, lo > first, hi < last)
        maybe = tuple(_numbers(~(yes | no)) for yes, no in zip(sure, not_so, strict=True))
        constant, dead, below, above = map(_numbers, sure)
        return Outputs(constant, dead, below, above, maybe)


def _numbers(mask: np.ndarray) -> tuple[int, ...]:
    return tuple(np.flatnonzero(mask).tolist())
