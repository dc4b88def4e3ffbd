"""Formulas in turns: with and without redundant cuts, teams of formulas, and dives."""

from types import SimpleNamespace

import numpy as np
import pytest
from clauses import flat, pigeons

from qbitsat.limits import Limits
from qbitsat.options import SOLVERS, make_options
from qbitsat.search.portfolio import Job, run_in_turns, solve_whole
from qbitsat.solvers import sat


def with_cuts(clauses, cuts, monkeypatch):
    """A CNF of two variables with redundant clauses, and no first try in this process."""
    monkeypatch.setattr(sat, "SMALL", 0)
    return SimpleNamespace(clauses=np.concatenate([flat(clauses), flat(cuts)]), core=len(flat(clauses)), num_vars=2)


@pytest.mark.parametrize("solver", SOLVERS)
def test_cuts_satisfiable(solver, monkeypatch):
    cnf = with_cuts([[1, 2], [-1]], [[2]], monkeypatch)
    result = solve_whole(cnf, make_options(solver=solver), Limits())
    assert result.assignment.tolist()[1:] == [False, True]


@pytest.mark.parametrize("solver", SOLVERS)
def test_cuts_unsatisfiable(solver, monkeypatch):
    cnf = with_cuts([[1, 2], [-1, 2], [1, -2], [-1, -2]], [[1], []], monkeypatch)
    assert solve_whole(cnf, make_options(solver=solver), Limits()).satisfiable is False


def test_solver_without_cuts_has_its_turns(monkeypatch):
    """Cuts that contradict a formula would be a mistake; they show who is asked: here only the second solver can say yes."""
    monkeypatch.setattr(sat, "FIRST_CONFLICTS", 5)
    hard, num_vars = pigeons(12)
    result = run_in_turns([[Job(hard, num_vars, "glucose42")], [Job(flat([[1]]), num_vars, "glucose42")]], None)
    assert (result.satisfiable, result.found) == (True, (1, 0))
    assert result.assignment[1]


def test_team_decides_when_all_of_its_formulas_are_unsatisfiable():
    hard, yes, no = Job(*pigeons(13), "glucose42"), Job(flat([[1]]), 1, "minisat22"), Job(flat([[1], [-1]]), 1, "minisat22")
    assert run_in_turns([[hard], [no, no]], None).satisfiable is False
    assert run_in_turns([[hard], [no, yes]], None).found == (1, 1)
    assert run_in_turns([[hard], [no, hard]], 2000).reason == "conflicts"


def test_turns_keep_the_conflict_limit(monkeypatch):
    formula, num_vars = pigeons(12)
    result = run_in_turns([[Job(formula, num_vars, "glucose42", turn)] for turn in (700, 300)], 3000)
    assert (result.satisfiable, result.reason) == (None, "conflicts")


def test_dives_decide_nothing_but_yes():
    """A dive without an assignment is given up, and the formula is still satisfiable."""
    formula = flat([[1, 2], [-1, 3]])
    for dives in ([[-1, -2], [1, -3]], [[-1, -2], [1]], [[1]]):
        result = run_in_turns([[Job(formula, 3, "minisat22", dives=dives)]], None)
        assert result.satisfiable
        assert result.assignment[1] | result.assignment[2]
    assert run_in_turns([[Job(flat([[1], [-1]]), 1, "minisat22", dives=[[1]])]], None).satisfiable is False
