"""How wide accumulators must be, layer by layer, and whether they leave a type; see `farthest` for how."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from .._kernels.exact import forward as _forward
from ..bounds import Ranges
from ..limits import LimitReached, reason_of
from ..network import Network
from ..options import make_options
from ..properties import Box, Query, accumulator, replay
from ..properties.widths import leaving, reaches, shares
from ..verify import VIOLATED, Verdict, verify
from .accumulators import Accumulators, Each, Outputs
from .extremes import Budget, bounds_of, chosen_layers, region
from .extremes import width as bits_of
from .farthest import End, Reached
from .prefixes import ANY, Partial, order_of, partial
from .types import AccumulatorType, least_type, parse_types

FITS, LEAVES, OPEN = "fits", "leaves", "open"


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
    type       what was asked, as in "16" or "ap_fixed<16,6>"; state: "fits", "leaves" or "open"
    beyond     what leaves it, run again in the reference; None where nothing is known to
    least      the ap_fixed type that is proved to hold all of them exactly, "" where that was not asked of ap_fixed types
    loses      fractional bits that the type has no room for
    outputs    what becomes of outputs: which are dead, or reach an end
    prefixes   what is known of sums on their way, in the order that was asked; None for any order, beyond 60 bits, or without time
    each       the range of each accumulator, where that was asked
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
    type: str
    state: str
    beyond: Reached | None
    least: str
    loses: int
    outputs: Outputs
    prefixes: Partial | None = None
    each: Each | None = field(default=None, repr=False)
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
    def interval_width(self) -> int:
        """The bits that interval bounds ask for."""
        return bits_of(*self.interval)

    @property
    def saved(self) -> int:
        """Bits that are proved not to be needed although interval bounds ask for them."""
        return self.interval_width - self.enough


def overflow(
    network: Network,
    box: Box | None = None,
    *,
    layers: Sequence[int] | None = None,
    width: int | str = 32,
    exact: bool = False,
    each: bool = False,
    order: str = ANY,
    total: float | None = None,
    told: Callable[[LayerWidth], object] | None = None,
    cancel: Any = None,
    **options: Any,
) -> tuple[LayerWidth, ...]:
    """How wide the accumulators of each layer must be for inputs in the box, for all inputs without one.

    layers are numbers of layers; by default those that multiply by weights, dense and convolution, or all where there are none of these.
    width is what accumulators are asked not to leave: bits, an ap_fixed type, or types by layer, as in "24,0=16,2=ap_fixed<16,6>".
    exact: also the exact range, of the farthest accumulators; each: of every accumulator. order: also of sums on their way, as
    "bias-first" or "bias-last" by ascending index, or "ascending", the order of the network's runtime. timeout and the other options,
    those of `verify`, are for each query that this takes; total is in seconds for all, and layers for which there is no time have their
    bounds. told is called with each layer.
    """
    box = region(network, box)
    values = make_options(**options)
    # Queries on the way are about the first layers alone, of which a certificate would say nothing.
    budget, certificates = Budget(replace(values, certificates=False), total, cancel), values.certificates
    numbers, found = chosen_layers(network, layers), []
    types, bias = parse_types(width, numbers), order_of(order, network)
    limits = {k: types[k].limits(network.layers[k]) for k in numbers}
    intervals, tight = bounds_of(network, box, budget)
    for n, k in enumerate(numbers):
        left = (len(numbers) - n) * (1 if bias is None else 2)
        budget.turn(left)
        work = _Layer(Accumulators(network, box, k, tight, budget), network, intervals, types[k], limits[k])
        work.decide(exact, each)
        if bias is not None:
            budget.turn(left - 1)
            work.follow(bias, exact)
        result = work.result(each)
        found.append(work.certified(result) if certificates else result)
        if told is not None:
            told(found[-1])
    return tuple(found)


class _Layer:
    """One layer under way."""

    def __init__(
        self, sums: Accumulators, whole: Network, intervals: Ranges, asked: AccumulatorType, limits: tuple[np.ndarray, np.ndarray]
    ):
        self.sums, self.whole, self.asked, self.limits = sums, whole, asked, limits
        part = sums.block.neurons
        self.interval = int(intervals.acc_lo[0, part].min()), int(intervals.acc_hi[0, part].max())
        self.prefixes: Partial | None = None

    def decide(self, exact: bool, each: bool) -> None:
        """The width, whether all fit into the type, and what else is asked, as far as limits let it."""
        try:
            self.sums.decide(exact or each)
            if not self._beyond() and self.sums.beyond(*self.limits):
                self.sums.rule_out(*self.limits)
            if each:
                self.sums.settle()
        except (LimitReached, MemoryError) as end:
            self.sums.reason = reason_of(end)

    def follow(self, order: str, exact: bool) -> None:
        """The sums on their way, if there is time for their bounds."""
        with suppress(LimitReached, MemoryError):
            self.prefixes = partial(self.sums, order, exact)

    def _beyond(self) -> Reached | None:
        """The accumulator that inputs are known to drive farthest out of the type."""
        lo, hi = self.limits
        over = np.stack([lo - self.sums.least, self.sums.most - hi])
        if over.max() <= 0:
            return None
        row, i = divmod(int(over.argmax()), over.shape[1])
        value = (self.sums.most if row else self.sums.least)[i]
        return Reached((i, 1 if row else -1), int(value), self.sums.inputs((i, 1 if row else -1)))

    def result(self, each: bool) -> LayerWidth:
        sums, layer = self.sums, self.whole.layers[self.sums.k]
        needed, widest, beyond = sums.needed, sums.widest, self._beyond()
        try:
            for found in dict.fromkeys(filter(None, (widest, beyond))):
                sums.replay(found)
        except LimitReached as limit:
            needed, beyond, sums.reason = 1, None, limit.reason
        ap = self.asked.whole is not None
        return LayerWidth(
            layer=sums.k,
            name=layer.name,
            accumulators=sums.block.size,
            interval=self.interval,
            bounds=(int(sums.lo.min()), int(sums.hi.max())),
            reached=(int(sums.least.min()), int(sums.most.max())),
            needed=needed,
            enough=sums.enough,
            partial=any_order(sums),
            end=widest.end,
            value=widest.value,
            inputs=widest.inputs,
            type=self.asked.name,
            state=LEAVES if beyond else OPEN if sums.beyond(*self.limits) else FITS,
            beyond=beyond,
            least=least_type(layer, sums.lo, sums.hi).name if ap else "",
            loses=self.asked.loses(layer),
            outputs=sums.outputs(),
            prefixes=self.prefixes,
            each=sums.each() if each else None,
            reason="" if needed == sums.enough else sums.reason,
        )

    def certified(self, found: LayerWidth) -> LayerWidth:
        """The result, asked again about the whole network, with proofs; the first ones where there is no time for all."""
        k, budget = found.layer, self.sums.budget
        parts = shares(self.whole, k)
        proved = list[tuple[Query, Verdict]]()
        try:
            limits = budget.limits
            if found.needed > 1:
                (i, side), options = found.end, replace(budget.options, certificates=True)
                query = Query((self.whole,), (self.sums.box,), reaches(*accumulator(self.whole, k, i), side, found.value), limits=limits)
                proved.append((query, Verdict(VIOLATED, engine="attack", witness=replay(query, (found.inputs,), limits), options=options)))
            for part in parts:
                query = Query((self.whole,), (self.sums.box,), leaving(self.whole, k, found.enough, part), limits=limits)
                proved.append((query, verify(query, **{**budget.each(), "certificates": True})))
        except (LimitReached, MemoryError) as limit:
            reason = found.reason or getattr(limit, "reason", "memory")
            return replace(found, parts=len(parts), certificates=tuple(proved), reason=reason)
        return replace(found, parts=len(parts), certificates=tuple(proved))


def any_order(sums: Accumulators) -> int | None:
    """Bits of sum of max(0, w (x - z)) + max(0, bias), and the same of min, over ranges: those of x widened to hold the zero point z."""
    affine = sums.block.layer.affine
    kernel, zero = sums.tight.layout.kernel, sums.block.layer.input.zero_point
    number = sums.tight.layout.blocks.index(sums.block)
    lo, hi = np.minimum(sums.tight.lo, zero), np.maximum(sums.tight.hi, zero)
    largest = float(max(np.abs(lo).max(), np.abs(hi).max()))
    if (affine.magnitudes().astype(float) * largest + np.abs(affine.biases.astype(float))).max() >= 2.0**61:
        return None
    still, biases = np.full_like(lo, zero), np.empty((2, 1, sums.block.size), np.int64)
    ends = np.empty((2, 1, sums.block.size), np.int64)
    _forward.accumulate_ranges(kernel, number, lo, hi, *ends)
    _forward.accumulate_ranges(kernel, number, still, still, *biases)
    bias = biases[0, 0]
    least, most = ends[0, 0] - bias + np.minimum(bias, 0), ends[1, 0] - bias + np.maximum(bias, 0)
    return bits_of(int(least.min()), int(most.max()))
