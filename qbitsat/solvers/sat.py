"""PySAT behind limits that are kept.

CaDiCaL through PySAT holds the interpreter lock for the whole solve and can't be interrupted, so a solver runs in a
child process that is killed when a limit runs out. Small formulas first get a short try in this process, because
most of them end before a child would have started.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import IO, Any, NamedTuple

import numpy as np
import pysolvers
from pysat.solvers import Solver

from ..encode import Encoding
from ..errors import UnsupportedError
from ..limits import LimitReached, Limits
from .processes import ChildDied, call_in_child, interrupts_held

# A formula of up to SMALL literals and zeros is tried for FIRST_CONFLICTS conflicts in this process: a few milliseconds.
SMALL = 100_000
FIRST_CONFLICTS = 1000

# Solvers that solve once and have no counts.
ONE_SHOT = ("kissat404",)

CHUNK = 1 << 18

# Of narrowed ways: on dev queries faster than any solver that gives proofs, most of all where there is a violation.
WAYS_SOLVER = "minisat22"

# PySAT gets no proofs out of these.
WITHOUT_PROOFS = ("kissat404",)
# Bytes of text that are made binary at a time.
TEXT_CHUNK = 1 << 22
# Longer proofs stay in files.
SHORT_PROOF = 1 << 20


@dataclass(frozen=True)
class SatResult:
    """satisfiable is None when a limit ran out, and `reason` says which.

    assignment is bool[num_vars + 1], indexed by variable, where satisfiable; statistics are the solver's counts. drat is an open
    file with a proof of unsatisfiability in binary DRAT, where it was asked for.
    """

    satisfiable: bool | None
    reason: str = ""
    assignment: np.ndarray | None = None
    statistics: dict[str, float] = field(default_factory=dict)
    drat: IO[bytes] | None = None
    found: tuple[int, int] = (0, 0)


class DratFile(tempfile.SpooledTemporaryFile):
    """A proof, in memory while it is short; a pickle carries its bytes."""

    def __del__(self):
        self.close()  # a proof that nobody writes down is no mistake

    def __reduce__(self):
        self.seek(0)
        return _filled, (self.read(),)


def _filled(data: bytes) -> DratFile:
    file = DratFile(SHORT_PROOF)
    file.write(data)
    return file


def solve(
    clauses: Any, num_vars: int, solver: str, limits: Limits, conflicts: int | None = None, core: int | None = None, proof: bool = False
) -> SatResult:
    """Decide a CNF: `clauses` is a buffer of int32, zero-terminated; conflicts bounds the solver's conflicts.

    What follows the first `core` entries is redundant. Such facts make refutations short and assignments hard to find, so two
    solvers, with and without them, take turns in one thread. With `proof` there is one, of the core alone, if the CNF is
    unsatisfiable. Solvers that give none are refused with `UnsupportedError`.
    """
    if not proof:
        return _solve(clauses, num_vars, solver, limits, conflicts, core, None)
    if solver in WITHOUT_PROOFS:
        raise UnsupportedError(f"solver: {solver} gives no proofs")
    # By name, because the solver may run in another process.
    with tempfile.NamedTemporaryFile(prefix="qbitsat-", suffix=".drat") as file:
        result = _solve(np.asarray(clauses)[:core], num_vars, solver, limits, conflicts, None, file.name)
        if result.satisfiable is not False:
            return result
        drat = DratFile(SHORT_PROOF)
        shutil.copyfileobj(file, drat)
        return replace(result, drat=drat)


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


def _solve(
    clauses: Any, num_vars: int, solver: str, limits: Limits, conflicts: int | None, core: int | None, drat: str | None
) -> SatResult:
    flat = np.asarray(clauses)
    budget = None if conflicts is None else int(conflicts)
    if len(flat) <= SMALL:
        first = FIRST_CONFLICTS if budget is None else min(budget, FIRST_CONFLICTS)
        result = _run_briefly(flat, num_vars, solver, first, drat)
        if result.satisfiable is not None or first == budget:
            return result
    limits.check()
    if core in (None, len(flat)) or solver in ONE_SHOT:
        return _in_child(limits, run_solver, flat, num_vars, solver, budget, drat)
    # Facts first, because solvers keep this order: with facts last, one query of six took more than six times as long.
    whole = np.concatenate([flat[core:], flat[:core]])
    teams = [[Job(part, num_vars, solver)] for part in (whole, flat[:core])]
    return _in_child(limits, run_in_turns, teams, budget)


def _solve_teams(teams: list[list[Job]], limits: Limits, conflicts: int | None) -> SatResult:
    """First a short try of the first team's small formulas in this process."""
    first = FIRST_CONFLICTS if conflicts is None else min(int(conflicts), FIRST_CONFLICTS)
    left: list[int] = []
    for number, job in enumerate(teams[0]):
        limits.check()
        if len(job.flat) > SMALL:
            left.append(number)
            continue
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


def _run_briefly(flat: np.ndarray, num_vars: int, name: str, conflicts: int, drat: str | None) -> SatResult:
    """Solve here, with Ctrl-C held back: PySAT would leave a solver in mid-flight, which must not be touched again."""
    with interrupts_held():
        return run_solver(flat, num_vars, name, conflicts, drat)


def run_solver(flat: np.ndarray, num_vars: int, name: str, conflicts: int | None, drat: str | None = None) -> SatResult:
    """Load and solve in this process, with no limit but conflicts; `drat` names a file for a proof of unsatisfiability."""
    with Solver(name=name, with_proof=drat is not None) as solver:
        if not load(solver, flat):
            return SatResult(False)
        if conflicts is None:
            satisfiable = solver.solve()
        else:
            solver.conf_budget(conflicts)
            satisfiable = solver.solve_limited()
        if satisfiable is False and drat is not None:
            save_proof(solver.solver, drat)
        return _result(solver, name, satisfiable, num_vars)


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


def save_proof(inner: Any, path: str) -> None:
    """The proof that one of PySAT's solvers has traced, as binary DRAT; read from its file, not from memory as `get_proof` would.

    CaDiCaL writes binary DRAT, Glucose text. Proofs of what is trivial may lack their end (python-sat issue 139), so the empty
    clause is added to all: it follows, or the proof is void.
    """
    pysolvers.flushpr(inner.prfp)
    inner.prfile.seek(0)
    with open(path, "wb") as stream:
        if hasattr(inner, "cadical"):
            shutil.copyfileobj(inner.prfile, stream)
        else:
            while lines := inner.prfile.readlines(TEXT_CHUNK):
                stream.write(binary_drat(b"".join(lines)))
        stream.write(b"a\0")


def binary_drat(text: bytes) -> bytes:
    """Lines of DRAT text as binary DRAT: 7 bits a byte, lowest first, of 2 * variable + (1 if negative); 0 ends a step."""
    deletion = 1 << 40
    entries = np.fromstring(text.replace(b"d", b"%d" % deletion).decode(), np.int64, sep=" ")
    numbers = np.where(entries == deletion, ord("d"), 2 * np.abs(entries) + (entries < 0))
    begins = np.flatnonzero(np.append(True, entries[:-1] == 0))
    numbers = np.insert(numbers, begins[entries[begins] != deletion], ord("a"))  # both letters are single bytes, as numbers below 128 are
    groups = numbers[:, None] >> np.arange(0, 35, 7)
    data = (groups & 0x7F | np.where(groups >= 0x80, 0x80, 0)).astype(np.uint8)
    return data[(groups > 0) | (np.arange(5) == 0)].tobytes()


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
