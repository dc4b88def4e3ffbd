"""Enumeration: all points, no other ones, in order, whatever the blocks; and the grid that links make of inputs."""

import itertools
import random
import time

import numpy as np
import pytest
from handmade import copying, one_layer, query, tensor, whole_box, x, y
from raw import raw_query
from tiny import all_inputs, all_values, busy_query, equal, random_query, truths

import qbitsat
from qbitsat.arithmetic import ShiftRequantizer
from qbitsat.errors import UnsupportedError
from qbitsat.limits import LimitReached, Limits
from qbitsat.network import Network
from qbitsat.properties import And, AtMost, Box, Not, Or, Query, Ref, at_least
from qbitsat.properties.formula import INPUT, OUTPUT, without_not
from qbitsat.search import enumerate as enumeration
from qbitsat.search.enumerate import Enumeration
from qbitsat.search.grid import blocks, grid
from qbitsat.verify import verify

KINDS = (random_query, raw_query, busy_query)


def first_witness(asked: Query):
    """The first inputs in lexicographic order that make the violation true, or None."""
    inputs, outputs = all_values(asked.networks, asked.boxes)
    rows = np.flatnonzero(truths(asked.violation, inputs, outputs))
    return tuple(tuple(part[rows[0]].tolist()) for part in inputs) if len(rows) else None


def sizes(monkeypatch, rng: random.Random) -> None:
    """Blocks of few points, batches of fewer, and tables or none."""
    most = rng.choice([1, 3, 16, 1 << 20])
    for name, value in {
        "MOST_POINTS": most,
        "FEWEST_POINTS": min(most, 256),
        "TABLE_BYTES": rng.choice([0, 100, 1 << 26]),
        "BATCH_BYTES": rng.choice([0, 1 << 10, 1 << 19]),
    }.items():
        monkeypatch.setattr(enumeration, name, value)


@pytest.mark.parametrize("block", range(6))
def test_first_witness_is_found(block, monkeypatch):
    for seed in range(60 * block, 60 * block + 60):
        rng = random.Random(seed)
        asked = KINDS[seed % 3](rng)
        sizes(monkeypatch, rng)
        assert Enumeration(asked, without_not(asked.violation), 26, Limits()).run() == first_witness(asked), seed


@pytest.mark.parametrize("block", range(2))
def test_engine_agrees_with_enumeration(block):
    for seed in range(90 * block, 90 * block + 90):
        asked = KINDS[seed % 3](random.Random(seed))
        verdict = verify(asked, engine="enumerate", attack=seed % 2 > 0, bounds=seed % 3 > 0)
        assert verdict.violated == (first_witness(asked) is not None)
        assert verdict.engine in ("bounds", "attack", "enumerate")


def random_links(rng: random.Random, boxes):
    """Conjuncts over inputs alone of two boxes of three inputs: ties, bounds of one input, and others."""
    refs = [Ref(k, INPUT, i) for k in range(2) for i in range(3)]
    parts = []
    for _ in range(rng.randint(0, 6)):
        a, b = rng.sample(refs, 2)
        d, c = rng.randint(-2, 2), rng.choice([-3, -2, -1, 1, 2, 3])
        tie = And((AtMost(((1, a), (-1, b)), d), AtMost(((1, b), (-1, a)), -d)))
        parts.append(
            rng.choice(
                [
                    *[tie] * 3,
                    AtMost(((c, a),), rng.randint(-9, 9)),
                    AtMost(((c, a), (1, b)), rng.randint(-9, 9)),
                    AtMost(((1, a), (-1, b)), d),
                    Not(Or((AtMost(((1, a), (-1, b)), d - 1), AtMost(((1, b), (-1, a)), -d - 1)))),
                    Or((AtMost(((c, a),), 0), AtMost(((1, b),), 2))),
                    AtMost(((1, a), (-1, a)), rng.choice([0, 0, -1])),
                ]
            )
        )
    return And(tuple(parts))


