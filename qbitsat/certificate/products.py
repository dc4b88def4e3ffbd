"""Products with the weights of a layer, where they stand: shared by positions and groups, or in compressed rows.

int64 is exact wherever the caller knows that sums stay inside it; arrays of Python's integers are exact everywhere; of floats, which say
how large sums can become, the magnitudes of weights are used.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator

import numpy as np

from ..errors import UnsupportedError
from ..limits import NO_LIMITS, Limits
from ..network import AffineMap, Patches, SparseRows

# A multiply-add in Python's integers, in those of int64, and its bytes.
SLOW, SLOW_BYTES = 1 << 6, 48
# What it takes to gather a cell, or to add to it, in multiply-adds.
GATHER = 16


class Products(ABC):
    """W of one layer, for cells x."""

    n_out: int

    @abstractmethod
    def apply(self, x: np.ndarray, magnitudes: bool = False) -> np.ndarray:
        """W x, or |W| x: int64[batch, n_in] -> int64[batch, n_out]."""

    @abstractmethod
    def spread(self, m: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """m W in parts, or m |W| for floats: cells int64[n], of which some may come again, and what is added to them, [batch, n].

        m is [batch, n_out], of int64, Python's integers or floats, and so are the parts.
        """


def products(affine: AffineMap, limits: Limits = NO_LIMITS) -> Products:
    if isinstance(affine, Patches):
        return PatchProducts(affine, limits)
    if isinstance(affine, SparseRows):
        return RowProducts(affine, limits)
    raise UnsupportedError(f"no products of a map of kind {type(affine).__name__}")


def _costs(dtype: np.dtype) -> tuple[int, int]:
    return (SLOW, SLOW_BYTES) if dtype.kind == "O" else (1, 8)


class PatchProducts(Products):
    """P positions that share the rows of G groups."""

    def __init__(self, affine: Patches, limits: Limits):
        self.affine, self.limits, self.n_out = affine, limits, affine.n_out
        limits.require(24.0 * affine.rows.size)
        self.rows = affine.rows.astype(np.int64)
        self.magnitudes = np.abs(self.rows)

    def _cells(self, positions: slice) -> np.ndarray:
        """int64[G, positions, K]: start[p] + g * stride + offset[k]."""
        start, offset = self.affine.start[positions].astype(np.int64), self.affine.offset.astype(np.int64)
        groups = np.arange(self.affine.groups) * self.affine.stride
        return groups[:, None, None] + start[:, None] + offset

    def _slices(self, batch: int, slow: int, size: int) -> Iterator[slice]:
        groups, channels, cells = self.rows.shape
        entries = batch * groups * cells
        return self.limits.slices(self.affine.positions, slow * entries * max(channels, GATHER), 2 * size * entries)

    def apply(self, x: np.ndarray, magnitudes: bool = False) -> np.ndarray:
        groups, channels, cells = self.rows.shape
        rows = (self.magnitudes if magnitudes else self.rows).transpose(0, 2, 1)
        acc = np.empty((len(x), self.affine.positions, groups, channels), np.int64)
        for part in self._slices(len(x), 1, 8):
            # Lines of a group are those of all positions and the whole batch.
            lines = x[:, self._cells(part)].transpose(1, 0, 2, 3).reshape(groups, -1, cells)
            sums = np.empty((groups, lines.shape[1], channels), np.int64)
            for some in self.limits.slices(channels, lines.size):
                sums[:, :, some] = lines @ rows[:, :, some]
            acc[:, part] = sums.reshape(groups, len(x), -1, channels).transpose(1, 2, 0, 3)
        return acc.reshape(len(x), -1)

    def spread(self, m: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        (groups, channels, cells), batch, (slow, size) = self.rows.shape, len(m), _costs(m.dtype)
        rows = self.magnitudes if m.dtype.kind == "f" else self.rows
        grid = m.reshape(batch, self.affine.positions, groups, channels)
        for part in self._slices(batch, slow, size):
            lines = grid[:, part].transpose(2, 0, 1, 3).reshape(groups, -1, channels)
            total = np.zeros((groups, lines.shape[1], cells), m.dtype)
            for some in self.limits.slices(channels, slow * total.size, size * groups * cells):
                total += lines[:, :, some] @ rows[:, some].astype(m.dtype)
            yield self._cells(part).ravel(), total.reshape(groups, batch, -1, cells).transpose(1, 0, 2, 3).reshape(batch, -1)


class RowProducts(Products):
    """Compressed rows."""

    def __init__(self, affine: SparseRows, limits: Limits):
        self.limits, self.n_out = limits, affine.n_out
        limits.require(32.0 * affine.num_products)
        self.cells, self.weights = affine.indices.astype(np.int64), affine.weights.astype(np.int64)
        self.magnitudes = np.abs(self.weights)
        self.row = np.repeat(np.arange(affine.n_out), np.diff(affine.indptr))

    def apply(self, x: np.ndarray, magnitudes: bool = False) -> np.ndarray:
        weights, acc = self.magnitudes if magnitudes else self.weights, np.zeros((len(x), self.n_out), np.int64)
        for part in self.limits.slices(len(weights), GATHER * len(x), 16.0 * len(x)):
            for sums, terms in zip(acc, x[:, self.cells[part]] * weights[part], strict=True):
                np.add.at(sums, self.row[part], terms)
        return acc

    def spread(self, m: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        weights, (slow, size) = self.magnitudes if m.dtype.kind == "f" else self.weights, _costs(m.dtype)
        for part in self.limits.slices(len(weights), GATHER * slow * len(m), 2.0 * size * len(m)):
            yield self.cells[part], m[:, self.row[part]] * weights[part]
