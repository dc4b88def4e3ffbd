"""The linear relaxation leaves out no point, and is the same whatever was solved before."""

import random

import numpy as np
import pytest
from enumerated import narrowed, space
from graphs import graph_query
from relaxation_twin import Relaxation
from tiny import busy_query

from qbitsat.arithmetic.steps import NOWHERE
from qbitsat.properties.formula import without_not
from qbitsat.search.disjuncts import Disjuncts


def relaxation(asked):
    """The relaxation of a query, and its disjuncts."""
    every = space(asked)
    disjuncts = Disjuncts(every.layout, without_not(asked.violation))
    units = np.concatenate([block.units for block in every.layout.blocks])
    return Relaxation(every.layout, disjuncts.inequalities, units), disjuncts, every


def equal_steps(layout) -> bool:
    starts = [r.thresholds(NOWHERE) for block in layout.blocks if block.stepped.all() for r in block.layer.requantizers]
    inner = [np.diff(row[np.abs(row) < NOWHERE]) for row in starts]
    return all(len(np.unique(lengths)) <= 1 for lengths in inner)


def relaxed_nodes():
    """Queries with a node that has something left and one or two of their inequalities; their relaxation, disjuncts and space."""
    for seed in range(220):
        rng = random.Random(seed)
        asked = busy_query(rng) if seed < 150 else graph_query(rng, ("shift",), 3)
        relaxed, disjuncts, every = relaxation(asked)
        ranges = narrowed(rng, asked, every.layout, 1, 2)
        if ranges.propagate(every.layout, inputs=True).all() and disjuncts.inequalities:
            atoms = rng.sample(range(len(disjuncts.inequalities)), min(2, len(disjuncts.inequalities)))
            yield asked, ranges, atoms, relaxed, disjuncts, every


def slack(relaxed, ranges, atoms) -> float | None:
    """By how much all inequalities hold at once in the relaxation; None if it is empty."""
    duals = relaxed.duals(ranges, atoms, None, 10.0)
    return None if duals is None or duals.empty else -relaxed.solver.getInfo().objective_function_value


def test_relaxation_leaves_out_no_point():
    checked = 0
    for _, ranges, atoms, relaxed, disjuncts, every in relaxed_nodes():
        inside = every.inside(ranges, 0)
        if not inside.any() or not equal_steps(every.layout):
            continue
        best = max(
            min(disjuncts.inequalities[a][2] - int(disjuncts.inequalities[a][1] @ row[disjuncts.inequalities[a][0]]) for a in atoms)
            for row in every.values[inside]
        )
        found = slack(relaxed, ranges, atoms)
        checked += 1
        assert found is not None
        assert found >= best - 1e-4
    assert checked > 40


def test_relaxation_is_the_same_after_other_nodes():
    """What one solve changes is set anew by the next."""
    for seed in range(40):
        rng = random.Random(seed)
        asked = busy_query(rng)
        relaxed, disjuncts, every = relaxation(asked)
        if not disjuncts.inequalities:
            continue
        nodes = narrowed(rng, asked, every.layout, 6, 2)
        left = np.flatnonzero(nodes.propagate(every.layout, inputs=True))
        atoms = list(range(min(1, len(disjuncts.inequalities))))
        alone = [slack(relaxation(asked)[0], nodes.take(np.array([row])), atoms) for row in left]
        together = [slack(relaxed, nodes.take(np.array([row])), atoms) for row in left]
        for pair in zip(alone, together, strict=True):
            # HiGHS may take what is empty by less than its tolerance for either.
            a, b = (-1.0 if found is None else found for found in pair)
            assert a == pytest.approx(b, abs=1e-5) or max(a, b) < 0.01
