"""Local search: states are what networks compute, scores those of a twin, and what it hands back violates in integers."""

import itertools
import random
import time
from collections import Counter
from dataclasses import replace

import anneal_twin
import numpy as np
import pytest
from graphs import graph_query
from handmade import copying, one_layer, query, tensor, x, y
from pairs import linked_pair, random_pair
from tiny import check_search, points_of

from qbitsat._kernels.suggest.local import Local
from qbitsat.arithmetic import ShiftRequantizer
from qbitsat.attack import annealing
from qbitsat.attack.annealing import Annealer, Start
from qbitsat.attack.local import LocalSearch
from qbitsat.attack.rounding import RoundingHeuristic
from qbitsat.bounds import propagate
from qbitsat.bounds.joining import parted
from qbitsat.bounds.reduction import Reduction, differenced, reduced
from qbitsat.limits import NO_LIMITS, LimitReached, Limits
from qbitsat.network import forward_all
from qbitsat.options import make_options
from qbitsat.properties import And, AtMost, Box, Query, Ref, replay
from qbitsat.properties.formula import FALSE, INPUT, OUTPUT, TRUE, without_not
from qbitsat.search import Search, schedule
from qbitsat.verify import verify


def started(asked, **options) -> Search:
    reduction = Reduction(asked, propagate(asked), without_not(asked.violation))
    return Search(reduction, make_options(**options), Limits(options.get("timeout")))


def local_of(search: Search) -> LocalSearch:
    return LocalSearch(search.layout, search.disjuncts.inequalities, search.root, search.options, search.limits)


def kernels(count: int):
    """Random graphs, a kernel for each that is at random inputs and wants some inequalities, and which."""
    found = 0
    for seed in range(10 * count):
        rng = random.Random(seed)
        search = started(graph_query(rng, most=4))
        local = local_of(search)
        if found == count or not local.able or not search.disjuncts.formulas:
            continue
        found, kernel, m = found + 1, local._build(), search.layout.num_inputs
        atoms = [k for k in range(len(search.disjuncts.formulas)) if rng.random() < 0.7]
        start = [rng.randint(*ends) for ends in zip(search.root.lo[0, :m].tolist(), search.root.hi[0, :m].tolist(), strict=True)]
        kernel.begin(np.array(start), atoms, seed)
        yield search, kernel, atoms
    assert found == count


def test_differences_of_pairs_are_written_out():
    """Inequalities say the same of all points, over outputs of layers that the query had before; witnesses make the query's true."""
    shorter = witnesses = 0
    for seed in range(120):
        asked = random_pair(seed)
        left = differenced(Reduction(asked, propagate(asked), without_not(asked.violation)))
        if not left.pairs or left.formula in (TRUE, FALSE):
            continue
        search = Search(left, make_options(), NO_LIMITS)
        local, before = local_of(search), search.disjuncts.inequalities
        values = forward_all(left.query.networks[0], points_of(left.query.boxes[0]))
        differences = search.layout.pairs[:, 3] + search.layout.num_inputs
        for (ours, c, most), (theirs, d, bound) in zip(local.inequalities, before, strict=True):
            assert most == bound
            assert (values[:, ours] @ c == values[:, theirs] @ d).all()
            assert not np.isin(ours, differences).any()
        shorter += len(local.layout.blocks) < len(search.layout.blocks)
        found = local.search(lambda search=search: Start(0, (0,), search.root, search.root.lo[0, : search.layout.num_inputs]), 0.2)
        if found is not None:
            (x,), (terms, c, bound) = found, before[0]
            witnesses += 1
            assert forward_all(left.query.networks[0], np.array([x]))[0, terms] @ c <= bound
    assert shorter > 20
    assert witnesses > 5


