"""Z3 through its Python package."""

from __future__ import annotations

import z3

from ...limits import Limits
from .base import SAT, UNKNOWN, UNSAT, Answer, Script


def run(script: Script, limits: Limits) -> Answer:
    solver = z3.SolverFor("QF_BV")
    solver.from_string(script.body)
    result = solver.check()
    if result == z3.sat:
        answer = solver.model()
        # It lists definitions too; and what doesn't matter is left out: any value will do.
        found = {d.name(): answer[d].as_long() for d in answer.decls() if d.name() in script.names}
        return Answer(SAT, values=dict.fromkeys(script.names, 0) | found)
    return Answer(UNSAT) if result == z3.unsat else Answer(UNKNOWN, f"the solver gave up: {solver.reason_unknown()}")
