"""Formulas taken apart: conjunctions of inequalities that together mean the formula."""

import random

import numpy as np
import pytest
from enumerated import space
from handmade import copying, query, x, y
from tiny import busy_query, random_formula, truths

from qbitsat.bounds import propagate
from qbitsat.bounds.frame import Frame
from qbitsat.bounds.ranges import Ranges
from qbitsat.properties import And, AtMost, Or, Query
from qbitsat.properties.formula import FALSE, TRUE, without_not
from qbitsat.search.cases import Cases

A, B, C, D = (AtMost(((1, y(0)),), k) for k in range(4))


def cases_of(formula) -> Cases:
    return Cases(Frame(query(copying(2), formula)), formula)


def conjunctions(cases: Cases, case: int = 0) -> list[tuple[AtMost, ...]]:
    """The inequalities of every case without a waiting `Or`, in order."""
    if not cases.table[case].waiting:
        return [tuple(cases.formulas[k] for k in cases.table[case].atoms)]
    return [found for part in cases.parts(case) for found in conjunctions(cases, part)]


FORMULAS = [
    (A, [(A,)], 1),
    (TRUE, [()], 1),
    (FALSE, [], 1),
    (And((A, And((B, And(()), C)))), [(A, B, C)], 3),
    (And((A, A)), [(A, A)], 2),
    (Or((A, B)), [(A,), (B,)], 1),
    (Or((A, Or((B, C)))), [(A,), (B,), (C,)], 1),
    (Or((A, FALSE)), [(A,)], 1),
    (Or((A, TRUE)), [(A,), ()], 1),
    (And((A, FALSE)), [], 1),
    (And((Or((A, B)), Or((C, D)))), [(A, C), (A, D), (B, C), (B, D)], 2),
    (And((Or((A, B)), C)), [(C, A), (C, B)], 2),
    (Or((And((A, Or((B, C)))), D)), [(A, B), (A, C), (D,)], 2),
    (Or((And((A, B, C)), D)), [(A, B, C), (D,)], 3),
]


@pytest.mark.parametrize(("formula", "expected", "most"), FORMULAS)
def test_cases_by_hand(formula, expected, most):
    cases = cases_of(formula)
    assert conjunctions(cases) == expected
    assert cases.most == most


def test_cases_inequalities_are_added_up_and_numbered_once():
    double = AtMost(((1, y(0)), (2, x(1)), (3, y(0)), (0, x(0))), 5)
    cases = cases_of(Or((double, And((double, A)))))
    assert cases.formulas == [double, A]
    values, coefficients, bound = cases.inequalities[0]
    assert (values.tolist(), coefficients.tolist(), bound) == ([2, 1], [4, 2], 5)


def test_cases_are_remembered():
    cases = cases_of(And((Or((A, B)), Or((C, D)))))
    assert cases.parts(0) == cases.parts(0) == [1, 2]
    assert len({*cases.parts(1), *cases.parts(2)}) == 4


def test_cases_mean_the_formula_on_every_point():
    for seed in range(150):
        rng = random.Random(seed)
        asked = busy_query(rng)
        asked = Query(asked.networks, asked.boxes, random_formula(rng, asked.networks, 4))
        points, formula = space(asked), without_not(asked.violation)
        inputs = [points.values[:, part] for part in points.frame.inputs]
        outputs = [points.values[:, part] for part in points.frame.outputs]
        cases = Cases(points.frame, formula)
        found = np.zeros(len(points.values), bool)
        for conjunction in conjunctions(cases):
            assert len(conjunction) <= cases.most
            found |= truths(And(conjunction), inputs, outputs)
        assert (found == truths(formula, inputs, outputs)).all()


def test_reach_is_reached():
    asked = query(copying(2), AtMost(((2, x(0)), (-3, x(1))), 4))
    cases, ranges = Cases(Frame(asked), asked.violation), Ranges.of(propagate(asked)).take(np.zeros(3, np.int64))
    ranges.lo[1, 0], ranges.hi[2, 1] = 10, 2
    low, high = cases.reach(0, ranges, np.array([0, 2, 1]))
    assert (low.tolist(), high.tolist()) == ([-49, -10, -29], [26, 26, 26])


def test_reach_of_an_inequality_without_terms():
    asked = query(copying(2), AtMost((), -3))
    low, high = Cases(Frame(asked), asked.violation).reach(0, Ranges.of(propagate(asked)), np.array([0]))
    assert (low.tolist(), high.tolist()) == ([3], [3])
