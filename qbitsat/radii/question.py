"""What is asked, what is known of it, and what becomes of that when the time is up."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn

import numpy as np

from ..limits import LimitReached, Limits
from ..network import Network, forward
from ..network.inference import classes_of
from ..optimize import GRACE, OPTIMAL
from ..options import Options
from ..properties import Query, Witness, replay, robustness
from ..properties.balls import L1, LINF
from ..properties.robustness import ARGMAX, KEPT, movable
from ..search.schedule import UNCONFIRMED
from ..verify import UNKNOWN, VIOLATED, Verdict, verify

# Distances to which a witness is drawn at once.
DRAWN = 64


@dataclass(frozen=True)
class Radius:
    """How far a sample keeps its class.

    verdict    OPTIMAL (`radius` is the largest), UNKNOWN (the largest is in [radius, upper]); MISCLASSIFIED and SKIPPED as of a `Verdict`
    radius     all inputs within it keep the class, proved; None without a question
    upper      the largest radius that may be: one less than the distance of the witness
    farthest   the largest distance that was asked about: with a `radius` as large, there is no witness, and all inputs keep the class, or
               all within the distance that the caller set
    witness    inputs at the distance upper + 1 that have another class, replayed in the reference; None if none are known
    reason     why UNKNOWN, as of a `Verdict`, what there is to say without a question, or why what is OPTIMAL has no certificates
    certificates with that option, of what is OPTIMAL: queries of robustness and their verdicts, for `certificate.write`
    """

    verdict: str
    radius: int | None = None
    upper: int | None = None
    farthest: int | None = None
    witness: Witness | None = None
    reason: str = ""
    norm: str = LINF
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    statistics: dict[str, float] = field(default_factory=dict)
    certificates: tuple[tuple[Query, Verdict], ...] = field(default=(), repr=False)

    @property
    def optimal(self) -> bool:
        """Proved: `radius` is the largest."""
        return self.verdict == OPTIMAL

    def __bool__(self) -> NoReturn:
        raise TypeError("a radius is neither true nor false; ask for .optimal")


@dataclass(frozen=True)
class Question:
    """How far may x, int64[num_inputs], which is classified as `label`, move until it is not, or until it is classified as `target`?"""

    network: Network
    x: np.ndarray
    label: int
    target: int | None = None
    ties: str = ARGMAX
    sample: int | None = None
    region: str | None = None

    def within(self, eps: int, norm: str = LINF) -> Query:
        """The same for one distance."""
        how: dict[str, Any] = {"ties": self.ties, "region": self.region, "norm": norm, "sample": self.sample}
        return robustness(self.network, self.x, eps, self.label, self.target, **how)

    def farthest(self, norm: str) -> int:
        """The largest distance that there is."""
        form = self.network.input
        moving = movable(self.region, self.network)
        x = self.x if moving is None else self.x[moving]
        far = np.maximum(form.hi - x, x - form.lo)
        if norm == LINF:
            return int(far.max())
        return int(far.sum()) if norm == L1 else int(np.count_nonzero(far))

    def violated(self, points: np.ndarray, limits: Limits) -> np.ndarray:
        """Which of points int64[n, num_inputs] break it."""
        classes = classes_of(forward(self.network, points, limits), self.label if self.ties == KEPT else None)
        return classes != self.label if self.target is None else classes == self.target


class Measure:
    """One question under way: distances up to `lower` are proved, `nearest` is that of the nearest witness, or beyond the farthest.

    Whoever measures fills these, and `point`, the witness.
    """

    def __init__(self, question: Question, farthest: int, options: Options, limits: Limits):
        self.question, self.farthest, self.options, self.limits = question, farthest, options, limits
        self.lower, self.nearest = 0, farthest + 1
        self.point: np.ndarray | None = None

    @property
    def open(self) -> bool:
        """Whether there are distances of which nothing is known."""
        return self.lower + 1 < self.nearest

    def query(self, radius: int) -> Query:
        """Is the class kept within this distance?"""
        return self.question.within(radius)

    def measure(self) -> None:
        """Until nothing is open: by queries of an engine that cannot go on from where another query ended."""
        while self.open:
            middle = min(2 * self.lower + 1, (self.lower + self.nearest) // 2)
            verdict = self._ask(middle, certificates=False)
            if verdict.witness is not None:
                self.found(np.array(verdict.witness.inputs[0][: len(self.question.x)], np.int64))
            elif verdict.holds:
                self.lower = middle
            else:
                raise LimitReached(verdict.reason)

    def found(self, point: np.ndarray) -> None:
        """A witness nearer than all before: it is drawn as near as its direction allows."""
        x = self.question.x
        far = int(np.abs(point - x).max())
        steps = np.unique(np.linspace(min(self.lower + 1, far), far, DRAWN).astype(np.int64))
        points = np.clip(point, x - steps[:, None], x + steps[:, None])
        nearest = int(np.argmax(self.question.violated(points, self.limits)))
        self.nearest, self.point = int(steps[nearest]), points[nearest]

    def counts(self) -> dict[str, float]:
        """Of searches."""
        return {}

    def _ask(self, eps: int, **changed: Any) -> Verdict:
        options = {**vars(self.options), "timeout": None, **changed}
        if self.limits.timeout < math.inf:
            self.limits.check()
            options["timeout"] = max(0.001, self.limits.timeout - self.limits.seconds())
        return verify(self.query(eps), cancel=self.limits.cancel, progress=self.limits.progress, **options)

    def so_far(self, reason: str) -> Radius:
        """What a limit leaves; the replay of a witness may take a little longer."""
        timeout = self.limits.timeout if self.limits.timeout < math.inf else 1 / GRACE
        self.limits, self.options = Limits(GRACE * timeout), replace(self.options, certificates=False)
        try:
            return self.ended(reason)
        except LimitReached:
            self.nearest, self.point = self.farthest + 1, None
            return self.ended(reason)

    def ended(self, reason: str) -> Radius:
        """What is known, with the witness replayed; `reason` says why it is not all."""
        witness = None
        if self.point is not None:
            witness = replay(self.query(self.nearest), (tuple(self.point.tolist()),), self.limits)
            if witness is None or self.nearest <= self.lower:  # a mistake of ours, here or there
                return Radius(UNKNOWN, None, None, self.farthest, None, UNCONFIRMED)
        if self.open:
            return Radius(UNKNOWN, self.lower, self.nearest - 1, self.farthest, witness, reason)
        found = Radius(OPTIMAL, self.lower, self.lower, self.farthest, witness)
        return replace(found, certificates=self._certificates(witness)) if self.options.certificates else found

    def _certificates(self, witness: Witness | None) -> tuple[tuple[Query, Verdict], ...]:
        holds = self._ask(self.lower)
        if not holds.holds:
            if holds.witness is not None:
                self.lower = 0  # whatever was closed may have been closed wrongly
            raise LimitReached(holds.reason or UNCONFIRMED)
        proved = ((self.query(self.lower), holds),)
        if witness is None:
            return proved
        found = Verdict(VIOLATED, engine="attack", witness=witness, options=holds.options)
        return (*proved, (self.query(self.nearest), found))
