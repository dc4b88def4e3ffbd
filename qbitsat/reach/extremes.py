"""What both questions share: the region, its intervals, a prefix of the network, and limits on all of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..bounds import Ranges
from ..bounds.intervals import propagate_boxes
from ..bounds.tighten import tighten
from ..errors import ArgumentError, InputError, expect_kind
from ..limits import LimitReached, Limits
from ..network import Network
from ..network.accumulating import weighted_layers
from ..options import Options
from ..properties import Box

# The share of a turn that may go to searches: what they find must still be replayed, and after the last turn no other time is left.
SEARCHED = 0.95


def width(lo: int, hi: int) -> int:
    """Bits of two's complement that hold all of [lo, hi]."""
    return max(v.bit_length() for v in (lo if lo >= 0 else ~lo, hi if hi >= 0 else ~hi)) + 1


def region(network: Any, box: Any) -> Box:
    """The box, or all inputs that the network's formats have."""
    expect_kind(network, Network, "reach: network", "a Network, as of load(path)")
    if box is None:
        lo, hi = (ends[: network.num_inputs] for ends in network.value_ranges)
        return Box(lo, hi)
    expect_kind(box, Box, "reach: box", "a Box, or None for all inputs")
    if len(box.lo) != network.num_inputs:
        raise InputError(f"reach: the box has {len(box.lo)} elements, network {network.name!r} reads {network.num_inputs}")
    return box


def prefix(network: Network, k: int) -> Network:
    """The network up to layer k: values have the same numbers."""
    if k == len(network.layers) - 1:
        return network
    return Network(network.layers[: k + 1], network.name, inputs=network.inputs, reads=network.reads[: k + 1])


class Budget:
    """Limits of all, of the part whose turn it is, and for each query what of these it may take."""

    def __init__(self, options: Options, total: float | None, cancel: Any = None):
        if total is not None and not (isinstance(total, int | float) and 0 < total < math.inf):
            raise ArgumentError("total", f"{total!r}, expected a positive number of seconds")
        self.options, self.cancel = options, cancel
        self.limits = self.all = Limits(total, options.memory, cancel)

    def turn(self, left: int) -> None:
        """The next of so many that are left gets its share of the time; what it does not use goes to the others, and to replays."""
        self.limits = self.all.part(SEARCHED * (self.all.timeout - self.all.seconds()) / left)

    def each(self) -> dict[str, Any]:
        """Options of one query more; raises `LimitReached` if there is no time for it."""
        self.limits.check()
        left = min(math.inf if self.options.timeout is None else self.options.timeout, self.limits.timeout - self.limits.seconds())
        return {**vars(self.options), "timeout": None if left == math.inf else max(0.001, left), "cancel": self.cancel}

    def one(self) -> Limits:
        """The same, as limits."""
        timeout = self.each()["timeout"]
        return self.limits if timeout is None else self.limits.part(timeout)


def bounds_of(network: Network, box: Box, budget: Budget) -> tuple[Ranges, Ranges]:
    """Intervals of everything, and what multipliers leave of them, one row each; the same where that found no time.

    Raises `LimitReached` where there is no memory for intervals.
    """
    # Even of time that is up something is left, of memory there is not.
    intervals = propagate_boxes([network], [box], Limits(None, budget.options.memory, budget.cancel))
    tight = intervals.take(np.zeros(1, np.int64))
    if budget.options.tighten and intervals.layout.stepped:
        kept = tight.take(np.zeros(1, np.int64))
        try:
            if tighten(intervals.layout.under(budget.one()), tight, budget.options.tighten, kept=False) is None:
                return intervals, kept  # nothing is left of a region that has points: our own mistake, and no bound
        except (LimitReached, MemoryError):
            return intervals, kept
    return intervals, tight


def chosen_layers(network: Network, layers: Sequence[int] | None) -> list[int]:
    """The numbers of layers, checked, each once and ascending; by default those with weights, or all if there are none."""
    if layers is None:
        return weighted_layers(network)
    found = sorted({int(k) for k in layers if isinstance(k, int | np.integer) and 0 <= k < len(network.layers)})
    if len(found) != len(set(layers)) or not found:
        raise ArgumentError("layers", f"{list(layers)}, expected numbers from 0 to {len(network.layers) - 1}")
    return found
