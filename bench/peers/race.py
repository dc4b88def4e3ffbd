"""One query to one tool, in a child process of its own with a limit; and many to all, side by side."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from qbitsat.bounds import propagate, simplify
from qbitsat.campaign.compare import ERROR, Backend, Run
from qbitsat.limits import LimitReached, Limits
from qbitsat.options import ENGINES
from qbitsat.processes import ChildDied, call_in_child, die_with_parent
from qbitsat.properties import Or, Query, replay
from qbitsat.properties.formula import FALSE, TRUE
from qbitsat.verify import HOLDS, UNKNOWN, VIOLATED, verify

from . import milp
from .draw import Drawn
from .program import Program, formulate

MILP, CP_SAT = "milp", "cp-sat"
# `auto` is one of the others. Ratios are to the first.
TOOLS = (*sorted((engine for engine in ENGINES if engine != "auto"), key=lambda engine: engine != "hybrid"), MILP, CP_SAT)

NO_REPLAY = "its witness does not replay"

# A tool keeps the limit by itself; past this many seconds more, which are for loading and stopping, it is killed.
GRACE = 5.0


class Outcome(NamedTuple):
    """seconds are those of bounds, building and solving, without the loading of a solver's package; stage is what decided."""

    verdict: str
    reason: str
    seconds: float
    stage: str = ""


def ask(tool: str, query: Query, timeout: float) -> Outcome:
    """The tool's answer; one that comes after the timeout is none."""
    decide = {MILP: _by_milp, CP_SAT: _by_cp_sat}.get(tool, _by_engine)
    try:
        outcome = call_in_child(Limits(timeout + GRACE), decide, tool, query, timeout)
    except LimitReached as limit:
        return Outcome(UNKNOWN, limit.reason, timeout)
    except ChildDied as death:
        return Outcome(ERROR, f"{tool} {death}", timeout)
    return outcome if outcome.seconds <= timeout else Outcome(UNKNOWN, "timeout", timeout)


def _by_engine(tool: str, query: Query, timeout: float) -> Outcome:
    verdict = verify(query, engine=tool, timeout=timeout)
    return Outcome(verdict.verdict, verdict.reason, verdict.seconds, verdict.engine)


def _by_milp(tool: str, query: Query, timeout: float) -> Outcome:
    """One MILP for each part of a disjunction, that is for each target class: HiGHS needs longer for all in one."""
    return _by_peer(tool, query, timeout, lambda program, limits: (milp.solve(program, limits), 0.0), apart=True)


def _by_cp_sat(tool: str, query: Query, timeout: float) -> Outcome:
    """One program for all targets: CP-SAT is faster so."""
    return _by_peer(tool, query, timeout, solve_by_cp_sat, apart=False)


# Values of the program's variables or None, and the seconds that do not count.
Solve = Callable[[Program, Limits], tuple[list[int] | None, float]]


def _by_peer(tool: str, query: Query, timeout: float, solve: Solve, apart: bool) -> Outcome:
    limits = Limits(timeout)
    bounds = propagate(query)
    formula = simplify(query, bounds)
    if formula in (TRUE, FALSE):
        return Outcome(HOLDS if formula == FALSE else VIOLATED, "", limits.seconds(), "bounds")
    loading = 0.0
    try:
        for part in formula.parts if apart and isinstance(formula, Or) else (formula,):
            program = formulate(query, bounds, part)
            values, seconds = solve(program, limits)
            loading += seconds
            if values is not None:
                confirmed = replay(query, program.decode(query, values)) is not None
                verdict, reason = (VIOLATED, "") if confirmed else (ERROR, NO_REPLAY)
                return Outcome(verdict, reason, limits.seconds() - loading, tool)
    except LimitReached as limit:
        return Outcome(UNKNOWN, limit.reason, min(timeout, limits.seconds() - loading))
    return Outcome(HOLDS, "", limits.seconds() - loading, tool)


def solve_by_cp_sat(program: Program, limits: Limits) -> tuple[list[int] | None, float]:
    """In a Python of its own (see cp_sat.py), whose start and pipes are the seconds that do not count."""
    start = limits.seconds()
    text = json.dumps({**vars(program), "timeout": limits.timeout - start})
    command = [sys.executable, str(Path(__file__).with_name("cp_sat.py"))]
    # The limit of the caller kills this process, and the kernel the solver with it.
    result = subprocess.run(command, input=text, stdout=subprocess.PIPE, text=True, check=True, preexec_fn=die_with_parent)
    answer = json.loads(result.stdout)
    if answer["status"] not in ("OPTIMAL", "FEASIBLE", "INFEASIBLE"):
        raise LimitReached("timeout" if answer["status"] == "UNKNOWN" else f"CP-SAT: {answer['status']}")
    return answer["values"], limits.seconds() - start - answer["seconds"]


def race(drawn: Sequence[Drawn], tools: Sequence[str], timeout: float, done: Sequence[Run] = (), jobs: int = 1) -> Iterator[Run]:
    """Every run as it ends, but those done: query by query, and the tools in an order that rotates, so that noise hits all alike.

    jobs: so many queries side by side, each with one run at a time; a core for each must be there.
    """
    have = {(run.task.index, run.backend.name) for run in done}
    ended: queue.SimpleQueue[Run | BaseException | None] = queue.SimpleQueue()
    over = threading.Event()

    def work(turn: int, one: Drawn) -> None:
        query, first = one.query, turn % len(tools)
        for tool in (*tools[first:], *tools[:first]):
            if (one.task.index, tool) not in have and not over.is_set():
                verdict, reason, seconds, stage = ask(tool, query, timeout)
                ended.put(Run(one.task, Backend(tool), verdict, reason, seconds, {"by_bounds": float(stage == "bounds")}))

    with ThreadPoolExecutor(jobs) as pool:
        left = [pool.submit(work, turn, one) for turn, one in enumerate(drawn)]
        for future in left:
            future.add_done_callback(lambda done: ended.put(None if done.cancelled() else done.exception()))
        try:
            while left:
                run = ended.get()
                if isinstance(run, Run):
                    yield run
                elif run is not None:
                    raise run
                else:
                    left.pop()
        finally:
            over.set()
            pool.shutdown(wait=False, cancel_futures=True)
