"""Small trees narrow the ranges of deep dense networks: they keep what is possible, and proofs with them are accepted."""

import multiprocessing
import os
import random
import signal

import numpy as np
import pytest
from certified import certify, check_engines
from maximized import check_certificates, stopped
from measured import Case, check_witness, measured, stopped_radius
from tiny import check_search, deep_query, random_box, random_network

import qbitsat
from qbitsat import limits
from qbitsat.arithmetic import ShiftRequantizer
from qbitsat.bounds import propagate
from qbitsat.bounds.reduction import Reduction
from qbitsat.bounds.tighten import deep_blocks
from qbitsat.certificate.check import check
from qbitsat.certificate.write import Source, write
from qbitsat.importers import save
from qbitsat.limits import LimitReached, Limits
from qbitsat.network import Dense, Network, TensorFormat, forward_all
from qbitsat.options import make_options
from qbitsat.properties import And, AtMost, Box, Query, Ref, replay
from qbitsat.properties.balls import NORMS
from qbitsat.properties.formula import without_not
from qbitsat.radii.question import Question
from qbitsat.search import Proof, Search, refine, shared
from qbitsat.search.forest import Forest
from qbitsat.search.proof import Split
from qbitsat.search.refine import Refinement


def deep_network(rng: np.random.Generator, width: int = 6) -> Network:
    """Four inputs, three hidden layers that saturate at both ends, and three outputs."""
    form, layers = TensorFormat((4,), 0, 3), []
    for k, n in enumerate((width, width, width, 3)):
        target = TensorFormat((n,), 0, 7)
        weights, bias = rng.integers(-4, 5, (n, form.size)), rng.integers(-6, 7, n)
        layers.append(Dense(f"dense{k}", form, target, (ShiftRequantizer(2, "half_up", 0, 7),), weights, bias))
        form = target
    return Network(tuple(layers), "deep")


def asked(seed: int, eps: int, label: int = 0) -> Query:
    """Robustness of a deep network around one input."""
    return qbitsat.robustness(deep_network(np.random.default_rng(seed)), np.array([1, 2, 1, 2]), eps, label)


def all_values(network: Network) -> np.ndarray:
    grid = np.stack(np.meshgrid(*[np.arange(4)] * 4, indexing="ij"), -1).reshape(-1, 4)
    return forward_all(network, grid)


@pytest.fixture
def always(monkeypatch):
    """Every search has passes after its first nodes, with trees of many nodes."""
    monkeypatch.setattr(refine, "NODES", 2)
    monkeypatch.setattr(refine, "GREATER", 50)
    passes = []
    run = Refinement.run
    monkeypatch.setattr(Refinement, "run", lambda self, *args: passes.append(run(self, *args)))
    return passes


@pytest.mark.parametrize("seed", range(8))
def test_ends_hold_at_every_input_and_are_exact_with_enough_nodes(seed):
    query = asked(seed, 3)
    ranges, values = propagate(query), all_values(query.networks[0])
    layout = ranges.layout
    (_, block), *_ = deep_blocks(layout)
    accs = np.stack([values[:, v] @ w + b for v, w, b in (layout.row(block, i) for i in range(block.size))], axis=1)
    outputs, sides = np.repeat(np.arange(block.size), 2), np.tile([1, -1], block.size)
    for work in (0, 1e5, 1e9):
        forest = Forest(layout, ranges, block, outputs, sides, np.ones(len(outputs)), 20)
        grown = forest.grow(work)
        for tree in grown:
            attained = (tree.side * accs[:, tree.neuron - block.neurons.start]).max()
            assert tree.bound >= attained
            if work == 1e9:
                assert tree.bound - attained <= 4
    assert grown


