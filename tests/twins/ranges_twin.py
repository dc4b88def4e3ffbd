"""Plain numpy twin of the kernel `ranges`: block after block, by requantizers themselves where the kernel looks at their steps."""

from __future__ import annotations

import numpy as np

from qbitsat.arithmetic.steps import NOWHERE, SHIFT, Steps
from qbitsat.bounds.dual_descent import Suggestion
from qbitsat.bounds.layout import Block, Inequality, Layout
from qbitsat.bounds.ranges import Ranges
from qbitsat.network.layers import PADDING


def accumulated(block: Block, ranges: Ranges) -> tuple[np.ndarray, np.ndarray]:
    """The smallest and largest accumulators that the cells' ranges give, each cell by itself: int64[nodes, n] each."""
    padding, ends = block.layer.input.zero_point, []
    for values in (ranges.lo, ranges.hi):
        cells = values[:, block.view].copy()
        cells[:, block.view == PADDING] = padding
        ends.append(cells)
    found = np.empty((2, len(ranges), block.size), np.int64)
    for i in range(block.size):
        cells, weights = block.layer.affine.row(i)
        products = [end[:, cells] * weights for end in ends]
        found[0, :, i] = np.minimum(*products).sum(axis=1) + block.layer.affine.biases[i]
        found[1, :, i] = np.maximum(*products).sum(axis=1) + block.layer.affine.biases[i]
    return found[0], found[1]


def reaching(block: Block, levels: np.ndarray, i: int) -> np.ndarray:
    """The smallest accumulators of output i that reach these levels."""
    r = block.layer.requantizer(i)
    return np.array([-NOWHERE if y <= r.lo else NOWHERE if y > r.hi else r.first_reaching(y) for y in levels.tolist()]).clip(
        -NOWHERE, NOWHERE
    )


def propagate(layout: Layout, ranges: Ranges, inputs: bool) -> np.ndarray:
    """In place; bool[nodes]: whether something is left."""
    left = np.ones(len(ranges), bool)
    for block in layout.blocks:
        if inputs or (block.view >= layout.num_inputs).any():
            acc_lo, acc_hi = accumulated(block, ranges)
            ranges.acc_lo[:, block.neurons] = np.maximum(ranges.acc_lo[:, block.neurons], acc_lo)
            ranges.acc_hi[:, block.neurons] = np.minimum(ranges.acc_hi[:, block.neurons], acc_hi)
        for i in range(block.size):
            lo, hi = ranges.lo[:, block.target.start + i], ranges.hi[:, block.target.start + i]
            acc_lo, acc_hi = ranges.acc_lo[:, block.neurons.start + i], ranges.acc_hi[:, block.neurons.start + i]
            if block.stepped[i]:
                lo[:] = np.maximum(lo, block.layer.requantizer(i).apply(acc_lo))
                hi[:] = np.minimum(hi, block.layer.requantizer(i).apply(acc_hi))
                left &= lo <= hi
                acc_lo[:] = np.maximum(acc_lo, reaching(block, lo, i))
                acc_hi[:] = np.minimum(acc_hi, reaching(block, hi + 1, i) - 1)
            left &= acc_lo <= acc_hi
        for pair in layout.pairs[np.isin(layout.pairs[:, 3], np.arange(block.neurons.start, block.neurons.stop))].tolist():
            for row in np.flatnonzero(left).tolist():
                left[row] = settle(layout, ranges, row, *pair)
    return left


