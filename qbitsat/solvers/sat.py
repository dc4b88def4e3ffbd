"""PySAT behind limits that are kept.

CaDiCaL through PySAT holds the interpreter lock for the whole solve and can't be interrupted, so a solver runs in a
child process that is killed when a limit runs out. Small formulas first get a short try in this process, because
most of them end before a child would have started.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn

import numpy as np
from pysat.solvers import Solver

from ..errors import UnsupportedError
from ..limits import NO_LIMITS, LimitReached, Limits
from ..processes import ChildDied, call_in_child, call_undisturbed
from . import proofs

# A formula of up to SMALL literals and zeros is tried for up to FIRST_CONFLICTS conflicts in this process: mostly a few milliseconds. As
# nothing ends them, a large formula, whose conflicts may take a millisecond each, gets fewer: conflicts times entries are FIRST_WORK.
SMALL = 100_000
FIRST_CONFLICTS = 1000
FIRST_WORK = 10_000_000

# Solvers that solve once and have no counts.
ONE_SHOT = ("kissat404",)

CHUNK = 1 << 18

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


def solve(clauses: Any, num_vars: int, solver: str, limits: Limits, conflicts: int | None = None, proof: bool = False) -> SatResult:
    """Decide a CNF: `clauses` is a buffer of int32, zero-terminated; conflicts bounds the solver's conflicts.

    With `proof` there is one if the CNF is unsatisfiable. Solvers that give none are refused with `UnsupportedError`.
    """
    flat, budget = np.asarray(clauses), None if conflicts is None else int(conflicts)
    if proof:
        return _refute(flat, num_vars, solver, limits, budget)
    tried = try_briefly(flat, num_vars, solver, budget)
    if tried is not None:
        return tried
    limits.check()
    return in_child(limits, run_solver, flat, num_vars, solver, budget)


def try_briefly(flat: np.ndarray, num_vars: int, solver: str, budget: int | None) -> SatResult | None:
    """What a short try of a small formula in this process says; None if that is open."""
    if len(flat) > SMALL:
        return None
    first = first_conflicts(flat, budget)
    result = call_undisturbed(run_solver, flat, num_vars, solver, first)
    return result if result.satisfiable is not None or first == budget else None


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
        result = in_child(limits, run_prover, flat, num_vars, solver, conflicts, path)
        failed = result.satisfiable is None and "solver" in result.reason
        return SatResult(None, proofs.NO_ROOM) if failed and not proofs.has_room(file) else result


def in_child(limits: Limits, run: Callable[..., SatResult], *arguments: Any) -> SatResult:
    """What a solver in a child process says; a child that dies, or whose limit runs out, says nothing, and why."""
    try:
        return call_in_child(limits, run, *arguments)
    except LimitReached as limit:
        return SatResult(None, limit.reason)
    except ChildDied as death:
        return SatResult(None, f"solver {death}")


def first_conflicts(flat: np.ndarray, budget: int | None) -> int:
    """The conflicts of a short try."""
    first = max(1, min(FIRST_CONFLICTS, FIRST_WORK // max(1, len(flat))))
    return first if budget is None else min(int(budget), first)


def run_solver(flat: np.ndarray, num_vars: int, name: str, conflicts: int | None) -> SatResult:
    """Load and solve in this process, with no limit but conflicts."""
    with Solver(name=name) as solver:
        satisfiable = load(solver, flat) and _solve(solver, conflicts)
        return result_of(solver, name, satisfiable, num_vars)


def run_prover(flat: np.ndarray, num_vars: int, name: str, conflicts: int | None, path: str) -> SatResult:
    """The same with a proof, if there is no assignment; the solver writes it to the file at `path`."""
    with Solver(name=name, with_proof=True) as solver:
        proofs.trace_to(solver.solver, path)
        satisfiable = load(solver, flat) and _solve(solver, conflicts)
        result = result_of(solver, name, satisfiable, num_vars)
        if satisfiable is not False:
            return result
        lrat = proofs.lrat_of(flat, num_vars, solver.solver, NO_LIMITS.check)
    return replace(result, lrat=lrat) if isinstance(lrat, bytes) else SatResult(None, lrat, statistics=result.statistics)


def _solve(solver: Solver, conflicts: int | None) -> bool | None:
    if conflicts is None:
        return solver.solve()
    solver.conf_budget(conflicts)
    return solver.solve_limited()


def result_of(solver: Solver, name: str, satisfiable: bool | None, num_vars: int) -> SatResult:
    """The answer of a solver that has just solved, with its statistics."""
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
