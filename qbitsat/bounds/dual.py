"""What integer multipliers prove: Lagrangian bounds over the exact graphs of the requantizers.

For a linear objective c . values and a multiplier m_i for every accumulator equation acc_i = W_i x + b_i, weak duality gives

    max c . values  <=  sum_i m_i b_i  +  sum_i max over (acc, y) of neuron i of (c'_i y - m_i acc)  +  max over the box of c'' . inputs

where c' and c'' are c plus what the multipliers of later layers put on a value, c'_j = c_j + sum_i m_i W_ij. The maximum over (acc, y)
runs over the steps of the requantizer itself, so no line has to be trusted: a linear relaxation is one choice of multipliers (m = slope
of its line times c'), and the best multipliers give the bound of the linear program over the hulls of all steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from .. import _dual
from .frame import Block, Frame
from .ranges import Ranges

# Coefficients over values and a bound: sum of coefficient * value <= bound.
Inequality = tuple[np.ndarray, np.ndarray, int]

# Scaled multipliers let sums reach about 2**58, with room to spare below the kernel's 2**61.
REACH = 2.0**58
LIMIT = 2.0**61  # rounding may double small multipliers
MAX_SCALE = 2.0**50
# Multipliers of 32 bits are fine enough, and several times faster in the kernel.
NARROW = 2.0**31 - 1


def upper_bound(
    frame: Frame, ranges: Ranges, row: int, objective: np.ndarray, multipliers: np.ndarray, blocks: Sequence[Block] | None = None
) -> int | None:
    """An upper bound of objective . values over all points in the ranges of one node; None if there is no such point.

    objective int64[num_values], multipliers int64[num_neurons]: any integers prove something. `blocks`, all by default, must
    hold every block whose outputs have a coefficient, and those before it.
    """
    chosen = frame.blocks if blocks is None else blocks
    try:
        return _by_kernel(frame, ranges, row, objective, multipliers, chosen)
    except OverflowError:
        return _by_python(frame, ranges, row, objective, multipliers, chosen)


def _by_kernel(
    frame: Frame, ranges: Ranges, row: int, objective: np.ndarray, multipliers: np.ndarray, blocks: Sequence[Block]
) -> int | None:
    total, c = 0, objective.copy()
    lo, hi, acc_lo, acc_hi = ranges.lo[row], ranges.hi[row], ranges.acc_lo[row], ranges.acc_hi[row]
    for block in reversed(blocks):
        affine, n, t = block.layer.affine, block.neurons, block.target
        part, possible = _dual.layer(
            affine.whole, affine.heaviest, affine.bias, block.steps, block.y_min,
            acc_lo[n], acc_hi[n], lo[t], hi[t], multipliers[n], c[t], c[block.source],
        )  # fmt: skip
        if not possible:
            return None
        total += part
    inputs = slice(0, frame.num_inputs)
    return total + _dual.box(lo[inputs], hi[inputs], c[inputs])


def _by_python(
    frame: Frame, ranges: Ranges, row: int, objective: np.ndarray, multipliers: np.ndarray, blocks: Sequence[Block]
) -> int | None:
    """The same on Python integers, which no multiplier overflows."""
    total, c = 0, [int(v) for v in objective]
    for block in reversed(blocks):
        for i in range(block.layer.affine.n_out):
            neuron, value = block.neurons.start + i, block.target.start + i
            m = int(multipliers[neuron])
            indices, weights = block.layer.affine.row(i)
            for j, w in zip(indices.tolist(), weights.tolist(), strict=True):
                c[block.source.start + j] += m * w
            accs = int(ranges.acc_lo[row, neuron]), int(ranges.acc_hi[row, neuron])
            best = _largest(block, i, m, c[value], *accs, int(ranges.lo[row, value]), int(ranges.hi[row, value]))
            if best is None:
                return None
            total += m * int(block.layer.affine.bias[i]) + best
    return total + sum(max(c[i] * int(ranges.lo[row, i]), c[i] * int(ranges.hi[row, i])) for i in range(frame.num_inputs))


def _largest(block: Block, i: int, m: int, c: int, acc_lo: int, acc_hi: int, lo: int, hi: int) -> int | None:
    """The largest c * y - m * acc over the steps of output i inside its ranges; None without any."""
    if not len(block.steps):
        return max(c * lo, c * hi) + max(-m * acc_lo, -m * acc_hi)
    starts, best = block.steps[i % len(block.steps)].tolist(), None
    for v in range(lo, hi + 1):
        first, last = max(acc_lo, starts[v - block.y_min]), min(acc_hi, starts[v - block.y_min + 1] - 1)
        if first <= last:
            value = c * v - m * (first if m >= 0 else last)
            best = value if best is None else max(best, value)
    return best


class Scale:
    """Powers of two that turn float multipliers into integers as fine as int64 allows."""

    def __init__(self, frame: Frame):
        self.frame = frame
        self.heights = np.concatenate([np.full(b.layer.affine.n_out, b.layer.affine.heaviest) for b in frame.blocks]).astype(float)

    def of(self, ranges: Ranges, row: int, objective: np.ndarray, multipliers: np.ndarray) -> int:
        """The scale for float64[num_values] and float64[num_neurons]; 0 if they are no finite numbers or leave int64.

        With |x| at most its range's larger end, no sum is above sum |c| |x| + sum |m| (|acc| + largest weight * sum |x|).
        """
        values = np.maximum(np.abs(ranges.lo[row]), np.abs(ranges.hi[row])).astype(float)
        accs = np.maximum(np.abs(ranges.acc_lo[row]), np.abs(ranges.acc_hi[row])).astype(float)
        sources = np.concatenate([np.full(b.layer.affine.n_out, values[b.source].sum()) for b in self.frame.blocks])
        size = np.abs(objective) @ (values + 1) + np.abs(multipliers) @ (accs + self.heights * sources + 1)
        if not size < LIMIT:
            return 0
        largest = NARROW / max(np.abs(multipliers).max(), 1e-300)
        return int(2.0 ** np.floor(np.log2(min(MAX_SCALE, max(1.0, min(largest, REACH / max(size, 1e-300)))))))


class Refutation(NamedTuple):
    """shares of inequalities, as Python integers, and multipliers int64[num_neurons]: together they prove a node empty."""

    shares: list[int]
    multipliers: np.ndarray


def refute(
    scale: Scale, ranges: Ranges, row: int, inequalities: Sequence[Inequality], shares: np.ndarray, multipliers: np.ndarray
) -> Refutation | None:
    """Float shares, one an inequality, and multipliers as integers, if these prove that no point of the node satisfies all inequalities."""
    frame, floats = scale.frame, multipliers.astype(float)
    reach = np.zeros(frame.num_values)  # of every partial sum, where inequalities cancel each other
    for share, (values, coefficients, _) in zip(shares.tolist(), inequalities, strict=True):
        reach[values] += share * np.abs(coefficients)
    fine = scale.of(ranges, row, reach, floats)
    if not fine:
        return None
    whole = [int(v) for v in np.rint(shares * fine)]
    objective, bound = np.zeros(frame.num_values, np.int64), 0
    for part, (values, coefficients, most) in zip(whole, inequalities, strict=True):
        objective[values] -= part * coefficients
        bound += part * most
    rounded = np.rint(floats * fine).astype(np.int64)
    value = upper_bound(frame, ranges, row, objective, rounded)
    return Refutation(whole, rounded) if value is None or value + bound < 0 else None
