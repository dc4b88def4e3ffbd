"""Every point of a tiny query in the order of its `Layout`, and random nodes of a search over it."""

from __future__ import annotations

import random
from typing import NamedTuple

import numpy as np
from graphs import graph_query
from tiny import all_inputs, busy_query

from qbitsat.bounds import propagate
from qbitsat.bounds.layout import Layout
from qbitsat.bounds.ranges import Ranges
from qbitsat.properties import Query


class Space(NamedTuple):
    """values int64[points, num_values], accs int64[points, num_neurons]: a row for each combination of points of the boxes."""

    layout: Layout
    values: np.ndarray
    accs: np.ndarray

    def inside(self, ranges: Ranges, row: int) -> np.ndarray:
        """The points in the ranges of one node: bool[points]."""
        values = (ranges.lo[row] <= self.values) & (self.values <= ranges.hi[row])
        accs = (ranges.acc_lo[row] <= self.accs) & (self.accs <= ranges.acc_hi[row])
        return values.all(axis=1) & accs.all(axis=1)


def space(query: Query) -> Space:
    """By rows and the requantizers of single outputs."""
    layout, accs, outputs = Layout(query.networks), [], []
    inputs = all_inputs(query.boxes)
    for network, x in zip(query.networks, inputs, strict=True):
        values = x
        for k, layer in enumerate(network.layers):
            rows = [network.row(k, i) for i in range(layer.affine.n_out)]
            accs.append(np.stack([values[:, read] @ weights + bias for read, weights, bias in rows], axis=1))
            y = np.stack([layer.requantizer(i).apply(acc) for i, acc in enumerate(accs[-1].T)], axis=1)
            values = np.concatenate([values, y], axis=1)
        outputs.append(values[:, network.num_inputs :])
    return Space(layout, np.concatenate([*inputs, *outputs], axis=1), np.concatenate(accs, axis=1))


def random_asked(rng: random.Random) -> Query:
    """A query over chains of dense layers, or over graphs of any layers and requantizers."""
    return busy_query(rng) if rng.random() < 0.4 else graph_query(rng)


def narrowed(rng: random.Random, query: Query, layout: Layout, rows: int, cuts: int) -> Ranges:
    """Nodes below the root with some outputs' ranges cut, not propagated yet."""
    ranges = propagate(query).take(np.zeros(rows, np.int64))
    places = [block.target.start + i for block in layout.blocks for i in np.flatnonzero(block.stepped).tolist()]
    for row in range(rows):
        for value in rng.choices(places, k=rng.randint(0, cuts)) if places else ():
            at = rng.randint(int(ranges.lo[row, value]), int(ranges.hi[row, value]))
            if rng.random() < 0.5:
                ranges.lo[row, value] = at
            else:
                ranges.hi[row, value] = at
    return ranges
