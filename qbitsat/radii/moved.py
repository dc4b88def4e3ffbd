"""A network over changes of an input: x = centre + up - down, with up and down from 0 on, so that a distance is a sum over inputs.

    L1  =  sum of up and down,    L0  =  how many of them are not 0

Changes both up and down are no nearer than their difference, so the nearest point of the one is the nearest of the other. Multipliers
see what a step costs in the input itself: bounds of a ball take the largest weights first, as many as the ball has room for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from ..arithmetic import ShiftRequantizer
from ..bounds import Ranges
from ..network import AffineMap, Layer, Linear, Network, SparseRows, TensorFormat
from ..network.affine import SPARSE, matrix_map
from ..properties import AtMost, Box, Ref
from ..properties.balls import L1
from ..properties.formula import INPUT, VALUE

# Weights of a layer beyond which it is never a matrix.
MATRIX = 1 << 24


class Moved(NamedTuple):
    """network: reads how far each element of the centre, int64[n], goes up, and then how far down, at most `room`, int64[2 n].

    terms: whose sum is the distance.
    """

    network: Network
    centre: np.ndarray
    room: np.ndarray
    norm: str
    terms: tuple[tuple[int, Ref], ...]

    def box(self, radius: int) -> Box:
        return Box(np.zeros_like(self.room), np.minimum(self.room, radius) if self.norm == L1 else self.room * (radius > 0))

    def ball(self, radius: int) -> AtMost:
        return AtMost(self.terms, radius)

    def point(self, changes: np.ndarray) -> np.ndarray:
        """The input that changes int64[2 n] lead to."""
        n = len(self.centre)
        return self.centre + changes[:n] - changes[n:]

    def tighten(self, ranges: Ranges, radius: int) -> bool:
        """Cut accumulators of layers that read inputs alone, in one row, to what they reach in the ball; whether something is left.

        Exact for each: steps that gain most come first. Of networks whose outputs grow with their accumulators.
        """
        layout, n = ranges.layout, len(self.room)
        for block in layout.blocks:
            if block.reads_neurons or (block.view < 0).any():
                continue
            for i in range(block.size):
                layout.limits.check()
                values, weights, bias = layout.row(block, i)
                if (values >= n).any():
                    continue
                room = np.minimum(self.room[values], radius) if self.norm == L1 else self.room[values]
                neuron = block.neurons.start + i
                ranges.acc_hi[0, neuron] = min(int(ranges.acc_hi[0, neuron]), bias + self._most(weights, room, radius))
                ranges.acc_lo[0, neuron] = max(int(ranges.acc_lo[0, neuron]), bias - self._most(-weights, room, radius))
            acc = ranges.acc_lo[:, block.neurons], ranges.acc_hi[:, block.neurons]
            ranges.lo[:, block.target] = np.maximum(ranges.lo[:, block.target], block.layer.requantize(acc[0]))
            ranges.hi[:, block.target] = np.minimum(ranges.hi[:, block.target], block.layer.requantize(acc[1]))
        return bool((ranges.lo <= ranges.hi).all()) and bool(ranges.propagate(layout).all())

    def _most(self, weights: np.ndarray, room: np.ndarray, radius: int) -> int:
        """The largest sum of weights times changes within the ball."""
        gains = weights > 0
        weights, room = weights[gains], room[gains]
        if self.norm != L1:
            return int(np.sort(weights * room)[::-1][:radius].sum())
        order = np.argsort(-weights)
        weights, room = weights[order], room[order]
        before = np.cumsum(room) - room
        return int((weights * np.clip(radius - before, 0, room)).sum())


def moved(network: Network, centre: np.ndarray, norm: str, elements: Sequence[int] | None = None) -> Moved:
    """The same network over changes of its input; elements are those that may change, all by default."""
    n, (lo, hi) = network.num_inputs, (ends[: network.num_inputs] for ends in network.value_ranges)
    room = np.concatenate([hi - centre, centre - lo])
    if elements is not None:
        room[~np.tile(np.isin(np.arange(n), elements), 2)] = 0
    layers, reads = list[Layer](), list[np.ndarray]()
    for k, layer in enumerate(network.layers):
        given = network.reads[k]
        if (given >= n).all():
            layers.append(layer)
            reads.append(given + n)
            continue
        rows, cells = _rows(network, k, centre)
        ends = [network.value_ranges[end][cells[cells >= 2 * n] - n] for end in (0, 1)]
        form = TensorFormat((len(cells),), min([0, *ends[0].tolist()]), max([int(room.max()), *ends[1].tolist()]))
        layers.append(Linear(layer.name, form, layer.output, layer.requantizers, rows))
        reads.append(cells)
    inputs = (TensorFormat((2 * n,), 0, int(room.max())),)
    outputs, terms = network.outputs + n, tuple((1, Ref(0, INPUT, i)) for i in np.flatnonzero(room).tolist())
    if norm != L1:
        places = np.flatnonzero(room)
        count = SparseRows(2 * n, np.arange(len(places) + 1), places, np.ones(len(places), int), np.zeros(len(places), int))
        first = network.num_values + n
        layers.append(Linear("changed", inputs[0], TensorFormat((len(places),), 0, 1), (ShiftRequantizer(0, "floor", 0, 1),), count))
        reads.append(np.arange(2 * n))
        terms = tuple((1, Ref(0, VALUE, first + i)) for i in range(len(places)))
    return Moved(Network(tuple(layers), network.name, inputs=inputs, reads=tuple(reads), outputs=outputs), centre, room, norm, terms)


def _rows(network: Network, k: int, centre: np.ndarray) -> tuple[AffineMap, np.ndarray]:
    """A layer's map over changes and other values, and which values of the new network its cells are."""
    rows = list(_moved_rows(network, k, centre))
    all_, biases = np.concatenate([values for values, _, _ in rows]), np.array([bias for _, _, bias in rows], np.int64)
    cells = np.unique(all_) if len(all_) else np.zeros(1, np.int64)
    weights = np.concatenate([own for _, own, _ in rows])
    if len(weights) >= len(rows) * len(cells) // SPARSE and len(rows) * len(cells) <= MATRIX:
        matrix = np.zeros((len(rows), len(cells)), np.int64)
        for row, (values, own, _) in zip(matrix, rows, strict=True):
            row[np.searchsorted(cells, values)] = own
        return matrix_map(matrix, biases), cells
    indptr = np.cumsum([0, *(len(values) for values, _, _ in rows)])
    return SparseRows(len(cells), indptr, np.searchsorted(cells, all_), weights, biases), cells


def _moved_rows(network: Network, k: int, centre: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, int]]:
    """Values of the new network, ascending, weights and a bias of each accumulator."""
    n = network.num_inputs
    for i in range(network.layers[k].affine.n_out):
        values, weights, bias = network.row(k, i)
        own = values < n
        values = values.astype(np.int64)
        parts = [values[own], values[own] + n, values[~own] + n]
        yield (
            np.concatenate(parts),
            np.concatenate([weights[own], -weights[own], weights[~own]]),
            bias + int(weights[own] @ centre[values[own]]),
        )
