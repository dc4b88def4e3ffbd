"""The SAT back end: answers, limits that are kept, children that die."""

import itertools
import multiprocessing
import os
import signal
import threading
import time

import numpy as np
import pytest

from qbitsat import processes
from qbitsat.limits import LimitReached, Limits, resident_bytes
from qbitsat.options import SOLVERS
from qbitsat.solvers import sat


def flat(clauses):
    return np.array([lit for clause in clauses for lit in (*clause, 0)], np.int32)


def pigeons(n):
    """n + 1 pigeons in n holes: unsatisfiable, and out of reach of resolution from n = 10 or so."""
    var = lambda i, j: i * n + j + 1  # noqa: E731
    clauses = [[var(i, j) for j in range(n)] for i in range(n + 1)]
    clauses += [[-var(a, j), -var(b, j)] for j in range(n) for a, b in itertools.combinations(range(n + 1), 2)]
    return flat(clauses), n * (n + 1)


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


def with_facts(clauses, facts, monkeypatch):
    """A formula followed by redundant clauses, its number of entries without them, and no first try in this process."""
    monkeypatch.setattr(sat, "SMALL", 0)
    return np.concatenate([flat(clauses), flat(facts)]), len(flat(clauses))


@pytest.mark.parametrize("solver", SOLVERS)
def test_facts_satisfiable(solver, monkeypatch):
    formula, core = with_facts([[1, 2], [-1]], [[2]], monkeypatch)
    result = sat.solve(formula, 2, solver, Limits(), core=core)
    assert result.assignment.tolist()[1:] == [False, True]


@pytest.mark.parametrize("solver", SOLVERS)
def test_facts_unsatisfiable(solver, monkeypatch):
    formula, core = with_facts([[1, 2], [-1, 2], [1, -2], [-1, -2]], [[1], []], monkeypatch)
    assert sat.solve(formula, 2, solver, Limits(), core=core).satisfiable is False


def test_solver_without_facts_has_its_turns(monkeypatch):
    """Facts that contradict a formula would be a mistake; they show who is asked: here only the second solver can say yes."""
    monkeypatch.setattr(sat, "FIRST_CONFLICTS", 5)
    hard, num_vars = pigeons(12)
    result = sat.run_in_turns([[sat.Job(hard, num_vars, "glucose42")], [sat.Job(flat([[1]]), num_vars, "glucose42")]], None)
    assert (result.satisfiable, result.found) == (True, (1, 0))
    assert result.assignment[1]


def test_team_decides_when_all_of_its_formulas_are_unsatisfiable():
    hard, yes, no = sat.Job(*pigeons(13), "glucose42"), sat.Job(flat([[1]]), 1, "minisat22"), sat.Job(flat([[1], [-1]]), 1, "minisat22")
    assert sat.run_in_turns([[hard], [no, no]], None).satisfiable is False
    assert sat.run_in_turns([[hard], [no, yes]], None).found == (1, 1)
    assert sat.run_in_turns([[hard], [no, hard]], 2000).reason == "conflicts"


def test_turns_keep_the_conflict_limit(monkeypatch):
    formula, num_vars = pigeons(12)
    result = sat.run_in_turns([[sat.Job(formula, num_vars, "glucose42", turn)] for turn in (700, 300)], 3000)
    assert (result.satisfiable, result.reason) == (None, "conflicts")


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


def test_dives_decide_nothing_but_yes():
    """A dive without an assignment is given up, and the formula is still satisfiable."""
    formula = flat([[1, 2], [-1, 3]])
    for dives in ([[-1, -2], [1, -3]], [[-1, -2], [1]], [[1]]):
        result = sat.run_in_turns([[sat.Job(formula, 3, "minisat22", dives=dives)]], None)
        assert result.satisfiable
        assert result.assignment[1] | result.assignment[2]
    assert sat.run_in_turns([[sat.Job(flat([[1], [-1]]), 1, "minisat22", dives=[[1]])]], None).satisfiable is False
