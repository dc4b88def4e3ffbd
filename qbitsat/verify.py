"""The pipeline: bounds -> attack -> search or SAT -> replay -> Verdict.

Bounds come first because they cost a millisecond, decide most queries that hold, and tell the attack and the encoder
which parts of the violation are still open.
"""

from __future__ import annotations

import logging
import math
import threading
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn

from .attack import propose
from .bounds import propagate, simplify
from .bounds.ends import at_ends
from .bounds.layout import has_steps
from .bounds.reduction import Reduction, differenced, reduced
from .bounds.sharing import with_shared_inputs
from .errors import InputError, UnsupportedError, expect_kind, kind_of
from .limits import ENDS, LimitReached, Limits, Progress, cpu_seconds, reason_of, set_aside
from .network import forward
from .network.inference import classes_of
from .options import Options, make_options
from .properties import Query, Witness, confirm, replay
from .properties.formula import FALSE, TRUE, without_not
from .properties.robustness import KEPT
from .search import Search, shared
from .search.cover import covered, grafted
from .search.disjuncts import Disjuncts
from .search.enumerate import Enumeration
from .search.guest import Guest, Settled, drained
from .search.leaves import Inputs
from .search.portfolio import decide
from .search.proof import Disjunction, Enumerated, Proof, Refutation
from .search.schedule import UNCONFIRMED

LOG = logging.getLogger(__name__)

HOLDS, VIOLATED, UNKNOWN = "HOLDS", "VIOLATED", "UNKNOWN"
# Seconds of enumeration that are not worth a search before, and how many points hardly take any time.
AT_ONCE, FEW_POINTS = 0.5, 1 << 14
# Inputs of at most so many values each make a query combinatorial: SAT learns, the tree does not. So the tree has a tenth of a second, for
# witnesses that it finds at once; then SAT is alone for so many seconds, or that share of the time if it is less, and has twice as much as
# the tree from then on.
FEW_VALUES, FIRST_SECONDS, ALONE_SECONDS, ALONE_SHARE, GUEST_SHARE = 2, 0.1, 2.0, 0.3, 0.5
# A formula with many cases is first asked about by inequalities of which each case has one, for so many seconds, or that share of the time.
COVER_SECONDS, COVER_SHARE = 30.0, 0.5
# What a search on shared inputs has before one that proves: what it finds it finds in a fraction of the other's time.
WITNESS_SECONDS, WITNESS_SHARE = 10.0, 0.25
# Verdicts where there is no question to ask.
MISCLASSIFIED, SKIPPED = "MISCLASSIFIED", "SKIPPED"


@dataclass(frozen=True)
class Verdict:
    """The answer to a query.

    verdict    HOLDS (no input breaks the property), VIOLATED (with the witness), UNKNOWN (with the reason); or without a question,
               MISCLASSIFIED (the network misses the label of its input as it is) and SKIPPED (the target is the label)
    reason     why UNKNOWN: "timeout", "memory", "conflicts", "cancelled", or what is unsupported; what there is to say of the
               last two verdicts; else ""
    engine     the stage that decided: "attack", "bounds", "hybrid", "sat" or "enumerate"; "" when none did
    seconds    wall time
    cpu_seconds CPU time, user and system, of this process (all its threads) and of the children that it had for the query
    witness    replayed in the reference; None unless VIOLATED
    statistics counts of the encoding and the solver, for reports
    proof      of HOLDS, with the option `certificates`, for certificate/write.py: the search's tree, what SAT gave, or that all points
               were run; else None
    options    those that it was found with, checked, with the encoding that was really used; a certificate names them. None where
               `verify` was not asked
    certificate where a campaign has written that proof or witness: a name in its folder of results, or ""
    """

    verdict: str
    reason: str = ""
    engine: str = ""
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    witness: Witness | None = None
    statistics: dict[str, float] = field(default_factory=dict)
    proof: Proof | Refutation | Enumerated | None = field(default=None, repr=False)
    options: Options | None = field(default=None, repr=False)
    certificate: str = ""

    @property
    def holds(self) -> bool:
        """Proved: no input breaks the property."""
        return self.verdict == HOLDS

    @property
    def violated(self) -> bool:
        """Refuted: the witness breaks the property."""
        return self.verdict == VIOLATED

    @property
    def unknown(self) -> bool:
        """Neither: a limit ran out, or something is unsupported."""
        return self.verdict == UNKNOWN

    def __bool__(self) -> NoReturn:
        raise TypeError("a verdict is neither true nor false; ask for .holds, .violated or .unknown")


