"""The linear relaxation of some ranges, solved by HiGHS: what the simplex kernel should come to."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import highspy
import numpy as np

from qbitsat.arithmetic.steps import NOWHERE
from qbitsat.bounds.layout import Block, Inequality, Layout
from qbitsat.bounds.ranges import Ranges

# Stands for no bound of a column; HiGHS wants scaled numbers of moderate size.
FAR = 1e9
# Multipliers have to be below it: they will be float32.
FLOAT32 = 1e30


class Duals(NamedTuple):
    """Multipliers float64[num_neurons] and shares of inequalities float64[num_inequalities], at least 0, that say most of some ranges.

    empty: HiGHS found no point in them.
    """

    multipliers: np.ndarray
    shares: np.ndarray
    empty: bool


class Relaxation:
    """One program for all ranges of a query, of which each solve changes bounds and slopes and goes on from the last basis.

    Columns are inputs, accumulators in units of one output step, outputs, and the slack t, which is maximised:

        sum_j w_j x_j - acc = -bias                          for every neuron
        lo + s (acc - begin) <= y <= hi - S (end - acc)      lines below and above the steps inside the ranges
        sum_k c_k v_k + t <= b                               for every inequality that counts

    Where steps are not equally long (rounding toward zero, to even) the lines may leave out points, which can cost a proof.
    """

    def __init__(self, layout: Layout, inequalities: Sequence[Inequality], unit: np.ndarray):
        """unit float64[num_neurons]: one output step's share of an accumulator."""
        self.layout, self.unit, self.inequalities = layout, unit, inequalities
        self.optimal, self.infeasible = highspy.HighsModelStatus.kOptimal, highspy.HighsModelStatus.kInfeasible
        self.infinity = highspy.kHighsInf
        self.columns = layout.num_inputs + 2 * layout.num_neurons + 1
        # Callbacks, of which we have none, would print a line.
        quiet = type("Quiet", (highspy.Highs,), {"enableCallbacks": lambda solver: None})
        self.solver: Any = quiet()
        self.solver.silent()
        # Our columns have about the same size already.
        options: dict[str, Any] = {
            "threads": 1,
            "presolve": "off",
            "solver": "simplex",
            "simplex_scale_strategy": 0,
        }
        for name, value in options.items():
            self.solver.setOptionValue(name, value)
        self.solver.passModel(self._program(highspy))
        self.slopes = np.zeros((2, layout.num_neurons))
        self.goal: tuple[int, float] | None = None

    def _program(self, highspy: Any) -> Any:
        """All rows: equations, lines above, lines below, inequalities; lines have slope 0 and no bound yet."""
        layout, m, n = self.layout, self.layout.num_inputs, self.layout.num_neurons
        rows, columns, entries = [], [], []
        bias = np.zeros(n)
        for block in layout.blocks:
            for i in range(block.layer.affine.n_out):
                neuron, (values, weights, constant) = block.neurons.start + i, layout.row(block, i)
                bias[neuron] = constant * self.unit[neuron]
                rows.append(np.full(len(values) + 1, neuron))
                columns.append(np.append(self._column(values), m + neuron))
                entries.append(np.append(weights * self.unit[neuron], -1.0))
        # An explicit entry for every coefficient that a solve may change.
        neurons = np.arange(n)
        rows += [n + neurons, n + neurons, 2 * n + neurons, 2 * n + neurons]
        columns += [m + n + neurons, m + neurons, m + n + neurons, m + neurons]
        entries += [np.ones(n), np.full(n, -1.0), np.ones(n), np.full(n, -1.0)]
        for k, (named, factors, _) in enumerate(self.inequalities):
            values, places = np.unique(named, return_inverse=True)  # results of a network can be the same value
            coefficients = np.bincount(places, factors, len(values))
            rows.append(np.full(len(values) + 1, 3 * n + k))
            columns.append(np.append(self._column(values), self.columns - 1))
            entries.append(np.append(coefficients, 1.0))
        program = highspy.HighsLp()
        program.num_col_, program.num_row_ = self.columns, 3 * n + len(self.inequalities)
        program.col_cost_ = np.append(np.zeros(self.columns - 1), -1.0)
        program.col_lower_, program.col_upper_ = np.full(self.columns, -FAR), np.full(self.columns, FAR)
        free = np.full(program.num_row_ - n, self.infinity)
        program.row_lower_, program.row_upper_ = np.append(-bias, -free), np.append(-bias, free)
        row, column, entry = (np.concatenate(parts) for parts in (rows, columns, entries))
        order = np.argsort(row, kind="stable")
        program.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
        program.a_matrix_.start_ = np.searchsorted(row[order], np.arange(program.num_row_ + 1)).astype(np.int32)
        program.a_matrix_.index_, program.a_matrix_.value_ = column[order].astype(np.int32), entry[order]
        return program

    def _column(self, values: np.ndarray) -> np.ndarray:
        return np.where(values < self.layout.num_inputs, values, values + self.layout.num_neurons)

    def duals(self, ranges: Ranges, atoms: Sequence[int], goal: tuple[int, float] | None, seconds: float) -> Duals | None:
        """What proves most of one row of ranges; None if HiGHS fails or takes longer than `seconds`.

        With a goal, a neuron and the sign of its multiplier, the slack does not count but how far this accumulator gets toward its range.
        """
        self._aim(goal)
        self._set(ranges, atoms)
        status, n = self._run(seconds), self.layout.num_neurons
        if status == self.optimal:
            rows = np.array(self.solver.getSolution().row_dual)
        elif status == self.infeasible:
            _, has_ray, ray = self.solver.getDualRay()
            rows = np.array(ray if has_ray else [])
        else:
            return None
        if len(rows) != 3 * n + len(self.inequalities) or not (np.abs(rows) < FLOAT32).all():
            return None
        return Duals(rows[:n] * self.unit, np.maximum(0, -rows[3 * n :]), status != self.optimal)

    def _aim(self, goal: tuple[int, float] | None) -> None:
        """Maximise the slack, or the accumulator of a goal."""
        if goal == self.goal:
            return
        m = self.layout.num_inputs
        if self.goal is not None:
            self.solver.changeColCost(m + self.goal[0], 0.0)
        self.solver.changeColCost(self.columns - 1, 0.0 if goal else -1.0)
        if goal is not None:
            self.solver.changeColCost(m + goal[0], -goal[1])
        self.goal = goal

    def _set(self, ranges: Ranges, atoms: Sequence[int]) -> None:
        """Bounds, slopes and inequalities."""
        layout, solver, n = self.layout, self.solver, self.layout.num_neurons
        slopes, above, below = np.zeros((2, n)), np.full(n, self.infinity), np.full(n, -self.infinity)
        for block in layout.blocks:
            if block.stepped.all():
                at = block.neurons
                slopes[:, at], above[at], below[at] = _lines(block, ranges, self.unit[at])
        lo, hi = ranges.lo[0].astype(float), ranges.hi[0].astype(float)
        m = layout.num_inputs
        lower = np.concatenate([lo[:m], ranges.acc_lo[0] * self.unit, lo[m:], [-FAR]])
        upper = np.concatenate([hi[:m], ranges.acc_hi[0] * self.unit, hi[m:], [FAR]])
        solver.changeColsBounds(self.columns, np.arange(self.columns, dtype=np.int32), lower, upper)
        bounds = np.full(len(self.inequalities), self.infinity)
        bounds[list(atoms)] = [self.inequalities[atom][2] for atom in atoms]
        low = np.concatenate([np.full(n, -self.infinity), below, np.full(len(bounds), -self.infinity)])
        high = np.concatenate([above, np.full(n, self.infinity), bounds])
        solver.changeRowsBounds(len(low), np.arange(n, n + len(low), dtype=np.int32), low, high)
        for k in (0, 1):
            for neuron in np.flatnonzero(slopes[k] != self.slopes[k]).tolist():
                solver.changeCoeff((k + 1) * n + neuron, m + neuron, -float(slopes[k, neuron]))
        self.slopes = slopes

    def _run(self, seconds: float) -> Any:
        """HiGHS's word for how it ended."""
        self.solver.setOptionValue("time_limit", self.solver.getRunTime() + max(seconds, 1e-3))
        self.solver.run()
        return self.solver.getModelStatus()


