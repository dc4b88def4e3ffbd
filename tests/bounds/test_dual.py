"""Bounds from multipliers: never below any point, whatever the multipliers; kernel and plain Python say the same."""

import random

import numpy as np
import pytest
from dual_twin import proved
from enumerated import narrowed, random_asked, space
from handmade import dense, one_layer, query, tensor
from hypothesis import given, settings
from hypothesis import strategies as st

from qbitsat._kernels.exact import dual as _dual
from qbitsat._kernels.exact.layers import Atoms, Layers
from qbitsat.arithmetic import ShiftRequantizer
from qbitsat.arithmetic.steps import NONE, POINTS, TABLE, Steps, breakpoints
from qbitsat.bounds import propagate
from qbitsat.bounds.dual import NO_BOUND, NO_POINT, Dual, upper_bound
from qbitsat.bounds.layout import Layout
from qbitsat.properties import Box
from qbitsat.properties.formula import TRUE


@settings(derandomize=True, deadline=None, max_examples=200)
@given(st.integers(0, 2**32 - 1))
def test_upper_bound_is_above_every_point_for_random_multipliers(seed):
    rng = random.Random(seed)
    generator = np.random.default_rng(seed)
    asked = random_asked(rng)
    points = space(asked)
    ranges = narrowed(rng, asked, points.layout, 4, 4)
    ranges.propagate(points.layout)
    for row in range(4):
        size = 10 ** generator.integers(0, 12)
        objective = generator.integers(-size, size + 1, points.layout.num_values) * generator.integers(0, 2, points.layout.num_values)
        multipliers = generator.integers(-size, size + 1, points.layout.num_neurons)
        given_ = points.layout, ranges, row, objective, multipliers
        bound = upper_bound(*given_)
        inside = points.inside(ranges, row)
        if bound is None:
            assert not inside.any()
        elif inside.any():
            assert bound >= int((points.values[inside] @ objective).max())


def line():
    """y = x, 0 to 15."""
    return query(one_layer([[1]], None, ShiftRequantizer(0, "floor", 0, 15), tensor(1)), TRUE)


@pytest.mark.parametrize(("m", "bound"), [(0, 15), (1, 15), (2, 30), (-1, 30)])
def test_upper_bound_of_an_output_by_hand(m, bound):
    """max y over y = acc = x: m x + (1 - m) acc, each at its own end."""
    ranges = propagate(line())
    assert upper_bound(Layout(line().networks), ranges, 0, np.array([0, 1]), np.array([m])) == bound


def test_upper_bound_right_multipliers_are_exact():
    """2 (y0 - y1) for two halves of one sum: at most 1, so y0 - y1 is at most 0."""
    requantizer = ShiftRequantizer(1, "floor", -8, 7)
    asked = query(one_layer([[1, 1], [1, 1]], [0, 0], requantizer, tensor(2, -4, 3)), TRUE)
    ranges, objective = propagate(asked), np.array([0, 0, 1, -1])
    bounds = [upper_bound(Layout(asked.networks), ranges, 0, objective * 2, np.array([m, -m])) for m in range(4)]
    assert bounds == [14, 1, 14, 28]


def test_upper_bound_none_when_no_step_is_left():
    ranges = propagate(line())
    ranges.acc_lo[0, 0], ranges.acc_hi[0, 0], ranges.hi[0, 1] = 5, 9, 4
    arguments = Layout(line().networks), ranges, 0, np.array([0, 1]), np.array([1])
    assert upper_bound(*arguments) is None


def test_upper_bound_leaves_its_arguments_alone():
    objective, multipliers = np.array([0, 1]), np.array([3])
    upper_bound(Layout(line().networks), propagate(line()), 0, objective, multipliers)
    assert (objective.tolist(), multipliers.tolist()) == ([0, 1], [3])


