"""Affine maps over integers, in the structure that their weights repeat in: nothing is unrolled into a dense matrix.

A layer reads cells, a flat vector x of n_in integers, and gives acc = W x + bias. W is stored once for all positions that
share it: memory grows with parameters and values, time with multiply-adds.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np

from ..arithmetic import INT32, integer
from ..errors import InputError

# Weights are 32-bit words in kernels, both signs of the same size.
WEIGHT_LIMIT = 1 << 31
# A matrix with fewer nonzeros than this part of it is kept without its zeros.
SPARSE = 8
# Biases over raw integers stay below it.
RAW_BIAS_LIMIT = 1 << 60


class Record:
    """A frozen dataclass that is pickled and copied by its fields: the copy is checked and its arrays frozen again, and nothing that was
    computed from them is carried along.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), tuple(getattr(self, field.name) for field in fields(self))  # type: ignore[arg-type]


def frozen(array: np.ndarray) -> np.ndarray:
    """The same numbers, contiguous, over `bytes`: numpy can never be told to write there, as it can to an array that owns its numbers."""
    if isinstance(array.base, bytes) and array.flags.c_contiguous:
        return array
    return np.ndarray(array.shape, array.dtype, array.tobytes())


def whole_numbers(values: Any, axes: int, lo: int, hi: int, dtype: type, what: str) -> np.ndarray:
    """The same integers, frozen, with so many axes, none of them empty, and all in [lo, hi]; or an `InputError` about `what`."""
    array = np.asarray(values)
    if array.dtype.kind not in "iu" or array.ndim != axes or not array.size:
        expected = f"integers along {axes} axes" if axes > 1 else "integers along one axis"
        raise InputError(f"{what}: {array.dtype} of shape {array.shape}, expected {expected}")
    if int(array.min()) < lo or int(array.max()) > hi:
        raise InputError(f"{what}: values from {array.min()} to {array.max()}, expected integers in [{lo}, {hi}]")
    return frozen(array.astype(dtype, copy=False))


def starts_of(lengths: np.ndarray) -> np.ndarray:
    """Where each of many rows of these lengths begins, and the end: int64[n + 1]."""
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])


