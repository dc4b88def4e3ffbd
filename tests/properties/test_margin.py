"""Margins: not negative exactly where the formula is true, and the inequality that decides them."""

import random

import numpy as np
import pytest
from handmade import x, y
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import random_formula, random_network

from qbitsat.arithmetic import ShiftRequantizer
from qbitsat.network import Dense, Network, TensorFormat, forward
from qbitsat.properties import And, AtMost, Or, Ref
from qbitsat.properties.formula import FALSE, TRUE, is_true, without_not
from qbitsat.properties.margin import gradients, margins

A, B = AtMost(((2, x(0)), (-3, y(1))), 4), AtMost(((1, y(0)),), 1)
FORM = TensorFormat((2,), 0, 9)
NETWORK = Network((Dense("dense", FORM, FORM, (ShiftRequantizer(0, "floor", 0, 9),), np.eye(2, dtype=int), [0, 0]),))
INPUTS, OUTPUTS = [np.array([[0, 0], [5, 0]])], [np.array([[0, 0], [3, 7]])]


@settings(derandomize=True, deadline=None, max_examples=200)
@given(st.integers(0, 2**32 - 1))
def test_margin_is_not_negative_exactly_where_the_formula_is_true(seed):
    rng = random.Random(seed)
    networks = tuple(random_network(rng) for _ in range(rng.randint(1, 2)))
    formula = without_not(random_formula(rng, networks, 4))
    inputs = [np.array([[rng.randint(n.input.lo, n.input.hi) for _ in range(n.input.size)] for _ in range(6)]) for n in networks]
    outputs = [forward(n, points) for n, points in zip(networks, inputs, strict=True)]
    margin, _ = margins(formula, inputs, outputs, [])
    assert (margin >= 0).tolist() == [is_true(formula, [v[p] for v in inputs], [v[p] for v in outputs]) for p in range(6)]


def test_margin_of_an_inequality_is_its_slack():
    assert margins(A, INPUTS, OUTPUTS, [])[0].tolist() == [4, 15]


def test_margin_of_and_is_its_smallest_part():
    assert margins(And((A, B)), INPUTS, OUTPUTS, [])[0].tolist() == [1, -2]


def test_margin_of_or_is_its_largest_part():
    assert margins(Or((A, B)), INPUTS, OUTPUTS, [])[0].tolist() == [4, 15]


@pytest.mark.parametrize(("formula", "sign"), [(TRUE, 1), (FALSE, -1), (And((TRUE, TRUE)), 1), (Or((FALSE,)), -1)])
def test_margin_of_empty_connectives(formula, sign):
    assert np.sign(margins(formula, INPUTS, OUTPUTS, [])[0]).tolist() == [sign, sign]


@pytest.mark.parametrize(("formula", "margin"), [(And((TRUE, B)), [1, -2]), (Or((FALSE, B)), [1, -2])])
def test_margin_of_an_empty_part_never_decides(formula, margin):
    assert margins(formula, INPUTS, OUTPUTS, [])[0].tolist() == margin


def test_margin_at_the_ends_of_the_exact_range():
    big = (1 << 60) // 8
    margin, _ = margins(And((AtMost(((big, y(1)),), -(1 << 57)), TRUE)), INPUTS, OUTPUTS, [])
    assert margin.tolist() == [-(1 << 57), -(1 << 57) - 7 * big]


def test_margin_names_the_inequality_that_decides():
    found: list[AtMost] = []
    _, deciding = margins(Or((And((A, B)), FALSE)), INPUTS, OUTPUTS, found)
    assert [found[i] for i in deciding] == [B, B]
    _, deciding = margins(Or((A, B)), INPUTS, OUTPUTS, found)
    assert [found[i] for i in deciding] == [A, A]


def test_gradients_raise_the_margin_of_each_points_inequality():
    found = [A, B]
    (by_value,) = gradients(found, np.array([0, 1]), [NETWORK])
    assert by_value.tolist() == [[-2, 0, 0, 3], [0, 0, -1, 0]]


def test_gradients_add_up_an_element_named_twice():
    twice = AtMost(((2, x(0)), (3, x(0))), 0)
    assert gradients([twice], np.array([0, 0]), [NETWORK])[0].tolist() == [[-5, 0, 0, 0], [-5, 0, 0, 0]]


def test_gradients_go_to_the_network_that_is_named():
    atom = AtMost(((1, Ref(1, "output", 0)),), 0)
    first, second = gradients([atom], np.array([0, 0]), [NETWORK] * 2)
    assert (first.any(), second.tolist()) == (False, [[0, 0, -1, 0]] * 2)
