"""Radii against enumeration; intervals that limits leave; what is refused."""

import random
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from handmade import copying
from measured import Case, case_of, check_radius, check_witness, measured, stopped_radius

from qbitsat.bounds import propagate
from qbitsat.bounds.layout import has_steps
from qbitsat.campaign import plan
from qbitsat.certificate.check import check
from qbitsat.certificate.write import write
from qbitsat.errors import InputError
from qbitsat.limits import NO_LIMITS, Limits
from qbitsat.network import forward_all
from qbitsat.options import make_options
from qbitsat.properties import Query
from qbitsat.properties.balls import NORMS, distances_of
from qbitsat.radii import radius
from qbitsat.radii.linf import Linf
from qbitsat.radii.moved import moved
from qbitsat.report.radii import radius_line
from qbitsat.verify import UNKNOWN, Verdict


@pytest.mark.parametrize("first", range(0, 160, 40))
@pytest.mark.parametrize("norm", NORMS)
def test_radii_agree_with_enumeration(norm, first):
    assert {True, False} == {check_radius(seed, norm) for seed in range(first, first + 40)}


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


@pytest.mark.parametrize("norm", NORMS)
def test_certificates_of_a_radius(norm, tmp_path):
    for seed in range(12):
        case = case_of(random.Random(seed))
        found = measured(case, norm=norm, certificates=True)
        assert [verdict.verdict for _, verdict in found.certificates] == ["HOLDS", "VIOLATED"][: 1 + (found.witness is not None)]
        for query, verdict in found.certificates:
            write(tmp_path / "one.cert", query, verdict)
            checked = check(tmp_path / "one.cert", case.question.network)
            assert (checked.outcome, checked.reason, checked.verdict) == ("accepted", "", verdict.verdict)
            assert checked.header["query"]["eps"] == found.radius + (verdict.verdict == "VIOLATED")
            assert checked.header["query"].get("norm", "linf") == norm


@pytest.mark.parametrize("norm", NORMS)
def test_a_radius_whose_certificates_have_no_time_says_so(norm, monkeypatch):
    monkeypatch.setattr("qbitsat.radii.question.verify", lambda *_, **__: Verdict(UNKNOWN, "timeout"))
    found = measured(case_of(random.Random(3)), norm=norm, certificates=True)
    assert (found.verdict, found.certificates, found.reason) == ("OPTIMAL", (), "without certificates: timeout")
    question = case_of(random.Random(3)).question
    (task,) = plan(question.network, question.x[None], np.array([question.label]), [0], [0])
    for one in (found, replace(found, witness=None)):
        assert radius_line(task, one).endswith(", without certificates: timeout")


@pytest.mark.parametrize("norm", NORMS)
def test_only_elements_of_a_region_change(norm):
    seen = 0
    for seed in range(40):
        case = case_of(random.Random(seed))
        n = case.question.network.num_inputs
        still = random.Random(seed).randrange(n)
        moving = [i for i in range(n) if i != still]
        if not moving:
            continue
        kept = case.points[:, still] == case.question.x[still]
        region = " ".join(map(str, moving))
        inside = Case(replace(case.question, region=region), case.points[kept], case.broken[kept])
        expected, beyond = inside.expected(norm)
        for engine in ("auto", "sat"):
            found = measured(case, norm=norm, region=region, engine=engine)
            assert (found.verdict, found.radius, found.upper) == ("OPTIMAL", expected, expected)
            check_witness(inside, norm, found, beyond)
        seen += beyond
    assert seen > 8


def test_regions_without_distances_of_their_own():
    with pytest.raises(InputError, match="without distances of their own"):
        radius(copying(2), [5, 3], 0, region="0=2")
    with pytest.raises(InputError, match="lets nothing move"):
        radius(copying(2), [5, 3], 0, region="0=0", norm="l1")


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


@pytest.mark.parametrize("norm", ["l1", "l0"])
def test_networks_over_changes_and_bounds_in_balls(norm):
    """The same values at the same points; first accumulators reach their bounds, and nothing in the ball leaves any."""
    for seed in range(40):
        rng = random.Random(seed)
        case = case_of(rng)
        question, n = case.question, case.question.network.num_inputs
        changed, apart = moved(question.network, question.x, norm), distances_of(norm, question.x, case.points)
        up = np.concatenate([np.maximum(case.points - question.x, 0), np.maximum(question.x - case.points, 0)], axis=1)
        values = forward_all(changed.network, up)
        assert (values[:, 2 * n :][:, : question.network.num_values - n] == forward_all(question.network, case.points)[:, n:]).all()
        assert (np.array([changed.point(row) for row in up]) == case.points).all()
        if not all(has_steps(layer) for layer in question.network.layers):
            continue
        radius_ = rng.randint(0, int(apart.max()))
        query = Query((changed.network,), (changed.box(radius_),), changed.ball(radius_))
        ranges, inside = propagate(query), values[apart <= radius_]
        assert changed.tighten(ranges, radius_)
        assert (inside >= ranges.lo[0]).all()
        assert (inside <= ranges.hi[0]).all()
        block = ranges.layout.blocks[0]
        accs = np.array([[int(w @ row[v]) + b for v, w, b in map(partial(ranges.layout.row, block), range(block.size))] for row in inside])
        assert (accs.max(axis=0) == ranges.acc_hi[0, block.neurons]).all()
        assert (accs.min(axis=0) == ranges.acc_lo[0, block.neurons]).all()
