"""Where a query's inputs, accumulators and outputs can be: intervals, and what integer multipliers prove about them.

Everything is read off the definition of the networks: W, b, and the requantizers' `apply` and `first_reaching`. Values are the inputs
of all networks, then the outputs of all layers, network by network; neurons are those outputs. All numbers are integers: int64
where sums provably stay below 2**62, Python's own where they might not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ..arithmetic import Requantizer
from ..limits import NO_LIMITS, Limits
from ..network import Layer
from ..properties import Query, Ref
from ..properties.formula import INPUT

# Accumulators stay far below this; it stands for "none".
FAR = 1 << 61
# Requantizers with more levels get no table; like wrap-around, their y and acc count as unrelated.
MAX_LEVELS = 1 << 12
# Entries of the tables that are compared at a time, and the bytes that each takes.
ROOM, ENTRY = 1 << 17, 150
# What the image of a range takes in Python, in multiply-adds; and a multiply-add in Python's integers, with its bytes.
IMAGE, SLOW, SLOW_BYTES = 1 << 12, 1 << 6, 48
# Weights of a layer that take less time than to ask for limits is worth.
SMALL = 1 << 20
# Cases that `Space.largest` works on together.
TOGETHER = 64


def level_starts(requantizer: Requantizer, lo: int, hi: int) -> np.ndarray:
    """int64[hi - lo + 2]: the smallest acc with apply(acc) >= v, for v from lo to hi + 1, which hold the requantizer's own levels."""
    starts = np.full(hi - lo + 2, -FAR, np.int64)
    starts[requantizer.lo + 1 - lo : requantizer.hi + 1 - lo] = requantizer.thresholds(FAR)
    starts[requantizer.hi + 1 - lo :] = FAR
    return starts