@pytest.mark.parametrize("block", range(4))
def test_grid_has_every_point_that_the_links_allow(block):
    """Points of the grid at which the constraint is true are those of the boxes at which the conjuncts are, in the same order."""
    merged = 0
    for seed in range(40 * block, 40 * block + 40):
        rng = random.Random(seed)
        networks = (copying(3, -2, 5),) * 2
        boxes = tuple(Box(*np.sort([[rng.randint(-2, 5) for _ in range(3)] for _ in range(2)], axis=0)) for _ in networks)
        links = without_not(random_links(rng, boxes))
        found = grid(Query(networks, boxes, links), links)
        points = np.indices(found.sizes).reshape(len(found.sizes), -1).T if found.num_points else []
        rows = [found.inputs(point) for point in points]
        inputs = all_inputs(boxes)
        wanted = [tuple(tuple(part[r].tolist()) for part in inputs) for r in np.flatnonzero(truths(links, inputs, inputs))]
        assert [row for row in rows if truths(links, [np.array([v]) for v in row], []).all()] == wanted
        assert set(wanted) <= set(rows)
        merged += len(rows) < len(inputs[0])
    assert merged > 20


def test_blocks_cover_the_grid_in_order():
    rng = random.Random(0)
    for _ in range(200):
        shape, most = [rng.randint(1, 5) for _ in range(rng.randint(0, 4))], rng.choice([1, 2, 7, 30, 1000])
        points = []
        for block in blocks(shape, most):
            inside = list(itertools.product(*(range(start, stop) for start, stop in block)))
            assert 0 < len(inside) <= most
            points += inside
        assert points == list(itertools.product(*map(range, shape)))


def twins(sizes_: list[int], far: int) -> Query:
    """Two copies of a network, all inputs equal but the first; outputs that are `far` apart."""
    rng = np.random.default_rng(0)
    n = len(sizes_)
    network = one_layer(rng.integers(-9, 9, (2, n)), None, ShiftRequantizer(1, "half_up", -500, 500), tensor(n, 0, 99))
    box = Box(np.zeros(n, int), np.array(sizes_) - 1)
    same = tuple(equal(Ref(0, INPUT, i), Ref(1, INPUT, i)) for i in range(1, n))
    return Query((network,) * 2, (box,) * 2, And((*same, AtMost(((1, Ref(0, OUTPUT, 0)), (-1, Ref(1, OUTPUT, 0))), -far))))


def test_linked_copies_are_run_once(monkeypatch):
    asked, rows = twins([3, 10, 10, 10, 10], 500), []
    forward = enumeration.forward_all
    monkeypatch.setattr(enumeration, "forward_all", lambda network, values: rows.append(len(values)) or forward(network, values))
    verdict = verify(asked, engine="enumerate", attack=False, bounds=False)
    assert (verdict.verdict, verdict.statistics["points"]) == ("HOLDS", 90_000)
    assert sum(rows) == 30_000


def test_points_that_inputs_alone_rule_out_are_not_run(monkeypatch):
    asked, rows = query(copying(3), And((AtMost(((1, x(0)), (1, x(1)), (1, x(2))), 2), at_least(((1, y(0)),), 3)))), []
    forward = enumeration.forward_all
    monkeypatch.setattr(enumeration, "forward_all", lambda network, values: rows.append(len(values)) or forward(network, values))
    assert verify(asked, engine="enumerate", attack=False, bounds=False).holds
    assert sum(rows) == 10


def test_too_many_points_are_unknown():
    network = copying(8)
    asked = query(network, AtMost(((1, y(0)), (1, y(1))), -1))
    verdict = verify(asked, engine="enumerate", bounds=False, attack=False)
    assert (verdict.verdict, verdict.reason) == ("UNKNOWN", "enumerate: more than 2**26 points, the limit of enumerate bits")
    assert verdict.statistics == {"points": 0, "point_bits": 32}
    with pytest.raises(UnsupportedError, match="more than 2"):
        Enumeration(asked, asked.violation, 30, Limits())
    assert Enumeration(query(network, asked.violation, Box([0] * 8, [3] * 8)), asked.violation, 16, Limits()).run() is None


