"""Walks: their states are what they say, what they hand back violates in integers, and a kernel that lies changes no verdict."""

import itertools
import random
import time

import anneal_twin
import numpy as np
import pytest
from handmade import copying, one_layer, query, tensor, x, y
from tiny import all_values, busy_query, check_search, deep_query, truths

from qbitsat._kernels.suggest.anneal import Annealing
from qbitsat._kernels.suggest.floats import Floats
from qbitsat.attack import annealing
from qbitsat.attack.annealing import Start
from qbitsat.attack.rounding import RoundingHeuristic
from qbitsat.bounds import propagate
from qbitsat.bounds.reduction import Reduction
from qbitsat.limits import LimitReached, Limits
from qbitsat.options import make_options
from qbitsat.properties import And, AtMost, replay
from qbitsat.properties.formula import without_not
from qbitsat.search import Search, schedule
from qbitsat.verify import verify


def started(asked, **options) -> Search:
    search = Search(
        Reduction(asked, propagate(asked), without_not(asked.violation)), make_options(**options), Limits(options.get("timeout"))
    )
    search.start()
    return search


def start_of(search: Search, branch: int, x: np.ndarray) -> Start:
    """A walk of a branch in the whole root."""
    atoms, waiting = search.disjuncts.table[branch]
    return Start(branch, () if waiting else atoms, search.root, x)


def branches_of(search: Search) -> list[int]:
    """The branches without an `Or` that the root splits into."""
    todo, done = [0], []
    while todo:
        branch = todo.pop()
        todo += search.disjuncts.parts(branch) if search.disjuncts.table[branch].waiting else []
        done += [] if search.disjuncts.table[branch].waiting else [branch]
    return done


def annealers(count: int, make=busy_query):
    """Random queries with an annealer that can, a branch of theirs with inequalities, and inputs in the box."""
    found = 0
    for seed in range(10 * count):
        rng = random.Random(seed)
        asked = make(rng)
        search = started(asked)
        if found == count or not search.stack or not search.scheduler.annealer.able:
            continue
        m = search.layout.num_inputs
        lo, hi = search.root.lo[0, :m], search.root.hi[0, :m]
        branches = [branch for branch in branches_of(search) if search.disjuncts.table[branch].atoms]
        if branches:
            found += 1
            yield (
                rng,
                asked,
                search,
                rng.choice(branches),
                np.array([rng.randint(*ends) for ends in zip(lo.tolist(), hi.tolist(), strict=True)]),
            )
    assert found == count


def begun(rng, search: Search, branch: int, start: np.ndarray):
    """The annealer's kernel at the begin of a walk."""
    annealer = search.scheduler.annealer
    assert any(annealer._begin(*start_of(search, branch, start)) for _ in range(50))
    return annealer.kernel


def test_scores_are_those_of_the_twin():
    compared = positive = 0
    for rng, _, search, branch, start in annealers(120):
        kernel, layout = begun(rng, search, branch, start), search.layout
        atoms = [search.disjuncts.inequalities[a] for a in search.scheduler.annealer.targets if a in search.disjuncts.table[branch].atoms]
        neurons = [n for block in search.scheduler.annealer.first for n in range(block.neurons.start, block.neurons.stop)]
        ranges = list(zip(*(part.tolist() for part in search.scheduler.annealer.series[branch].ranges), strict=True))
        for _ in range(5):
            values = {
                n: rng.randint(int(search.root.lo[0, layout.num_inputs + n]), int(search.root.hi[0, layout.num_inputs + n]))
                for n in neurons
            }
            y_min = {
                b.neurons.start + i: b.layer.requantizer(i).lo for b in search.scheduler.annealer.first for i in range(b.layer.affine.n_out)
            }
            score = kernel.score_of(np.array([values[n] - y_min[n] for n in neurons], np.int32))
            assert score == pytest.approx(anneal_twin.score(layout, atoms, ranges, values), rel=1e-4, abs=1e-4)
            compared, positive = compared + 1, positive + (score > 0)
    assert positive > 0.3 * compared > 0


