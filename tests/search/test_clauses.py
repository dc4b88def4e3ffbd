"""Clauses of refuted nodes: no point of the root violates one, the kernel cuts as plain Python does, and proofs with cuts are accepted."""

import random

import clauses_twin
import numpy as np
import pytest
from certified import certify
from enumerated import narrowed, random_asked, space
from handmade import one_layer, query, tensor, y
from hypothesis import given, settings
from hypothesis import strategies as st
from raw import raw_query
from tiny import all_values, busy_query, truths

from qbitsat._kernels.exact import clauses as _clauses
from qbitsat.arithmetic import ShiftRequantizer, TableRequantizer
from qbitsat.bounds import propagate
from qbitsat.bounds.dual import Dual, upper_bound
from qbitsat.bounds.layout import Layout
from qbitsat.certificate.check import check
from qbitsat.limits import NO_LIMITS, Limits
from qbitsat.properties import AtMost
from qbitsat.properties.formula import FALSE
from qbitsat.search import clauses
from qbitsat.search.clauses import Clauses
from qbitsat.verify import HOLDS, UNKNOWN, VIOLATED, verify

LARGE, ENDS = 1 << 40, (-(1 << 31), (1 << 31) - 1)


@settings(derandomize=True, deadline=None, max_examples=150)
@given(st.integers(0, 2**32 - 1))
def test_no_point_is_within_what_explains_a_refutation(seed):
    """D is below 0 in plain Python, too, with the clause's ranges of values and the root's of all else."""
    rng, generator = random.Random(seed), np.random.default_rng(seed)
    asked = random_asked(rng)
    points, rows = space(asked), 4
    layout, root = points.layout, propagate(asked)
    ranges = narrowed(rng, asked, layout, rows, 4)
    ranges.propagate(layout)
    values = rng.sample(range(layout.num_values), min(3, layout.num_values))
    coefficients = generator.choice([-3, -2, -1, 1, 2, 3], len(values))
    least = np.minimum(coefficients * ranges.lo[:, values], coefficients * ranges.hi[:, values]).sum(axis=1).min()
    bound = int(least) - rng.randint(0, 2)
    dual = Dual(layout, [(np.array(values), coefficients, bound)])
    floats = np.ones((rows, 1), np.float32), generator.normal(0, rng.choice([0, 0.01]), (rows, layout.num_neurons)).astype(np.float32)
    atoms, alive = np.zeros((rows, 1), np.int32), np.flatnonzero(ranges.possible())
    found = dual.explain(root, ranges, alive, atoms, *floats, rng.choice([2, 50]))
    violated = points.values[:, values] @ coefficients <= bound
    for k, row in enumerate(alive.tolist()):
        if found.sizes[k] < 0:
            continue
        box, inside = root.take(np.zeros(1, np.int64)), np.ones(len(points.values), bool)
        for v, lo, hi in zip(*(part[k, : found.sizes[k]].tolist() for part in found[1:4]), strict=True):
            assert lo <= ranges.lo[row, v]
            assert ranges.hi[row, v] <= hi
            box.lo[0, v], box.hi[0, v] = max(lo, box.lo[0, v]), min(hi, box.hi[0, v])
            inside &= (lo <= points.values[:, v]) & (points.values[:, v] <= hi)
        assert not (inside & violated).any()
        objective = np.zeros(layout.num_values, object)
        objective[values] = -int(found.shares[k, 0]) * coefficients.astype(object)
        assert int(found.shares[k, 0]) * bound + upper_bound(layout, box, 0, objective, found.multipliers[k]) < 0


def test_clauses_name_no_more_than_a_refutation_needs():
    """y0 + y1 >= 14 of two inputs as they are, refuted where both are at most 5: both may have 13, so one 6 and one 7."""
    asked = query(one_layer([[1, 0], [0, 1]], None, ShiftRequantizer(0, "floor", 0, 15), tensor(2)), AtMost(((-1, y(0)), (-1, y(1))), -14))
    layout, root = Layout(asked.networks), propagate(asked)
    node = root.take(np.zeros(1, np.int64))
    node.hi[0, 2:] = 5
    node.propagate(layout)
    dual = Dual(layout, [(np.array([2, 3]), np.array([-1, -1]), -14)])
    found = dual.explain(
        root, node, np.zeros(1, np.int64), np.zeros((1, 1), np.int32), np.ones((1, 1), np.float32), np.zeros((1, 2), np.float32), 4
    )
    assert found.sizes.tolist() == [2]
    assert found.lo[0, :2].tolist() == [0, 0]
    assert sorted(found.hi[0, :2].tolist()) == [6, 7]


def random_clauses(rng: random.Random, width: int) -> list[list[tuple[int, int, int]]]:
    def literal(value: int) -> tuple[int, int, int]:
        a, b = sorted(rng.choices(range(-4, 13), k=2))
        return value, rng.choice([a, a, ENDS[0]]), rng.choice([b, b, ENDS[1]])

    return [[literal(v) for v in rng.sample(range(width), rng.randint(0, min(4, width)))] for _ in range(rng.randint(0, 12))]


