"""Ranges of all values and accumulators of a layout, for a batch of nodes of a search."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from .._kernels.exact import ranges as _ranges
from ..properties import Ref
from .layout import Layout

# Vector instructions do eight multiply-adds at a time.
PASS_WORK = 1 / 8
# After so many passes ranges count as at rest.
MOST_PASSES = 100


class LayerRanges(NamedTuple):
    """Those of one layer's outputs in one node, int64[outputs] each: views, of accumulators and of what becomes of them."""

    acc_lo: np.ndarray
    acc_hi: np.ndarray
    lo: np.ndarray
    hi: np.ndarray

    @property
    def num_fixed(self) -> int:
        """Outputs that take one value only."""
        return int((self.lo == self.hi).sum())


class Ranges:
    """lo and hi, int64[nodes, num_values], acc_lo and acc_hi, int64[nodes, num_neurons]; both ends included.

    layout says where everything stands. It does not go with them to another process.
    """

    __slots__ = ("_layout", "acc_hi", "acc_lo", "hi", "lo")

    def __init__(self, lo: np.ndarray, hi: np.ndarray, acc_lo: np.ndarray, acc_hi: np.ndarray, layout: Layout | None = None):
        self.lo, self.hi, self.acc_lo, self.acc_hi, self._layout = lo, hi, acc_lo, acc_hi, layout

    def __reduce__(self) -> tuple[Any, ...]:
        return Ranges, self.arrays

    def __len__(self) -> int:
        return len(self.lo)

    @property
    def layout(self) -> Layout:
        if self._layout is None:
            raise ValueError("ranges from another process have no layout")
        return self._layout

    @property
    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """In the order of kernels."""
        return self.lo, self.hi, self.acc_lo, self.acc_hi

    def of(self, ref: Ref, row: int = 0) -> tuple[int, int]:
        """The range of an element that a formula names, in one node."""
        value = self.layout.value(ref)
        return int(self.lo[row, value]), int(self.hi[row, value])

    def layer(self, network: int, k: int, row: int = 0) -> LayerRanges:
        """The ranges of layer k of a network, in one node."""
        block = self.layout.block(network, k)
        return LayerRanges(*(a[row, block.neurons] for a in self.arrays[2:]), *(a[row, block.target] for a in self.arrays[:2]))

    def network(self, k: int, row: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """The ranges of network k in one node, in the order of `arrays` and numbered as in `Network`."""
        inputs, outputs = self.layout.inputs[k], self.layout.outputs[k]
        neurons = slice(outputs.start - self.layout.num_inputs, outputs.stop - self.layout.num_inputs)
        lo, hi = (np.concatenate([ends[row, inputs], ends[row, outputs]]) for ends in (self.lo, self.hi))
        return lo, hi, self.acc_lo[row, neurons], self.acc_hi[row, neurons]

    def before(self, layout: Layout) -> Ranges:
        """Those of `Layout.before` alone: views."""
        values, neurons = layout.num_values, layout.num_neurons
        return Ranges(self.lo[:, :values], self.hi[:, :values], self.acc_lo[:, :neurons], self.acc_hi[:, :neurons], layout)

    def take(self, rows: np.ndarray | slice) -> Ranges:
        """Some rows, in the given order: a copy, or a view of a slice."""
        return Ranges(self.lo[rows], self.hi[rows], self.acc_lo[rows], self.acc_hi[rows], self._layout)

    @staticmethod
    def stack(parts: Sequence[Ranges]) -> Ranges:
        lo, hi, acc_lo, acc_hi = (np.concatenate(ends) for ends in zip(*(p.arrays for p in parts), strict=True))
        return Ranges(lo, hi, acc_lo, acc_hi, next((p._layout for p in parts if p._layout is not None), None))

    def meet(self, other: Ranges) -> None:
        """Cut all rows, in place, to the ranges of another's only one."""
        for k, (ends, known) in enumerate(zip(self.arrays, other.arrays, strict=True)):
            (np.maximum, np.minimum)[k % 2](ends, known, out=ends)

    def possible(self) -> np.ndarray:
        """Which rows are not empty: bool[nodes]."""
        pairs = (self.lo, self.hi), (self.acc_lo, self.acc_hi)
        return np.logical_and(*[np.all(lo <= hi, axis=1) for lo, hi in pairs])

    def rest(self, layout: Layout) -> bool:
        """Propagate one row, in place, until nothing changes any more, or it is too slow; whether something is left."""
        for _ in range(MOST_PASSES):
            before = [ends.copy() for ends in self.arrays]
            if not self.propagate(layout, inputs=True).all():
                return False
            if all((old == new).all() for old, new in zip(before, self.arrays, strict=True)):
                break
        return True

    def propagate(self, layout: Layout, inputs: bool = False, changed: np.ndarray | None = None) -> np.ndarray:
        """Forward once, in place: accumulators from what they read, outputs from accumulators and back.

        Layers that read inputs alone are passed over unless `inputs` says that some input's range has changed. changed int64[nodes] is, of
        nodes that were propagated before, the first of the outputs whose ranges are others since: layers before are passed over.
        Returns the nodes with something left, bool[nodes]; the ranges of the others are of no use.
        """
        left, first = np.zeros(len(self), bool), np.zeros(len(self), np.int64)
        if changed is not None and not inputs and layout.settles:
            first = np.searchsorted([block.target.start for block in layout.blocks], changed, side="right") - 1
        for rows in layout.limits.slices(len(self), PASS_WORK * layout.products + layout.num_values):
            left[rows] = _ranges.propagate(layout.kernel, *self.take(rows).arrays, inputs, first[rows])
        return left
