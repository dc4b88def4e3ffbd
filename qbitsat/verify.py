"""The pipeline: bounds -> attack -> search or SAT -> replay -> Verdict.

Bounds come first because they cost a millisecond, decide most queries that hold, and tell the attack and the encoder
which parts of the violation are still open.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from .attack import propose
from .bounds import Bounds, propagate, simplify
from .bounds.frame import Frame
from .errors import UnsupportedError
from .limits import LimitReached, Limits, cpu_seconds
from .options import make_options
from .properties import Formula, Query, Witness, confirm
from .properties.formula import FALSE, TRUE, without_not
from .search import Search, shared
from .search.proof import Cases, Proof, Sat
from .search.tree import UNCONFIRMED
from .solvers.decide import decide

HOLDS, VIOLATED, UNKNOWN = "HOLDS", "VIOLATED", "UNKNOWN"


@dataclass(frozen=True)
class Verdict:
    """The answer to a query.

    verdict    HOLDS (no input breaks the property), VIOLATED (with the witness), UNKNOWN (with the reason)
    reason     why UNKNOWN: "timeout", "memory", "conflicts", or what is unsupported; else ""
    engine     the stage that decided: "attack", "bounds", "hybrid" or "sat"; "" when none did
    seconds    wall time
    cpu_seconds CPU time, user and system, of this process (all its threads) and of the children that it had for the query
    witness    replayed in the reference; None unless VIOLATED
    statistics counts of the encoding and the solver, for reports
    proof      of HOLDS, with the option `certificates`, for certificate/write.py: the search's tree, or what SAT gave; else None
    certificate where a campaign has written that proof or witness: a name in its folder of results, or ""
    """

    verdict: str
    reason: str = ""
    engine: str = ""
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    witness: Witness | None = None
    statistics: dict[str, float] = field(default_factory=dict)
    proof: Proof | Sat | None = field(default=None, repr=False)
    certificate: str = ""


def verify(query: Query, **options: Any) -> Verdict:
    """Decide a query. Options are the rows of `qbitsat.options.TABLE`; unknown ones raise `InputError`.

    HOLDS: no input of the boxes makes the violation true. VIOLATED: the witness does, in exact integers.
    """
    values = make_options(**options)
    limits, cpu = Limits(values.timeout, values.memory), cpu_seconds()
    statistics: dict[str, float] = {}
    try:
        verdict = _decide(query, values, limits, statistics)
    except LimitReached as limit:
        verdict = Verdict(UNKNOWN, limit.reason)
    except MemoryError:
        verdict = Verdict(UNKNOWN, "memory")
    except UnsupportedError as unsupported:
        verdict = Verdict(UNKNOWN, str(unsupported))
    return replace(verdict, seconds=limits.seconds(), cpu_seconds=cpu_seconds() - cpu, statistics=statistics)


def _decide(query: Query, options: Any, limits: Limits, statistics: dict[str, float]) -> Verdict:
    bounds = propagate(query)
    formula = simplify(query, bounds) if options.bounds else without_not(query.violation)
    if formula == FALSE:
        # A disjunction of nothing: the checker finds out by itself what interval bounds decide.
        return Verdict(HOLDS, engine="bounds", proof=Proof(nodes={0: Cases(())}) if options.certificates else None)
    if formula == TRUE:
        witness = confirm(query, tuple(tuple(box.lo.tolist()) for box in query.boxes), "bounds", statistics)
        if witness is not None:
            return Verdict(VIOLATED, engine="bounds", witness=witness)
        formula = without_not(query.violation)
    if options.attack:
        inputs = propose(query, formula, options, limits)
        witness = None if inputs is None else confirm(query, inputs, "attack", statistics)
        if witness is not None:
            return Verdict(VIOLATED, engine="attack", witness=witness)
    return DECIDE[options.engine](query, bounds, formula, options, limits, statistics)


def _decide_by_sat(query: Query, bounds: Bounds, formula: Formula, options: Any, limits: Limits, statistics: dict[str, float]) -> Verdict:
    if options.certificates and options.encoding == "narrowed" and _has_relaxation(query):
        # The whole formula's clauses know nothing of multipliers, and a proof by those is shorter than one by clauses.
        proof = Proof()
        if Search(query, bounds, formula, options, limits, proof).refutes_cases():
            return Verdict(HOLDS, engine="sat", proof=proof)
    result, witness, cnf_sha256 = decide(query, bounds, formula, options, limits, statistics)
    if result.satisfiable is None:
        return Verdict(UNKNOWN, result.reason)
    if witness is not None:
        return Verdict(VIOLATED, engine="sat", witness=witness)
    return Verdict(HOLDS, engine="sat", proof=None if result.drat is None else Sat(cnf_sha256, result.drat))


def _decide_by_search(
    query: Query, bounds: Bounds, formula: Formula, options: Any, limits: Limits, statistics: dict[str, float]
) -> Verdict:
    if not _has_relaxation(query):
        return _decide_by_sat(query, bounds, formula, options, limits, statistics)
    proof = Proof() if options.certificates else None
    search = Search(query, bounds, formula, options, limits, proof)
    try:
        inputs = shared.run(search, options.jobs) if options.jobs > 1 else search.run()
    finally:
        statistics.update(search.counts)
    if inputs is None:
        return Verdict(HOLDS, engine="hybrid", proof=proof)
    witness = confirm(query, inputs, "search", statistics)
    return Verdict(UNKNOWN, UNCONFIRMED) if witness is None else Verdict(VIOLATED, engine="hybrid", witness=witness)


def _has_relaxation(query: Query) -> bool:
    """False where outputs do not grow with accumulators: there is none of wrap-around that is worth a search."""
    return all(len(block.steps) for block in Frame(query).blocks)


# What an engine does with a query that bounds and attack leave open; `auto` is the fastest of them.
DECIDE = {"auto": _decide_by_search, "hybrid": _decide_by_search, "sat": _decide_by_sat}
