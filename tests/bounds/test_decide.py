"""What bounds decide of a formula: never its truth on a point, and accumulators only where outputs can't tie."""

import itertools
import random

import numpy as np
import pytest
from handmade import copying, one_layer, query, tensor, whole_box, x, y
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import points_of, random_query

from qbitsat.arithmetic import ROUNDINGS, DivisionRequantizer, ShiftRequantizer
from qbitsat.bounds import propagate, simplify
from qbitsat.bounds.decide import MAX_LEVELS, widest_step
from qbitsat.network import forward
from qbitsat.properties import And, AtMost, Box, Formula, Not, Or, Query, Ref, robustness
from qbitsat.properties.formula import FALSE, TRUE, is_true

OPEN = AtMost(((1, y(0)),), 7)
NEVER = AtMost(((1, y(0)),), -1)
ALWAYS = AtMost(((1, y(0)),), 15)


def simple(formula: Formula, network=None) -> Formula:
    asked = query(network or copying(2), formula)
    return simplify(asked, propagate(asked))


def truths(asked: Query, formula: Formula) -> list[bool]:
    """The formula on every combination of points of the boxes."""
    tables = []
    for network, box in zip(asked.networks, asked.boxes, strict=True):
        points = points_of(box)
        tables.append(list(zip(points.tolist(), forward(network, points).tolist(), strict=True)))
    return [is_true(formula, *zip(*combination, strict=True)) for combination in itertools.product(*tables)]


def assert_same_truth(asked: Query) -> Formula:
    formula = simplify(asked, propagate(asked))
    assert truths(asked, formula) == truths(asked, asked.violation)
    return formula


@settings(derandomize=True, deadline=None, max_examples=200)
@given(st.integers(0, 2**32 - 1))
def test_simplify_keeps_the_truth_of_every_point(seed):
    assert_same_truth(random_query(random.Random(seed)))


@settings(derandomize=True, deadline=None, max_examples=400)
@given(st.integers(0, 2**32 - 1))
def test_simplify_keeps_the_truth_of_rankings(seed):
    """Two neurons of nearly one direction, so that the accumulators' order is nearly fixed and outputs often tie."""
    rng = random.Random(seed)
    lo = rng.choice([-4, -1, 0])
    overflow = rng.choice(["saturate"] * 4 + ["wrap"])
    requantizer = ShiftRequantizer(
        rng.randint(-1, 3), rng.choice(ROUNDINGS), lo, lo + rng.choice([1, 3, 7, 63]), overflow, rng.randint(-3, 3)
    )
    row = [rng.randint(-4, 4) for _ in range(2)]
    weights = np.array([row, [w + rng.choice([0, 0, 0, 1, -1]) for w in row]])
    step = 1 << max(0, requantizer.shift)
    bias = [rng.randint(-20, 20)] * 2
    bias[1] += rng.choice([0, 1, step - 1, step, step + 1, 2 * step - 2, 2 * step - 1, 2 * step]) * rng.choice([1, -1])
    network = one_layer(weights, bias, requantizer, tensor(2, -5, 5))
    first, second = rng.choice([(0, 1), (1, 0)])
    formula = AtMost(((1, y(first)), (-1, y(second))), rng.choice([-2, -1, 0, 0, 1]))
    assert_same_truth(query(network, formula))


CONNECTIVES = [
    (OPEN, OPEN),
    (ALWAYS, TRUE),
    (NEVER, FALSE),
    (Not(ALWAYS), FALSE),
    (Not(Not(OPEN)), OPEN),
    (Not(OPEN), AtMost(((-1, y(0)),), -8)),
    (And(()), TRUE),
    (Or(()), FALSE),
    (Not(And(())), FALSE),
    (Not(Or(())), TRUE),
    (And((ALWAYS, OPEN)), OPEN),
    (And((OPEN, NEVER)), FALSE),
    (Or((NEVER, OPEN)), OPEN),
    (Or((OPEN, ALWAYS)), TRUE),
    (And((Or((NEVER,)), OPEN)), FALSE),
    (Or((And((ALWAYS,)), OPEN)), TRUE),
    (And((Or(()), OPEN)), FALSE),
    (Or((And(()), OPEN)), TRUE),
    (And((OPEN, Not(Or((NEVER, Not(OPEN)))))), And((OPEN, OPEN))),
    (AtMost((), 0), TRUE),
    (AtMost((), -1), FALSE),
    (Not(AtMost((), -1)), TRUE),
]