@pytest.mark.parametrize("seed", range(8))
def test_passes_keep_every_point(seed):
    query = asked(seed, 3)
    root, values = propagate(query), all_values(query.networks[0])
    before = root.take(np.zeros(1, np.int64))
    refinement, ids = Refinement(root.layout, 20, 40, 0, False), iter(range(10**6))
    assert refinement.able
    for _ in range(2):
        refinement.run(root, lambda n: np.array([next(ids) for _ in range(n)]))
    assert (values >= root.lo).all()
    assert (values <= root.hi).all()
    assert (root.hi - root.lo).sum() < (before.hi - before.lo).sum()


def test_searches_that_refine_agree_with_enumeration(always):
    for seed in range(40):
        check_search(deep_query(random.Random(seed)), seed)
    assert always


def test_certificates_of_searches_that_refine(always):
    refined = 0
    for seed in range(12):
        for label in range(3):
            query = asked(seed, 2, label)
            if qbitsat.verify(query, engine="enumerate").verdict == "HOLDS":
                count = len(always)
                assert [checked.reason for checked in check_engines(query, seed, ("hybrid",))] == [""]
                refined += len(always) - count
    assert refined


def test_inequalities_cut_a_node_once_in_a_proof(always, tmp_path):
    """Of a hidden output and a result, which narrow each other once more each time they are looked at."""
    network = deep_network(np.random.default_rng(5))
    values = all_values(network)
    apart = ((1, Ref(0, "output", 2)), (-1, Ref(0, "value", 15)))
    least = int((values[:, network.outputs[2]] - values[:, 15]).min())
    query = Query((network,), (Box(np.zeros(4, int), np.full(4, 3)),), AtMost(apart, least - 1))
    verdict, path = certify(query, tmp_path, engine="hybrid", attack=False, rounding=False, anneal=False, steps=5, batch=2, polish=0)
    assert verdict.verdict == "HOLDS"
    assert always
    assert check(path).reason == ""


def test_processes_share_a_search_that_refines(always):
    for seed in range(4):
        query = asked(seed, 2)
        wanted = qbitsat.verify(query, engine="enumerate").verdict
        assert qbitsat.verify(query, engine="hybrid", jobs=2).verdict == wanted


@pytest.mark.parametrize("jobs", [2, 3])
@pytest.mark.parametrize("kept", [False, True])
def test_processes_go_on_within_what_one_has_found(jobs, kept, always, tmp_path, monkeypatch):
    """A node that were lost would be one that holds: outputs reach their largest sum at few of the 256 inputs."""
    monkeypatch.setattr(shared, "SHARE", 1)
    monkeypatch.setattr(refine, "FRUITLESS", -1)
    monkeypatch.setattr(refine, "GREATER", 10)
    found, pass_on = [], shared._Pool._pass_on
    monkeypatch.setattr(shared._Pool, "_pass_on", lambda pool, worker, made: found.append(made) or pass_on(pool, worker, made))
    for seed in range(3):
        network, coefficients = deep_network(np.random.default_rng(seed)), np.random.default_rng(seed).integers(-3, 4, 3)
        largest = int((all_values(network)[:, network.outputs] @ coefficients).max())
        for least in (largest, largest + 1):
            above = AtMost(tuple((-int(c), Ref(0, "output", j)) for j, c in enumerate(coefficients)), -least)
            query = Query((network,), (Box(np.zeros(4, int), np.full(4, 3)),), above)
            options = {"engine": "hybrid", "attack": False, "rounding": False, "anneal": False, "steps": 5, "batch": 2, "jobs": jobs}
            verdict, path = certify(query, tmp_path, **options) if kept else (qbitsat.verify(query, **options), tmp_path)
            assert verdict.verdict == ("VIOLATED" if least == largest else "HOLDS")
            assert not kept or least == largest or check(path).reason == ""
    assert len(found) > 3
    assert any(made.notes for made in found) == kept


