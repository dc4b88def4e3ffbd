"""One search over several processes: the same verdicts, the same proof's worth of nodes, and limits that are kept."""

import multiprocessing
import os
import pickle
import random
import signal
import threading
import time
from contextlib import contextmanager, suppress

import numpy as np
import pytest
from certified import certify
from tiny import all_values, deep_network, random_box, random_query, truths

import qbitsat
from qbitsat import limits, processes
from qbitsat.arithmetic import ShiftRequantizer
from qbitsat.attack.local import LocalSearch
from qbitsat.bounds import propagate
from qbitsat.bounds.reduction import Reduction
from qbitsat.certificate.check import check
from qbitsat.examples import images_path, labels_path, network_path
from qbitsat.limits import LimitReached, Limits
from qbitsat.network import Dense, Network, TensorFormat, classify
from qbitsat.options import make_options
from qbitsat.properties import And, AtMost, Or, Query, Ref, replay
from qbitsat.properties.formula import INPUT, OUTPUT, without_not
from qbitsat.search import Proof, Search, linear_programs, open_nodes, schedule, shared
from qbitsat.verify import verify


def digits_query(sample: int, eps: int = 1):
    network = qbitsat.load(network_path())
    return qbitsat.robustness(network, np.load(images_path())[sample], eps, int(np.load(labels_path())[sample]))


def make_search(query, proof=None, **options) -> Search:
    values = make_options(**options)
    return Search(Reduction(query, propagate(query), without_not(query.violation)), values, Limits(values.timeout), proof)


def test_shared_search_after_walks_and_programs_before_the_fork(monkeypatch):
    """The processes get copies of linear programs that were solved already, and of a walk that is under way."""
    monkeypatch.setattr(schedule, "ANNEAL_AFTER", 0)
    monkeypatch.setattr(linear_programs, "AFTER", 0)
    search = make_search(digits_query(14))
    assert shared.run(search, 3) is None
    assert search.scheduler.annealer.kernel is not None
    assert search.scheduler.lp.kernel is not None


def test_who_leaves_walks_to_another_process_does_no_local_search(monkeypatch):
    """That is for where walks cannot be."""
    monkeypatch.setattr(LocalSearch, "search", lambda *_: pytest.fail("searched"))
    search = make_search(digits_query(14))
    assert shared.run(search, 3) is None
    assert search.counts["nodes"] > 3 * shared.SHARE


def test_shared_search_holds_with_a_whole_proof():
    query, proof = digits_query(14), Proof()
    search = make_search(query, proof, certificates=True)  # without, what SAT closes leaves nothing in the proof
    assert shared.run(search, 3) is None
    children = [
        child for node in proof.nodes.values() for child in getattr(node, "parts", (getattr(node, "below", 0), getattr(node, "above", 0)))
    ]
    assert {0, *children} - {0} == set(proof.nodes) - {0}


def test_shared_search_finds_a_witness():
    query = digits_query(9)
    inputs = shared.run(make_search(query), 2)
    assert replay(query, inputs) is not None


def test_processes_that_begin_with_nothing_share_a_search(monkeypatch, tmp_path):
    """As on systems that do not fork: with walks and programs under way, and with a proof."""
    context = multiprocessing.get_context("spawn")
    monkeypatch.setattr(processes, "CONTEXT", context)
    monkeypatch.setattr(shared, "CONTEXT", context)
    search = make_search(digits_query(14))
    assert shared.run(search, 2) is None
    assert search.counts["nodes"] > 2 * shared.SHARE
    verdict, path = certify(digits_query(14), tmp_path, jobs=2, attack=False, engine="hybrid")
    assert verdict.holds
    assert check(path).accepted
    query = digits_query(9)
    assert replay(query, shared.run(make_search(query), 2)) is not None


def wide_query():
    """Open for long, and with nodes that are larger than what a connection takes before someone reads."""
    rng, form, layers = np.random.default_rng(0), TensorFormat((784,), 0, 255), []
    for size, shift in ((64, 9), (64, 9), (10, 3)):
        hi = 255 if shift == 9 else 2**20
        output = TensorFormat((size,), 0, hi)
        weights, bias = rng.integers(-127, 128, (size, form.size)), rng.integers(-200, 4000, size)
        layers.append(Dense("layer", form, output, (ShiftRequantizer(shift, "half_up", 0, hi),), weights, bias))
        form = output
    network, x = Network(tuple(layers)), rng.integers(0, 256, 784)
    return qbitsat.robustness(network, x, 6, int(classify(network, x[None])[0]))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_limits_are_kept_while_processes_begin(method, monkeypatch):
    """Nothing is sent to who may not read it yet."""
    monkeypatch.setattr(shared, "CONTEXT", multiprocessing.get_context(method))
    monkeypatch.setattr(processes, "CONTEXT", shared.CONTEXT)
    search = make_search(wide_query(), anneal=False, rounding=False)
    search.start()
    assert search.advance(shared.SHARE) is None
    assert search.stack
    pool, send, early = shared._Pool(search, 2), shared._Pool._send, []

    def watched(worker, content):
        early.extend([] if worker.begun or isinstance(content, Search) else [content])
        send(pool, worker, content)

    monkeypatch.setattr(pool, "_send", watched)
    search.limits.timeout = search.limits.seconds() + 0.3
    with pytest.raises(LimitReached, match="timeout"):
        pool.run()
    assert not early


