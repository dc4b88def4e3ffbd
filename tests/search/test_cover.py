"""Covers: what is chosen, verdicts with and without, and certificates that are grafted from theirs."""

import random
import sys

import numpy as np
import pytest
from certified import certify
from handmade import copying
from pairs import changed
from tiny import points_of

from qbitsat.bounds import propagate, simplify
from qbitsat.bounds.reduction import Reduction
from qbitsat.certificate.check import check
from qbitsat.limits import NO_LIMITS, LimitReached, Limits
from qbitsat.network import classify
from qbitsat.properties import And, Or, agreement, robustness
from qbitsat.search.cover import _cases, covered, grafted
from qbitsat.verify import HOLDS, VIOLATED, verify


def left_of(query) -> Reduction:
    bounds = propagate(query)
    return Reduction(query, bounds, simplify(query, bounds))


def test_two_networks_are_covered_by_what_keeps_the_class_of_the_middle():
    """Around (9, 8, 8) classes 1 and 2 can beat class 0: two inequalities of each network, for six cases of who says what."""
    a, b = copying(3), copying(3)
    parts = covered(left_of(agreement(a, b, [9, 8, 8], 2)), NO_LIMITS)
    said = [[sorted((c, ref.element) for c, ref in atom.terms) for atom in part.atoms] for part in parts]
    assert sorted(map(sorted, said)) == [[[(-1, 1), (1, 0)], [(-1, 2), (1, 0)]], [[(-1, 4), (1, 3)], [(-1, 5), (1, 3)]]]
    assert [len(part.left.query.networks[0].layers) for part in parts] == [1, 1]


def test_what_has_no_more_cases_has_no_cover():
    assert covered(left_of(robustness(copying(3), [9, 7, 7], 2, 0)), NO_LIMITS) == []
    assert covered(left_of(robustness(copying(3), [9, 8, 8], 2, 0, 1)), NO_LIMITS) == []
    assert covered(left_of(agreement(copying(2), copying(2), [7, 9], 2, 0)), NO_LIMITS) == []


def test_many_cases_are_counted_as_far_as_it_matters():
    """The product of all would have more digits than there is time for."""
    query = robustness(copying(3), [9, 7, 7], 2, 0)
    atom = query.violation.parts[0]
    many = And((Or((atom, atom)),) * 100_000)
    assert _cases(many, 5, NO_LIMITS) == 6
    assert _cases(many, 1 << 70, Limits(timeout=60)) == (1 << 70) + 1


def test_limits_are_kept_while_inequalities_are_chosen():
    query = agreement(copying(3), copying(3), [9, 8, 8], 2)
    with pytest.raises(LimitReached, match="timeout"):
        covered(left_of(query), Limits(timeout=0))


@pytest.mark.parametrize("first", range(0, 120, 40))
def test_verdicts_and_certificates(first, tmp_path, monkeypatch):
    """With and without covers as enumeration says; covers decide some, and the checker accepts what is grafted."""
    made = []
    monkeypatch.setattr(sys.modules["qbitsat.verify"], "grafted", lambda *proof: made.append(grafted(*proof)) or made[-1])
    for seed in range(first, first + 40):
        (a, b), rng = changed(seed), random.Random(seed)
        if a.output.size == 1:
            continue
        x = np.array([rng.randint(a.input.lo, a.input.hi) for _ in range(3)])
        query = agreement(a, b, x, rng.randint(1, 3))
        points = points_of(query.boxes[0])
        truth = VIOLATED if (classify(a, points) != classify(b, points)).any() else HOLDS
        options = {"engine": "hybrid", "seed": seed, "attack": False, "leaf": 0 if seed % 2 else 16.0}
        assert verify(query, **options, cover=False).verdict == truth
        verdict, path = certify(query, tmp_path, **options)
        assert (verdict.verdict, check(path).reason) == (truth, "")
    assert any(proof is not None and len(proof.nodes) > 3 for proof in made)
