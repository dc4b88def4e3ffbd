"""Where to cut a node in two.

The neuron with the largest geometric mean of two distances from its requantizer's graph, that of its point and the largest one within
its relaxation, weighed with what an output unit puts on the dual value; cut at an end of its saturated range first, else where the
point is. The point says what costs now, the relaxation what a cut can win: either alone takes a third more nodes. Of both counts what is
beyond the half output that rounding leaves whatever is cut; where few levels are left, a cut takes roundings, too, so all of it counts.
"""

from __future__ import annotations

import numpy as np

from .._kernels.exact import ranges as _ranges
from ..bounds.dual_descent import Suggestion
from ..bounds.layout import Layout
from ..bounds.ranges import Ranges


def choose(layout: Layout, ranges: Ranges, suggestion: Suggestion) -> tuple[np.ndarray, np.ndarray]:
    """For each node the value of the neuron to cut, or -1 for none, and the first output above the cut: int64[nodes] each."""
    return _ranges.choose(layout.kernel, *ranges.arrays, suggestion.coefficients, suggestion.acc, suggestion.y)


def input_bits(layout: Layout, ranges: Ranges, row: int) -> float:
    """log2 of the number of inputs in one node's ranges."""
    inputs = slice(0, layout.num_inputs)
    return float(np.log2((ranges.hi[row, inputs] - ranges.lo[row, inputs] + 1).astype(float)).sum())


def choose_input(layout: Layout, ranges: Ranges, row: int, suggestion: Suggestion) -> tuple[int, int]:
    """The input of one node to cut where no neuron is left to cut, and the first value above the cut; some input must be open.

    The one whose relaxed value is farthest from whole, weighed with what it puts on the dual value.
    """
    inputs = slice(0, layout.num_inputs)
    lo, hi = ranges.lo[row, inputs], ranges.hi[row, inputs]
    x = np.fmax(np.fmin(suggestion.x[row], hi), lo)
    weight = np.nan_to_num(np.abs(suggestion.coefficients[row, inputs])) + 1e-6
    score = np.where(hi > lo, weight * (0.01 + np.abs(x - np.rint(x))), -1)
    best = int(score.argmax())
    at = min(max(int(np.floor(x[best])) + 1, int(lo[best]) + 1), int(hi[best]))
    return best, at
