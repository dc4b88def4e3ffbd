"""What the violation itself says of its neurons' ranges, before a clause is written.

A violation makes one disjunct of the formula true, one part of its `Or`. A probe is a part of one output's range together with a
disjunct's inequalities: if integer multipliers prove that nothing is left of it (`bounds.dual`), the disjunct's range loses that part.
Floats propose the multipliers. A disjunct of which nothing is left is gone; every other one gets a CNF of its own, within its ranges.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..limits import NO_LIMITS, Limits
from ..options import Options
from ..properties import And, AtMost, Formula, Or, Query
from ..properties.formula import FALSE
from .dual import Dual
from .dual_descent import DualDescent, Suggestion
from .intervals import Enforced, node_bounds
from .layout import Inequalities, has_steps
from .ranges import Ranges
from .tighten import tighten

# Steps of the search for multipliers of a disjunct, and of a probe, which starts from those.
DISJUNCT_STEPS, PROBE_STEPS = 100, 30
# Rounds of probes for each disjunct, at most; each halves what is open of a range.
ROUNDS = 6
# Products of a weight and a float that probes of one disjunct may take: about a second.
WORK = 1 << 31


class Narrowed(NamedTuple):
    """A disjunct that is left. `bounds` are those of its words, and accumulators must stay inside `enforced`; see `node_bounds`.

    ends has (network, input, value) of the inputs that are open: the value is the one that helps the disjunct most, as the multipliers
    weigh it, and those that matter most come first.
    """

    formula: Formula
    bounds: Ranges
    enforced: Enforced
    ends: list[tuple[int, int, int]]


def narrow(query: Query, bounds: Ranges, formula: Formula, options: Options, limits: Limits = NO_LIMITS) -> list[Narrowed] | None:
    """The disjuncts of a formula without `Not` that are left, the most promising first; None if something can wrap around."""
    disjuncts = formula.parts if isinstance(formula, Or) else (formula,)
    if not all(has_steps(layer) for network in query.networks for layer in network.layers):
        return None
    layout, root = bounds.layout.under(limits), bounds
    ranges = root.take(np.zeros(1, np.int64))
    if options.tighten and tighten(layout, ranges, options.tighten, kept=False) is None:
        return []
    descent, left = DualDescent(layout, layout.blocks, [], ranges), []
    for disjunct in disjuncts:
        prober = _Prober(descent, ranges, disjunct)
        if disjunct != FALSE and prober.narrow():
            left.append((prober.dual_value, Narrowed(disjunct, *node_bounds(layout, root, prober.ranges, 0), prober.ends())))
    return [narrowed for _, narrowed in sorted(left, key=lambda pair: -pair[0])]


class _Prober:
    """One disjunct: its inequalities and what is left of its ranges, a single row. `dual_value` is that which it began with."""

    def __init__(self, descent: DualDescent, ranges: Ranges, disjunct: Formula):
        layout = descent.layout
        layout.limits.check()
        self.layout, self.descent, self.dual_value = layout, descent, 0.0
        self.best: Suggestion | None = None
        self.ranges = ranges.take(np.zeros(1, np.int64))
        # What else an `And` asks for is left to SAT.
        atoms = [part for part in (disjunct.parts if isinstance(disjunct, And) else (disjunct,)) if isinstance(part, AtMost)]
        self.inequalities = Inequalities.stated(layout, atoms)
        descent.pose(self.inequalities)
        self.dual = Dual(layout, self.inequalities)

    def narrow(self) -> bool:
        """Narrow the ranges; false if nothing is left."""
        if not self.inequalities:
            return True
        n = len(self.inequalities)
        best = self._descend(self.ranges, np.zeros((1, self.layout.num_neurons)), np.ones((1, n)), DISJUNCT_STEPS, True)
        if self._empty(best, self.ranges, np.ones(1, bool))[0]:
            return False
        self.dual_value = float(np.nan_to_num(best.dual[0]))
        # The relaxed point stays possible, most likely; probes lie between it and the ends.
        point = np.nan_to_num(best.y[0])
        inner = np.stack([np.floor(point), np.ceil(point)]).astype(np.int64)
        work = self.descent.products * PROBE_STEPS * 2 * self.layout.num_neurons
        for _ in range(min(ROUNDS, WORK // max(1, work))):
            probed = self._probe(inner, best)
            if probed is None:
                return False
            if not probed:
                break
            best = self._descend(self.ranges, best.multipliers, best.shares, PROBE_STEPS)
            if self._empty(best, self.ranges, np.ones(1, bool))[0]:
                return False
        self.best = best
        return True

    def ends(self) -> list[tuple[int, int, int]]:
        """See `Narrowed`."""
        if self.best is None:
            return []
        lo, hi = self.ranges.lo[0, : self.layout.num_inputs], self.ranges.hi[0, : self.layout.num_inputs]
        coefficients = np.nan_to_num(self.best.coefficients[0, : self.layout.num_inputs])
        order = np.argsort(-np.abs(coefficients) * (hi - lo), kind="stable")
        better = np.where(coefficients > 0, hi, lo)
        starts = [(k, block.start, block.stop) for k, block in enumerate(self.layout.inputs)]
        return [(k, j - start, int(better[j])) for j in order.tolist() if lo[j] < hi[j] for k, start, stop in starts if start <= j < stop]

    def _probe(self, inner: np.ndarray, best: Suggestion) -> bool | None:
        """Try the outer halves of what lies between `inner` and the ends of all outputs' ranges, and cut off what is empty.

        `inner`, int64[2, neurons], moves outwards past halves that stay. True if there was anything to try; None if nothing is left.
        """
        inputs = self.layout.num_inputs
        lo, hi = self.ranges.lo[0, inputs:], self.ranges.hi[0, inputs:]
        np.clip(inner, lo, hi, out=inner)
        down, up = np.flatnonzero(inner[0] > lo), np.flatnonzero(inner[1] < hi)
        down_at, up_at = (lo[down] + inner[0, down] - 1) // 2, (hi[up] + inner[1, up] + 1) // 2
        if not len(down) + len(up):
            return False
        # Ranges, what they descend from and where that ends.
        self.layout.limits.require((len(down) + len(up)) * (2 * self.layout.node_bytes + self.descent.bytes))
        probes = self.ranges.take(np.zeros(len(down) + len(up), np.int64))
        rows = np.arange(len(probes))
        probes.hi[rows[: len(down)], inputs + down] = down_at
        probes.lo[rows[len(down) :], inputs + up] = up_at
        left = probes.propagate(self.layout)
        multipliers, shares = (np.repeat(array, len(probes), axis=0) for array in (best.multipliers, best.shares))
        tried = self._descend(probes, multipliers, shares, PROBE_STEPS)
        gone = ~left | self._empty(tried, probes, left)
        gone_down, gone_up = gone[: len(down)], gone[len(down) :]
        inner[0, down[~gone_down]], inner[1, up[~gone_up]] = down_at[~gone_down], up_at[~gone_up]
        lo[down[gone_down]], hi[up[gone_up]] = down_at[gone_down] + 1, up_at[gone_up] - 1
        return True if (lo <= hi).all() and self.ranges.propagate(self.layout).all() else None

    def _descend(self, ranges: Ranges, multipliers: np.ndarray, shares: np.ndarray, steps: int, cold: bool = False) -> Suggestion:
        return self.descent.run(ranges, self._atoms(len(ranges)), np.full(len(ranges), cold), multipliers, shares, steps)

    def _atoms(self, rows: int) -> np.ndarray:
        return np.tile(np.arange(len(self.inequalities), dtype=np.int32), (rows, 1))

    def _empty(self, suggestion: Suggestion, ranges: Ranges, asked: np.ndarray) -> np.ndarray:
        """Which of the rows asked for have no point that satisfies the inequalities, as their multipliers prove in integers: bool[rows]."""
        empty, rows = np.zeros(len(ranges), bool), np.flatnonzero(asked & (suggestion.dual < 0))
        proved = self.dual.prove(ranges, rows, self._atoms(len(ranges)), suggestion.shares, suggestion.multipliers)
        empty[rows] = [value < 0 for value in proved.values]
        return empty
