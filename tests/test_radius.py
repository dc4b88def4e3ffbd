"""Radii against enumeration; intervals that limits leave; what is refused."""

import random

import numpy as np
import pytest
from handmade import copying
from measured import case_of, check_radius, measured, stopped_radius

from qbitsat.bounds.layout import has_steps
from qbitsat.errors import InputError
from qbitsat.limits import NO_LIMITS, Limits
from qbitsat.options import make_options
from qbitsat.radii import radius
from qbitsat.radii.linf import Linf


@pytest.mark.parametrize("first", range(0, 200, 40))
def test_linf_agrees_with_enumeration(first):
    assert {True, False} == {check_radius(seed, "linf") for seed in range(first, first + 40)}


def test_what_a_limit_leaves_is_right():
    """Whatever look at the limits is the last, what is said of the interval is so."""
    open_ = 0
    for seed in range(60):
        case = case_of(random.Random(seed))
        expected, _ = case.expected("linf")
        found = stopped_radius(case, random.Random(seed).randint(1, 80), attack=seed % 2 == 0, tighten=0)
        assert found.verdict in ("OPTIMAL", "UNKNOWN")
        if found.verdict == "UNKNOWN":
            open_ += 1
            assert found.reason == "timeout"
            assert found.radius <= expected <= found.upper
        else:
            assert found.radius == expected
    assert open_ > 10


def test_an_incumbent_shrinks_the_box_and_nothing_is_searched_twice():
    """Searches alone, from the largest box: no attack, no looks before."""
    shrunk = 0
    for seed in range(60):
        case = case_of(random.Random(seed))
        question, (expected, beyond) = case.question, case.expected("linf")
        if not all(has_steps(layer) for layer in question.network.layers) or not beyond:
            continue
        work = Linf(question, question.farthest("linf"), make_options(attack=False, rounding=seed % 2 == 0), Limits())
        search = work._start(work.farthest, work.violation)
        while search is not None and not search.ended:
            point = search.work(0.0)
            if point is not None:
                assert question.violated(point[None], NO_LIMITS)[0]
                assert np.abs(point - question.x).max() <= search.radius
                search.shrink(int(np.abs(point - question.x).max()) - 1)
        assert search is None or search.radius == expected
        shrunk += search is not None and search.counts["shrunk"]
    assert shrunk > 20


def test_witnesses_that_the_reference_does_not_confirm_prove_nothing(monkeypatch):
    monkeypatch.setattr("qbitsat.radii.question.replay", lambda *_: None)
    found = measured(case_of(random.Random(3)))
    assert (found.verdict, found.radius, found.upper, found.witness) == ("UNKNOWN", None, None, None)


def test_certificates_of_a_radius():
    for seed in range(12):
        case = case_of(random.Random(seed))
        found = measured(case, certificates=True)
        assert [verdict.verdict for _, verdict in found.certificates] == ["HOLDS", "VIOLATED"][: 1 + (found.witness is not None)]


def test_samples_without_a_question():
    network = copying(2)
    assert radius(network, [3, 5], 0).verdict == "MISCLASSIFIED"
    assert radius(network, [3, 5], 1, target=1).verdict == "SKIPPED"
    assert (radius(network, [0, 5], 1, max_eps=0).radius, radius(network, [5, 5], 0).radius) == (0, 0)
    with pytest.raises(TypeError, match=r"ask for \.optimal"):
        bool(radius(network, [3, 5], 1))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"norm": "l2"}, "norm"),
        ({"max_eps": -1}, "max_eps"),
        ({"ties": "none"}, "ties"),
        ({"target": 2}, "target"),
        ({"timeot": 3}, "timeout"),
        ({"sample": -1}, "sample"),
    ],
)
def test_what_is_refused(options, said):
    with pytest.raises(InputError, match=said):
        radius(copying(2), [5, 3], 0, **options)