@settings(derandomize=True, deadline=None, max_examples=300)
@given(st.integers(0, 2**32 - 1))
def test_kernel_cuts_as_its_twin(seed):
    """Whatever is watched, and with ranges beyond 32 bits; what is cut off lies within clauses."""
    rng, generator = random.Random(seed), np.random.default_rng(seed)
    width, nodes, known = rng.randint(1, 6), rng.randint(1, 40), []
    while not known:
        known = random_clauses(rng, width)
    of = np.array([rng.choice([-1, 0, 1]) for _ in known], np.int32)
    sizes, literals = np.array([len(part) for part in known], np.int32), np.zeros((len(known), 5, 3), np.int32)
    watched = np.tile(np.array([0, *ENDS, 0, *ENDS], np.int32)[:, None], len(known))
    for k, part in enumerate(known):
        for i, one in enumerate(part):
            literals[k, i] = one
            if i < 2:
                watched[3 * i : 3 * i + 3, k] = one
    before_lo, before_hi = np.sort(generator.integers(0, 9, (2, nodes, width)), axis=0)
    before_lo[rng.randrange(nodes), rng.randrange(width)] = -LARGE
    before_hi[rng.randrange(nodes), rng.randrange(width)] = LARGE
    branches = np.array([rng.choice([0, 1]) for _ in range(nodes)], np.int32)
    twin_lo, twin_hi = before_lo.tolist(), before_hi.tolist()
    expected = clauses_twin.cut(twin_lo, twin_hi, branches.tolist(), known, of.tolist())
    for _ in range(2):  # the first time changes what is watched
        lo, hi = before_lo.copy(), before_hi.copy()
        made = _clauses.cut(lo, hi, branches, len(known), of, sizes, literals, watched, 256)
        for row in range(nodes):
            mine = made[made[:, 0] == row]
            assert [(k, v, *((at, bool(above)) if v >= 0 else (0, False))) for _, k, v, at, above in mine.tolist()] == expected[row]
        assert (lo.tolist(), hi.tolist()) == (twin_lo, twin_hi)
    for row in range(nodes):
        points = np.stack([generator.integers(a, b + 1, 50) for a, b in zip(before_lo[row], before_hi[row], strict=True)], axis=1)
        left = ((lo[row] <= points) & (points <= hi[row])).all(axis=1) & all(v >= 0 for _, v, _, _ in expected[row])
        mine = [part for part, branch in zip(known, of.tolist(), strict=True) if branch in (-1, branches[row])]
        within = [np.all([(a <= points[:, v]) & (points[:, v] <= b) for v, a, b in part], axis=0) | np.zeros(50, bool) for part in mine]
        assert (left | np.any(within, axis=0)).all()


@pytest.mark.parametrize("wrong", [{"sizes": 6}, {"watched": 9}, {"count": 3}])
def test_kernel_refuses_clauses_that_do_not_fit(wrong):
    sizes, watched = np.full(2, wrong.get("sizes", 1), np.int32), np.full((6, 2), wrong.get("watched", 0), np.int32)
    ranges = np.zeros((1, 4), np.int64), np.ones((1, 4), np.int64), np.zeros(1, np.int32)
    with pytest.raises(ValueError, match=r"clause"):
        _clauses.cut(*ranges, wrong.get("count", 2), np.zeros(2, np.int32), sizes, np.zeros((2, 5, 3), np.int32), watched, 256)


RULES = {"attack": (False,), "anneal": (False,), "refine": (False,), "bounds": (True, False), "rounding": (True, False)}
RULES |= {"tighten": (0, 3), "steps": (2, 5, 20), "batch": (1, 3, 64), "leaf": (0.0, 3.0)}


@pytest.mark.parametrize("block", range(4))
def test_searches_that_learn_agree_with_enumeration(block, monkeypatch, tmp_path):
    """Few clauses at most, so that some are forgotten; every fourth verdict with its certificate."""
    monkeypatch.setattr(clauses, "TRIED", LARGE)
    monkeypatch.setattr(clauses, "KEPT", 20 if block % 2 else clauses.KEPT)
    cuts = []
    right = Clauses.cut
    monkeypatch.setattr(Clauses, "cut", lambda *given_: (made := right(*given_), cuts.append(len(made)))[0])
    for seed in range(100 * block, 100 * block + 100):
        rng = random.Random(seed)
        query = busy_query(rng, 9) if seed % 4 == 0 else raw_query(rng)
        violated = bool(truths(query.violation, *all_values(query.networks, query.boxes)).any())
        rules = {name: rng.choice(values) for name, values in RULES.items()}
        if seed % 4:
            verdict = verify(query, engine="hybrid", timeout=3, **rules)
        else:
            verdict, path = certify(query, tmp_path, engine="hybrid", **rules)
            assert check(path).accepted, seed
        assert verdict.verdict in ((VIOLATED if violated else HOLDS), UNKNOWN), (seed, rules)
    assert sum(cuts) > 100


def test_without_room_nothing_is_learned():
    layout = Layout((one_layer([[1]], None, ShiftRequantizer(0, "floor", 0, 15), tensor(1)),))
    assert Clauses(layout.under(NO_LIMITS), 1, False).able
    assert not Clauses(layout.under(Limits(memory=0.001)), 1, False).able


def test_explanations_look_at_the_clock(monkeypatch):
    """Between rows where outputs have many steps."""
    points, looks = TableRequantizer(0, tuple(range(1 << 14))), []
    asked = query(one_layer([[1]] * 40, None, points, tensor(1)), FALSE)
    root = propagate(asked)
    monkeypatch.setattr(Limits, "check", lambda self, pid="self": looks.append(pid))
    dual = Dual(Layout(asked.networks).under(Limits()), [(np.array([1]), np.array([1]), -1)])
    floats = np.ones((64, 1), np.float32), np.zeros((64, 40), np.float32)
    dual.explain(root, root.take(np.zeros(64, np.int64)), np.arange(64), np.zeros((64, 1), np.int32), *floats, 48)
    assert len(looks) > 16
