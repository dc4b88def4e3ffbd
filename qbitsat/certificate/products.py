"""Products with the weights of a layer, where they stand: shared by positions and groups, or in compressed rows.

Outputs stand in lines: those of a position, or one of a compressed row. Sums of integers are exact in float64, whatever the order, where
their magnitudes add up to less than 2**53: there numpy's matrix products are fast. int64 is exact wherever the caller knows that sums stay
inside it; arrays of Python's integers are exact everywhere.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from functools import cached_property

import numpy as np

from ..errors import UnsupportedError
from ..limits import NO_LIMITS, Limits
from ..network import AffineMap, Patches, SparseRows

# A multiply-add in Python's integers, in those of int64, and its bytes.
SLOW, SLOW_BYTES = 1 << 6, 48
# What it takes to gather a cell, or to add to it, in multiply-adds.
GATHER = 16
# Below this, sums are exact in float64; a factor of 2 less than that leaves room for the rounding of bounds.
FLOAT_LIMIT = 2.0**52

# Cases, cells, and what is added to each cell: three arrays of one shape, or that become one.
Part = tuple[np.ndarray, np.ndarray, np.ndarray]


class Products(ABC):
    """W of one layer, for cells x; outputs i = line * width + k for k below width."""

    n_out: int
    width: int

    @abstractmethod
    def apply(self, x: np.ndarray, magnitudes: bool = False, lines: np.ndarray | None = None) -> np.ndarray:
        """W x, or |W| x: int64[batch, n_in] -> int64[batch, n_out], or the outputs of some lines alone, one after the other."""

    @abstractmethod
    def reading(self, cells: np.ndarray) -> np.ndarray:
        """The lines that read some cells of a mask, and perhaps some more: bool[n_in] -> int64[n]."""

    @abstractmethod
    def spread(self, m: np.ndarray) -> Iterator[Part]:
        """m W for m[batch, n_out], of int64 or Python's integers, in parts: cases, cells, of which some may come again, and what is added
        to them, of m's kind. Where m is 0 nothing is added.
        """


def products(affine: AffineMap, limits: Limits = NO_LIMITS) -> Products:
    if isinstance(affine, Patches):
        return PatchProducts(affine, limits)
    if isinstance(affine, SparseRows):
        return RowProducts(affine, limits)
    raise UnsupportedError(f"no products of a map of kind {type(affine).__name__}")


def _costs(dtype: np.dtype) -> tuple[int, int]:
    return (SLOW, SLOW_BYTES) if dtype.kind == "O" else (1, 8)


def _product(a: np.ndarray, b: np.ndarray, size: float) -> np.ndarray:
    """a @ b, exactly, for integers a and whole floats b; size bounds the magnitudes that any one sum adds up."""
    if a.dtype.kind == "O":
        return a @ b.astype(np.int64).astype(object)
    return (a.astype(np.float64) @ b).astype(np.int64) if size < FLOAT_LIMIT else a @ b.astype(np.int64)


class PatchProducts(Products):
    """P positions that share the rows of G groups; a position is a line."""

    def __init__(self, affine: Patches, limits: Limits):
        self.limits, self.n_out, self.width = limits, affine.n_out, affine.bias.size
        limits.require(24.0 * affine.rows.size)
        # Weights are below 2**31: they are exact as floats.
        self.rows = affine.rows.astype(np.float64)
        self.max_weight = float(affine.max_weight)
        self.start, groups = affine.start.astype(np.int64), np.arange(affine.groups) * affine.stride
        # int64[G, K]: a position reads start + reach.
        self.reach = groups[:, None] + affine.offset.astype(np.int64)

    @cached_property
    def magnitudes(self) -> np.ndarray:
        return np.abs(self.rows)

    @cached_property
    def widest(self) -> float:
        """The largest sum of the magnitudes of a row."""
        return float(self.magnitudes.sum(axis=2).max())

    def _slices(self, count: int, batch: int, slow: int, size: int) -> Iterator[slice]:
        groups, channels, cells = self.rows.shape
        entries = batch * groups * cells
        return self.limits.slices(count, slow * entries * max(channels, GATHER), 3.0 * size * entries)

    def apply(self, x: np.ndarray, magnitudes: bool = False, lines: np.ndarray | None = None) -> np.ndarray:
        rows = (self.magnitudes if magnitudes else self.rows).transpose(0, 2, 1)
        start = self.start if lines is None else self.start[lines]
        acc = np.empty((len(x), len(start), *self.rows.shape[:2]), np.int64)
        size = self.widest * float(np.abs(x).max(initial=0))
        for part in self._slices(len(start), len(x), 1, 8):
            read = x[:, start[part, None, None] + self.reach]
            # A matrix for each group, of all positions and the whole batch.
            stack = read.transpose(2, 0, 1, 3).reshape(len(self.reach), -1, self.reach.shape[1])
            acc[:, part] = _product(stack, rows, size).reshape(len(stack), len(x), -1, rows.shape[2]).transpose(1, 2, 0, 3)
        return acc.reshape(len(x), -1)

    def reading(self, cells: np.ndarray) -> np.ndarray:
        if len(self.start) == 1:
            return np.zeros(1, np.int64)
        found = [cells[self.start[part, None, None] + self.reach].any(axis=(1, 2)) for part in self._slices(len(self.start), 1, 1, 3)]
        return np.flatnonzero(np.concatenate(found))

    def spread(self, m: np.ndarray) -> Iterator[Part]:
        slow, size = _costs(m.dtype)
        grid = m.reshape(len(m), -1, *self.rows.shape[:2])
        case, position = np.nonzero((grid != 0).any(axis=(2, 3)))
        for part in self._slices(len(case), 1, slow, size):
            some = grid[case[part], position[part]].transpose(1, 0, 2)
            most = 0.0 if slow > 1 else self.max_weight * float(np.abs(some.astype(np.float64)).sum(axis=2).max())
            total = _product(some, self.rows, most).transpose(1, 0, 2)
            yield case[part, None, None], self.start[position[part], None, None] + self.reach, total


class RowProducts(Products):
    """Compressed rows; a row is a line."""

    width = 1

    def __init__(self, affine: SparseRows, limits: Limits):
        self.limits, self.n_out = limits, affine.n_out
        limits.require(32.0 * affine.num_products)
        self.cells, self.weights = affine.indices.astype(np.int64), affine.weights.astype(np.int64)
        self.row = np.repeat(np.arange(affine.n_out), np.diff(affine.indptr))

    def apply(self, x: np.ndarray, magnitudes: bool = False, lines: np.ndarray | None = None) -> np.ndarray:
        cells, row, weights, count = self.cells, self.row, self.weights, self.n_out
        if lines is not None:
            place = np.full(self.n_out, -1)
            place[lines] = np.arange(len(lines))
            taken = np.flatnonzero(place[row] >= 0)
            cells, row, weights, count = cells[taken], place[row[taken]], weights[taken], len(lines)
        weights, acc = np.abs(weights) if magnitudes else weights, np.zeros((len(x), count), np.int64)
        for part in self.limits.slices(len(weights), GATHER * len(x), 16.0 * len(x)):
            for sums, terms in zip(acc, x[:, cells[part]] * weights[part], strict=True):
                np.add.at(sums, row[part], terms)
        return acc

    def reading(self, cells: np.ndarray) -> np.ndarray:
        read = np.zeros(self.n_out, bool)
        read[self.row[cells[self.cells]]] = True
        return np.flatnonzero(read)

    def spread(self, m: np.ndarray) -> Iterator[Part]:
        slow, size = _costs(m.dtype)
        taken, cases = np.flatnonzero((m != 0).any(axis=0)[self.row]), np.arange(len(m))[:, None]
        for part in self.limits.slices(len(taken), GATHER * slow * len(m), 2.0 * size * len(m)):
            some = taken[part]
            yield cases, self.cells[some][None], m[:, self.row[some]] * self.weights[some]
