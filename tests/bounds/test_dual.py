"""Bounds from integer multipliers: never below any point, whatever the multipliers; kernel and plain Python say the same."""

import itertools
import random

import numpy as np
import pytest
from enumerated import narrowed, space
from handmade import dense, one_layer, query, tensor
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import busy_query

from qbitsat import _dual
from qbitsat.arithmetic import ShiftRequantizer
from qbitsat.bounds import propagate
from qbitsat.bounds.dual import REACH, Scale, _by_kernel, _by_python, upper_bound
from qbitsat.bounds.frame import Frame
from qbitsat.bounds.ranges import Ranges
from qbitsat.properties import Box
from qbitsat.properties.formula import TRUE


@settings(derandomize=True, deadline=None, max_examples=200)
@given(st.integers(0, 2**32 - 1))
def test_upper_bound_is_above_every_point_for_random_multipliers(seed):
    rng = random.Random(seed)
    generator = np.random.default_rng(seed)
    asked = busy_query(rng)
    points = space(asked)
    ranges = narrowed(rng, asked, points.frame, 4, 4)
    ranges.propagate(points.frame)
    for row in range(4):
        size = 10 ** generator.integers(0, 12)
        objective = generator.integers(-size, size + 1, points.frame.num_values) * generator.integers(0, 2, points.frame.num_values)
        multipliers = generator.integers(-size, size + 1, points.frame.num_neurons)
        given_ = points.frame, ranges, row, objective, multipliers
        bound = upper_bound(*given_)
        assert bound == _by_kernel(*given_, points.frame.blocks) == _by_python(*given_, points.frame.blocks)
        inside = points.inside(ranges, row)
        if bound is None:
            assert not inside.any()
        elif inside.any():
            assert bound >= int((points.values[inside] @ objective).max())


@settings(derandomize=True, deadline=None, max_examples=50)
@given(st.integers(0, 2**32 - 1))
def test_upper_bound_over_the_first_layers_alone(seed):
    rng = random.Random(seed)
    generator = np.random.default_rng(seed)
    asked = busy_query(rng)
    points = space(asked)
    ranges = Ranges.of(propagate(asked))
    blocks = [b for b in points.frame.blocks if b.network == 0]
    blocks = blocks[: rng.randint(1, len(blocks))]
    objective = np.zeros(points.frame.num_values, np.int64)
    objective[blocks[-1].target] = generator.integers(-9, 10, blocks[-1].layer.output.size)
    multipliers = generator.integers(-9, 10, points.frame.num_neurons)
    bound = upper_bound(points.frame, ranges, 0, objective, multipliers, blocks)
    assert bound == _by_python(points.frame, ranges, 0, objective, multipliers, blocks)
    assert bound >= int((points.values @ objective).max())


def line():
    """y = x, 0 to 15."""
    return query(one_layer([[1]], None, ShiftRequantizer(0, "floor", 0, 15), tensor(1)), TRUE)


@pytest.mark.parametrize(("m", "bound"), [(0, 15), (1, 15), (2, 30), (-1, 30)])
def test_upper_bound_of_an_output_by_hand(m, bound):
    """max y over y = acc = x: m x + (1 - m) acc, each at its own end."""
    ranges = Ranges.of(propagate(line()))
    assert upper_bound(Frame(line()), ranges, 0, np.array([0, 1]), np.array([m])) == bound


def test_upper_bound_right_multipliers_are_exact():
    """2 (y0 - y1) for two halves of one sum: at most 1, so y0 - y1 is at most 0."""
    requantizer = ShiftRequantizer(1, "floor", -8, 7)
    asked = query(one_layer([[1, 1], [1, 1]], [0, 0], requantizer, tensor(2, -4, 3)), TRUE)
    ranges, objective = Ranges.of(propagate(asked)), np.array([0, 0, 1, -1])
    bounds = [upper_bound(Frame(asked), ranges, 0, objective * 2, np.array([m, -m])) for m in range(4)]
    assert bounds == [14, 1, 14, 28]