def random_node(seed: int, exponent: int):
    """A query's points, a node of it, up to three inequalities over any values and their shares, and multipliers of the given size."""
    rng, generator = random.Random(seed), np.random.default_rng(seed)
    asked = random_asked(rng)
    points = space(asked)
    layout, ranges = points.layout, narrowed(rng, asked, points.layout, 1, 4)
    if rng.random() < 0.5:
        ranges.propagate(layout)
    terms = []
    for _ in range(rng.randint(1, 3)):
        values = generator.permutation(layout.num_values)[: rng.randint(1, layout.num_values)]
        terms.append((values, generator.integers(-9, 10, len(values)), rng.randint(-50, 50)))
    shares = generator.normal(0.5, 10.0 ** max(-20, exponent), len(terms)).astype(np.float32)
    multipliers = (generator.normal(0, 10.0**exponent, layout.num_neurons) * generator.integers(0, 2, layout.num_neurons)).astype(
        np.float32
    )
    return points, ranges, terms, shares, multipliers


def prove(layout, ranges, terms, shares, multipliers):
    """The one row's value, shares and multipliers."""
    atoms = np.arange(len(terms), dtype=np.int32)[None]
    said = Dual(layout, terms).prove(ranges, np.zeros(1, np.int64), atoms, shares[None], multipliers[None])
    return said.values[0], said.shares[0].tolist(), said.multipliers[0].tolist()


@settings(derandomize=True, deadline=None, max_examples=400)
@given(st.integers(0, 2**32 - 1), st.integers(-30, 22))
def test_kernel_and_twin_say_the_same(seed, exponent):
    """Whether the integers fit or not, and never less than any point attains."""
    points, ranges, terms, shares, multipliers = random_node(seed, exponent)
    value, whole, rounded = prove(points.layout, ranges, terms, shares, multipliers)
    expected = proved(points.layout, ranges, 0, terms, shares, multipliers)
    if expected[0] == NO_BOUND:
        assert value == NO_BOUND
        return
    assert (value, whole, rounded) == expected
    inside = points.inside(ranges, 0)
    slack = sum(share * (most - points.values[inside][:, v].astype(object) @ c) for share, (v, c, most) in zip(whole, terms, strict=True))
    if inside.any():
        assert value >= max(slack)


def test_kernel_and_twin_say_the_same_of_steps_of_many_lengths():
    """Steps that grow, lack some outputs, or are cut by accumulators: only their breakpoints count."""
    rng = random.Random(1)
    for shift, rounding in [
        (-2, "floor"),
        (0, "floor"),
        (1, "half_even"),
        (2, "half_even"),
        (2, "toward_zero"),
        (3, "half_away"),
        (1, "half_up"),
    ]:
        network = one_layer([[3, -2], [5, 7]], [1, -9], ShiftRequantizer(shift, rounding, -20, 23), tensor(2, -15, 15))
        layout = Layout(query(network, TRUE).networks)
        for _ in range(60):
            ranges = propagate(query(network, TRUE))
            for lo, hi, width in ((ranges.acc_lo, ranges.acc_hi, 40), (ranges.lo[:, 2:], ranges.hi[:, 2:], 12)):
                for i in range(2):
                    a, b = sorted(rng.randint(int(lo[0, i]), int(hi[0, i])) for _ in range(2))
                    lo[0, i], hi[0, i] = (a, b) if rng.random() < 0.5 else (a, min(int(hi[0, i]), a + width))
            terms = [(np.array([2, 3]), np.array([rng.randint(-9, 9), rng.randint(-9, 9)]), 0)]
            floats = np.ones(1, np.float32), np.array([rng.uniform(-3, 3), rng.uniform(-3, 3)], np.float32)
            assert prove(layout, ranges, terms, *floats) == proved(layout, ranges, 0, terms, *floats)


def test_bends_by_hand():
    """Steps of 4, 2, 2, 2, 2, 3, 0, 3, 3 accumulators: the second of the twos has a longer one before it, the fourth one behind it."""
    steps = np.cumsum([0, 4, 2, 2, 2, 2, 3, 0, 3, 3])
    assert breakpoints(steps).tolist() == [1, 4, 4, 4, 5, 6, 7, 8, 9]


