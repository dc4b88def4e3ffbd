"""Distances that are sums over elements: L1 (by how much elements change) and L0 (how many do), and balls of them.

A layer that reads the inputs beside the network's own gives both halves of each element's share, which are step functions:

    |x_i - c_i|   =  max(x_i - c_i, 0) + max(c_i - x_i, 0)
    [x_i != c_i]  =  min(max(x_i - c_i, 0), 1) + min(max(c_i - x_i, 0), 1)

So a ball is one linear inequality over values of the network, and bounds, multipliers, clauses and certificates need to know nothing of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ..arithmetic import ShiftRequantizer, integer
from ..errors import InputError, expect_kind, unknown
from ..network import Linear, Network, SparseRows, TensorFormat
from .formula import VALUE, AtMost, Ref
from .made import Made
from .query import Box

LINF, L1, L0 = NORMS = "linf", "l1", "l0"


class Ball(NamedTuple):
    """How a network was made: with the shares of a distance from centre, int64[num_inputs], of these elements."""

    norm: str
    centre: np.ndarray
    elements: tuple[int, ...]


class Distance(NamedTuple):
    """The network with the shares of a distance among its values, and their sum as terms; all else of it has the same numbers as before."""

    network: Network
    terms: tuple[tuple[int, Ref], ...]

    def at_most(self, radius: int) -> AtMost:
        """Inputs of the closed ball."""
        return AtMost(self.terms, radius)


def distance(network: Network, centre: Any, norm: str, elements: Sequence[int] | None = None, number: int = 0) -> Distance:
    """The distance of a network's input from `centre`, in the norm "l1" or "l0".

    centre int64[num_inputs], flattened; elements are those that count, all by default; number is that of the network in the query.
    """
    expect_kind(network, Network, "distance: network", "a Network, as of load(path)")
    if norm not in (L1, L0):
        raise unknown("norm", norm, (L1, L0))
    n, centre = network.num_inputs, np.asarray(centre).reshape(-1)
    if centre.shape != (n,) or centre.dtype.kind not in "iu":
        raise InputError(f"distance: a centre of {centre.size} elements of {centre.dtype}, expected {n} integers")
    counted = [integer(i, "distance: an element", 0, n - 1) for i in (range(n) if elements is None else elements)]
    if not counted or len(set(counted)) < len(counted):
        raise InputError("distance: elements, expected at least one, and each once")
    lo, hi = (ends[:n] for ends in network.value_ranges)
    place, at = np.array(counted), centre.astype(np.int64)[counted]
    most = int(np.maximum(hi[counted] - at, at - lo[counted]).max()) if norm == L1 else 1
    form, m = TensorFormat((n,), int(lo.min()), int(hi.max())), len(counted)
    rows = SparseRows(n, np.arange(2 * m + 1), np.concatenate([place, place]), np.repeat([1, -1], m), np.concatenate([-at, at]))
    layer = Linear("distance", form, TensorFormat((2 * m,), 0, most), (ShiftRequantizer(0, "floor", 0, most),), rows)
    first = network.num_values
    reads = (*network.reads, np.arange(n))
    how, layers = Ball(norm, centre.astype(np.int64), tuple(counted)), (*network.layers, layer)
    wider = Made(layers, network.name, inputs=network.inputs, reads=reads, outputs=network.outputs, of=network, how=how)
    return Distance(wider, tuple([(1, Ref(number, VALUE, first + i)) for i in range(2 * m)]))


def surrounding(network: Network, centre: np.ndarray, norm: str, radius: int, elements: Sequence[int] | None = None) -> Box:
    """The smallest box around a ball, inside the input formats: centre int64[num_inputs]; elements are those that may change."""
    ends = lo, hi = tuple(end[: network.num_inputs] for end in network.value_ranges)
    if norm != L0:
        ends = np.maximum(lo, centre - radius), np.minimum(hi, centre + radius)
    elif not radius:
        ends = centre, centre
    if elements is None:
        return Box(*ends)
    moves = np.isin(np.arange(len(centre)), elements)
    return Box(*(np.where(moves, end, centre) for end in ends))


def distances_of(norm: str, centre: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Distances of points int64[n, num_inputs] from the centre: int64[n]."""
    apart = np.abs(points - centre)
    if norm == LINF:
        return apart.max(axis=1)
    return apart.sum(axis=1) if norm == L1 else np.count_nonzero(apart, axis=1)
