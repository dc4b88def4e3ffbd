"""PySAT behind limits that are kept.

CaDiCaL through PySAT holds the interpreter lock for the whole solve and can't be interrupted, so a solver runs in a
child process that is killed when a limit runs out. Small formulas first get a short try in this process, because
most of them end before a child would have started.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, NoReturn

import numpy as np
from pysat.solvers import Solver

from ..encode import Encoding
from ..errors import UnsupportedError
from ..limits import LimitReached, Limits
from ..processes import ChildDied, call_in_child, interrupts_held
from . import proofs

# A formula of up to SMALL literals and zeros is tried for up to FIRST_CONFLICTS conflicts in this process: mostly a few milliseconds. As
# nothing ends them, a large formula, whose conflicts may take a millisecond each, gets fewer: conflicts times entries are FIRST_WORK.
SMALL = 100_000
FIRST_CONFLICTS = 1000
FIRST_WORK = 10_000_000

# Solvers that solve once and have no counts.
ONE_SHOT = ("kissat404",)

CHUNK = 1 << 18

# Of narrowed ways: on dev queries faster than any solver that gives proofs, most of all where there is a violation.
WAYS_SOLVER = "minisat22"

# PySAT gets no proofs out of these.
WITHOUT_PROOFS = ("kissat404",)


@dataclass(frozen=True)
class SatResult:
    """satisfiable is None when a limit ran out, and `reason` says which.

    assignment is bool[num_vars + 1], indexed by variable, where satisfiable; statistics are the solver's counts. lrat is a packed
    proof of unsatisfiability (see `proofs.pack`), where it was asked for.
    """

    satisfiable: bool | None
    reason: str = ""
    assignment: np.ndarray | None = None
    statistics: dict[str, float] = field(default_factory=dict)
    lrat: bytes | None = None
    found: tuple[int, int] = (0, 0)

    def __bool__(self) -> NoReturn:
        raise TypeError("a solver's result is neither true nor false; ask for .satisfiable")


def solve(
    clauses: Any, num_vars: int, solver: str, limits: Limits, conflicts: int | None = None, core: int | None = None, proof: bool = False
) -> SatResult:
    """Decide a CNF: `clauses` is a buffer of int32, zero-terminated; conflicts bounds the solver's conflicts.

    What follows the first `core` entries is redundant. Such facts make refutations short and assignments hard to find, so two
    solvers, with and without them, take turns in one thread. With `proof` there is one, of the core alone, if the CNF is
    unsatisfiable. Solvers that give none are refused with `UnsupportedError`.
    """
    if proof:
        return _refute(np.asarray(clauses)[:core], num_vars, solver, limits, conflicts)
    flat = np.asarray(clauses)
    budget = None if conflicts is None else int(conflicts)
    if len(flat) <= SMALL:
        first = _first_conflicts(flat, budget)
        result = _run_briefly(flat, num_vars, solver, first)
        if result.satisfiable is not None or first == budget:
            return result
    limits.check()
    if core in (None, len(flat)) or solver in ONE_SHOT:
        return _in_child(limits, run_solver, flat, num_vars, solver, budget)
    # Facts first, because solvers keep this order: with facts last, one query of six took more than six times as long.
    whole = np.concatenate([flat[core:], flat[:core]])
    teams = [[Job(part, num_vars, solver)] for part in (whole, flat[:core])]
    return _in_child(limits, run_in_turns, teams, budget)


def _refute(flat: np.ndarray, num_vars: int, solver: str, limits: Limits, conflicts: int | None) -> SatResult:
    """Solve with a proof. Always in a child: PySAT leaks 4.5 kB for each, and CaDiCaL ends its process where it can't write one."""
    if solver in WITHOUT_PROOFS:
        raise UnsupportedError(f"solver: {solver} gives no proofs")
    limits.check()
    with ExitStack() as stack:
        try:
            file, path = stack.enter_context(proofs.proof_file())
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                raise
            return SatResult(None, proofs.NO_ROOM)
        result = _in_child(limits, run_prover, flat, num_vars, solver, None if conflicts is None else int(conflicts), path)
        failed = result.satisfiable is None and "solver" in result.reason
        return SatResult(None, proofs.NO_ROOM) if failed and not proofs.has_room(file) else result


class Job(NamedTuple):
    """A formula for a solver, which gets `turn` conflicts in its first turn, and assumptions to try first, the narrowest at the head."""

    flat: np.ndarray
    num_vars: int
    solver: str
    turn: int = FIRST_CONFLICTS
    dives: Sequence[list[int]] = ()