def verify(
    query: Query, *, progress: Callable[[Progress], object] | None = None, cancel: threading.Event | None = None, **options: Any
) -> Verdict:
    """Decide a query. Options are the rows of `qbitsat.options.TABLE`; unknown ones raise `InputError`.

    HOLDS: no input of the boxes makes the violation true. VIOLATED: the witness does, in exact integers.

    progress is called with a `Progress` when a stage begins and some four times a second, in this thread; what it raises ends the
    query and is raised here. Once another thread sets `cancel`, the query ends as UNKNOWN, "cancelled". Stages are logged under
    the name `qbitsat`.
    """
    expect_kind(query, Query, "verify: query", "a Query, as of robustness(network, x, eps, label)")
    if cancel is not None and not callable(getattr(cancel, "is_set", None)):
        raise InputError(f"verify: cancel is {kind_of(cancel)}, expected a threading.Event")
    if progress is not None and not callable(progress):
        raise InputError(f"verify: progress is {kind_of(progress)}, expected a function of one Progress")
    values = make_options(**options)
    limits, cpu = Limits(values.timeout, values.memory, cancel, progress, values.jobs), cpu_seconds()
    statistics: dict[str, float] = {}
    LOG.info("%s of %s", query.origin or "a formula", ", ".join(network.name for network in query.networks))
    try:
        with set_aside(query.num_parts):
            limits.begin("bounds")
            settled = _settled(query, limits)
            verdict = _decide(query, values, limits, statistics) if settled is None else settled
    except ENDS as end:
        verdict = Verdict(UNKNOWN, reason_of(end))
    verdict = replace(verdict, seconds=limits.seconds(), cpu_seconds=cpu_seconds() - cpu, statistics=statistics)
    verdict = replace(verdict, options=verdict.options or values)
    LOG.info("%s%s by %s in %.3f s", verdict.verdict, verdict.reason and f" ({verdict.reason})", verdict.engine or "none", verdict.seconds)
    return verdict


def settle(network_class: int, label: int, target: int | None = None) -> Verdict | None:
    """The verdict of a robustness question that need not be asked, by the class that the network gives the input as it is; else None."""
    if label != network_class:
        return Verdict(MISCLASSIFIED, f"the network says {network_class}, the label is {label}")
    return Verdict(SKIPPED, "the label is the target") if label == target else None


def _settled(query: Query, limits: Limits) -> Verdict | None:
    origin = query.origin
    if origin is None or origin.kind != "robustness":
        return None
    outputs, label = forward(query.networks[0], origin.x[None], limits), origin.get("label")
    (network_class,) = classes_of(outputs, label if origin.get("ties") == KEPT else None).tolist()
    return settle(network_class, label, origin.get("target"))


def _decide(query: Query, options: Options, limits: Limits, statistics: dict[str, float]) -> Verdict:
    """As it is, or with inputs of several networks that are the same as one."""
    kept = options.certificates
    one = with_shared_inputs(query, limits) if options.bounds and not (kept and options.engine in ("sat", "enumerate")) else None
    if one is not None:
        # The checker knows nothing of shared inputs, but a witness needs no proof.
        share = limits.part(min(WITNESS_SECONDS, WITNESS_SHARE * (limits.timeout - limits.seconds()))) if kept else limits
        try:
            verdict = _decide_alone(one.query, replace(options, certificates=False), share, statistics)
        except (LimitReached, MemoryError, UnsupportedError):
            if not kept:
                raise
            limits.check()
            verdict = Verdict(UNKNOWN)
        if verdict.witness is not None:
            if witness := confirm(query, one.inputs(verdict.witness.inputs), verdict.engine, statistics, limits):
                return replace(verdict, witness=witness)
        elif not kept:
            return verdict
    return _decide_alone(query, options, limits, statistics)