def test_covers_and_searches_without_small_trees_have_leaves(monkeypatch):
    """Where no pass may come, leaves are left to SAT, also with certificates and several processes."""
    monkeypatch.setattr(shared, "SHARE", 1)
    search = Search(
        Reduction(asked(3, 3), propagate(asked(3, 3)), without_not(asked(3, 3).violation)), make_options(refine=False), Limits(9), Proof()
    )
    search.start()
    search.advance(2)
    shared._Pool(search, 2)
    assert not search.refinement.noted


def test_large_messages_do_not_wait_for_each_other(always, monkeypatch):
    """Pipes hold less than a pass over a large network, or its nodes."""
    monkeypatch.setattr(shared, "SHARE", 1)
    monkeypatch.setattr(refine, "FRUITLESS", -1)
    pad, run, take_counts = "x" * 10**6, shared._Passes.run, shared._take_counts

    def padded(search):
        counts, nodes = take_counts(search)
        return counts, {**nodes, -1: pad}

    def padded_pass(passes):
        found = run(passes)
        return found._replace(progress={**found.progress, "pad": pad})

    monkeypatch.setattr(shared, "_take_counts", padded)
    monkeypatch.setattr(shared._Passes, "run", padded_pass)
    options = {"engine": "hybrid", "attack": False, "rounding": False, "anneal": False, "steps": 5, "batch": 2}
    for seed in (0, 3, 5):
        query = asked(seed, 3)
        assert qbitsat.verify(query, **options, jobs=3).verdict == qbitsat.verify(query, engine="enumerate").verdict


def test_a_process_that_dies_in_a_pass_is_replaced(always, monkeypatch):
    """And no other one tries to make that pass."""
    monkeypatch.setattr(shared, "SHARE", 1)
    monkeypatch.setattr(refine, "FRUITLESS", -1)
    begun = multiprocessing.Value("i", 0)

    def die(_):
        with begun.get_lock():
            begun.value += 1
        os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr(shared._Passes, "run", die)
    query = asked(3, 3)
    wanted = qbitsat.verify(query, engine="enumerate").verdict
    assert qbitsat.verify(query, engine="hybrid", attack=False, rounding=False, anneal=False, batch=2, jobs=2).verdict == wanted
    assert 0 < begun.value < 3


def test_leaves_wait_for_what_a_pass_may_bring():
    """Clauses of a leaf in a proof are those of its ranges, which another process may narrow."""
    refinement = Refinement(propagate(asked(1, 3)).layout, 20, 40, 0, True)
    assert not refinement.noted
    refinement.shared = True
    assert refinement.noted
    refinement.due(1, True)
    assert not refinement.noted


def radius_case(seed: int) -> Case:
    """The point in the middle with the network's own class there."""
    network, x = deep_network(np.random.default_rng(seed)), np.array([1, 2, 1, 2])
    values = all_values(network)
    points, outputs = values[:, :4], values[:, network.outputs]
    label = int(np.argmax(outputs[(points == x).all(axis=1)][0]))
    return Case(Question(network, x, label), points, np.argmax(outputs, axis=1) != label)


GOAL = ((2, Ref(0, "output", 0)), (-1, Ref(0, "output", 1)))
HARD = {"engine": "hybrid", "attack": False, "rounding": False, "batch": 2, "tighten": 0, "steps": 5}


@pytest.mark.parametrize("norm", NORMS)
def test_radii_of_searches_that_refine_agree_with_enumeration(norm, always):
    for seed in (2, 5, 6, 8):
        case = radius_case(seed)
        expected, beyond = case.expected(norm)
        found = measured(case, norm=norm, **HARD)
        assert (found.verdict, found.radius, found.upper) == ("OPTIMAL", expected, expected)
        check_witness(case, norm, found, beyond)
    cut = stopped_radius(case, 40, norm=norm, **HARD)
    assert cut.radius <= expected <= cut.upper
    assert always


