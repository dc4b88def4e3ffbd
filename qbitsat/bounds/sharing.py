"""Networks on inputs of their own that are equal, or a constant apart: one network in which they read the same inputs.

Where the formula has x_b - x_a <= s and x_a - x_b <= -s, every x_b becomes x_a + s: in inequalities, and in the layers that read it, whose
biases grow by w s. Attacks and splits then move both at once, where a point for each network hardly ever meets the equations.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from ..errors import InputError, UnsupportedError
from ..limits import NO_LIMITS, Limits
from ..network import Layer, Linear, Network, Patches, SparseRows, TensorFormat
from ..network.affine import AffineMap
from ..network.layers import PADDING
from ..properties import AtMost, Box, Formula, Not, Query, Ref
from ..properties.formula import INPUT, OUTPUT, VALUE
from ..properties.replay import Inputs
from .joining import differences_of, parted, placing, side_by_side

Terms = tuple[tuple[int, Ref], ...]


class Shared(NamedTuple):
    """query is about the one network. Input i of all networks that were asked about, in a row, is input place[i] of it plus shift[i].

    goal is the sum that was given, over its elements, and constant what that lacks.
    """

    query: Query
    asked: Query
    place: np.ndarray
    shift: np.ndarray
    goal: Terms
    constant: int

    def inputs(self, found: Inputs) -> Inputs:
        """Those of the networks that were asked about."""
        x = np.array(found[0], np.int64)[self.place] + self.shift
        return parted((tuple(x.tolist()),), self.asked.boxes)


def with_shared_inputs(query: Query, limits: Limits = NO_LIMITS, goal: Terms = ()) -> Shared | None:
    """The same query with such inputs as one; None if there are none, or no layer can be made that reads them. goal is a sum to rewrite."""
    if len(query.networks) == 1:
        return None
    one, places = side_by_side(query, limits), placing(query.networks)
    sharer = _Sharer(one)
    if not sharer.find():
        return None
    try:
        network, box = sharer.network(limits), sharer.box()
        formula = sharer.renamed(one.named)
        terms, constant = sharer.terms(tuple((c, places(ref)) for c, ref in goal))
        asked = Query((network,), (box,), formula, limits=limits)
        return Shared(asked, query, sharer.place[: len(sharer.root)], sharer.shift, terms, constant)
    except (InputError, UnsupportedError):
        return None


class _Sharer:
    """One network on the inputs of all: x[i] = x[root[i]] + shift[i]."""

    def __init__(self, one: Query):
        self.of, self.formula, (self.ends,) = one.networks[0], one.named, one.boxes
        n = self.of.num_inputs
        self.root, self.shift = np.arange(n), np.zeros(n, np.int64)
        # Of formats: layers that read an input count on them.
        self.ranges = [(form.lo, form.hi) for form in self.of.inputs for _ in range(form.size)]

    def find(self) -> bool:
        """Whether some input is another one and a constant."""
        most = differences_of(self.formula)
        for (b, a), step in sorted(most.items()):
            if a >= b or self.root[b] != b or most.get((a, b)) != -step or self.ranges[b] != self.ranges[self.root[a]]:
                continue
            if self._can_move(b, step + int(self.shift[a])):
                self.root[b], self.shift[b] = self.root[a], step + self.shift[a]
        self.kept = np.flatnonzero(self.root == np.arange(len(self.root)))
        number = np.zeros(len(self.root), np.int64)
        number[self.kept] = np.arange(len(self.kept))
        later = np.arange(len(self.root), self.of.num_values) - (len(self.root) - len(self.kept))
        self.place = np.concatenate([number[self.root], later])
        return len(self.kept) < len(self.root)

    def _can_move(self, b: int, step: int) -> bool:
        """Whether all that reads input b can do with another input and a constant: layers with a bias for each output."""
        if not step:
            return True
        layers = [layer for layer, view in zip(self.of.layers, self.of.views, strict=True) if (view == b).any()]
        return b not in self.of.outputs.tolist() and all(_bias(layer).size == layer.affine.n_out for layer in layers)

    def box(self) -> Box:
        """Raises `InputError` where nothing is left."""
        lo, hi = (np.full(len(self.root), end, np.int64) for end in (np.iinfo(np.int64).min, np.iinfo(np.int64).max))
        np.maximum.at(lo, self.root, self.ends.lo - self.shift)
        np.minimum.at(hi, self.root, self.ends.hi - self.shift)
        return Box(lo[self.kept], hi[self.kept])

    def network(self, limits: Limits) -> Network:
        forms, start = list[TensorFormat](), 0
        for form in self.of.inputs:
            count = int(((start <= self.kept) & (self.kept < start + form.size)).sum())
            forms += [replace(form, shape=(count,))] if count else []
            start += form.size
        layers, reads = list[Layer](), list[np.ndarray]()
        for layer, read, view in zip(self.of.layers, self.of.reads, self.of.views, strict=True):
            limits.check()
            moved = self._moved(layer, view)
            layers.append(layer if moved is None else moved[0])
            reads.append(self.place[read if moved is None else moved[1]].astype(np.int32))
        outputs = self.place[self.of.outputs]
        return Network(tuple(layers), self.of.name, inputs=tuple(forms), reads=tuple(reads), outputs=outputs)

    def _moved(self, layer: Layer, view: np.ndarray) -> tuple[Layer, np.ndarray] | None:
        """The layer with what constants add to its biases, and the values that it reads; None if they add nothing."""
        inside = (view != PADDING) & (view < len(self.root))
        step = np.zeros(len(view), np.int64)
        step[inside] = self.shift[view[inside]]
        if not step.any():
            return None
        rows = [layer.affine.row(i) for i in range(layer.affine.n_out)]
        more = np.array([int((weights * step[cells]).sum()) for cells, weights in rows])
        bias = _bias(layer) + more.reshape(_bias(layer).shape)
        values, which = np.unique(view[view != PADDING], return_inverse=True)
        cells = np.full(len(view), PADDING, np.int32)
        cells[view != PADDING] = which
        form = replace(layer.input, shape=(len(values),))
        return Linear(layer.name, form, layer.output, layer.requantizers, _with_bias(layer, bias), cells), values

    def terms(self, terms: Terms) -> tuple[Terms, int]:
        """A sum over the new network's elements, and the constant that it lacks."""
        found, constant = list[tuple[int, Ref]](), 0
        for c, ref in terms:
            if ref.tensor == OUTPUT:
                found.append((c, ref))
                continue
            new = int(self.place[ref.element])
            if ref.element < len(self.root):
                constant += c * int(self.shift[ref.element])
            found.append((c, Ref(0, INPUT if new < len(self.kept) else VALUE, new)))
        return tuple(found), constant

    def renamed(self, formula: Formula) -> Formula:
        if isinstance(formula, AtMost):
            terms, constant = self.terms(formula.terms)
            return AtMost(terms, formula.bound - constant)
        if isinstance(formula, Not):
            return Not(self.renamed(formula.part))
        return type(formula)(tuple(self.renamed(part) for part in formula.parts))


def _bias(layer: Layer) -> np.ndarray:
    assert isinstance(layer.affine, Patches | SparseRows)
    return layer.affine.bias


def _with_bias(layer: Layer, bias: np.ndarray) -> AffineMap:
    assert isinstance(layer.affine, Patches | SparseRows)
    return replace(layer.affine, bias=bias)