def test_states_are_inputs_with_these_outputs():
    """Inputs stay in the box, within fences, and where each accumulator gives its level; the score is that of the levels."""
    moved = 0
    for rng, _, search, branch, start in annealers(80):
        kernel = begun(rng, search, branch, start)
        before = kernel.levels
        found = kernel.on(300, 1.0)
        here, levels, m = kernel.x.astype(float), kernel.levels, search.layout.num_inputs
        moved += (levels != before).any()
        assert (here >= search.root.lo[0, :m] - 1e-3).all()
        assert (here <= search.root.hi[0, :m] + 1e-3).all()
        assert found or kernel.best <= kernel.score
        score = kernel.score
        assert kernel.score_of(levels) == pytest.approx(score, abs=1e-5)
        if (levels == before).all():
            continue
        for row, (block, i) in enumerate((b, i) for b in search.scheduler.annealer.first for i in range(b.layer.affine.n_out)):
            steps, (weights, constant) = anneal_twin.table(block, i), anneal_twin.row_of(block, i)
            acc = constant + sum(w * v for w, v in zip(weights, here.tolist(), strict=False))
            assert steps[levels[row]] - 1.01 <= acc <= steps[levels[row] + 1] + 0.01
        for atom in set(search.scheduler.annealer.fences) & set(search.disjuncts.table[branch].atoms):
            values, coefficients, bound = search.disjuncts.inequalities[atom]
            assert coefficients @ here[values] <= bound + 1.01
    assert moved > 30


def test_whole_inputs_have_the_levels_and_reach_the_goal():
    reached = 0
    for rng, asked, search, branch, start in annealers(150):
        kernel = begun(rng, search, branch, start)
        if not kernel.on(2000, 0.5):
            continue
        inputs = search.scheduler.annealer._checked(kernel.rounded)
        assert inputs is not None
        assert replay(asked, inputs) is not None
        reached += 1
    assert reached > 15


def test_the_same_seed_walks_the_same_way():
    for rng, _, search, branch, start in annealers(20):
        ends = []
        for _ in range(2):
            search.scheduler.annealer.rng, search.scheduler.annealer.series, search.scheduler.annealer.best = (
                np.random.default_rng(3),
                {},
                {},
            )
            kernel = begun(rng, search, branch, start)
            kernel.on(500, 0.7)
            ends.append((kernel.x.tolist(), kernel.levels.tolist(), kernel.score))
        assert ends[0] == ends[1]


def walked(asked) -> tuple | None:
    """What walks from every branch find in a moment."""
    search = started(asked)
    if not search.stack or not search.scheduler.annealer.able:
        return None
    rng, m, root = search.scheduler.annealer.rng, search.layout.num_inputs, search.root
    branches = branches_of(search)
    middle = (root.lo + root.hi)[0, :m] / 2
    return search.scheduler.annealer.anneal(lambda: start_of(search, branches[rng.integers(len(branches))], middle), 0.1)


def test_walks_find_violations_and_nothing_else():
    found = violated = 0
    for seed in range(60):
        asked = deep_query(random.Random(seed))
        inputs = walked(asked)
        if inputs is not None:
            found += 1
            assert replay(asked, inputs) is not None
        violated += bool(truths(asked.violation, *all_values(asked.networks, asked.boxes)).any())
    assert violated >= found > 0.5 * violated


def test_walks_keep_two_networks_on_equal_inputs():
    """Inequalities over inputs are fences: the first input of the second network is that of the first."""
    asked = query(copying(2), AtMost((), 0))
    same = And((AtMost(((1, x(0)), (-1, x(1))), 0), AtMost(((-1, x(0)), (1, x(1))), 0)))
    asked = query(copying(2), And((same, AtMost(((-1, y(0)), (-1, y(1))), -26))))
    inputs = walked(asked)
    assert inputs is not None
    assert inputs[0][0] == inputs[0][1] >= 13


def always(monkeypatch) -> None:
    """Walks from the first node on, and no other witnesses."""
    monkeypatch.setattr(RoundingHeuristic, "propose", lambda *args: None)
    monkeypatch.setattr(schedule, "ANNEAL_AFTER", 0)
    monkeypatch.setattr(schedule, "ANNEAL_SHARE", 0.5)


def test_search_walks_and_agrees_with_enumeration(monkeypatch):
    always(monkeypatch)
    for seed in range(200, 300):
        check_search(busy_query(random.Random(seed), 3), seed)


LIES = {
    "garbage": lambda rng, shape: rng.normal(0, 100, shape),
    "huge": lambda rng, shape: np.full(shape, 1e30),
    "nan": lambda rng, shape: np.full(shape, np.nan),
}


