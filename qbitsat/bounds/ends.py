"""Inputs of which a formula leaves only the two ends of their ranges, and the same query over bits that choose between these.

A network made from clauses asks of every input that it is 0 or 1, by an inequality that holds nowhere between: the sum of all min(x, 1 - x)
is at most 0. Nobody sees that in ranges, but it takes one look at each input, at a node in which that one stays away from its ends. What is
left is a question about bits, however fine the grid of the inputs is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..errors import UnsupportedError
from ..limits import NO_LIMITS, Limits
from ..network import Layer, Linear, Network, SparseRows, TensorFormat
from ..network.affine import WEIGHT_LIMIT
from ..properties import And, AtMost, Box, Formula, Or, Query
from ..properties.formula import INPUT
from ..properties.replay import Inputs
from .dual import Dual
from .dual_descent import DualDescent
from .intervals import propagate
from .layout import Inequalities, has_steps
from .ranges import Ranges
from .reduction import Reduction

# Steps for multipliers of a node: straight lines over the steps, from which they start, mostly suffice.
STEPS = 10
# Nodes that are tried together, after a first one, at which nearly all queries end.
TOGETHER = 64
# Products of a layer that is not looked at: its rows would have weights of their own.
MAX_PRODUCTS = 1 << 20
# Multiply-adds of a first look with all inequalities, some tenths of a second, beyond which there is none; what each takes besides.
MAX_WORK, CALL = 1 << 26, 1 << 18
# What a row of a layer takes to be looked up, in multiply-adds.
ROW = 1 << 14


@dataclass(frozen=True, eq=False)
class Ends:
    """A query with inputs of 0 and 1, which stand for the ends of those of `whole`, as a reduction of itself."""

    whole: Reduction
    bits: Reduction

    def inputs(self, bits: Inputs) -> Inputs:
        """Those of the whole query."""
        return tuple(
            tuple(np.where(np.array(chosen) > 0, box.hi, box.lo).tolist()) for chosen, box in zip(bits, self.whole.query.boxes, strict=True)
        )


def at_ends(left: Reduction, limits: Limits = NO_LIMITS) -> Ends | None:
    """The query over bits, if every input that moves can only be at an end where the formula is true, and some could be elsewhere."""
    lo, hi = (np.concatenate([getattr(box, end) for box in left.query.boxes]) for end in ("lo", "hi"))
    inner, layers = np.flatnonzero(hi - lo > 1), [layer for network in left.query.networks for layer in network.layers]
    if not len(inner) or not all(has_steps(layer) and layer.affine.num_products <= MAX_PRODUCTS for layer in layers):
        return None
    parts = left.formula.parts if isinstance(left.formula, Or) else (left.formula,)
    stated = [[atom for atom in (part.parts if isinstance(part, And) else (part,)) if isinstance(atom, AtMost)] for part in parts]
    if sum(map(len, stated)) * (STEPS * left.bounds.layout.products + CALL) > MAX_WORK:
        return None
    if not all(_hollow(left, atoms, inner, limits) for atoms in stated):
        return None
    try:
        return Ends(left, _over_bits(left.query, left.formula, limits))
    except UnsupportedError:  # sums of other values and of wider weights may leave the exact range
        return None


def _hollow(left: Reduction, stated: list[AtMost], inner: np.ndarray, limits: Limits) -> bool:
    """Whether no input can be between its ends where all these are true, and yet there may be a point where they are."""
    layout = left.bounds.layout.under(limits)
    inequalities = Inequalities.stated(layout, stated)
    descent, dual = DualDescent(layout, layout.blocks, inequalities, left.bounds), Dual(layout, inequalities)
    for k, chosen in enumerate((inner[:1], *np.split(inner[1:], range(TOGETHER, len(inner) - 1, TOGETHER)))):
        limits.require((len(chosen) + 1) * (3 * layout.node_bytes + descent.bytes))
        # The first time also a node of all points, whose refutation is the search's affair.
        whole = k == 0
        nodes = left.bounds.take(np.zeros(len(chosen) + whole, np.int64))
        rows = np.arange(len(chosen))
        nodes.lo[rows, chosen] += 1
        nodes.hi[rows, chosen] -= 1
        open_ = nodes.propagate(layout, inputs=True)
        # Each alone: one that says nothing of an input hides another that does.
        for number in range(len(stated)):
            open_[open_] = ~_refuted(descent, dual, nodes.take(np.flatnonzero(open_)), number)
        if open_[: len(chosen)].any() or (whole and not open_[-1]):
            return False
    return True


def _refuted(descent: DualDescent, dual: Dual, nodes: Ranges, number: int) -> np.ndarray:
    """bool[nodes]: those that integer multipliers prove to have no point that satisfies an inequality."""
    count = len(nodes)
    alone, found = np.full((count, 1), number, np.int32), np.zeros(count, bool)
    start = np.zeros((count, descent.layout.num_neurons)), np.ones((count, 1))
    suggestion = descent.run(nodes, alone, np.ones(count, bool), *start, STEPS)
    rows = np.flatnonzero(suggestion.dual < 0)
    found[rows] = [value < 0 for value in dual.prove(nodes, rows, alone, suggestion.shares, suggestion.multipliers).values]
    return found


def _over_bits(query: Query, formula: Formula, limits: Limits) -> Reduction:
    """lo + (hi - lo) * bit for every input of the query."""
    networks = tuple(_with_bits(network, box, limits) for network, box in zip(query.networks, query.boxes, strict=True))
    boxes = tuple(Box(np.zeros_like(box.lo), np.minimum(box.hi - box.lo, 1)) for box in query.boxes)
    asked = Query(networks, boxes, _about_bits(formula, query.boxes), limits=limits)
    return Reduction(asked, propagate(asked, limits), asked.violation)


def _about_bits(formula: Formula, boxes: tuple[Box, ...]) -> Formula:
    """A formula without `Not`, whose inequalities name inputs as inputs."""
    if not isinstance(formula, AtMost):
        assert isinstance(formula, And | Or)
        return type(formula)(tuple([_about_bits(part, boxes) for part in formula.parts]))
    terms, bound = [], formula.bound
    for coefficient, ref in formula.terms:
        if ref.tensor == INPUT:
            lo, hi = (int(end[ref.element]) for end in (boxes[ref.network].lo, boxes[ref.network].hi))
            bound, coefficient = bound - coefficient * lo, coefficient * (hi - lo)
        terms.append((coefficient, ref))
    return AtMost(tuple(terms), bound)


def _with_bits(network: Network, box: Box, limits: Limits) -> Network:
    """The network with inputs of 0 and 1; layers that read inputs have rows of their own weights."""
    n = network.num_inputs
    layers, reads = list(network.layers), list(network.reads)
    lo, hi = network.value_ranges
    lo, hi = (np.concatenate([first, rest[n:]]) for first, rest in ((np.zeros(n, np.int64), lo), (np.ones(n, np.int64), hi)))
    for k in range(len(layers)):
        if (reads[k] < n).any():
            layers[k], reads[k] = _layer(network, k, box, (lo, hi), limits)
    inputs = tuple(TensorFormat(form.shape, 0, 1) for form in network.inputs)
    return replace(network, layers=tuple(layers), inputs=inputs, reads=tuple(reads), parts=())


def _layer(network: Network, k: int, box: Box, ranges: tuple[np.ndarray, np.ndarray], limits: Limits) -> tuple[Layer, np.ndarray]:
    """Layer k over bits, and the values that it reads; ranges are those of all values by their formats."""
    layer, n = network.layers[k], network.num_inputs
    rows = [network.row(k, i) for part in limits.slices(layer.affine.n_out, ROW) for i in range(part.start, part.stop)]
    values = np.concatenate([row[0] for row in rows]).astype(np.int64)
    weights = np.concatenate([row[1] for row in rows])
    counts = np.array([len(row[0]) for row in rows])
    start, span = (np.where(values < n, part[np.minimum(values, n - 1)], other) for part, other in ((box.lo, 0), (box.hi - box.lo, 1)))
    bias = np.array([row[2] for row in rows], np.int64)
    np.add.at(bias, np.repeat(np.arange(len(rows)), counts), weights * start)
    moved, weights = span > 0, weights * span  # below 2**61, as accumulators are below 2**60 at both ends
    if np.abs(weights).max(initial=0) >= WEIGHT_LIMIT:
        raise UnsupportedError(f"layer {layer.name!r}: over bits, a weight is no word of 32 bits")
    ends = np.concatenate([[0], np.cumsum(moved)])[np.concatenate([[0], np.cumsum(counts)])]
    read, cells = np.unique(values[moved], return_inverse=True)
    read = read if len(read) else np.zeros(1, np.int64)  # a map has cells
    form = TensorFormat((len(read),), int(ranges[0][read].min()), int(ranges[1][read].max()))
    sparse = SparseRows(len(read), ends, cells, weights[moved], bias)
    return Linear(layer.name, form, layer.output, layer.requantizers, sparse), read.astype(np.int32)
