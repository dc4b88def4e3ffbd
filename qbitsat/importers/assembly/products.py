"""Products of two elements that are both computed: sums through a table of quarter squares.

With U(t) = floor(t * t / 4) for t > 0, else 0, and x + y as even as x - y,

    x * y = U(x + y) + U(-x - y) - U(x - y) - U(y - x)

exactly. Each U is a step function that never decreases, so the product of two tensors is made of layers as any others.
"""

from __future__ import annotations

import numpy as np

from ...arithmetic import TableRequantizer
from ...network import TensorFormat
from .builder import Builder
from .summing import Steps, Term, combined
from .wires import Wires

# (sign of x, sign of y, sign of U of their sum)
QUARTERS = ((1, 1, 1), (-1, -1, 1), (1, -1, -1), (-1, 1, -1))


def multiplied(b: Builder, name: str, x: Wires, y: Wires, zero_points: tuple[int, int], steps: Steps, form: TensorFormat) -> Wires:
    """step((x - z_x) * (y - z_y)) of each two elements, both of one shape; form is what the result means.

    Constant elements are taken as they come: `combined` with them as weights is the shorter way where all of y are.
    """
    ends = [ends_of(b, wires, zero_point) for wires, zero_point in zip((x, y), zero_points, strict=True)]
    terms: list[Term] = []
    for number, (one, other, sign) in enumerate(QUARTERS):
        most = sum(max(factor * end for end in both) for factor, both in zip((one, other), ends, strict=True))
        if most <= 1:
            continue  # all of its integers are 0
        step = TableRequantizer(0, tuple((np.arange(most + 1) ** 2 // 4).tolist()))
        b.charge(x.size + most)
        bias = -one * zero_points[0] - other * zero_points[1]
        part = combined(b, f"{name}.{number}", [(x, one), (y, other)], bias, step, TensorFormat((1,), step.lo, step.hi))
        terms.append((part, sign))
    return combined(b, name, terms or [(x, 0)], 0, steps, form)


def ends_of(b: Builder, wires: Wires, zero_point: int) -> tuple[int, int]:
    """The least and the most that an element less the zero point can be."""
    fixed, found = wires.fixed, list[int]()
    if fixed.any():
        found += [int(wires.constants[fixed].min()), int(wires.constants[fixed].max())]
    if not fixed.all():
        found += b.range_of(wires.values[~fixed])
    return min(found) - zero_point, max(found) - zero_point
