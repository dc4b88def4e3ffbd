"""Plain numpy twin of the kernel `ranges`: block after block, by requantizers themselves where the kernel looks at their steps."""

from __future__ import annotations

import numpy as np

from qbitsat.bounds.ascent import Suggestion
from qbitsat.bounds.frame import Block, Frame, Inequality
from qbitsat.bounds.ranges import Ranges


def propagate(frame: Frame, ranges: Ranges, inputs: bool) -> np.ndarray:
    """In place; bool[nodes]: whether something is left."""
    left = np.ones(len(ranges), bool)
    for block in frame.blocks:
        n, t, s, affine = block.neurons, block.target, block.source, block.layer.affine
        if inputs or s.start >= frame.num_inputs:
            positive, negative = np.maximum(affine.whole, 0).astype(np.int64).T, np.minimum(affine.whole, 0).astype(np.int64).T
            lo, hi = ranges.lo[:, s], ranges.hi[:, s]
            ranges.acc_lo[:, n] = np.maximum(ranges.acc_lo[:, n], lo @ positive + hi @ negative + affine.biases)
            ranges.acc_hi[:, n] = np.minimum(ranges.acc_hi[:, n], hi @ positive + lo @ negative + affine.biases)
        if len(block.steps):
            ranges.lo[:, t] = np.maximum(ranges.lo[:, t], block.layer.requantize(ranges.acc_lo[:, n]))
            ranges.hi[:, t] = np.minimum(ranges.hi[:, t], block.layer.requantize(ranges.acc_hi[:, n]))
            left &= (ranges.lo[:, t] <= ranges.hi[:, t]).all(axis=1)
            low, high = ranges.lo[:, t] - block.y_min, ranges.hi[:, t] - block.y_min
            ranges.acc_lo[:, n] = np.maximum(ranges.acc_lo[:, n], block.steps[block.channel, low])
            ranges.acc_hi[:, n] = np.minimum(ranges.acc_hi[:, n], block.steps[block.channel, high + 1] - 1)
        left &= (ranges.acc_lo[:, n] <= ranges.acc_hi[:, n]).all(axis=1)
    return left


def reach(inequality: Inequality, ranges: Ranges, row: int) -> tuple[int, int]:
    """The smallest and largest sum over one node's ranges, less the bound."""
    values, coefficients, bound = inequality
    ends = coefficients * ranges.lo[row, values], coefficients * ranges.hi[row, values]
    return int(np.minimum(*ends).sum()) - bound, int(np.maximum(*ends).sum()) - bound


def narrow(inequality: Inequality, ranges: Ranges, row: int, cuttable: np.ndarray) -> None:
    """Cut the ranges of an inequality's values, in one node, to what the ranges of its others leave them."""
    values, coefficients, bound = inequality
    lo, hi = ranges.lo[row, values], ranges.hi[row, values]
    smallest = np.minimum(coefficients * lo, coefficients * hi)
    room, kept = bound - smallest.sum() + smallest, cuttable[values] > 0
    ranges.hi[row, values] = np.where((coefficients > 0) & kept, np.minimum(hi, room // coefficients), hi)
    ranges.lo[row, values] = np.where((coefficients < 0) & kept, np.maximum(lo, -(room // -coefficients)), lo)


def corners(block: Block, ranges: Ranges) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """acc and y float32[nodes, 6, n], slopes float32[nodes, n], of one block."""
    acc_lo, acc_hi = ranges.acc_lo[:, block.neurons], ranges.acc_hi[:, block.neurons]
    lo, hi = ranges.lo[:, block.target], ranges.hi[:, block.target]
    if len(block.steps):
        low, high, steps, channel = lo - block.y_min, hi - block.y_min, block.steps, block.channel
        second, after = np.minimum(low + 1, high), np.maximum(high, low + 1)
        begins = (acc_lo, np.maximum(acc_lo, steps[channel, second]), np.maximum(acc_lo, steps[channel, high]))
        ends = (np.minimum(acc_hi, steps[channel, low + 1] - 1), np.minimum(acc_hi, steps[channel, after] - 1), acc_hi)
        acc, y = (*begins, *ends), (lo, lo + second - low, hi, lo, np.maximum(hi - 1, lo), hi)
        run, usual = begins[2] - acc_lo, (steps[:, -2] - steps[:, 1])[channel] / max(1, steps.shape[1] - 3)
    else:
        acc, y = (acc_lo, acc_lo, acc_hi, acc_hi, acc_lo, acc_lo), (lo, hi, lo, hi, lo, lo)
        run, usual = acc_hi - acc_lo, np.ones(1)
    slopes = np.where(hi > lo, (hi - lo) / np.maximum(1, run), 1 / np.maximum(1, usual))
    return np.stack(acc, axis=1).astype(np.float32), np.stack(y, axis=1).astype(np.float32), slopes.astype(np.float32)


def choose(frame: Frame, ranges: Ranges, suggestion: Suggestion) -> tuple[np.ndarray, np.ndarray]:
    """Values int64[nodes], -1 for none, and the first outputs above the cut, of no meaning for -1."""
    lo, hi = ranges.lo[:, frame.num_inputs :], ranges.hi[:, frame.num_inputs :]
    weight = np.nan_to_num(np.abs(suggestion.coefficients[:, frame.num_inputs :]))
    score = weight * (np.sqrt(_gaps(frame, suggestion) * _rooms(frame, ranges)) + 1e-6 * (hi - lo))
    score[lo == hi] = 0
    for block in frame.blocks:
        if not len(block.steps):
            score[:, block.neurons] = 0
    neuron = score.argmax(axis=1)
    at = [_cut(frame, ranges, suggestion, row, i) for row, i in enumerate(neuron.tolist())]
    return np.where(score[np.arange(len(neuron)), neuron] > 0, neuron + frame.num_inputs, -1), np.array(at, np.int64)


def _gaps(frame: Frame, suggestion: Suggestion) -> np.ndarray:
    """How far each neuron's (acc, y) is from a step, beyond the half step that rounding explains: float32[nodes, neurons]."""
    gaps = np.zeros(suggestion.acc.shape, np.float32)
    for block in frame.blocks:
        exact = block.layer.requantize(suggestion.acc[:, block.neurons].astype(np.int64))
        gaps[:, block.neurons] = np.abs(suggestion.y[:, block.neurons] - exact) - 0.5
    return np.maximum(gaps, 0)


def _rooms(frame: Frame, ranges: Ranges) -> np.ndarray:
    """How far the line between the ends of each neuron's range runs from its flat ends, beyond half a step: float32[nodes, neurons]."""
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


def _cut(frame: Frame, ranges: Ranges, suggestion: Suggestion, row: int, neuron: int) -> int:
    """The first output above the cut: at an end where the neuron can saturate with accumulators to spare, else at the point."""
    block = next(b for b in frame.blocks if b.neurons.start <= neuron < b.neurons.stop)
    first, last = (int(a[row, neuron + frame.num_inputs]) for a in (ranges.lo, ranges.hi))
    if first == last or not len(block.steps):
        return 0
    i, point = neuron - block.neurons.start, float(suggestion.y[row, neuron])
    starts = block.steps[block.channel[i]].tolist()
    low = first == block.y_first[i] and ranges.acc_lo[row, neuron] < starts[first + 1 - block.y_min] - 1
    high = last == block.y_last[i] and ranges.acc_hi[row, neuron] > starts[last - block.y_min]
    if low and not (high and point > (first + last) / 2):
        return first + 1
    return last if high else min(max(int(np.floor(point)) + 1, first + 1), last)
