"""Where a query's inputs, accumulators and outputs can be: intervals, and what integer multipliers prove about them.

Everything is read off the definition of the networks: affine maps, what they read, and the requantizers' `apply` and `thresholds`.
Values are the inputs of all networks, then the outputs of all layers, network by network; neurons are those outputs. All numbers are
integers: int64 where sums provably stay below 2**62, Python's own where they might not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import NamedTuple

import numpy as np

from ..arithmetic import Requantizer, ShiftRequantizer
from ..limits import NO_LIMITS, Limits
from ..network import Network
from ..network.layers import PADDING
from ..properties import Query, Ref
from ..properties.formula import OUTPUT
from .links import Links
from .products import Products, products
from .steps import FAR, MAX_LEVELS, Steps

__all__ = ["FAR", "MAX_LEVELS", "Block", "Layout", "Ranges"]

# What the image of a range takes in Python, in multiply-adds.
IMAGE = 1 << 12
# Cases that `Layout.largest` works on together: fewer of many values, which stay close at hand.
TOGETHER, NUMBERS = 64, 1 << 18
# After so many passes ranges count as at rest.
MOST_PASSES = 100


class Place(NamedTuple):
    """Where a layer stands: inputs of all networks; what is added to the numbers of its network's inputs, and other values; its outputs."""

    num_inputs: int
    shifts: tuple[int, int]
    target: slice


