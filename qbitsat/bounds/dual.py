"""What integer multipliers prove: Lagrangian bounds over the exact graphs of the requantizers.

For a linear objective c . values and a multiplier m_i for every accumulator equation acc_i = W_i x + b_i, weak duality gives

    max c . values  <=  sum_i m_i b_i  +  sum_i max over (acc, y) of neuron i of (c'_i y - m_i acc)  +  max over the box of c'' . inputs

where c' and c'' are c plus what the multipliers of later layers put on a value, c'_j = c_j + sum_i m_i W_ij. The maximum over (acc, y)
runs over the steps of the requantizer itself, so no line has to be trusted: a linear relaxation is one choice of multipliers (m = slope
of its line times c'), and the best multipliers give the bound of the linear program over the hulls of all steps.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from .._kernels.exact import dual as _dual
from ..arithmetic import Requantizer, smallest
from ..arithmetic.steps import MAX_LEVELS, NOWHERE, POINTS, SHIFT, steps_of
from ..network.layers import PADDING
from .layout import Inequalities, Inequality, Layout
from .ranges import PASS_WORK, Ranges

NO_POINT, NO_BOUND = -math.inf, math.inf
# Multiply-adds that a look at an output's steps is worth, and looks for each value of a clause.
STEP_WORK, TRIES = 64, 32


class Proved(NamedTuple):
    """What integers prove of nodes, one row each: shares int64[nodes, most] of inequalities and multipliers int64[nodes, num_neurons].

    values: the bound on D, see `Dual.prove`; NO_POINT where the ranges themselves leave nothing, NO_BOUND where floats were no numbers.
    """

    values: list[int | float]
    shares: np.ndarray
    multipliers: np.ndarray


class Explained(NamedTuple):
    """Clauses, one row each: no point of the root has values[:size] within [lo, hi], by D of integers; size -1: none.

    sizes int32[n], values int32[n, most], lo and hi int64[n, most]; shares int64[n, most of a node] and multipliers int64[n, num_neurons].
    """

    sizes: np.ndarray
    values: np.ndarray
    lo: np.ndarray
    hi: np.ndarray
    shares: np.ndarray
    multipliers: np.ndarray


class Sparse(NamedTuple):
    """Multipliers that are not 0, in integers of whatever size holds them: of neurons int32[n], in ascending order."""

    neurons: np.ndarray
    values: np.ndarray

    @classmethod
    def of(cls, multipliers: np.ndarray) -> Sparse:
        """Those of one number for each neuron."""
        neurons = np.flatnonzero(multipliers)
        return cls(neurons.astype(np.int32), smallest(multipliers[neurons]))

    @property
    def nbytes(self) -> int:
        return self.neurons.nbytes + self.values.nbytes


class Dual:
    """The exact dual function of a layout's values under some inequalities."""

    def __init__(self, layout: Layout, inequalities: Sequence[Inequality]):
        self.layout, self.inequalities = layout, Inequalities.of(inequalities)
        self.kernel = _dual.Dual(layout.kernel, self.inequalities.kernel(layout.num_values))

    def prove(self, ranges: Ranges, rows: np.ndarray, atoms: np.ndarray, shares: np.ndarray, multipliers: np.ndarray) -> Proved:
        """Upper bounds of D = sum of shares * (bound - coefficients . values) for some rows of many nodes; below 0 they prove a row empty.

        atoms int32[nodes, most]: the inequalities of each node, then -1s. Shares float32[nodes, most], below 0 as good as 0, and
        multipliers float32[nodes, num_neurons] are scaled by a common power of two for each node, and rounded, before they count.
        """
        parts, floats = [], (atoms, shares, multipliers)
        work, size = PASS_WORK * self.layout.products + self.layout.num_values, 8 * (self.layout.num_neurons + atoms.shape[1])
        for part in self.layout.limits.slices(len(rows), work, size):
            parts.append(self.kernel.run(*ranges.arrays, rows[part], *floats))
        parts = parts or [self.kernel.run(*ranges.arrays, rows, *floats)]
        states, bounds, whole_shares, whole_multipliers = parts[0] if len(parts) == 1 else map(np.concatenate, zip(*parts, strict=True))
        values: list[int | float] = bounds.tolist()
        for k in np.flatnonzero(states != _dual.BOUND).tolist():
            if states[k] == _dual.OVERFLOW:
                values[k] = self._by_python(ranges, int(rows[k]), atoms[rows[k]], whole_shares[k], whole_multipliers[k])
            else:
                values[k] = NO_POINT if states[k] == _dual.EMPTY else NO_BOUND
        return Proved(values, whole_shares, whole_multipliers)

    def explain(
        self, root: Ranges, ranges: Ranges, rows: np.ndarray, atoms: np.ndarray, shares: np.ndarray, multipliers: np.ndarray, most: int
    ) -> Explained:
        """What refutations of some rows of many nodes need of their ranges, if all else has those of a root: at most `most` values.

        The rest as of `prove`. Floats are rounded anew, so one that `prove` has accepted may fail here.
        """
        # All steps of the root's outputs may be looked at, and again for each try to move an end.
        steps = sum(len(part.table) * block.size / len(block.steps) for block in self.layout.blocks for part in block.steps)
        tries = 1 + TRIES * most / self.layout.num_values
        work = PASS_WORK * self.layout.products + tries * (STEP_WORK * self.layout.num_values + steps)
        parts, size = [], 8 * (self.layout.num_neurons + 3 * most + atoms.shape[1])
        for part in self.layout.limits.slices(len(rows), work, size):
            nodes = ranges.lo, ranges.hi, rows[part], atoms, shares, multipliers
            parts.append(self.kernel.explain(root.arrays, *nodes, most))
        return Explained(*(parts[0] if len(parts) == 1 else map(np.concatenate, zip(*parts, strict=True))))

    def _by_python(self, ranges: Ranges, row: int, atoms: np.ndarray, shares: np.ndarray, multipliers: np.ndarray) -> int | float:
        """The bound of one node on Python integers, which no multiplier overflows."""
        objective, total = np.zeros(self.layout.num_values, object), 0
        for atom, share in zip(atoms[atoms >= 0].tolist(), shares.tolist(), strict=False):
            values, coefficients, bound = self.inequalities[atom]
            objective[values] -= share * coefficients.astype(object)
            total += share * bound
        most = upper_bound(self.layout, ranges, row, objective, multipliers)
        return NO_POINT if most is None else total + most


