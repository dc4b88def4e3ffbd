"""A part of an affine map: some of its rows, over those cells that can move.

Weights stay shared: rows of `Patches` are kept by positions, groups and channels. What constant cells add goes into biases where all
positions agree about it; other constant cells stay.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .affine import AffineMap, Patches, SparseRows

# Multiply-adds that a cell, and an output, takes beside its products.
CELL, OUTPUT = 2, 8


class Part(NamedTuple):
    """map is the part of another one: output i is that one's outputs[i], ascending, and cell j shows its cells[j]; int64 each.

    A cell may be shown several times, but never twice in a row.
    """

    map: AffineMap
    outputs: np.ndarray
    cells: np.ndarray

    @property
    def work(self) -> int:
        """What one application takes, in multiply-adds."""
        return self.map.num_products + CELL * self.map.n_in + OUTPUT * self.map.n_out


def work_of(affine: AffineMap) -> int:
    """The same of a whole map."""
    return affine.num_products + CELL * affine.n_in + OUTPUT * affine.n_out


def part_of(affine: AffineMap, wanted: np.ndarray, constant: np.ndarray, value: np.ndarray) -> Part:
    """The part that gives all outputs of a mask bool[n_out], not empty, and others only where these share weights with them.

    constant bool[n_in], value int64[n_in]: cells that are, and which number they hold.
    """
    if isinstance(affine, SparseRows):
        return _rows(affine, wanted, constant, value)
    assert isinstance(affine, Patches)
    grid = wanted.reshape(affine.positions, affine.groups, affine.channels)
    groups, channels = np.flatnonzero(grid.any(axis=(0, 2))), np.flatnonzero(grid.any(axis=(0, 1)))
    part = _patches(affine, (np.flatnonzero(grid.any(axis=(1, 2))), groups, channels), constant, value)
    if part.map.n_in < part.map.num_products // len(channels):
        return part
    # Positions that share no cells may take more than those that are not needed.
    every = _patches(affine, (np.arange(affine.positions), groups, channels), constant, value)
    return min(part, every, key=lambda one: one.work)


def _rows(affine: SparseRows, wanted: np.ndarray, constant: np.ndarray, value: np.ndarray) -> Part:
    outputs = np.flatnonzero(wanted)
    counts = np.diff(affine.indptr)
    taken = np.repeat(wanted, counts)
    row = np.repeat(np.cumsum(wanted) - 1, counts)[taken]
    cells, weights, bias = affine.indices[taken], affine.weights[taken], affine.bias[outputs].copy()
    still = constant[cells]
    np.add.at(bias, row[still], weights[still] * value[cells[still]])
    used, indices = np.unique(cells[~still], return_inverse=True)
    used = used if len(used) else np.zeros(1, np.int64)  # a map has cells
    indptr = np.zeros(len(outputs) + 1, np.int64)
    np.cumsum(np.bincount(row[~still], minlength=len(outputs)), out=indptr[1:])
    return Part(SparseRows(len(used), indptr, indices, weights[~still], bias), outputs, used)


def _patches(affine: Patches, kept: tuple[np.ndarray, np.ndarray, np.ndarray], constant: np.ndarray, value: np.ndarray) -> Part:
    """Of some positions, groups and channels."""
    positions, groups, channels = kept
    rows, bias = affine.rows[np.ix_(groups, channels)], affine.bias[np.ix_(groups, channels)].copy()
    first = affine.start[positions].astype(np.int64)[:, None] + groups * affine.stride
    cells = first[:, :, None] + affine.offset
    moved = ~(constant[cells].all(axis=(0, 1)) & (value[cells] == value[cells[:1]]).all(axis=(0, 1)))
    bias += (rows[:, :, ~moved] * value[cells[0][:, None, ~moved]]).sum(axis=2)
    taps = np.flatnonzero(moved & rows.any(axis=(0, 1)))
    taps = taps if len(taps) else np.zeros(1, np.int64)  # a map has cells
    rows = np.where(moved[taps], rows[:, :, taps], 0)
    outputs = (positions[:, None, None] * affine.groups + groups[:, None]) * affine.channels + channels
    shared, used = _over_cells(cells[:, :, taps], rows, bias)
    return Part(shared, outputs.ravel(), used)


def _over_cells(cells: np.ndarray, rows: np.ndarray, bias: np.ndarray) -> tuple[Patches, np.ndarray]:
    """The map over cells int64[positions, groups, taps], each cell once where all positions leave out the same ones, and the cells."""
    used, local = np.unique(cells, return_inverse=True)
    local = local.reshape(cells.shape)
    start = local.min(axis=(1, 2))
    steps = local - start[:, None, None]
    stride = int(steps[0, 1, 0] - steps[0, 0, 0]) if cells.shape[1] > 1 else 0
    regular = np.arange(cells.shape[1])[:, None] * stride + steps[0, :1]
    if stride >= 0 and (steps == regular).all():
        return Patches(len(used), start, steps[0, 0], stride, rows, bias), used
    count, groups, taps = cells.shape
    if rows.shape[1] == 1:  # groups side by side
        cells = cells.swapaxes(1, 2)
        return Patches(cells.size, np.arange(count) * groups * taps, np.arange(taps) * groups, 1, rows, bias), cells.ravel()
    return Patches(cells.size, np.arange(count) * groups * taps, np.arange(taps), taps, rows, bias), cells.ravel()
