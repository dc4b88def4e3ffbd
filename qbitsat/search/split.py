"""Where to cut a node in two.

The neuron with the largest geometric mean of two distances from its requantizer's graph, that of its point and the largest one within
its relaxation, weighed with what an output unit puts on the dual value; cut at an end of its saturated range first, else where the
point is. The point says what costs now, the relaxation what a cut can win: either alone takes a third more nodes.
"""

from __future__ import annotations

import numpy as np

from ..bounds.ascent import Suggestion
from ..bounds.frame import Frame
from ..bounds.ranges import Ranges


def choose(frame: Frame, ranges: Ranges, suggestion: Suggestion) -> tuple[np.ndarray, np.ndarray]:
    """For each node the value of the neuron to cut, or -1 for none, and the first output above the cut: int64[nodes] each."""
    lo, hi = ranges.lo[:, frame.num_inputs :], ranges.hi[:, frame.num_inputs :]
    weight = np.nan_to_num(np.abs(suggestion.coefficients[:, frame.num_inputs :]))
    # Even a point on the graph may hide a wide range: the last term lets the widest go first then.
    score = weight * (np.sqrt(_gaps(frame, suggestion) * _rooms(frame, ranges)) + 1e-6 * (hi - lo))
    score[lo == hi] = 0
    for block in frame.blocks:
        if not len(block.steps):  # a cut through outputs would say nothing of accumulators
            score[:, block.neurons] = 0
    neuron = score.argmax(axis=1)
    rows = np.arange(len(neuron))
    point = suggestion.y[rows, neuron]
    first, last = lo[rows, neuron], hi[rows, neuron]
    at = np.clip(np.floor(point).astype(np.int64) + 1, first + 1, last)
    flat_lo, flat_hi = _saturated(frame, ranges, rows, neuron, first, last)
    low = flat_lo & ~(flat_hi & (point > (first + last) / 2))
    at = np.where(low, first + 1, np.where(flat_hi, last, at))
    return np.where(score[rows, neuron] > 0, neuron + frame.num_inputs, -1), at


def input_bits(frame: Frame, ranges: Ranges, row: int) -> float:
    """log2 of the number of inputs in one node's ranges."""
    inputs = slice(0, frame.num_inputs)
    return float(np.log2((ranges.hi[row, inputs] - ranges.lo[row, inputs] + 1).astype(float)).sum())


def choose_input(frame: Frame, ranges: Ranges, row: int, suggestion: Suggestion) -> tuple[int, int]:
    """The input of one node to cut where no neuron is left to cut, and the first value above the cut; some input must be open.

    The one whose relaxed value is farthest from whole, weighed with what it puts on the dual value.
    """
    inputs = slice(0, frame.num_inputs)
    lo, hi = ranges.lo[row, inputs], ranges.hi[row, inputs]
    x = np.fmax(np.fmin(suggestion.x[row], hi), lo)
    weight = np.nan_to_num(np.abs(suggestion.coefficients[row, inputs])) + 1e-6
    score = np.where(hi > lo, weight * (0.01 + np.abs(x - np.rint(x))), -1)
    best = int(score.argmax())
    at = min(max(int(np.floor(x[best])) + 1, int(lo[best]) + 1), int(hi[best]))
    return best, at


def _gaps(frame: Frame, suggestion: Suggestion) -> np.ndarray:
    """How far each neuron's (acc, y) is from a step, beyond the half step that rounding explains: float[nodes, neurons]."""
    gaps = np.zeros(suggestion.acc.shape, np.float32)
    for block in frame.blocks:
        exact = block.layer.requantize(suggestion.acc[:, block.neurons].astype(np.int64))
        gaps[:, block.neurons] = np.abs(suggestion.y[:, block.neurons] - exact) - 0.5
    return np.maximum(gaps, 0)


def _rooms(frame: Frame, ranges: Ranges) -> np.ndarray:
    """How far the line between the ends of each neuron's range runs from its flat ends, beyond half a step: float[nodes, neurons]."""
    rooms = np.zeros(ranges.acc_lo.shape, np.float32)
    for block in frame.blocks:
        if not len(block.steps):
            continue
        acc_lo, acc_hi = ranges.acc_lo[:, block.neurons], ranges.acc_hi[:, block.neurons]
        lo, hi = ranges.lo[:, block.target], ranges.hi[:, block.target]
        low_end = np.minimum(acc_hi, block.steps[block.channel, lo - block.y_min + 1] - 1)
        high_end = np.maximum(acc_lo, block.steps[block.channel, hi - block.y_min])
        flat = np.maximum(low_end - acc_lo, acc_hi - high_end)
        rooms[:, block.neurons] = (hi - lo) * (flat / np.maximum(1, acc_hi - acc_lo)) - 0.5
    return np.maximum(rooms, 0)


def _saturated(
    frame: Frame, ranges: Ranges, rows: np.ndarray, neuron: np.ndarray, first: np.ndarray, last: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Whether a node's neuron can saturate at its low end, and at its high end, with accumulators to spare."""
    low, high = np.zeros(len(rows), bool), np.zeros(len(rows), bool)
    for block in frame.blocks:
        mine = (neuron >= block.neurons.start) & (neuron < block.neurons.stop) & (first < last)
        if not mine.any() or not len(block.steps):
            continue
        i, r = neuron[mine] - block.neurons.start, rows[mine]
        starts = block.steps[block.channel[i]]
        k = np.arange(len(i))
        at_lo, at_hi = first[mine] == block.y_first[i], last[mine] == block.y_last[i]
        low[mine] = at_lo & (ranges.acc_lo[r, neuron[mine]] < starts[k, first[mine] + 1 - block.y_min] - 1)
        high[mine] = at_hi & (ranges.acc_hi[r, neuron[mine]] > starts[k, last[mine] - block.y_min])
    return low, high
