"""Linear programs: the kernel comes to what HiGHS comes to, and no verdict depends on what it says."""

import random

import numpy as np
import pytest
from enumerated import narrowed, space
from test_relaxation import equal_steps, relaxed_nodes, slack
from test_shared import digits_query
from tiny import busy_query, check_search

from qbitsat._kernels.exact import ranges as _ranges
from qbitsat.attack.rounding import RoundingHeuristic
from qbitsat.bounds import propagate
from qbitsat.bounds.dual import Dual
from qbitsat.bounds.dual_descent import DualDescent
from qbitsat.bounds.layout import Inequalities, Layout
from qbitsat.bounds.reduction import Reduction
from qbitsat.limits import LimitReached, Limits
from qbitsat.options import make_options
from qbitsat.properties.formula import without_not
from qbitsat.search import Search, linear_programs
from qbitsat.search.linear_programs import LinearPrograms


class Solved:
    """One node at a time by the kernel, every neuron with a multiplier; all inequalities of a query are known to it."""

    def __init__(self, layout: Layout, inequalities, root, most: int = 2, pool: int = 8):
        self.layout, self.most, inequalities = layout, most, Inequalities.of(inequalities)
        ones, x_lo = np.ones(layout.num_neurons), root.lo[0, : layout.num_inputs]
        self.kernel = linear_programs.build(
            DualDescent(layout, layout.blocks, inequalities, root), inequalities, ones, ones > 0, x_lo, most, pool
        )

    def run(self, ranges, atoms, normalization=None, basis=-1, limit=3000):
        """(value, multipliers, shares, basis, x, acc, y, exchanges) of one row."""
        m, n = self.layout.num_inputs, self.layout.num_neurons
        hull = _ranges.vertices(self.layout.kernel, *ranges.arrays)
        boxes = (np.ascontiguousarray(end[:, :m], np.float32) for end in (ranges.lo, ranges.hi))
        mine = np.full((1, self.most), -1, np.int32)
        mine[0, : len(atoms)] = atoms
        bases, multipliers = np.array([basis]), np.zeros((1, n), np.float32)
        shares, normalizations = np.zeros((1, self.most), np.float32), np.zeros((1, n)) if normalization is None else normalization[None]
        answer = self.kernel.run(mine, *boxes, *hull, normalizations, bases, multipliers, shares, limit)
        value, _, x, acc, y, taken = answer
        return float(value[0]), multipliers[0], shares[0], int(bases[0]), x[0], acc[0], y[0], taken


def solved_nodes():
    """Nodes of `relaxed_nodes` with steps that are equally long, and a kernel for each query."""
    for asked, ranges, atoms, relaxed, disjuncts, every in relaxed_nodes():
        if equal_steps(every.layout) and every.layout.stepped:
            yield asked, ranges, atoms, relaxed, disjuncts, every, Solved(every.layout, disjuncts.inequalities, ranges)


def test_programs_come_to_the_optimum():
    """At most what HiGHS comes to, whose lines are no tighter than the hulls, and no less than the best point."""
    checked = exact = 0
    for _, ranges, atoms, relaxed, disjuncts, every, solved in solved_nodes():
        value, _, shares, *_ = solved.run(ranges, atoms)
        most = slack(relaxed, ranges, atoms)
        inside = every.inside(ranges, 0)
        best = max(
            (
                min(disjuncts.inequalities[a][2] - int(disjuncts.inequalities[a][1] @ row[disjuncts.inequalities[a][0]]) for a in atoms)
                for row in every.values[inside]
            ),
            default=-np.inf,
        )
        assert value >= best - 1e-3 * (1 + abs(best))
        if most is None:
            assert value < 1e-3 or not inside.any()
        elif value >= 0:
            assert value <= most + 1e-3 * (1 + abs(most))
            exact += value >= most - 1e-3 * (1 + abs(most))
            assert (shares[: len(atoms)] >= 0).all()
            assert shares[: len(atoms)].sum() == pytest.approx(1, abs=1e-5)
        checked += 1
    assert checked > 40
    assert exact > 20


def test_programs_end_at_a_point_of_the_relaxation():
    checked = 0
    for _, ranges, atoms, _, _, every, solved in solved_nodes():
        value, _, _, _, x, acc, y, _ = solved.run(ranges, atoms)
        if value < 0:
            continue
        values, m = np.concatenate([x, y]).astype(float), every.layout.num_inputs
        for block in every.layout.blocks:
            rows = [every.layout.row(block, i) for i in range(block.size)]
            reached = [weights @ values[read] + bias for read, weights, bias in rows]
            np.testing.assert_allclose(acc[block.neurons], reached, atol=1e-2, rtol=1e-4)
        assert (ranges.lo[0, :m] - 1e-3 <= x).all()
        assert (x <= ranges.hi[0, :m] + 1e-3).all()
        assert (ranges.acc_lo[0] - 1e-2 <= acc).all()
        assert (acc <= ranges.acc_hi[0] + 1e-2).all()
        checked += 1
    assert checked > 20


