"""OR-Tools CP-SAT as a process of its own: a program a line of standard input, an answer a line of standard output, in JSON.

It imports nothing of ours: highspy and ortools each bring a libhighs.so.1, and a process that has loaded the one can't load
the other.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from ortools.sat.python import cp_model

INFINITE = 1 << 62


def solve(program: dict[str, Any]) -> dict[str, Any]:
    """status, seconds for building and solving, and where it is satisfiable the values of the variables.

    program has the fields lo, hi, rows and steps of `program.Program`, and the seconds it may take as `timeout`.
    """
    start = time.perf_counter()
    constraints, variables = build(program)
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    solver.parameters.linearization_level = 2
    solver.parameters.max_time_in_seconds = max(0.0, program["timeout"] - (time.perf_counter() - start))
    status = solver.solve(constraints)
    values = [solver.value(variable) for variable in variables] if status in (cp_model.OPTIMAL, cp_model.FEASIBLE) else None
    return {"status": solver.status_name(status), "seconds": time.perf_counter() - start, "values": values}


def build(program: dict[str, Any]) -> tuple[cp_model.CpModel, list[cp_model.IntVar]]:
    """Bands for the rounding, CP-SAT's own minimum, maximum and guards for the rest; and the program's variables.

    band    0 <= acc + half - divisor (rounded - offset) <= divisor - 1,    y = min(max(rounded, lo), hi)
    """
    result = cp_model.CpModel()
    variables = [result.new_int_var(lo, hi, "") for lo, hi in zip(program["lo"], program["hi"], strict=True)]
    for columns, weights, lo, hi, guard in program["rows"]:
        total = cp_model.LinearExpr.weighted_sum([variables[column] for column in columns], weights)
        row = result.add_linear_constraint(total, -INFINITE if lo is None else lo, INFINITE if hi is None else hi)
        if guard is not None:
            row.only_enforce_if(variables[guard])
    for acc, y, divisor, half, offset in program["steps"]:
        lowest, highest = ((program[end][acc] + half) // divisor + offset for end in ("lo", "hi"))
        lo, hi = program["lo"][y], program["hi"][y]
        rounded = variables[y] if lo <= lowest and highest <= hi else result.new_int_var(lowest, highest, "")
        above = rounded
        if lowest < lo:
            above = variables[y] if highest <= hi else result.new_int_var(lo, highest, "")
            result.add_max_equality(above, [rounded, lo])
        if highest > hi:
            result.add_min_equality(variables[y], [above, hi])
        constant = half + divisor * offset
        result.add_linear_constraint(variables[acc] - divisor * rounded, -constant, divisor - 1 - constant)
    return result, variables


def main() -> None:
    for line in sys.stdin:
        print(json.dumps(solve(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
