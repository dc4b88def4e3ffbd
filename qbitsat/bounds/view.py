"""One network of a query, numbered by itself: what bounds say of its values, and rows as sums over these."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..arithmetic import Requantizer
from ..network import Network
from ..properties import Query, Ref
from .ranges import Ranges


class Row(NamedTuple):
    """An accumulator: the sum of weights * values + bias. base and top are its ends over the values' ranges."""

    values: np.ndarray
    weights: np.ndarray
    bias: int
    base: int
    top: int


class Neuron(NamedTuple):
    """An output and its ranges: acc = base + word; the circuit is right for acc in [least, most], and y is clamped to [lo, hi]."""

    requantizer: Requantizer
    base: int
    least: int
    most: int
    lo: int
    hi: int


class View(NamedTuple):
    """Ranges int64[num_values] of values and int64[num_values - num_inputs] of accumulators, numbered as in `Network`."""

    network: Network
    lo: np.ndarray
    hi: np.ndarray
    acc_lo: np.ndarray
    acc_hi: np.ndarray

    def value(self, ref: Ref) -> int:
        """The number of an element that a formula names."""
        return ref.value_of(self.network)

    def of(self, ref: Ref) -> tuple[int, int]:
        """The range of an element that a formula names."""
        value = self.value(ref)
        return int(self.lo[value]), int(self.hi[value])

    def neurons(self, k: int) -> slice:
        """The accumulators of layer k."""
        target = self.network.target(k)
        return slice(target.start - self.network.num_inputs, target.stop - self.network.num_inputs)

    def row(self, k: int, i: int) -> Row:
        """Accumulator i of layer k. Its ends may be nearer than those of its cells, of which some may be the same value."""
        values, weights, bias = self.network.row(k, i)
        lo, hi = self.lo[values], self.hi[values]
        rises = weights > 0
        base, top = (bias + int(weights @ np.where(rises, *ends)) for ends in ((lo, hi), (hi, lo)))
        return Row(values, weights, bias, base, top)

    def neuron(self, k: int, i: int, row: Row, cut: tuple[int, int] | None = None) -> Neuron:
        """Output i of layer k; its accumulator need be looked at only inside `cut`."""
        value = self.network.first_value(k) + i
        ends = cut or (row.base, row.top)
        return Neuron(self.network.layers[k].requantizer(i), row.base, *ends, int(self.lo[value]), int(self.hi[value]))


def views(query: Query, bounds: Ranges) -> list[View]:
    """One for each network."""
    return [View(network, *bounds.network(k)) for k, network in enumerate(query.networks)]