class Block:
    """One layer: its matrix and bias, which values it reads and gives, and where the steps of its outputs begin.

    like is another block of the same layer, whose arrays it shares.
    """

    matrix: np.ndarray
    magnitude: np.ndarray
    starts: np.ndarray
    row: np.ndarray

    def __init__(self, network: int, layer: Layer, source: slice, target: slice, neurons: slice, limits: Limits, like: Block | None):
        self.network, self.layer, self.source, self.target, self.neurons, self.limits = network, layer, source, target, neurons, limits
        self.bias, self.y_min = layer.affine.biases, layer.output.lo
        self.stepped = all(r.monotone for r in layer.requantizers) and layer.output.hi - layer.output.lo < MAX_LEVELS
        # Of each row of `starts` the widest step between two levels of the requantizer, where that was asked for.
        self.widest: dict[int, int] = {}
        if like is not None:
            self.matrix, self.magnitude, self.starts, self.row = like.matrix, like.magnitude, like.starts, like.row
            return
        affine = layer.affine
        limits.require(24.0 * affine.n_out * affine.n_in)
        self.matrix = np.zeros((affine.n_out, affine.n_in), np.int64)
        for part in limits.slices(affine.n_out, affine.n_in):
            entries = slice(affine.unrolled.indptr[part.start], affine.unrolled.indptr[part.stop])
            rows = np.repeat(np.arange(part.start, part.stop), np.diff(affine.unrolled.indptr[part.start : part.stop + 1]))
            self.matrix[rows, affine.unrolled.indices[entries]] = affine.unrolled.weights[entries]
        self.magnitude = np.abs(self.matrix)
        kinds = {requantizer: k for k, requantizer in enumerate(dict.fromkeys(layer.requantizers))}
        self.row = np.array([kinds[r] for r in layer.requantizers])[np.arange(affine.n_out) % len(layer.requantizers)]
        self.starts = np.zeros((0, 0), np.int64)
        if self.stepped:
            limits.require(8.0 * len(kinds) * (layer.output.hi - self.y_min + 2))
            self.starts = np.zeros((len(kinds), layer.output.hi - self.y_min + 2), np.int64)
            for requantizer, k in kinds.items():
                limits.check()
                self.starts[k] = level_starts(requantizer, self.y_min, layer.output.hi)

    def accumulate(self, lo: np.ndarray, hi: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The range of W x + b for lo <= x <= hi: W (lo + hi) and |W| (hi - lo) are twice its middle and twice half its width.

        As |W| x stays below 2**60 for all x of the format, both stay below 2**61.
        """
        if self.matrix.size < SMALL:
            middle, width = self.matrix @ (lo + hi), self.magnitude @ (hi - lo)
        else:
            middle, width = np.zeros(len(self.bias), np.int64), np.zeros(len(self.bias), np.int64)
            for part in self.limits.slices(len(self.bias), 2 * len(lo)):
                middle[part], width[part] = self.matrix[part] @ (lo + hi), self.magnitude[part] @ (hi - lo)
        return (middle - width >> 1) + self.bias, (middle + width >> 1) + self.bias

    def widest_step(self, i: int) -> int:
        """The most accumulators that give output i one level, of those between its smallest and its largest; 0 if there are none."""
        row, requantizer = int(self.row[i]), self.layer.requantizer(i)
        if row not in self.widest:
            inner = level_starts(requantizer, requantizer.lo, requantizer.hi)[1:-1]
            self.widest[row] = int(np.diff(inner).max(initial=0))
        return self.widest[row]

    def best(self, part: slice, c: np.ndarray, m: np.ndarray, ends: tuple[np.ndarray, ...]) -> tuple[np.ndarray, np.ndarray]:
        """The largest c * y - m * acc of some outputs over their pairs (acc, y) in the ranges, and whether there is one; [B, n] each."""
        acc_lo, acc_hi, lo, hi = ends
        if not self.stepped:
            return np.maximum(c * lo, c * hi) + np.maximum(-m * acc_lo, -m * acc_hi), acc_lo <= acc_hi
        # One entry for each output and each of its levels inside [lo, hi], next to each other; `begin` is where an output's start.
        counts = (hi - lo + 1).ravel()
        begin = np.cumsum(counts) - counts
        which = np.repeat(np.arange(counts.size), counts)
        v = lo.ravel()[which] + np.arange(len(which)) - begin[which]
        row, level = self.row[part][which % lo.shape[1]], v - self.y_min
        first = np.maximum(acc_lo.ravel()[which], self.starts[row, level])
        last = np.minimum(acc_hi.ravel()[which], self.starts[row, level + 1] - 1)
        possible = first <= last
        # On a step y is constant, so an end of the step is best.
        m, c = m.ravel()[which], c.ravel()[which]
        value = c * v - m * np.where(possible, np.where(m >= 0, first, last), 0)
        value[~possible] = value.min()
        return np.maximum.reduceat(value, begin).reshape(lo.shape), np.logical_or.reduceat(possible, begin).reshape(lo.shape)


@dataclass(frozen=True)
class Ranges:
    """lo <= value <= hi and acc_lo <= acc <= acc_hi, int64[num_values] and int64[num_neurons]."""

    lo: np.ndarray
    hi: np.ndarray
    acc_lo: np.ndarray
    acc_hi: np.ndarray

    def copy(self) -> Ranges:
        return Ranges(self.lo.copy(), self.hi.copy(), self.acc_lo.copy(), self.acc_hi.copy())

    def empty(self) -> bool:
        return bool((self.lo > self.hi).any() or (self.acc_lo > self.acc_hi).any())


class Space:
    """All values of a query. Layers that come again, in one network or in another, have their arrays once."""

    def __init__(self, query: Query, limits: Limits = NO_LIMITS):
        self.query, self.limits, self.blocks = query, limits, list[Block]()
        known: dict[int, Block] = {}
        self.inputs, self.outputs = list[slice](), list[slice]()
        self.num_inputs = end = sum(network.input.size for network in query.networks)
        start = 0
        for k, network in enumerate(query.networks):
            source = slice(start, start + network.input.size)
            self.inputs.append(source)
            start = source.stop
            for layer in network.layers:
                target = slice(end, end + layer.affine.n_out)
                neurons = slice(end - self.num_inputs, target.stop - self.num_inputs)
                self.blocks.append(Block(k, layer, source, target, neurons, limits, known.get(id(layer))))
                known.setdefault(id(layer), self.blocks[-1])
                source, end = target, target.stop
            self.outputs.append(source)
        self.num_values, self.num_neurons = end, end - self.num_inputs
        self.cuttable = np.ones(end, bool)
        for block in self.blocks:
            self.cuttable[block.target] = block.stepped

    def index(self, ref: Ref) -> int:
        """The value that a formula names."""
        return (self.inputs if ref.tensor == INPUT else self.outputs)[ref.network].start + ref.element

    # --- intervals ---

    def whole(self) -> Ranges:
        """The ranges of everything for inputs in the boxes."""
        lo, hi = np.zeros(self.num_values, np.int64), np.zeros(self.num_values, np.int64)
        acc_lo, acc_hi = np.zeros(self.num_neurons, np.int64), np.zeros(self.num_neurons, np.int64)
        for part, box in zip(self.inputs, self.query.boxes, strict=True):
            lo[part], hi[part] = box.lo, box.hi
        for block in self.blocks:
            acc = block.accumulate(lo[block.source], hi[block.source])
            acc_lo[block.neurons], acc_hi[block.neurons] = acc
            if all(requantizer.monotone for requantizer in block.layer.requantizers):
                lo[block.target], hi[block.target] = (block.layer.requantize(end) for end in acc)
                continue
            for part in self.limits.slices(len(acc[0]), IMAGE):
                pairs = enumerate(zip(*(end[part].tolist() for end in acc), strict=True), part.start)
                images = np.array([block.layer.requantizer(i).image(*ends) for i, ends in pairs])
                lo[block.target][part], hi[block.target][part] = images.T
        return Ranges(lo, hi, acc_lo, acc_hi)

    def accumulators(self, ranges: Ranges) -> Ranges:
        """The same values, with the accumulators that they give."""
        parts = [block.accumulate(ranges.lo[block.source], ranges.hi[block.source]) for block in self.blocks]
        return Ranges(ranges.lo, ranges.hi, *(np.concatenate(ends) for ends in zip(*parts, strict=True)))

    def propagate(self, ranges: Ranges, inputs: bool = False) -> Ranges | None:
        """Forward once through all layers, those that read inputs only if `inputs`; None if nothing is left. Changes `ranges`.

        Accumulators from the values that they read, outputs from accumulators, and accumulators from outputs.
        """
        for block in self.blocks:
            n, t, s = block.neurons, block.target, block.source
            if inputs or s.start >= self.num_inputs:
                acc_lo, acc_hi = block.accumulate(ranges.lo[s], ranges.hi[s])
                ranges.acc_lo[n], ranges.acc_hi[n] = np.maximum(ranges.acc_lo[n], acc_lo), np.minimum(ranges.acc_hi[n], acc_hi)
            if block.stepped:
                ranges.lo[t] = np.maximum(ranges.lo[t], block.layer.requantize(ranges.acc_lo[n]))
                ranges.hi[t] = np.minimum(ranges.hi[t], block.layer.requantize(ranges.acc_hi[n]))
                if (ranges.lo[t] > ranges.hi[t]).any():
                    return None
                starts, row = block.starts, block.row
                ranges.acc_lo[n] = np.maximum(ranges.acc_lo[n], starts[row, ranges.lo[t] - block.y_min])
                ranges.acc_hi[n] = np.minimum(ranges.acc_hi[n], starts[row, ranges.hi[t] - block.y_min + 1] - 1)
            if (ranges.acc_lo[n] > ranges.acc_hi[n]).any():
                return None
        return ranges

    def cut(self, ranges: Ranges, value: int, lo: int, hi: int) -> Ranges | None:
        """The ranges with lo <= value <= hi; None if nothing is left."""
        new = ranges.copy()
        new.lo[value], new.hi[value] = max(lo, int(new.lo[value])), min(hi, int(new.hi[value]))
        return None if new.lo[value] > new.hi[value] else self.propagate(new, value < self.num_inputs)

    def narrowed(self, ranges: Ranges, atoms: list[tuple[dict[int, int], int]]) -> Ranges | None:
        """What sums of coefficient * value <= bound, one after the other, leave of the ranges, carried forward once; None if nothing.

        A value's coefficient * value is at most the bound less the smallest sum of the other terms. Ranges that cannot reach a
        sum are left as they are. Outputs of layers without steps are not cut.
        """
        new, inputs = ranges.copy(), False
        for terms, bound in atoms:
            self.limits.check()
            inputs |= any(value < self.num_inputs for value in terms)
            room = bound - self.smallest(terms, new)
            if room < 0:
                return new
            ends = {v: c * int((new.lo if c > 0 else new.hi)[v]) + room for v, c in terms.items() if self.cuttable[v]}
            for v, most in ends.items():
                if terms[v] > 0:
                    new.hi[v] = min(int(new.hi[v]), most // terms[v])
                else:
                    new.lo[v] = max(int(new.lo[v]), -(most // -terms[v]))
        return self.propagate(new, inputs)

    def smallest(self, terms: dict[int, int], ranges: Ranges) -> int:
        """The smallest sum of coefficient * value over the ranges, on Python integers."""
        return sum(c * int((ranges.lo if c > 0 else ranges.hi)[v]) for v, c in terms.items())

    # --- multipliers ---

    def largest(self, cases: list[tuple[Ranges, dict[int, int], np.ndarray]]) -> list[int | None]:
        """For every (ranges, c, m) an upper bound of c . values over all points in the ranges; None if there is no such point.

        c has coefficients by value, m int64[num_neurons] multipliers. As acc_i = W_i x + b_i at every point, m_i (W_i x + b_i - acc_i)
        may be added to c . values; then each pair (acc_i, y_i) and each input is on its own:

            sum m_i b_i  +  sum over i of max over pairs (c'_i y_i - m_i acc_i)  +  max over inputs of c' . x,    c' = c + m W
        """
        return [bound for start in range(0, len(cases), TOGETHER) for bound in self._largest(cases[start : start + TOGETHER])]

    def _largest(self, cases: list[tuple[Ranges, dict[int, int], np.ndarray]]) -> list[int | None]:
        self.limits.require(64.0 * len(cases) * self.num_values)
        lo, hi, acc_lo, acc_hi = (np.stack([getattr(r, a) for r, _, _ in cases]) for a in ("lo", "hi", "acc_lo", "acc_hi"))
        small = all(abs(coefficient) < FAR for _, terms, _ in cases for coefficient in terms.values())
        c, m = np.zeros((len(cases), self.num_values), np.int64 if small else object), np.stack([m for _, _, m in cases])
        for k, (_, terms, _) in enumerate(cases):
            c[k, list(terms)] = list(terms.values())
        exact = np.int64 if self._fits(c.astype(float), m.astype(float), lo, hi, acc_lo, acc_hi) else object
        c, m = c.astype(exact), m.astype(exact)
        total, possible = np.zeros(len(cases), exact), np.ones(len(cases), bool)
        slow, size = (1, 8) if exact is np.int64 else (SLOW, SLOW_BYTES)
        for block in reversed(self.blocks):
            n, t = block.neurons, block.target
            ends = acc_lo[:, n], acc_hi[:, n], lo[:, t], hi[:, t]
            total += m[:, n] @ block.bias
            for part in self._parts(block, ends):
                best, some = block.best(part, c[:, t][:, part], m[:, n][:, part], tuple(end[:, part] for end in ends))
                total += best.sum(axis=1)
                possible &= some.all(axis=1)
            for part in self.limits.slices(len(block.bias), slow * len(cases) * len(block.matrix[0]), size * len(block.matrix[0])):
                c[:, block.source] += m[:, n][:, part] @ block.matrix[part]
        x = slice(0, self.num_inputs)
        total += np.maximum(c[:, x] * lo[:, x], c[:, x] * hi[:, x]).sum(axis=1)
        return [int(bound) if some else None for bound, some in zip(total, possible, strict=True)]

    def _parts(self, block: Block, ends: tuple[np.ndarray, ...]) -> Iterator[slice]:
        """A block's outputs, about as many at a time as have ROOM levels in all cases."""
        levels = np.maximum(ends[3] - ends[2] + 1, 1).sum(axis=0) if block.stepped else np.full(len(block.bias), len(ends[0]))
        groups = np.cumsum(levels) // ROOM
        bounds = [0, *(np.flatnonzero(np.diff(groups)) + 1).tolist(), len(groups)]
        for start, stop in pairwise(bounds):
            if start < stop:
                self.limits.require(float(ENTRY * levels[start:stop].sum()))
                yield slice(start, stop)

    def _fits(self, c, m, lo, hi, acc_lo, acc_hi) -> bool:
        """Whether all sums stay inside int64: their magnitudes, in floats, add up to less than 2**61, which leaves room for rounding."""
        size, c, m = np.zeros(len(c)), np.abs(c), np.abs(m)
        y, acc = (np.maximum(np.abs(a), np.abs(b)).astype(float) for a, b in ((lo, hi), (acc_lo, acc_hi)))
        for block in reversed(self.blocks):
            n, t = block.neurons, block.target
            size += (m[:, n] * (acc[:, n] + np.abs(block.bias))).sum(axis=1) + (c[:, t] * y[:, t]).sum(axis=1)
            for part in self.limits.slices(len(block.bias), len(c) * len(block.matrix[0]), 8.0 * len(block.matrix[0])):
                c[:, block.source] += m[:, n][:, part] @ block.magnitude[part].astype(float)
        x = slice(0, self.num_inputs)
        return float(np.maximum(size + (c[:, x] * y[:, x]).sum(axis=1), c.max(axis=1)).max()) < 2.0**61
