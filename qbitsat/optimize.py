"""The largest value of a linear objective: attack -> search, or queries that halve what is left -> replay -> Optimum."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn

from .attack.climb import climb
from .bounds import Ranges, propagate, simplify
from .bounds.layout import has_steps
from .bounds.reduction import Reduction, differenced, reduced
from .bounds.sharing import Shared, with_shared_inputs
from .errors import InputError, UnsupportedError, expect_kind
from .limits import ENDS, LimitReached, Limits, Progress, cpu_seconds, reason_of, set_aside
from .network import reference
from .options import Options, make_options
from .properties import And, AtMost, Formula, Query, Ref, Witness, replay
from .properties.formula import FALSE, INPUT, atoms, reaching
from .properties.replay import Inputs
from .search.ascent import Ascent
from .search.enumerate import Enumeration
from .search.schedule import UNCONFIRMED
from .verify import AT_ONCE, UNKNOWN, VIOLATED, Verdict, verify

OPTIMAL, EMPTY = "OPTIMAL", "EMPTY"

Terms = Sequence[tuple[int, Ref]]

# The share of a timeout that the replay of what was found may take beyond it; a second without a timeout.
GRACE = 0.1
# The share of the time that a search has before an enumeration that may just fit.
SEARCHED = 0.1


@dataclass(frozen=True)
class Optimum:
    """What the largest value of an objective is, or may be.

    verdict    OPTIMAL (`value` is the largest, `witness` attains it), EMPTY (no input meets the assumption), or UNKNOWN: the largest
               value lies in [value, upper]; value is None if no input is known that meets the assumption, upper if bounds had no time
    reason     why UNKNOWN, as of a `Verdict`, or why what is OPTIMAL has no certificates
    witness    inputs and outputs that attain `value`, replayed in the reference
    certificates with that option, of what is OPTIMAL: the query that the witness violates, the one beyond that HOLDS, and their
               verdicts, for `certificate.write`
    """

    verdict: str
    value: int | None
    upper: int | None
    reason: str = ""
    witness: Witness | None = None
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    statistics: dict[str, float] = field(default_factory=dict)
    certificates: tuple[tuple[Query, Verdict], ...] = field(default=(), repr=False)

    @property
    def optimal(self) -> bool:
        """Proved: `value` is the largest."""
        return self.verdict == OPTIMAL

    def __bool__(self) -> NoReturn:
        raise TypeError("an optimum is neither true nor false; ask for .optimal")


def maximize(
    query: Query,
    objective: Terms,
    *,
    progress: Callable[[Progress], object] | None = None,
    cancel: threading.Event | None = None,
    **options: Any,
) -> Optimum:
    """The largest sum of coefficient * element over all inputs of the boxes that make the query's formula, an assumption, true.

    objective holds (coefficient, Ref) pairs as of `AtMost`, and `And(())` assumes nothing. Options are those of `verify`, progress and
    cancel as well. Limits are kept as there: what is left when one runs out is the interval [value, upper].
    """
    expect_kind(query, Query, "maximize: query", "a Query, whose formula is the assumption")
    values = make_options(**options)
    limits, cpu = Limits(values.timeout, values.memory, cancel, progress, values.jobs), cpu_seconds()
    goal = _goal(objective)
    asked, one = _Maximum(query, goal, values, limits), None
    work = asked
    try:
        with set_aside(query.num_parts):
            # Inputs of several networks that are the same are one.
            if values.bounds:
                one = with_shared_inputs(query, limits, goal.terms)
            if one is not None:
                work = _Maximum(one.query, AtMost(one.goal, 0), replace(values, certificates=False), limits)
            found = work.run()
            if one is not None and values.certificates:
                # The checker knows nothing of that.
                asked.take(_widened(found, one), work.statistics)
                work, one = asked, None
                found = asked.ended(found.reason)
    except ENDS as end:
        reason = reason_of(end)
        found = work.so_far(reason)
        if found.optimal and values.certificates:
            found = replace(found, reason=uncertified(reason))
    if one is not None:
        found = _widened(found, one)
    return replace(found, seconds=limits.seconds(), cpu_seconds=cpu_seconds() - cpu, statistics=work.statistics)


def _widened(found: Optimum, one: Shared) -> Optimum:
    """An optimum of the networks that were asked about."""
    witness = None if found.witness is None else replay(one.asked, one.inputs(found.witness.inputs))
    if (witness is None) != (found.witness is None):
        return Optimum(UNKNOWN, None, None, UNCONFIRMED)
    value, upper = (None if end is None else end - one.constant for end in (found.value, found.upper))
    return replace(found, value=value, upper=upper, witness=witness)


def _goal(objective: Terms) -> AtMost:
    """-objective <= 0."""
    if not isinstance(objective, tuple | list):
        raise InputError("maximize: the objective, expected a tuple of (coefficient, Ref) pairs")
    return AtMost(tuple((-c, ref) for c, ref in AtMost(tuple(objective), 0).terms), 0)


class _Maximum:
    """One question under way: the best inputs so far, and what nothing is above."""

    def __init__(self, query: Query, goal: AtMost, options: Options, limits: Limits):
        self.query, self.goal, self.options, self.limits = query, goal, options, limits
        # All checks of formulas; names of values are those of what is asked.
        self.whole = replace(query, violation=And((query.violation, goal)))
        # The best inputs and their objective, and the same of the last ones that the reference has said it of.
        self.inputs: Inputs | None = None
        self.value: int | None = None
        self.known: tuple[Witness, int] | None = None
        self.upper: int | None = None
        self.statistics: dict[str, float] = {}

    def take(self, found: Optimum, statistics: dict[str, float]) -> None:
        """What is known of the same question in another form."""
        self.value, self.upper, self.statistics = found.value, found.upper, statistics
        self.inputs = None if found.witness is None else found.witness.inputs

    def run(self) -> Optimum:
        self.limits.begin("bounds")
        bounds = propagate(self.query, self.limits)
        assumption, goal = self._named(bounds)
        least, most = _reach(goal, bounds)
        self.upper = most
        if assumption == FALSE:
            return self.ended("")
        left = Reduction(self.query, bounds, And((assumption, goal)))
        if self.options.bounds:
            left = reduced(left.query, left.bounds, left.formula, self.limits)
        if self.options.attack:
            self.limits.begin("attack")
            point = climb(left.query, *_parts(left), self.options, self.limits)
            if point is not None:
                self.inputs, self.value = left.expand(point.inputs), point.value
                self._replay()  # in time: near the end there may be none
        searched = all(has_steps(layer) for network in self.query.networks for layer in network.layers)
        if self.options.engine == "enumerate":
            return self.ended(self._enumerate(left, self._enumeration(left, least)))
        if self.options.engine == "auto":
            return self.ended(self._run_automatically(left, least, searched))
        return self.ended(self._search(left, least) if self.options.engine == "hybrid" and searched else self._halve(least))

    def _run_automatically(self, left: Reduction, least: int, searched: bool) -> str:
        """By enumeration at once if that takes no time, or after a search for as long as that takes, or for a part of the time."""
        run = (lambda: self._search(left, least)) if searched else (lambda: self._halve(least))
        try:
            enumeration = self._enumeration(left, least)
        except UnsupportedError:
            return run()
        needed, limits = enumeration.seconds(), self.limits
        rest = limits.timeout - limits.seconds()
        if needed >= AT_ONCE:
            if needed > rest:
                return run()
            # Estimates may be half of the truth; but a search that leaves an interval is worth less than all points.
            self.limits = limits.part(min(needed, max(SEARCHED * rest, rest - 2 * needed)))
            try:
                reason = run()
            except LimitReached as limit:
                reason = limit.reason
            finally:
                self.limits = limits
            if not reason:
                return ""
            limits.check()
        return self._enumerate(left, enumeration)

    def _enumeration(self, left: Reduction, least: int) -> Enumeration:
        """Of all points that are better than the best so far."""
        assumption, goal = _parts(left)
        bound = least if self.value is None else self.value + 1
        formula = And((assumption, AtMost(goal.terms, -bound)))
        return Enumeration(left.query, formula, self.options.enumerate_bits, self.limits)

    def _enumerate(self, left: Reduction, enumeration: Enumeration) -> str:
        self.limits.begin("enumerate", enumeration.counts.copy)
        try:
            enumeration.largest(_parts(left)[1])
        finally:
            self.statistics.update(enumeration.counts)
            if enumeration.best is not None and (self.value is None or enumeration.best[1] > self.value):
                self.inputs, self.value = left.expand(enumeration.best[0]), enumeration.best[1]
        self.upper = self.value
        return ""

    def _named(self, bounds: Ranges) -> tuple[Formula, AtMost]:
        """The assumption without `Not` and without what bounds decide, and the goal, with one name for each value."""
        named = self.whole.named
        assert isinstance(named, And)
        assert isinstance(named.parts[1], AtMost)
        assumption, goal = simplify(self.query, bounds, self.limits), named.parts[1]
        # Its bound rises, that of an inequality of the assumption does not: they must not be taken for the same sum.
        others = {atom.terms for atom in atoms(assumption)}
        while goal.terms in others:
            goal = AtMost((*goal.terms, (0, Ref(0, INPUT, 0))), 0)
        return assumption, goal

    def _search(self, left: Reduction, least: int) -> str:
        """Why there may be more than what was found; empty if there is not."""
        if self.options.pairs and self.options.bounds:
            left = differenced(left, self.limits, self.whole)
            least = max(least, _reach(_parts(left)[1], left.bounds)[0])
        bound, (assumption, goal) = least if self.value is None else self.value + 1, _parts(left)
        left = replace(left, formula=And((assumption, AtMost(goal.terms, -bound))))
        ascent = Ascent(left, replace(self.options, certificates=False), self.limits)
        self.limits.begin("search", ascent.counts.copy)
        try:
            reason = ascent.climb()
        finally:
            self.statistics.update(ascent.counts)
            if ascent.inputs is not None:
                self.inputs, self.value = left.expand(ascent.inputs), ascent.closed
            assert self.upper is not None
            self.upper = min(self.upper, ascent.upper)
        return reason

    def _halve(self, least: int) -> str:
        """By queries of an engine that cannot go on from where another query ended."""
        assert self.upper is not None
        low = least - 1 if self.value is None else self.value
        while low < self.upper:
            # The first one asks whether the assumption can be met at all.
            middle = least if self.value is None else low + (self.upper - low + 1) // 2
            verdict = self._ask(middle, certificates=False)
            if verdict.verdict == UNKNOWN:
                return verdict.reason
            if verdict.verdict == VIOLATED and verdict.witness is not None:
                self.inputs, self.value = verdict.witness.inputs, self._objective(verdict.witness.inputs)
                low = self.value
            else:
                self.upper = middle - 1
        return ""

    def _ask(self, bound: int, **changed: Any) -> Verdict:
        """Whether the objective reaches a bound."""
        options = {**vars(self.options), "timeout": None, **changed}
        if self.limits.timeout < math.inf:
            self.limits.check()
            options["timeout"] = max(0.001, self.limits.timeout - self.limits.seconds())
        return verify(self._reaching(bound), cancel=self.limits.cancel, progress=self.limits.progress, **options)

    def _reaching(self, bound: int) -> Query:
        objective = tuple((-c, ref) for c, ref in self.goal.terms)
        return replace(self.query, violation=reaching(self.query.violation, objective, bound))

    def _objective(self, inputs: Inputs) -> int:
        """What the objective is in the reference."""
        values = [reference.run_values(n, x, self.limits) for n, x in zip(self.query.networks, inputs, strict=True)]
        networks = self.query.networks
        return -sum(c * values[ref.network][ref.value_of(networks[ref.network])] for c, ref in self.goal.terms)

    def so_far(self, reason: str) -> Optimum:
        """What a limit leaves. What was found has little time to be replayed; else what was replayed before stands."""
        timeout = self.limits.timeout if self.limits.timeout < math.inf else 1 / GRACE
        self.limits, self.options = Limits(GRACE * timeout), replace(self.options, certificates=False)
        try:
            return self.ended(reason)
        except LimitReached:
            witness, self.value = self.known or (None, None)
            self.inputs = witness.inputs if witness else None
            return self.ended(reason)

    def ended(self, reason: str) -> Optimum:
        """The optimum, with what has been found replayed; `reason` says why there may be more."""
        if self.inputs is None:
            if reason:
                return Optimum(UNKNOWN, None, self.upper, reason)
            return Optimum(EMPTY, None, None)
        witness = self._replay()
        if witness is None:
            # Whatever was closed above it may have been closed wrongly.
            return Optimum(UNKNOWN, None, None, UNCONFIRMED)
        if reason and self.upper != self.value:
            return Optimum(UNKNOWN, self.value, self.upper, reason, witness)
        found = Optimum(OPTIMAL, self.value, self.value, "", witness)
        return replace(found, certificates=self._certificates(witness)) if self.options.certificates else found

    def _replay(self) -> Witness | None:
        """The witness if the reference says of the best inputs what was found; it says it once."""
        assert self.inputs is not None
        assert self.value is not None
        if self.known is None or self.known[0].inputs != self.inputs:
            witness = replay(self.query, self.inputs, self.limits)
            if witness is None or self._objective(self.inputs) != self.value:
                return None
            self.known = witness, self.value
        return self.known[0]

    def _certificates(self, witness: Witness) -> tuple[tuple[Query, Verdict], ...]:
        assert self.value is not None
        beyond = self._ask(self.value + 1)
        if beyond.witness is not None:
            # It contradicts what the search has closed.
            self.inputs, self.value, self.upper = beyond.witness.inputs, self._objective(beyond.witness.inputs), None
        if not beyond.holds:
            raise LimitReached(beyond.reason or UNCONFIRMED)
        attained = Verdict(VIOLATED, engine="attack", witness=witness, options=beyond.options)
        return (self._reaching(self.value), attained), (self._reaching(self.value + 1), beyond)


def uncertified(reason: str) -> str:
    """What to say of an optimum that is proved, where certificates were asked for and their time or memory ran out."""
    return f"without certificates: {reason}"


def _parts(left: Reduction) -> tuple[Formula, AtMost]:
    """The assumption and the goal, as the formula of a reduction has them."""
    assert isinstance(left.formula, And)
    assumption, goal = left.formula.parts
    assert isinstance(goal, AtMost)
    return assumption, goal


def _reach(goal: AtMost, bounds: Ranges) -> tuple[int, int]:
    """The smallest and the largest objective that intervals leave."""
    least = most = 0
    for ref, coefficient in goal.coefficients().items():
        lo, hi = bounds.of(ref)
        least -= coefficient * (hi if coefficient > 0 else lo)
        most -= coefficient * (lo if coefficient > 0 else hi)
    return least, most
