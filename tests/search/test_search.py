"""The search as a whole: its verdict is that of enumeration, whatever the floats say, and limits are kept."""

import random
import time

import numpy as np
import pytest
from handmade import copying, dense, one_layer, query, tensor, whole_box, x, y
from tiny import all_values, busy_query, check_search, run_search, truths

from qbitsat.arithmetic import ShiftRequantizer
from qbitsat.bounds import propagate
from qbitsat.bounds.dual_descent import DualDescent
from qbitsat.bounds.reduction import Reduction
from qbitsat.examples import images_path, labels_path, network_path
from qbitsat.importers import load
from qbitsat.limits import LimitReached, Limits
from qbitsat.network import Network
from qbitsat.options import make_options
from qbitsat.properties import And, AtMost, Box, Or, Query, Ref, robustness
from qbitsat.properties.formula import FALSE, TRUE, without_not
from qbitsat.search import Search, open_nodes
from qbitsat.solvers import sat
from qbitsat.verify import verify


@pytest.mark.parametrize("block", range(4))
def test_search_agrees_with_enumeration(block):
    for seed in range(100 * block, 100 * block + 100):
        check_search(busy_query(random.Random(seed), 3), seed)


def like(array: np.ndarray, values) -> np.ndarray:
    return np.broadcast_to(np.asarray(values), array.shape).astype(np.float32)


def claims(change):
    """Every node is said to be refuted, by changed multipliers and shares."""
    return lambda rng, s: s._replace(dual=like(s.dual, -1), multipliers=change(rng, s.multipliers), shares=change(rng, s.shares))


def only(**change):
    return lambda rng, s: s._replace(**{name: f(rng, getattr(s, name)) for name, f in change.items()})


