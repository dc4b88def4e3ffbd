"""Threads of one query: `Limits.spread`, and searches whose first passes are made by several."""

import random
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from certified import certify
from tiny import deep_query

import qbitsat
from qbitsat import limits
from qbitsat.bounds import propagate
from qbitsat.bounds.dual_descent import DualDescent
from qbitsat.bounds.layout import Inequalities
from qbitsat.bounds.tighten import tighten
from qbitsat.certificate.check import check
from qbitsat.limits import LimitReached, Limits
from qbitsat.network import forward_all
from qbitsat.search import refine, shared
from qbitsat.threads import Dismissed


@pytest.fixture
def threads(monkeypatch):
    """However little there is to do, with `jobs` it is done by threads, and by no processes."""
    monkeypatch.setattr(limits, "THREAD", 1e-3)
    monkeypatch.setattr(shared, "run", lambda search, processes: search.run())
    begun = []
    spread = Limits.spread
    monkeypatch.setattr(Limits, "spread", lambda self, work, parts: begun.append(len(parts)) or spread(self, work, parts))
    return begun


@pytest.mark.parametrize("count", [1, 2, 5, 100])
@pytest.mark.parametrize("cores", [1, 2, 7])
def test_shares_are_all_of_it_once(cores, count):
    shares = Limits(cores=cores).shares(count, limits.THREAD)
    assert len(shares) == min(cores, count)
    assert [k for share in shares for k in range(count)[share]] == list(range(count))


def test_what_takes_no_time_is_not_shared():
    assert Limits(cores=4).shares(1000, limits.THREAD / 2000) == [slice(0, 1000)]
    assert Limits(cores=4).shares(0, 1e9) == [slice(0, 0)]


def test_spread_is_in_order_and_works_side_by_side():
    met = threading.Barrier(3, timeout=10)

    def work(k: int) -> tuple[int, bool]:
        met.wait()
        return k, threading.current_thread() is threading.main_thread()

    assert Limits(cores=3).spread(work, [1, 2, 3]) == [(1, True), (2, False), (3, False)]


def test_who_works_in_a_thread_begins_no_others():
    query_limits = Limits(cores=3)

    def work(_: int) -> int:
        return len(query_limits.part(60).shares(3, limits.THREAD))

    assert query_limits.spread(work, [1, 2, 3]) == [1, 1, 1]
    assert work(0) == 3


@pytest.mark.parametrize("error", [LimitReached("timeout"), KeyboardInterrupt(), MemoryError()])
@pytest.mark.parametrize("fails", [0, 1, 2])
def test_once_one_fails_the_others_end(fails, error):
    """At their next look at the limits, or at those of a part of them."""
    query_limits, ended = Limits(timeout=60, cores=3), []
    part = query_limits.part(50)

    def work(k: int) -> None:
        if k == fails:
            time.sleep(0.05)
            raise error
        try:
            while True:
                part.check()
                time.sleep(0.001)
        except Dismissed:
            ended.append(k)
            raise

    with pytest.raises(type(error)) as caught:
        query_limits.spread(work, range(3))
    assert caught.value is error
    assert sorted(ended) == [k for k in range(3) if k != fails]
    part.check()
    assert query_limits.spread(lambda k: k, [1, 2]) == [1, 2]


def helpers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("qbitsat")]


@pytest.mark.parametrize("count", [0, 1])
def test_where_no_thread_can_begin_one_does_it_all(count, monkeypatch):
    begun, start = [], threading.Thread.start

    def begin(thread: threading.Thread) -> None:
        if len(begun) == count:
            raise RuntimeError("can't start new thread")
        begun.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", begin)
    assert Limits(cores=3).spread(lambda k: 2 * k, [1, 2, 3]) == [2, 4, 6]


def test_an_interrupt_as_a_thread_begins_leaves_none_at_work(monkeypatch):
    start = threading.Thread.start

    def begin(thread: threading.Thread) -> None:
        start(thread)
        raise KeyboardInterrupt

    def work(_: int) -> None:
        while True:
            query_limits.check()

    query_limits = Limits(timeout=60, cores=2)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", begin)
        with pytest.raises(KeyboardInterrupt):
            query_limits.spread(work, [1, 2])
    assert helpers() == []


