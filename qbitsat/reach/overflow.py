"""How wide accumulators must be, layer by layer: bounds -> attack -> one query for all that is left, a bit less wide each time.

The width of a layer is decided by its farthest accumulator. So those whose bounds lie within the width that another one is known to
reach are never searched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from .._kernels.exact import forward as _forward
from ..attack.climb import climb
from ..bounds import Ranges
from ..bounds.layout import Block, Layout
from ..bounds.reduction import reduced
from ..limits import LimitReached
from ..network import Network, forward_all, reference
from ..network.layers import PADDING
from ..optimize import maximize
from ..options import make_options
from ..properties import And, AtMost, Box, Formula, Or, Query, Ref, accumulator, at_least, replay
from ..properties.formula import TRUE
from ..properties.widths import leaving, reaches, shares
from ..verify import UNKNOWN, VIOLATED, Verdict, verify
from .extremes import Budget, bounds_of, chosen_layers, prefix, region, width

# Ends that are attacked before all others; those whose optima stay open, after which no more are looked for; and terms of one query.
FIRST, OPEN, MOST_TERMS = 4, 4, 1 << 18

# An accumulator of a layer and one of its ends: 1 is the upper one.
End = tuple[int, int]
Terms = tuple[tuple[int, Ref], ...]


@dataclass(frozen=True)
class LayerWidth:
    """The accumulators of one layer over a region; widths are bits of two's complement.

    interval   the range that interval bounds give, over all accumulators; `bounds` what was proved instead
    reached    the range between the farthest that inputs were found to give
    needed     the width that some input needs, as the reference says too, 1 where that had no time; enough: the width that is proved
               enough. The same where the width is decided
    partial    a width that no sum of some of the products w (x - zero point) and the bias leaves, in whatever order they are added; None
               beyond 62 bits
    end        the accumulator, and its side (1 or -1), that `inputs` drive to `value`, the farthest found
    constant   outputs that are proved to have one value only; at_ends: those that may be at an end of their format's range
    reason     why the width is open, or ""
    certificates with that option: of the accumulator that needs the width, where that is more than 1, and of the formulas of
               `properties.widths.leaving`, `parts` of them, that none leaves it: queries about the whole network and their verdicts
    """

    layer: int
    name: str
    accumulators: int
    interval: tuple[int, int]
    bounds: tuple[int, int]
    reached: tuple[int, int]
    needed: int
    enough: int
    partial: int | None
    end: End
    value: int
    inputs: tuple[int, ...]
    constant: int
    at_ends: int
    reason: str = ""
    parts: int = 0
    certificates: tuple[tuple[Query, Verdict], ...] = field(default=(), repr=False)

    @property
    def decided(self) -> bool:
        """No width less than `enough` is enough."""
        return self.needed == self.enough

    @property
    def exact(self) -> bool:
        """The range is proved, not only its width."""
        return self.reached == self.bounds

    @property
    def saved(self) -> int:
        """Bits that are proved not to be needed although interval bounds ask for them."""
        return width(*self.interval) - self.enough


def overflow(
    network: Network,
    box: Box | None = None,
    *,
    layers: Sequence[int] | None = None,
    exact: bool = False,
    total: float | None = None,
    told: Callable[[LayerWidth], object] | None = None,
    cancel: Any = None,
    **options: Any,
) -> tuple[LayerWidth, ...]:
    """How wide the accumulators of each layer must be for inputs in the box, for all inputs without one.

    layers are numbers of layers; by default those that multiply by weights, dense and convolution, or all where there are none of these.
    exact: also the exact range, of the farthest accumulators. timeout and the other options, those of `verify`, are for each query that
    this takes; total is in seconds for all, and layers for which there is no time have their bounds. told is called with each layer.
    """
    box = region(network, box)
    values = make_options(**options)
    # Queries on the way are about the first layers alone, of which a certificate would say nothing.
    budget, certificates = Budget(replace(values, certificates=False), total, cancel), values.certificates
    numbers, found = chosen_layers(network, layers), []
    intervals, tight = bounds_of(network, box, budget)
    for n, k in enumerate(numbers):
        budget.turn(len(numbers) - n)
        work = _Layer(network, box, k, intervals, tight, budget)
        try:
            work.decide(exact)
        except LimitReached as limit:
            work.reason = limit.reason
        except MemoryError:
            work.reason = "memory"
        found.append(work.certified() if certificates else work.result())
        if told is not None:
            told(found[-1])
    return tuple(found)


class _Layer:
    """One layer under way: the bounds of its accumulators, and the farthest points found."""

    def __init__(self, network: Network, box: Box, k: int, intervals: Ranges, tight: Ranges, budget: Budget):
        self.whole, self.box, self.k, self.budget, self.reason = network, box, k, budget, ""
        self.block: Block = tight.layout.block(0, k)
        self.intervals, self.tight = intervals, tight
        part = self.block.neurons
        self.lo, self.hi = tight.acc_lo[0, part].copy(), tight.acc_hi[0, part].copy()
        self.network = prefix(network, k)
        # The farthest found: their inputs and values by side.
        middle = tuple(((box.lo + box.hi) // 2).tolist())
        accs = self._accumulators(middle)
        self.best: dict[int, tuple[int, int, tuple[int, ...]]] = {
            side: (int((side * accs).argmax()), side * int((side * accs).max()), middle) for side in (-1, 1)
        }

    def _accumulators(self, inputs: tuple[int, ...]) -> np.ndarray:
        """All of the layer's, int64[outputs], by the inference kernel."""
        values = forward_all(self.network, np.array([inputs], np.int64))
        acc = np.empty((1, self.block.size), np.int64)
        _forward.accumulate(self.network.kernel, self.k, values, acc)
        return acc[0]

    def decide(self, exact: bool) -> None:
        if not self.block.reads_neurons:
            self._take_corners()
        if exact:
            for side in (-1, 1):
                self._climb_to_the_end(side)
            return
        for end in self._candidates(self.enough - 1)[:FIRST] if self.needed < self.enough else ():
            self._attack(end)
        while self.needed < self.enough and self._drop(self.enough - 1):
            pass

    @property
    def needed(self) -> int:
        return width(self.best[-1][1], self.best[1][1])

    @property
    def enough(self) -> int:
        return width(int(self.lo.min()), int(self.hi.max()))

    def _candidates(self, bits: int) -> list[End]:
        """The ends that may leave so many bits, the farthest first."""
        most = 1 << (bits - 1)
        ends = [(int(self.hi[i]) - most, (i, 1)) for i in np.flatnonzero(self.hi >= most).tolist()]
        ends += [(-int(self.lo[i]) - most - 1, (i, -1)) for i in np.flatnonzero(self.lo < -most).tolist()]
        return [end for _, end in sorted(ends, key=lambda pair: -pair[0])]

    def _terms(self, end: End) -> tuple[Terms, int]:
        """side * accumulator, as terms and a constant."""
        i, side = end
        terms, constant = accumulator(self.network, self.k, i)
        return tuple((side * c, ref) for c, ref in terms), side * constant

    def _note(self, inputs: tuple[int, ...]) -> None:
        """Keep inputs that drive some accumulator farther than what is known."""
        accs = self._accumulators(inputs)
        for side in (-1, 1):
            i = int((side * accs).argmax())
            if side * int(accs[i]) > side * self.best[side][1]:
                self.best[side] = i, int(accs[i]), inputs

    def _take_corners(self) -> None:
        """Inputs are free of each other: the ends of a sum over inputs are at corners of the box, and exact."""
        for i in range(self.block.size) if self._reads_twice() else ():
            values, weights, bias = self.network.row(self.k, i)
            lo, hi = self.box.lo[values], self.box.hi[values]
            self.lo[i] = bias + int(np.where(weights > 0, weights * lo, weights * hi).sum())
            self.hi[i] = bias + int(np.where(weights > 0, weights * hi, weights * lo).sum())
        for side, i in ((-1, int(self.lo.argmin())), (1, int(self.hi.argmax()))):
            values, weights, _ = self.network.row(self.k, i)
            x = self.box.lo.copy()
            x[values] = np.where(side * weights > 0, self.box.hi[values], self.box.lo[values])
            self._note(tuple(x.tolist()))

    def _reads_twice(self) -> bool:
        """Whether some value is more than one cell, so that intervals of cells say too little."""
        cells = self.block.view[self.block.view != PADDING]
        return len(np.unique(cells)) < len(cells)

    def _query(self, violation: Formula) -> Query:
        return Query((self.network,), (self.box,), violation, limits=self.budget.limits)

    def _attack(self, end: End) -> None:
        """A far point of one end, by gradients."""
        terms, _ = self._terms(end)
        limits, goal = self.budget.one(), AtMost(tuple((-c, ref) for c, ref in terms), 0)
        query = self._query(And((TRUE, goal)))
        named = query.named
        assert isinstance(named, And)
        left = reduced(query, prefix_bounds(self.tight, self.network), named, limits)
        assert isinstance(left.formula, And)
        assert isinstance(left.formula.parts[1], AtMost)
        try:
            point = climb(left.query, TRUE, left.formula.parts[1], self.budget.options, limits)
        except LimitReached:
            self.budget.limits.check()
            return
        if point is not None:
            self._note(left.expand(point.inputs)[0])

    def _drop(self, bits: int) -> bool:
        """Whether so many bits are enough, which is proved then; if not, the best point says so or the reason is kept."""
        ends, open_ones = self._candidates(bits), False
        for part in self._portions(ends):
            parts = [at_least(terms, (1 << (bits - 1)) + (side < 0) - constant) for (_, side), (terms, constant) in part]
            verdict = verify(self._query(Or(tuple(parts))), **self.budget.each())
            if verdict.verdict == VIOLATED and verdict.witness is not None:
                self._note(verdict.witness.inputs[0])
                return False
            if verdict.verdict == UNKNOWN:
                self.reason, open_ones = verdict.reason, True
                continue
            for (i, side), _ in part:
                if side > 0:
                    self.hi[i] = min(int(self.hi[i]), (1 << (bits - 1)) - 1)
                else:
                    self.lo[i] = max(int(self.lo[i]), -(1 << (bits - 1)))
        return not open_ones

    def _portions(self, ends: list[End]) -> Iterator[list[tuple[End, tuple[Terms, int]]]]:
        """Ends with their terms, few terms together."""
        part: list[tuple[End, tuple[Terms, int]]] = []
        size = 0
        for end in ends:
            terms = self._terms(end)
            if part and size + len(terms[0]) > MOST_TERMS:
                yield part
                part, size = [], 0
            part.append((end, terms))
            size += len(terms[0])
        if part:
            yield part

    def _climb_to_the_end(self, side: int) -> None:
        """Optima of the farthest accumulators, until no other one has bounds beyond the best."""
        ends = self.hi if side > 0 else -self.lo
        skipped = np.zeros(len(ends), bool)
        while skipped.sum() < OPEN:
            i = int(np.where(skipped, np.iinfo(np.int64).min, ends).argmax())
            if skipped[i] or int(ends[i]) <= side * self.best[side][1]:
                break
            terms, constant = self._terms((i, side))
            found = maximize(self._query(And(())), terms, **self.budget.each())
            if found.upper is not None:
                ends[i] = min(int(ends[i]), found.upper + constant)
            if found.witness is not None:
                self._note(found.witness.inputs[0])
            if not found.optimal:
                self.reason, skipped[i] = found.reason, True
        if side < 0:
            self.lo = -ends

    def result(self) -> LayerWidth:
        layer, part, target = self.whole.layers[self.k], self.block.neurons, self.block.target
        farthest = max(self.best, key=lambda side: (width(self.best[side][1], self.best[side][1]), side * self.best[side][1]))
        needed = self.needed
        try:
            self._replay(farthest)
        except LimitReached as limit:
            needed, self.reason = 1, limit.reason
        lo, hi = self.tight.lo[0, target], self.tight.hi[0, target]
        ends = [np.resize([getattr(r, name) for r in layer.requantizers], len(lo)) for name in ("lo", "hi")]
        return LayerWidth(
            layer=self.k,
            name=layer.name,
            accumulators=self.block.size,
            interval=(int(self.intervals.acc_lo[0, part].min()), int(self.intervals.acc_hi[0, part].max())),
            bounds=(int(self.lo.min()), int(self.hi.max())),
            reached=(self.best[-1][1], self.best[1][1]),
            needed=needed,
            enough=self.enough,
            partial=self._partial(),
            end=(self.best[farthest][0], farthest),
            value=self.best[farthest][1],
            inputs=self.best[farthest][2],
            constant=int((lo == hi).sum()),
            at_ends=int(((lo == ends[0]) | (hi == ends[1])).sum()),
            reason="" if needed == self.enough else self.reason,
        )

    def certified(self) -> LayerWidth:
        """The result, asked again about the whole network, with proofs; the first ones where there is no time for all."""
        found = self.result()
        parts = shares(self.whole, self.k)
        proved = list[tuple[Query, Verdict]]()
        try:
            limits = self.budget.limits
            if found.needed > 1:
                (i, side), options = found.end, replace(self.budget.options, certificates=True)
                query = Query((self.whole,), (self.box,), reaches(*accumulator(self.whole, self.k, i), side, found.value), limits=limits)
                proved.append((query, Verdict(VIOLATED, engine="attack", witness=replay(query, (found.inputs,), limits), options=options)))
            for part in parts:
                formula = leaving(self.whole, self.k, found.enough, part)
                query = Query((self.whole,), (self.box,), formula, limits=limits)
                proved.append((query, verify(query, **{**self.budget.each(), "certificates": True})))
        except (LimitReached, MemoryError) as limit:
            reason = found.reason or getattr(limit, "reason", "memory")
            return replace(found, parts=len(parts), certificates=tuple(proved), reason=reason)
        return replace(found, parts=len(parts), certificates=tuple(proved))

    def _replay(self, side: int) -> None:
        """The reference must say the same of the farthest point. Raises `LimitReached`."""
        i, value, inputs = self.best[side]
        layer, reads = self.network.layers[self.k], self.network.reads[self.k].tolist()
        values = reference.run_values(self.network, inputs, self.budget.all)
        found = reference.accumulators(layer, [values[v] for v in reads], self.budget.all)[i]
        if found != value:
            said = f"accumulator {i} is {value} by the kernel, {found} by the reference"
            raise RuntimeError(f"layer {layer.name!r}: {said}; please report this")

    def _partial(self) -> int | None:
        """sum of max(0, w (x - z)) + max(0, bias), and the same of min, over ranges: those of x widened to hold the zero point z."""
        affine = self.block.layer.affine
        kernel, zero = self.tight.layout.kernel, self.block.layer.input.zero_point
        number = self.tight.layout.blocks.index(self.block)
        lo, hi = np.minimum(self.tight.lo, zero), np.maximum(self.tight.hi, zero)
        largest = float(max(np.abs(lo).max(), np.abs(hi).max()))
        if (affine.magnitudes().astype(float) * largest + np.abs(affine.biases.astype(float))).max() >= 2.0**61:
            return None
        still, biases = np.full_like(lo, zero), np.empty((2, 1, self.block.size), np.int64)
        ends = np.empty((2, 1, self.block.size), np.int64)
        _forward.accumulate_ranges(kernel, number, lo, hi, *ends)
        _forward.accumulate_ranges(kernel, number, still, still, *biases)
        bias = biases[0, 0]
        least, most = ends[0, 0] - bias + np.minimum(bias, 0), ends[1, 0] - bias + np.maximum(bias, 0)
        return width(int(least.min()), int(most.max()))


def prefix_bounds(ranges: Ranges, network: Network) -> Ranges:
    """Ranges of a network's values as those of its first layers, a network of their own."""
    n, inputs = network.num_values, network.num_inputs
    lo, hi, acc_lo, acc_hi = ranges.arrays
    return Ranges(lo[:, :n], hi[:, :n], acc_lo[:, : n - inputs], acc_hi[:, : n - inputs], Layout([network]))
