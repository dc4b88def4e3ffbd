"""Interval propagation: the range of every accumulator and activation over boxes of integers, layer by layer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .._kernels.exact import forward as _forward
from ..limits import NO_LIMITS, Limits
from ..network import Network
from ..network.inference import requantize
from ..properties import Box, Query
from .differences import Paired, moving
from .layout import Layout
from .ranges import Ranges

# For each network the ends of its accumulators, int64[neurons] each.
Enforced = Sequence[tuple[np.ndarray, ...]]


def propagate_paired(paired: Paired, limits: Limits = NO_LIMITS) -> Ranges:
    """The same of a query with differences: propagated once more, with its pairs."""
    plain = propagate(paired.query, limits)
    layout = plain.layout
    layout = layout.linked(moving(paired.links, plain.lo[0], plain.hi[0], layout.num_inputs))
    ranges = Ranges(*plain.arrays, layout)
    ranges.propagate(layout, inputs=True)
    return ranges


def propagate(query: Query, limits: Limits = NO_LIMITS) -> Ranges:
    """Ranges of everything that the query's networks compute inside its boxes: one row."""
    return propagate_boxes(query.networks, query.boxes, limits)


def propagate_boxes(networks: Sequence[Network], boxes: Sequence[Box], limits: Limits = NO_LIMITS) -> Ranges:
    """Ranges of everything that networks compute for inputs in boxes, one for each: one row."""
    layout = Layout(networks, limits)
    lo, hi = np.zeros((2, 1, layout.num_values), np.int64)
    for part, box in zip(layout.inputs, boxes, strict=True):
        lo[0, part], hi[0, part] = box.lo, box.hi
    acc_lo, acc_hi = np.zeros((2, 1, layout.num_neurons), np.int64)
    for k, block in enumerate(layout.blocks):
        limits.check()
        accs = acc_lo[:, block.neurons], acc_hi[:, block.neurons]
        _forward.accumulate_ranges(layout.kernel, k, lo, hi, *accs)
        for end, acc in zip((lo, hi), accs, strict=True):
            end[:, block.target] = requantize(layout.kernel, k, block.layer, acc)
        for i in np.flatnonzero(~block.monotone).tolist():
            value = block.target.start + i
            lo[0, value], hi[0, value] = block.layer.requantizer(i).image(int(accs[0][0, i]), int(accs[1][0, i]))
    return Ranges(lo, hi, acc_lo, acc_hi, layout)


def accumulated(layout: Layout, ranges: Ranges) -> tuple[np.ndarray, np.ndarray]:
    """What the ranges of values alone leave of every accumulator: acc_lo and acc_hi, int64[nodes, num_neurons]."""
    acc_lo, acc_hi = np.empty((2, len(ranges), layout.num_neurons), np.int64)
    for k, block in enumerate(layout.blocks):
        layout.limits.check()
        accs = np.empty((2, len(ranges), block.size), np.int64)
        _forward.accumulate_ranges(layout.kernel, k, ranges.lo, ranges.hi, *accs)
        acc_lo[:, block.neurons], acc_hi[:, block.neurons] = accs
    return acc_lo, acc_hi


def node_bounds(layout: Layout, root: Ranges, ranges: Ranges, row: int) -> tuple[Ranges, Enforced]:
    """Bounds whose accumulators are those that the narrowed values give, and for each network what they must stay inside where splits
    say more: int64[neurons] each.
    """
    # Nodes from another process have no layout.
    lo, hi, acc_lo, acc_hi = (ends[[row]] for ends in ranges.arrays)
    free = Ranges(lo, hi, acc_lo, acc_hi, layout)
    free.acc_lo, free.acc_hi = accumulated(layout, free)
    # What the facts about the root say holds anyway.
    least = np.where(ranges.acc_lo[row] > np.maximum(free.acc_lo[0], root.acc_lo[0]), ranges.acc_lo[row], free.acc_lo[0])
    most = np.where(ranges.acc_hi[row] < np.minimum(free.acc_hi[0], root.acc_hi[0]), ranges.acc_hi[row], free.acc_hi[0])
    n = layout.num_inputs
    return free, [(least[part.start - n : part.stop - n], most[part.start - n : part.stop - n]) for part in layout.outputs]
