"""PySAT behind limits that are kept.

CaDiCaL through PySAT holds the interpreter lock for the whole solve and can't be interrupted, so a solver runs in a
child process that is killed when a limit runs out. Small formulas first get a short try in this process, because
most of them end before a child would have started.
"""

from __future__ import annotations

import pickle
import signal
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
from pysat.solvers import Solver

from ..limits import GIB, LimitReached, Limits, resident_bytes
from .processes import CONTEXT, begin_child, interrupts_held, start

# A formula of up to SMALL literals and zeros is tried for FIRST_CONFLICTS conflicts in this process: a few milliseconds.
SMALL = 100_000
FIRST_CONFLICTS = 1000

POLL_SECONDS = 0.02
CHUNK = 1 << 18


@dataclass(frozen=True)
class SatResult:
    """satisfiable is None when a limit ran out, and `reason` says which.

    assignment is bool[num_vars + 1], indexed by variable, where satisfiable; statistics are the solver's counts.
    """

    satisfiable: bool | None
    reason: str = ""
    assignment: np.ndarray | None = None
    statistics: dict[str, float] = field(default_factory=dict)


def solve(clauses: Any, num_vars: int, solver: str, limits: Limits, conflicts: int | None = None) -> SatResult:
    """Decide a CNF: `clauses` is a buffer of int32, zero-terminated; conflicts bounds the solver's conflicts."""
    flat = np.asarray(clauses)
    budget = None if conflicts is None else int(conflicts)
    if len(flat) <= SMALL:
        first = FIRST_CONFLICTS if budget is None else min(budget, FIRST_CONFLICTS)
        result = _run_briefly(flat, num_vars, solver, first)
        if result.satisfiable is not None or first == budget:
            return result
    limits.check()
    return _solve_in_child(flat, num_vars, solver, limits, budget)


def _run_briefly(flat: np.ndarray, num_vars: int, name: str, conflicts: int) -> SatResult:
    """Solve here, with Ctrl-C held back: PySAT would leave a solver in mid-flight, which must not be touched again."""
    with interrupts_held():
        return run_solver(flat, num_vars, name, conflicts)


def run_solver(flat: np.ndarray, num_vars: int, name: str, conflicts: int | None) -> SatResult:
    """Load and solve in this process, with no limit but conflicts."""
    with Solver(name=name) as solver:
        for start, stop in chunks(flat):
            if not add_clauses(solver, flat[start:stop].tolist()):
                return SatResult(False)
        if conflicts is None:
            satisfiable = solver.solve()
        else:
            solver.conf_budget(conflicts)
            satisfiable = solver.solve_limited()
        statistics = {} if name.startswith("kissat") else dict(solver.accum_stats() or {})
        if not satisfiable:
            return SatResult(satisfiable, "conflicts" if satisfiable is None else "", None, statistics)
        holds = np.zeros(num_vars + 1, bool)
        true_lits = np.array([lit for lit in solver.get_model() if 0 < lit <= num_vars], np.int64)
        holds[true_lits] = True
        return SatResult(True, "", holds, statistics)


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


def _solve_in_child(flat: np.ndarray, num_vars: int, name: str, limits: Limits, conflicts: int | None) -> SatResult:
    receiver, sender = CONTEXT.Pipe(duplex=False)
    memory = None if limits.memory == float("inf") else int(limits.memory)
    child = None
    try:
        # Ctrl-C between the fork and the assignment would lose the child.
        with interrupts_held():
            child = start(_child_main, sender, flat, num_vars, name, conflicts, memory, daemon=True)
            sender.close()
        while not receiver.poll(max(0.0, min(POLL_SECONDS, limits.timeout - limits.seconds()))):
            limits.check(child.pid or 0)
            # Not left to the end of the pipe: another thread's fork may hold its other end open.
            if not child.is_alive() and not receiver.poll():
                raise EOFError
        result = receiver.recv()
        assert isinstance(result, SatResult)
        return result
    except (EOFError, OSError, pickle.UnpicklingError):
        if child is None:
            raise
        child.kill()
        child.join()
        if child.exitcode == -signal.SIGKILL and limits.memory < float("inf"):
            return SatResult(None, "memory")
        return SatResult(None, "memory" if child.exitcode == 3 else f"solver died with exit code {child.exitcode}")
    except LimitReached as limit:
        return SatResult(None, limit.reason)
    finally:
        if child is not None:
            child.kill()
            child.join()
        receiver.close()


def _child_main(
    sender: Connection, flat: np.ndarray, num_vars: int, name: str, conflicts: int | None, memory: int | None, parent: int
) -> None:
    """Solve and send the result. Exit code 3 says that memory ran out."""
    begin_child(parent)
    if memory is not None and not resident_bytes():
        _limit_address_space(memory)
    try:
        sender.send(run_solver(flat, num_vars, name, conflicts))
    except MemoryError:
        raise SystemExit(3) from None


def _limit_address_space(memory: int) -> None:
    """The limit where resident memory can't be watched from outside; 1 GiB more for what is mapped but not used."""
    try:
        import resource
    except ImportError:
        return
    resource.setrlimit(resource.RLIMIT_AS, (memory + GIB, memory + GIB))
