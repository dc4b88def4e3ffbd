"""Where everything that a query computes stands in flat arrays, so that a search can copy and narrow all of it at once.

Values are the inputs of all networks, then the outputs of all layers, network by network; neurons are those outputs.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from .._kernels.exact.layers import Atoms, Layers
from ..arithmetic.steps import NONE, SHIFT, Steps, table_bytes
from ..limits import NO_LIMITS, Limits
from ..network import Layer, Network
from ..network.layers import PADDING
from ..properties import AtMost, Ref
from ..properties.formula import OUTPUT

# What a weight takes while rows are made and used as objectives.
ROW_BYTES = 96
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

    @classmethod
    def stated(cls, layout: Layout, formulas: Sequence[AtMost]) -> Inequalities:
        """Those of a formula, over the values of a layout."""
        starts, values, coefficients = [0], list[int](), list[int]()
        for formula in formulas:
            layout.limits.check()
            terms = formula.coefficients()
            values += [layout.value(ref) for ref in terms]
            coefficients += terms.values()
            starts.append(len(values))
        bounds = [formula.bound for formula in formulas]
        return cls(*(np.array(part, np.int64) for part in (starts, values, coefficients, bounds)))

    def __len__(self) -> int:
        return len(self.bounds)

    def __getitem__(self, k: Any) -> Any:
        part = slice(self.starts[k], self.starts[k + 1])
        return self.values[part], self.coefficients[part], int(self.bounds[k])

    def kernel(self, num_values: int) -> Atoms:
        """As integer kernels see them."""
        return Atoms(num_values, self.starts, self.values, self.coefficients, self.bounds)

    def floats(self, place: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """(starts, values int32, coefficients float32, bounds float32) as `Descent` takes them; value v is place[v] there."""
        values = (self.values if place is None else place[self.values]).astype(np.int32)
        return self.starts, values, self.coefficients.astype(np.float32), self.bounds.astype(np.float32)


@dataclass(frozen=True, eq=False)
class Block:
    """One layer of one network, and its place among values and neurons of the query.

    view int32[cells]: the value that each cell of the layer's map is, or PADDING. target and neurons are its outputs, as values and as
    neurons. steps are those of its requantizers: output i has steps[i % len(steps)]. reads_neurons: whether some cell is an output of
    another layer.
    """

    network: int
    number: int
    layer: Layer
    view: np.ndarray
    target: slice
    neurons: slice
    steps: tuple[Steps, ...]
    reads_neurons: bool

    @property
    def size(self) -> int:
        """Outputs."""
        return self.target.stop - self.target.start

    @cached_property
    def stepped(self) -> np.ndarray:
        """bool[outputs]: those that grow with their accumulators, by known steps."""
        return np.resize([part.stepped for part in self.steps], self.size)

    @cached_property
    def monotone(self) -> np.ndarray:
        """bool[outputs]: those that do not wrap around."""
        return np.resize([r.monotone for r in self.layer.requantizers], self.size)

    @cached_property
    def units(self) -> np.ndarray:
        """float64[outputs]: output units for one of the accumulator, between the first step and the last; 1 without steps."""
        return np.resize([part.unit for part in self.steps], self.size)


class Layout:
    """Where everything that the networks of a query compute stands.

    inputs and outputs have the values of each network: those of its inputs, and of the outputs of its layers. results[k] int64 are the
    values that are network k's results. blocks are the layers of all networks in order, those of network k from firsts[k] on.

    pairs int64[n, 6] are neurons a, b, e and d with acc_a - acc_b = acc_e and y_a - y_b = y_d, in the order of d, each behind the others.
    If e is -1, acc_a - acc_b lies between the last two numbers.
    """

    def __init__(self, networks: Sequence[Network], limits: Limits = NO_LIMITS):
        self.limits, self.networks = limits, tuple(networks)
        self.inputs: list[slice] = []
        self.outputs: list[slice] = []
        self.firsts: list[int] = []
        self.results: list[np.ndarray] = []
        self.blocks: list[Block] = []
        self.num_inputs = end = sum(network.num_inputs for network in networks)
        start = 0
        for k, network in enumerate(networks):
            self.inputs.append(slice(start, start + network.num_inputs))
            self.outputs.append(slice(end, end + network.num_values - network.num_inputs))
            self.firsts.append(len(self.blocks))
            start, end = start + network.num_inputs, self.outputs[-1].stop
            self.results.append(self.values(k, network.outputs))
            self.blocks += [self._block(k, number, layer) for number, layer in enumerate(network.layers)]
        self.num_values = end
        self.pairs = np.zeros((0, 6), np.int64)

    def _block(self, k: int, number: int, layer: Layer) -> Block:
        network, limits = self.networks[k], self.limits
        limits.require(table_bytes(layer.requantizers))
        view = self.values(k, network.views[number]).astype(np.int32)
        start = self.outputs[k].start + network.first_value(number) - network.num_inputs
        target, first = slice(start, start + layer.affine.n_out), start - self.num_inputs
        neurons = slice(first, first + layer.affine.n_out)
        return Block(k, number, layer, view, target, neurons, layer.steps_within(limits.check), bool((view >= self.num_inputs).any()))

    @cached_property
    def kernel(self) -> Layers:
        """The blocks as kernels see them."""
        parts = [(b.layer.affine, b.view, b.layer.input.zero_point, b.steps) for b in self.blocks]
        return Layers(self.num_inputs, parts, self.pairs)

    @cached_property
    def products(self) -> int:
        """What one pass through a node's values takes, in multiply-adds."""
        return sum(block.layer.affine.num_products for block in self.blocks)

    @property
    def node_bytes(self) -> int:
        """What the ranges of one node take, all of them int64."""
        return 16 * (self.num_values + self.num_neurons)

    @property
    def num_neurons(self) -> int:
        return self.num_values - self.num_inputs

    @cached_property
    def stepped(self) -> bool:
        """Whether all outputs grow with their accumulators, by known steps."""
        return all(block.stepped.all() for block in self.blocks)

    @cached_property
    def settles(self) -> bool:
        """Whether ranges are at rest after one pass forward: outputs attain all levels, and nothing narrows what came before."""
        steps = [part for block in self.blocks for part in block.steps]
        return not len(self.pairs) and all(part.kind == NONE or part.full or (part.kind == SHIFT and part.shift >= 0) for part in steps)

    @cached_property
    def is_result(self) -> np.ndarray:
        """bool[num_neurons]: outputs that are results of a network."""
        mask = np.zeros(self.num_values, bool)
        mask[np.concatenate(self.results)] = True
        return mask[self.num_inputs :]

    def values(self, k: int, values: np.ndarray) -> np.ndarray:
        """Values of network k, or PADDING, as the query numbers them."""
        n = self.networks[k].num_inputs
        return np.where(values == PADDING, PADDING, values + np.where(values < n, self.inputs[k].start, self.outputs[k].start - n))

    def block(self, network: int, k: int) -> Block:
        """Layer k of a network."""
        return self.blocks[self.firsts[network] + k]

    def place(self, value: int) -> tuple[Block, int]:
        """The block whose output a value is, and which; the value is no input."""
        block = self.blocks[bisect_right(self.blocks, value, key=lambda part: part.target.start) - 1]
        return block, value - block.target.start

    def under(self, limits: Limits) -> Layout:
        """The same under other limits."""
        other = copy(self)
        other.limits = limits
        return other

    def linked(self, pairs: np.ndarray) -> Layout:
        """The same with these pairs."""
        other = copy(self)
        for cached in ("kernel", "settles"):
            other.__dict__.pop(cached, None)
        other.pairs = pairs
        return other

    def before(self, block: Block) -> Layout:
        """What comes before a block, with the same numbers."""
        other = copy(self)
        for cached in ("kernel", "products", "stepped", "settles", "is_result"):
            other.__dict__.pop(cached, None)
        other.blocks, other.num_values = self.blocks[: self.blocks.index(block)], block.target.start
        other.pairs = self.pairs[self.pairs[:, 3] < block.neurons.start]
        return other

    def row(self, block: Block, i: int) -> tuple[np.ndarray, np.ndarray, int]:
        """Accumulator i of a block: values int64, each once, their weights int64, none 0, and the bias, with what padding adds."""
        values, weights, bias = self.networks[block.network].row(block.number, i)
        return self.values(block.network, values), weights, bias

    def rows(self, block: Block, outputs: np.ndarray, sides: np.ndarray) -> tuple[Inequalities, np.ndarray]:
        """side * (acc - bias) of many accumulators int64[n] of a block, as the sums of inequalities with bounds 0; biases int64[n]."""
        starts, values, weights, biases = self.networks[block.network].rows(block.number, outputs)
        signed = weights * np.repeat(sides, np.diff(starts))
        return Inequalities(starts, self.values(block.network, values), signed, np.zeros(len(outputs), np.int64)), biases

    def value(self, ref: Ref) -> int:
        """The value that is an element which a formula names."""
        k, n = ref.network, self.networks[ref.network].num_inputs
        if ref.tensor == OUTPUT:
            return int(self.results[k][ref.element])
        return ref.element + (self.inputs[k].start if ref.element < n else self.outputs[k].start - n)


def has_steps(layer: Layer) -> bool:
    """Whether all outputs grow with accumulators, by known steps."""
    return all(steps.stepped for steps in layer.steps)
