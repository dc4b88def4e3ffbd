"""What an inequality over outputs says of the inputs: a linear cut by back-substitution, in exact integers.

A sum of outputs forgets that its terms read the same inputs. So every requantizer is written as a slope and a slack,

    2**scale * y = slope * acc + e,    e in [e_lo, e_hi] for every acc in [acc_lo, acc_hi],

and every acc as its row, layer by layer down to the inputs. What is left is the inequality over inputs and slacks,

    sum of weight * distance <= budget,    weight > 0,

where the distance of an input or a slack is how far it stays from the end of its range that helps the inequality most. No
distance is negative, so no partial sum may pass the budget. A negative budget refutes the inequality at once: then this is
the bound of CROWN (Zhang et al., NeurIPS 2018) in safe integers. Otherwise it is a redundant cut that shows a SAT solver
the cancellation which adders hide from it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from ..arithmetic import ShiftRequantizer
from ..limits import NO_LIMITS, Limits
from ..network import Layer
from ..properties import And, AtMost, Formula, Or, Query, Ref
from ..properties.formula import FALSE, INPUT
from .view import Neuron, Row, View

# Slopes are multiples of 2**-SLOPE_BITS of the requantizer's own.
SLOPE_BITS = 3
# An output of more levels gets slope 0.
MAX_LEVELS = 1 << 12
# Sums stay below this, and what slopes are tried on below its double.
LIMIT = 1 << 60
# A cut says much if its budget is at most this part of its reach.
NEAR = 12


class Slack(NamedTuple):
    """A distance: sign * (slope * (acc - acc_lo) - 2**scale * (y - y_lo)) + constant, in [0, span], of one neuron.

    With sign 1 it is e_hi - e, with sign -1 it is e - e_lo.
    """

    network: int
    layer: int
    neuron: int
    sign: int
    slope: int
    scale: int
    constant: int
    span: int


@dataclass(frozen=True)
class LinearCut:
    """sum of |weight| * distance <= budget; the terms' reaches |weight| * span ascend, and `reach` is the sum of them.

    The distance of an input x is x - x_lo for a positive weight, x_hi - x for a negative one; slacks have positive weights.
    """

    terms: tuple[tuple[int, Slack | Ref], ...]
    budget: int
    reach: int


@dataclass
class _Form:
    """2**scale * sum of coefficients * outputs = reach - sum of weight * slack + sum of coefficients * inputs."""

    scale: int = 0
    reach: int = 0
    slacks: list[tuple[int, Slack]] = field(default_factory=list)
    inputs: dict[int, int] = field(default_factory=dict)

    def scale_up(self, bits: int) -> None:
        self.scale += bits
        self.reach <<= bits
        self.slacks = [(weight << bits, slack) for weight, slack in self.slacks]
        self.inputs = {i: coefficient << bits for i, coefficient in self.inputs.items()}


class Substitution:
    """The cuts behind a query's inequalities; what it finds out it finds out once."""

    def __init__(self, query: Query, seen: list[View], limits: Limits = NO_LIMITS):
        self.query, self.views, self.limits = query, seen, limits
        self.cuts: dict[AtMost, LinearCut | None] = {}
        self.known: dict[tuple[int, ...], tuple[Slack, int]] = {}

    def simplify(self, formula: Formula) -> Formula:
        """The formula, which is without `Not`, with FALSE for the atoms that their cuts refute."""
        if isinstance(formula, AtMost):
            cut = self.cut(formula)
            return FALSE if cut is not None and cut.budget < 0 else formula
        assert isinstance(formula, And | Or)
        parts = tuple(self.simplify(part) for part in formula.parts)
        if isinstance(formula, And):
            return FALSE if FALSE in parts else And(parts)
        return Or(tuple(part for part in parts if part != FALSE))

    def cut(self, atom: AtMost) -> LinearCut | None:
        """What follows from the atom; None if that goes without saying or its numbers are too large for words."""
        if atom not in self.cuts:
            self.cuts[atom] = self._derived(atom)
        return self.cuts[atom]

    def near_cuts(self, open_atoms: list[AtMost]) -> list[tuple[AtMost, LinearCut]]:
        """The cuts of these atoms if all of them say much; else none, because a refutation would miss one anyway."""
        cuts = [(atom, self.cut(atom)) for atom in open_atoms]
        near = [(atom, cut) for atom, cut in cuts if cut is not None and NEAR * cut.budget <= cut.reach]
        return near if len(near) == len(cuts) else []

    def _derived(self, atom: AtMost) -> LinearCut | None:
        self.limits.check()
        # sum <= bound is turned into 0 <= bound - sum, which wants every part of -sum at the upper end of its range.
        wanted = {ref: -coefficient for ref, coefficient in atom.coefficients().items()}
        forms = [self._form(k, wanted) for k in range(len(self.query.networks))]
        scale = max(form.scale for form in forms)
        budget = atom.bound << scale
        terms: list[tuple[int, Slack | Ref, int]] = []
        for k, form in enumerate(forms):
            form.scale_up(scale - form.scale)
            budget += form.reach
            terms += [(weight, slack, slack.span) for weight, slack in form.slacks]
            box = self.query.boxes[k]
            for i, coefficient in sorted(form.inputs.items()):
                lo, hi = int(box.lo[i]), int(box.hi[i])
                budget += coefficient * (hi if coefficient > 0 else lo)
                if coefficient and lo < hi:
                    terms.append((-coefficient, Ref(k, INPUT, i), hi - lo))
        return _reduced(terms, budget)

    def _form(self, k: int, wanted: dict[Ref, int]) -> _Form:
        """The part of the sum that reads outputs of network k, in terms of its inputs and slacks."""
        form, view = _Form(), self.views[k]
        network = view.network
        # Coefficients of values, those of inputs among them, all times 2**form.scale.
        coefficients: dict[int, int] = {}
        for ref, coefficient in wanted.items():
            if ref.network == k:
                coefficients[view.value(ref)] = coefficients.get(view.value(ref), 0) + coefficient
        for number in reversed(range(len(network.layers))):
            layer, target = network.layers[number], network.target(number)
            here = {v - target.start: c for v, c in coefficients.items() if v >= target.start and c}
            coefficients = {v: c for v, c in coefficients.items() if v < target.start}
            if not here:
                continue
            scale = max(max(0, _shift(layer, i)) for i in here) + SLOPE_BITS
            form.scale_up(scale)
            coefficients = {v: c << scale for v, c in coefficients.items()}
            for i, coefficient in here.items():
                self.limits.check()
                if view.lo[target.start + i] == view.hi[target.start + i]:
                    form.reach += coefficient * int(view.lo[target.start + i]) << scale
                    continue
                row = view.row(number, i)
                slack, end = self._slack(k, number, i, row, scale, 1 if coefficient > 0 else -1)
                form.slacks.append((abs(coefficient), slack))
                form.reach += coefficient * (end + slack.slope * row.bias)
                for v, weight in zip(row.values.tolist(), row.weights.tolist(), strict=True):
                    coefficients[v] = coefficients.get(v, 0) + coefficient * slack.slope * weight
        form.inputs = {v: c for v, c in coefficients.items() if c}
        return form

    def _slack(self, k: int, number: int, i: int, row: Row, scale: int, sign: int) -> tuple[Slack, int]:
        """The slack of a neuron with the slope that keeps its mean distance smallest, and the end it is measured from."""
        key = k, number, i, scale, sign
        if key not in self.known:
            neuron = self.views[k].neuron(number, i, row)
            slope, e_lo, e_hi = _best_slope(neuron, scale, sign)
            end = e_hi if sign > 0 else e_lo
            constant = sign * (slope * neuron.base - (neuron.lo << scale) + end)
            self.known[key] = Slack(k, number, i, sign, slope, scale, constant, e_hi - e_lo), end
        return self.known[key]


