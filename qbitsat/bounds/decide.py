"""What bounds alone say of a formula: true, false or open, for all inputs in the boxes; only open parts remain."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from ..arithmetic import Requantizer, ShiftRequantizer
from ..arithmetic.steps import MAX_LEVELS, NOWHERE
from ..limits import NO_LIMITS, Limits
from ..properties import And, AtMost, Formula, Or, Query, Ref
from ..properties.formula import FALSE, TRUE, without_not
from .layout import Block, Layout
from .ranges import Ranges


def simplify(query: Query, bounds: Ranges, limits: Limits = NO_LIMITS) -> Formula:
    """The violation without `Not` and without what the bounds decide; TRUE or FALSE if they decide all of it."""
    return _simplify(without_not(query.named, limits=limits), query, bounds, limits)


def _simplify(formula: Formula, query: Query, bounds: Ranges, limits: Limits) -> Formula:
    limits.check()
    if isinstance(formula, AtMost):
        truth = _atom_truth(formula, query, bounds)
        return formula if truth is None else (TRUE if truth else FALSE)
    assert isinstance(formula, And | Or)
    neutral, decisive = (TRUE, FALSE) if isinstance(formula, And) else (FALSE, TRUE)
    parts = []
    for part in formula.parts:
        simple = _simplify(part, query, bounds, limits)
        if simple == decisive:
            return decisive
        if simple != neutral:
            parts.append(simple)
    return parts[0] if len(parts) == 1 else type(formula)(tuple(parts))


def _atom_truth(atom: AtMost, query: Query, bounds: Ranges) -> bool | None:
    terms = atom.coefficients()
    low = high = 0
    for ref, coefficient in terms.items():
        lo, hi = bounds.of(ref)
        low += coefficient * (lo if coefficient > 0 else hi)
        high += coefficient * (hi if coefficient > 0 else lo)
    if high <= atom.bound:
        return True
    if low > atom.bound or _ranked_below(terms, atom.bound, query, bounds):
        return False
    return None


def _ranked_below(terms: dict[Ref, int], bound: int, query: Query, bounds: Ranges) -> bool:
    """True only if the atom y_c - y_j <= bound is impossible because acc_j stays too far below acc_c.

    Both outputs pass the same monotone requantizer, so acc_j <= acc_c gives y_j <= y_c. If acc_j stays a widest step
    below acc_c, then y_j < y_c, unless both saturate at the same end.
    """
    if sorted(terms.values()) != [-1, 1] or bound > 0:
        return False
    c, j = sorted(terms, key=lambda ref: -terms[ref])
    if c.network != j.network:
        return False
    layout, (value_c, value_j) = bounds.layout, (bounds.layout.value(ref) for ref in (c, j))
    if min(value_c, value_j) < layout.num_inputs:
        return False
    placed_c, placed_j = layout.place(value_c), layout.place(value_j)
    requantizer, other = (block.layer.requantizer(i) for block, i in (placed_c, placed_j))
    if requantizer != other or not requantizer.monotone:
        return False
    difference = _largest_difference(layout, bounds, placed_j, placed_c)
    if bound < 0:
        return difference <= 0
    clear = bounds.lo[0, value_c] > requantizer.lo and bounds.hi[0, value_j] < requantizer.hi
    return bool(clear) and difference <= -widest_step(requantizer)


def _largest_difference(layout: Layout, bounds: Ranges, j: tuple[Block, int], c: tuple[Block, int]) -> int:
    """The largest acc_j - acc_c over the values' ranges; below 2**61 because accumulators stay below 2**60."""
    row, total = np.zeros(layout.num_values, np.int64), 0
    for place, sign in ((j, 1), (c, -1)):
        values, weights, bias = layout.row(*place)
        row[values] += sign * weights
        total += sign * bias
    return total + int(row @ np.where(row > 0, bounds.hi[0], bounds.lo[0]))


@lru_cache(maxsize=1024)
def widest_step(requantizer: Requantizer) -> int:
    """No fewer accumulators than share any unsaturated output: the most that do, up to MAX_LEVELS, and 2**62 beyond but for shifts."""
    if requantizer.hi - requantizer.lo > MAX_LEVELS:
        if type(requantizer) is not ShiftRequantizer:
            return 1 << 62
        shift = max(0, requantizer.shift)
        return {"toward_zero": (2 << shift) - 1, "half_even": (1 << shift) + 1}.get(requantizer.rounding, 1 << shift)
    return int(np.diff(requantizer.thresholds(NOWHERE)).max(initial=0))