def _decide_alone(query: Query, options: Options, limits: Limits, statistics: dict[str, float]) -> Verdict:
    bounds = propagate(query, limits)
    formula = simplify(query, bounds, limits) if options.bounds else without_not(query.named, limits=limits)
    if formula == FALSE:
        return Verdict(HOLDS, engine="bounds", proof=_decided(options))
    if formula == TRUE:
        if witness := confirm(query, tuple(tuple(box.lo.tolist()) for box in query.boxes), "bounds", statistics, limits):
            return Verdict(VIOLATED, engine="bounds", witness=witness)
        formula = without_not(query.named, limits=limits)
    left = reduced(query, bounds, formula, limits) if options.bounds else Reduction(query, bounds, formula)
    if options.attack:
        limits.begin("attack")
        attack = propose(left.query, left.formula, options, limits)
        if attack.inputs is not None and (witness := left.confirm(attack.inputs, "attack", statistics, limits)):
            return Verdict(VIOLATED, engine="attack", witness=witness)
        left = replace(left, near=attack.nearest)
    return DECIDE[options.engine](left, options, limits, statistics)


def _decided(options: Options, pairs: tuple[tuple[int, int], ...] = ()) -> Proof | None:
    """A disjunction of nothing: the checker finds out by itself what interval bounds decide."""
    return Proof(nodes={0: Disjunction(())}, pairs=pairs) if options.certificates else None


def _decide_by_sat(left: Reduction, options: Options, limits: Limits, statistics: dict[str, float]) -> Verdict:
    if options.certificates and options.encoding == "narrowed" and _has_relaxation(left.query):
        # The whole formula's clauses know nothing of multipliers, and a proof by those is shorter than one by clauses.
        proof = Proof()
        if Search(left, options, limits, proof).refutes_branches():
            return Verdict(HOLDS, engine="sat", proof=proof)
    limits.begin("sat", statistics.copy)
    # Clauses of whole queries, as certificates mean them: what is constant is propagated away at once.
    whole = left.whole or left
    result, witness, cnf_sha256, encoding = decide(whole.query, whole.bounds, whole.formula, options, limits, statistics)
    if result.satisfiable is None:
        return Verdict(UNKNOWN, result.reason)
    if witness is not None:
        return Verdict(VIOLATED, engine="sat", witness=witness)
    refutation = None if result.lrat is None else Refutation(cnf_sha256, result.lrat)
    return Verdict(HOLDS, engine="sat", proof=refutation, options=replace(options, encoding=encoding))


def _decide_by_search(left: Reduction, options: Options, limits: Limits, statistics: dict[str, float]) -> Verdict:
    if not _has_relaxation(left.query):
        return _decide_by_sat(left, options, limits, statistics)
    return drained(_search(_differenced(left, options, limits), options, limits, statistics))


def _differenced(left: Reduction, options: Options, limits: Limits) -> Reduction:
    return differenced(left, limits) if options.pairs and options.bounds and _has_relaxation(left.query) else left


