"""Gaps by protected features agree with trying all inputs."""

import itertools
import random

import numpy as np
import pytest
from tiny import busy_network

from qbitsat.certificate.check import check
from qbitsat.certificate.write import Source, write
from qbitsat.errors import InputError
from qbitsat.importers import save
from qbitsat.limits import Limits
from qbitsat.network import forward
from qbitsat.optimize import maximize
from qbitsat.properties import AtMost, Box, gap
from qbitsat.search import enumerate as enumeration
from qbitsat.search.enumerate import Enumeration


def allowed(box, groups):
    """All inputs of a box with one element of each group set, int64[n, inputs]."""
    axes = [range(lo, hi + 1) for lo, hi in zip(box.lo.tolist(), box.hi.tolist(), strict=True)]
    for group in groups:
        for i in group:
            axes[i] = (int(box.lo[i]), int(box.hi[i]))
    points = np.array(list(itertools.product(*axes)))
    for group in groups:
        points = points[(points[:, group] == box.hi[list(group)]).sum(axis=1) == 1]
    return points


def question(seed):
    rng = random.Random(seed)
    network = busy_network(rng, rng.choice([3, 4]))
    n, form = network.num_inputs, network.input
    lo = np.array([rng.randint(form.lo, form.hi - 1) for _ in range(n)])
    hi = np.array([rng.randint(a + 1, min(form.hi, a + 3)) for a in lo.tolist()])
    groups = rng.choice([[], [[0, 1]], [[n - 1, 1]], [[0, 1, 2]]])
    protected = rng.sample(range(n), rng.choice([1, 1, 2]))
    return network, Box(lo, hi), groups, protected, rng.randrange(len(network.outputs))


@pytest.mark.parametrize("first", range(0, 60, 20))
def test_gaps_are_the_largest(first):
    seen = set()
    for seed in range(first, first + 20):
        network, box, groups, protected, output = question(seed)
        points = allowed(box, groups)
        outputs = forward(network, points)[:, output]
        changed = {i for group in groups if {*group} & {*protected} for i in group} | {*protected}
        rest = points[:, [i for i in range(points.shape[1]) if i not in changed]]
        same = (rest[:, None] == rest[None]).all(axis=2)
        truth = int((outputs[:, None] - outputs[None])[same].max())
        asked = gap(network, protected, output, groups=groups, box=box)
        found = maximize(asked.query, asked.objective, engine=("auto", "hybrid")[seed % 2], attack=seed % 3 > 0, pairs=seed % 4 > 0)
        assert (found.verdict, found.value) == ("OPTIMAL", truth)
        x, y = (np.array(one) for one in asked.inputs(found.witness.inputs))
        a, b = forward(network, np.stack([x, y]))[:, output].tolist()
        assert a - b == truth
        assert (points == x).all(axis=1).any()
        assert (points == y).all(axis=1).any()
        assert {*np.flatnonzero(x != y).tolist()} <= changed
        seen.add(truth > 0)
    assert seen == {True, False} or seen == {True}


@pytest.mark.parametrize("table", [0, 1 << 26])
def test_enumeration_runs_each_copy_by_itself(table, monkeypatch):
    monkeypatch.setattr(enumeration, "TABLE_BYTES", table)
    monkeypatch.setattr(enumeration, "MOST_POINTS", 20)
    monkeypatch.setattr(enumeration, "FEWEST_POINTS", 20)
    shared = 0
    for seed in range(60, 90):
        network, box, groups, protected, output = question(seed)
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
        network, box, groups, protected, output = question(seed)
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
