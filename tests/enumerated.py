"""Every point of a tiny query in the order of its `Frame`, and random nodes of a search over it."""

from __future__ import annotations

import random
from typing import NamedTuple

import numpy as np
from tiny import all_inputs

from qbitsat.bounds import propagate
from qbitsat.bounds.frame import Frame
from qbitsat.bounds.ranges import Ranges
from qbitsat.properties import Query


class Space(NamedTuple):
    """values int64[points, num_values], accs int64[points, num_neurons]: a row for each combination of points of the boxes."""

    frame: Frame
    values: np.ndarray
    accs: np.ndarray

    def inside(self, ranges: Ranges, row: int) -> np.ndarray:
        """The points in the ranges of one node: bool[points]."""
        values = (ranges.lo[row] <= self.values) & (self.values <= ranges.hi[row])
        accs = (ranges.acc_lo[row] <= self.accs) & (self.accs <= ranges.acc_hi[row])
        return values.all(axis=1) & accs.all(axis=1)


def space(query: Query) -> Space:
    """By matrices and the requantizers of single outputs."""
    frame, accs = Frame(query), []
    values = [*all_inputs(query.boxes)]
    for network, x in zip(query.networks, tuple(values), strict=True):
        for layer in network.layers:
            accs.append((x - layer.input.zero_point) @ layer.weights.T + layer.bias)
            x = np.stack([layer.requantizer(i).apply(acc) for i, acc in enumerate(accs[-1].T)], axis=1)
            values.append(x)
    return Space(frame, np.concatenate(values, axis=1), np.concatenate(accs, axis=1))


def narrowed(rng: random.Random, query: Query, frame: Frame, rows: int, cuts: int) -> Ranges:
    """Nodes below the root with some outputs' ranges cut, not propagated yet."""
    ranges = Ranges.of(propagate(query)).take(np.zeros(rows, np.int64))
    places = [v for block in frame.blocks if len(block.steps) for v in range(block.target.start, block.target.stop)]
    for row in range(rows):
        for value in rng.choices(places, k=rng.randint(0, cuts)) if places else ():
            at = rng.randint(int(ranges.lo[row, value]), int(ranges.hi[row, value]))
            if rng.random() < 0.5:
                ranges.lo[row, value] = at
            else:
                ranges.hi[row, value] = at
    return ranges
