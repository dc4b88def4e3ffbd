"""Plain Python twin of the score in the kernel `anneal`: how far outputs are from inequalities, in steps of their requantizers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from qbitsat.arithmetic.steps import NOWHERE
from qbitsat.bounds.dual import Inequality
from qbitsat.bounds.layout import Block, Layout
from qbitsat.bounds.ranges import Ranges


def table(block: Block, i: int) -> list[int]:
    """The first accumulator of every level of one output, from its requantizer's lowest on, and NOWHERE."""
    return [-NOWHERE, *block.layer.requantizer(i).thresholds(NOWHERE).tolist(), NOWHERE]


def length(block: Block, i: int) -> float:
    """The mean length of the steps of one output, at least 1."""
    inner = [start for start in table(block, i) if abs(start) < NOWHERE]
    return max(1.0, (inner[-1] - inner[0]) / (len(inner) - 1)) if len(inner) > 1 else 1.0


def row_of(block: Block, i: int) -> tuple[list[int], int]:
    """Weights of all values before the block, and the constant, of one accumulator."""
    weights, constant = [0] * block.target.start, int(block.layer.affine.biases[i])
    for cell, weight in zip(*(part.tolist() for part in block.layer.affine.row(i)), strict=True):
        value = int(block.view[cell])
        if value < 0:
            constant += weight * block.layer.input.zero_point
        else:
            weights[value] += weight
    return weights, constant


def outputs_of(layout: Layout, first: dict[int, int]) -> tuple[dict[int, int], dict[int, float]]:
    """Output and accumulator of every neuron, from the outputs of the neurons that read inputs; their own accumulators are not known."""
    m, y, acc = layout.num_inputs, dict(first), {}
    for block in layout.blocks:
        for i in range(block.layer.affine.n_out):
            neuron = block.neurons.start + i
            if neuron in first:
                row, level = table(block, i), y[neuron] - block.layer.requantizer(i).lo
                half = (length(block, i) + (-1 if level else 1)) / 2
                acc[neuron] = float(row[level]) + half if level else float(row[1]) - half
            else:
                weights, total = row_of(block, i)
                total += sum(w * y[v - m] for v, w in enumerate(weights) if w)
                acc[neuron], y[neuron] = float(total), int(block.layer.requantizer(i).apply(total))
    return y, acc


def deficit(layout: Layout, inequality: Inequality, y: dict[int, int], acc: dict[int, float]) -> float:
    """Steps that accumulators have to go until the inequality holds: the cheapest one first, for its coefficient, each time."""
    values, coefficients, bound = inequality
    terms = [(int(v) - layout.num_inputs, int(c)) for v, c in zip(values, coefficients, strict=True) if c]
    excess, cost, taken = sum(c * y[neuron] for neuron, c in terms) - bound, 0.0, [0] * len(terms)
    while excess > 0:
        prices = []
        for k, (neuron, c) in enumerate(terms):
            block = next(b for b in layout.blocks if b.neurons.start <= neuron < b.neurons.stop)
            i = neuron - block.neurons.start
            level, row = y[neuron] - block.layer.requantizer(i).lo, table(block, i)
            last = len(row) - 2
            if taken[k] < (level if c > 0 else last - level):
                way = acc[neuron] - float(row[level]) + 1 if c > 0 else float(row[level + 1]) - acc[neuron]
                prices.append(((1.0 if taken[k] else way / length(block, i)) / abs(c), k))
        if not prices:
            return cost + excess
        price, k = min(prices)
        cost, excess, taken[k] = cost + price * abs(terms[k][1]), excess - abs(terms[k][1]), taken[k] + 1
    return cost


def score(layout: Layout, inequalities: Sequence[Inequality], ranges: Sequence[tuple[int, float, float]], first: dict[int, int]) -> float:
    """What is missing of all inequalities, and of (neuron, lo, hi) for accumulators as long as something is."""
    y, acc = outputs_of(layout, first)
    total = sum(deficit(layout, inequality, y, acc) for inequality in inequalities)
    if total == 0:
        return 0.0
    for neuron, lo, hi in ranges:
        block = next(b for b in layout.blocks if b.neurons.start <= neuron < b.neurons.stop)
        total += max(lo - acc[neuron], acc[neuron] - hi, 0.0) / length(block, neuron - block.neurons.start)
    return total


def exact_deficit(layout: Layout, root: Ranges, inequality: Inequality, values: np.ndarray, acc: np.ndarray) -> float:
    """The same from all values and accumulators, with requantizers of any kind, and inputs that go unit by unit to the ends of the box."""
    named, coefficients, bound = (part.tolist() if isinstance(part, np.ndarray) else part for part in inequality)
    terms = [[*_way(layout, root, value, c, values, acc), abs(c)] for value, c in zip(named, coefficients, strict=True)]
    excess, cost = sum(c * int(values[v]) for v, c in zip(named, coefficients, strict=True)) - bound, 0.0
    while excess > 0:
        cheapest = min((term for term in terms if term[0] > 0), key=lambda term: term[1] / term[2], default=None)
        if cheapest is None:
            return cost + excess
        cost, excess = cost + cheapest[1], excess - cheapest[2]
        cheapest[:2] = cheapest[0] - 1, 1.0
    return cost


def _way(layout: Layout, root: Ranges, value: int, coefficient: int, values: np.ndarray, acc: np.ndarray) -> tuple[int, float]:
    """How many units a value can go in the direction that helps, and what the first of them costs."""
    now = int(values[value])
    if value < layout.num_inputs:
        return (now - int(root.lo[0, value]) if coefficient > 0 else int(root.hi[0, value]) - now), 1.0
    block, i = layout.place(value)
    r, at = block.layer.requantizer(i), int(acc[value - layout.num_inputs])
    room = now - r.lo if coefficient > 0 else r.hi - now
    if room <= 0:
        return 0, 1.0
    way = at - int(r.first_reaching(now)) + 1 if coefficient > 0 else int(r.first_reaching(now + 1)) - at
    return room, way * float(block.units[i])