class Block:
    """One layer: its products and steps, which values its cells are (PADDING: none), and which values and neurons it gives.

    number is that of the layer in its network; like is another block of the same layer, whose arrays it shares.
    """

    products: Products
    steps: Steps

    def __init__(self, network: int, of: Network, number: int, place: Place, limits: Limits, like: Block | None):
        self.network, self.of, self.number, self.layer, self.limits = network, of, number, of.layers[number], limits
        num_inputs, self.shifts, target = place
        self.target, self.neurons = target, slice(target.start - num_inputs, target.stop - num_inputs)
        self.bias, self.zero_point = self.layer.affine.biases, self.layer.input.zero_point
        self.view = renumbered(of, of.views[number], self.shifts)
        self.padding = np.flatnonzero(self.view == PADDING)
        self.reads_inputs = bool(((self.view != PADDING) & (self.view < num_inputs)).any())
        self.reads_neurons = bool((self.view >= num_inputs).any())
        self.products = like.products if like else products(self.layer.affine, limits)
        self.steps = like.steps if like else Steps(self.layer, limits)
        # Of a requantizer the widest step between two of its levels, where that was asked for.
        self.widest: dict[int, int] = like.widest if like else {}

    @cached_property
    def reach(self) -> np.ndarray:
        """What each accumulator, less its bias, adds up in magnitude at most, padding included; at least the sum of its |weights|."""
        largest = max(1, abs(self.layer.input.lo), abs(self.layer.input.hi), abs(self.zero_point))
        return self.layer.affine.magnitudes().astype(float) * largest

    def row(self, i: int) -> tuple[np.ndarray, np.ndarray, int]:
        """Accumulator i as values of the layout, each once and ascending, their weights, and a bias, padding included."""
        values, weights, bias = self.of.row(self.number, i)
        return renumbered(self.of, values, self.shifts), weights, bias

    def sources(self, outputs: np.ndarray) -> np.ndarray:
        """The values, some of them twice, that some outputs of a mask read with a weight that is not 0."""
        values = self.view[self.layer.affine.sources(outputs)]
        return values[values != PADDING]

    def reading(self, values: np.ndarray) -> np.ndarray:
        """The lines of its products that read some values of a mask, and perhaps some more: bool[num_values] -> int64[n]."""
        cells = values[self.view]
        cells[self.padding] = False
        return self.products.reading(cells) if cells.any() else np.zeros(0, np.int64)

    def outputs_of(self, lines: np.ndarray) -> np.ndarray:
        """The outputs in some lines, one after the other."""
        return (lines[:, None] * self.products.width + np.arange(self.products.width)).ravel()

    def accumulate(self, lo: np.ndarray, hi: np.ndarray, lines: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """The range of W x + b for lo <= x <= hi, of all outputs or of those in some lines: W (lo + hi) and |W| (hi - lo) are twice its
        middle and twice half its width.

        As |W| x stays below 2**60 for all x of the format, both stay below 2**61.
        """
        ends = np.stack([lo[self.view], hi[self.view]])
        ends[:, self.padding] = self.zero_point
        middle = self.products.apply(ends.sum(axis=0)[None], False, lines)[0]
        width = self.products.apply(ends[1:] - ends[:1], True, lines)[0]
        bias = self.bias if lines is None else self.bias[self.outputs_of(lines)]
        return (middle - width >> 1) + bias, (middle + width >> 1) + bias

    def images(self, acc_lo: np.ndarray, acc_hi: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The ranges of outputs for ranges of accumulators."""
        lo, hi, requantizers = acc_lo.copy(), acc_hi.copy(), self.layer.requantizers
        kinds: dict[Requantizer, list[int]] = {}
        for i, requantizer in enumerate(requantizers):
            kinds.setdefault(requantizer, []).append(i)
        for requantizer, places in kinds.items():
            o = (np.array(places)[None] + np.arange(0, len(lo), len(requantizers))[:, None]).ravel()
            if requantizer.monotone:
                lo[o], hi[o] = requantizer.apply(acc_lo[o]), requantizer.apply(acc_hi[o])
                continue
            for part in self.limits.slices(len(o), IMAGE):
                some = o[part]
                pairs = zip(acc_lo[some].tolist(), acc_hi[some].tolist(), strict=True)
                lo[some], hi[some] = np.array([requantizer.image(*ends) for ends in pairs]).T
        return lo, hi

    def spread(self, m: np.ndarray, c: np.ndarray) -> np.ndarray:
        """Adds m W to c, [batch, num_values]; returns what padding gives, [batch]."""
        rest, sums = np.zeros(len(m), m.dtype), c.reshape(-1)
        for cases, cells, parts in self.products.spread(m):
            cases, values, parts = (array.ravel() for array in np.broadcast_arrays(cases, self.view[cells], parts))
            if len(self.padding):
                outside = values == PADDING
                np.add.at(rest, cases[outside], parts[outside] * self.zero_point)
                cases, values, parts = cases[~outside], values[~outside], parts[~outside]
            np.add.at(sums, cases * c.shape[1] + values, parts)
        return rest

    def widest_step(self, i: int) -> int:
        """No fewer accumulators than give output i any level between its smallest and its largest; 0 if there are no levels between.

        Beyond MAX_LEVELS a shift has levels of 2**shift, less than twice that around 0 or one more at even levels; 2**62 for others.
        """
        row = i % len(self.layer.requantizers)
        requantizer = self.layer.requantizers[row]
        if requantizer.hi - requantizer.lo > MAX_LEVELS:
            if type(requantizer) is not ShiftRequantizer:
                return 1 << 62
            shift = max(0, requantizer.shift)
            return {"toward_zero": (2 << shift) - 1, "half_even": (1 << shift) + 1}.get(requantizer.rounding, 1 << shift)
        if row not in self.widest:
            self.widest[row] = int(np.diff(requantizer.thresholds(FAR)).max(initial=0))
        return self.widest[row]


@dataclass(frozen=True)
class Ranges:
    """lo <= value <= hi and acc_lo <= acc <= acc_hi, int64[num_values] and int64[num_neurons].

    Of what `Layout.propagate` still has to look at, masks bool[num_values]: values whose range became narrower and that were not read
    since, and those that may become narrower by what is known of their accumulators and of themselves.
    """

    lo: np.ndarray
    hi: np.ndarray
    acc_lo: np.ndarray
    acc_hi: np.ndarray
    unread: np.ndarray
    restless: np.ndarray

    @classmethod
    def at_rest(cls, lo: np.ndarray, hi: np.ndarray, acc_lo: np.ndarray, acc_hi: np.ndarray) -> Ranges:
        """Those of which there is nothing to be looked at."""
        return cls(lo, hi, acc_lo, acc_hi, np.zeros(len(lo), bool), np.zeros(len(lo), bool))

    def copy(self) -> Ranges:
        return Ranges(*(getattr(self, field.name).copy() for field in fields(self)))

    def touch(self, value: int) -> None:
        """The value's range was set."""
        self.unread[value] = self.restless[value] = True

    def empty(self) -> bool:
        return bool((self.lo > self.hi).any() or (self.acc_lo > self.acc_hi).any())


class Layout:
    """The numbers of all values of a query, its layers over them, and what is known of them.

    Layers that come again, in one network or in another, have their arrays once.

    links are values (a, b, e, d) with acc_a - acc_b = e and y_a - y_b = d. They count where a and b both move and have steps; see `Links`.
    """

    def __init__(self, query: Query, limits: Limits = NO_LIMITS, links: Sequence[tuple[int, int, int, int]] = ()):
        self.query, self.limits, self.blocks = query, limits, list[Block]()
        known: dict[int, Block] = {}
        self.inputs, self.outputs, self.shifts = list[slice](), list[np.ndarray](), list[tuple[int, int]]()
        self.num_inputs = end = sum(network.num_inputs for network in query.networks)
        start = 0
        for k, network in enumerate(query.networks):
            self.inputs.append(slice(start, start + network.num_inputs))
            # Numbers of the network's inputs, and of its other values, here less there.
            shifts, start = (start, end - network.num_inputs), start + network.num_inputs
            for number, (layer, view) in enumerate(zip(network.layers, network.views, strict=True)):
                limits.require(16.0 * (len(view) + layer.affine.n_out))
                target = slice(end, end + layer.affine.n_out)
                place = Place(self.num_inputs, shifts, target)
                self.blocks.append(Block(k, network, number, place, limits, known.get(id(layer))))
                known.setdefault(id(layer), self.blocks[-1])
                end = target.stop
            self.outputs.append(renumbered(network, network.outputs, shifts))
            self.shifts.append(shifts)
        self.num_values, self.num_neurons = end, end - self.num_inputs
        self.links = list(links)
        self.chosen: dict[int, Links] = {}
        self.cuttable = np.ones(end, bool)
        for block in self.blocks:
            self.cuttable[block.target] = block.steps.stepped

    def index(self, ref: Ref) -> int:
        """The value that a formula names."""
        if ref.tensor == OUTPUT:
            return int(self.outputs[ref.network][ref.element])
        low, high = self.shifts[ref.network]
        return ref.element + (low if ref.element < self.query.networks[ref.network].num_inputs else high)

    def block_of(self, value: int) -> Block | None:
        """The block that gives a value; None for inputs."""
        return next((block for block in self.blocks if block.target.start <= value < block.target.stop), None)

    # --- intervals ---

    @cached_property
    def whole(self) -> Ranges:
        """The ranges of everything for inputs in the boxes."""
        lo, hi = np.zeros(self.num_values, np.int64), np.zeros(self.num_values, np.int64)
        acc_lo, acc_hi = np.zeros(self.num_neurons, np.int64), np.zeros(self.num_neurons, np.int64)
        for part, box in zip(self.inputs, self.query.boxes, strict=True):
            lo[part], hi[part] = box.lo, box.hi
        for block in self.blocks:
            acc = block.accumulate(lo, hi)
            acc_lo[block.neurons], acc_hi[block.neurons] = acc
            lo[block.target], hi[block.target] = block.images(*acc)
        ranges = Ranges.at_rest(lo, hi, acc_lo, acc_hi)
        if self.links:
            self._choose_links(ranges)
            ranges.unread[:] = ranges.restless[:] = True
            self.propagate(ranges, inputs=True)  # of a box there is always something left
        return ranges

    def _choose_links(self, ranges: Ranges) -> None:
        """Those whose outputs both move and have steps, by the blocks that hold their d."""
        free = (ranges.lo < ranges.hi) & self.cuttable
        chosen = np.array([link for link in self.links if free[link[0]] and free[link[1]]], np.int64).reshape(-1, 4)
        for number, block in enumerate(self.blocks):
            mine = chosen[(chosen[:, 3] >= block.target.start) & (chosen[:, 3] < block.target.stop)]
            if len(mine):
                self.chosen[number] = Links(self, mine)

    def accumulators(self, ranges: Ranges) -> Ranges:
        """The same values, with the accumulators that they give."""
        parts = [block.accumulate(ranges.lo, ranges.hi) for block in self.blocks]
        return Ranges.at_rest(ranges.lo, ranges.hi, *(np.concatenate(ends) for ends in zip(*parts, strict=True)))

    def propagate(self, ranges: Ranges, inputs: bool = False) -> Ranges | None:
        """Forward once through all layers, those that read inputs alone only if `inputs`; None if nothing is left. Changes `ranges`.

        Accumulators from the values that they read, outputs from accumulators, and accumulators from outputs; but of these only what can
        have changed since the last time.
        """
        every, moved = np.arange(self.num_values), np.zeros(self.num_values, bool)
        for number, block in enumerate(self.blocks):
            n, t = block.neurons, block.target
            ends, restless = (ranges.acc_lo[n], ranges.acc_hi[n], ranges.lo[t], ranges.hi[t]), ranges.restless[t]
            # Layers that were passed over have not seen what they read.
            lines = block.reading(ranges.unread) if block.reads_neurons and not (inputs and block.reads_inputs) else None
            if inputs if lines is None else len(lines):
                o = every[: len(restless)] if lines is None else block.outputs_of(lines)
                acc_lo, acc_hi = block.accumulate(ranges.lo, ranges.hi, lines)
                restless[o] |= (acc_lo > ends[0][o]) | (acc_hi < ends[1][o])
                ends[0][o], ends[1][o] = np.maximum(ends[0][o], acc_lo), np.minimum(ends[1][o], acc_hi)
            o = np.flatnonzero(restless)
            if len(o):
                before = [end[o] for end in ends]
                if not block.steps.narrow(*ends, o):
                    return None
                acc_lo_moved, acc_hi_moved, lo_moved, hi_moved = (end[o] != old for end, old in zip(ends, before, strict=True))
                ranges.unread[t][o] |= lo_moved | hi_moved
                restless[o] = acc_lo_moved | acc_hi_moved | lo_moved | hi_moved
            if number in self.chosen and not self.chosen[number].settle(ranges, moved):
                return None
        ranges.unread[:] = moved
        return ranges

    def rest(self, ranges: Ranges) -> Ranges | None:
        """Propagated until nothing changes any more, or it is too slow; None if nothing is left."""
        new = ranges.copy()
        for _ in range(MOST_PASSES):
            before = new.copy()
            new.unread[:] = new.restless[:] = True
            if self.propagate(new, inputs=True) is None:
                return None
            if all((getattr(before, name) == getattr(new, name)).all() for name in ("lo", "hi", "acc_lo", "acc_hi")):
                break
        return new

    def cut(self, ranges: Ranges, value: int, lo: int, hi: int) -> Ranges | None:
        """The ranges with lo <= value <= hi, of value -1 - i the accumulator of neuron i; None if nothing is left."""
        new = ranges.copy()
        if value < 0:
            i = -1 - value
            new.acc_lo[i], new.acc_hi[i] = max(lo, int(new.acc_lo[i])), min(hi, int(new.acc_hi[i]))
            new.restless[self.num_inputs + i] = True
            return None if new.acc_lo[i] > new.acc_hi[i] else self.propagate(new)
        new.lo[value], new.hi[value] = max(lo, int(new.lo[value])), min(hi, int(new.hi[value]))
        new.touch(value)
        return None if new.lo[value] > new.hi[value] else self.propagate(new, value < self.num_inputs)

    def narrowed(self, ranges: Ranges, atoms: list[tuple[dict[int, int], int]]) -> Ranges | None:
        """What sums of coefficient * value <= bound, one after the other, leave of the ranges, carried forward once; None if nothing.

        A value's coefficient * value is at most the bound less the smallest sum of the other terms. Where ranges cannot reach a sum
        nothing is left. Outputs of layers without steps are not cut.
        """
        new, inputs = ranges.copy(), False
        for terms, bound in atoms:
            self.limits.check()
            inputs |= any(value < self.num_inputs for value in terms)
            room = bound - self.smallest(terms, new)
            if room < 0:
                return None
            ends = {v: c * int((new.lo if c > 0 else new.hi)[v]) + room for v, c in terms.items() if self.cuttable[v]}
            for v, most in ends.items():
                new.touch(v)
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
        step = max(1, min(TOGETHER, NUMBERS // self.num_values))
        return [bound for start in range(0, len(cases), step) for bound in self._largest(cases[start : start + step])]

    def _largest(self, cases: list[tuple[Ranges, dict[int, int], np.ndarray]]) -> list[int | None]:
        self.limits.require(64.0 * len(cases) * self.num_values)
        lo, hi, acc_lo, acc_hi = (np.stack([getattr(r, a) for r, _, _ in cases]) for a in ("lo", "hi", "acc_lo", "acc_hi"))
        small = max(max(map(abs, terms.values()), default=0) for _, terms, _ in cases) < FAR
        c, m = np.zeros((len(cases), self.num_values), np.int64 if small else object), np.stack([m for _, _, m in cases])
        for k, (_, terms, _) in enumerate(cases):
            c[k, list(terms)] = list(terms.values())
        exact = np.int64 if self._fits(c.astype(float), m.astype(float), lo, hi, acc_lo, acc_hi) else object
        c, m = c.astype(exact), m.astype(exact)
        total, possible = np.zeros(len(cases), exact), np.ones(len(cases), bool)
        for block in reversed(self.blocks):
            n, t = block.neurons, block.target
            best, some = block.steps.best(c[:, t], m[:, n], (acc_lo[:, n], acc_hi[:, n], lo[:, t], hi[:, t]))
            total += m[:, n] @ block.bias + best + block.spread(m[:, n], c)
            possible &= some
        x = slice(0, self.num_inputs)
        total += np.maximum(c[:, x] * lo[:, x], c[:, x] * hi[:, x]).sum(axis=1)
        return [int(bound) if some else None for bound, some in zip(total, possible, strict=True)]

    def _fits(self, c, m, lo, hi, acc_lo, acc_hi) -> bool:
        """Whether all sums stay inside int64: their magnitudes, in floats, add up to less than 2**61, which leaves room for rounding.

        |m_i| times the reach of a row is no less than what it adds to all c' and to all c' . values.
        """
        size, c, m = np.zeros(len(c)), np.abs(c), np.abs(m)
        y, acc = (np.maximum(np.abs(a), np.abs(b)).astype(float) for a, b in ((lo, hi), (acc_lo, acc_hi)))
        for block in self.blocks:
            n = block.neurons
            size += (m[:, n] * (acc[:, n] + np.abs(block.bias) + block.reach)).sum(axis=1)
        return float((size + (c * np.maximum(y, 1.0)).sum(axis=1)).max()) < 2.0**61


def renumbered(network: Network, values: np.ndarray, shifts: tuple[int, int]) -> np.ndarray:
    """A network's values by the numbers that they have in a layout: int64; PADDING stays."""
    values = values.astype(np.int64)
    return np.where(values == PADDING, PADDING, values + np.where(values < network.num_inputs, *shifts))
