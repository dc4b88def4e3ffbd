"""The peers' programs against the enumeration of every input."""

import json
import random
import subprocess
import sys
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import tiny
from handmade import dense, one_layer, query, tensor, whole_box, x, y

from bench.peers import milp, race
from bench.peers.program import formulate
from qbitsat.arithmetic import ShiftRequantizer
from qbitsat.bounds import propagate, simplify
from qbitsat.errors import UnsupportedError
from qbitsat.limits import LimitReached, Limits
from qbitsat.network import Network, forward
from qbitsat.properties import And, AtMost, Or, Ref, at_least, replay
from qbitsat.properties.formula import FALSE, TRUE, is_true
from qbitsat.verify import HOLDS, VIOLATED


def by_milp(programs):
    return [milp.solve(program, Limits()) for program in programs]


def by_cp_sat(programs):
    """All in one process, which saves its start for each."""
    lines = [json.dumps({**vars(program), "timeout": 60}) for program in programs]
    command = [sys.executable, Path(race.__file__).with_name("cp_sat.py")]
    result = subprocess.run(command, input="\n".join(lines), capture_output=True, text=True, check=True)
    answers = [json.loads(line) for line in result.stdout.splitlines()]
    assert {answer["status"] for answer in answers} <= {"OPTIMAL", "FEASIBLE", "INFEASIBLE"}
    return [answer["values"] for answer in answers]


PEERS = pytest.mark.parametrize("solve", [by_milp, by_cp_sat])


@pytest.fixture
def supported(monkeypatch):
    """Random networks of `tiny` only have what the programs can say."""
    monkeypatch.setattr(tiny, "ROUNDINGS", ("floor", "half_up"))
    monkeypatch.setattr(tiny, "OVERFLOWS", ("saturate",))


def hold_against(solve, cases):
    """Cases are queries and whether they are violated; those that bounds decide are left out. Returns the truths that were tried."""
    tried, programs = [], []
    for one, truth in cases:
        bounds = propagate(one)
        formula = simplify(one, bounds)
        if formula not in (TRUE, FALSE):
            tried.append((one, truth))
            programs.append(formulate(one, bounds, formula))
    for (one, truth), program, values in zip(tried, programs, solve(programs), strict=True):
        assert (values is not None) == truth
        assert values is None or replay(one, program.decode(one, values))
    return [truth for _, truth in tried]


def extremes(rng):
    """Is a weighted sum of outputs ever at least the largest that enumeration finds? And at least one more?"""
    form = tensor(3, -1, 4)
    layers = []
    for size in (4, 3):
        weights = np.array([[rng.randint(-7, 7) for _ in range(form.size)] for _ in range(size)])
        lo = rng.choice([0, -4])
        step = ShiftRequantizer(
            rng.choice([-1, 1, 2, 3]), rng.choice(["floor", "half_up"]), lo, lo + rng.choice([3, 15, 200]), "saturate", rng.randint(-2, 2)
        )
        layers.append(dense(weights, [rng.randint(-9, 9) for _ in range(size)], step, form))
        form = layers[-1].output
    network = Network(tuple(layers), "random")
    weights = [rng.randint(-3, 3) for _ in range(3)]
    largest = int((forward(network, tiny.points_of(whole_box(network))) * weights).sum(axis=1).max())
    terms = tuple((weight, y(i)) for i, weight in enumerate(weights))
    return [(query(network, at_least(terms, largest + more)), more == 0) for more in (0, 1)]


def truth_of(one):
    """Whether some input of the boxes makes the violation true."""
    tables = []
    for network, box in zip(one.networks, one.boxes, strict=True):
        points = tiny.points_of(box)
        tables.append(list(zip(points.tolist(), forward(network, points).tolist(), strict=True)))
    return any(is_true(one.violation, *zip(*combination, strict=True)) for combination in product(*tables))


@PEERS
def test_largest_sum_of_outputs(solve):
    rng = random.Random(1)
    tried = hold_against(solve, [case for _ in range(40) for case in extremes(rng)])
    assert min(tried.count(True), tried.count(False)) >= 20


@PEERS
def test_random_queries(solve, supported):
    queries = [tiny.random_query(random.Random(seed)) for seed in range(1000)]
    tried = hold_against(solve, [(one, truth_of(one)) for one in queries if simplify(one, propagate(one)) not in (TRUE, FALSE)])
    assert len(tried) >= 25


@PEERS
@pytest.mark.parametrize("violated", [True, False])
def test_nested_formula(solve, violated):
    """x0 + x1 = 9 with y = x // 4: both y are 1 for (4, 5) and never 2."""
    network = one_layer([[1, 0], [0, 1]], None, ShiftRequantizer(2, "floor", 0, 3))
    both = And(tuple(at_least(((1, y(i)),), 1 if violated else 2) for i in (0, 1)))
    never = And((AtMost(((1, x(0)),), 1), at_least(((1, y(0)),), 1)))
    total = ((1, x(0)), (1, x(1)))
    formula = And((AtMost(total, 9), at_least(total, 9), Or((never, Or((never, both))))))
    assert hold_against(solve, [(query(network, formula), violated)]) == [violated]


@pytest.mark.parametrize(("rounding", "overflow"), [("half_even", "saturate"), ("toward_zero", "saturate"), ("floor", "wrap")])
def test_unsupported_requantizer_is_refused(rounding, overflow):
    one = query(one_layer([[1]], None, ShiftRequantizer(1, rounding, 0, 3, overflow)), at_least(((1, Ref(0, "output", 0)),), 2))
    with pytest.raises(UnsupportedError, match="no program of ShiftRequantizer"):
        formulate(one, propagate(one), one.violation)


@pytest.mark.parametrize("tool", [race.MILP, race.CP_SAT])
@pytest.mark.parametrize(("bound", "verdict"), [(5, VIOLATED), (6, HOLDS)])
def test_peer_in_a_child(tool, bound, verdict):
    """y0 - y1 is at most 5 for y = x // 2 and x0 - x1 <= 9."""
    network = one_layer([[1, 0], [0, 1]], None, ShiftRequantizer(1, "floor", 0, 7))
    formula = And((AtMost(((1, x(0)), (-1, x(1))), 9), at_least(((1, y(0)), (-1, y(1))), bound)))
    outcome = race.ask(tool, query(network, formula), 60)
    assert (outcome.verdict, outcome.stage) == (verdict, tool)


def test_cp_sat_without_time_gives_up():
    one = query(one_layer([[1, 2, 3]], None, ShiftRequantizer(1, "floor", 0, 20)), at_least(((1, y(0)),), 7))
    with pytest.raises(LimitReached, match="timeout"):
        race.solve_by_cp_sat(formulate(one, propagate(one), one.violation), Limits(0))