def test_limits_are_kept():
    # 2 (x0 + ... + x5) is odd at none of 2**24 points
    network = one_layer(np.full((2, 6), 2), None, ShiftRequantizer(0, "floor", 0, 1000), tensor(6))
    asked = query(network, And((AtMost(((1, y(0)), (1, y(1))), 141), at_least(((1, y(0)), (1, y(1))), 141))))
    begun = time.monotonic()
    verdict = verify(asked, engine="enumerate", attack=False, timeout=0.5)
    assert (verdict.verdict, verdict.reason) == ("UNKNOWN", "timeout")
    assert time.monotonic() - begun < 5
    with pytest.raises(LimitReached, match="timeout"):
        Enumeration(asked, asked.violation, 26, Limits(timeout=0)).run()


def test_little_memory_makes_small_work_arrays():
    asked = twins([3, 10, 10, 10, 10], 500)
    formula = without_not(asked.violation)
    usual = Enumeration(asked, formula, 26, Limits())
    limits = Limits(memory=1)
    limits.memory, limits.looked = 0, limits.start + 1e9  # nobody asks whether it is exceeded
    little = Enumeration(asked, formula, 26, limits)
    assert little.block_points < usual.block_points
    assert [run.table is None for run in (*little.runs, *usual.runs)] == [True, True, False, False]


def test_wrap_around_is_enumerated():
    network = one_layer([[3, 5]], None, ShiftRequantizer(0, "floor", -8, 7, "wrap"), tensor(2))
    asked = query(network, AtMost(((1, y(0)),), -8))
    verdict = verify(asked, attack=False)
    assert verdict.engine == "enumerate"
    assert verdict.witness.inputs == (first_witness(asked)[0],)


def test_auto_enumerates_small_regions_and_what_a_search_leaves_open(monkeypatch):
    asked = query(
        one_layer([[2, 4]], None, ShiftRequantizer(0, "floor", 0, 60), tensor(2)),
        And((AtMost(((1, y(0)),), 21), at_least(((1, y(0)),), 21))),
    )
    assert verify(asked, attack=False).engine == "enumerate"
    assert verify(asked, attack=False, engine="hybrid").engine == "hybrid"
    assert verify(asked, attack=False, enumerate_bits=3).engine == "hybrid"
    module = __import__("sys").modules["qbitsat.verify"]
    monkeypatch.setattr(module, "AT_ONCE", 0)
    monkeypatch.setattr(Enumeration, "seconds", lambda self: 0.2)
    assert verify(asked, attack=False).engine == "hybrid"
    monkeypatch.setattr(qbitsat.search.Search, "step", lambda self: time.sleep(0.01))
    assert verify(asked, attack=False).engine == "enumerate"
    assert verify(asked, attack=False, timeout=30).engine == "enumerate"
    verdict = verify(asked, attack=False, timeout=0.3)  # not enough for both
    assert (verdict.verdict, verdict.reason) == ("UNKNOWN", "timeout")


def test_points_that_do_not_replay_are_no_verdict(monkeypatch):
    asked = query(copying(2), AtMost(((1, y(0)), (1, x(1))), -1))
    monkeypatch.setattr(
        enumeration, "forward_all", lambda network, x: np.hstack([x, np.full((len(x), network.num_values - x.shape[1]), -1)])
    )
    with pytest.warns(RuntimeWarning, match="enumerate"):
        verdict = verify(asked, engine="enumerate", attack=False, bounds=False)
    assert (verdict.verdict, verdict.statistics["unconfirmed"]) == ("UNKNOWN", 1)


@pytest.mark.parametrize("engine", ["enumerate", "auto", "hybrid", "sat"])
def test_formulas_without_networks_or_points(engine):
    network: Network = copying(2)
    box = whole_box(network)
    for violation, holds in (
        (And(()), False),
        (Or(()), True),
        (AtMost((), 0), False),
        (AtMost((), -1), True),
        (AtMost(((1, x(0)),), -1), True),
        (And((AtMost(((1, x(0)), (-1, x(1))), -1), AtMost(((1, x(1)), (-1, x(0))), 0))), True),
        (And((equal(x(0), x(1)), AtMost(((1, x(0)), (-1, x(1))), -1))), True),
        (And((AtMost(((1, x(0)),), 3), at_least(((1, x(0)),), 4))), True),
    ):
        assert verify(query(network, violation, box), engine=engine, attack=False, bounds=False).holds == holds
