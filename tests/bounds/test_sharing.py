"""Inputs of several networks that are the same, or a constant apart, as one: points, verdicts and optima agree with enumeration."""

import random
import sys
from dataclasses import replace

import numpy as np
import pytest
from certified import check_engines
from inner import random_terms
from maximized import check_certificates
from pairs import linked_pair
from tiny import all_inputs

from qbitsat.bounds.sharing import with_shared_inputs
from qbitsat.errors import UnsupportedError
from qbitsat.network import forward_all
from qbitsat.optimize import EMPTY, OPTIMAL, maximize
from qbitsat.properties import And, AtMost, Query, Ref, monotone, replay
from qbitsat.properties.formula import is_true
from qbitsat.verify import VIOLATED, verify

SEEDS = range(200, 260)


def test_points_are_those_of_the_query_that_meet_the_equations():
    seen = shifted = 0
    for seed in SEEDS:
        query = linked_pair(seed)
        one = with_shared_inputs(query)
        if one is None:
            continue
        (points,) = all_inputs(one.query.boxes)
        (network,), values = one.query.networks, forward_all(one.query.networks[0], points)
        for x, found in zip(points.tolist()[:40], values.tolist(), strict=False):
            inputs = one.inputs((tuple(x),))
            wanted = [forward_all(n, np.array([part]))[0] for n, part in zip(query.networks, inputs, strict=True)]
            outputs = [row[n.outputs].tolist() for n, row in zip(query.networks, wanted, strict=True)]
            assert [found[v] for v in network.outputs.tolist()] == [y for part in outputs for y in part]
            inside = all(((box.lo <= part) & (part <= box.hi)).all() for box, part in zip(query.boxes, inputs, strict=True))
            assert inside
            mine = is_true(one.query.violation, [x], [[found[v] for v in network.outputs.tolist()]])
            assert mine == is_true(query.violation, inputs, outputs)
        seen += 1
        shifted += bool(one.shift.any())
    assert seen > 40
    assert shifted > 20


def test_optima_agree_with_enumeration():
    found = set()
    for seed in SEEDS:
        query, rng = linked_pair(seed), random.Random(seed)
        if seed % 2:
            query = replace(query, violation=And(query.violation.parts[:-1]))
        inputs = [(rng.choice([-2, 1, 3]), Ref(k, "input", rng.randrange(n.num_inputs))) for k, n in enumerate(query.networks)]
        objective = (*random_terms(rng, query.networks), *inputs)
        truth = maximize(query, objective, engine="enumerate", bounds=False, attack=False)
        best = maximize(query, objective, engine="hybrid", seed=seed, attack=seed % 3 > 0)
        assert (best.verdict, best.value, best.upper) == (truth.verdict, truth.value, truth.upper), seed
        if best.witness is not None:
            assert replay(query, best.witness.inputs) == best.witness
        found.add(best.verdict)
    assert found == {OPTIMAL, EMPTY}


def test_with_certificates_witnesses_are_looked_for_among_shared_inputs():
    found = 0
    for seed in SEEDS:
        query, options = linked_pair(seed), {"engine": "hybrid", "attack": False, "rounding": False}
        plain, kept = verify(query, **options), verify(query, certificates=True, **options)
        assert kept.verdict == plain.verdict
        if plain.verdict == VIOLATED:
            assert kept.witness == plain.witness
            found += plain.statistics.get("nodes", 0) > 0
    assert found


@pytest.mark.parametrize("fault", [MemoryError(), UnsupportedError("no memory for shared inputs")])
def test_a_first_look_that_fails_leaves_the_query_as_it_was_asked(monkeypatch, fault):
    decide, queries = sys.modules["qbitsat.verify"]._decide_alone, []

    def fails_once(query, *arguments):
        queries.append(query)
        if len(queries) == 1:
            raise fault
        return decide(query, *arguments)

    query = linked_pair(200)
    expected = verify(query).verdict
    monkeypatch.setattr(sys.modules["qbitsat.verify"], "_decide_alone", fails_once)
    assert verify(query, certificates=True, engine="hybrid").verdict == expected
    assert [len(asked.networks) for asked in queries] == [1, 2]


def test_certificates_of_shared_inputs():
    verdicts = set()
    for seed in range(200, 208):
        query = linked_pair(seed)
        (checked,) = check_engines(query, seed, ("hybrid",))
        assert (checked.reason, checked.verdict) == ("", verify(query).verdict)
        verdicts.add(checked.verdict)
        query = replace(query, violation=And(query.violation.parts[:-1]))
        if maximize(query, objective := ((1, Ref(0, "output", 0)), (-1, Ref(1, "output", 0)))).optimal:
            check_certificates(query, objective, 3 * seed)
    assert len(verdicts) == 2


def test_inputs_that_are_outputs_and_those_that_nothing_ties_stay():
    query = linked_pair(0)
    (a, b), links = query.networks, query.violation.parts[:-1]
    assert with_shared_inputs(Query((a, b), query.boxes, And(links[:1]))) is None
    step = monotone(a, 0)
    one = with_shared_inputs(step)
    assert one is not None
    assert sorted(one.shift.tolist()) == [0] * (2 * a.num_inputs - 1) + [1]
    passing = replace(a, layers=a.layers, reads=a.reads, outputs=np.concatenate([a.outputs, [0]]))
    moved = Query((a, passing), step.boxes, step.violation)
    assert with_shared_inputs(moved).shift.tolist() == [0] * (2 * a.num_inputs)
    assert with_shared_inputs(replace(query, violation=AtMost(((1, Ref(0, "output", 0)),), 0))) is None