def test_upper_bound_none_when_no_step_is_left():
    ranges = Ranges.of(propagate(line()))
    ranges.acc_lo[0, 0], ranges.acc_hi[0, 0], ranges.hi[0, 1] = 5, 9, 4
    arguments = Frame(line()), ranges, 0, np.array([0, 1]), np.array([1])
    assert upper_bound(*arguments) is None
    assert _by_python(*arguments, Frame(line()).blocks) is None


def test_upper_bound_leaves_its_arguments_alone():
    objective, multipliers = np.array([0, 1]), np.array([3])
    upper_bound(Frame(line()), Ranges.of(propagate(line())), 0, objective, multipliers)
    assert (objective.tolist(), multipliers.tolist()) == ([0, 1], [3])


HUGE = {
    "bias": (one_layer([[1, -1]], [(1 << 59) - 100], ShiftRequantizer(55, "half_up", 0, 15), tensor(2)), 100),
    "weights": (one_layer([[(1 << 31) - 1, 1 - (1 << 31)]], None, ShiftRequantizer(31, "floor", -8, 7), tensor(2, 0, 1 << 20)), 1 << 30),
    "multipliers": (one_layer([[1, -1]], None, ShiftRequantizer(0, "floor", 0, 15), tensor(2)), 1 << 60),
}  # fmt: skip


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(("network", "m"), HUGE.values(), ids=HUGE)
def test_upper_bound_beyond_int64_is_answered_by_python(network, m, sign):
    asked = query(network, TRUE, Box(np.array([0, 0]), np.array([3, 3])))
    points, ranges = space(asked), Ranges.of(propagate(asked))
    objective, multipliers = np.array([0, 0, sign * m]), np.array([m])
    arguments = points.frame, ranges, 0, objective, multipliers
    with pytest.raises(OverflowError):
        _by_kernel(*arguments, points.frame.blocks)
    bound = upper_bound(*arguments)
    assert bound == _by_python(*arguments, points.frame.blocks)
    assert bound >= max(int(v) * sign * m for v in points.values[:, 2])


def test_upper_bound_inputs_beyond_int64_are_answered_by_python():
    arguments = Frame(line()), Ranges.of(propagate(line())), 0, np.array([1 << 60, 0]), np.array([0])
    assert upper_bound(*arguments) == 15 << 60


def layer_arguments(**change):
    """One output y = acc = x0 + 2 x1 over 0 to 3, as the kernel takes it."""
    affine = dense([[1, 2]], [5]).affine
    starts = np.array([[-(1 << 61), 1, 2, 3, 1 << 61]])
    arguments = {"matrix": affine.whole, "heaviest": affine.heaviest, "bias": affine.bias}
    arguments |= {"steps": starts, "y_min": 0, "acc_lo": np.array([-4]), "acc_hi": np.array([9]), "lo": np.array([0]), "hi": np.array([3])}
    return arguments | {"multipliers": np.array([1]), "coefficients": np.array([2]), "behind": np.zeros(2, np.int64)} | change


def test_dual_layer_by_hand():
    behind = np.zeros(2, np.int64)
    total = _dual.layer(**layer_arguments(behind=behind))
    assert (total, behind.tolist()) == ((5 + 4, True), [1, 2])


def test_dual_layer_negative_multipliers_take_the_last_accumulator():
    assert _dual.layer(**layer_arguments(multipliers=np.array([-1]))) == (-5 + 6 + 9, True)


def test_dual_layer_without_steps_counts_both_as_unrelated():
    assert _dual.layer(**layer_arguments(steps=np.empty((0, 0), np.int64))) == (5 + 6 + 4, True)


@pytest.mark.parametrize(
    "change", [{"multipliers": np.array([1 << 59])}, {"coefficients": np.array([-(1 << 60)])}, {"bias": np.array([1 << 61])}]
)
def test_dual_layer_overflow_leaves_behind_alone(change):
    behind = np.array([7, -7])
    with pytest.raises(OverflowError):
        _dual.layer(**layer_arguments(**change, behind=behind))
    assert behind.tolist() == [7, -7]


def test_dual_layer_overflow_of_what_lies_behind():
    with pytest.raises(OverflowError):
        _dual.layer(**layer_arguments(behind=np.array([0, 1 << 61])))


