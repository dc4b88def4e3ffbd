"""Does an output ever fall when an input grows? Two copies of one network, whose inputs differ by one step of that input."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..arithmetic import integer
from ..errors import InputError, expect_kind
from ..limits import NO_LIMITS, Limits
from ..network import Network
from .formula import INPUT, OUTPUT, And, AtMost, Or, Ref, at_least
from .query import Box, Query


def monotone(
    network: Network,
    feature: int,
    outputs: Sequence[int] | None = None,
    box: Box | None = None,
    *,
    falls: bool = False,
    limits: Limits = NO_LIMITS,
) -> Query:
    """Do these outputs (all, without) never fall (with `falls`: never grow) when one element of the input grows, and nothing else changes?

    Both inputs are in the box, or anywhere in the input's formats. Steps of one are enough: what never falls from one value to the next
    never falls. The first copy has the smaller input. Raises `InputError` where the box leaves the feature no two values.
    """
    expect_kind(network, Network, "monotone: network", "a Network, as of load(path)")
    feature = integer(feature, "monotone: the feature", 0, network.num_inputs - 1)
    chosen = range(len(network.outputs)) if outputs is None else outputs
    numbers = [integer(j, "monotone: an output", 0, len(network.outputs) - 1) for j in chosen]
    lo, hi = (ends[: network.num_inputs] for ends in network.value_ranges) if box is None else (box.lo, box.hi)
    if len(lo) != network.num_inputs or lo[feature] == hi[feature]:
        raise InputError(f"monotone: feature {feature} has one value only, {lo[feature]}; expected a box of {network.num_inputs} elements")
    grown = np.arange(network.num_inputs) == feature
    linked = []
    for i in range(network.num_inputs):
        difference, step = ((1, Ref(1, INPUT, i)), (-1, Ref(0, INPUT, i))), int(i == feature)
        linked += [AtMost(difference, step), at_least(difference, step)]
    sign = -1 if falls else 1
    fall = Or(tuple([AtMost(((sign, Ref(1, OUTPUT, j)), (-sign, Ref(0, OUTPUT, j))), -1) for j in numbers]))
    boxes = Box(lo, hi - grown), Box(lo + grown, hi)
    return Query((network, network), boxes, And((*linked, fall)), limits=limits)