@pytest.mark.parametrize("lie", sorted(LIES))
def test_search_agrees_with_enumeration_whatever_walks_say(monkeypatch, lie):
    always(monkeypatch)
    rng, told = np.random.default_rng(1), []

    class Liar:
        """A kernel that always has inputs."""

        best, score, scale = 0.0, 0.0, 1.0

        def __init__(self, inputs, *rest):
            self.shape = len(inputs[0])
            self.x = np.zeros(self.shape, np.float32)

        def begin(self, *args):
            pass

        def on(self, moves, temperature):
            told.append(None)
            return True

        @property
        def rounded(self):
            return LIES[lie](rng, self.shape).astype(np.float32)

    monkeypatch.setattr(annealing, "Annealing", Liar)
    for seed in range(60):
        check_search(busy_query(random.Random(seed), 3), seed)
    assert told


def test_walks_keep_the_timeout():
    search = started(query(copying(2), AtMost(((-1, y(0)),), -3)), timeout=0.05)
    time.sleep(0.06)
    with pytest.raises(LimitReached):
        search.scheduler.annealer.anneal(lambda: start_of(search, 0, np.zeros(2)), 10.0)


def test_walks_end_with_their_time():
    search = started(query(copying(2), AtMost(((-1, y(0)), (-1, y(1))), -40)))
    assert search.scheduler.annealer.able
    began = time.monotonic()
    assert search.scheduler.annealer.anneal(lambda: start_of(search, 0, np.zeros(2)), 0.05) is None
    assert search.scheduler.annealer.seconds >= 0.05
    assert time.monotonic() - began < 5


def test_walks_have_seconds_of_the_limits(monkeypatch):
    """Whatever clock these have: of wall time as a share of CPU time walks would have too little on a shared machine."""
    search = started(query(copying(2), AtMost(((-1, y(0)), (-1, y(1))), -40)))
    monkeypatch.setattr(search.limits, "seconds", itertools.count(step=0.25).__next__)
    assert search.scheduler.annealer.anneal(lambda: start_of(search, 0, np.zeros(2)), 0.4) is None
    seconds = search.scheduler.annealer.seconds
    assert seconds >= 0.4
    assert seconds % 0.25 == 0


def test_the_tree_gets_a_turn(monkeypatch):
    monkeypatch.setattr(annealing, "CALL", 0.02)
    search = started(query(copying(2), AtMost(((-1, y(0)), (-1, y(1))), -40)))
    assert search.scheduler.annealer.anneal(lambda: start_of(search, 0, np.zeros(2)), 1e9) is None
    assert search.scheduler.annealer.seconds < 5


def test_nothing_to_walk_for_ends_at_once():
    search = started(query(copying(2), AtMost(((-1, y(0)),), -3)))
    search.disjuncts.table[0] = search.disjuncts.table[0]._replace(atoms=())
    assert search.scheduler.annealer.anneal(lambda: start_of(search, 0, np.zeros(2)), 1e9) is None


def test_no_walks_for_inequalities_over_inputs_and_outputs_together():
    assert not started(query(copying(2), AtMost(((-1, y(0)), (1, x(0))), -1))).scheduler.annealer.able


@pytest.mark.parametrize(("name", "most"), [("MAX_WEIGHTS", 4), ("MAX_TERMS", 2)])
def test_no_walks_where_a_move_takes_too_long(monkeypatch, name, most):
    asked = query(copying(2), AtMost(((-1, y(0)), (-1, y(1))), -3))
    for limit in (most, most - 1):
        monkeypatch.setattr(annealing, name, limit)
        assert started(asked).scheduler.annealer.able == (limit == most)


def test_no_walks_when_told_so(monkeypatch):
    always(monkeypatch)
    monkeypatch.setattr(annealing.Annealer, "anneal", lambda *args: pytest.fail("walked"))
    assert verify(query(copying(2), AtMost(((-1, y(0)),), -3)), anneal=False, attack=False, bounds=False).verdict == "VIOLATED"


