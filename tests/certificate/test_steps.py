"""The checker's steps: the best pair of accumulator and output on a line, against all pairs."""

import random

import numpy as np
import pytest
from graphs import KINDS, WIDE, random_requantizer

from qbitsat.arithmetic import ROUNDINGS, MultiplierRequantizer, Requantizer, ShiftRequantizer, TableRequantizer, ThresholdRequantizer
from qbitsat.certificate.steps import FAR, MAX_LEVELS, Steps
from qbitsat.limits import NO_LIMITS
from qbitsat.network import Layer, Linear, SparseRows, TensorFormat

REACH = 300
ZERO = np.zeros(1, np.int64), np.zeros(1, np.int64)


def layer_of(requantizers: list[Requantizer]) -> Layer:
    """One output for each."""
    n = len(requantizers)
    form = TensorFormat((n,), min(r.lo for r in requantizers), max(r.hi for r in requantizers))
    rows = SparseRows.of_matrix(np.eye(n, dtype=np.int64), np.zeros(n, np.int64))
    return Linear("steps", TensorFormat((n,), -REACH, REACH), form, tuple(requantizers), rows)


def any_requantizer(rng: random.Random) -> Requantizer:
    """Of every kind, with levels that -REACH to REACH reach, a few of them or thousands."""
    lo, top = rng.choice([0, -1, -8, 3]), rng.choice(WIDE)
    kind = rng.choice(["any", "shift", "near", "table", "thresholds"])
    if kind == "shift":
        return ShiftRequantizer(rng.randint(-6, 6), rng.choice(ROUNDINGS), lo, min(lo + top, 1 << 30), offset=rng.randint(-99, 99))
    if kind == "near":  # the quotient 0 in the middle
        return ShiftRequantizer(rng.randint(0, 3), rng.choice(ROUNDINGS), -rng.choice([5, 9000]), rng.choice([4, 9000]))
    if kind == "table":
        step = rng.choice([1, 3, 1 << 20])
        values = np.cumsum([rng.choice([0, 0, 1, 5]) * step for _ in range(rng.randint(1, 200))])
        return TableRequantizer(rng.randint(-250, 100), tuple(values.tolist()))
    if kind == "thresholds":
        firsts = sorted(rng.choice([rng.randint(-250, 250), 1 << 62, -(1 << 62)]) for _ in range(rng.randint(0, 9)))
        return ThresholdRequantizer(lo, tuple(firsts))
    kind, few = rng.choice([k for k in KINDS if k != "wrap"]), rng.choice([top for top in WIDE if top < MAX_LEVELS])
    return random_requantizer(rng, kind, -REACH, REACH, lo, lo + few)