def test_points_of_attacks_keep_their_place_with_pairs():
    """Of one network or of several that are joined: the formula of the query with differences says of them what the asked one does."""
    said = Counter[bool]()
    for seed, question in itertools.product(range(60), (random_pair, linked_pair)):
        asked, rng = question(seed), np.random.default_rng(seed)
        points = [tuple(tuple(rng.integers(box.lo, box.hi + 1).tolist()) for box in asked.boxes) for _ in range(20)]
        before = reduced(asked, propagate(asked), without_not(asked.violation))
        left = differenced(replace(before, near=tuple(np.concatenate(before.restrict(point)) for point in points)))
        if not left.pairs or left.formula in (TRUE, FALSE):
            continue
        for point, near in zip(points, left.near, strict=True):
            at = parted((tuple(near.tolist()),), left.query.boxes)
            true = replay(Query(left.query.networks, left.query.boxes, left.formula), at) is not None
            assert true == (replay(asked, point) is not None)
            said[true] += 1
    assert min(said.values()) > 5


def test_runs_begin_where_the_attack_ended():
    """At the point that is nearest to the branch's inequalities; a witness among them is handed back without a move."""
    found = begun = 0
    for seed in range(150):
        rng = random.Random(seed)
        search = started(graph_query(rng, most=4))
        m, atoms = search.layout.num_inputs, tuple(range(len(search.disjuncts.formulas)))
        ends = list(zip(search.root.lo[0, :m].tolist(), search.root.hi[0, :m].tolist(), strict=True))
        flat = [[rng.randint(*pair) for pair in ends] for _ in range(4)]
        near = tuple(tuple(tuple(x[part]) for part in search.layout.inputs) for x in flat)
        local = LocalSearch(
            search.layout, search.disjuncts.inequalities, search.root, search.options, search.limits, tuple(map(np.array, flat))
        )
        if not local.able or not atoms:
            continue
        begun += local._begin(Start(0, atoms, search.root, search.root.lo[0, :m].astype(float)))
        missing = []
        for inputs in near:
            values = [forward_all(network, np.array([x]))[0] for network, x in zip(search.layout.networks, inputs, strict=True)]
            rows = np.concatenate(
                [v[: len(x)] for v, x in zip(values, inputs, strict=True)] + [v[len(x) :] for v, x in zip(values, inputs, strict=True)]
            )
            missing.append(sum(max(0, int(rows[terms] @ c) - bound) for terms, c, bound in local.inequalities))
        assert local.series[0].attacked.tolist() == flat[int(np.argmin(missing))]
        if not min(missing):
            found += 1
            assert local._go_on() == near[int(np.argmin(missing))]
    assert begun > 50
    assert found > 5


def test_values_are_those_of_the_networks():
    """Whatever moves were kept and taken back; the box is not left."""
    moved = 0
    for search, kernel, _ in kernels(150):
        layout, m = search.layout, search.layout.num_inputs
        before = kernel.values
        for temperature in (3.0, 0.1):
            kernel.on(40, temperature)
            values = kernel.values
            assert (search.root.lo[0, :m] <= values[:m]).all()
            assert (values[:m] <= search.root.hi[0, :m]).all()
            for k, network in enumerate(layout.networks):
                expected = forward_all(network, values[None, layout.inputs[k]])[0]
                assert values[layout.outputs[k]].tolist() == expected[network.num_inputs :].tolist()
            for block in layout.blocks:
                expected = block.layer.requantize(kernel.acc[None, block.neurons])[0]
                assert values[block.target].tolist() == expected.tolist()
        moved += (kernel.values != before).any()
    assert moved > 40


def test_scores_are_those_of_the_twin():
    positive = 0
    for search, kernel, atoms in kernels(150):
        kernel.on(20, 1.0)
        score = sum(
            anneal_twin.exact_deficit(search.layout, search.root, search.disjuncts.inequalities[k], kernel.values, kernel.acc)
            for k in atoms
        )
        assert kernel.score == pytest.approx(score, rel=1e-6, abs=1e-6)
        assert kernel.best <= kernel.score
        positive += score > 0
    assert positive > 20