def test_a_second_interrupt_leaves_none_at_work(monkeypatch):
    """While the first waits for the others: they end at their next look all the same."""
    join, looked = threading.Thread.join, threading.Event()

    def interrupted(thread: threading.Thread, timeout: float | None = None) -> None:
        if not looked.is_set():
            raise KeyboardInterrupt
        join(thread, timeout)

    def work(k: int) -> None:
        if k == 0:
            raise KeyboardInterrupt
        looked.wait()
        query_limits.check()
        looked.clear()  # never

    query_limits = Limits(timeout=60, cores=2)
    monkeypatch.setattr(threading.Thread, "join", interrupted)
    with pytest.raises(KeyboardInterrupt):
        query_limits.spread(work, [0, 1])
    (left,) = helpers()
    assert query_limits.spread(lambda k: looked.set() or k, [0, 1]) == [0, 1]
    left.join()
    assert looked.is_set()


def test_threads_share_the_memory_that_is_left():
    query_limits = Limits(memory=(limits.resident_bytes() + (1 << 30)) / limits.GIB, cores=4)
    most = query_limits.fit(1 << 30, 1.0)
    found = query_limits.spread(lambda _: (query_limits.fit(1 << 30, 1.0), query_limits.has_room(1 << 29)), range(4))
    assert query_limits.has_room(1 << 29)
    assert all(abs(one - most / 4) < 1 << 25 and not room for one, room in found)


def test_a_thread_that_outlives_the_main_one_decides():
    """As where a program's main thread has ended."""
    program = """
import threading
from qbitsat.limits import Limits

def late():
    threading.main_thread().join()
    print(Limits(cores=3).spread(lambda k: 2 * k, [1, 2, 3]))

threading.Thread(target=late).start()
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert (ended.returncode, ended.stdout) == (0, "[2, 4, 6]\n"), ended.stderr


def test_only_the_thread_that_began_reports():
    reported = set()
    query_limits = Limits(progress=lambda _: reported.add(threading.current_thread()), cores=2)
    query_limits.begin("search")

    def work(_: int) -> None:
        until = time.monotonic() + 3 * limits.REPORT_SECONDS
        while time.monotonic() < until:
            query_limits.check()
            time.sleep(0.001)

    query_limits.spread(work, [1, 2])
    assert reported == {threading.current_thread()}


def test_each_part_says_the_same_in_threads(threads):
    """Values, what descents suggest, and tight ranges."""
    for seed in range(20):
        query = deep_query(random.Random(seed))
        network, box = query.networks[0], query.boxes[0]
        rng = np.random.default_rng(seed)
        x = rng.integers(box.lo, box.hi + 1, (9, len(box.lo)))
        bounds = propagate(query)
        start = rng.standard_normal((9, bounds.layout.num_neurons)).astype(np.float32)
        found = []
        for cores in (1, 3):
            layout = bounds.layout.under(Limits(cores=cores))
            one, root = bounds.take(np.zeros(9, np.int64)), bounds.take(np.zeros(1, np.int64))
            objectives, _ = layout.rows(layout.blocks[-1], np.zeros(1, np.int64), np.ones(1, np.int64))
            descent = DualDescent(layout, layout.blocks, Inequalities.of(objectives), bounds)
            said = descent.run(one, np.zeros((9, 1), np.int32), np.arange(9) < 4, start, np.ones((9, 1), np.float32), 10)
            facts = tighten(layout, root, 20)
            found.append((forward_all(network, x, layout.limits), *said, root.lo, root.hi, root.acc_lo, root.acc_hi, len(facts or ())))
        assert all(np.array_equal(a, b, equal_nan=True) for a, b in zip(*found, strict=True))
    assert max(threads) == 3


@pytest.mark.parametrize("jobs", [2, 5])
def test_searches_in_threads_agree_with_enumeration(threads, jobs, monkeypatch, tmp_path):
    monkeypatch.setattr(refine, "NODES", 2)
    monkeypatch.setattr(refine, "GREATER", 50)
    verdicts = set()
    for seed in range(25):
        query = deep_query(random.Random(seed))
        wanted = qbitsat.verify(query, engine="enumerate").verdict
        verdict, path = certify(query, tmp_path, engine="hybrid", jobs=jobs, attack=seed % 2 == 0, steps=5, batch=4)
        assert verdict.verdict == wanted
        assert check(path).reason == ""
        verdicts.add(wanted)
    assert verdicts == {"HOLDS", "VIOLATED"}
    assert max(threads) == jobs


def test_a_limit_that_ends_threads_ends_the_query(threads):
    network, (x, label) = qbitsat.load(qbitsat.examples.network_path()), qbitsat.examples.sample(3)
    reasons = set()
    for timeout in (0.01, 0.02, 0.05, 0.1):
        query = qbitsat.robustness(network, x, 4, label)
        verdict = qbitsat.verify(query, timeout=timeout, jobs=3, attack=False, anneal=False, rounding=False)
        reasons.add(verdict.reason)
        assert helpers() == []
    assert reasons - {""} == {"timeout"}