def _reduced(terms: list[tuple[int, Slack | Ref, int]], budget: int) -> LinearCut | None:
    """Divided by what all weights share; the terms of smallest reach first."""
    reach = sum(abs(weight) * span for weight, _, span in terms)
    if reach <= budget or max(reach, abs(budget)) >= LIMIT:
        return None
    shared = math.gcd(*(weight for weight, _, _ in terms)) or 1
    terms = sorted(terms, key=lambda term: abs(term[0]) * term[2])
    return LinearCut(tuple((weight // shared, what) for weight, what, _ in terms), budget // shared, reach // shared)


def _shift(layer: Layer, i: int) -> int:
    """The shift of a requantizer that slopes describe well; else 0."""
    requantizer = layer.requantizer(i)
    return requantizer.shift if type(requantizer) is ShiftRequantizer and requantizer.monotone else 0


def _best_slope(neuron: Neuron, scale: int, sign: int) -> tuple[int, int, int]:
    """(slope, e_lo, e_hi) for 2**scale * y = slope * acc + e; slope 0 where the requantizer is no saturating shift."""
    requantizer, _, acc_lo, acc_hi, y_lo, y_hi = neuron
    if type(requantizer) is not ShiftRequantizer or not requantizer.monotone or y_hi - y_lo > MAX_LEVELS:
        return 0, y_lo << scale, y_hi << scale
    steepest = 1 << (scale - requantizer.shift)
    largest = max(abs(acc_lo), abs(acc_hi)) * steepest + (max(abs(y_lo), abs(y_hi)) << scale)
    if largest >= LIMIT:
        return 0, y_lo << scale, y_hi << scale
    # Where cells are one value, accumulators may end before the levels at which outputs' ranges do.
    firsts = (min(acc_hi + 1, max(acc_lo, requantizer.first_reaching(y))) for y in range(y_lo + 1, y_hi + 1))
    starts = [acc_lo, *firsts, acc_hi + 1]
    first, counts = np.array(starts[:-1], np.int64), np.array([b - a for a, b in pairwise(starts)], np.int64)
    taken = counts > 0  # a shift to the left leaves levels out, and so does what is out of reach
    y, first, counts = np.arange(y_lo, y_hi + 1)[taken], first[taken], counts[taken]
    best: tuple[float, int, int, int] | None = None
    for step in range((1 << SLOPE_BITS) + 1):
        slope = steepest * step >> SLOPE_BITS
        upper = (y << scale) - slope * first  # over the accumulators of a level, e falls
        lower = upper - slope * (counts - 1)
        e_lo, e_hi = int(lower.min()), int(upper.max())
        ends = e_hi - (upper + lower) / 2 if sign > 0 else (upper + lower) / 2 - e_lo
        distance = math.fsum((counts * ends).tolist())
        if best is None or distance < best[0]:
            best = distance, slope, e_lo, e_hi
    assert best is not None
    return best[1:]
