"""Proofs where the solver ran: in a child, whole or not at all."""

import errno
import io
import os
import resource
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest
from certified import PROVERS
from pysat.examples.genhard import PHP

from qbitsat._kernels.cnf import lrat as _lrat
from qbitsat.certificate.lrat import check_lrat
from qbitsat.examples import images_path, labels_path, network_path
from qbitsat.limits import Limits
from qbitsat.solvers import proofs, sat

PIGEONS = np.array([entry for clause in PHP(nof_holes=7).clauses for entry in (*clause, 0)], np.int32)
NUM_VARS = int(PIGEONS.max())


def prove(solver: str = "glucose42", **limits) -> sat.SatResult:
    return sat.solve(PIGEONS, NUM_VARS, solver, Limits(**limits), proof=True)


@contextmanager
def largest_file(size: int):
    """Files of this process and its children stay within that many bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("solver", PROVERS)
def test_proof_that_is_cut(solver):
    """Solvers that notice end their process, those that do not leave a part of a proof."""
    with largest_file(20_000):
        result = prove(solver)
    assert (result.satisfiable, result.reason, result.lrat) == (None, proofs.NO_ROOM, None)
    check_lrat(NUM_VARS, PIGEONS.tolist(), prove(solver).lrat, lambda *_: None)


def test_folder_that_is_not_there(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    assert prove().reason == proofs.NO_ROOM


def test_no_more_open_files_is_no_lack_of_room(monkeypatch):
    def fail(*_):
        raise OSError(errno.EMFILE, "too many open files")

    monkeypatch.setattr(tempfile, "TemporaryFile", fail)
    with pytest.raises(OSError, match="too many"):
        prove()


@pytest.mark.parametrize("solver", ["glucose42", "cadical195"])
def test_command_line_says_so(tmp_path, solver):
    command = [sys.executable, "-m", "qbitsat", "verify", network_path(), "--inputs", images_path(), "--labels", labels_path()]
    command += ["--samples", "1", "--eps", "1", "--engine", "sat", "--encoding", "balanced", "--solver", solver, "--no-attack"]
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (8192, resource.RLIM_INFINITY))  # noqa: E731
    run = subprocess.run(
        [*command, "--certificates", "--out", tmp_path / "out"], preexec_fn=limit, capture_output=True, text=True, check=False
    )
    assert run.returncode == 5, run.stderr
    assert "UNKNOWN" in run.stdout
    assert "no room for the proof" in run.stdout


@pytest.mark.parametrize(("state", "reason"), proofs.REASONS.items())
def test_proof_that_does_not_convert(monkeypatch, state, reason):
    nothing = np.zeros(0, np.int32)
    monkeypatch.setattr(_lrat, "trim", lambda *_: (state, nothing, nothing, nothing))
    result = prove()
    assert (result.satisfiable, result.reason, result.lrat) == (None, reason, None)


def test_solvers_with_proofs_run_in_children(monkeypatch):
    """PySAT leaks some 4.5 kB for each: what it never closes."""
    monkeypatch.setattr(sat, "run_prover", lambda *_: sat.SatResult(None, str(os.getpid())))
    assert int(sat.solve(np.array([1, 0], np.int32), 1, "glucose42", Limits(), proof=True).reason) != os.getpid()


@pytest.mark.parametrize("solver", PROVERS)
def test_satisfiable_with_proof_asked_for(solver):
    result = sat.solve(np.array([1, 2, 0, -1, 0], np.int32), 2, solver, Limits(), proof=True)
    assert result.assignment.tolist()[1:] == [False, True]
    assert result.lrat is None


def test_limits_are_kept_with_proofs():
    assert prove("cadical195", timeout=0.05).reason == "timeout"
    assert sat.solve(PIGEONS, NUM_VARS, "glucose42", Limits(), 5, proof=True).reason == "conflicts"


def test_text_that_is_cut_in_a_line(monkeypatch):
    monkeypatch.setattr(proofs.pysolvers, "flushpr", lambda _: None)
    inner = SimpleNamespace(prfp=None, prfile=io.BytesIO(b"1 0\n-1 0\n-"))
    assert isinstance(proofs.lrat_of(np.array([1, 0, -1, 0], np.int32), 1, inner, lambda: None), bytes)