@dataclass(frozen=True, eq=False)
class AffineMap(Record, ABC):
    """acc = W x + bias for n_in cells x and n_out accumulators."""

    n_in: int

    @property
    @abstractmethod
    def n_out(self) -> int: ...

    @property
    @abstractmethod
    def num_products(self) -> int:
        """Multiply-adds of one application."""

    @property
    @abstractmethod
    def num_weights(self) -> int:
        """Weights that are stored: those that positions share count once."""

    @property
    @abstractmethod
    def biases(self) -> np.ndarray:
        """int64[n_out], one for each accumulator."""

    @abstractmethod
    def row(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        """The cells that accumulator i reads, int32 and ascending, and their weights, int64 and none 0."""

    @abstractmethod
    def rows_of(self, outputs: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """`row` of many accumulators int64[n]: the j-th has cells and weights from starts[j] to starts[j + 1], int64[n + 1]."""

    @abstractmethod
    def sources(self, outputs: np.ndarray) -> np.ndarray:
        """Mask of the cells that some outputs of a mask read with a weight that is not 0: bool[n_out] -> bool[n_in]."""

    @abstractmethod
    def products_of(self, outputs: np.ndarray) -> int:
        """Multiply-adds of the positions in which some outputs of a mask stand: bool[n_out]."""

    @abstractmethod
    def lengths(self) -> np.ndarray:
        """How many weights of every row are not 0: int64[n_out]."""

    @abstractmethod
    def magnitudes(self) -> np.ndarray:
        """The sum of |w| of every row: int64[n_out]."""

    @abstractmethod
    def totals(self) -> np.ndarray:
        """The sum of w of every row: int64[n_out]."""

    @cached_property
    @abstractmethod
    def max_weight(self) -> int:
        """The largest magnitude of a weight."""


@dataclass(frozen=True, eq=False)
class Patches(AffineMap):
    """P positions that share G groups of C rows over K cells; outputs i = (p * G + g) * C + c, channels last:

        acc[p, g, c] = bias[g, c] + sum over k of rows[g, c, k] * x[start[p] + g * stride + offset[k]]

    start int32[P], offset int32[K], rows int32[G, C, K], bias int64[G, C]. Dense: one position, one group. Convolution: one
    group, or as many as it has. Depthwise: a group a channel, of as many rows as its multiplier, and stride 1. Sums over an image:
    one position, a group a channel. All cells exist, and no row names one twice.
    """

    start: np.ndarray
    offset: np.ndarray
    stride: int
    rows: np.ndarray
    bias: np.ndarray

    def __post_init__(self):
        object.__setattr__(self, "n_in", integer(self.n_in, "patches: n_in", 1, INT32[1]))
        object.__setattr__(self, "stride", integer(self.stride, "patches: stride", 0, INT32[1]))
        for name in ("start", "offset"):
            object.__setattr__(self, name, whole_numbers(getattr(self, name), 1, 0, self.n_in - 1, np.int32, f"patches: {name}"))
        rows = whole_numbers(self.rows, 3, 1 - WEIGHT_LIMIT, WEIGHT_LIMIT - 1, np.int32, "patches: rows")
        bias = whole_numbers(self.bias, 2, 1 - RAW_BIAS_LIMIT, RAW_BIAS_LIMIT - 1, np.int64, "patches: bias")
        if rows.shape != (*bias.shape, len(self.offset)):
            raise InputError(f"patches: rows of shape {rows.shape}, but bias of {bias.shape} and {len(self.offset)} offsets")
        object.__setattr__(self, "rows", rows)
        object.__setattr__(self, "bias", bias)
        last = int(self.start.max()) + (len(rows) - 1) * self.stride + int(self.offset.max())
        if last >= self.n_in:
            raise InputError(f"patches: cell {last} of {self.n_in} is read")
        if not self._in_order and len(np.unique(self.offset)) < len(self.offset):
            raise InputError("patches: an offset comes twice, and so a cell in a row")

    @classmethod
    def dense(cls, matrix: np.ndarray, bias: np.ndarray) -> Patches:
        """W as a matrix (n_out, n_in)."""
        return cls(matrix.shape[1], np.zeros(1, np.int32), np.arange(matrix.shape[1]), 0, matrix[None], bias[None])

    @property
    def is_dense(self) -> bool:
        """Whether it is one matrix over all cells in order."""
        return self.positions == self.groups == 1 and len(self.offset) == self.n_in and not self.start[0] and self._in_order

    @cached_property
    def _in_order(self) -> bool:
        return bool((np.diff(self.offset) == 1).all()) and not self.offset[0]

    @property
    def positions(self) -> int:
        return len(self.start)

    @property
    def groups(self) -> int:
        return self.rows.shape[0]

    @property
    def channels(self) -> int:
        """Rows of a group."""
        return self.rows.shape[1]

    @property
    def n_out(self) -> int:
        return self.positions * self.bias.size

    @property
    def num_products(self) -> int:
        return self.positions * self.rows.size

    @property
    def num_weights(self) -> int:
        return self.rows.size

    @cached_property
    def biases(self) -> np.ndarray:
        return frozen(np.tile(self.bias.ravel(), self.positions))

    def row(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        p, g, c = i // self.bias.size, i // self.channels % self.groups, i % self.channels
        weights = self.rows[g, c]
        taken = np.flatnonzero(weights)
        cells = self.start[p] + g * self.stride + self.offset[taken]
        order = np.argsort(cells, kind="stable")
        return cells[order].astype(np.int32), weights[taken][order].astype(np.int64)

    def rows_of(self, outputs: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        p, g, c = outputs // self.bias.size, outputs // self.channels % self.groups, outputs % self.channels
        taps = np.argsort(self.offset, kind="stable")
        weights = self.rows[g, c][:, taps]
        j, k = np.nonzero(weights)
        cells = (self.start[p] + g * self.stride)[j] + self.offset[taps[k]]
        return starts_of(np.count_nonzero(weights, axis=1)), cells.astype(np.int32), weights[j, k].astype(np.int64)

    def sources(self, outputs: np.ndarray) -> np.ndarray:
        read = np.zeros(self.n_in, bool)
        grid = outputs.reshape(self.positions, self.groups, self.channels)
        moved = np.flatnonzero(grid.any(axis=(1, 2)))
        # Of truth values the product is "some": [groups, positions, taps].
        g, p, k = np.nonzero(grid[moved].transpose(1, 0, 2) @ (self.rows != 0))
        read[self.start[moved[p]] + g * self.stride + self.offset[k]] = True
        return read

    def products_of(self, outputs: np.ndarray) -> int:
        return int(outputs.reshape(self.positions, -1).any(axis=1).sum()) * self.rows.size

    def lengths(self) -> np.ndarray:
        return np.tile(np.count_nonzero(self.rows, axis=2).ravel(), self.positions)

    def magnitudes(self) -> np.ndarray:
        return np.tile(np.abs(self.rows.astype(np.int64)).sum(axis=2).ravel(), self.positions)

    def totals(self) -> np.ndarray:
        return np.tile(self.rows.sum(axis=2, dtype=np.int64).ravel(), self.positions)

    @cached_property
    def max_weight(self) -> int:
        return max(-int(self.rows.min(initial=0)), int(self.rows.max(initial=0)))


@dataclass(frozen=True, eq=False)
class SparseRows(AffineMap):
    """W in compressed rows without explicit zeros.

    indptr int64[n_out + 1]: row i is the slice indptr[i]:indptr[i + 1] of indices int32, cells in ascending order, and of
    weights int32; bias int64[n_out].
    """

    indptr: np.ndarray
    indices: np.ndarray
    weights: np.ndarray
    bias: np.ndarray

    def __post_init__(self):
        object.__setattr__(self, "n_in", integer(self.n_in, "rows: n_in", 1, INT32[1]))
        limits = {
            "indptr": (0, np.size(self.weights), np.int64),
            "indices": (0, self.n_in - 1, np.int32),
            "weights": (1 - WEIGHT_LIMIT, WEIGHT_LIMIT - 1, np.int32),
            "bias": (1 - RAW_BIAS_LIMIT, RAW_BIAS_LIMIT - 1, np.int64),
        }
        for name, (lo, hi, dtype) in limits.items():
            array = getattr(self, name)
            empty = name in ("indices", "weights") and np.shape(array) == (0,)
            checked = frozen(np.zeros(0, dtype)) if empty else whole_numbers(array, 1, lo, hi, dtype, f"rows: {name}")
            object.__setattr__(self, name, checked)
        self._check_rows()

    def _check_rows(self) -> None:
        steps = np.diff(self.indptr)
        if len(self.indptr) != len(self.bias) + 1 or self.indptr[0] or self.indptr[-1] != len(self.weights) or steps.min() < 0:
            raise InputError(f"rows: indptr does not split {len(self.weights)} weights into {len(self.bias)} rows")
        if len(self.indices) != len(self.weights):
            raise InputError(f"rows: {len(self.indices)} indices of {len(self.weights)} weights")
        if not self.weights.all():
            raise InputError(f"rows: weights[{int(np.argmin(self.weights != 0))}] is 0, expected none")
        inside = np.ones(len(self.weights), bool)
        inside[self.indptr[:-1][steps > 0]] = False
        wrong = np.flatnonzero(inside[1:] & (np.diff(self.indices) <= 0))
        if len(wrong):
            raise InputError(f"rows: indices[{int(wrong[0]) + 1}] does not ascend within its row")

    @classmethod
    def of_matrix(cls, matrix: np.ndarray, bias: np.ndarray) -> SparseRows:
        """From a matrix (n_out, n_in)."""
        rows, columns = np.nonzero(matrix)
        indptr = np.zeros(len(matrix) + 1, np.int64)
        np.cumsum(np.count_nonzero(matrix, axis=1), out=indptr[1:])
        return cls(matrix.shape[1], indptr, columns, matrix[rows, columns], bias)

    @property
    def n_out(self) -> int:
        return len(self.bias)

    @property
    def num_products(self) -> int:
        return len(self.weights)

    @property
    def num_weights(self) -> int:
        return len(self.weights)

    @property
    def biases(self) -> np.ndarray:
        return self.bias

    def row(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        part = slice(self.indptr[i], self.indptr[i + 1])
        return self.indices[part], self.weights[part].astype(np.int64)

    def rows_of(self, outputs: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        lengths = np.diff(self.indptr)[outputs]
        starts = starts_of(lengths)
        places = np.arange(starts[-1]) + np.repeat(self.indptr[outputs] - starts[:-1], lengths)
        return starts, self.indices[places], self.weights[places].astype(np.int64)

    def sources(self, outputs: np.ndarray) -> np.ndarray:
        read = np.zeros(self.n_in, bool)
        read[self.indices[np.repeat(outputs, np.diff(self.indptr))]] = True
        return read

    def products_of(self, outputs: np.ndarray) -> int:
        return int(np.diff(self.indptr)[outputs].sum())

    def lengths(self) -> np.ndarray:
        return np.diff(self.indptr)

    def magnitudes(self) -> np.ndarray:
        sums = np.zeros(self.n_out, np.int64)
        np.add.at(sums, np.repeat(np.arange(self.n_out), np.diff(self.indptr)), np.abs(self.weights.astype(np.int64)))
        return sums

    def totals(self) -> np.ndarray:
        sums = np.zeros(self.n_out, np.int64)
        np.add.at(sums, np.repeat(np.arange(self.n_out), np.diff(self.indptr)), self.weights)
        return sums

    @cached_property
    def max_weight(self) -> int:
        return max(-int(self.weights.min(initial=0)), int(self.weights.max(initial=0)))


def matrix_map(matrix: np.ndarray, bias: np.ndarray) -> AffineMap:
    """W as a matrix (n_out, n_in) below 2**31 in magnitude, bias int64[n_out]; kept without its zeros where these are most of it."""
    sparse = np.count_nonzero(matrix) < matrix.size / SPARSE
    return SparseRows.of_matrix(matrix, bias) if sparse else Patches.dense(matrix, bias)