def test_processes_that_die_before_they_begin_end_the_search(monkeypatch):
    monkeypatch.setattr(shared, "_work", lambda *_: os.kill(os.getpid(), signal.SIGKILL))
    with pytest.raises(LimitReached, match="3 processes of the search died before they began"):
        shared.run(make_search(digits_query(14)), 2)


@pytest.mark.parametrize("seed", range(12))
def test_shared_search_agrees_on_tiny_queries(seed, monkeypatch):
    monkeypatch.setattr(shared, "SHARE", 1)
    query = random_query(random.Random(seed + 500))
    assert verify(query, attack=False, jobs=3, batch=1).verdict == verify(query, engine="sat").verdict


def many_branches(seed: int):
    """Six `Or`s of three inequalities over the inputs and outputs of one network, each true at few points."""
    rng = random.Random(seed)
    network = deep_network(rng, 6, 4)
    box = random_box(rng, network, 600)
    inputs, outputs = all_values([network], [box])
    refs = [Ref(0, OUTPUT, i) for i in range(network.output.size)] + [Ref(0, INPUT, i) for i in range(6)]

    def atom() -> AtMost:
        terms = tuple((rng.choice([-2, -1, 1, 2]), ref) for ref in rng.sample(refs, 3))
        total = sum(c * (inputs if ref.tensor == INPUT else outputs)[0][:, ref.element] for c, ref in terms)
        return AtMost(terms, int(np.quantile(total, rng.choice([0.002, 0.01, 0.05]))))

    violation = And(tuple(Or(tuple(atom() for _ in range(3))) for _ in range(6)))
    return Query((network,), (box,), violation), bool(truths(violation, inputs, outputs).any())


@pytest.mark.parametrize("seed", range(8))
def test_shared_search_of_many_branches(seed, monkeypatch):
    monkeypatch.setattr(shared, "SHARE", 2)
    query, violated = many_branches(seed)
    assert (shared.run(make_search(query, rounding=False, steps=1, batch=3), 3) is not None) == violated


@pytest.mark.parametrize("seed", range(4))
def test_children_that_are_still_to_be_made_are_shared_too(seed, monkeypatch):
    monkeypatch.setattr(shared, "SHARE", 1)
    monkeypatch.setattr(open_nodes, "TOGETHER", 1)
    query, violated = many_branches(seed)
    search = make_search(query, rounding=False, steps=1, batch=1)
    assert (shared.run(search, 3) is not None) == violated
    assert violated or (search.counts["open"], search.counts["closed"]) == (0, pytest.approx(1))


def test_nodes_of_another_process_keep_their_branches():
    query, _ = many_branches(0)
    one, other = make_search(query), make_search(query)
    for search in (one, other):
        search.start()
    other.disjuncts.parts(other.disjuncts.parts(0)[1])  # so that numbers differ from here on
    nodes, one.stack = one.stack[0], []
    one._split_disjunction(nodes, 0)
    meant = [one.disjuncts.table[branch] for branch in one.stack[0].branch[1::2].tolist()]
    handed, _ = shared._halves(one)
    adopted = shared._adopt(other, pickle.loads(pickle.dumps(handed)))
    assert [other.disjuncts.table[branch] for branch in adopted.branch.tolist()] == meant


@pytest.mark.parametrize("share", [1, 32])
@pytest.mark.parametrize("room", [25_000, 40_000])
def test_nodes_stay_where_there_is_no_room_to_hand_them_on(share, room, monkeypatch):
    """A node at a time takes some 18,000 bytes, and two or three dozens together more than there are: the search goes on without others."""
    monkeypatch.setattr(limits, "resident_bytes", lambda *_: 0)
    monkeypatch.setattr(shared, "SHARE", share)
    search = make_search(digits_query(14), batch=1)
    search.limits.memory = room
    assert shared.run(search, 2) is None
    assert (search.counts["open"], search.counts["closed"]) == (0, pytest.approx(1))