def settle(layout: Layout, ranges: Ranges, row: int, a: int, b: int, e: int, d: int, e_lo: int, e_hi: int) -> bool:
    """What a pair says of a node, by its definition: accumulators one by one. Whether something is left."""
    n, lo, hi, acc_lo, acc_hi = layout.num_inputs, ranges.lo[row], ranges.hi[row], ranges.acc_lo[row], ranges.acc_hi[row]
    blocks = [layout.place(v + n) for v in (a, b)]
    ra, rb = (block.layer.requantizer(i) for block, i in blocks)
    if e >= 0:
        e_lo, e_hi = int(acc_lo[e]), int(acc_hi[e])
    acc_lo[a], acc_hi[a] = max(acc_lo[a], acc_lo[b] + e_lo), min(acc_hi[a], acc_hi[b] + e_hi)
    acc_lo[b], acc_hi[b] = max(acc_lo[b], acc_lo[a] - e_hi), min(acc_hi[b], acc_hi[a] - e_lo)
    if acc_lo[a] > acc_hi[a] or acc_lo[b] > acc_hi[b]:
        return False
    for k, r in ((a, ra), (b, rb)):
        lo[k + n], hi[k + n] = max(lo[k + n], r.apply(int(acc_lo[k]))), min(hi[k + n], r.apply(int(acc_hi[k])))
    found = []
    for acc in range(int(acc_lo[b]), int(acc_hi[b]) + 1):
        y = rb.apply(acc)
        if lo[b + n] <= y <= hi[b + n]:
            found += [ra.apply(max(int(acc_lo[a]), acc + e_lo)) - y, ra.apply(min(int(acc_hi[a]), acc + e_hi)) - y]
    if not found or lo[a + n] > hi[a + n]:
        return False
    for ends_lo, ends_hi, k in ((lo, hi, d + n), (acc_lo, acc_hi, d)):
        ends_lo[k], ends_hi[k] = max(ends_lo[k], min(found)), min(ends_hi[k], max(found))
        if ends_lo[k] > ends_hi[k]:
            return False
    lo[a + n], hi[a + n] = max(lo[a + n], lo[b + n] + lo[d + n]), min(hi[a + n], hi[b + n] + hi[d + n])
    lo[b + n], hi[b + n] = max(lo[b + n], lo[a + n] - hi[d + n]), min(hi[b + n], hi[a + n] - lo[d + n])
    for k, (block, i) in zip((a, b), blocks, strict=True):
        first, last = reaching(block, np.array([lo[k + n], hi[k + n] + 1]), i).tolist()
        acc_lo[k], acc_hi[k] = max(acc_lo[k], first), min(acc_hi[k], last - 1)
    return bool(all(lo[k + n] <= hi[k + n] and acc_lo[k] <= acc_hi[k] for k in (a, b)))


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


def vertices(block: Block, ranges: Ranges) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """acc and y float32[nodes, 6, n], slopes float32[nodes, n], of one block."""
    columns = [_vertices(block, ranges, i) for i in range(block.size)]
    return tuple(np.stack([column[k] for column in columns], axis=-1).astype(np.float32) for k in range(3))  # type: ignore[return-value]


