"""Certificates about balls in L1 and L0 and about pairs of inputs, which are refused when the ball or the pairs become others."""

import random

import numpy as np
import pytest
from forge import Parts, reason
from measured import case_of, measured
from tiny import busy_network

from qbitsat.certificate.check import check
from qbitsat.certificate.write import write
from qbitsat.optimize import maximize
from qbitsat.properties import And, Box, Query, gap
from qbitsat.properties.balls import distance
from qbitsat.verify import VIOLATED, verify


def ball(tmp_path, norm, wanted):
    """A radius's certificate of a verdict, and its network."""
    for seed in range(100):
        case = case_of(random.Random(seed))
        found = measured(case, norm=norm, certificates=True)
        for query, verdict in found.certificates:
            if verdict.verdict == wanted and 0 < found.radius < found.farthest:
                write(tmp_path / "good.cert", query, verdict)
                return Parts(tmp_path / "good.cert"), case.question.network
    raise AssertionError


@pytest.mark.parametrize("norm", ["l1", "l0"])
def test_witnesses_outside_the_ball(norm, tmp_path):
    parts, network = ball(tmp_path, norm, VIOLATED)
    parts.header["query"]["eps"] -= 1
    said = reason(parts.save(tmp_path / "bad.cert"), networks=network)
    assert "outside the region" in said or "does not make the violation true" in said or "inequalities that are true" in said


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda query: query.pop("norm"), ""),
        (lambda query: query.update(norm="l2"), "norm"),
        (lambda query: query.update(norm=3), "norm"),
        (lambda query: query.update(region="0=3"), "without distances of their own"),
        (lambda query: query.update(region="0=0"), "lets nothing move"),
        (lambda query: query.update(made=[None]), "made"),
        (lambda query: query.update(eps=-1), "eps"),
    ],
)
def test_other_balls(change, said, tmp_path):
    """Without the norm a proof is one about L-infinity, and does not fit."""
    parts, network = ball(tmp_path, "l1", "HOLDS")
    parts.header["query"]["eps"] += 1
    change(parts.header["query"])
    found = reason(parts.save(tmp_path / "bad.cert"), networks=network)
    assert found
    assert said in found


def of_question(tmp_path, objective=False):
    """A formula about a ball of some elements, as question files have it, and one about pairs."""
    network = busy_network(random.Random(5), 3)
    around = distance(network, np.full(network.num_inputs, network.input.lo), "l1", [0, 2])
    box = Box(*(ends[: network.num_inputs] for ends in network.value_ranges))
    if not objective:
        query = Query((around.network,), (box,), And((around.at_most(2),)))
        proved = [(query, verify(query, certificates=True))]
    else:
        asked = gap(network, [0], 0, box=box)
        proved = maximize(asked.query, asked.objective, certificates=True).certificates
    for k, (query, verdict) in enumerate(proved):
        write(tmp_path / f"{k}.cert", query, verdict)
    return network, [Parts(tmp_path / f"{k}.cert") for k in range(len(proved))]


def test_balls_of_question_files(tmp_path):
    network, (parts,) = of_question(tmp_path)
    checked = check(tmp_path / "0.cert", network)
    assert (checked.outcome, checked.verdict) == ("accepted", "VIOLATED")
    assert any("the distance in L1" in line for line in checked.words)
    far = parts.copy()
    far.arrays["inputs.0"][0] = network.input.hi
    assert reason(far.save(tmp_path / "bad.cert"), networks=network)
    for name, value in (("centre.0", 3), ("elements.0", -1)):
        other = parts.copy()
        other.arrays[name] = other.arrays[name] + value
        assert reason(other.save(tmp_path / "bad.cert"), networks=network), name
    many = parts.copy()
    many.arrays["elements.0"] = np.zeros(network.num_inputs + 1, np.int8)
    assert f"{network.num_inputs + 1} elements" in reason(many.save(tmp_path / "bad.cert"), networks=network)
    twice = parts.copy()
    twice.arrays["elements.0"] = np.array([0, 0])
    assert "each once" in reason(twice.save(tmp_path / "bad.cert"), networks=network)
    for made, said in (
        ([], "expected one for each"),
        ([{"kind": "cube"}], "unknown"),
        ([3], "made"),
        ([{"kind": "ball", "norm": "linf"}], "norm"),
    ):
        other = parts.copy()
        other.header["query"]["made"] = made or [None, None]
        assert said in reason(other.save(tmp_path / "bad.cert"), networks=network)


def test_pairs_of_inputs(tmp_path):
    network, (attained, beyond) = of_question(tmp_path, objective=True)
    for k, said in enumerate(("here is one", "there are none")):
        checked = check(tmp_path / f"{k}.cert", network)
        assert (checked.outcome, said in checked.words[0]) == ("accepted", True)
        assert any("twice, on x and x' that are the same but for elements 0" in line for line in checked.words)
    for parts in (attained, beyond):
        made = parts.header["query"]["made"][0]
        for key, value in (
            ("protected", [0, 1]),
            ("protected", []),
            ("protected", [99]),
            ("groups", [[0, 1]]),
            ("groups", [[1, 1]]),
            ("groups", [1]),
        ):
            other = parts.copy()
            other.header["query"]["made"] = [{**made, key: value}]
            assert reason(other.save(tmp_path / "bad.cert"), networks=network), (key, value)
    smaller = attained.copy()
    smaller.header["query"]["violation"]["and"][1]["bound"] -= 1
    assert "does not make the violation true" in reason(smaller.save(tmp_path / "bad.cert"), networks=network)
    larger = beyond.copy()
    larger.header["query"]["violation"]["and"][1]["bound"] += 1
    assert reason(larger.save(tmp_path / "bad.cert"), networks=network)
