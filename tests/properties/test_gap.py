"""Gaps by protected features agree with trying all inputs."""

import random

import numpy as np
import pytest
from named import check_gap, gap_question
from tiny import busy_network

from qbitsat.certificate.check import check
from qbitsat.certificate.write import Source, write
from qbitsat.errors import InputError
from qbitsat.importers import save
from qbitsat.limits import Limits
from qbitsat.network import forward
from qbitsat.optimize import maximize
from qbitsat.properties import AtMost, Box, gap
from qbitsat.properties.gap import apart
from qbitsat.search import enumerate as enumeration
from qbitsat.search.enumerate import Enumeration


@pytest.mark.parametrize("first", range(0, 60, 20))
def test_gaps_are_the_largest(first):
    assert True in {check_gap(seed) for seed in range(first, first + 20)}


def test_copies_apart_with_an_element_of_one_value():
    """It may be the one that is set: then no other is."""
    network = busy_network(random.Random(3), 3)
    lo, hi = network.input.lo, min(network.input.hi, network.input.lo + 2)
    for ends in ([hi, lo, hi], [hi, lo, lo], [lo, lo, hi]):
        box, groups = Box([lo] * 3, ends), [[0, 1, 2]]
        asked = gap(network, [1], groups=groups, box=box)
        query, objectives = apart(network, [1], groups=groups, box=box)
        assert maximize(query, objectives[0]).value == maximize(asked.query, asked.objective).value


@pytest.mark.parametrize("table", [0, 1 << 26])
def test_enumeration_runs_each_copy_by_itself(table, monkeypatch):
    monkeypatch.setattr(enumeration, "TABLE_BYTES", table)
    monkeypatch.setattr(enumeration, "MOST_POINTS", 20)
    monkeypatch.setattr(enumeration, "FEWEST_POINTS", 20)
    shared = 0
    for seed in range(60, 90):
        network, box, groups, protected, output = gap_question(seed)
        asked = gap(network, protected, output, groups=groups, box=box)
        goal = AtMost(tuple((-c, ref) for c, ref in asked.objective), 1 << 40)
        work = Enumeration(asked.query, goal, 26, Limits())
        found, value = work.largest(goal)
        outputs = [forward(network, np.array([x]))[0, output] for x in asked.inputs(found)]
        assert outputs[0] - outputs[1] == value == maximize(asked.query, asked.objective, engine="hybrid").value
        assert [len(run.values) for run in work.runs] in ([1, 1], [2])
        if len(work.runs) == 2:
            assert max(run.network.num_inputs for run in work.runs) < asked.query.networks[0].num_inputs
            shared += work.runs[0].table is not None and work.runs[0].table is work.runs[1].table
    assert (shared > 20) == (table > 0)


def test_optima_have_certificates(tmp_path):
    with_pairs = 0
    for seed in range(0, 24, 2):
        network, box, groups, protected, output = gap_question(seed)
        asked = gap(network, protected, output, groups=groups, box=box)
        found = maximize(asked.query, asked.objective, engine="hybrid", certificates=True, tighten=(40, 0)[seed % 4 > 0])
        assert [verdict.verdict for _, verdict in found.certificates] == ["VIOLATED", "HOLDS"]
        for query, verdict in found.certificates:
            save(network, tmp_path / "one.npz")
            write(tmp_path / "gap.cert", query, verdict, [Source(str(tmp_path / "one.npz"))])
            checked = check(tmp_path / "gap.cert")
            assert (checked.outcome, checked.reason) == ("accepted", "")
            with_pairs += bool(checked.header["proof"].get("pairs"))
    assert with_pairs


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"protected": []}, "no feature is protected"),
        ({"protected": [9]}, "protected feature"),
        ({"protected": [0], "groups": [[0]]}, "two elements or more"),
        ({"protected": [0], "groups": [[0, 1], [1, 2]]}, "none in two"),
        ({"protected": [0], "groups": [[0, 7]]}, "an element of a group"),
        ({"protected": [0], "output": 9}, "gap: output"),
        ({"protected": [0], "box": Box([0], [1])}, "box 0 has 1 elements"),
    ],
)
def test_what_is_refused(arguments, said):
    with pytest.raises(InputError, match=said):
        gap(busy_network(random.Random(0), 3), **arguments)