def test_programs_come_to_the_same_from_another_basis():
    checked = steps = fresh_steps = 0
    for _, ranges, atoms, _, _, every, solved in solved_nodes():
        basis = solved.run(ranges, atoms)[3]
        v = every.layout.num_inputs + int(np.argmax(ranges.hi[0, every.layout.num_inputs :] - ranges.lo[0, every.layout.num_inputs :]))
        child = ranges.take(np.array([0]))
        child.lo[0, v] = (child.lo[0, v] + child.hi[0, v] + 1) // 2
        if basis < 0 or not child.propagate(every.layout).all():
            continue
        cold, warm = solved.run(child, atoms), solved.run(child, atoms, basis=basis)
        if cold[0] >= 0 or warm[0] >= 0:
            assert warm[0] == pytest.approx(cold[0], rel=1e-3, abs=1e-3)
        checked, steps, fresh_steps = checked + 1, steps + warm[-1], fresh_steps + cold[-1]
    assert checked > 20
    assert steps < fresh_steps


def test_a_basis_that_is_gone_is_begun_anew():
    for _, ranges, atoms, _, _, _, solved in solved_nodes():
        first = solved.run(ranges, atoms)
        if first[3] < 0:
            continue
        for _ in range(20):
            solved.run(ranges, atoms)
        again = solved.run(ranges, atoms, basis=first[3])
        assert again[0] == pytest.approx(first[0], rel=1e-4, abs=1e-4)
        return
    raise AssertionError("no node was open")


def normalized_nodes():
    """Nodes of queries with several outputs cut, each with a neuron to normalize and its sign."""
    for seed in range(60):
        rng = random.Random(seed)
        asked = busy_query(rng)
        every = space(asked)
        layout = every.layout
        if not layout.stepped:
            continue
        nodes = narrowed(rng, asked, layout, 20, 6)
        for row in np.flatnonzero(nodes.propagate(layout, inputs=True)).tolist():
            yield nodes.take(np.array([row])), every, rng.randrange(layout.num_neurons), rng.choice((-1.0, 1.0))


def test_nodes_without_inequalities_are_empty_if_programs_and_integers_say_so():
    """Aimed multipliers are as good as any others. Where steps are not equally long floats may say so of a node that is not."""
    empty, none = 0, np.full((1, 0), -1, np.int32)
    for ranges, every, neuron, sign in normalized_nodes():
        normalization = np.zeros(every.layout.num_neurons)
        normalization[neuron] = sign
        value, multipliers, *_ = Solved(every.layout, [], ranges).run(ranges, [], normalization)
        if value >= 0:
            continue
        proved = Dual(every.layout, []).prove(ranges, np.zeros(1, np.int64), none, np.zeros((1, 0), np.float32), multipliers[None])
        if equal_steps(every.layout):
            assert proved.values[0] < 0
            empty += 1
        assert proved.values[0] >= 0 or not every.inside(ranges, 0).any()
    assert empty > 5


def make_lie(monkeypatch, lie) -> list:
    """From now on programs lie, and no points find witnesses; the list grows with every call."""
    tell, rng, calls = LinearPrograms.solve, np.random.default_rng(1), []

    def lying(self, nodes, value):
        calls.append(None)
        return lie(rng, nodes, tell(self, nodes, value))

    monkeypatch.setattr(LinearPrograms, "solve", lying)
    monkeypatch.setattr(RoundingHeuristic, "propose", lambda *args: None)
    return calls


def garbage(rng, nodes, rows):
    nodes.multipliers[:] = rng.normal(0, 1, nodes.multipliers.shape) * rng.choice([1.0, 1e9, 1e29, np.nan])
    nodes.shares[:] = np.abs(rng.normal(0, 1, nodes.shares.shape))
    nodes.basis[:] = rng.integers(-1, 100, len(nodes))
    return np.arange(len(nodes))


def turned(rng, nodes, rows):
    nodes.multipliers[:] = -nodes.multipliers
    return np.arange(len(nodes))


def zero(rng, nodes, rows):
    nodes.multipliers[:], nodes.shares[:] = 0, 0
    return np.arange(len(nodes))


