"""A query by SAT alone, from encoding to replay: several formulas that answer it take turns.

Redundant cuts make refutations short and assignments hard to find, and the violation's parts are smaller formulas than the whole. So
formulas with and without them, each in a solver of its own, take turns in one thread, and whichever answers first decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from pysat.solvers import Solver

from ..bounds import Ranges
from ..encode import Cnf, Encoding, encode_disjuncts
from ..limits import Limits
from ..options import LAYOUTS, Options
from ..processes import call_undisturbed
from ..properties import Formula, Query, Witness, confirm
from ..solvers import sat
from ..solvers.sat import SatResult

# Of narrowed disjuncts: on dev queries faster than any solver that gives proofs, most of all where there is a violation.
DISJUNCT_SOLVER = "minisat22"


class Decision(NamedTuple):
    """The solver's answer, the replayed witness where it is satisfiable, the hash of the whole formula's CNF, and its encoding."""

    result: SatResult
    witness: Witness | None
    cnf_sha256: str
    encoding: str


def decide(query: Query, bounds: Ranges, formula: Formula, options: Options, limits: Limits, statistics: dict[str, float]) -> Decision:
    """Encode and solve. After an assignment that does not replay the query is encoded anew, plainly, with nothing narrowed or added.

    `statistics` gets the sizes of what was encoded last, the solver's counts, and how many assignments did not replay.
    """
    for encoding in dict.fromkeys((options.encoding, *LAYOUTS)):
        encoded = encode_disjuncts(query, bounds, replace(options, encoding=encoding), formula, limits)
        statistics.update(encoded.sizes, encode_seconds=limits.seconds())
        result, inputs = solve_encoding(encoded, options, limits)
        statistics.update(result.statistics)
        witness = None if inputs is None else confirm(query, inputs, f"sat, encoding {encoding}", statistics, limits)
        if inputs is None or witness is not None:
            return Decision(result, witness, encoded.whole.sha256, encoding)
    return Decision(SatResult(None, "no assignment of the solver replays"), None, "", options.encoding)


class Job(NamedTuple):
    """A formula for a solver, which gets `turn` conflicts in its first turn, and assumptions to try first, the narrowest at the head."""

    flat: np.ndarray
    num_vars: int
    solver: str
    turn: int = sat.FIRST_CONFLICTS
    dives: Sequence[list[int]] = ()


def solve_encoding(encoding: Encoding, options: Options, limits: Limits) -> tuple[SatResult, tuple[tuple[int, ...], ...] | None]:
    """Decide a query, and the networks' inputs where it is satisfiable.

    Narrowed disjuncts and the whole formula are two roads to an answer, walked in turns; the disjuncts come first and get twice the
    conflicts.
    """
    whole, disjuncts, dives = encoding
    if disjuncts is None or options.solver in sat.ONE_SHOT:
        result = solve_whole(whole, options, limits)
        return result, whole.decode(result.assignment) if result.assignment is not None else None
    teams = [
        [Job(np.asarray(cnf.clauses), cnf.num_vars, DISJUNCT_SOLVER, dives=own) for cnf, own in zip(disjuncts, dives, strict=True)],
        [Job(np.asarray(whole.clauses), whole.num_vars, options.solver, sat.FIRST_CONFLICTS // 2)],
    ]
    result = _solve_teams(teams, limits, options.conflicts)
    if result.assignment is None:
        return result, None
    team, number = result.found
    return result, (whole if team else disjuncts[number]).decode(result.assignment)


def solve_whole(cnf: Cnf, options: Options, limits: Limits) -> SatResult:
    """Decide one CNF: first with its redundant cuts, then with and without them in turns; with certificates, without them alone."""
    flat, solver, conflicts = np.asarray(cnf.clauses), options.solver, options.conflicts
    if options.certificates or cnf.core == len(flat):
        return sat.solve(flat[: cnf.core], cnf.num_vars, solver, limits, conflicts, proof=options.certificates)
    if solver in sat.ONE_SHOT:
        return sat.solve(flat, cnf.num_vars, solver, limits, conflicts)
    tried = sat.try_briefly(flat, cnf.num_vars, solver, conflicts)
    if tried is not None:
        return tried
    limits.check()
    # Cuts first, because solvers keep this order: with cuts last, one query of six took more than six times as long.
    cuts_first = np.concatenate([flat[cnf.core :], flat[: cnf.core]])
    teams = [[Job(part, cnf.num_vars, solver)] for part in (cuts_first, flat[: cnf.core])]
    return sat.in_child(limits, run_in_turns, teams, conflicts)


def _solve_teams(teams: list[list[Job]], limits: Limits, conflicts: int | None) -> SatResult:
    """First a short try of the first team's small formulas in this process."""
    left: list[int] = []
    for number, job in enumerate(teams[0]):
        limits.check()
        if len(job.flat) > sat.SMALL:
            left.append(number)
            continue
        first = sat.first_conflicts(job.flat, conflicts)
        result = call_undisturbed(run_in_turns, [[job._replace(turn=first)]], first)
        if result.satisfiable:
            return replace(result, found=(0, number))
        if result.satisfiable is None:
            left.append(number)
    if not left:
        return SatResult(False)
    result = sat.in_child(limits, run_in_turns, [[teams[0][number] for number in left], *teams[1:]], conflicts)
    team, number = result.found
    return replace(result, found=(team, number if team else left[number])) if result.satisfiable else result


def run_in_turns(teams: list[list[Job]], conflicts: int | None) -> SatResult:
    """Solvers take turns in this process, and every turn of one allows twice the conflicts of its last.

    The formulas of a team are unsatisfiable together iff those of any other team are: one satisfiable formula decides, and so does one
    team without any. conflicts bounds those of each solver, and those of its dives alike. The statistics are those of the solver that
    decides.
    """
    with ExitStack() as stack:
        left: list[list[tuple[int, Job, Solver]]] = []
        for team in teams:
            solvers = [(number, job, stack.enter_context(Solver(name=job.solver))) for number, job in enumerate(team)]
            left.append([entry for entry in solvers if sat.load(entry[2], entry[1].flat)])
            if not left[-1]:
                return SatResult(False)
        dives = {id(solver): list(job.dives) for runners in left for _, job, solver in runners}
        factor, least = 1, min(job.turn for team in teams for job in team)
        while conflicts is None or least * (factor - 1) < conflicts:
            for t, runners in enumerate(left):
                for entry in list(runners):
                    number, job, solver = entry
                    # All turns before add up to one of its first turns less than this one.
                    turn = job.turn * factor if conflicts is None else min(job.turn * factor, conflicts - job.turn * (factor - 1))
                    if turn <= 0:
                        continue
                    satisfiable = _dive_and_solve(solver, dives[id(solver)], turn)
                    if satisfiable:
                        return replace(sat.result_of(solver, job.solver, True, job.num_vars), found=(t, number))
                    if satisfiable is False:
                        runners.remove(entry)
                    if not runners:
                        return sat.result_of(solver, job.solver, False, job.num_vars)
            factor *= 2
        return SatResult(None, "conflicts")


def _dive_and_solve(solver: Solver, dives: list[list[int]], conflicts: int) -> bool | None:
    """Try dives up to one that stays open, then all; each gets that many conflicts. Dives without an assignment are taken off."""
    while dives:
        solver.conf_budget(conflicts)
        satisfiable = solver.solve_limited(assumptions=dives[0])
        if satisfiable:
            return True
        if satisfiable is None:
            break
        del dives[0]
    solver.conf_budget(conflicts)
    return solver.solve_limited()
