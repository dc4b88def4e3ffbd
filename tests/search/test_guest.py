"""A search as the guest of a solver: whose turn it is, and who answers."""

import math
import multiprocessing
import random
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from tiny import busy_query, check_query

from qbitsat.errors import UnsupportedError
from qbitsat.limits import LimitReached, Limits
from qbitsat.network import Dense, Network, TensorFormat, forward
from qbitsat.processes import ChildDied, call_in_child
from qbitsat.properties import AtMost, Box, Query, Ref
from qbitsat.search import portfolio
from qbitsat.search.guest import Guest, Settled, drained
from qbitsat.solvers.sat import SatResult
from qbitsat.verify import verify


def ends_with(answer, steps: int, seconds: float = 0.0):
    for _ in range(steps):
        time.sleep(seconds)
        yield
    if isinstance(answer, Exception):
        raise answer
    return answer


def after(seconds: float, answer):
    time.sleep(seconds)
    return answer


def guest_of(steps, limits, share=0.5, alone=0.0):
    return Guest(steps, bool, limits, share, alone)


def test_answer_of_the_guest_ends_the_child():
    limits = Limits(60)
    with pytest.raises(Settled) as found:
        call_in_child(limits.hosting(guest_of(ends_with("yes", 3), limits)), time.sleep, 30)
    assert found.value.answer == "yes"
    assert limits.seconds() < 25


@pytest.mark.parametrize("answer", ["", LimitReached("unconfirmed"), UnsupportedError("no"), MemoryError(), BlockingIOError("no process")])
def test_guest_without_an_answer_leaves_the_child_alone(answer):
    limits = Limits(60)
    guest = guest_of(ends_with(answer, 2), limits)
    assert call_in_child(limits.hosting(guest), after, 0.5, 3) == 3
    assert not guest.left


@pytest.mark.parametrize("answer", ["", "yes"])
def test_child_that_ends_in_the_turn_of_the_guest(answer):
    limits = Limits(60)

    def steps():
        (child,) = multiprocessing.active_children()
        child.kill()
        child.join()  # as may do any start of another process
        yield
        return answer

    with pytest.raises(Settled if answer else ChildDied):
        call_in_child(limits.hosting(guest_of(steps(), limits, share=1000)), time.sleep, 30)


def test_limit_ends_both():
    limits = Limits(0.5)
    with pytest.raises(LimitReached, match="timeout"):
        call_in_child(limits.hosting(guest_of(ends_with("yes", 10**6, 0.01), limits)), time.sleep, 30)


def test_shares():
    now = [0.0]

    def steps():
        while True:
            now[0] += 1.0
            yield

    guest = guest_of(steps(), SimpleNamespace(seconds=lambda: now[0]), share=0.5, alone=4.0)
    turns = []
    for _ in range(12):
        if guest.due():
            guest.work()
            turns.append((guest.spent, now[0] - guest.spent))
        now[0] += 1.0
    assert turns == [(2, 4), (3, 5), (4, 7), (5, 9), (6, 11)]


def test_child_is_stopped_while_the_guest_works():
    limits = Limits(60)

    def steps():
        (child,) = multiprocessing.active_children()
        # It stops when it is next given a core.
        while Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
            time.sleep(0.01)
        yield
        return "yes"

    with pytest.raises(Settled):
        call_in_child(limits.hosting(guest_of(steps(), limits)), time.sleep, 30)


def test_guest_beside_the_child_works_all_the_time():
    limits, children = Limits(60), []

    def steps():
        for _ in range(3):
            (child,) = multiprocessing.active_children()
            children.append(Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()[0])
            time.sleep(0.1)  # longer than a turn
            yield
        return "yes"

    guest = guest_of(steps(), limits, share=math.inf)
    with pytest.raises(Settled):
        call_in_child(limits.hosting(guest), time.sleep, 30)
    assert len(children) == 3
    assert "T" not in children
    assert guest.beside


@pytest.mark.parametrize("answer", ["", LimitReached("unconfirmed")])
def test_child_answers_while_its_guest_works_beside_it(answer):
    limits = Limits(60)
    guest = guest_of(ends_with(answer, 10**6, 0.01), limits, share=math.inf)
    assert call_in_child(limits.hosting(guest), after, 0.5, 3) == 3
    assert guest.left
    assert limits.seconds() < 25


def test_drained():
    assert drained(ends_with(7, 3)) == 7


def bits_query(seed: int) -> tuple[Query, bool]:
    """Of two-valued inputs, and whether it is violated."""
    rng, form = np.random.default_rng(seed), TensorFormat((12,), 0, 1)
    hidden, output = TensorFormat((8,), 0, 3), TensorFormat((1,), -99, 99)
    layers = (
        Dense("a", form, hidden, (hidden.requantizer(1, "floor"),), rng.integers(-3, 4, (8, 12)), rng.integers(-3, 4, 8)),
        Dense("b", hidden, output, (output.requantizer(0, "floor"),), rng.integers(-3, 4, (1, 8)), np.zeros(1, int)),
    )
    network = Network(layers, "bits")
    points = (np.arange(1 << 12)[:, None] >> np.arange(12)) & 1
    least = int(forward(network, points).min()) - seed % 2 + 1
    query = Query((network,), (Box(np.zeros(12, int), np.ones(12, int)),), AtMost(((1, Ref(0, "output", 0)),), least - 1))
    return query, seed % 2 == 0


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("who", ["hybrid", "sat"])
@pytest.mark.parametrize("jobs", [1, 2])
def test_whoever_answers_first(seed, who, jobs, monkeypatch):
    query, violated = bits_query(seed)
    if who == "sat":
        monkeypatch.setattr(sys.modules["qbitsat.verify"], "FIRST_SECONDS", 0.0)
    else:
        monkeypatch.setattr(portfolio, "solve_encoding", lambda *given: (call_in_child(given[-1], time.sleep, 60), None))
        monkeypatch.setattr(sys.modules["qbitsat.verify"], "ALONE_SECONDS", 0.1)
    verdict = verify(query, attack=False, enumerate_bits=2, timeout=50, jobs=jobs)
    assert verdict.verdict == ("VIOLATED" if violated else "HOLDS")
    assert verdict.engine == who or (jobs == 2 and who == "sat")  # where both work, either may be first


def test_solver_that_dies_leaves_the_search(monkeypatch):
    query, violated = bits_query(1)
    monkeypatch.setattr(portfolio, "solve_encoding", lambda *given: (SatResult(None, "solver died with exit code 1"), None))
    verdict = verify(query, attack=False, enumerate_bits=2, timeout=50)
    assert (verdict.holds, verdict.engine) == (not violated, "hybrid")


def test_solver_that_can_not_work_on_a_query_leaves_the_search(monkeypatch):
    monkeypatch.setattr(sys.modules["qbitsat.verify"], "FIRST_SECONDS", 0.0)
    query, violated = bits_query(1)
    verdict = verify(query, attack=False, enumerate_bits=2, timeout=50, solver="kissat404", certificates=True, encoding="linear", leaf=1.0)
    assert (verdict.holds, verdict.engine) == (not violated, "hybrid")


def test_steps_are_those_of_the_whole_run():
    for seed in range(10):
        check_query(busy_query(random.Random(seed)), seed, 5)