FAULTS = {
    "acc_lo": {"acc_lo": np.array([0, 0])},
    "acc_hi": {"acc_hi": np.zeros(0, np.int64)},
    "lo": {"lo": np.array([0, 0])},
    "hi": {"hi": np.array([0, 0])},
    "multipliers": {"multipliers": np.array([0, 0])},
    "coefficients": {"coefficients": np.array([0, 0])},
    "lo_below_the_steps": {"lo": np.array([-1])},
    "hi_above_the_steps": {"hi": np.array([4])},
    "rows": {"matrix": np.ones((2, 2), np.int32)},
    "columns": {"matrix": np.ones((1, 3), np.int32)},
    "behind": {"behind": np.zeros(1, np.int64)},
    "wide_matrix": {"matrix": np.ones((1, 2), np.int64)},
}


@pytest.mark.parametrize("change", FAULTS.values(), ids=FAULTS)
def test_dual_layer_shapes_that_do_not_fit(change):
    with pytest.raises(ValueError, match=r"expected|leaves|mismatch"):
        _dual.layer(**layer_arguments(**change))


def test_dual_box_is_the_largest_sum():
    rng = np.random.default_rng(0)
    for _ in range(50):
        lo = rng.integers(-5, 5, 3)
        hi, c = lo + rng.integers(0, 3, 3), rng.integers(-9, 10, 3)
        points = itertools.product(*(range(a, b + 1) for a, b in zip(lo.tolist(), hi.tolist(), strict=True)))
        assert _dual.box(lo, hi, c) == max(int(c @ np.array(p)) for p in points)


def test_dual_box_overflow():
    with pytest.raises(OverflowError):
        _dual.box(np.array([0, 0]), np.array([4, 4]), np.array([1 << 58, 1 << 58]))


def test_dual_box_shapes_that_do_not_fit():
    with pytest.raises(ValueError, match="length"):
        _dual.box(np.zeros(2, np.int64), np.zeros(2, np.int64), np.zeros(3, np.int64))


def scaled(seed: int, exponent: float):
    """A query, a node, and floats of about the given size with their scale."""
    rng, generator = random.Random(seed), np.random.default_rng(seed)
    asked = busy_query(rng)
    frame, ranges = Frame(asked), Ranges.of(propagate(asked))
    objective = generator.normal(0, 10.0**exponent, frame.num_values)
    multipliers = generator.normal(0, 10.0**exponent, frame.num_neurons)
    return frame, ranges, objective, multipliers, Scale(frame).of(ranges, 0, objective, multipliers)


@pytest.mark.parametrize("exponent", range(-30, 30, 3))
def test_scale_never_leaves_int64(exponent):
    for seed in range(20):
        frame, ranges, objective, multipliers, scale = scaled(seed, exponent)
        if not scale:
            assert exponent > 9
            continue
        whole = [np.rint(v * scale) for v in (objective, multipliers)]
        assert all(np.abs(v).max() <= 2.0**62 for v in whole)
        integers = [v.astype(np.int64) for v in whole]
        assert upper_bound(frame, ranges, 0, *integers) == _by_python(frame, ranges, 0, *integers, frame.blocks)


def test_scale_is_a_power_of_two_as_fine_as_can_be():
    for seed in range(20):
        frame, ranges, objective, multipliers, scale = scaled(seed, 0)
        assert scale & (scale - 1) == 0
        assert scale >= 1 << 25
        assert (
            _by_kernel(frame, ranges, 0, *(np.rint(v * scale).astype(np.int64) for v in (objective, multipliers)), frame.blocks) is not None
        )


def test_scale_of_nothing_is_the_largest():
    frame = Frame(line())
    assert Scale(frame).of(Ranges.of(propagate(line())), 0, np.zeros(2), np.zeros(1)) == 1 << 50


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300, REACH * 16])
@pytest.mark.parametrize("place", [0, 1])
def test_scale_none_for_what_is_no_integer(value, place):
    floats = [np.ones(2), np.ones(1)]
    floats[place][0] = value
    assert Scale(Frame(line())).of(Ranges.of(propagate(line())), 0, *floats) == 0
