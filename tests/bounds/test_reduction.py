"""Reduced queries: the same ranges, the same outputs at every point, the same verdicts, and certificates of the whole query."""

import math
import random
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from certified import certify
from graphs import graph_box, random_graph
from handmade import copying, dense, query, tensor, x, y
from tiny import all_values, busy_query, equal, tight_formula, truths

from qbitsat.arithmetic import ShiftRequantizer
from qbitsat.bounds import propagate, reduction, simplify
from qbitsat.bounds.reduction import Reduction, reduced
from qbitsat.certificate.check import check
from qbitsat.limits import Limits
from qbitsat.network import Convolution, Dense, Linear, Network, Patches, SparseRows, TensorFormat, forward
from qbitsat.network.part import part_of
from qbitsat.options import make_options
from qbitsat.properties import And, AtMost, Box, Query, Ref, at_least, robustness
from qbitsat.properties.formula import FALSE, TRUE, atoms
from qbitsat.search import Proof, Search, shared
from qbitsat.verify import HOLDS, VIOLATED, verify


@pytest.fixture(autouse=True)
def always(monkeypatch):
    """Whatever can be left out is, however little it saves."""
    monkeypatch.setattr(reduction, "WORTH", 10)


def still_query(rng: random.Random) -> Query:
    """One to three graphs of which many inputs have one value only, some linked with those of the others."""
    networks = [random_graph(rng) for _ in range(rng.choice([1, 1, 2, 3]))]
    if rng.random() < 0.3:
        networks[-1] = networks[0]
    boxes = []
    for network in networks:
        box = graph_box(rng, network, 60 // len(networks) ** 2)
        still = np.array([rng.random() < 0.5 for _ in range(network.num_inputs)])
        boxes.append(Box(box.lo, np.where(still, box.lo, box.hi)))
    inputs, outputs = all_values(networks, boxes)
    if max(np.abs(part).max() for part in outputs) > 1 << 40:
        return still_query(rng)
    return Query(tuple(networks), tuple(boxes), tight_formula(rng, networks, inputs, outputs, rng.randint(0, 3)))


def reduction_of(asked: Query) -> Reduction | None:
    """None where bounds decide, or nothing is left out."""
    bounds = propagate(asked)
    formula = simplify(asked, bounds)
    return None if formula in (TRUE, FALSE) else reduced(asked, bounds, formula)


def check_points(left: Reduction) -> None:
    """Of all points of the smaller query, and of all of the whole one."""
    small, whole = left.query, left.whole.query
    inputs, outputs = all_values(small.networks, small.boxes)
    expanded = [left.expand(tuple(tuple(part[i].tolist()) for part in inputs)) for i in range(len(inputs[0]))]
    back = [left.restrict(point) for point in expanded]
    assert back == [tuple(tuple(part[i].tolist()) for part in inputs) for i in range(len(inputs[0]))]
    points = [np.array([point[k] for point in expanded]) for k in range(len(whole.networks))]
    results = [forward(network, part) for network, part in zip(whole.networks, points, strict=True)]
    true = truths(left.formula, inputs, outputs)
    assert true.tolist() == truths(whole.violation, points, results).tolist()
    # The whole query has no other truths: inputs that are gone change nothing.
    every = all_values(whole.networks, whole.boxes)
    assert true.any() == truths(whole.violation, *every).any()


def test_reductions_have_the_same_ranges_and_truths():
    seen = Counter()
    for seed in range(600):
        rng = random.Random(seed)
        asked = still_query(rng) if seed % 3 else busy_query(rng, 4)
        left = reduction_of(asked)
        if left is None or left.whole is None:
            seen["same"] += 1
            continue
        again = propagate(left.query)
        for mine, fresh in zip(left.bounds.arrays, again.arrays, strict=True):
            assert mine.tolist() == fresh.tolist(), seed
        assert [left.widened(atom) for atom in atoms(left.formula)] == list(atoms(left.whole.formula))
        check_points(left)
        seen["networks gone"] += len(left.query.networks) < len(asked.networks)
        seen["inputs gone"] += not left.keeps_inputs
        seen["reduced"] += 1
    assert seen["reduced"] > 80, seen
    assert seen["networks gone"] > 5, seen
    assert seen["inputs gone"] > 10, seen


@pytest.mark.parametrize("seed", range(0, 90, 9))
def test_every_engine_agrees_with_enumeration_and_certificates_are_accepted(seed, tmp_path):
    for k in range(seed, seed + 9):
        asked = still_query(random.Random(k)) if k % 2 else busy_query(random.Random(k), 4)
        violated = bool(truths(asked.violation, *all_values(asked.networks, asked.boxes)).any())
        rules = {"leaf": (16.0, 0.0)[k % 2], "tighten": (40, 0)[k // 2 % 2], "steps": (1, 5, 20)[k % 3], "attack": k % 5 == 0}
        for engine in ("hybrid", "auto", "enumerate", "sat"):
            verdict, path = certify(asked, tmp_path, engine=engine, rounding=k % 3 > 0, **rules)
            assert (verdict.verdict == VIOLATED) == violated, (k, engine)
            checked = check(path, asked.networks)
            assert (checked.reason, checked.verdict) == ("", verdict.verdict), (k, engine)
        assert verify(asked, jobs=1, **rules).violated == violated, k


def test_searches_of_reductions_agree_with_those_of_the_whole():
    compared = 0
    for seed in range(60):
        asked = still_query(random.Random(1000 + seed))
        left = reduction_of(asked)
        if left is None or left.whole is None:
            continue
        options = make_options(rounding=seed % 2 > 0, steps=5)
        found, other = (Search(part, options, Limits()).run() for part in (left, left.whole))
        assert (found is None) == (other is None), seed
        compared += 1
    assert compared > 5


def image(rng: np.random.Generator) -> Network:
    """Two convolutions with padding, a depthwise one of stride 2, and a layer over all of it; requantizers for each channel."""
    forms = [TensorFormat(shape, 0, 15, zero_point=3) for shape in ((9, 9, 1), (9, 9, 3), (5, 5, 3), (5, 5, 2))]
    convolutions = []
    for k, (kernel, groups, strides) in enumerate((((3, 3, 3, 1), 1, 1), ((3, 3, 3, 1), 3, 2), ((2, 1, 1, 3), 1, 1))):
        requantizers = tuple(forms[k + 1].requantizer(3 + c % 2, "half_up", bias=c) for c in range(kernel[0]))
        edge = ((kernel[1] // 2,) * 2, (kernel[2] // 2,) * 2)
        weights, bias = rng.integers(-4, 5, kernel), rng.integers(-9, 9, kernel[0])
        convolutions.append(
            Convolution(f"convolution{k}", forms[k], forms[k + 1], requantizers, weights, bias, (strides, strides), edge, groups=groups)
        )
    last = TensorFormat((3,), -128, 127)
    dense = Dense("dense", forms[3], last, (last.requantizer(2, "half_up"),), rng.integers(-4, 5, (3, 50)), rng.integers(-9, 9, 3))
    return Network((*convolutions, dense), "image")


def patched(seed: int) -> Query:
    """Pixels in the middle move; a difference of two outputs is at most what it ever is, or less by one."""
    rng = np.random.default_rng(seed)
    network = image(rng)
    box = robustness(network, rng.integers(0, 16, network.num_inputs), 3, 0, region="[4:6, 4:5]").boxes[0]
    _, (outputs,) = all_values([network], [box])
    least = int((outputs[:, 0] - outputs[:, 1]).min())
    return Query((network,), (box,), AtMost(((1, y(0)), (-1, y(1))), least - seed % 2))


@pytest.mark.parametrize("seed", range(8))
def test_parts_of_convolutions(seed):
    asked = patched(seed)
    bounds = propagate(asked)
    left = reduced(asked, bounds, asked.violation)
    again = propagate(left.query)
    for mine, fresh in zip(left.bounds.arrays, again.arrays, strict=True):
        assert mine.tolist() == fresh.tolist()
    check_points(left)
    whole, small = (part.bounds.layout for part in (left.whole, left))
    assert small.products < whole.products / 3


@pytest.mark.parametrize("layer", range(2))
def test_positions_share_cells_where_they_are_a_rectangle(layer):
    affine = image(np.random.default_rng(0)).layers[layer].affine
    size = int(math.sqrt(affine.positions))
    grid, still = np.zeros((size, size, affine.n_out // size**2), bool), np.zeros(affine.n_in, bool)
    grid[1:4, 2:4] = True
    part = part_of(affine, grid.ravel(), still, np.zeros(affine.n_in, np.int64))
    span = (5, 4) if layer == 0 else (7, 5)
    assert part.map.n_in == math.prod(span) * (1, 3)[layer]
    assert (part.map.positions, part.map.rows.size) == (6, affine.rows.size)
    grid[3, 3] = False
    ragged = part_of(affine, grid.ravel(), still, np.zeros(affine.n_in, np.int64))
    assert ragged.map.n_in <= 5 * 9 * (1, 3)[layer]


def test_certificates_of_patches_are_accepted(tmp_path):
    engines = Counter()
    for seed in range(4):
        asked = patched(seed)
        verdict, path = certify(asked, tmp_path, engine="hybrid", attack=False, leaf=(16.0, 0.0)[seed // 2], steps=5)
        assert verdict.verdict == (HOLDS if seed % 2 else VIOLATED)
        assert check(path, asked.networks).accepted, seed
        engines[verdict.engine] += 1
    assert engines["hybrid"] > 2, engines


@pytest.mark.parametrize("seed", [0, 3])
def test_processes_share_a_reduction(seed, tmp_path, monkeypatch):
    """Too few multipliers to close nodes early, and nobody who looks for witnesses."""
    started, start = [], shared.start
    monkeypatch.setattr(shared, "SHARE", 1)
    monkeypatch.setattr(shared, "start", lambda *arguments, **named: started.append(1) or start(*arguments, **named))
    asked = patched(seed)
    rules = {"engine": "hybrid", "steps": 1, "polish": 0, "tighten": 0, "leaf": 0.0, "batch": 1}
    verdict, path = certify(asked, tmp_path, jobs=2, **rules, **dict.fromkeys(("attack", "rounding", "anneal"), False))
    assert verdict.verdict == (HOLDS if seed else VIOLATED)
    assert len(started) > 1
    assert check(path, asked.networks).accepted


def test_leaves_by_sat_mean_the_whole_query(tmp_path, monkeypatch):
    """Where nothing else finds a multiplier or a witness, SAT decides what is left of a node."""
    monkeypatch.setattr(
        "qbitsat.search.split.choose", lambda layout, ranges, _: (np.full(len(ranges), -1), np.zeros(len(ranges), np.int64))
    )
    leaves = 0
    for seed in range(60):
        asked = still_query(random.Random(seed))
        verdict, path = certify(asked, tmp_path, engine="hybrid", **dict.fromkeys(("attack", "rounding", "lp", "anneal"), False), leaf=30.0)
        assert check(path, asked.networks).accepted, seed
        leaves += verdict.statistics.get("leaves", 0)
    assert leaves > 5


def test_a_proof_keeps_few_numbers_and_says_where_they_belong():
    left, proof = next(filter(None, map(reduction_of, map(patched, range(1, 20, 2))))), Proof()
    Search(left, make_options(certificates=True, attack=False), Limits(), proof).start()
    assert proof.places is left.places
    assert len(left.places.neurons) == left.bounds.layout.num_neurons < left.whole.bounds.layout.num_neurons


def test_nothing_moves():
    asked = query(copying(3), AtMost(((1, y(0)),), 5), Box([4, 4, 4], [4, 4, 4]))
    left = reduced(asked, propagate(asked), asked.violation)
    assert left.expand(left.query.boxes and tuple(tuple(box.lo.tolist()) for box in left.query.boxes)) == ((4, 4, 4),)
    assert verify(asked).violated
    assert verify(replace(asked, violation=AtMost(((1, y(0)),), 3))).holds


def test_a_formula_over_inputs_alone_stays_whole():
    asked = query(copying(2), AtMost(((1, x(0)), (1, x(1))), 5), Box([0, 3], [9, 3]))
    assert reduced(asked, propagate(asked), asked.violation).whole is None


def test_inputs_of_a_network_of_which_nothing_else_is_left():
    rng = random.Random(5)
    network = random_graph(rng)
    while network.num_inputs != 3 or len(network.inputs) > 1:
        network = random_graph(rng)
    lo, hi = network.input.lo, network.input.hi
    boxes = (Box([lo] * 3, [hi, lo, lo]), Box([lo] * 3, [hi, lo, hi]))
    _, (first, _) = all_values([network] * 2, boxes)
    violation = at_least(((1, y(0)),), int(first[:, 0].max()))
    asked = Query((network,) * 2, boxes, And((*equal(Ref(0, "input", 0), Ref(1, "input", 2)).parts, violation)))
    left = reduced(asked, propagate(asked), asked.violation)
    assert len(left.query.networks) == 1
    assert left.query.networks[0].num_inputs > 1
    check_points(left)
    assert verify(asked).violated == truths(asked.violation, *all_values(asked.networks, asked.boxes)).any()


# --- parts of maps ---


@pytest.mark.parametrize("engine", ["hybrid", "sat", "enumerate"])
def test_sums_that_fit_still_fit_where_outputs_of_other_ranges_are_beside(engine):
    """2**40 times an inner value of one bit, and an output of 32 bits: in the smaller query both are outputs."""
    bit, wide = ShiftRequantizer(3, "floor", 0, 1), ShiftRequantizer(0, "floor", -(1 << 31), (1 << 31) - 1)
    first = dense([[1, 1, 0, 0], [1, -1, 1, 1]], [0, 1], bit)
    network = Network((first, dense([[1000, 7], [3, -5]], None, wide, tensor(2, 0, 1))), "bits")
    scale, (a, b) = 1 << 40, (Ref(0, "value", 4), Ref(0, "value", 5))
    asked = query(network, And((AtMost(((scale, a), (1, y(0))), 7), at_least(((scale, b),), scale))), Box([0, 0, 3, 3], [15, 15, 3, 3]))
    assert reduction_of(asked).whole is not None
    verdict = verify(asked, engine=engine, attack=False)
    assert verdict.violated, verdict.reason


def random_map(rng: random.Random):
    """Of a random graph's layer."""
    return rng.choice([layer for layer in random_graph(rng).layers if isinstance(layer, Linear | Convolution | Dense)]).affine


def accumulated(affine, cells: np.ndarray, i: int) -> int:
    read, weights = affine.row(i)
    return int(weights @ cells[read]) + int(affine.biases[i])


def test_parts_of_maps_give_what_the_map_gives():
    kinds = Counter()
    for seed in range(400):
        rng = random.Random(seed)
        affine, draw = random_map(rng), np.random.default_rng(seed)
        wanted = draw.random(affine.n_out) < 0.5
        wanted[rng.randrange(affine.n_out)] = True
        constant, value = draw.random(affine.n_in) < rng.choice([0.2, 0.7, 1.0]), draw.integers(-9, 9, affine.n_in)
        if rng.random() < 0.3:
            value[:] = 4
        part = part_of(affine, wanted, constant, value)
        cells = np.where(constant, value, draw.integers(-9, 9, affine.n_in))
        assert set(np.flatnonzero(wanted)) <= set(part.outputs.tolist())
        assert (np.diff(part.outputs) > 0).all()
        for i, output in enumerate(part.outputs.tolist()):
            assert accumulated(part.map, cells[part.cells], i) == accumulated(affine, cells, output), seed
        kinds[type(part.map)] += 1
    assert kinds[Patches] > 50, kinds
    assert kinds[SparseRows] > 20, kinds