ROWS = np.ones((1, 2), np.float32), np.zeros(1, np.float32), np.zeros(1, np.float32), *(np.array([k], np.int32) for k in (0, 0, 3))
STEPS = [(np.array([-1e9, 1, 2, 3, 1e9], np.float32), 1, 1.0, 1.0, 0.0)]
BOX = np.zeros(2, np.float32), np.full(2, 3, np.float32)
LATER = Floats(one_layer(np.ones((1, 2), int), form=tensor(2)).kernel), np.zeros(0, np.int32)
AIMS = [(np.zeros(1, np.int32), np.full(1, -1, np.float32), -2.0)]


@pytest.mark.parametrize(
    "arguments",
    [
        ((BOX[0],) * 2, (ROWS[0], ROWS[1][:0], *ROWS[2:]), STEPS, *LATER, AIMS),
        ((BOX[0][:1],) * 2, ROWS, STEPS, *LATER, AIMS),
        (BOX, (*ROWS[:3], np.array([1], np.int32), *ROWS[4:]), STEPS, *LATER, AIMS),
        (BOX, (*ROWS[:5], np.array([4], np.int32)), STEPS, *LATER, AIMS),
        (BOX, ROWS, [(np.zeros(1, np.float32), 0, 0.0, 1.0, 0.0)], *LATER, AIMS),
        (BOX, ROWS, [(*STEPS[0][:3], 0.0, 0.0)], *LATER, AIMS),
        (BOX, ROWS, STEPS, LATER[0], np.array([0], np.int32), AIMS),
        (BOX, ROWS, STEPS, LATER[0], np.array([1], np.int32), AIMS),
        (BOX, ROWS, STEPS * 2, *LATER, AIMS),
        (BOX, ROWS, STEPS, *LATER, [(np.ones(1, np.int32), np.ones(1, np.float32), 0.0)]),
        (BOX, ROWS, STEPS, *LATER, [(np.zeros(1, np.int32), np.zeros(1, np.float32), 0.0)]),
        ((BOX[0][:0],) * 2, (np.zeros((1, 0), np.float32), *ROWS[1:]), STEPS, *LATER, AIMS),
    ],
)
def test_kernel_refuses_what_does_not_fit(arguments):
    Annealing(BOX, ROWS, STEPS, *LATER, AIMS, 1.0)
    with pytest.raises(ValueError, match=r"rows|box|neuron|layer|inequality"):
        Annealing(*arguments, 1.0)


@pytest.mark.parametrize(
    "arguments",
    [
        (np.zeros(3), [0], (np.zeros(0, np.int32), *(np.zeros(0, np.float32),) * 2), np.zeros(0, np.float32)),
        (np.zeros(2), [1], (np.zeros(0, np.int32), *(np.zeros(0, np.float32),) * 2), np.zeros(0, np.float32)),
        (np.zeros(2), [0], (np.ones(1, np.int32), *(np.zeros(1, np.float32),) * 2), np.zeros(0, np.float32)),
        (np.zeros(2), [0], (np.zeros(0, np.int32), *(np.zeros(0, np.float32),) * 2), np.zeros(1, np.float32)),
    ],
)
def test_kernel_refuses_a_walk_that_does_not_fit(arguments):
    with pytest.raises(ValueError, match=r"walk|ranges|bound|broadcast"):
        Annealing(BOX, ROWS, STEPS, *LATER, AIMS, 1.0).begin(*arguments, 1)


def test_kernel_keeps_its_goal_when_another_is_refused():
    none = np.zeros(0, np.int32), *(np.zeros(0, np.float32),) * 2
    kernel = Annealing(BOX, ROWS, STEPS, *LATER, AIMS, 0.01)
    kernel.begin(np.zeros(2), [0], none, np.zeros(0, np.float32), 1)
    with pytest.raises(ValueError, match="dtype"):
        kernel.begin(np.zeros(2), [0], none, np.zeros(0), 1)
    assert kernel.on(1000, 1.0) or kernel.score == 0


def test_kernel_walks_to_inputs_that_are_not_numbers():
    """A start that is no number begins in the box."""
    kernel = Annealing(BOX, ROWS, STEPS, *LATER, AIMS, 0.01)
    kernel.begin(np.array([np.nan, 1e30]), [0], (np.zeros(0, np.int32), *(np.zeros(0, np.float32),) * 2), np.zeros(0, np.float32), 1)
    assert kernel.on(1000, 1.0) or kernel.score == 0
    assert kernel.x.min() >= 0
    assert kernel.x.max() <= 3
