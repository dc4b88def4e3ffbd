"""Ranges of all values and accumulators of a frame, for a batch of nodes of a search."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .._kernels.exact import ranges as _ranges
from .frame import Frame
from .intervals import Bounds

# Vector instructions do eight multiply-adds at a time.
PASS_WORK = 1 / 8


class Ranges:
    """lo and hi, int64[nodes, num_values], acc_lo and acc_hi, int64[nodes, num_neurons]; both ends included."""

    __slots__ = ("acc_hi", "acc_lo", "hi", "lo")

    def __init__(self, lo: np.ndarray, hi: np.ndarray, acc_lo: np.ndarray, acc_hi: np.ndarray):
        self.lo, self.hi, self.acc_lo, self.acc_hi = lo, hi, acc_lo, acc_hi

    def __len__(self) -> int:
        return len(self.lo)

    @property
    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """In the order of kernels."""
        return self.lo, self.hi, self.acc_lo, self.acc_hi

    @classmethod
    def of(cls, bounds: Bounds) -> Ranges:
        """One node with the ranges of interval propagation."""
        layers = [layer for network in bounds.networks for layer in network.layers]
        inputs = [network.input for network in bounds.networks]
        lo, hi = ([getattr(part, name) for part in (*inputs, *layers)] for name in ("lo", "hi"))
        accs = ([getattr(layer, name) for layer in layers] for name in ("acc_lo", "acc_hi"))
        return cls(*(np.concatenate(parts)[None] for parts in (lo, hi, *accs)))

    def take(self, rows: np.ndarray | slice) -> Ranges:
        """Some rows, in the given order: a copy, or a view of a slice."""
        return Ranges(self.lo[rows], self.hi[rows], self.acc_lo[rows], self.acc_hi[rows])

    @staticmethod
    def stack(parts: Sequence[Ranges]) -> Ranges:
        return Ranges(*(np.concatenate([getattr(p, name) for p in parts]) for name in ("lo", "hi", "acc_lo", "acc_hi")))

    def propagate(self, frame: Frame, inputs: bool = False) -> np.ndarray:
        """Forward once, in place: accumulators from what they read, outputs from accumulators and back.

        Layers that read an input are passed over unless `inputs` says that some input's range has changed. Returns the nodes with
        something left, bool[nodes]; the ranges of the others are of no use.
        """
        left = np.zeros(len(self), bool)
        for rows in frame.limits.slices(len(self), PASS_WORK * frame.products + frame.num_values):
            left[rows] = _ranges.propagate(frame.kernel, *self.take(rows).arrays, inputs)
        return left
