"""HiGHS on a program as a MILP, after QVIP (Zhang et al., ASE 2022): rounding bands over integers, big-M binaries for clamps."""

from __future__ import annotations

import highspy
import numpy as np

from qbitsat.limits import LimitReached, Limits

from .program import Program, Row, Step


def solve(program: Program, limits: Limits) -> list[int] | None:
    """Values of the variables, or None if there are none: as HiGHS says, in floats, with its default tolerances and one thread.

    Raises `LimitReached` if it gives up.
    """
    solver = highspy.Highs()
    for name, value in (("output_flag", False), ("threads", 1), ("time_limit", max(0.0, limits.timeout - limits.seconds()))):
        solver.setOptionValue(name, value)
    solver.passModel(linear_program(program))
    solver.run()
    status = solver.getModelStatus()
    if status == highspy.HighsModelStatus.kOptimal:
        return [round(value) for value in solver.getSolution().col_value[: len(program.lo)]]
    if status == highspy.HighsModelStatus.kInfeasible:
        return None
    raise LimitReached("timeout" if status == highspy.HighsModelStatus.kTimeLimit else f"HiGHS: {solver.modelStatusToString(status)}")


def linear_program(program: Program) -> highspy.HighsLp:
    """The program's variables first, then those of the steps. Accumulators are continuous: they are sums of integers anyway."""
    lo, hi = program.lo.copy(), program.hi.copy()
    rows = [_without_guard(row, lo, hi) for row in program.rows]
    for step in program.steps:
        rows += _step_rows(step, lo, hi)
    lp = highspy.HighsLp()
    lp.num_col_, lp.num_row_ = len(lo), len(rows)
    lp.col_cost_ = np.zeros(len(lo))
    lp.col_lower_, lp.col_upper_ = np.array(lo, float), np.array(hi, float)
    lp.row_lower_ = np.array([-highspy.kHighsInf if row.lo is None else row.lo for row in rows], float)
    lp.row_upper_ = np.array([highspy.kHighsInf if row.hi is None else row.hi for row in rows], float)
    matrix = lp.a_matrix_
    matrix.format_ = highspy.MatrixFormat.kRowwise
    matrix.start_ = np.cumsum([0, *(len(row.columns) for row in rows)])
    matrix.index_ = np.array([column for row in rows for column in row.columns], np.int32)
    matrix.value_ = np.array([weight for row in rows for weight in row.weights], float)
    kinds = [highspy.HighsVarType.kInteger] * len(lo)
    for step in program.steps:
        kinds[step.acc] = highspy.HighsVarType.kContinuous
    lp.integrality_ = kinds
    return lp


def _without_guard(row: Row, lo: list[int], hi: list[int]) -> Row:
    """sum <= bound  where guard = 1:  sum + (largest - bound) guard <= largest;  likewise sum >= bound."""
    if row.guard is None:
        return row
    ends = [sorted((w * lo[c], w * hi[c])) for c, w in zip(row.columns, row.weights, strict=True)]
    columns = [*row.columns, row.guard]
    if row.lo is None:
        largest = sum(end[1] for end in ends)
        return Row(columns, [*row.weights, largest - row.hi], None, largest)
    smallest = sum(end[0] for end in ends)
    return Row(columns, [*row.weights, smallest - row.lo], smallest, None)


def _step_rows(step: Step, lo: list[int], hi: list[int]) -> list[Row]:
    """Rows of y = min(max(rounded, lo), hi), rounded = floor((acc + half) / divisor) + offset; a clamp that can't act has none.

    band    0 <= acc + half - divisor (rounded - offset) <= divisor - 1

    Appends the bounds of `rounded`, of the value between the clamps and of the binaries to lo and hi.
    """
    acc, y, divisor, half, offset = step
    lowest, highest = ((end[acc] + half) // divisor + offset for end in (lo, hi))
    clamps = (lowest < lo[y], highest > hi[y])
    rounded = _variable(lo, hi, lowest, highest) if any(clamps) else y
    above = _variable(lo, hi, lo[y], highest) if all(clamps) else y if clamps[0] else rounded
    constant = half + divisor * offset
    rows = [Row([acc, rounded], [1, -divisor], -constant, divisor - 1 - constant)]
    if clamps[0]:
        rows += _maximum(above, rounded, lo[y], _variable(lo, hi, 0, 1), lowest, highest)
    if clamps[1]:
        rows += _minimum(y, above, hi[y], _variable(lo, hi, 0, 1), lo[y], highest)
    return rows


def _variable(lo: list[int], hi: list[int], lowest: int, highest: int) -> int:
    lo.append(lowest)
    hi.append(highest)
    return len(lo) - 1


def _maximum(result: int, x: int, bound: int, binary: int, lowest: int, highest: int) -> list[Row]:
    """result = max(x, bound) for x in [lowest, highest]; binary = 1 where it is the bound, which is result's lower bound too.

    x <= result,    result <= x + (bound - lowest) binary,    result <= highest - (highest - bound) binary
    """
    return [
        Row([result, x], [1, -1], 0, None),
        Row([result, x, binary], [1, -1, lowest - bound], None, 0),
        Row([result, binary], [1, highest - bound], None, highest),
    ]


def _minimum(result: int, x: int, bound: int, binary: int, lowest: int, highest: int) -> list[Row]:
    """result = min(x, bound), the mirror image of `_maximum`.

    result <= x,    result >= x - (highest - bound) binary,    result >= lowest + (bound - lowest) binary
    """
    return [
        Row([result, x], [1, -1], None, 0),
        Row([result, x, binary], [1, -1, highest - bound], 0, None),
        Row([result, binary], [1, lowest - bound], lowest, None),
    ]
