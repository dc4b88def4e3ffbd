"""Leaves: SAT inside the ranges of one node, against the points that lie there."""

import random

import numpy as np
import pytest
from enumerated import narrowed, space
from handmade import one_layer, query, tensor, x, y
from tiny import busy_query, tight_formula, truths

from qbitsat.arithmetic import ShiftRequantizer
from qbitsat.bounds import propagate
from qbitsat.bounds.layout import Layout
from qbitsat.bounds.reduction import Reduction
from qbitsat.bounds.tighten import tighten
from qbitsat.limits import LimitReached, Limits
from qbitsat.options import ENCODINGS, make_options
from qbitsat.properties import And, AtMost
from qbitsat.properties.formula import FALSE, TRUE, atoms, without_not
from qbitsat.search.leaves import Leaf
from qbitsat.solvers import sat


def solved(asked, root, ranges, row, formulas, **options):
    """(satisfiable, inputs)."""
    result, inputs, _ = Leaf(Reduction(asked, root, asked.violation), Layout(asked.networks), root, ranges, row, formulas).solve(
        make_options(**options), Limits()
    )
    return result.satisfiable, inputs


def check_leaf(seed: int) -> tuple[bool, bool]:
    """One random node against enumeration: whether it has points at all, and some that satisfy the inequalities."""
    rng = random.Random(seed)
    asked = busy_query(rng)
    points = space(asked)
    root = propagate(asked)
    if rng.random() < 0.5:
        assert tighten(points.layout, root, 10) is not None
    ranges = narrowed(rng, asked, points.layout, 1, 6)
    for name in ("acc_lo", "acc_hi"):
        setattr(ranges, name, getattr(root, name).copy())
    inputs = rng.random() < 0.3
    if inputs:
        i = rng.randrange(points.layout.num_inputs)
        ranges.lo[0, i] = rng.randint(int(ranges.lo[0, i]), int(ranges.hi[0, i]))
    if not ranges.propagate(points.layout, inputs).all():
        return False, False
    values = ([points.values[:, part] for part in parts] for parts in (points.layout.inputs, points.layout.results))
    inputs, outputs = values
    formulas = list(atoms(without_not(tight_formula(rng, asked.networks, inputs, outputs, rng.randint(0, 2)))))
    inside = points.inside(ranges, 0)
    wanted = inside & truths(And(tuple(formulas)), inputs, outputs)
    satisfiable, found = solved(asked, root, ranges, 0, formulas, encoding=rng.choice(ENCODINGS))
    assert satisfiable == wanted.any()
    if found is not None:
        flat = [v for x in found for v in x]
        assert flat in points.values[wanted][:, : points.layout.num_inputs].tolist()
    return bool(inside.any()), bool(wanted.any())


def test_leaves_agree_with_enumeration():
    seen = [check_leaf(seed) for seed in range(400)]
    assert all(seen.count(pair) > 20 for pair in ((False, False), (True, False), (True, True)))


def two_outputs(overflow: str = "saturate"):
    """y0 = x0, y1 = x0 + x1, both 0 to 7."""
    requantizer = ShiftRequantizer(0, "floor", 0, 7, overflow)
    return query(one_layer([[1, 0], [1, 1]], None, (ShiftRequantizer(0, "floor", 0, 7), requantizer), tensor(2, 0, 7)), TRUE)


@pytest.mark.parametrize(("wanted", "inputs"), [(5, (5, 0)), (6, None)])
def test_leaf_cuts_of_outputs_that_no_inequality_names(wanted, inputs):
    asked = two_outputs()
    root = propagate(asked)
    ranges = root.take(np.zeros(1, np.int64))
    ranges.hi[0, 3] = 5
    assert ranges.propagate(Layout(asked.networks)).all()
    satisfiable, found = solved(asked, root, ranges, 0, [AtMost(((-1, y(0)),), -wanted)])
    assert (satisfiable, found) == (inputs is not None, inputs and (inputs,))


def test_leaf_with_an_output_fixed_by_a_split():
    asked = two_outputs()
    root = propagate(asked)
    ranges = root.take(np.zeros(1, np.int64))
    ranges.lo[0, 3] = ranges.hi[0, 3] = 6
    assert ranges.propagate(Layout(asked.networks)).all()
    satisfiable, (found,) = solved(asked, root, ranges, 0, [AtMost(((-1, x(0)),), -4)])
    assert satisfiable
    assert sum(found) == 6


def test_leaf_narrowed_by_accumulators_alone():
    """A saturated output says y1 = 7; the node says which accumulators."""
    asked = two_outputs()
    root = propagate(asked)
    ranges = root.take(np.zeros(1, np.int64))
    ranges.acc_lo[0, 1] = 14
    assert ranges.propagate(Layout(asked.networks)).all()
    assert solved(asked, root, ranges, 0, []) == (True, ((7, 7),))


def test_leaf_behind_wrap_around():
    asked = two_outputs("wrap")
    root = propagate(asked)
    assert solved(asked, root, root, 0, [AtMost(((1, y(1)),), 0), AtMost(((-1, x(0)),), -7)])[0]
    assert not solved(asked, root, root, 0, [AtMost(((1, y(1)),), 0), AtMost(((-1, x(0)), (-1, x(1))), -9)])[0]


def test_leaf_without_an_answer_has_no_inputs(monkeypatch):
    monkeypatch.setattr(sat, "solve", lambda *_, **__: sat.SatResult(None, "conflicts"))
    asked = two_outputs()
    root = propagate(asked)
    assert solved(asked, root, root, 0, []) == (None, None)


def test_leaf_encoding_keeps_the_limits():
    asked = two_outputs()
    root = propagate(asked)
    with pytest.raises(LimitReached, match="timeout"):
        Leaf(Reduction(asked, root, FALSE), Layout(asked.networks), root, root, 0, [AtMost(((1, y(1)),), 5)]).encode(
            make_options(), Limits(timeout=0)
        )
