"""The same queries to several backends, side by side: SAT in our encodings, and SMT solvers."""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from ..bounds import Ranges, propagate, simplify
from ..encode import encode_smtlib
from ..errors import ArgumentError, none_of
from ..limits import ENDS, Limits, reason_of
from ..options import ENCODINGS, LAYOUTS, ROWS, SOLVERS, Options, make_options
from ..properties import Formula, Query, replay
from ..properties.formula import FALSE, TRUE, without_not
from ..search.portfolio import decide
from ..solvers import smt
from ..verify import HOLDS, UNKNOWN, VIOLATED
from .queries import Asked, Task, Verifier, query_of

ERROR = "ERROR"
BACKENDS = ("sat", *smt.BACKENDS)

# Times below this say nothing: the geometric mean takes them for this many seconds.
SHORTEST = 0.001


@dataclass(frozen=True)
class Backend:
    """sat with an encoding and a solver, or an SMT solver with a layout of sums; no encoding means the default."""

    name: str
    encoding: str = ""
    solver: str = ROWS["solver"].default

    def __post_init__(self) -> None:
        if not self.encoding:
            object.__setattr__(self, "encoding", self._default_encoding)

    @property
    def _default_encoding(self) -> str:
        return ROWS["encoding"].default if self.name == "sat" else LAYOUTS[0]

    def __str__(self) -> str:
        """As a person would ask for it: what is as by default goes without saying."""
        said = [self.name]
        defaults = ((self.encoding, self._default_encoding), (self.solver, ROWS["solver"].default))
        return ":".join(said + [value for value, default in defaults if value != default])


# Not a backend, but what decides a task before any is asked.
BOUNDS = Backend("bounds")


@dataclass(frozen=True)
class Run:
    """A backend's answer to a task. verdict may be ERROR: the backend crashed, or its answer does not hold water.

    seconds: encoding and solving, without the loading of a solver's Python package; statistics are the encoding's sizes.
    """

    task: Task | Asked
    backend: Backend
    verdict: str
    reason: str
    seconds: float
    statistics: dict[str, float]


def parse_backends(text: str) -> list[Backend]:
    """As in sat,sat:linear:glucose42,bitwuzla: each once, in the order given; raises `InputError` for what is unknown."""
    return list(dict.fromkeys(_parse_backend(part.strip()) for part in text.split(",")))


def _parse_backend(text: str) -> Backend:
    name, *parts = text.split(":")
    if name not in BACKENDS:
        raise ArgumentError("backends", none_of(name, BACKENDS))
    allowed = {"encoding": ENCODINGS, "solver": SOLVERS} if name == "sat" else {"encoding": LAYOUTS}
    chosen: dict[str, str] = {}
    for part in parts:
        kind = next((kind for kind, choices in allowed.items() if part in choices), None)
        if kind is None:
            raise ArgumentError("backends", f"{part!r} of {text!r} is unknown; expected one of {', '.join(sum(allowed.values(), ()))}")
        if kind in chosen:
            raise ArgumentError("backends", f"{text!r} has two of {', '.join(allowed[kind])}, expected one")
        chosen[kind] = part
    return Backend(name, **chosen)


def require(backends: Sequence[Backend]) -> None:
    """Raise `MissingExtraError` for a backend that is not installed."""
    for backend in backends:
        if backend.name != "sat":
            smt.require(backend.name)


def compare(verifier: Verifier, tasks: Sequence[Task | Asked], backends: Sequence[Backend]) -> Generator[Run, None, None]:
    """Every run as it ends: task by task, and the backends in an order that rotates, so that noise hits all alike.

    A task that bounds decide has a single run, of BOUNDS. The verifier's options (timeout, memory, bounds) hold for all.
    """
    for turn, task in enumerate(tasks):
        query = query_of(task, verifier.network)
        bounds = propagate(query)
        options = make_options(**verifier.options)
        formula = simplify(query, bounds) if options.bounds else without_not(query.named)
        if formula in (TRUE, FALSE):
            yield Run(task, BOUNDS, HOLDS if formula == FALSE else VIOLATED, "", 0.0, {})
            continue
        first = turn % len(backends)
        for backend in (*backends[first:], *backends[:first]):
            yield _run(task, query, bounds, formula, backend, verifier.options)