@pytest.mark.parametrize("seed", [1, 2, 4])
def test_maxima_of_searches_that_refine_agree_with_enumeration(seed, always):
    network = deep_network(np.random.default_rng(seed))
    outputs = all_values(network)[:, network.outputs]
    sums = 2 * outputs[:, 0] - outputs[:, 1]
    most = int(np.median(outputs[:, 2]))
    assumption, inside = And(()), np.ones(len(sums), bool)
    if seed % 2:
        assumption, inside = AtMost(((1, Ref(0, "output", 2)),), most), outputs[:, 2] <= most
    query, largest = Query((network,), (Box(np.zeros(4, int), np.full(4, 3)),), assumption), int(sums[inside].max())
    found = qbitsat.maximize(query, GOAL, **HARD)
    assert (found.verdict, found.value, found.upper) == ("OPTIMAL", largest, largest)
    assert replay(query, found.witness.inputs) == found.witness
    cut = stopped(query, GOAL, 60, **HARD)
    assert cut.upper is None or cut.upper >= largest
    assert cut.value is None or cut.value <= largest
    assert always


def test_certificates_of_radii_and_maxima(always, tmp_path):
    for seed in (2, 8):
        case = radius_case(seed)
        found, network = measured(case, certificates=True, **HARD), case.question.network
        save(network, tmp_path / "deep.npz")
        for query, verdict in found.certificates:
            write(tmp_path / "one.cert", query, verdict, [Source(str(tmp_path / "deep.npz"))])
            assert check(tmp_path / "one.cert").reason == ""
        check_certificates(Query((network,), (Box(np.zeros(4, int), np.full(4, 3)),), And(())), GOAL, 0)
    assert always


@pytest.mark.parametrize("room", [12_000, 20_000])
def test_searches_go_on_where_trees_have_no_room(room, always, tmp_path, monkeypatch):
    """A node at a time takes some 8,000 bytes, and what trees grow together more than there are."""
    monkeypatch.setattr(limits, "resident_bytes", lambda *_: limits.GIB - room)
    network = deep_network(np.random.default_rng(0))
    outputs = all_values(network)[:, network.outputs]
    never = AtMost(((1, Ref(0, "output", 0)), (-1, Ref(0, "output", 1))), int((outputs[:, 0] - outputs[:, 1]).min()) - 1)
    query = Query((network,), (Box(np.zeros(4, int), np.full(4, 3)),), never)
    verdict, path = certify(query, tmp_path, engine="hybrid", attack=False, batch=1, tighten=0, steps=5, memory=1)
    assert verdict.verdict == "HOLDS"
    assert always
    assert check(path, memory=2).reason == ""


def test_a_pass_that_reaches_a_limit_is_the_last_and_keeps_its_ends(monkeypatch):
    query = asked(1, 3)
    root, ids, grow, grown = propagate(query), iter(range(10**6)), Forest.grow, []

    def one(self, work):
        if grown:
            raise LimitReached("memory")
        grown.extend(grow(self, work))
        return grown

    monkeypatch.setattr(Forest, "grow", one)
    refinement = Refinement(root.layout, 20, 40, 0, True)
    refinement.run(root, lambda n: np.array([next(ids) for _ in range(n)]))
    assert not refinement.able
    assert refinement.ends >= len(grown) > 0
    assert refinement.end in {part for note in refinement.notes.values() if isinstance(note, Split) for part in note[2:]}


def test_no_process_waits_for_a_pass_that_cannot_come():
    """Behind leaves for SAT a proof has none."""
    query = asked(1, 3)
    for kept in (True, False):
        refinement = Refinement(propagate(query).layout, 20, 40, 0, kept)
        assert not refinement.due(1, True)
        assert refinement.undecided == (not kept)


def test_convolutions_and_pairs_are_left_alone():
    rng = random.Random(1)
    network = random_network(rng)
    query = qbitsat.Query((network, network), (random_box(rng, network, 50),) * 2, qbitsat.properties.And(()))
    assert not Refinement(propagate(query).layout, 20, 40, 0, False).able
