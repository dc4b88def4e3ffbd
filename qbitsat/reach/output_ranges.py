"""The range of each output over a region, exactly: two optima each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..arithmetic import integer
from ..limits import LimitReached
from ..network import Network
from ..optimize import maximize
from ..options import make_options
from ..properties import And, Box, Query, Ref
from ..properties.formula import OUTPUT
from ..verify import Verdict
from .extremes import Budget, bounds_of, region


@dataclass(frozen=True)
class OutputRange:
    """One output over a region.

    interval   what interval bounds say
    least, most    (reached, proved) each: an input gives `reached`, and none gives less than least[1] or more than most[1]; None for what
               is not known
    inputs     those that reach the two ends, None where none is known
    reason     why an end is open, or ""
    certificates with that option, of each end that is exact: see `optimize.Optimum`
    """

    output: int
    interval: tuple[int, int]
    least: tuple[int | None, int]
    most: tuple[int | None, int]
    inputs: tuple[tuple[int, ...] | None, tuple[int, ...] | None]
    reason: str = ""
    certificates: tuple[tuple[tuple[Query, Verdict], ...], ...] = field(default=((), ()), repr=False)

    @property
    def exact(self) -> bool:
        """Both ends are reached."""
        return self.least[0] == self.least[1] and self.most[0] == self.most[1]


def output_ranges(
    network: Network,
    box: Box | None = None,
    outputs: Sequence[int] | None = None,
    *,
    total: float | None = None,
    told: Callable[[OutputRange], object] | None = None,
    cancel: Any = None,
    **options: Any,
) -> tuple[OutputRange, ...]:
    """The range of each output (of these, by number; all by default) for inputs in the box, for all inputs without one.

    timeout and the other options, those of `verify`, are for each of the two ends of each output; total is in seconds for all. told is
    called with each as it ends.
    """
    box = region(network, box)
    budget = Budget(make_options(**options), total, cancel)
    query = Query((network,), (box,), And(()))
    found = []
    numbers = range(len(network.outputs)) if outputs is None else [integer(i, "outputs", 0, len(network.outputs) - 1) for i in outputs]
    for part in _ranges(query, numbers, budget):
        found.append(part)
        if told is not None:
            told(part)
    return tuple(found)


def _ranges(query: Query, outputs: Sequence[int], budget: Budget) -> Iterator[OutputRange]:
    intervals, tight = bounds_of(query.networks[0], query.boxes[0], budget)
    for n, output in enumerate(outputs):
        budget.turn(len(outputs) - n)
        ref = Ref(0, OUTPUT, output)
        ends: list[tuple[int | None, int]] = []
        inputs, reasons, certificates = list[tuple[int, ...] | None](), list[str](), list[tuple[tuple[Query, Verdict], ...]]()
        for side, bound in zip((-1, 1), tight.of(ref), strict=True):
            try:
                found = maximize(query, ((side, ref),), **budget.each())
            except LimitReached as limit:
                ends.append((None, bound))
                inputs.append(None)
                certificates.append(())
                reasons.append(limit.reason)
                continue
            proved = side * bound if found.upper is None else min(side * bound, found.upper)
            ends.append((None if found.value is None else side * found.value, side * proved))
            inputs.append(None if found.witness is None else found.witness.inputs[0])
            certificates.append(found.certificates)
            reasons += [found.reason] if found.reason else []
        reason = reasons[0] if reasons else ""
        yield OutputRange(output, intervals.of(ref), ends[0], ends[1], (inputs[0], inputs[1]), reason, tuple(certificates))
