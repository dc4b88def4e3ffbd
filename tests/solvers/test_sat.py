"""The SAT back end: answers, limits that are kept, children that die."""

import multiprocessing
import os
import signal
import threading
import time

import numpy as np
import pytest
from clauses import flat, pigeons

from qbitsat import processes
from qbitsat.limits import LimitReached, Limits, resident_bytes
from qbitsat.options import SOLVERS
from qbitsat.solvers import sat


@pytest.mark.parametrize("solver", SOLVERS)
def test_satisfiable_with_assignment(solver):
    result = sat.solve(flat([[1, 2], [-1], [3, -2]]), 4, solver, Limits())
    assert result.satisfiable
    assert result.assignment.tolist()[1:4] == [False, True, True]
    assert len(result.assignment) == 5


@pytest.mark.parametrize("solver", SOLVERS)
def test_unsatisfiable(solver):
    assert sat.solve(flat([[1, 2], [-1], [-2]]), 2, solver, Limits()).satisfiable is False


@pytest.mark.parametrize("solver", SOLVERS)
def test_empty_formula_and_empty_clause(solver):
    assert sat.solve(flat([]), 0, solver, Limits()).satisfiable
    assert sat.solve(flat([[1], []]), 1, solver, Limits()).satisfiable is False


@pytest.mark.parametrize("solver", SOLVERS)
def test_timeout_is_kept(solver):
    limits = Limits(timeout=1)
    result = sat.solve(*pigeons(13), solver, limits)
    assert (result.satisfiable, result.reason) == (None, "timeout")


@pytest.mark.parametrize("solver", ["cadical195", "glucose42"])
def test_conflict_limit_is_kept(solver):
    for conflicts in (1, 3000):
        result = sat.solve(*pigeons(12), solver, Limits(timeout=60), conflicts)
        assert (result.satisfiable, result.reason) == (None, "conflicts")


def test_memory_limit_is_kept():
    # 4 million clauses take some hundred MB in a solver; the limit leaves 100 MB beyond what this process holds.
    rows = np.arange(1, 4_000_001, dtype=np.int32)
    clauses = np.stack([rows, -(rows % 999_983 + 1), rows % 7 + 1, np.zeros_like(rows)], axis=1).reshape(-1)
    limits = Limits(memory=(resident_bytes() + (100 << 20)) / (1 << 30))
    result = sat.solve(clauses, 4_000_000, "cadical195", limits)
    assert (result.satisfiable, result.reason) == (None, "memory")


def test_time_that_is_up_already_starts_nothing():
    with pytest.raises(LimitReached, match="timeout"):
        sat.solve(*pigeons(12), "cadical195", Limits(timeout=1e-9))


def test_killed_solver_is_unknown_with_its_reason(monkeypatch):
    def killed(*arguments):
        os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr(sat, "SMALL", -1)
    monkeypatch.setattr(sat, "run_solver", killed)
    result = sat.solve(*pigeons(3), "cadical195", Limits())
    assert result.satisfiable is None
    assert "died" in result.reason


def test_solver_that_dies_while_it_answers_is_unknown(monkeypatch):
    def half(sender, *arguments):
        os.write(sender.fileno(), (1000).to_bytes(4, "big") + b"half an answer")
        os._exit(1)

    monkeypatch.setattr(sat, "SMALL", -1)
    monkeypatch.setattr(processes, "_answer", half)
    result = sat.solve(*pigeons(3), "cadical195", Limits(timeout=60))
    assert result.satisfiable is None
    assert "died" in result.reason


def test_daemonic_processes_may_solve():
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert pool.apply(solve_in_a_child) == (False, True)


def solve_in_a_child():
    sat.SMALL = -1
    return sat.solve(*pigeons(5), "cadical195", Limits()).satisfiable, multiprocessing.current_process().daemon


def test_solver_out_of_memory_is_unknown(monkeypatch):
    def starved(*arguments):
        raise MemoryError

    monkeypatch.setattr(sat, "SMALL", -1)
    monkeypatch.setattr(sat, "run_solver", starved)
    assert sat.solve(*pigeons(3), "cadical195", Limits()).reason == "memory"


def test_interrupt_ends_the_child(monkeypatch):
    seen = []
    start = processes.start

    def remember(*arguments, **keywords):
        seen.append(start(*arguments, **keywords))
        return seen[-1]

    timer = threading.Timer(0.7, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    monkeypatch.setattr(processes, "start", remember)
    with pytest.raises(KeyboardInterrupt):
        sat.solve(*pigeons(13), "cadical195", Limits(timeout=60))
    timer.join()
    assert len(seen) == 1
    assert not seen[0].is_alive()


def test_interrupt_right_after_the_fork_ends_the_child(monkeypatch):
    """Before the caller knows of the child: it must be ended all the same."""
    seen = []
    start = processes.start

    def interrupted(*arguments, **keywords):
        seen.append(start(*arguments, **keywords))
        os.kill(os.getpid(), signal.SIGINT)
        return seen[-1]

    monkeypatch.setattr(processes, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        sat.solve(*pigeons(13), "cadical195", Limits(timeout=60))
    assert not seen[0].is_alive()


def test_interrupt_during_the_short_try_waits(monkeypatch):
    def interrupted(*arguments):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.05)
        order.append("solved")
        return sat.SatResult(True)

    order = []
    monkeypatch.setattr(sat, "run_solver", interrupted)
    with pytest.raises(KeyboardInterrupt):
        sat.solve(*pigeons(3), "cadical195", Limits())
    assert order == ["solved"]


def test_chunks_are_whole_clauses(monkeypatch):
    monkeypatch.setattr(sat, "CHUNK", 5)
    clauses = flat([[1, 2, 3], [4], [5, 6], [7, 8, 9, 10, 11, 12], [13]])
    parts = [clauses[a:b].tolist() for a, b in sat.chunks(clauses)]
    assert all(part[-1] == 0 for part in parts)
    assert np.concatenate(parts).tolist() == clauses.tolist()
    assert len(parts) > 2