def upper_bound(layout: Layout, ranges: Ranges, row: int, objective: np.ndarray, multipliers: np.ndarray) -> int | None:
    """An upper bound of objective . values over all points in the ranges of one node; None if there is no such point.

    Integers objective[num_values] and multipliers[num_neurons]: any prove something. On Python integers, and slow.
    """
    total, c = 0, [int(v) for v in objective]
    for block in reversed(layout.blocks):
        affine, view, padding = block.layer.affine, block.view.tolist(), block.layer.input.zero_point
        for i in range(block.size):
            neuron, value = block.neurons.start + i, block.target.start + i
            m = int(multipliers[neuron])
            cells, weights = affine.row(i)
            for j, w in zip(cells.tolist(), weights.tolist(), strict=True):
                if view[j] == PADDING:
                    total += m * w * padding
                else:
                    c[view[j]] += m * w
            accs = int(ranges.acc_lo[row, neuron]), int(ranges.acc_hi[row, neuron])
            best = largest(block.layer.requantizer(i), m, c[value], *accs, int(ranges.lo[row, value]), int(ranges.hi[row, value]))
            if best is None:
                return None
            total += m * int(affine.biases[i]) + best
    return total + sum(max(c[i] * int(ranges.lo[row, i]), c[i] * int(ranges.hi[row, i])) for i in range(layout.num_inputs))


def largest(requantizer: Requantizer, m: int, c: int, acc_lo: int, acc_hi: int, lo: int, hi: int) -> int | None:
    """The largest c * y - m * acc over a requantizer's graph with acc and y in these ranges; None without any point there.

    Where accumulators say nothing of outputs, the two count as unrelated. See step.h for why few points are enough.
    """
    steps = steps_of(requantizer)
    if not steps.stepped:
        return max(c * lo, c * hi) + max(-m * acc_lo, -m * acc_hi)
    a, b = max(acc_lo, _first(requantizer, lo)), min(acc_hi, _first(requantizer, hi + 1) - 1)
    if a > b:
        return None
    accs = {a, b}
    if steps.kind == POINTS:
        accs.update(range(max(a, steps.first), min(b, steps.first + len(steps.table) - 1) + 1))
    elif steps.kind == SHIFT and steps.shift <= 0:
        accs.update(acc - k for acc in (_first(requantizer, steps.lo + 1), _first(requantizer, steps.hi)) for k in (0, 1))
    else:
        low, high = requantizer.apply(a), requantizer.apply(b)
        levels = set(range(low, high + 1)) if high - low < MAX_LEVELS else set()
        for y in levels or {low, low + 1, low + 2, high - 2, high - 1, high, *(steps.offset + k for k in (-1, 0, 1))}:
            accs |= {_first(requantizer, y), _first(requantizer, y + 1) - 1}
    return max(c * requantizer.apply(acc) - m * acc for acc in accs if a <= acc <= b)


def _first(requantizer: Requantizer, y: int) -> int:
    """The smallest accumulator with an output of at least y, for any y."""
    if y <= requantizer.lo:
        return -NOWHERE
    return NOWHERE if y > requantizer.hi else max(-NOWHERE, min(NOWHERE, requantizer.first_reaching(y)))
