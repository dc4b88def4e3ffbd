"""Open nodes of a search, as arrays with one row a node."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from ..bounds.ranges import Ranges


class KeptRanges(Ranges):
    """Ranges of nodes that wait, kept as what each of them has other than the first.

    Nodes that are near in the tree have nearly all in common, 96 % of the ranges of a convolutional network. Nothing but `take`, `arrays`
    and the number is asked of them.
    """

    __slots__ = ("_count", "_first", "_parts")

    def __init__(self, ranges: Ranges):
        self._layout, self._first, self._count = ranges._layout, ranges.take(np.zeros(1, np.int64)), len(ranges)
        # Of each array: where in it they differ, in order, what is there, and where those of each node begin.
        self._parts = list[tuple[np.ndarray, np.ndarray, list[int]]]()
        for all_, first in zip(ranges.arrays, self._first.arrays, strict=True):
            rows, places = np.nonzero(all_ != first)
            self._parts.append((places.astype(np.int32), all_[rows, places], np.searchsorted(rows, np.arange(len(ranges) + 1)).tolist()))

    def __len__(self) -> int:
        return self._count

    @property
    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Of all of them, as of `Ranges`."""
        return self.take(slice(None)).arrays

    def take(self, rows: np.ndarray | slice) -> Ranges:
        """Some rows, in the given order: a copy."""
        numbers = np.arange(self._count)[rows].tolist()
        arrays = list[np.ndarray]()
        for first, (places, values, starts) in zip(self._first.arrays, self._parts, strict=True):
            array = np.repeat(first, len(numbers), axis=0)
            for k, number in enumerate(numbers):
                mine = slice(starts[number], starts[number + 1])
                array[k, places[mine]] = values[mine]
            arrays.append(array)
        lo, hi, acc_lo, acc_hi = arrays
        return Ranges(lo, hi, acc_lo, acc_hi, self._layout)


@dataclass(eq=False)
class Nodes:
    """ranges       what is left for every value
    branch       int64[nodes]: which branch of the formula
    id           int64[nodes]: number in the proof
    cold         bool[nodes]: no multipliers yet, those of no parent either
    anchor       int32[nodes]: the neuron whose multiplier is fixed, so that zero is no solution, or -1
    depth        int64[nodes]: splits since the root
    weight       float64[nodes]: its share of the tree: the root has 1, children have equal parts of their parent's
    basis        int64[nodes]: where the linear program of its parent ended, or -1
    multipliers  float32[nodes, neurons], shares float32[nodes, most]: where the search for a proof starts
    atoms        int32[nodes, most]: the branch's inequalities that the ranges leave open, then -1s
    slots        int32[nodes, most]: where in the branch each of them stands, and its share
    """

    ranges: Ranges
    branch: np.ndarray
    id: np.ndarray
    cold: np.ndarray
    anchor: np.ndarray
    depth: np.ndarray
    weight: np.ndarray
    basis: np.ndarray
    multipliers: np.ndarray
    shares: np.ndarray
    atoms: np.ndarray
    slots: np.ndarray

    def __len__(self) -> int:
        return len(self.branch)

    def take(self, rows: np.ndarray | slice) -> Nodes:
        """Some rows, in the given order: a copy, or a view of a slice."""
        arrays = {f.name: getattr(self, f.name)[rows] for f in fields(self) if f.name != "ranges"}
        return Nodes(self.ranges.take(rows), **arrays)

    @staticmethod
    def stack(parts: Sequence[Nodes]) -> Nodes:
        """One after the other, with ranges that can be cut, also of nodes that were kept."""
        if len(parts) == 1:
            return parts[0].take(slice(None))
        arrays = {f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Nodes) if f.name != "ranges"}
        return Nodes(Ranges.stack([p.ranges for p in parts]), **arrays)

    def kept(self) -> Nodes:
        """The same, in less memory, for as long as they wait."""
        return replace(self, ranges=KeptRanges(self.ranges))

    @staticmethod
    def root(ranges: Ranges, num_neurons: int, most: int) -> Nodes:
        """The one node that a search starts from: branch 0, id 0."""
        zero, none = np.zeros(1, np.int64), np.full((1, most), -1, np.int32)
        floats = np.zeros((1, num_neurons), np.float32), np.ones((1, most), np.float32)
        numbers = zero, zero.copy(), np.ones(1, bool), none[:, 0].copy(), zero.copy(), np.ones(1), zero - 1
        return Nodes(ranges, *numbers, *floats, none, none.copy())