def decide(encoding: Encoding, options: Any, limits: Limits) -> tuple[SatResult, tuple[tuple[int, ...], ...] | None]:
    """Decide a query, and the networks' inputs where it is satisfiable.

    Narrowed ways and the whole formula are two roads to an answer, walked in turns; the ways come first and get twice the conflicts.
    """
    whole, ways, dives = encoding
    if ways is None or options.solver in ONE_SHOT:
        core = None if options.certificates else whole.core
        result = solve(whole.clauses, whole.num_vars, options.solver, limits, options.conflicts, core, options.certificates)
        return result, whole.decode(result.assignment) if result.assignment is not None else None
    teams = [
        [Job(np.asarray(way.clauses), way.num_vars, WAYS_SOLVER, dives=own) for way, own in zip(ways, dives, strict=True)],
        [Job(np.asarray(whole.clauses), whole.num_vars, options.solver, FIRST_CONFLICTS // 2)],
    ]
    result = _solve_teams(teams, limits, options.conflicts)
    if result.assignment is None:
        return result, None
    team, number = result.found
    return result, (whole if team else ways[number]).decode(result.assignment)


def _solve_teams(teams: list[list[Job]], limits: Limits, conflicts: int | None) -> SatResult:
    """First a short try of the first team's small formulas in this process."""
    left: list[int] = []
    for number, job in enumerate(teams[0]):
        limits.check()
        if len(job.flat) > SMALL:
            left.append(number)
            continue
        first = _first_conflicts(job.flat, conflicts)
        with interrupts_held():
            result = run_in_turns([[job._replace(turn=first)]], first)
        if result.satisfiable:
            return replace(result, found=(0, number))
        if result.satisfiable is None:
            left.append(number)
    if not left:
        return SatResult(False)
    result = _in_child(limits, run_in_turns, [[teams[0][number] for number in left], *teams[1:]], conflicts)
    team, number = result.found
    return replace(result, found=(team, number if team else left[number])) if result.satisfiable else result


def _in_child(limits: Limits, run: Callable[..., SatResult], *arguments: Any) -> SatResult:
    try:
        return call_in_child(limits, run, *arguments)
    except LimitReached as limit:
        return SatResult(None, limit.reason)
    except ChildDied as death:
        return SatResult(None, f"solver {death}")


def _first_conflicts(flat: np.ndarray, budget: int | None) -> int:
    first = max(1, min(FIRST_CONFLICTS, FIRST_WORK // max(1, len(flat))))
    return first if budget is None else min(int(budget), first)


def _run_briefly(flat: np.ndarray, num_vars: int, name: str, conflicts: int) -> SatResult:
    """Solve here, with Ctrl-C held back: PySAT would leave a solver in mid-flight, which must not be touched again."""
    with interrupts_held():
        return run_solver(flat, num_vars, name, conflicts)


def run_solver(flat: np.ndarray, num_vars: int, name: str, conflicts: int | None) -> SatResult:
    """Load and solve in this process, with no limit but conflicts."""
    with Solver(name=name) as solver:
        satisfiable = load(solver, flat) and _solve(solver, conflicts)
        return _result(solver, name, satisfiable, num_vars)


def run_prover(flat: np.ndarray, num_vars: int, name: str, conflicts: int | None, path: str) -> SatResult:
    """The same with a proof, if there is no assignment; the solver writes it to the file at `path`."""
    with Solver(name=name, with_proof=True) as solver:
        proofs.trace_to(solver.solver, path)
        satisfiable = load(solver, flat) and _solve(solver, conflicts)
        result = _result(solver, name, satisfiable, num_vars)
        if satisfiable is not False:
            return result
        lrat = proofs.lrat_of(flat, num_vars, solver.solver, lambda: None)
    return replace(result, lrat=lrat) if isinstance(lrat, bytes) else SatResult(None, lrat, statistics=result.statistics)


def _solve(solver: Solver, conflicts: int | None) -> bool | None:
    if conflicts is None:
        return solver.solve()
    solver.conf_budget(conflicts)
    return solver.solve_limited()


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
            left.append([entry for entry in solvers if load(entry[2], entry[1].flat)])
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
                        return replace(_result(solver, job.solver, True, job.num_vars), found=(t, number))
                    if satisfiable is False:
                        runners.remove(entry)
                    if not runners:
                        return _result(solver, job.solver, False, job.num_vars)
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


def _result(solver: Solver, name: str, satisfiable: bool | None, num_vars: int) -> SatResult:
    statistics = {} if name in ONE_SHOT else dict(solver.accum_stats() or {})
    if not satisfiable:
        return SatResult(satisfiable, "conflicts" if satisfiable is None else "", None, statistics)
    holds = np.zeros(num_vars + 1, bool)
    true_lits = np.array([lit for lit in solver.get_model() if 0 < lit <= num_vars], np.int64)
    holds[true_lits] = True
    return SatResult(True, "", holds, statistics)


def load(solver: Solver, flat: np.ndarray) -> bool:
    """Give the clauses to a solver, piece by piece; false if one of them is empty."""
    return all(add_clauses(solver, flat[start:stop].tolist()) for start, stop in chunks(flat))


def chunks(flat: np.ndarray):
    """(start, stop) of runs of whole clauses, about CHUNK entries each: lists of everything would cost 200 bytes a clause."""
    start = 0
    while start < len(flat):
        stop = min(start + CHUNK, len(flat))
        while flat[stop - 1] != 0:
            stop += 1
        yield start, stop
        start = stop


def add_clauses(solver: Solver, entries: list[int]) -> bool:
    """Add the clauses; false if one of them is empty, which no solver has to be asked about."""
    start = 0
    for stop, entry in enumerate(entries):
        if entry == 0:
            if start == stop:
                return False
            solver.add_clause(entries[start:stop])
            start = stop + 1
    return True