@pytest.mark.parametrize("sign", [-1, 1])
def test_accumulators_of_the_largest_weights_are_exact(sign):
    """Weights of all but 32 bits on inputs that change by the most that accumulators allow."""
    form = tensor(6, -(1 << 26), 1 << 26)
    weights = np.full((3, 6), sign * ((1 << 31) - 1))
    weights[1, ::2] *= -1
    asked = query(
        one_layer(weights, None, ShiftRequantizer(50, "half_up", -128, 127), form), AtMost(((1, y(0)), (1, y(1)), (1, y(2))), -1000)
    )
    local = local_of(started(asked))
    kernel = local._build()
    kernel.begin(np.zeros(6, np.int64), [0], 1)
    kernel.on(2000, 1.0)
    values = kernel.values
    assert [sum(int(w) * int(v) for w, v in zip(row, values[:6], strict=True)) for row in weights] == kernel.acc.tolist()
    assert np.abs(values[:6]).max() > 1 << 25


def test_scores_of_numbers_of_all_32_bits_are_finished():
    """More units than an int32 counts, of the cheapest term, and much that is left for the other one."""
    most = (1 << 31) - 1
    box = Box([-most - 1, -most - 1], [most, most])
    asked = query(copying(2, -most - 1, most), AtMost(((2, x(0)), (1, x(1))), 3 * (-most - 1)), box)
    kernel = local_of(started(asked))._build()
    kernel.begin(np.array([0, most]), [0], 1)
    assert kernel.score == pytest.approx(3 * (1 << 31) - 1)
    assert kernel.on(2000, 1.0)


def test_searches_of_graphs_agree_with_enumeration(monkeypatch):
    """From the first node on, without other witnesses: it finds some."""
    monkeypatch.setattr(RoundingHeuristic, "propose", lambda *_: None)
    monkeypatch.setattr(schedule, "LOCAL_SHARE", 0.5)
    found, original = [], LocalSearch.search
    build = Annealer.__init__

    def unable(self, *arguments):
        build(self, *arguments)
        self.able = False

    def spy(*arguments):
        found.append(original(*arguments))
        return found[-1]

    monkeypatch.setattr(Annealer, "__init__", unable)
    monkeypatch.setattr(LocalSearch, "search", spy)
    for seed in range(60):
        check_search(graph_query(random.Random(seed), most=3), seed, timeout=20)
    assert sum(inputs is not None for inputs in found) > 0


def test_inputs_that_inequalities_tie_move_together():
    """Two copies whose inputs are the same but for one, and whose outputs have to differ by all that one gives."""
    network = one_layer([[1, 2, 3, 4, -5, 6]], None, ShiftRequantizer(0, "floor", -200, 400), tensor(6))
    box = Box(np.zeros(6, np.int64), np.full(6, 15))
    same = [AtMost(((s, Ref(0, INPUT, k)), (-s, Ref(1, INPUT, k))), 0) for k in range(5) for s in (1, -1)]
    wanted = AtMost(((1, Ref(0, OUTPUT, 0)), (-1, Ref(1, OUTPUT, 0))), -80)
    asked = Query((network, network), (box, box), And((*same, wanted)))
    search = started(asked)
    local = local_of(search)
    rings = local._partners().tolist()
    assert rings == [6, 7, 8, 9, 10, 5, 0, 1, 2, 3, 4, 11]
    found = local.search(lambda: start_of(search, np.full(12, 7.0)), 10.0)
    assert found is not None
    assert found[0][:5] == found[1][:5]
    assert 6 * (found[1][5] - found[0][5]) >= 80


def test_inequalities_that_come_twice_are_wanted_once():
    network = one_layer([[1, 2]], None, ShiftRequantizer(0, "floor", 0, 60), tensor(2))
    half = AtMost(((-1, Ref(0, OUTPUT, 0)),), -40)
    asked = Query((network,), (Box([0, 0], [15, 15]),), And((half, And((half, half)))))
    search = started(asked)
    found = local_of(search).search(lambda: start_of(search, np.zeros(2)), 10.0)
    assert found is not None
    assert verify(asked, engine="hybrid", attack=False, rounding=False).violated


