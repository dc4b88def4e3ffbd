"""The largest distance within which a sample keeps its class: the smallest perturbation that changes it, less one step."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ..arithmetic import integer
from ..bounds.layout import has_steps
from ..errors import expect_kind
from ..limits import ENDS, LimitReached, Limits, Progress, cpu_seconds, reason_of
from ..network import Network, forward
from ..network.inference import classes_of
from ..optimize import uncertified
from ..options import make_options
from ..properties.balls import LINF
from ..properties.region import region_of
from ..properties.robustness import ARGMAX, KEPT, centre, class_of, count_classes, norm_of, rule_of
from ..verify import UNKNOWN, settle
from .linf import Linf
from .question import Measure, Question, Radius
from .sums import Searched, Sums

__all__ = ["Radius", "radius"]


def radius(
    network: Network,
    x: Any,
    label: int,
    *,
    norm: str = LINF,
    target: int | None = None,
    ties: str = ARGMAX,
    region: str | None = None,
    max_eps: int | None = None,
    sample: int | None = None,
    progress: Callable[[Progress], object] | None = None,
    cancel: threading.Event | None = None,
    **options: Any,
) -> Radius:
    """The largest distance, in input steps, within which every input is classified as `label`, or none as `target`.

    x is an integer array of the input's shape or flattened; norm is "linf" (the largest change of an element), "l1" (the sum of
    changes) or "l0" (how many elements change). ties, sample and region are as of `robustness`, but that parts of a region have no
    distances of their own; max_eps is the largest distance of interest.
    Options are those of `verify`, progress and cancel as well; limits are kept as there, and leave an interval.
    """
    expect_kind(network, Network, "radius: network", "a Network, as of load(path)")
    norm_of(norm)
    classes, at, values = count_classes(network), centre(network, x), make_options(**options)
    label, target = class_of(label, "label", classes), None if target is None else class_of(target, "target", classes)
    sample, region = None if sample is None else integer(sample, "sample", 0), region_of(0, network.input, region)[1]
    question = Question(network, at, label, target, rule_of(ties), sample, region)
    farthest = question.farthest(norm)
    if max_eps is not None:
        farthest = min(farthest, integer(max_eps, "max_eps", 0))
    limits, cpu = Limits(values.timeout, values.memory, cancel, progress, values.jobs), cpu_seconds()
    try:
        (network_class,) = classes_of(forward(network, at[None], limits), label if ties == KEPT else None).tolist()
    except LimitReached as limit:
        return Radius(UNKNOWN, reason=limit.reason, norm=norm, seconds=limits.seconds(), cpu_seconds=cpu_seconds() - cpu)
    settled = settle(network_class, label, target)
    if settled is not None:
        return Radius(settled.verdict, reason=settled.reason, norm=norm)
    searched = values.engine in ("auto", "hybrid") and all(has_steps(layer) for layer in network.layers)
    if norm == LINF:
        work = (Linf if searched else Measure)(question, farthest, values, limits)
    else:
        work = (Searched if searched else Sums)(question, norm, farthest, values, limits)
    found = _measured(work)
    return replace(found, norm=norm, seconds=limits.seconds(), cpu_seconds=cpu_seconds() - cpu, statistics=work.counts())


def _measured(work: Measure) -> Radius:
    """What was found, of a measure that may end at a limit."""
    certified = work.options.certificates
    try:
        work.measure()
        return work.ended("")
    except ENDS as end:
        reason = reason_of(end)
        found = work.so_far(reason)
        return replace(found, reason=uncertified(reason)) if certified and found.optimal else found