HUGE = {
    "bias": (one_layer([[1, -1]], [(1 << 59) - 100], ShiftRequantizer(55, "half_up", 0, 15), tensor(2)), 3),
    "weights": (one_layer([[(1 << 31) - 1, 1 - (1 << 31)]], None, ShiftRequantizer(31, "floor", -8, 7), tensor(2, 0, 1 << 20)), 113e6),
    "multipliers": (one_layer([[1, -1]], None, ShiftRequantizer(0, "floor", 0, 15), tensor(2)), 22e16),
}  # fmt: skip


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(("network", "m"), HUGE.values(), ids=HUGE)
def test_integers_near_int64_are_answered_by_python(network, m, sign):
    asked = query(network, TRUE, Box(np.array([0, 0]), np.array([3, 3])))
    layout, ranges = Layout(asked.networks), propagate(asked)
    terms, floats = [(np.array([2]), np.array([-sign]), 0)], (np.ones(1, np.float32), np.array([m], np.float32))
    assert states(layout, ranges, terms, *floats) == [_dual.OVERFLOW]
    assert prove(layout, ranges, terms, *floats) == proved(layout, ranges, 0, terms, *floats)


@pytest.mark.parametrize("bound", [(1 << 59) + 3, -(1 << 59) - 3])
def test_bounds_of_inequalities_near_int64_are_answered_by_python(bound):
    layout, ranges = Layout(line().networks), propagate(line())
    terms, floats = [(np.array([1]), np.array([1]), bound)], (np.ones(1, np.float32), np.ones(1, np.float32))
    assert states(layout, ranges, terms, *floats) == [_dual.OVERFLOW]
    assert prove(layout, ranges, terms, *floats) == proved(layout, ranges, 0, terms, *floats)


def states(layout, ranges, terms, shares, multipliers) -> list[int]:
    arrays = np.arange(len(terms), dtype=np.int32)[None], shares[None], multipliers[None]
    return Dual(layout, terms).kernel.run(ranges.lo, ranges.hi, ranges.acc_lo, ranges.acc_hi, np.zeros(1, np.int64), *arrays)[0].tolist()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30, 2.0**62])
def test_multipliers_that_are_no_integers_prove_nothing(value):
    terms, floats = [(np.array([1]), np.array([1]), -1)], (np.ones(1, np.float32), np.array([value], np.float32))
    assert prove(Layout(line().networks), propagate(line()), terms, *floats)[0] == NO_BOUND


@pytest.mark.parametrize("value", [np.inf, 1e30, 2.0**62])
@pytest.mark.parametrize("values", [[1], []])
def test_shares_that_are_no_integers_prove_nothing(value, values):
    terms, floats = (
        [(np.array(values, np.int64), np.ones(len(values), np.int64), -1)],
        (np.array([value], np.float32), np.zeros(1, np.float32)),
    )
    assert prove(Layout(line().networks), propagate(line()), terms, *floats)[0] == NO_BOUND


@pytest.mark.parametrize("value", [np.nan, -1.0, -np.inf])
def test_shares_below_zero_count_as_none(value):
    """y <= -1 is impossible, but without its share there is nothing to refute."""
    terms, floats = [(np.array([1]), np.array([1]), -1)], (np.array([value], np.float32), np.zeros(1, np.float32))
    assert prove(Layout(line().networks), propagate(line()), terms, *floats) == (0, [0], [0])


def test_no_point_where_no_step_is_left():
    ranges = propagate(line())
    ranges.acc_lo[0, 0], ranges.acc_hi[0, 0], ranges.hi[0, 1] = 5, 9, 4
    assert prove(Layout(line().networks), ranges, [], np.ones(0, np.float32), np.ones(1, np.float32))[0] == NO_POINT


def test_rows_and_inequalities_are_those_asked_for():
    """The third node's y <= 3 and the first one's y <= -1, by y = acc = x from 0 to 15."""
    ranges = propagate(line()).take(np.zeros(3, np.int64))
    ranges.lo[2] = ranges.acc_lo[2, 0] = 7
    terms = [(np.array([1]), np.array([1]), bound) for bound in (-1, 3)]
    atoms = np.array([[0, -1], [-1, -1], [1, -1]], np.int32)
    said = Dual(Layout(line().networks), terms).prove(
        ranges, np.array([2, 0]), atoms, np.ones((3, 2), np.float32), np.full((3, 1), -1, np.float32)
    )  # fmt: skip
    scales = said.shares[:, 0].tolist()
    assert [value / scale for value, scale in zip(said.values, scales, strict=True)] == [3 - 7, -1]
    assert (said.shares[:, 1].tolist(), (-said.multipliers[:, 0]).tolist()) == ([0, 0], scales)