def _reaching(block: Block, v: np.ndarray) -> np.ndarray:
    """The smallest accumulators that reach the outputs v int64[n]."""
    ends = [block.layer.requantizer(i) for i in range(block.size)]
    starts = [-NOWHERE if y <= r.lo else NOWHERE if y > r.hi else r.first_reaching(y) for r, y in zip(ends, v.tolist(), strict=True)]
    return np.clip(starts, -NOWHERE, NOWHERE).astype(np.int64)


def _lines(block: Block, ranges: Ranges, unit: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Slopes of the lines above and below in `unit`s, float64[2, n], and their constants."""
    acc_lo, acc_hi = ranges.acc_lo[0, block.neurons], ranges.acc_hi[0, block.neurons]
    lo, hi = ranges.lo[0, block.target], ranges.hi[0, block.target]
    after = np.minimum(lo + 1, hi)

    def first(v: np.ndarray) -> np.ndarray:
        return np.maximum(acc_lo, _reaching(block, v))

    def last(v: np.ndarray) -> np.ndarray:
        return np.minimum(acc_hi, _reaching(block, v + 1) - 1)

    rise = (hi - lo).astype(float)
    above = _flatter(first(hi) - first(lo), rise, first(hi) - first(after), rise - 1) / unit
    below = _flatter(last(hi) - last(lo), rise, last(np.maximum(hi - 1, lo)) - last(lo), rise - 1) / unit
    limit_above, limit_below = hi - above * first(hi) * unit, lo - below * last(lo) * unit
    fixed = lo == hi
    return np.where(fixed, 0, (above, below)), np.where(fixed, math.inf, limit_above), np.where(fixed, -math.inf, limit_below)


def _flatter(run: np.ndarray, rise: np.ndarray, other_run: np.ndarray, other_rise: np.ndarray) -> np.ndarray:
    """The smaller of two slopes; those without a run do not count, and 0 if neither does."""
    slopes = [np.where(r > 0, h / np.where(r > 0, r, 1), np.inf) for r, h in ((run, rise), (other_run, other_rise))]
    smaller = np.minimum(*slopes)
    return np.where(np.isfinite(smaller) & (smaller > 0), smaller, 0)