def start_of(search: Search, at: np.ndarray) -> Start:
    return Start(0, search.disjuncts.table[0].atoms, search.root, at)


def test_outputs_that_wrap_around_are_left_out():
    network = one_layer([[1, -1]], None, ShiftRequantizer(0, "floor", 0, 3, "wrap"), tensor(2))
    assert not local_of(started(query(network, AtMost(((1, y(0)),), -3)))).able


def test_time_is_kept():
    search = started(query(copying(2), AtMost(((-1, y(0)), (-1, y(1))), -40)))
    local, began = local_of(search), time.monotonic()
    assert local.search(lambda: start_of(search, np.zeros(2)), 0.05) is None
    assert local.seconds >= 0.05
    assert time.monotonic() - began < 5
    late = local_of(started(query(copying(2), AtMost(((-1, y(0)), (-1, x(1))), -40)), timeout=0.01))
    time.sleep(0.02)
    with pytest.raises(LimitReached):
        late.search(lambda: start_of(search, np.zeros(2)), 10.0)


def test_time_is_that_of_the_limits(monkeypatch):
    """Whatever clock these have: of wall time as a share of CPU time runs would have too little on a shared machine."""
    search = started(query(copying(2), AtMost(((-1, y(0)), (-1, y(1))), -40)))
    local = local_of(search)
    monkeypatch.setattr(search.limits, "seconds", itertools.count(step=0.25).__next__)
    assert local.search(lambda: start_of(search, np.zeros(2)), 0.4) is None
    assert local.seconds >= 0.4
    assert local.seconds % 0.25 == 0


@pytest.mark.parametrize("anneal", [True, False])
def test_local_search_stands_in_for_walks_unless_told_otherwise(monkeypatch, anneal):
    asked_for = []
    monkeypatch.setattr(annealing, "MAX_WEIGHTS", 0)
    monkeypatch.setattr(LocalSearch, "search", lambda *_: asked_for.append(1))
    asked = query(copying(2), AtMost(((-1, y(0)), (-1, y(1))), -29))
    assert verify(asked, engine="hybrid", anneal=anneal, **dict.fromkeys(("attack", "bounds", "rounding"), False)).violated
    assert bool(asked_for) == anneal


ARGUMENTS = {
    "values": lambda a: {**a, "values": a["values"][:-1]},
    "acc": lambda a: {**a, "acc": a["acc"][:-1]},
    "box": lambda a: {**a, "box": (a["box"][0][1:], a["box"][1])},
    "partner": lambda a: {**a, "partner": np.zeros(2, int)},
    "images": lambda a: {**a, "images": [(0, 1, 3, 1)]},
    "fewer": lambda a: {**a, "images": [(0, 1, 1, 1)]},
    "length": lambda a: {**a, "length": np.zeros(2)},
}


@pytest.mark.parametrize("wrong", ARGUMENTS)
def test_what_does_not_fit_is_refused(wrong):
    search = started(query(copying(2), AtMost(((-1, y(0)),), -3)))
    atoms = search.disjuncts.inequalities.kernel(4)
    good = {
        "values": np.zeros(4, np.int64),
        "acc": np.zeros(2, np.int64),
        "box": (np.zeros(2, np.int64), np.full(2, 15)),
        "partner": np.arange(2),
        "images": [(0, 1, 2, 1)],
        "length": np.ones(2),
    }
    kernel = Local(search.layout.kernel, atoms, **good)
    with pytest.raises(ValueError, match="there is no inequality"):
        kernel.begin(np.zeros(2, np.int64), [1], 0)
    with pytest.raises(ValueError, match="a number for every input"):
        kernel.begin(np.zeros(3, np.int64), [0], 0)
    with pytest.raises(ValueError, match=r"sizes|partners|image"):
        Local(search.layout.kernel, atoms, **ARGUMENTS[wrong](good))