@pytest.mark.parametrize(("formula", "left"), CONNECTIVES)
def test_simplify_connectives(formula, left):
    assert simple(formula) == left


@pytest.mark.parametrize(("bound", "left"), [(-16, FALSE), (-15, None), (14, None), (15, TRUE)])
def test_simplify_decides_exactly_at_the_ends(bound, left):
    formula = AtMost(((1, x(0)), (-1, x(1))), bound)
    assert simple(formula) == (formula if left is None else left)


def test_simplify_adds_up_an_element_named_twice():
    assert simple(AtMost(((5, y(0)), (-5, y(0))), 0)) == TRUE
    assert simple(AtMost(((5, y(0)), (-5, y(0))), -1)) == FALSE


def test_simplify_ranking_needs_elements_added_up():
    network = one_layer([[1], [1]], [0, 1], ShiftRequantizer(0, "floor", -99, 99))
    ranked = AtMost(((3, y(1)), (-2, y(1)), (-1, y(0))), 0)
    assert simple(ranked, network) == FALSE
    assert simple(AtMost(((2, y(1)), (-1, y(0))), 0), network) != FALSE


def test_coefficients_in_order_of_first_mention_without_zeros():
    terms = AtMost(((1, y(1)), (2, x(0)), (3, y(1)), (-1, y(0)), (1, y(0)), (0, x(1))), 5).coefficients()
    assert list(terms.items()) == [(y(1), 4), (x(0), 2)]


def rounded_pair(gap: int, rounding: str, shift: int, lo: int = -100, hi: int = 100):
    """acc_0 = x, acc_1 = x - gap for x in -40..40: output 1 never comes before output 0 unless they tie."""
    return one_layer([[1], [1]], [0, -gap], ShiftRequantizer(shift, rounding, lo, hi), tensor(1, -40, 40))


TIE = AtMost(((1, y(0)), (-1, y(1))), 0)
ABOVE = AtMost(((1, y(0)), (-1, y(1))), -1)


@pytest.mark.parametrize("gap", [0, 1, 3, 40])
def test_ranking_strictly_above_is_impossible_without_any_gap(gap):
    asked = query(rounded_pair(gap, "half_up", 2), ABOVE)
    assert assert_same_truth(asked) == FALSE


def test_ranking_strictly_above_is_open_when_the_accumulators_can_cross():
    asked = query(rounded_pair(-1, "half_up", 2), ABOVE)
    assert any(truths(asked, assert_same_truth(asked)))


WIDEST = [("floor", 4), ("half_up", 4), ("half_away", 4), ("half_even", 5), ("toward_zero", 7)]


@pytest.mark.parametrize(("rounding", "width"), WIDEST)
def test_ranking_tie_is_impossible_from_the_widest_step_on(rounding, width):
    asked = query(rounded_pair(width, rounding, 2), TIE)
    assert assert_same_truth(asked) == FALSE


@pytest.mark.parametrize(("rounding", "width"), WIDEST)
def test_ranking_tie_happens_just_below_the_widest_step(rounding, width):
    asked = query(rounded_pair(width - 1, rounding, 2), TIE)
    assert any(truths(asked, assert_same_truth(asked)))


@pytest.mark.parametrize(("rounding", "acc", "other"), [("half_even", 2, -2), ("toward_zero", 3, -1)])
def test_ranking_accumulators_2_to_the_shift_apart_can_tie(rounding, acc, other):
    """One power of two is not enough: half_even gives 0 to 5 accumulators at shift 2, toward_zero to 7."""
    requantizer = ShiftRequantizer(2, rounding, -100, 100)
    assert acc - other == 1 << 2
    assert requantizer.apply(acc) == requantizer.apply(other) == 0
    asked = query(rounded_pair(4, rounding, 2), TIE)
    assert any(truths(asked, assert_same_truth(asked)))


