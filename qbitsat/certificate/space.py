"""Where a query's inputs, accumulators and outputs can be: intervals, and what integer multipliers prove about them.

Everything is read off the definition of the networks: W, b, and the requantizers' `apply` and `first_reaching`. Values are the inputs
of all networks, then the outputs of all layers, network by network; neurons are those outputs. All numbers are integers: int64
where sums provably stay below 2**62, Python's own where they might not.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ..arithmetic import Requantizer
from ..network import Layer
from ..properties import Query, Ref
from ..properties.formula import INPUT

# Accumulators stay far below this; it stands for "none".
FAR = 1 << 61
# Requantizers with more levels get no table; like wrap-around, their y and acc count as unrelated.
MAX_LEVELS = 1 << 12
# Entries of the tables that are compared at a time.
ROOM = 1 << 21


@lru_cache(maxsize=4096)
def level_starts(requantizer: Requantizer, lo: int, hi: int) -> np.ndarray:
    """int64[hi - lo + 2]: the smallest acc with apply(acc) >= v, for v from lo to hi + 1."""
    starts = [-FAR if v <= requantizer.lo else FAR if v > requantizer.hi else requantizer.first_reaching(v) for v in range(lo, hi + 2)]
    return np.array([min(max(start, -FAR), FAR) for start in starts], np.int64)


class Block:
    """One layer: its matrix and bias, which values it reads and gives, and where the steps of its outputs begin."""

    def __init__(self, network: int, layer: Layer, source: slice, target: slice, neurons: slice):
        affine = layer.affine
        self.network, self.layer, self.source, self.target, self.neurons = network, layer, source, target, neurons
        self.matrix = np.zeros((affine.n_out, affine.n_in), np.int64)
        self.matrix[np.repeat(np.arange(affine.n_out), np.diff(affine.indptr)), affine.indices] = affine.weights
        self.up, self.down, self.size = np.maximum(self.matrix, 0), np.minimum(self.matrix, 0), np.abs(self.matrix).astype(float)
        self.bias, self.y_min = affine.bias, layer.output.lo
        self.stepped = all(r.monotone for r in layer.requantizers) and layer.output.hi - layer.output.lo < MAX_LEVELS
        if self.stepped:
            self.starts = np.stack([level_starts(r, layer.output.lo, layer.output.hi) for r in layer.requantizers])
            self.row = np.arange(affine.n_out) % len(self.starts)

    def accumulate(self, lo: np.ndarray, hi: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The range of W x + b for lo <= x <= hi."""
        return self.up @ lo + self.down @ hi + self.bias, self.up @ hi + self.down @ lo + self.bias

    def best(self, c: np.ndarray, m: np.ndarray, ends: tuple[np.ndarray, ...]) -> tuple[np.ndarray, np.ndarray]:
        """The largest c * y - m * acc of every output over its pairs (acc, y) inside the ranges, and whether it has one; [B, n] each."""
        acc_lo, acc_hi, lo, hi = ends
        if not self.stepped:
            return np.maximum(c * lo, c * hi) + np.maximum(-m * acc_lo, -m * acc_hi), acc_lo <= acc_hi
        # One entry for each output and each of its levels inside [lo, hi], next to each other; `begin` is where an output's start.
        counts = (hi - lo + 1).ravel()
        begin = np.cumsum(counts) - counts
        which = np.repeat(np.arange(counts.size), counts)
        v = lo.ravel()[which] + np.arange(len(which)) - begin[which]
        row, level = self.row[which % len(self.row)], v - self.y_min
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
    """All values of a query."""

    def __init__(self, query: Query):
        self.query, self.blocks = query, list[Block]()
        self.inputs, self.outputs = list[slice](), list[slice]()
        self.num_inputs = end = sum(network.input.size for network in query.networks)
        start = 0
        for k, network in enumerate(query.networks):
            source = slice(start, start + network.input.size)
            self.inputs.append(source)
            start = source.stop
            for layer in network.layers:
                target = slice(end, end + layer.affine.n_out)
                self.blocks.append(Block(k, layer, source, target, slice(end - self.num_inputs, target.stop - self.num_inputs)))
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
            images = [block.layer.requantizer(i).image(int(a), int(b)) for i, (a, b) in enumerate(zip(*acc, strict=True))]
            lo[block.target], hi[block.target] = np.array(images).T
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
        widest = max(int((case[0].hi - case[0].lo)[self.num_inputs :].max()) + 1 if self.num_neurons else 1 for case in cases)
        n = max(1, ROOM // (min(widest, MAX_LEVELS) * max(1, self.num_neurons)))
        return [bound for start in range(0, len(cases), n) for bound in self._largest(cases[start : start + n])]

    def _largest(self, cases: list[tuple[Ranges, dict[int, int], np.ndarray]]) -> list[int | None]:
        lo, hi, acc_lo, acc_hi = (np.stack([getattr(r, a) for r, _, _ in cases]) for a in ("lo", "hi", "acc_lo", "acc_hi"))
        small = all(abs(coefficient) < FAR for _, terms, _ in cases for coefficient in terms.values())
        c, m = np.zeros((len(cases), self.num_values), np.int64 if small else object), np.stack([m for _, _, m in cases])
        for k, (_, terms, _) in enumerate(cases):
            c[k, list(terms)] = list(terms.values())
        exact = np.int64 if self._fits(c.astype(float), m.astype(float), lo, hi, acc_lo, acc_hi) else object
        c, m = c.astype(exact), m.astype(exact)
        total, possible = np.zeros(len(cases), exact), np.ones(len(cases), bool)
        for block in reversed(self.blocks):
            n, t = block.neurons, block.target
            best, some = block.best(c[:, t], m[:, n], (acc_lo[:, n], acc_hi[:, n], lo[:, t], hi[:, t]))
            total += best.sum(axis=1) + m[:, n] @ block.bias
            possible &= some.all(axis=1)
            c[:, block.source] += m[:, n] @ block.matrix
        x = slice(0, self.num_inputs)
        total += np.maximum(c[:, x] * lo[:, x], c[:, x] * hi[:, x]).sum(axis=1)
        return [int(bound) if some else None for bound, some in zip(total, possible, strict=True)]

    def _fits(self, c, m, lo, hi, acc_lo, acc_hi) -> bool:
        """Whether all sums stay inside int64: their magnitudes, in floats, add up to less than 2**61, which leaves room for rounding."""
        size, c, m = np.zeros(len(c)), np.abs(c), np.abs(m)
        y, acc = (np.maximum(np.abs(a), np.abs(b)).astype(float) for a, b in ((lo, hi), (acc_lo, acc_hi)))
        for block in reversed(self.blocks):
            n, t = block.neurons, block.target
            size += (m[:, n] * (acc[:, n] + np.abs(block.bias))).sum(axis=1) + (c[:, t] * y[:, t]).sum(axis=1)
            c[:, block.source] += m[:, n] @ block.size
        x = slice(0, self.num_inputs)
        return float(np.maximum(size + (c[:, x] * y[:, x]).sum(axis=1), c.max(axis=1)).max()) < 2.0**61
