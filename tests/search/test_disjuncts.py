"""Formulas taken apart: conjunctions of inequalities that together mean the formula."""

import random

import numpy as np
import pytest
import ranges_twin
from enumerated import narrowed, space
from handmade import copying, query, x, y
from tiny import busy_query, random_formula, truths

from qbitsat._kernels.exact import ranges as _ranges
from qbitsat.bounds import propagate
from qbitsat.bounds.layout import Layout
from qbitsat.properties import And, AtMost, Or, Query
from qbitsat.properties.formula import FALSE, TRUE, without_not
from qbitsat.search.disjuncts import Disjuncts

A, B, C, D = (AtMost(((1, y(0)),), k) for k in range(4))


def disjuncts_of(formula) -> Disjuncts:
    return Disjuncts(Layout((copying(2),)), formula)


def conjunctions(disjuncts: Disjuncts, branch: int = 0) -> list[tuple[AtMost, ...]]:
    """The inequalities of every branch without a waiting `Or`, in order."""
    if not disjuncts.table[branch].waiting:
        return [tuple(disjuncts.formulas[k] for k in disjuncts.table[branch].atoms)]
    return [found for part in disjuncts.parts(branch) for found in conjunctions(disjuncts, part)]


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
def test_disjuncts_by_hand(formula, expected, most):
    disjuncts = disjuncts_of(formula)
    assert conjunctions(disjuncts) == expected
    assert disjuncts.most == most


def test_disjuncts_inequalities_are_added_up_and_numbered_once():
    double = AtMost(((1, y(0)), (2, x(1)), (3, y(0)), (0, x(0))), 5)
    disjuncts = disjuncts_of(Or((double, And((double, A)))))
    assert disjuncts.formulas == [double, A]
    values, coefficients, bound = disjuncts.inequalities[0]
    assert (values.tolist(), coefficients.tolist(), bound) == ([2, 1], [4, 2], 5)


def test_disjuncts_are_remembered():
    disjuncts = disjuncts_of(And((Or((A, B)), Or((C, D)))))
    assert disjuncts.parts(0) == disjuncts.parts(0) == [1, 2]
    assert len({*disjuncts.parts(1), *disjuncts.parts(2)}) == 4


def test_disjuncts_mean_the_formula_on_every_point():
    for seed in range(150):
        rng = random.Random(seed)
        asked = busy_query(rng)
        asked = Query(asked.networks, asked.boxes, random_formula(rng, asked.networks, 4))
        points, formula = space(asked), without_not(asked.violation)
        inputs = [points.values[:, part] for part in points.layout.inputs]
        outputs = [points.values[:, part] for part in points.layout.results]
        disjuncts = Disjuncts(points.layout, formula)
        found = np.zeros(len(points.values), bool)
        for conjunction in conjunctions(disjuncts):
            assert len(conjunction) <= disjuncts.most
            found |= truths(And(conjunction), inputs, outputs)
        assert (found == truths(formula, inputs, outputs)).all()


@pytest.mark.parametrize("seed", range(60))
def test_inequalities_cut_ranges_like_their_twin(seed):
    """Each in turn, until one is out of reach; those that are implied are dropped."""
    rng = random.Random(seed)
    asked = busy_query(rng)
    layout = Layout(asked.networks)
    disjuncts = Disjuncts(layout, without_not(asked.violation))
    for branch in range(20):  # and those met on the way
        if branch < len(disjuncts.table) and disjuncts.table[branch].waiting:
            disjuncts.parts(branch)
    ranges = narrowed(rng, asked, layout, 6, 4)
    branch = np.array([rng.randrange(len(disjuncts.table)) for _ in range(6)])
    same = ranges.take(np.arange(6))
    possible, (atoms, slots, counts) = disjuncts.narrow(branch, ranges), disjuncts.undecided(branch, ranges)
    for row in range(6):
        own = disjuncts.table[branch[row]].atoms
        for atom in own:
            if ranges_twin.reach(disjuncts.inequalities[atom], same, row)[0] > 0:
                assert not possible[row]
                break
            ranges_twin.narrow(disjuncts.inequalities[atom], same, row, disjuncts.cuttable)
        else:
            assert possible[row]
        open_slots = [k for k, atom in enumerate(own) if ranges_twin.reach(disjuncts.inequalities[atom], same, row)[1] > 0]
        rest = [-1] * (disjuncts.most - len(open_slots))
        assert slots[row].tolist() == open_slots + rest
        assert atoms[row].tolist() == [own[k] for k in open_slots] + rest
        assert counts[row] == len(open_slots)
    assert all((mine == other).all() for mine, other in zip(ranges.arrays, same.arrays, strict=True))


def test_inequalities_cut_what_they_leave():
    """2 x0 - 3 x1 <= 4 over 0 to 15: x0 at most 2 where x1 is 0, x1 at least 6 where x0 is 11 or more; the third is out of reach."""
    asked = query(copying(2), AtMost(((2, x(0)), (-3, x(1))), 4))
    disjuncts, ranges = Disjuncts(Layout(asked.networks), asked.violation), propagate(asked).take(np.zeros(3, np.int64))
    ranges.hi[0, 1], ranges.lo[1, 0], ranges.lo[2, 0], ranges.hi[2, 1] = 0, 11, 6, 2
    branch = np.zeros(3, np.int64)
    assert disjuncts.narrow(branch, ranges).tolist() == [True, True, False]
    assert (ranges.hi[0, 0], ranges.lo[1, 1]) == (2, 6)
    assert disjuncts.name_inputs(branch)
    assert disjuncts.undecided(branch, ranges)[2].tolist() == [0, 1, 1]


@pytest.mark.parametrize(("bound", "possible"), [(-3, False), (0, True)])
def test_inequality_without_terms(bound, possible):
    asked = query(copying(2), AtMost((), bound))
    disjuncts, ranges = Disjuncts(Layout(asked.networks), asked.violation), propagate(asked)
    assert disjuncts.narrow(np.zeros(1, np.int64), ranges).tolist() == [possible]
    assert disjuncts.undecided(np.zeros(1, np.int64), ranges)[2].tolist() == [not possible]


@pytest.mark.parametrize("change", ["atoms", "rows", "cuttable"])
def test_inequalities_that_do_not_fit(change):
    asked = query(copying(2), AtMost(((1, x(0)),), 4))
    disjuncts, ranges = Disjuncts(Layout(asked.networks), asked.violation), propagate(asked)
    atoms = np.full((2 if change == "rows" else 1, 1), int(change == "atoms"), np.int32)
    cuttable = disjuncts.cuttable[: 2 if change == "cuttable" else None]
    with pytest.raises(ValueError, match=r"expected|not exist"):
        _ranges.narrow(disjuncts.layout.kernel, *ranges.arrays, disjuncts.kernel, atoms, cuttable)