def test_who_has_no_room_keeps_its_nodes(monkeypatch):
    monkeypatch.setattr(limits, "resident_bytes", lambda *_: 0)
    search = make_search(digits_query(14))
    search.start()
    assert search.advance(64) is None
    nodes = sum(map(len, search.stack))
    search.limits.memory = 3 * search.unloaded_bytes() - 1
    assert shared._halves(search) is None
    assert sum(map(len, search.stack)) == nodes
    search.limits.memory += 1
    handed, left = shared._halves(search)
    assert (len(handed[0]) + len(left[0]), sum(map(len, search.stack))) == (nodes, len(left[0]))


def test_shared_search_keeps_its_timeout(monkeypatch):
    monkeypatch.setattr(shared, "SHARE", 0)
    monkeypatch.setattr(shared, "_steps", lambda *_: time.sleep(60))
    with pytest.raises(LimitReached, match="timeout"):
        shared.run(make_search(digits_query(14), timeout=1.0), 2)


def test_shared_search_reports_a_process_that_fails(monkeypatch):
    search = make_search(digits_query(14))
    monkeypatch.setattr(shared, "_steps", lambda *_: 1 // 0)
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        shared.run(search, 2)


@contextmanager
def killer(rng: random.Random, most: int, every: float):
    """Kills children of this process, one at a time at random moments, up to `most`; yields the list of those killed."""
    killed, over = [], threading.Event()

    def kill():
        while len(killed) < most and not over.wait(rng.uniform(0, every)):
            children = multiprocessing.active_children()
            if children:
                pid = rng.choice(children).pid
                with suppress(ProcessLookupError):  # the search may have waited for it in between
                    os.kill(pid, signal.SIGKILL)
                    killed.append(pid)

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield killed
    finally:
        over.set()
        thread.join()


@pytest.mark.parametrize("seed", range(4))
def test_processes_killed_at_random_moments_cost_no_verdict(seed, monkeypatch):
    monkeypatch.setattr(shared, "SHARE", 2)
    monkeypatch.setattr(shared, "DEATHS", 1000)
    query = digits_query((14, 9)[seed % 2])
    with killer(random.Random(seed), 10, 0.1) as killed:
        found = shared.run(make_search(query, rounding=False, batch=(16, 64)[seed // 2]), 3)
    assert found is None if seed % 2 == 0 else replay(query, found) is not None
    assert killed


@pytest.mark.parametrize("seed", range(8))
def test_processes_killed_among_many_branches_cost_no_verdict(seed, monkeypatch):
    monkeypatch.setattr(shared, "SHARE", 2)
    monkeypatch.setattr(shared, "DEATHS", 1000)
    query, violated = many_branches(seed)
    with killer(random.Random(seed), 50, 0.005):
        found = shared.run(make_search(query, rounding=False, steps=1, batch=1), 3)
    assert (found is not None) == violated


@pytest.mark.parametrize("seed", range(2))
def test_processes_killed_at_random_moments_leave_the_certificate_whole(seed, monkeypatch, tmp_path):
    monkeypatch.setattr(shared, "SHARE", 2)
    monkeypatch.setattr(shared, "DEATHS", 1000)
    with killer(random.Random(seed), 6, 0.2) as killed:
        verdict, path = certify(digits_query(14), tmp_path, jobs=3, batch=4, attack=False, engine="hybrid")
    assert verdict.verdict == "HOLDS"
    assert check(path).accepted
    assert killed


def test_nodes_that_kill_every_process_end_the_search(monkeypatch):
    search = make_search(digits_query(14))
    monkeypatch.setattr(shared, "_steps", lambda *_: os.kill(os.getpid(), signal.SIGKILL))
    with pytest.raises(LimitReached, match="3 processes of the search died with the same nodes"):
        shared.run(search, 2)


def test_process_that_dies_idle_is_not_missed(monkeypatch):
    """Whoever is asked for nodes, or given some, may have died already: the pipe is closed."""
    monkeypatch.setattr(shared, "SHARE", 2)
    monkeypatch.setattr(shared, "DEATHS", 100)
    send, sent = shared._Pool._send, []

    def kill_before_sending(pool, worker, content):
        sent.append(content == shared.HALF)
        if len(sent) in (4, 7, 11) or (sent[-1] and sent.count(True) in (1, 3)):
            worker.process.kill()
            worker.process.join()
        send(pool, worker, content)

    monkeypatch.setattr(shared._Pool, "_send", kill_before_sending)
    assert shared.run(make_search(digits_query(14)), 3) is None
    assert {True, False} <= set(sent)
