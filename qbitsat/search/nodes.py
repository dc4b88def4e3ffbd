"""Open nodes of a search, as arrays with one row a node."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from ..bounds.ranges import Ranges


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
        if len(parts) == 1:
            return parts[0]
        arrays = {f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Nodes) if f.name != "ranges"}
        return Nodes(Ranges.stack([p.ranges for p in parts]), **arrays)

    @staticmethod
    def root(ranges: Ranges, num_neurons: int, most: int) -> Nodes:
        """The one node that a search starts from: branch 0, id 0."""
        zero, none = np.zeros(1, np.int64), np.full((1, most), -1, np.int32)
        floats = np.zeros((1, num_neurons), np.float32), np.ones((1, most), np.float32)
        numbers = zero, zero.copy(), np.ones(1, bool), none[:, 0].copy(), zero.copy(), np.ones(1), zero - 1
        return Nodes(ranges, *numbers, *floats, none, none.copy())