def _run(task: Task | Asked, query: Query, bounds: Ranges, formula: Formula, backend: Backend, values: dict[str, Any]) -> Run:
    options = make_options(**values, encoding=backend.encoding, solver=backend.solver)
    limits = Limits(options.timeout, options.memory)
    statistics: dict[str, float] = {}
    decide = _by_sat if backend.name == "sat" else _by_smt
    try:
        verdict, reason, loading = decide(query, bounds, formula, backend, options, limits, statistics)
    except ENDS as end:
        verdict, reason, loading = UNKNOWN, reason_of(end), 0.0
    return Run(task, backend, verdict, reason, limits.seconds() - loading, statistics)


Outcome = tuple[str, str, float]


def _by_sat(
    query: Query, bounds: Ranges, formula: Formula, backend: Backend, options: Options, limits: Limits, statistics: dict[str, float]
) -> Outcome:
    result, witness, *_ = decide(query, bounds, formula, options, limits, statistics)
    if result.satisfiable is None:
        return (ERROR if "died" in result.reason else UNKNOWN), result.reason, 0.0
    return (VIOLATED if witness else HOLDS), "", 0.0


def _by_smt(
    query: Query, bounds: Ranges, formula: Formula, backend: Backend, options: Options, limits: Limits, statistics: dict[str, float]
) -> Outcome:
    script = encode_smtlib(query, bounds, options, formula, limits)
    statistics.update(characters=len(script.body), encode_seconds=limits.seconds())
    answer = smt.solve(backend.name, script, limits)
    if answer.status == "sat":
        return *_judged(query, script.decode(answer.values)), answer.load_seconds
    verdict = {"unsat": HOLDS, "unknown": UNKNOWN}.get(answer.status, ERROR)
    return verdict, answer.reason, answer.load_seconds


def _judged(query: Query, inputs: tuple[tuple[int, ...], ...]) -> tuple[str, str]:
    """Only a witness that the reference confirms is a violation."""
    return (VIOLATED, "") if replay(query, inputs) else (ERROR, "its witness does not replay")


def disagreement(runs: Sequence[Run]) -> str:
    """Which backends say HOLDS and which VIOLATED, if there are both; else "". VIOLATED is right, because it was replayed."""
    sides = {v: [str(run.backend) for run in runs if run.verdict == v] for v in (HOLDS, VIOLATED)}
    if not all(sides.values()):
        return ""
    said = " but ".join(f"{', '.join(names)} {'says' if len(names) == 1 else 'say'} {v}" for v, names in sides.items())
    return f"{' '.join(runs[0].task.title.split())}: {said} with a witness that replays"


@dataclass(frozen=True)
class Standing:
    """What a backend did on all tasks that were left to backends.

    par2: mean seconds, an undecided task counted with twice the timeout. ratio: geometric mean of its seconds over those
    of the first backend, on the `common` tasks that both decided; nan if there is none.
    """

    backend: Backend
    solved: int
    holds: int
    violated: int
    timeouts: int
    other: int
    errors: int
    par2: float
    common: int
    ratio: float


def standings(runs: Sequence[Run], backends: Sequence[Backend], timeout: float) -> list[Standing]:
    """One for each backend, in order."""
    seconds = {b: {run.task.index: run.seconds for run in runs if run.backend == b and run.verdict in (HOLDS, VIOLATED)} for b in backends}
    result = []
    for backend in backends:
        own, first = seconds[backend], seconds[backends[0]]
        mine = [run for run in runs if run.backend == backend]
        count = {verdict: sum(run.verdict == verdict for run in mine) for verdict in (HOLDS, VIOLATED, UNKNOWN, ERROR)}
        timeouts = sum(run.verdict == UNKNOWN and run.reason == "timeout" for run in mine)
        par2 = fmean(own.get(run.task.index, 2 * timeout) for run in mine) if mine else math.nan
        logs = [math.log(max(own[i], SHORTEST) / max(first[i], SHORTEST)) for i in own.keys() & first.keys()]
        ratio = math.exp(fmean(logs)) if logs else math.nan
        other = count[UNKNOWN] - timeouts
        result.append(Standing(backend, len(own), count[HOLDS], count[VIOLATED], timeouts, other, count[ERROR], par2, len(logs), ratio))
    return result
