"""Where everything that a query computes stands in flat arrays, so that a search can copy and narrow all of it at once.

Values are the inputs of all networks, then the outputs of all layers, network by network; neurons are those outputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np

from .._blocks import Atoms, Blocks
from ..arithmetic import Requantizer, ShiftRequantizer
from ..network import Layer
from ..properties import Query, Ref
from ..properties.formula import INPUT

# Coefficients over values and a bound: sum of coefficient * value <= bound.
Inequality = tuple[np.ndarray, np.ndarray, int]

# Beyond these accumulators there is nothing: "no smallest" and "no largest".
NOWHERE = 1 << 61
# Requantizers with more levels have no table of steps; what lies behind them is bounded by intervals only.
MAX_LEVELS = 1 << 12


class Block(NamedTuple):
    """One layer of one network: slices of the values that it reads and gives, and of its neurons.

    steps[k, v - y_min] is the smallest accumulator that reaches v, for v from y_min to one above the largest, of outputs i
    with i % len(steps) == k. No rows at all where outputs do not grow with accumulators (wrap-around), or levels are too many.
    channel is i % len(steps), y_first and y_last are the ends of the requantizer's own range: int64[n_out] each.
    """

    network: int
    layer: Layer
    source: slice
    target: slice
    neurons: slice
    steps: np.ndarray
    channel: np.ndarray
    y_first: np.ndarray
    y_last: np.ndarray

    @property
    def y_min(self) -> int:
        return self.layer.output.lo


class Frame:
    """The slices of a query's inputs and outputs, one for each network, and its blocks in the order of their neurons."""

    def __init__(self, query: Query):
        self.inputs: list[slice] = []
        self.outputs: list[slice] = []
        self.blocks: list[Block] = []
        self.num_inputs = end = sum(network.input.size for network in query.networks)
        start = 0
        for k, network in enumerate(query.networks):
            source = slice(start, start + network.input.size)
            self.inputs.append(source)
            start = source.stop
            for layer in network.layers:
                target = slice(end, end + layer.affine.n_out)
                self.blocks.append(_block(k, layer, source, target, self.num_inputs))
                source, end = target, target.stop
            self.outputs.append(source)
        self.num_values = end

    @cached_property
    def kernel(self) -> Blocks:
        """The blocks as kernels see them."""
        layers = [(b.layer.affine, b.steps, b.y_min, b.source.start, b.y_first, b.y_last) for b in self.blocks]
        return Blocks(self.num_inputs, layers)

    def inequalities(self, inequalities: Sequence[Inequality]) -> Atoms:
        """Inequalities over the values as kernels see them."""
        return Atoms(self.num_values, [(values.astype(np.int64), coefficients, bound) for values, coefficients, bound in inequalities])

    @property
    def num_neurons(self) -> int:
        return self.num_values - self.num_inputs

    def value(self, ref: Ref) -> int:
        """Index of an element that a formula names."""
        return (self.inputs if ref.tensor == INPUT else self.outputs)[ref.network].start + ref.element


def _block(network: int, layer: Layer, source: slice, target: slice, num_inputs: int) -> Block:
    n = layer.affine.n_out
    requantizers = [layer.requantizer(i) for i in range(n)]
    steps = _steps(layer.requantizers, layer.output.lo, layer.output.hi)
    ends = (np.array([getattr(r, end) for r in requantizers], np.int64) for end in ("lo", "hi"))
    neurons = slice(target.start - num_inputs, target.stop - num_inputs)
    return Block(network, layer, source, target, neurons, steps, np.arange(n) % max(1, len(steps)), *ends)


@lru_cache(maxsize=64)
def _steps(requantizers: tuple[Requantizer, ...], lo: int, hi: int) -> np.ndarray:
    """int64[channels, hi - lo + 2]; see `Block.steps`."""
    # A subclass of ours may mean something else by `apply` and still inherit our `first_reaching`.
    strange = any(isinstance(r, ShiftRequantizer) and type(r) is not ShiftRequantizer for r in requantizers)
    if strange or hi - lo >= MAX_LEVELS or not all(r.monotone for r in requantizers):
        return np.empty((0, 0), np.int64)
    rows = []
    for r in requantizers:
        inner = [max(-NOWHERE, min(NOWHERE, r.first_reaching(y))) for y in range(r.lo + 1, r.hi + 1)]
        rows.append([-NOWHERE] * (r.lo + 1 - lo) + inner + [NOWHERE] * (hi + 1 - r.hi))
    steps = np.array(rows, np.int64)
    steps.flags.writeable = False
    return steps