def pairs(requantizer: Requantizer, ends: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """All (acc, y) in the ranges."""
    acc_lo, acc_hi, lo, hi = ends
    accs = np.arange(acc_lo, acc_hi + 1)
    y = requantizer.apply(accs)
    inside = (lo <= y) & (y <= hi)
    return accs[inside], y[inside]


def random_ends(rng: random.Random, requantizer: Requantizer) -> list[int]:
    acc_lo, acc_hi = sorted(rng.randint(-REACH, REACH) for _ in range(2))
    lo, hi = requantizer.apply(acc_lo), requantizer.apply(acc_hi)
    if rng.random() < 0.5:
        lo, hi = sorted(rng.randint(max(requantizer.lo, lo - 3), min(requantizer.hi, hi + 3)) for _ in range(2))
    return [acc_lo, acc_hi, lo, hi]


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("kind", [np.int64, object], ids=["int64", "python"])
def test_best_pair_is_that_of_all_pairs(seed, kind):
    rng = random.Random(seed)
    requantizers = [any_requantizer(rng) for _ in range(8)]
    steps = Steps(layer_of(requantizers), NO_LIMITS)
    ones = [Steps(layer_of([requantizer]), NO_LIMITS) for requantizer in requantizers]
    assert steps.stepped.all()
    for _ in range(8):
        ends, size = [random_ends(rng, requantizer) for requantizer in requantizers], rng.choice([1, 9, 1000])
        c, m = (np.array([rng.choice([0, rng.randint(-size, size)]) for _ in requantizers]) for _ in range(2))
        if rng.random() < 0.5:  # lines along the steps are where ties decide
            m = c << rng.randint(0, 3)
        every = [pairs(requantizer, end) for requantizer, end in zip(requantizers, ends, strict=True)]
        # Nobody looks for pairs where they do not count.
        every = [pair if line != (0, 0) else ZERO for pair, line in zip(every, zip(c.tolist(), m.tolist(), strict=True), strict=True)]
        most = [int((c[i] * y - m[i] * accs).max()) if len(y) else None for i, (accs, y) in enumerate(every)]
        for i, one in enumerate(ones):
            columns = tuple(np.array([[end]]) for end in ends[i])
            best, some = one.best(c[None, i : i + 1].astype(kind), m[None, i : i + 1].astype(kind), columns)
            assert (int(best[0]) if some[0] else None) == most[i], (requantizers[i], ends[i], c[i], m[i])
        best, some = steps.best(c[None].astype(kind), m[None].astype(kind), tuple(np.array(ends).T[:, None]))
        assert (int(best[0]) if some[0] else None) == (None if None in most else sum(most))


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("kind", [np.int64, object], ids=["int64", "python"])
def test_few_steps_of_long_stairs_are_enough(seed, kind):
    """Lines along the stairs, and all but along them, where almost any step may be best."""
    rng = random.Random(seed)
    form = rng.choice(["double", "half_up_twice", "half_up", "half_away"])
    r = MultiplierRequantizer(rng.randint(1 << 30, (1 << 31) - 1), -rng.randint(1, 7), form, -128, 127, rng.randint(-128, 99))
    steps = Steps(layer_of([r]), NO_LIMITS)
    width = 2 ** (31 - r.shift) / r.multiplier
    for _ in range(20):
        acc_lo, acc_hi = sorted(rng.randint(int(-140 * width), int(140 * width)) for _ in range(2))
        ends = [acc_lo, acc_hi, r.apply(acc_lo), r.apply(acc_hi)]
        m = rng.choice([-1, 1]) * rng.randint(1, 1 << rng.choice([4, 20, 40]))
        c = round(m * width) + rng.choice([0, 0, rng.randint(-9, 9), rng.randint(-abs(m), abs(m))])
        accs, y = pairs(r, ends)
        best, some = steps.best(np.array([[c]], kind), np.array([[m]], kind), tuple(np.array([[end]]) for end in ends))
        assert some[0]
        assert int(best[0]) == int((c * y - m * accs).max())


@pytest.mark.parametrize("seed", range(30))
def test_narrowed_ranges_are_those_of_all_pairs(seed):
    """The outputs of the accumulators in the range, and accumulators that give outputs in the range, and no others."""
    rng = random.Random(seed)
    for _ in range(10):
        requantizer = any_requantizer(rng)
        steps, ends = Steps(layer_of([requantizer]), NO_LIMITS), random_ends(rng, requantizer)
        acc_lo, acc_hi, lo, hi = arrays = [np.array([end]) for end in ends]
        left, (accs, y) = steps.narrow(*arrays), pairs(requantizer, ends)
        assert left or not len(y)
        if len(y):
            assert (acc_lo[0], acc_hi[0]) == (accs.min(), accs.max())
            assert ends[2] <= lo[0] <= y.min() <= y.max() <= hi[0] <= ends[3]


def test_what_wraps_or_has_more_levels_is_unrelated():
    wide = TableRequantizer(0, (0, 1 << 20))
    kinds = [ShiftRequantizer(1, "floor", 0, 7, "wrap"), ThresholdRequantizer(0, tuple(range(MAX_LEVELS))), wide]
    steps = Steps(layer_of(kinds), NO_LIMITS)
    assert steps.stepped.tolist() == [False, False, True]
    ends = tuple(np.array([[a, a, b]]) for a, b in ((-3, 0), (5, 1), (0, 0), (7, 1 << 20)))
    best, some = steps.best(np.array([[2, -1, 1]]), np.array([[1, -1, 0]]), ends)
    assert (int(best[0]), bool(some[0])) == (2 * 7 + 3 + 0 + 5 + (1 << 20), True)


def test_far_levels_of_wide_shifts_are_never_reached():
    requantizer = ShiftRequantizer(61, "half_even", -(1 << 31), (1 << 31) - 1)
    (group,) = Steps(layer_of([requantizer]), NO_LIMITS).groups
    at = np.array([0])
    assert group.first(at, np.array([2])).tolist() == [FAR]
    assert group.first(at, np.array([1])).tolist() == [(1 << 60) + 1]
    assert group.first(at, np.array([-(1 << 31)])).tolist() == [-FAR]