def _search(left: Reduction, options: Options, limits: Limits, statistics: dict[str, float]) -> Generator[None, None, Verdict]:
    """By search, which rests after every step; with several processes it does not. `left` has its differences."""
    if left.formula == FALSE:
        return Verdict(HOLDS, engine="bounds", proof=_decided(options, left.pairs))
    verdict = (yield from _search_cover(left, options, limits, statistics)) if options.cover and options.bounds else None
    if verdict is not None:
        return verdict
    proof = Proof() if options.certificates else None
    search, inputs = yield from _searched(left, options, limits, statistics, proof)
    if inputs is None:
        return Verdict(HOLDS, engine="hybrid", proof=proof)
    witness = search.witness or left.confirm(inputs, "search", statistics, limits)
    return Verdict(UNKNOWN, UNCONFIRMED) if witness is None else Verdict(VIOLATED, engine="hybrid", witness=witness)


def _searched(
    left: Reduction, options: Options, limits: Limits, statistics: dict[str, float], proof: Proof | None
) -> Generator[None, None, tuple[Search, Inputs | None]]:
    """A search, and inputs that make its formula true; None if there are none."""
    search = Search(left, options, limits, proof)
    limits.begin("search", search.counts.copy)
    try:
        if options.jobs > 1:
            return search, shared.run(search, options.jobs)
        search.start()
        return search, (yield from search.steps())
    finally:
        statistics.update(search.counts)


def _search_cover(left: Reduction, options: Options, limits: Limits, statistics: dict[str, float]) -> Generator[None, None, Verdict | None]:
    """A verdict if inequalities that cover the formula have one; None if there are none, or in their time nothing came of them."""
    share = limits.part(min(COVER_SECONDS, COVER_SHARE * (limits.timeout - limits.seconds())))
    parts, proofs, found = covered(left, limits), list[Proof](), Counter[str]()
    for part in parts:
        proofs.append(Proof())
        counts = dict[str, float]()
        try:
            # Grafts know no small trees.
            _, inputs = yield from _searched(
                part.left, replace(options, refine=False), share, counts, proofs[-1] if options.certificates else None
            )
        except LimitReached:
            limits.check()
            return None
        found.update(counts)
        if inputs is not None:
            witness = replay(left.asked or (left.whole or left).query, left.apart(part.left.expand(inputs)), limits)
            return None if witness is None else Verdict(VIOLATED, engine="hybrid", witness=witness)
    if not parts:
        return None
    statistics.update({**found, "closed": 1.0})
    if not options.certificates:
        return Verdict(HOLDS, engine="hybrid")
    disjuncts = Disjuncts(left.bounds.layout.under(limits), left.formula)
    proof = grafted(list(zip(parts, proofs, strict=True)), disjuncts, left.pairs)
    return None if proof is None else Verdict(HOLDS, engine="hybrid", proof=proof)


def _decide_by_enumeration(left: Reduction, options: Options, limits: Limits, statistics: dict[str, float]) -> Verdict:
    # The size of a region that is too large is worth a report.
    return _enumerate(*_enumeration(left, options, limits, statistics), options, limits, statistics)


def _enumeration(
    left: Reduction, options: Options, limits: Limits, counts: dict[str, float] | None = None
) -> tuple[Reduction, Enumeration]:
    """Of the points of what is left; a certificate means those of the whole region."""
    if options.certificates and not left.keeps_inputs:
        left = left.whole or left
    return left, Enumeration(left.query, left.formula, options.enumerate_bits, limits, counts)


def _enumerate(left: Reduction, enumeration: Enumeration, options: Options, limits: Limits, statistics: dict[str, float]) -> Verdict:
    limits.begin("enumerate", enumeration.counts.copy)
    try:
        inputs = enumeration.run()
    finally:
        statistics.update(enumeration.counts)
    if inputs is None:
        return Verdict(HOLDS, engine="enumerate", proof=Enumerated() if options.certificates else None)
    witness = left.confirm(inputs, "enumerate", statistics)
    return Verdict(UNKNOWN, UNCONFIRMED) if witness is None else Verdict(VIOLATED, engine="enumerate", witness=witness)