LIES = {
    "nothing": lambda rng, nodes, rows: rows[:0],
    "garbage": garbage,
    "turned": turned,
    "zero": zero,
    "all empty": lambda rng, nodes, rows: np.arange(len(nodes)),
    "truth": lambda rng, nodes, rows: rows,
}


@pytest.mark.parametrize("lie", sorted(LIES))
def test_search_agrees_with_enumeration_whatever_programs_say(monkeypatch, lie):
    calls = make_lie(monkeypatch, LIES[lie])
    monkeypatch.setattr(linear_programs, "AFTER", 0)
    for seed in range(60):
        check_search(busy_query(random.Random(seed), 3), seed)
    assert len(calls) > 50


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -1.0])
def test_search_agrees_with_enumeration_when_numbers_fail(monkeypatch, value):
    build, answers = LinearPrograms._build, []

    class Failing:
        def __init__(self, kernel):
            self.kernel = kernel

        def run(self, *args):
            answer = self.kernel.run(*args)
            answer[0][:] = value
            answers.append(None)
            return answer

    monkeypatch.setattr(LinearPrograms, "_build", lambda self: Failing(build(self)))
    monkeypatch.setattr(linear_programs, "AFTER", 0)
    for seed in range(40):
        check_search(busy_query(random.Random(seed), 3), seed)
    assert len(answers) > 5


def search_digits(**options) -> Search:
    asked = digits_query(14)
    values = make_options(anneal=False, rounding=False, **options)
    return Search(Reduction(asked, propagate(asked), without_not(asked.violation)), values, Limits(values.timeout))


def test_programs_close_what_the_descent_leaves_open(monkeypatch):
    monkeypatch.setattr(linear_programs, "AFTER", 0)
    nodes = []
    for asked_for in (False, True):
        search = search_digits(lp=asked_for, steps=20, polish=0)
        assert search.run() is None
        nodes.append(search.counts["nodes"])
    assert nodes[1] < 0.5 * nodes[0]


def test_programs_keep_limits(monkeypatch):
    """However many nodes get programs at once, limits are looked at between some of them."""
    monkeypatch.setattr(linear_programs, "AFTER", 0)
    monkeypatch.setattr("qbitsat.limits.SLICE", 1)
    search = search_digits(batch=64)
    search.start()
    while len(search.stack[-1]) < 4:
        search.step()
    looks = []

    def check(*_):
        looks.append(None)
        if len(looks) > 3:
            raise LimitReached("timeout")

    monkeypatch.setattr(search.limits, "check", check)
    nodes = search.stack[-1]
    with pytest.raises(LimitReached):
        search.scheduler.lp.solve(nodes, np.zeros(len(nodes)))
    assert len(looks) == 4


def test_networks_that_are_too_wide_get_no_programs(monkeypatch):
    monkeypatch.setattr(linear_programs, "MAX_SIZE", 5)
    monkeypatch.setattr(linear_programs, "AFTER", 0)
    search = search_digits(timeout=0.2)
    search.start()
    assert not search.scheduler.lp.begun(10**6)
    search.step()
    assert search.scheduler.lp.kernel is None


@pytest.mark.parametrize(
    ("closed", "seconds", "pays"),
    [((20, 10), (0.1, 0.1), True), ((10, 10), (0.1, 0.1), True), ((12, 10), (1.0, 0.1), False), ((10, 12), (0.1, 0.1), False)],
)
def test_programs_pay_where_they_narrow_a_tree_more_than_they_slow_it(closed, seconds, pays):
    trial = linear_programs.Trial()
    for k in range(4):
        trial.add(16, (closed[0] // 4 + (k < closed[0] % 4), seconds[0] / 4), (closed[1] // 4 + (k < closed[1] % 4), seconds[1] / 4))
    assert trial.nodes == 64
    assert trial.pays() is pays


@pytest.mark.parametrize("pays", [True, False])
def test_programs_go_on_while_they_pay(monkeypatch, pays):
    monkeypatch.setattr(linear_programs, "AFTER", 0)
    monkeypatch.setattr(linear_programs, "TRIED", 4)
    monkeypatch.setattr(linear_programs.Trial, "pays", lambda trial: pays)
    search = search_digits(steps=8, polish=4)
    assert search.run() is None
    lp = search.scheduler.lp
    assert lp.pay is pays
    assert lp.begun(lp.worked) is pays
    assert lp.due > linear_programs.AGAIN
    # The next trial comes after as many nodes again.
    assert lp.begun(lp.due)
