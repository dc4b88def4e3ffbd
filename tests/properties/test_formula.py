"""Formulas: their truth, negation pushed inwards, and walking over them."""

import itertools
import random

import pytest
from handmade import copying, x, y
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import random_formula

from qbitsat.properties import And, AtMost, Formula, Not, Or, Ref, at_least
from qbitsat.properties.formula import FALSE, TRUE, atoms, is_true, measure, without_not

EXAMPLES = settings(derandomize=True, deadline=None, max_examples=200)
A, B, C = AtMost(((1, x(0)),), 0), AtMost(((1, y(0)),), 1), AtMost(((2, y(1)), (-1, x(1))), 3)


def holds(formula, inputs=(0, 0), outputs=(0, 0)) -> bool:
    return is_true(formula, [inputs], [outputs])


def has_not(formula) -> bool:
    return isinstance(formula, Not) or (not isinstance(formula, AtMost) and any(has_not(part) for part in formula.parts))


@pytest.mark.parametrize(("value", "truth"), [(4, True), (5, True), (6, False)])
def test_at_most_includes_its_bound(value, truth):
    assert holds(AtMost(((1, x(0)),), 5), (value, 0)) == truth


@pytest.mark.parametrize(("value", "truth"), [(4, False), (5, True), (6, True)])
def test_at_least_includes_its_bound(value, truth):
    assert holds(at_least(((1, x(0)),), 5), (value, 0)) == truth


def test_at_least_is_its_sum():
    formula = at_least(((2, x(0)), (-3, y(1))), -4)
    for a, b in itertools.product(range(-5, 6), repeat=2):
        assert holds(formula, (a, 0), (0, b)) == (2 * a - 3 * b >= -4)


def test_atom_adds_up_an_element_named_twice():
    atom = AtMost(((2, x(0)), (3, x(0)), (-5, x(0))), 0)
    assert all(holds(atom, (v, 0)) for v in (-9, 0, 9))


@pytest.mark.parametrize(("bound", "truth"), [(-1, False), (0, True), (1, True)])
def test_atom_without_terms_compares_zero(bound, truth):
    assert holds(AtMost((), bound)) == truth


def test_atom_beyond_64_bits_is_exact():
    assert not holds(AtMost(((1 << 70, x(0)),), 1 << 70), (2, 0))


def test_atom_tells_networks_and_tensors_apart():
    values = {Ref(k, tensor, i): 4 * k + 2 * (tensor == "output") + i for k in (0, 1) for tensor in ("input", "output") for i in (0, 1)}
    inputs, outputs = ([[values[Ref(k, tensor, i)] for i in (0, 1)] for k in (0, 1)] for tensor in ("input", "output"))
    for ref, value in values.items():
        assert is_true(AtMost(((1, ref),), value), inputs, outputs)
        assert not is_true(AtMost(((1, ref),), value - 1), inputs, outputs)


@pytest.mark.parametrize(("a", "b", "c"), list(itertools.product((TRUE, FALSE), repeat=3)))
def test_connectives_truth_table(a, b, c):
    truths = [formula == TRUE for formula in (a, b, c)]
    assert holds(And((a, b, c))) == all(truths)
    assert holds(Or((a, b, c))) == any(truths)
    assert holds(Not(a)) != truths[0]


def test_empty_connectives():
    assert holds(And(()))
    assert not holds(Or(()))
    assert not holds(Not(And(())))
    assert holds(Not(Or(())))


@pytest.mark.parametrize("formula", [TRUE, FALSE, A, Not(A), Not(Not(A)), Not(Not(Not(And((A, Not(B))))))])
def test_without_not_names_no_negation(formula):
    assert not has_not(without_not(formula))


def test_without_not_of_an_empty_connective():
    assert without_not(Not(TRUE)) == FALSE
    assert without_not(Not(FALSE)) == TRUE


def test_without_not_of_an_inequality_is_strict():
    assert without_not(Not(AtMost(((2, x(0)),), 5))) == AtMost(((-2, x(0)),), -6)


@EXAMPLES
@given(st.integers(0, 2**32 - 1))
def test_without_not_keeps_the_truth(seed):
    rng = random.Random(seed)
    formula = random_formula(rng, (copying(2),), 5)
    plain = without_not(formula)
    assert not has_not(plain)
    for _ in range(10):
        inputs, outputs = ([rng.randint(-9, 9) for _ in range(2)] for _ in range(2))
        assert holds(plain, inputs, outputs) == holds(formula, inputs, outputs) != holds(Not(formula), inputs, outputs)


def test_atoms_left_to_right():
    assert list(atoms(And((A, Not(Or((B, TRUE))), A, C)))) == [A, B, A, C]


@pytest.mark.parametrize(("formula", "levels"), [(A, 1), (TRUE, 1), (Not(A), 2), (And((A, Not(Or((B,))), C)), 4)])
def test_depth_counts_levels(formula, levels):
    assert measure(formula)[0] == levels


def test_depth_of_what_recursion_could_not_reach():
    formula: Formula = A
    for _ in range(10**5):
        formula = Not(formula)
    assert measure(formula) == (10**5 + 1, 10**5 + 1)
