"""Plain Python twin of csrc/qbitsat/_kernels/exact/dual_loops.c for one node: the scale of its floats, and what they prove as integers."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from qbitsat.bounds.dual import upper_bound
from qbitsat.bounds.layout import Inequality, Layout
from qbitsat.bounds.ranges import Ranges
from qbitsat.network import AffineMap, Patches
from qbitsat.network.layers import PADDING

REACH, LIMIT, MAX_SCALE, NARROW = 2.0**58, 2.0**61, 2.0**50, 2.0**31 - 1


def scale_of(layout: Layout, ranges: Ranges, row: int, terms: Sequence[Inequality], shares: list[float], multipliers: list[float]) -> int:
    """0 if there is none. No sum is above sum |c||x| + sum |m|(|acc| + largest weight * sum |x| of its cells), all at their largest."""
    x = [max(abs(a), abs(b)) for a, b in zip(ranges.lo[row].tolist(), ranges.hi[row].tolist(), strict=True)]
    acc = [max(abs(a), abs(b)) for a, b in zip(ranges.acc_lo[row].tolist(), ranges.acc_hi[row].tolist(), strict=True)]
    size = 0.0
    for share, (values, coefficients, _) in zip(shares, terms, strict=True):
        size += share * sum(abs(c) * (x[v] + 1) for v, c in zip(values.tolist(), coefficients.tolist(), strict=True))
    for block in layout.blocks:
        padding = abs(block.layer.input.zero_point)
        cells = [padding if v == PADDING else x[v] for v in block.view.tolist()]
        for i, read in enumerate(_patches(block.layer.affine)):
            n = block.neurons.start + i
            size += abs(multipliers[n]) * (acc[n] + block.layer.affine.max_weight * sum(cells[j] for j in read) + 1)
    if not size < LIMIT:
        return 0
    largest = max(abs(m) for m in multipliers)
    finest = min(NARROW / max(largest, 1e-300), REACH / max(size, 1e-300))
    return 1 << math.frexp(min(MAX_SCALE, max(1.0, finest)))[1] - 1


def _patches(affine: AffineMap) -> list[list[int]]:
    """The cells of each accumulator, those of weight 0 in a patch among them."""
    if not isinstance(affine, Patches):
        return [affine.row(i)[0].tolist() for i in range(affine.n_out)]
    firsts = affine.start[:, None] + np.arange(affine.groups) * affine.stride
    return [(first + affine.offset).tolist() for first in np.repeat(firsts.ravel(), affine.channels)]


def proved(
    layout: Layout, ranges: Ranges, row: int, terms: Sequence[Inequality], shares: np.ndarray, multipliers: np.ndarray
) -> tuple[int | float, list[int], list[int]]:
    """The bound on D with whole shares and multipliers; infinity without any where floats are too large, -infinity without a point."""
    floats = [max(0.0, s) for s in shares.tolist()]
    scale = scale_of(layout, ranges, row, terms, floats, multipliers.tolist())
    if not scale:
        return math.inf, [], []
    whole, rounded = [round(s * scale) for s in floats], [round(m * scale) for m in multipliers.tolist()]
    objective, bound = [0] * layout.num_values, 0
    for share, (values, coefficients, most) in zip(whole, terms, strict=True):
        for v, c in zip(values.tolist(), coefficients.tolist(), strict=True):
            objective[v] -= share * c
        bound += share * most
    value = upper_bound(layout, ranges, row, np.array(objective, object), np.array(rounded, object))
    return -math.inf if value is None else value + bound, whole, rounded