LIES = {
    "claim": claims(lambda rng, a: a),
    "nan": claims(lambda rng, a: like(a, np.nan)),
    "inf": claims(lambda rng, a: like(a, np.inf)),
    "minus_inf": claims(lambda rng, a: like(a, -np.inf)),
    "huge": claims(lambda rng, a: like(a, rng.normal(0, 1e30, a.shape))),
    "near_int64": claims(lambda rng, a: like(a, rng.normal(0, 2.0**57, a.shape))),
    "large": claims(lambda rng, a: like(a, rng.normal(0, 1e9, a.shape))),
    "tiny": claims(lambda rng, a: like(a, rng.normal(0, 1e-40, a.shape))),
    "zero": claims(lambda rng, a: like(a, 0)),
    "flipped": claims(lambda rng, a: -a),
    "random": claims(lambda rng, a: like(a, rng.normal(0, 1, a.shape))),
    "other_node": claims(lambda rng, a: np.roll(a, 1, axis=0)),
    "flipped_shares": only(dual=lambda rng, a: like(a, -1), shares=lambda rng, a: -a),
    "value_nan": only(dual=lambda rng, a: like(a, np.nan)),
    "value_random": only(dual=lambda rng, a: like(a, rng.normal(0, 1, a.shape))),
    "never": only(dual=lambda rng, a: like(a, 1)),
    "points_nan": only(x=lambda rng, a: like(a, np.nan), x_best=lambda rng, a: like(a, np.inf)),
    "points_outside": only(x=lambda rng, a: like(a, rng.normal(0, 1e12, a.shape)), x_best=lambda rng, a: a - 1),
    "coefficients_nan": only(coefficients=lambda rng, a: like(a, np.nan)),
    "coefficients_inf": only(coefficients=lambda rng, a: like(a, -np.inf)),
    "coefficients_zero": only(coefficients=lambda rng, a: like(a, 0)),
    "neurons_elsewhere": only(acc=lambda rng, a: -a, y=lambda rng, a: like(a, rng.normal(0, 1e6, a.shape))),
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_search_lies_about_multipliers_cost_time_never_a_verdict(monkeypatch, lie):
    run, rng = DualDescent.run, np.random.default_rng(0)
    monkeypatch.setattr(DualDescent, "run", lambda self, *arguments, **named: lie(rng, run(self, *arguments, **named)))
    for seed in range(40):
        check_search(busy_query(random.Random(seed), 3), seed)


def test_search_huge_shares_of_huge_coefficients_are_no_proof(monkeypatch):
    """2**61 times 8 is 0 in int64, and an objective of 0 is below any negative bound."""
    run = DualDescent.run

    def lie(self, *arguments, **named):
        found = run(self, *arguments, **named)
        return found._replace(dual=like(found.dual, -1), multipliers=like(found.multipliers, 0), shares=like(found.shares, 2.0**61))

    monkeypatch.setattr(DualDescent, "run", lie)
    asked = query(copying(2), AtMost(((-8, y(0)), (8, y(1))), -8))
    assert run_search(asked, tighten=0, rounding=False)[1] is not None


def test_search_network_with_biases_near_the_limit():
    """acc = x0 - x1 + 2**59 - 50; y says whether that reaches 2**59 - 20."""
    requantizer = ShiftRequantizer(0, "floor", 0, 1, offset=0)
    last = dense([[1, -1], [1, 1]], [(1 << 59) - 50, 50 - (1 << 59)], ShiftRequantizer(58, "half_up", -3, 3), tensor(2, 0, 1))
    first = dense([[1, -1], [2, 1]], [-3, -9], requantizer, tensor(2, 0, 15))
    for bound in range(-4, 4):
        asked = query(Network((first, last)), AtMost(((-1, y(0)), (1, y(1))), bound))
        violated = truths(asked.violation, *all_values(asked.networks, asked.boxes)).any()
        for rules in ({}, {"tighten": 0, "rounding": False, "bounds": False}):
            assert (run_search(asked, **rules)[1] is not None) == violated


def test_search_weights_beyond_float32_stay_exact():
    """Multipliers of three such layers overflow float32; what is left of them proves nothing, and SAT decides."""
    top = (1 << 31) - 1
    requantizer = ShiftRequantizer(31, "floor", 0, (1 << 11) - 1)
    layers, form = [], tensor(2, 0, 3)
    for k in range(4):
        layers.append(dense([[top, -top], [-top, top]], [k, 1 << 40], requantizer, form))
        form = layers[-1].output
    coefficient = 1 << 46
    for sign in (1, -1):
        for bound in (-3, 0, 2):
            asked = query(Network(tuple(layers)), AtMost(((sign * coefficient, y(0)), (-sign * coefficient, y(1))), bound * coefficient))
            violated = truths(asked.violation, *all_values(asked.networks, asked.boxes)).any()
            assert (run_search(asked, bounds=False)[1] is not None) == violated


@pytest.mark.parametrize("bounds", [True, False])
def test_search_of_true_and_false(bounds):
    assert run_search(query(copying(2), TRUE), bounds=bounds)[1] is not None
    assert run_search(query(copying(2), FALSE), bounds=bounds)[1] is None
    assert run_search(query(copying(2), Or((FALSE, And((TRUE, FALSE))))), bounds=bounds)[1] is None


def test_search_counts_what_it_did():
    search, found = run_search(query(copying(2), AtMost(((1, y(0)), (1, y(1)), (-1, x(0)), (-1, x(1))), -1)))
    assert found is None
    assert search.counts == {"nodes": 1, "refuted": 1, "doubted": 0, "leaves": 0, "open": 0, "closed": 1}


def twins(gap: int) -> Query:
    """y = (3 x0 + x1) / 4: how far apart are the outputs of two inputs with the same x0?"""
    network = one_layer([[3, 1]], None, ShiftRequantizer(2, "floor", 0, 15), tensor(2, 0, 7))
    same = [AtMost(((sign, Ref(0, "input", 0)), (-sign, Ref(1, "input", 0))), 0) for sign in (1, -1)]
    apart = AtMost(((1, Ref(0, "output", 0)), (-1, Ref(1, "output", 0))), -gap)
    return Query((network, network), (whole_box(network),) * 2, And((*same, apart)))


@pytest.mark.parametrize("leaf", [16.0, 0.0])
@pytest.mark.parametrize("gap", range(4))
def test_search_of_twins(gap, leaf):
    assert (run_search(twins(gap), leaf=leaf, rounding=False)[1] is not None) == (gap <= 2)


def digits_query(eps: int) -> Query:
    network = load(network_path())
    image, label = (np.load(path())[3] for path in (images_path, labels_path))
    return robustness(network, image, eps, int(label))


def stubborn(monkeypatch) -> None:
    """No node is ever refuted by multipliers."""
    run = DualDescent.run
    monkeypatch.setattr(DualDescent, "run", lambda self, *arguments, **named: LIES["never"](None, run(self, *arguments, **named)))


def test_open_nodes_and_the_closed_share_add_up_to_the_tree(monkeypatch):
    """After every step, whatever closes nodes and however few children are made at a time."""
    monkeypatch.setattr(open_nodes, "TOGETHER", 1)
    several = 0
    for seed in range(60):
        asked = busy_query(random.Random(seed))
        search = Search(
            Reduction(asked, propagate(asked), without_not(asked.violation)), make_options(batch=1, leaf=2, tighten=0), Limits()
        )
        search.start()
        while search.stack:
            parts = [(len(names), float(parent.weight.sum()) * len(names)) for parent, _, names in search.waiting]
            parts += [(len(nodes), float(nodes.weight.sum())) for nodes in search.stack]
            assert search.counts["open"] == sum(count for count, _ in parts)
            assert search.counts["closed"] == pytest.approx(1 - sum(weight for _, weight in parts))
            several += len(search.waiting) > 0
            if search.step() is not None:
                break
        else:
            assert (search.counts["open"], search.counts["closed"]) == (0, pytest.approx(1))
    assert several > 10


def test_search_says_how_far_it_got(monkeypatch):
    stubborn(monkeypatch)
    verdict = verify(digits_query(3), engine="hybrid", attack=False, rounding=False, anneal=False, leaf=0, timeout=1)
    assert verdict.statistics["open"] > 0
    assert 0 <= verdict.statistics["closed"] < 1


def test_search_keeps_the_timeout(monkeypatch):
    stubborn(monkeypatch)
    start = time.monotonic()
    verdict = verify(digits_query(3), engine="hybrid", attack=False, rounding=False, anneal=False, leaf=0, timeout=1)
    assert (verdict.verdict, verdict.reason) == ("UNKNOWN", "timeout")
    assert verdict.statistics["nodes"] > 0
    assert time.monotonic() - start < 60


def test_search_keeps_the_memory_limit(monkeypatch):
    stubborn(monkeypatch)
    asked, options = digits_query(3), make_options(leaf=0, rounding=False, anneal=False)
    limits = Limits(memory=1)
    search = Search(Reduction(asked, propagate(asked), asked.violation), options, limits)
    search.start()
    search.step()
    monkeypatch.setattr("qbitsat.limits.resident_bytes", lambda pid="self": 2 << 30)
    with pytest.raises(LimitReached, match="memory"):
        search.run()


def test_search_keeps_the_limit_on_conflicts(monkeypatch):
    stubborn(monkeypatch)
    monkeypatch.setattr(sat, "solve", lambda *_, **__: sat.SatResult(None, "conflicts"))
    verdict = verify(twins(2), engine="hybrid", attack=False, rounding=False, anneal=False)
    assert (verdict.verdict, verdict.reason) == ("UNKNOWN", "conflicts")


def test_search_hands_its_options_to_leaves(monkeypatch):
    seen = []

    def solve(clauses, num_vars, solver, limits, conflicts, **_):
        seen.append((solver, conflicts))
        return sat.SatResult(False)

    monkeypatch.setattr(sat, "solve", solve)
    box = Box(np.array([1]), np.array([2]))
    asked = query(one_layer([[1]], None, ShiftRequantizer(0, "floor", 0, 3, "wrap"), tensor(1)), AtMost(((-2, y(0)),), -3), box)
    run_search(asked, solver="glucose4", conflicts=77, rounding=False)
    assert seen == [("glucose4", 77)]


def test_search_negative_shares_are_no_proof(monkeypatch):
    """y0 = y1, so y0 - y1 <= 5 always holds, which intervals do not see; times -1 that reads as never."""
    run = DualDescent.run

    def lie(self, *arguments, **named):
        found = run(self, *arguments, **named)
        multipliers = np.broadcast_to(np.array([1, -1], np.float32), found.multipliers.shape).copy()
        return found._replace(dual=like(found.dual, -1), multipliers=multipliers, shares=like(found.shares, -1))

    monkeypatch.setattr(DualDescent, "run", lie)
    network = one_layer([[1], [1]], None, ShiftRequantizer(0, "floor", 0, 15), tensor(1))
    assert run_search(query(network, AtMost(((1, y(0)), (-1, y(1))), 5)), rounding=False)[1] is not None


def lies_first(truth, times: int, lie):
    """What `truth` answers, but for its first `times` answers."""
    left = iter(range(times))
    return lambda *rest, **options: truth(*rest, **options) if next(left, None) is None else lie(*rest)


@pytest.mark.parametrize("times", [1, 2, 100])
def test_leaf_that_does_not_replay_is_solved_without_its_ranges(monkeypatch, times):
    """2 x0 + 4 x1 = 21: the multipliers cannot say that there is none, so SAT is asked, and lies at first."""
    network = one_layer([[2, 4]], None, ShiftRequantizer(0, "floor", 0, 60), tensor(2, 0, 7))
    asked = query(network, And((AtMost(((1, y(0)),), 21), AtMost(((-1, y(0)),), -21))))
    lie = lambda clauses, num_vars, *_: sat.SatResult(True, "", np.zeros(num_vars + 1, bool))  # noqa: E731
    monkeypatch.setattr(sat, "solve", lies_first(sat.solve, times, lie))
    with pytest.warns(RuntimeWarning, match="leaf"):
        verdict = verify(asked, engine="hybrid", attack=False)
    assert verdict.statistics["unconfirmed"] >= min(times, 2)
    expected = ("UNKNOWN", "inputs of the search do not replay") if times > 1 else ("HOLDS", "")
    assert (verdict.verdict, verdict.reason) == expected


@pytest.mark.parametrize(("module", "name"), [("attack.rounding.RoundingHeuristic", "propose"), ("attack.annealing.Annealer", "anneal")])
def test_points_and_walks_that_do_not_replay_are_dropped(monkeypatch, module, name):
    asked = robustness(load(network_path()), np.load(images_path())[14], 1, int(np.load(labels_path())[14]))
    middle = tuple(((box.lo + box.hi) // 2).tolist() for box in asked.boxes)
    monkeypatch.setattr(f"qbitsat.{module}.{name}", lambda *_: middle)
    with pytest.warns(RuntimeWarning, match="relaxed points" if "rounding" in module else "annealing"):
        verdict = verify(asked, engine="hybrid", attack=False)
    assert (verdict.verdict, verdict.reason) == ("HOLDS", "")
    assert verdict.statistics["unconfirmed"] > 0
