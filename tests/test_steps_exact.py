"""The steps of every requantizer, and the largest sum of an output and an accumulator over them, against all accumulators."""

import random
import weakref

import numpy as np
import pytest
from graphs import KINDS, random_requantizer
from hypothesis import given, settings
from hypothesis import strategies as st

from qbitsat._kernels.exact import dual as _dual
from qbitsat._kernels.exact.layers import Atoms, Layers
from qbitsat.arithmetic import ROUNDINGS, DivisionRequantizer, Requantizer, ShiftRequantizer, TableRequantizer
from qbitsat.arithmetic.steps import MAX_LEVELS, NONE, NOWHERE, POINTS, SHIFT, TABLE, steps_of
from qbitsat.bounds.dual import largest
from qbitsat.network import Patches


class Strange(ShiftRequantizer):
    """Inherits `first_reaching` and means something else."""

    def apply(self, acc):
        return self.hi - super().apply(acc)


class Doubling(Requantizer):
    """Monotone, and described by `apply` alone."""

    lo, hi = 0, 6

    def apply(self, acc):
        return np.clip(2 * acc, 0, 6) if isinstance(acc, np.ndarray) else min(max(2 * acc, 0), 6)


@pytest.mark.parametrize("requantizer", [ShiftRequantizer(0, "floor", 0, 15, "wrap"), Strange(0, "floor", 0, 15)])
def test_outputs_without_steps(requantizer):
    assert (steps_of(requantizer).kind, steps_of(requantizer).unit) == (NONE, 1)


@pytest.mark.parametrize("levels", [2, MAX_LEVELS, MAX_LEVELS + 1, 1 << 31])
def test_shifts_have_steps_whatever_their_levels(levels):
    steps = steps_of(ShiftRequantizer(3, "half_even", -1, levels - 2, offset=4))
    assert (steps.kind, steps.shift, ROUNDINGS[steps.rounding], steps.offset) == (SHIFT, 3, "half_even", 4)
    assert steps.unit == (1 if levels == 2 else pytest.approx(1 / 8, rel=0.5))


def test_tables_of_few_accumulators_are_kept_as_they_are():
    steps = steps_of(TableRequantizer(-1, (-(1 << 30), 0, 5, 1 << 30)))
    assert (steps.kind, steps.first, steps.table.tolist()) == (POINTS, -1, [-(1 << 30), 0, 5, 1 << 30])
    assert steps_of(TableRequantizer(0, (0, 0, 0, 1))).kind == TABLE


def test_thresholds_of_outputs_that_are_passed_over():
    assert steps_of(Doubling()).table.tolist() == [-NOWHERE, 1, 1, 2, 2, 3, 3, NOWHERE]
    assert not steps_of(Doubling()).table.flags.writeable


@pytest.mark.parametrize(("levels", "is_kept"), [(4096, True), (4097, False)])
def test_wide_tables_are_not_kept_for_long(levels, is_kept):
    """129 of up to 65,536 levels, as of a layer's channels, take 100 MB."""
    tables = [weakref.ref(steps_of(DivisionRequantizer(divisor, 0, levels - 1)).table) for divisor in range(1, 130)]
    assert tables[-1]() is not None
    assert (tables[0]() is not None) == is_kept


@pytest.mark.parametrize("kind", KINDS)
def test_tables_are_where_outputs_change(kind):
    rng = random.Random(kind)
    for _ in range(20):
        requantizer = random_requantizer(rng, kind, -150, 150, -5, rng.choice([-5, -4, 1, 60]))
        steps = steps_of(requantizer)
        if steps.kind == TABLE:
            for acc in range(-200, 200):
                y = requantizer.apply(acc) - steps.lo
                assert steps.table[y] <= acc < steps.table[y + 1]


def kernel_largest(requantizer: Requantizer, m: int, c: int, acc_lo: int, acc_hi: int, lo: int, hi: int) -> int | None:
    """From the bound of a layer acc = 0 x: x is 0, and the inequality -c y <= 0 puts c on y once."""
    layers = Layers(1, [(Patches.dense(np.zeros((1, 1), int), np.zeros(1, int)), np.zeros(1, np.int32), 0, (steps_of(requantizer),))])
    one, atoms = np.zeros(1, np.int64), Atoms(2, np.array([0, 1]), np.array([1]), np.array([-c]), np.array([0]))
    ends = np.array([[0, lo]]), np.array([[0, hi]]), np.array([[acc_lo]]), np.array([[acc_hi]])
    floats = np.ones((1, 1), np.float32), np.full((1, 1), m, np.float32)
    state, bound, shares, multipliers = _dual.Dual(layers, atoms).run(*ends, one, np.zeros((1, 1), np.int32), *floats)
    if state[0] == _dual.EMPTY:
        return None
    scale = int(shares[0, 0])
    assert (state[0], int(multipliers[0, 0])) == (_dual.BOUND, m * scale)
    assert bound[0] % scale == 0
    return int(bound[0]) // scale


def check(rng: random.Random, requantizer: Requantizer) -> None:
    """Kernel and Python against the definition, over ranges within all accumulators from -300 to 300."""
    for _ in range(12):
        acc_lo, acc_hi = sorted(rng.randint(-300, 300) for _ in range(2))
        lo, hi = sorted(
            min(max(requantizer.apply(rng.randint(-300, 300)) + rng.randint(-1, 1), requantizer.lo), requantizer.hi) for _ in "ab"
        )
        m, c = rng.choice([0, 1, -1, rng.randint(-40, 40)]), rng.choice([0, 1, -1, rng.randint(-40, 40)])
        points = [c * requantizer.apply(acc) - m * acc for acc in range(acc_lo, acc_hi + 1) if lo <= requantizer.apply(acc) <= hi]
        expected = max(points, default=None)
        if not steps_of(requantizer).stepped:
            expected = max(c * lo, c * hi) + max(-m * acc_lo, -m * acc_hi)
        assert largest(requantizer, m, c, acc_lo, acc_hi, lo, hi) == expected
        assert kernel_largest(requantizer, m, c, acc_lo, acc_hi, lo, hi) == expected


@settings(derandomize=True, deadline=None, max_examples=120)
@given(st.integers(0, 2**32 - 1), st.sampled_from(KINDS))
def test_largest_is_that_of_all_accumulators(seed, kind):
    rng = random.Random(seed)
    lo = rng.choice([0, -8, 3])
    check(rng, random_requantizer(rng, kind, -200, 200, lo, lo + rng.choice([1, 3, 15, 40, 255])))


@settings(derandomize=True, deadline=None, max_examples=200)
@given(st.integers(0, 2**32 - 1), st.sampled_from(ROUNDINGS), st.integers(-4, 6), st.sampled_from([0, 1, 5, 31, 1 << 14, 1 << 31]))
def test_largest_of_shifts_needs_few_levels(seed, rounding, shift, top):
    """More levels than a table has among them: Python looks at few levels there too."""
    rng = random.Random(seed)
    lo = rng.choice([0, 0, -top // 2, -3])
    requantizer = ShiftRequantizer(shift, rounding, lo, min(lo + top, (1 << 31) - 1), offset=rng.randint(-5, 5))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("qbitsat.bounds.dual.MAX_LEVELS", 1)
        check(rng, requantizer)