def _vertices(block: Block, ranges: Ranges, i: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    lo, hi = ranges.lo[:, block.target.start + i], ranges.hi[:, block.target.start + i]
    acc_lo, acc_hi = ranges.acc_lo[:, block.neurons.start + i], ranges.acc_hi[:, block.neurons.start + i]
    if not block.stepped[i]:
        acc, y = (acc_lo, acc_lo, acc_hi, acc_hi, acc_lo, acc_lo), (lo, hi, lo, hi, lo, lo)
        return np.stack(acc, axis=1), np.stack(y, axis=1), np.where(hi > lo, (hi - lo) / np.maximum(1, acc_hi - acc_lo), 1)
    last = np.maximum(acc_lo, reaching(block, hi, i))
    slopes = np.where(hi > lo, (hi - lo) / np.maximum(1, last - acc_lo), 1 / max(1.0, _usual(block, i)))
    rows = [_six_vertices(block, i, *row) for row in np.stack([lo, hi, acc_lo, acc_hi], axis=1).tolist()]
    acc, y = np.array(rows, float).reshape(-1, 2, 6).swapaxes(0, 1)
    return acc, y, slopes


def _six_vertices(block: Block, i: int, lo: int, hi: int, acc_lo: int, acc_hi: int) -> tuple[list[float], list[float]]:
    """acc and y of begins of the first, second and last step and ends of the first, last but one and last, moved out."""

    def first(y: int) -> int:
        return int(reaching(block, np.array([y]), i)[0])

    second, before = min(lo + 1, hi), max(hi - 1, lo)
    begins = [(max(acc_lo, first(y)), y) for y in (second, hi)]
    ends = [(min(acc_hi, first(y + 1) - 1), y) for y in (lo, before)]
    levels = _levels(block.steps[i % len(block.steps)], lo, hi)
    begins = _moved_out(begins, [(first(y), y) for y in levels if second < y < hi], acc_lo, 1)
    ends = _moved_out(ends, [(first(y + 1) - 1, y) for y in levels if lo < y < before], acc_hi, -1)
    points = [(acc_lo, lo), *begins, *ends, (acc_hi, hi)]
    return [acc for acc, _ in points], [y for _, y in points]


def _levels(steps: Steps, lo: int, hi: int) -> list[int]:
    """Outputs whose steps may be of another length than the others."""
    if steps.kind != SHIFT:
        return list(range(lo, hi + 1))
    around = [steps.offset + k for k in (-1, 0, 1)]
    return [lo + 1, lo + 2, hi - 2, hi - 1, *around] if steps.shift > 0 else []


def _moved_out(side: list[tuple[float, float]], inner: list[tuple[int, int]], end: int, sign: int) -> list[tuple[float, float]]:
    """The side's vertices, moved along the accumulators until no inner point is outside, and along the line to the end of their range."""
    (acc0, y0), (acc1, y1) = side
    most = max((sign * (acc0 + (acc1 - acc0) / (y1 - y0) * (y - y0) - acc) for acc, y in inner), default=0)
    if most <= 0:
        return side
    slope, moved = (y1 - y0) / (acc1 - acc0), []
    for acc, y in side:
        acc -= sign * most
        beyond = max(0.0, sign * (end - acc))
        shift = slope * beyond if slope * beyond < y1 - y0 else 0
        moved.append((acc + sign * beyond, min(y1, max(y0, y + sign * shift))))
    return moved


def _usual(block: Block, i: int) -> float:
    """Accumulators for one output unit, between the first step and the last."""
    r = block.layer.requantizer(i)
    if r.hi - r.lo < 2:
        return 1.0
    first, last = reaching(block, np.array([r.lo + 1, r.hi]), i).tolist()
    return (last - first) / (r.hi - r.lo - 1)


def choose(layout: Layout, ranges: Ranges, suggestion: Suggestion) -> tuple[np.ndarray, np.ndarray]:
    """Values int64[nodes], -1 for none, and the first outputs above the cut, of no meaning for -1."""
    lo, hi = ranges.lo[:, layout.num_inputs :], ranges.hi[:, layout.num_inputs :]
    weight = np.nan_to_num(np.abs(suggestion.coefficients[:, layout.num_inputs :]))
    score = weight * (np.sqrt(_gaps(layout, ranges, suggestion) * _rooms(layout, ranges)) + 1e-6 * (hi - lo))
    score[lo == hi] = 0
    for block in layout.blocks:
        score[:, block.neurons.start + np.flatnonzero(~block.stepped)] = 0
    neuron = score.argmax(axis=1)
    at = [_cut(layout, ranges, suggestion, row, i) for row, i in enumerate(neuron.tolist())]
    return np.where(score[np.arange(len(neuron)), neuron] > 0, neuron + layout.num_inputs, -1), np.array(at, np.int64)


def _left_by_cut(span: np.ndarray) -> np.ndarray:
    """What rounding leaves of a distance once an output is cut: half an output, less of up to six levels, nothing of up to three."""
    return np.clip((span - 2) / 8, 0, 0.5)


def _gaps(layout: Layout, ranges: Ranges, suggestion: Suggestion) -> np.ndarray:
    """How far each neuron's (acc, y) is from a step, beyond what a cut leaves: float32[nodes, neurons]."""
    gaps = np.zeros(suggestion.acc.shape, np.float32)
    left = _left_by_cut((ranges.hi - ranges.lo)[:, layout.num_inputs :])
    for block in layout.blocks:
        exact = block.layer.requantize(suggestion.acc[:, block.neurons].astype(np.int64))
        gaps[:, block.neurons] = np.abs(suggestion.y[:, block.neurons] - exact) - left[:, block.neurons]
    return np.maximum(gaps, 0)


def _rooms(layout: Layout, ranges: Ranges) -> np.ndarray:
    """How far the line between the ends of a range runs from its flat ends, beyond what a cut leaves: float32[nodes, neurons]."""
    rooms = np.zeros(ranges.acc_lo.shape, np.float32)
    for block in layout.blocks:
        for i in np.flatnonzero(block.stepped).tolist():
            n, v = block.neurons.start + i, block.target.start + i
            acc_lo, acc_hi = ranges.acc_lo[:, n], ranges.acc_hi[:, n]
            low_end = np.minimum(acc_hi, reaching(block, ranges.lo[:, v] + 1, i) - 1)
            high_end = np.maximum(acc_lo, reaching(block, ranges.hi[:, v], i))
            flat = np.maximum(low_end - acc_lo, acc_hi - high_end)
            span = ranges.hi[:, v] - ranges.lo[:, v]
            rooms[:, n] = span * (flat / np.maximum(1, acc_hi - acc_lo)) - _left_by_cut(span)
    return np.maximum(rooms, 0)


def _cut(layout: Layout, ranges: Ranges, suggestion: Suggestion, row: int, neuron: int) -> int:
    """The first output above the cut: at an end where the neuron can saturate with accumulators to spare, else at the point."""
    block = next(b for b in layout.blocks if b.neurons.start <= neuron < b.neurons.stop)
    first, last = (int(a[row, neuron + layout.num_inputs]) for a in (ranges.lo, ranges.hi))
    i, point = neuron - block.neurons.start, float(suggestion.y[row, neuron])
    if first == last or not block.stepped[i]:
        return 0
    above, highest = reaching(block, np.array([first + 1, last]), i).tolist()
    r = block.layer.requantizer(i)
    low = first == r.lo and ranges.acc_lo[row, neuron] < above - 1
    high = last == r.hi and ranges.acc_hi[row, neuron] > highest
    if low and not (high and point > (first + last) / 2):
        return first + 1
    return last if high else min(max(int(np.floor(point)) + 1, first + 1), last)