@pytest.mark.parametrize(("lo", "hi"), [(0, 100), (-100, 9), (0, 9), (0, 1)])
def test_ranking_saturated_outputs_tie_though_their_accumulators_differ(lo, hi):
    asked = query(rounded_pair(20, "floor", 1, lo, hi), TIE)
    assert any(truths(asked, assert_same_truth(asked)))


def test_ranking_of_a_class_saturated_like_its_rival_is_lost():
    """acc_1 - acc_0 = 50 always, but both outputs saturate at 15: the class goes to the lower index."""
    network = one_layer([[1], [1]], [50, 100], ShiftRequantizer(0, "floor", 0, 15))
    asked = robustness(network, [3], 2, 1)
    assert simplify(asked, propagate(asked)) == TRUE


def test_ranking_saturated_only_at_the_far_ends_can_not_tie():
    network = one_layer([[1], [1]], [0, -4], ShiftRequantizer(1, "floor", 0, 9), tensor(1, 2, 20))
    assert assert_same_truth(query(network, TIE)) == FALSE


@pytest.mark.parametrize(
    "requantizers",
    [
        (ShiftRequantizer(0, "floor", -16, 15, "wrap"),),
        (ShiftRequantizer(0, "floor", -16, 15), ShiftRequantizer(0, "floor", -16, 15, offset=2)),
    ],
    ids=["wrap", "offsets"],
)
def test_ranking_is_open_where_requantizers_do_not_keep_the_order(requantizers):
    asked = query(one_layer([[1], [1]], [0, -1], requantizers, tensor(1, -16, 15)), ABOVE)
    assert any(truths(asked, assert_same_truth(asked)))


def test_ranking_by_a_distance_is_open_where_outputs_are_closer():
    asked = query(rounded_pair(4, "floor", 2), AtMost(TIE.terms, 1))
    assert all(truths(asked, assert_same_truth(asked)))


def test_ranking_of_outputs_of_two_networks_is_open():
    network = copying(1)
    tie = AtMost(((1, Ref(0, "output", 0)), (-1, Ref(1, "output", 0))), -1)
    asked = Query((network, network), (whole_box(network), whole_box(network)), tie)
    assert assert_same_truth(asked) == tie


def test_ranking_of_an_input_and_an_output_is_open():
    network = one_layer([[1, 0], [1, 0]], [0, 1], ShiftRequantizer(0, "floor", -1, 20), tensor(2, 0, 3))
    asked = query(network, AtMost(((1, x(1)), (-1, y(0))), -1))
    assert any(truths(asked, assert_same_truth(asked)))


def test_ranking_uses_the_box():
    network = one_layer([[2], [1]], [0, 0], ShiftRequantizer(0, "floor", 0, 99))
    apart = query(network, TIE, Box(np.array([1]), np.array([15])))
    assert assert_same_truth(apart) == FALSE
    assert assert_same_truth(query(network, TIE)) == TIE


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("shift", [-2, 0, 1, 3])
def test_widest_step_is_the_most_accumulators_of_one_output(rounding, shift):
    requantizer = ShiftRequantizer(shift, rounding, -6, 6, offset=1)
    values = [requantizer.apply(acc) for acc in range(-100, 101)]
    assert widest_step(requantizer) == max(values.count(v) for v in range(-5, 6))


@pytest.mark.parametrize("levels", [1, 2])
def test_widest_step_without_unsaturated_outputs(levels):
    assert widest_step(ShiftRequantizer(3, "floor", 0, levels - 1)) == 0


def test_widest_step_of_too_many_levels_is_out_of_reach():
    assert widest_step(ShiftRequantizer(3, "floor", 0, MAX_LEVELS)) == 8
    assert widest_step(ShiftRequantizer(3, "floor", 0, MAX_LEVELS + 1)) == 8
    assert widest_step(DivisionRequantizer(3, 0, MAX_LEVELS + 1)) == 1 << 62
