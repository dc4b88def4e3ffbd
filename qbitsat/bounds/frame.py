"""Where everything that a query computes stands in flat arrays, so that a search can copy and narrow all of it at once.

Values are the inputs of all networks, then the outputs of all layers, network by network; neurons are those outputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from .._kernels.exact.blocks import Atoms, Blocks
from ..arithmetic import ShiftRequantizer
from ..limits import NO_LIMITS, Limits
from ..network import Layer
from ..properties import Query, Ref
from ..properties.formula import INPUT

# Values, their coefficients and a bound: sum of coefficient * value <= bound.
Inequality = tuple[np.ndarray, np.ndarray, int]


class Inequalities(Sequence[Inequality]):
    """Inequalities in flat int64 arrays: number k is values and coefficients from starts[k] to starts[k + 1], and bounds[k]."""

    __slots__ = ("bounds", "coefficients", "starts", "values")

    def __init__(self, starts: np.ndarray, values: np.ndarray, coefficients: np.ndarray, bounds: np.ndarray):
        self.starts, self.values, self.coefficients, self.bounds = starts, values, coefficients, bounds

    @classmethod
    def of(cls, inequalities: Sequence[Inequality]) -> Inequalities:
        """These, in flat arrays if they are not yet."""
        if isinstance(inequalities, Inequalities):
            return inequalities
        starts = np.cumsum([0, *(len(values) for values, _, _ in inequalities)])
        values, coefficients = (np.concatenate([[], *(part[k] for part in inequalities)]).astype(np.int64) for k in (0, 1))
        return cls(starts, values, coefficients, np.array([bound for _, _, bound in inequalities], np.int64))

    def __len__(self) -> int:
        return len(self.bounds)

    def __getitem__(self, k: Any) -> Any:
        part = slice(self.starts[k], self.starts[k + 1])
        return self.values[part], self.coefficients[part], int(self.bounds[k])

    def kernel(self, num_values: int) -> Atoms:
        """As integer kernels see them."""
        return Atoms(num_values, self.starts, self.values, self.coefficients, self.bounds)

    def floats(self, place: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """(starts, values int32, coefficients float32, bounds float32) as `Ascent` takes them; value v is place[v] there."""
        values = (self.values if place is None else place[self.values]).astype(np.int32)
        return self.starts, values, self.coefficients.astype(np.float32), self.bounds.astype(np.float32)


# Beyond these accumulators there is nothing: "no smallest" and "no largest".
NOWHERE = 1 << 61
# Requantizers with more levels have no table of steps; what lies behind them is bounded by intervals only.
MAX_LEVELS = 1 << 12


class Block(NamedTuple):
    """One layer of one network: slices of the values that it reads and gives, and of its neurons.

    view int32[cells] is the value that each cell of its map is, or -1 for padding.

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
    view: np.ndarray

    @property
    def y_min(self) -> int:
        return self.layer.output.lo


class Frame:
    """The slices of a query's inputs and outputs, one for each network, and its blocks in the order of their neurons."""

    def __init__(self, query: Query, limits: Limits = NO_LIMITS):
        self.limits = limits
        self.inputs: list[slice] = []
        self.outputs: list[slice] = []
        self.blocks: list[Block] = []
        self.num_inputs = end = sum(network.input.size for network in query.networks)
        start = 0
        for k, network in enumerate(query.networks):
            source = slice(start, start + network.input.size)
            self.inputs.append(source)
            start = source.stop
            # The network's values in the query's numbering; padding is the last.
            place = np.concatenate([np.arange(source.start, start), np.arange(end, end + network.num_values - network.num_inputs), [-1]])
            for layer, view in zip(network.layers, network.views, strict=True):
                target = slice(end, end + layer.affine.n_out)
                self.blocks.append(_block(k, layer, source, target, self.num_inputs, limits, place[view].astype(np.int32)))
                source, end = target, target.stop
            self.outputs.append(source)
        self.num_values = end

    @cached_property
    def kernel(self) -> Blocks:
        """The blocks as kernels see them."""
        for block in self.blocks:
            block.layer.affine.build("whole", self.limits)
        self.limits.require(sum(4 * block.steps.size for block in self.blocks))
        layers = [(b.layer.affine, b.steps, b.y_min, b.source.start, b.y_first, b.y_last) for b in self.blocks]
        return Blocks(self.num_inputs, layers, self.limits.check)

    @cached_property
    def weights(self) -> int:
        """Entries of all matrices: what one pass through a node's values takes, in multiply-adds."""
        return sum(block.layer.affine.n_out * block.layer.affine.n_in for block in self.blocks)

    @property
    def node_bytes(self) -> int:
        """What the ranges of one node take, all of them int64."""
        return 16 * (self.num_values + self.num_neurons)

    @property
    def num_neurons(self) -> int:
        return self.num_values - self.num_inputs

    def value(self, ref: Ref) -> int:
        """Index of an element that a formula names."""
        return (self.inputs if ref.tensor == INPUT else self.outputs)[ref.network].start + ref.element


def _block(network: int, layer: Layer, source: slice, target: slice, num_inputs: int, limits: Limits, view: np.ndarray) -> Block:
    n = layer.affine.n_out
    requantizers = [layer.requantizer(i) for i in range(n)]
    steps = _steps(layer, limits)
    first, last = (np.array([getattr(r, end) for r in requantizers], np.int64) for end in ("lo", "hi"))
    neurons = slice(target.start - num_inputs, target.stop - num_inputs)
    return Block(network, layer, source, target, neurons, steps, np.arange(n) % max(1, len(steps)), first, last, view)


def has_steps(layer: Layer) -> bool:
    """Whether outputs grow with accumulators, by few enough levels for a table: else they are bounded by intervals only."""
    # A subclass of ours may mean something else by `apply` and still inherit our `first_reaching`.
    strange = any(isinstance(r, ShiftRequantizer) and type(r) is not ShiftRequantizer for r in layer.requantizers)
    return not strange and layer.output.hi - layer.output.lo < MAX_LEVELS and all(r.monotone for r in layer.requantizers)


def _steps(layer: Layer, limits: Limits) -> np.ndarray:
    """int64[channels, levels + 1]; see `Block.steps`."""
    if not has_steps(layer):
        return np.empty((0, 0), np.int64)
    lo, hi = layer.output.lo, layer.output.hi
    limits.require(8 * len(layer.requantizers) * (hi - lo + 2))
    steps = np.empty((len(layer.requantizers), hi - lo + 2), np.int64)
    for k, r in enumerate(layer.requantizers):
        limits.check()
        steps[k, : r.lo + 1 - lo], steps[k, r.hi + 1 - lo :] = -NOWHERE, NOWHERE
        steps[k, r.lo + 1 - lo : r.hi + 1 - lo] = r.thresholds(NOWHERE)
    steps.flags.writeable = False
    return steps
