"""Sums on their way: products w (x - zero point) added one by one, by ascending index, and the bias before them or after them.

After m products an accumulator holds its m-th prefix, a sum over values like the accumulator itself. Most prefixes are never the farthest:
where the next product is at least 0 whatever the input, the prefix with it is above, and where the last one is at most 0, that without it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import InputError, unknown
from ..importers.runtimes import BIAS_FIRST, BIAS_LAST
from ..limits import LimitReached
from ..network import AffineMap, Network, Patches, SparseRows, forward_all, reference
from ..network.layers import PADDING
from ..properties import Ref
from ..properties.formula import VALUE
from .accumulators import Accumulators
from .farthest import Farthest, Inputs, Reached, Terms

Found = tuple[np.ndarray, np.ndarray, np.ndarray]

ANY, ASCENDING, FIRST, LAST = "any", "ascending", "bias-first", "bias-last"
ORDERS = (ANY, ASCENDING, FIRST, LAST)
# Products that are looked at together, prefixes that are searched, and what sums stay below in magnitude.
TOGETHER, MOST_FORMS, MOST_REACH = 1 << 20, 1 << 18, 2.0**59


@dataclass(frozen=True)
class Partial:
    """What the accumulators of a layer hold on the way, in one order; widths are bits of two's complement.

    order    "bias-first" or "bias-last"
    bounds, reached, needed, enough   as of `LayerWidth`, of all prefixes, the empty one and the whole sum among them
    end      the accumulator, how many terms are added, products whose weight is not 0 and the bias, and the side
    value, inputs   what it holds then, and the input that does it: the farthest found
    reason   why the width is open, or ""
    """

    order: str
    bounds: tuple[int, int]
    reached: tuple[int, int]
    needed: int
    enough: int
    end: tuple[int, int, int]
    value: int
    inputs: Inputs
    reason: str = ""


def order_of(order: str, network: Network) -> str | None:
    """When the bias is added, "bias-first" or "bias-last"; None for any order. Raises `InputError`."""
    if order not in ORDERS:
        raise unknown("order:", order, ORDERS)
    if order != ASCENDING:
        return None if order == ANY else order
    if not network.runtime or network.runtime in BIAS_LAST:
        return LAST
    if network.runtime in BIAS_FIRST:
        return FIRST
    raise InputError(f"order: {network.runtime} adds products in groups, side by side; expected {ANY}, {FIRST} or {LAST}")


def rows_of(affine: AffineMap, outputs: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Some outputs int64[n] at a time, their cells int64[n, k] in ascending order, and weights int64[n, k]; 0 where a row is shorter."""
    if isinstance(affine, SparseRows):
        lengths = np.diff(affine.indptr)
        together = max(1, TOGETHER // max(1, int(lengths.max())))
        for some in np.split(outputs, range(together, len(outputs), together)):
            places = affine.indptr[some][:, None] + np.arange(max(1, int(lengths[some].max())))
            there = places < affine.indptr[some + 1][:, None]
            cells, weights = (
                np.where(there, part[np.where(there, places, 0)] if len(part) else 0, 0) for part in (affine.indices, affine.weights)
            )
            yield some, cells.astype(np.int64), weights.astype(np.int64)
        return
    assert isinstance(affine, Patches)
    order = np.argsort(affine.offset, kind="stable")
    together = max(1, TOGETHER // len(order))
    for some in np.split(outputs, range(together, len(outputs), together)):
        p, g, c = some // affine.bias.size, some // affine.channels % affine.groups, some % affine.channels
        first = affine.start[p].astype(np.int64) + g * affine.stride
        yield some, first[:, None] + affine.offset[order], affine.rows[g, c][:, order].astype(np.int64)


class Prefixes(Farthest):
    """Those prefixes of a layer that may be farther than what is known: forms int64[n, 2], their accumulator and how many cells they have.

    Bounds of an end that another prefix is beyond, whatever the input, are cut to what is known: only those of all together hold.
    """

    def __init__(self, whole: Accumulators, order: str):
        self.whole, self.order, self.block = whole, order, whole.block
        affine, self.zero = self.block.layer.affine, self.block.layer.input.zero_point
        # The biases before zero points went into them: padding adds nothing.
        self.biases = affine.biases + self.zero * affine.totals()
        self.starts = self.biases if order == FIRST else np.zeros(self.block.size, np.int64)
        known = [self._farthest_at(inputs) for inputs in dict.fromkeys(whole.best(side).inputs for side in (-1, 1))]
        least, most = min(low for low, _ in known), max(high for _, high in known)
        self.forms = np.array([least[1:], most[1:]])
        self.too_many = False
        lo, hi = self._bounded(least[0], most[0])
        super().__init__(whole.network, whole.box, whole.tight, whole.budget, lo, hi)
        for side in (-1, 1):
            self.note(whole.best(side).inputs)
            if not self.block.reads_neurons:
                self.note(self._corner(int(self.hi.argmax() if side > 0 else self.lo.argmin()), side))

    def _rows(self, ends: Sequence[np.ndarray], outputs: np.ndarray) -> Iterator[tuple[np.ndarray, list[np.ndarray]]]:
        """Some outputs at a time, and what they add one by one, int64[n, k], at each of some values int64[num_values]."""
        inside = self.block.view != PADDING
        cells_of = [np.where(inside, x[np.where(inside, self.block.view, 0)] - self.zero, 0) for x in ends]
        for some, cells, weights in rows_of(self.block.layer.affine, outputs):
            self.whole.budget.limits.check()
            added, last = [weights * x[cells] for x in cells_of], self.biases[some][:, None]
            yield some, added if self.order == FIRST else [np.concatenate([x, last], axis=1) for x in added]

    def _farthest_at(self, inputs: Inputs) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
        """The least and the largest prefix at an input: its value, accumulator and cells."""
        i, j = int(self.starts.argmin()), int(self.starts.argmax())
        least, most = (int(self.starts[i]), i, 0), (int(self.starts[j]), j, 0)
        for some, (added,) in self._rows([self._run(inputs)], np.arange(self.block.size)):
            sums = self.starts[some][:, None] + added.cumsum(axis=1)
            for where in (int(sums.argmin()), int(sums.argmax())):
                i, m = divmod(where, sums.shape[1])
                found = int(sums[i, m]), int(some[i]), m + 1
                least, most = min(least, found), max(most, found)
        return least, most

    def _run(self, inputs: Inputs) -> np.ndarray:
        return forward_all(self.whole.network, np.array([inputs], np.int64))[0]

    def _bounded(self, least: int, most: int) -> tuple[np.ndarray, np.ndarray]:
        """Bounds of the prefixes that may be below `least` or above `most`, which become forms."""
        tight, ends = self.whole.tight, np.array([least, most])
        found = [(self.forms, ends, ends)]
        for some, (a, b) in self._rows([tight.lo[0], tight.hi[0]], np.arange(self.block.size)):
            low, high = np.minimum(a, b), np.maximum(a, b)
            lo, hi = (self.starts[some][:, None] + x.cumsum(axis=1) for x in (low, high))
            # The last one is the whole sum, of which more is known.
            lo[:, -1], hi[:, -1] = np.maximum(lo[:, -1], self.whole.lo[some]), np.minimum(hi[:, -1], self.whole.hi[some])
            up, down = _turns(low, high) & (hi > most), _turns(-high, -low) & (lo < least)
            i, m = np.nonzero(up | down)
            forms = np.stack([some[i], m + 1], axis=1)
            found.append((forms, np.where(down, lo, least)[i, m], np.where(up, hi, most)[i, m]))
            if sum(len(part[0]) for part in found) > MOST_FORMS:
                self.too_many = True
            if self.too_many:
                found = [_ends_of([np.concatenate(part) for part in zip(*found, strict=True)])]
        self.forms, lo, hi = (np.concatenate(part) for part in zip(*found, strict=True))
        return lo, hi

    def values(self, inputs: Inputs) -> np.ndarray:
        outputs, counts = self.forms.T
        sums, order = self.starts[outputs].copy(), np.argsort(outputs, kind="stable")
        for some, (added,) in self._rows([self._run(inputs)], np.unique(outputs)):
            first, last = np.searchsorted(outputs[order], [some[0], some[-1] + 1])
            mine = order[first:last]
            total = np.concatenate([np.zeros((len(some), 1), np.int64), added.cumsum(axis=1)], axis=1)
            sums[mine] += total[np.searchsorted(some, outputs[mine]), counts[mine]]
        return sums

    def terms(self, i: int) -> tuple[Terms, int]:
        output, count = self.forms[i].tolist()
        ((_, cells, weights),) = rows_of(self.block.layer.affine, np.array([output]))
        constant = int(self.starts[output]) + (int(self.biases[output]) if count > cells.shape[1] else 0)
        found: dict[int, int] = {}
        for value, weight in zip(self.block.view[cells[0, :count]].tolist(), weights[0, :count].tolist(), strict=True):
            if weight and value != PADDING:
                constant -= self.zero * weight
                found[value] = found.get(value, 0) + weight
        return tuple((w, Ref(0, VALUE, value)) for value, w in found.items() if w), constant

    def _corner(self, i: int, side: int) -> Inputs:
        """Inputs at ends of the box that drive a sum over inputs farthest."""
        x = self.whole.box.lo.copy()
        for weight, ref in self.terms(i)[0]:
            x[ref.element] = (self.whole.box.hi if side * weight > 0 else self.whole.box.lo)[ref.element]
        return tuple(x.tolist())

    def result(self) -> Partial:
        found, needed = self.widest, self.needed
        output, count = self.forms[found.end[0]].tolist()
        try:
            self._replay(found)
        except LimitReached as limit:
            needed, self.reason = 1, limit.reason
        ((_, _, weights),) = rows_of(self.block.layer.affine, np.array([output]))
        added = int(np.count_nonzero(weights[0, :count])) + (self.order == FIRST or count > weights.shape[1])
        bounds, reached = (int(self.lo.min()), int(self.hi.max())), (int(self.least.min()), int(self.most.max()))
        reason = "" if needed == self.enough else self.reason
        return Partial(self.order, bounds, reached, needed, self.enough, (output, added, found.end[1]), found.value, found.inputs, reason)

    def _replay(self, found: Reached) -> None:
        """The sum over what the reference computes. Raises `LimitReached`."""
        values = reference.run_values(self.network, found.inputs, self.budget.all)
        terms, constant = self.terms(found.end[0])
        said = constant + sum(c * values[ref.element] for c, ref in terms)
        if said != found.value:
            what = f"a sum on its way is {found.value} by the kernel, {said} by the reference"
            raise RuntimeError(f"layer {self.block.layer.name!r}: {what}; please report this")


def _turns(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Of terms in [low, high] that are added along a row: where a sum with this one may be above those with one more and one less."""
    rises = (low[:, 1:] >= 0) & (high[:, 1:] > 0)
    return (high > 0) & np.concatenate([~rises, np.ones((len(low), 1), bool)], axis=1)


def _ends_of(found: Sequence[np.ndarray]) -> Found:
    """What is known, and the farthest bounds of all."""
    forms, lo, hi = found
    kept = np.unique([0, 1, int(lo.argmin()), int(hi.argmax())])
    return forms[kept], lo[kept], hi[kept]


def partial(whole: Accumulators, order: str, exact: bool) -> Partial | None:
    """What is known of the sums on their way; None where they may leave 60 bits. Raises `LimitReached` if there is no time for bounds."""
    affine, zero = whole.block.layer.affine, abs(whole.block.layer.input.zero_point)
    largest = float(max(np.abs(whole.tight.lo).max(), np.abs(whole.tight.hi).max())) + zero
    if (affine.magnitudes().astype(float) * largest * 2 + np.abs(affine.biases.astype(float))).max() >= MOST_REACH:
        return None
    work = Prefixes(whole, order)
    try:
        if work.too_many:
            work.reason = f"more than {MOST_FORMS} of them may be the farthest"
        else:
            work.decide(exact)
    except LimitReached as limit:
        work.reason = limit.reason
    return work.result()