def _decide_automatically(left: Reduction, options: Options, limits: Limits, statistics: dict[str, float]) -> Verdict:
    """By enumeration at once if that takes no time; else by SAT and search, and by enumeration after as long as that takes."""
    points, searched = None, None
    with suppress(UnsupportedError):
        points = _enumeration(left, options, limits)
    if points is None or points[1].grid.num_points > FEW_POINTS:
        searched = _differenced(left, options, limits)  # some milliseconds
        if searched.formula == FALSE:
            return drained(_search(searched, options, limits, statistics))
    if (verdict := _decide_over_bits(left, options, limits, statistics)) is not None:
        return verdict
    needed = math.inf if points is None else points[1].seconds()
    if points is not None and needed < AT_ONCE:
        verdict = _enumerate(*points, options, limits, statistics)
        return _decide_by_search(left, options, limits, statistics) if verdict.unknown else verdict
    searched = _differenced(left, options, limits) if searched is None else searched
    # Estimates may be half of the truth.
    if points is None or 2 * needed > (rest := limits.timeout - limits.seconds()):
        return _decide_jointly(left, searched, options, limits, statistics)
    try:
        verdict = _decide_jointly(left, searched, options, limits.part(min(needed, rest - 2 * needed)), statistics)
    except LimitReached as limit:
        verdict = Verdict(UNKNOWN, limit.reason)
    if verdict.unknown:
        limits.check()
        verdict = _enumerate(*points, options, limits, statistics)
    return verdict


def _decide_over_bits(left: Reduction, options: Options, limits: Limits, statistics: dict[str, float]) -> Verdict | None:
    """Where of all inputs only their two ends are left: by the same query over bits; None where they are not, or where it stays open."""
    # The checker knows nothing of queries over bits.
    ends = at_ends(left, limits) if options.bounds and not options.certificates else None
    if ends is None:
        return None
    with suppress(UnsupportedError):
        verdict = _decide_automatically(ends.bits, options, limits, statistics)
        if verdict.holds:
            return verdict
        found = None if verdict.witness is None else ends.inputs(verdict.witness.inputs)
        if found is not None and (witness := left.confirm(found, verdict.engine, statistics, limits)):
            return replace(verdict, witness=witness)
    limits.check()
    return None


def _decide_jointly(left: Reduction, searched: Reduction, options: Options, limits: Limits, statistics: dict[str, float]) -> Verdict:
    """By search, of what is left with its differences; in turns with SAT where inputs have few values."""
    if not _has_relaxation(left.query):
        return _decide_by_sat(left, options, limits, statistics)
    if max(int((box.hi - box.lo).max()) for box in left.query.boxes) >= FEW_VALUES:
        return drained(_search(searched, options, limits, statistics))
    search = _search(searched, replace(options, jobs=1), limits.part(math.inf, 1), statistics)
    # With several processes the two work at the same time.
    beside = options.jobs > 1
    alone = 0.0 if beside else min(ALONE_SECONDS, ALONE_SHARE * (limits.timeout - limits.seconds()))
    guest = Guest(search, lambda verdict: not verdict.unknown, limits, math.inf if beside else GUEST_SHARE, alone)
    with closing(search):
        try:
            guest.work(FIRST_SECONDS)
            verdict = _decide_by_sat(left, options, limits.hosting(guest), statistics)
        except Settled as settled:
            return settled.answer
        except (LimitReached, UnsupportedError) as end:
            verdict = Verdict(UNKNOWN, str(end))
        if not verdict.unknown or not guest.left:
            return verdict
        limits.check()
        return drained(search)


def _has_relaxation(query: Query) -> bool:
    """False where outputs do not grow with accumulators: there is none of wrap-around that is worth a search."""
    return all(has_steps(layer) for network in query.networks for layer in network.layers)


# What an engine does with a query that bounds and attack leave open; `auto` is the fastest of them.
DECIDE = {
    "auto": _decide_automatically,
    "hybrid": _decide_by_search,
    "sat": _decide_by_sat,
    "enumerate": _decide_by_enumeration,
}
