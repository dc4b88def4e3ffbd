"""The checker's ranges and multipliers on networks at the ends of what is allowed: wide inputs, weights up to 2^30, biases up to 2^58,
any shift, rounding, offset and number of levels, wrap-around; against every point of small boxes.
"""

import itertools
import random

import numpy as np
import pytest

from qbitsat.arithmetic import ROUNDINGS, ShiftRequantizer
from qbitsat.certificate.layout import FAR, Layout, Ranges
from qbitsat.errors import QbitsatError
from qbitsat.network import Dense, Network, TensorFormat, reference
from qbitsat.properties import Box, Or, Query

Point = tuple[list[int], list[int]]  # values and accumulators, in the checker's order


def extreme_network(rng: random.Random) -> Network | None:
    """Two layers; None if the numbers drawn are not allowed."""
    big, heavy, biased = (1 << rng.randint(*bits) for bits in ((20, 30), (1, 30), (1, 58)))
    n, m, levels = rng.randint(1, 3), rng.randint(1, 3), rng.choice([1, 3, 15, 255, 4095, 4096, 100000])
    overflow, lo = rng.choice(["saturate", "saturate", "wrap"]), rng.choice([0, -(levels // 2), -(1 << 30)])
    if overflow == "wrap":
        levels = (1 << levels.bit_length()) - 1
    draw = lambda most, *shape: np.array([rng.randint(-most, most) for _ in range(int(np.prod(shape)))]).reshape(shape)  # noqa: E731
    try:
        form = TensorFormat((n,), -big, big, 1.0, rng.choice([0, rng.randint(-big, big)]))
        first = ShiftRequantizer(
            rng.randint(-3, 58), rng.choice(ROUNDINGS), lo, lo + levels, overflow, rng.choice([0, rng.randint(-biased, biased)])
        )
        middle = TensorFormat((m,), lo, lo + levels)
        last = ShiftRequantizer(rng.randint(0, 20), rng.choice(ROUNDINGS), -8, 7)
        before = Dense("a", form, middle, (first,), draw(heavy, m, n), draw(biased, m))
        return Network((before, Dense("b", middle, TensorFormat((2,), -8, 7), (last,), draw(3, 2, m), draw(9, 2))))
    except QbitsatError:
        return None


def points_of(layout: Layout, box: Box) -> list[Point]:
    (network,) = layout.query.networks
    points = []
    for x in itertools.product(*(range(lo, hi + 1) for lo, hi in zip(box.lo.tolist(), box.hi.tolist(), strict=True))):
        values = [v for part in reference.run_all(network, x) for v in part]
        rows = [block.row(i) for block in layout.blocks for i in range(len(block.bias))]
        accs = [bias + sum(w * values[v] for v, w in zip(read.tolist(), weights.tolist(), strict=True)) for read, weights, bias in rows]
        points.append((values, accs))
    return points


def hold(ranges: Ranges | None, points: list[Point]) -> bool:
    if ranges is None:
        return not points
    pairs = [(ranges.lo, ranges.hi, 0), (ranges.acc_lo, ranges.acc_hi, 1)]
    return all(lo <= v <= hi for p in points for low, high, k in pairs for lo, v, hi in zip(low.tolist(), p[k], high.tolist(), strict=True))


def total(terms: dict[int, int], point: Point) -> int:
    return sum(c * point[0][value] for value, c in terms.items())


@pytest.mark.parametrize("seed", range(300))
def test_every_point_stays_inside(seed):
    rng = random.Random(seed)
    network = extreme_network(rng)
    if network is None:
        return
    form, eps = network.input, rng.randint(0, 2)
    x = np.array([rng.randint(form.lo, form.hi) for _ in range(form.size)])
    box = Box(np.maximum(x - eps, form.lo), np.minimum(x + eps, form.hi))
    layout = Layout(Query((network,), (box,), Or(())))
    whole, points = layout.whole, points_of(layout, box)
    assert hold(whole, points)
    for _ in range(4):
        scale = 1 << rng.choice([0, 5, 20, 40, 62])
        terms = {v: rng.randint(-99, 99) * rng.choice([1, scale]) for v in range(layout.num_values) if rng.random() < 0.6}
        multipliers = np.array([rng.randint(-scale, scale) for _ in range(layout.num_neurons)])
        value = rng.randrange(layout.num_values)
        at = rng.choice([rng.choice(points)[0][value], rng.randint(int(whole.lo[value]), int(whole.hi[value]))])
        for lo, hi in ((-FAR, at - 1), (at, FAR)):
            ranges, inside = layout.cut(whole, value, lo, hi), [p for p in points if lo <= p[0][value] <= hi]
            assert hold(ranges, inside)
            if ranges is not None:
                (bound,) = layout.largest([(ranges, terms, multipliers)])
                assert not inside or bound >= max(total(terms, p) for p in inside)
                atom = {v: rng.choice([-5, -1, 1, 3]) for v in range(layout.num_values) if rng.random() < 0.5}
                most = total(atom, rng.choice(points)) + rng.randint(-3, 3)
                assert hold(layout.narrowed(ranges, [(atom, most)]), [p for p in inside if total(atom, p) <= most])
