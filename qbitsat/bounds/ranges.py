"""Ranges of all values and accumulators of a frame, for a batch of nodes of a search."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .. import _intervals
from .frame import Block, Frame
from .intervals import Bounds


class Ranges:
    """lo and hi, int64[nodes, num_values], acc_lo and acc_hi, int64[nodes, num_neurons]; both ends included."""

    __slots__ = ("acc_hi", "acc_lo", "hi", "lo")

    def __init__(self, lo: np.ndarray, hi: np.ndarray, acc_lo: np.ndarray, acc_hi: np.ndarray):
        self.lo, self.hi, self.acc_lo, self.acc_hi = lo, hi, acc_lo, acc_hi

    def __len__(self) -> int:
        return len(self.lo)

    @classmethod
    def of(cls, bounds: Bounds) -> Ranges:
        """One node with the ranges of interval propagation."""
        layers = [layer for network in bounds.networks for layer in network.layers]
        inputs = [network.input for network in bounds.networks]
        lo, hi = ([getattr(part, name) for part in (*inputs, *layers)] for name in ("lo", "hi"))
        accs = ([getattr(layer, name) for layer in layers] for name in ("acc_lo", "acc_hi"))
        return cls(*(np.concatenate(parts)[None] for parts in (lo, hi, *accs)))

    def take(self, rows: np.ndarray) -> Ranges:
        """A copy of some rows, in the given order."""
        return Ranges(self.lo[rows], self.hi[rows], self.acc_lo[rows], self.acc_hi[rows])

    @staticmethod
    def stack(parts: Sequence[Ranges]) -> Ranges:
        return Ranges(*(np.concatenate([getattr(p, name) for p in parts]) for name in ("lo", "hi", "acc_lo", "acc_hi")))

    def propagate(self, frame: Frame, inputs: bool = False) -> np.ndarray:
        """Forward once, in place: accumulators from what they read, outputs from accumulators and back.

        Layers that read inputs are passed over unless `inputs` says that some input's range has changed. Returns the nodes with
        something left, bool[nodes]; the ranges of the others are of no use.
        """
        left = np.ones(len(self), bool)
        for block in frame.blocks:
            if inputs or block.source.start >= frame.num_inputs:
                self._affine(block)
            left &= self._requantize(block)
        return left

    def _affine(self, block: Block) -> None:
        affine = block.layer.affine
        acc_lo, acc_hi = np.empty((2, len(self), affine.n_out), np.int64)
        x_lo, x_hi = (np.ascontiguousarray(a[:, block.source]) for a in (self.lo, self.hi))
        _intervals.affine(affine.indptr, affine.indices, affine.weights, affine.bias, x_lo, x_hi, acc_lo, acc_hi)
        np.maximum(self.acc_lo[:, block.neurons], acc_lo, out=self.acc_lo[:, block.neurons])
        np.minimum(self.acc_hi[:, block.neurons], acc_hi, out=self.acc_hi[:, block.neurons])

    def _requantize(self, block: Block) -> np.ndarray:
        """Outputs from accumulators and back, where they grow with each other; the nodes with something left."""
        acc_lo, acc_hi = self.acc_lo[:, block.neurons], self.acc_hi[:, block.neurons]
        lo, hi = self.lo[:, block.target], self.hi[:, block.target]
        left = np.ones(len(self), bool)
        if len(block.steps):
            np.maximum(lo, block.layer.requantize(acc_lo), out=lo)
            np.minimum(hi, block.layer.requantize(acc_hi), out=hi)
            left &= (lo <= hi).all(axis=1)
            np.maximum(acc_lo, block.steps[block.channel, lo - block.y_min], out=acc_lo)
            np.minimum(acc_hi, block.steps[block.channel, hi - block.y_min + 1] - 1, out=acc_hi)
        return left & (acc_lo <= acc_hi).all(axis=1)