STARTS = np.array([-(1 << 61), 1, 2, 3, 1 << 61])
CLAMP = Steps(TABLE, 0, 3, table=STARTS, breakpoints=breakpoints(STARTS))


def arguments(**change):
    """One node of y = x0 + 2 x1 + 5 over 0 to 3 with the inequality y <= 0, as the kernel takes them."""
    made = {"affine": dense([[1, 2]], [5]).affine, "steps": CLAMP, "view": np.arange(2, dtype=np.int32), "padding": 0}
    made |= {"values": np.array([2]), "coefficients": np.array([1]), "rows": np.array([0])}
    made |= {"lo": np.zeros((1, 3), np.int64), "hi": np.full((1, 3), 3), "acc_lo": np.array([[-4]]), "acc_hi": np.array([[9]])}
    made |= {"atoms": np.zeros((1, 1), np.int32), "shares": np.ones((1, 1), np.float32), "multipliers": np.ones((1, 1), np.float32)}
    return made | change


def run(**given):
    affine, steps, view, padding = (given.pop(name) for name in ("affine", "steps", "view", "padding"))
    values = given.pop("values")
    atoms = Atoms(3, np.array([0, len(values)]), values, given.pop("coefficients"), np.array([0]))
    return _dual.Dual(Layers(2, [(affine, view, padding, (steps,))]), atoms).run(**given)


DOWN = {"multipliers": np.full((1, 1), -1, np.float32)}
PADDED = {"view": np.array([0, -1], np.int32), "padding": -7}


@pytest.mark.parametrize(("change", "value"), [({}, 18), (DOWN, 1), (DOWN | {"steps": Steps(NONE, 0, 3)}, 4), (PADDED, -2)])
def test_kernel_by_hand(change, value):
    """m = 1: -y - acc is at most 4, at (0, -4); bias 5, x0 + 2 x1 up to 9. m = -1: -y + acc up to 6, at (3, 9); without steps 9; -5; 0.
    Padded: 4 + 5 + 3 - 14.
    """
    state, bound, shares, _ = run(**arguments(**change))
    assert (state.tolist(), bound.tolist()) == ([_dual.BOUND], [value * int(shares[0, 0])])


FAULTS = {
    "rows": {"rows": np.array([1])},
    "rows_below": {"rows": np.array([-1])},
    "columns": {"affine": dense([[1, 2, 3]], [5]).affine},
    "view": {"view": np.array([0, 2], np.int32)},
    "no_steps": {"steps": CLAMP._replace(table=np.zeros(1, np.int64))},
    "no_breakpoints": {"steps": CLAMP._replace(breakpoints=np.zeros(1, np.int32))},
    "no_points": {"steps": Steps(POINTS, 0, 3)},
    "lo_below_the_steps": {"lo": np.array([[0, 0, -1]])},
    "hi_above_the_steps": {"hi": np.array([[0, 0, 4]])},
    "values": {"values": np.array([3])},
    "coefficients": {"coefficients": np.array([3, 3])},
    "atoms": {"atoms": np.ones((1, 1), np.int32)},
    "shares": {"shares": np.ones((1, 2), np.float32)},
    "multipliers": {"multipliers": np.ones((2, 1), np.float32)},
    "lo": {"lo": np.zeros((1, 2), np.int64)},
    "acc_hi": {"acc_hi": np.zeros((1, 2), np.int64)},
    "wide_shares": {"shares": np.ones((1, 1))},
}


@pytest.mark.parametrize("change", FAULTS.values(), ids=FAULTS)
def test_arguments_that_do_not_fit(change):
    with pytest.raises(
        ValueError, match=r"expected|leaves|mismatch|no node|before it|thresholds|breakpoints|points|not exist|coefficients"
    ):
        run(**arguments(**change))
