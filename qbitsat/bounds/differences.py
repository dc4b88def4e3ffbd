"""Layers that two copies share, bounded together: their differences become values of the network, with ranges of their own.

Two layers i and j are paired if they have the same shape, nearly the same weights, and read mostly the same or paired values.
Behind the layers of the network then come, for each pair, two more:

    e = acc_i - acc_j = W_i (x_i - x_j) + (W_i - W_j) x_j + b_i - b_j        x_i - x_j is 0, or a difference before
    d = y_i - y_j

Interval propagation through e sees differences only, where the ranges of acc_i less those of acc_j would add up both. From e, acc_i and
acc_j follow the ranges of d through the steps themselves: see `pairs` of `Layout`. An inequality over y_i - y_j is one over d. For all else
these are layers as any others: multipliers, splits and certificates know nothing of them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from ..arithmetic import INT32, ShiftRequantizer
from ..limits import NO_LIMITS, Limits
from ..network import Layer, Linear, Network, Patches, SparseRows, TensorFormat
from ..network.affine import WEIGHT_LIMIT, AffineMap
from ..network.layers import PADDING
from ..properties import AtMost, Formula, Not, Query, Ref
from ..properties.formula import VALUE, atoms
from .joining import linked, side_by_side

# Of what layers read that are no inputs, at most this part may be values that are not paired.
FEW = 1 / 2
# Weights are nearly the same if they differ by at most this part of what they are.
NEAR = 1 / 4


class Paired(NamedTuple):
    """A query about one network with the differences of pairs of its layers; links int64[n, 4]: neurons a, b, e and d of `Layout.pairs`."""

    query: Query
    pairs: tuple[tuple[int, int], ...]
    links: np.ndarray


def paired(query: Query, limits: Limits = NO_LIMITS) -> Paired | None:
    """The query with the differences of all layers that come in pairs; None if none do, or if its formula is not about any of these.

    Of several networks layers come in pairs if the formula bounds the differences of the inputs that they read.
    """
    links: frozenset[tuple[int, int]] | None = None
    if len(query.networks) > 1:
        query = side_by_side(query, limits)
        links = linked(query.named)
        if not links:
            return None
    builder = _Builder(query.networks[0], links, limits)
    builder.find()
    if not builder.links:
        return None
    network = builder.network()
    formula = _over_differences(query.named, network, builder.seconds)
    last = builder.of.num_values
    if not any(ref.tensor == VALUE and ref.element >= last for atom in atoms(formula) for ref in atom.coefficients()):
        return None
    return Paired(Query((network,), query.boxes, formula, limits=limits), tuple(builder.pairs), np.concatenate(builder.links))


def _over_differences(formula: Formula, network: Network, seconds: dict[int, list[tuple[int, int]]]) -> Formula:
    """The same formula, with c y_i - c y_j written as c d, the earliest d first; seconds: y_i -> (y_j, d)."""
    if isinstance(formula, AtMost):
        terms = {ref.value_of(network): (c, ref) for ref, c in formula.coefficients().items()}
        found = sorted((d, one, other) for one in terms for other, d in seconds.get(one, ()) if other in terms)
        for d, a, b in found:
            if terms[a][0] * terms[b][0] < 0:
                (p, first), (q, second) = terms[a], terms[b]
                part = min(abs(p), abs(q)) * (1 if p > 0 else -1)
                terms |= {a: (p - part, first), b: (q + part, second), d: (part, Ref(0, VALUE, d))}
        return AtMost(tuple(terms.values()), formula.bound)
    if isinstance(formula, Not):
        return Not(_over_differences(formula.part, network, seconds))
    return type(formula)(tuple(_over_differences(part, network, seconds) for part in formula.parts))


class _Builder:
    """The pairs of a network, and the layers of their differences, one after the other."""

    def __init__(self, network: Network, links: frozenset[tuple[int, int]] | None, limits: Limits):
        self.of, self.bounded, self.limits = network, links, limits
        # The ranges of all values by their formats, those of differences among them.
        self.lo, self.hi = network.value_ranges
        self.layers, self.reads = list[Layer](), list[np.ndarray]()
        self.pairs, self.links = list[tuple[int, int]](), list[np.ndarray]()
        # Differences: (first, second) -> value, and the same by their first.
        self.known: dict[tuple[int, int], int] = {}
        self.seconds: dict[int, list[tuple[int, int]]] = {}

    def find(self) -> None:
        """Every layer with the first one before it that it fits to."""
        taken = set[int]()
        for j in range(1, len(self.of.layers)):
            for i in range(j):
                self.limits.check()
                if i not in taken and self._are_paired(i, j) and self._add(i, j):
                    taken |= {i, j}
                    break

    def network(self) -> Network:
        """With all differences behind its layers."""
        return replace(self.of, layers=(*self.of.layers, *self.layers), reads=(*self.of.reads, *self.reads), outputs=self.of.outputs)

    def _are_paired(self, i: int, j: int) -> bool:
        a, b = self.of.layers[i], self.of.layers[j]
        if not (_same_shape(a.affine, b.affine) and all(part.stepped for layer in (a, b) for part in layer.steps)):
            return False
        x, y = self.of.views[i], self.of.views[j]
        padding = x == PADDING
        if (padding != (y == PADDING)).any() or (padding.any() and a.input.zero_point != b.input.zero_point):
            return False
        strange = x != y
        strange[strange] = [not self._is_bounded(*pair) for pair in zip(x[strange].tolist(), y[strange].tolist(), strict=True)]
        if strange.sum() > FEW * len(x):
            return False
        change, size = _change(a.affine, b.affine), _weights(a.affine).astype(np.int64)
        return float(np.abs(change).sum()) <= NEAR * float(np.abs(size).sum())

    def _is_bounded(self, x: int, y: int) -> bool:
        """Whether more is known of the difference of two values than their ranges say; inputs of one network that is asked about count."""
        if max(x, y) < self.of.num_inputs:
            return self.bounded is None or (x, y) in self.bounded
        return (x, y) in self.known

    def _add(self, i: int, j: int) -> bool:
        """The layers e and d of a pair, behind one of what they read; none of them and False if their numbers are too large for layers."""
        x, y = self.of.views[i], self.of.views[j]
        new = sorted({pair for pair in zip(x.tolist(), y.tolist(), strict=True) if pair[0] != pair[1] and pair not in self.known})
        first, second = (np.arange(t.start, t.stop) for t in map(self.of.target, (i, j)))
        if not (self._fit(first, second) and self._fit(*np.array(new, np.int64).reshape(-1, 2).T)):
            return False
        count, size = len(self.layers), len(self.lo)
        if new:
            self._append_differences("differences", *np.array(new).T)
        e = self._accumulators(i, j)
        if e is None:
            self._forget(count, size)
            return False
        self._append(*e)
        self._append_differences(f"differences of {self.of.layers[i].name}", first, second)
        self.pairs.append((i, j))
        n = self.of.num_inputs
        starts = len(self.lo) - 2 * len(first) - n, len(self.lo) - len(first) - n
        self.links.append(np.stack([first - n, second - n, *(start + np.arange(len(first)) for start in starts)], axis=1))
        return True

    def _fit(self, first: np.ndarray, second: np.ndarray) -> bool:
        """Whether a layer can hold the differences of these values."""
        least, most = self.lo[first] - self.hi[second], self.hi[first] - self.lo[second]
        return bool((least >= INT32[0]).all() and (most <= INT32[1]).all())

    def _forget(self, count: int, size: int) -> None:
        """All layers behind so many, and all values."""
        del self.layers[count:], self.reads[count:]
        self.lo, self.hi = self.lo[:size], self.hi[:size]
        self.known = {pair: d for pair, d in self.known.items() if d < size}
        self.seconds = {a: [(b, d) for b, d in found if d < size] for a, found in self.seconds.items()}

    def _append(self, layer: Layer, reads: np.ndarray) -> None:
        self.layers.append(layer)
        self.reads.append(reads.astype(np.int32))
        self.lo, self.hi = (
            np.append(ends, np.full(layer.output.size, end)) for ends, end in ((self.lo, layer.output.lo), (self.hi, layer.output.hi))
        )

    def _append_differences(self, name: str, first: np.ndarray, second: np.ndarray) -> None:
        """d = first - second, which is known from now on."""
        n, ones = len(first), np.tile([1, -1], len(first))
        lo, hi = int((self.lo[first] - self.hi[second]).min()), int((self.hi[first] - self.lo[second]).max())
        rows = SparseRows(2 * n, 2 * np.arange(n + 1), np.arange(2 * n), ones, np.zeros(n, np.int64))
        reads = np.stack([first, second], axis=1).ravel()
        start = len(self.lo)
        self._append(Linear(name, self._format(reads), *_plain((n,), lo, hi), rows), reads)
        for d, (a, b) in enumerate(zip(first.tolist(), second.tolist(), strict=True), start):
            self.known[a, b] = d
            self.seconds.setdefault(a, []).append((b, d))

    def _format(self, reads: np.ndarray) -> TensorFormat:
        """One that holds some values."""
        return TensorFormat((len(reads),), int(self.lo[reads].min()), int(self.hi[reads].max()))

    def _accumulators(self, i: int, j: int) -> tuple[Layer, np.ndarray] | None:
        """acc_i - acc_j as a layer, and what it reads."""
        a, b = self.of.layers[i], self.of.layers[j]
        x, y = self.of.views[i], self.of.views[j]
        values = np.array([self.known.get(pair, PADDING) for pair in zip(x.tolist(), y.tolist(), strict=True)], np.int64)
        change = _change(a.affine, b.affine)
        if np.abs(change).max(initial=0) >= WEIGHT_LIMIT or (change.any() and (y == PADDING).any() and b.input.zero_point):
            return None
        bias = np.subtract(*(layer.affine.biases for layer in (a, b)))
        shared, values = _joined(a.affine, change, bias, values, y)
        return self._linear(f"accumulators of {a.name}", shared, values)

    def _linear(self, name: str, shared: AffineMap, values: np.ndarray) -> tuple[Layer, np.ndarray] | None:
        """A layer that gives its accumulators as they are."""
        inside = values != PADDING
        reads, which = np.unique(values[inside], return_inverse=True)
        if not len(reads):
            reads, which = np.zeros(1, np.int64), np.zeros(0, np.int64)
        cells = np.full(len(values), PADDING, np.int32)
        cells[inside] = which
        form = self._format(reads)
        reach = int(shared.magnitudes().max()) * max(abs(form.lo), abs(form.hi)) + int(np.abs(shared.biases).max())
        if reach > INT32[1]:
            return None
        shape = (shared.n_out // shared.bias.size, shared.bias.size) if isinstance(shared, Patches) else (shared.n_out,)
        return Linear(name, form, *_plain(shape, -reach, reach), shared, cells), reads


def _plain(shape: tuple[int, ...], lo: int, hi: int) -> tuple[TensorFormat, tuple[ShiftRequantizer, ...]]:
    """An output that is its accumulator."""
    return TensorFormat(shape, lo, hi), (ShiftRequantizer(0, "floor", lo, hi, "saturate", 0),)


def _weights(affine: AffineMap) -> np.ndarray:
    return affine.rows if isinstance(affine, Patches) else affine.weights  # type: ignore[attr-defined]


def _change(a: AffineMap, b: AffineMap) -> np.ndarray:
    """The weights of a less those of b, of maps of the same shape."""
    return _weights(a).astype(np.int64) - _weights(b)


def _same_shape(a: AffineMap, b: AffineMap) -> bool:
    """Whether all weights stand at the same places."""
    if type(a) is not type(b) or (a.n_in, a.n_out) != (b.n_in, b.n_out):
        return False
    if isinstance(a, Patches):
        assert isinstance(b, Patches)
        same = a.rows.shape == b.rows.shape and a.stride == b.stride
        return same and np.array_equal(a.start, b.start) and np.array_equal(a.offset, b.offset)
    assert isinstance(a, SparseRows)
    assert isinstance(b, SparseRows)
    return np.array_equal(a.indptr, b.indptr) and np.array_equal(a.indices, b.indices)


def _joined(of: AffineMap, change: np.ndarray, bias: np.ndarray, first: np.ndarray, second: np.ndarray) -> tuple[AffineMap, np.ndarray]:
    """W first + change second + bias, W the weights of a map, and the values of its cells."""
    n, changed = of.n_in, change.any()
    values = np.concatenate([first, second]) if changed else first
    if isinstance(of, Patches):
        if not changed:
            return replace(of, bias=bias[: of.bias.size].reshape(of.bias.shape)), values
        rows, offset = np.concatenate([of.rows, change], axis=2), np.concatenate([of.offset, n + of.offset])
        return replace(of, n_in=2 * n, rows=rows, offset=offset, bias=bias[: of.bias.size].reshape(of.bias.shape)), values
    assert isinstance(of, SparseRows)
    if not changed:
        return replace(of, bias=bias), values
    rows = np.repeat(np.arange(of.n_out), np.diff(of.indptr))
    row, cell = np.concatenate([rows, rows]), np.concatenate([of.indices, n + of.indices])
    weights = np.concatenate([of.weights, change])
    order = np.lexsort((cell, row))
    order = order[weights[order] != 0]
    indptr = np.searchsorted(row[order], np.arange(of.n_out + 1))
    return SparseRows(2 * n, indptr, cell[order], weights[order], bias), values


def moving(links: np.ndarray, lo: np.ndarray, hi: np.ndarray, num_inputs: int) -> np.ndarray:
    """int64[n, 6], pairs as `Layout` has them: those of the links whose two outputs both move in ranges lo and hi, one row."""
    free = lo < hi
    kept = links[free[links[:, 0] + num_inputs] & free[links[:, 1] + num_inputs]]
    return np.concatenate([kept, np.zeros((len(kept), 2), np.int64)], axis=1)
