"""Binary DRAT, and the outside programs that check it."""

import os
import random
import sys

import numpy as np
import pytest
from forge import outcome, reason
from pysat.examples.genhard import PHP

from qbitsat.certificate.check import Refused
from qbitsat.certificate.drat import check_drat, clauses_of, steps
from qbitsat.limits import Limits
from qbitsat.solvers import sat

TRIM = """#!{python}
import sys
import dratify
formula = dratify.parse_dimacs(open(sys.argv[1]).read())
if "-L" in sys.argv:
    open(sys.argv[sys.argv.index("-L") + 1], "w").write("lrat")
print("s VERIFIED" if dratify.check_proof(formula, open(sys.argv[2]).read()).ok else "s NOT VERIFIED")
"""
LPR = """#!{python}
import sys
print("s VERIFIED UNSAT" if open(sys.argv[2]).read() == "lrat" else "s NOT VERIFIED")
"""


def program(folder, name: str, text: str):
    """A script of that name that can be run."""
    path = folder / name
    path.write_text(text.format(python=sys.executable))
    path.chmod(0o755)
    return path


def flat(clauses) -> list[int]:
    return [entry for clause in clauses for entry in (*clause, 0)]


PIGEONS = flat(PHP(nof_holes=4).clauses)


def proof_of(data: list[int], solver: str = "cadical195") -> bytes:
    result = sat.solve(np.array(data, np.int32), max(map(abs, data)), solver, Limits(), proof=True)
    assert result.satisfiable is False
    result.drat.seek(0)
    return result.drat.read()


def test_steps_of_binary_drat():
    data = b"a\x02\x03\x00d\x7f\xff\x01\x00a\x00"
    assert list(steps(data, 200)) == [(True, [1, -1]), (False, [-63, -127]), (True, [])]


@pytest.mark.parametrize(
    "data", [b"a\x02", b"x\x02\x00", b"\x00", b"a\x80\x00", b"a\x01\x00", b"a\xff\xff\xff\xff\xff\x01\x00", b"a\xff\xff\x7f\x00"]
)
def test_damaged_steps_are_refused(data):
    with pytest.raises(Refused, match="DRAT proof"):
        list(steps(data, 5))


def test_text_of_glucose_becomes_binary():
    assert sat.binary_drat(b"d 1 -64 0\n0\n97 0\n") == b"d\x02\x81\x01\x00a\x00a\xc2\x01\x00"


def test_text_and_binary_say_the_same():
    rng, text, expected = random.Random(1), "", []
    for _ in range(500):
        add, lits = rng.random() < 0.7, [rng.choice([-1, 1]) * rng.randint(1, 1 << rng.randint(0, 30)) for _ in range(rng.randint(0, 5))]
        expected.append((add, lits))
        text += f"{'' if add else 'd '}{' '.join(map(str, (*lits, 0)))}\n"
    assert list(steps(sat.binary_drat(text.encode()), 1 << 31)) == expected


@pytest.mark.parametrize("data", [[1, 0, -1, 0], [1, 2, 0, -1, 0, -2, 1, 0], [0], PIGEONS])
@pytest.mark.parametrize("solver", ["cadical103", "cadical153", "cadical195", "cadical300", "glucose3", "glucose4", "glucose42"])
def test_proofs_of_all_solvers(data, solver):
    check_drat(max(map(abs, data)), data, proof_of(data, solver), None, None, lambda: None)


def test_satisfiable_formula_is_never_refuted():
    data = PIGEONS[: len(PIGEONS) // 2]
    data = flat(list(clauses_of(data)))
    with pytest.raises(Refused, match="does not accept"):
        check_drat(20, data, proof_of(PIGEONS), None, None, lambda: None)


def test_faster_engine_of_dratify(goods, parts, forged, monkeypatch):
    monkeypatch.setattr("qbitsat.certificate.drat.LARGE", 0)
    for kind in ("sat", "leaf", "formula", "wrap"):
        assert outcome(goods[kind]).accepted
    changed = parts("sat")
    changed.arrays["drat.0"] = changed.arrays["drat.0"][:0]
    assert "dratify does not accept the DRAT proof" in reason(forged(changed))


def test_drat_trim_is_run_where_it_is_named(goods, tmp_path):
    trim = program(tmp_path, "trim", TRIM)
    for kind in ("sat", "leaf"):
        assert outcome(goods[kind], drat_trim=trim).accepted


def test_drat_trim_that_refuses(parts, forged, tmp_path):
    trim, changed = program(tmp_path, "trim", TRIM), parts("sat")
    changed.arrays["drat.0"] = changed.arrays["drat.0"][:0]
    assert "trim does not accept the DRAT proof: s NOT VERIFIED" in reason(forged(changed), drat_trim=trim)


def test_cake_lpr_has_the_last_word(goods, tmp_path):
    trim, lpr = program(tmp_path, "trim", TRIM), program(tmp_path, "lpr", LPR)
    assert outcome(goods["sat"], drat_trim=trim, cake_lpr=lpr).accepted
    false = program(tmp_path, "false", "#!{python}\nprint('s NOT VERIFIED')\n")
    assert "false does not accept" in reason(goods["sat"], drat_trim=trim, cake_lpr=false)


def test_program_that_can_not_be_run(goods, tmp_path):
    assert "can't be run" in reason(goods["sat"], drat_trim=tmp_path / "none")


def test_program_that_does_not_end_is_killed(goods, tmp_path):
    slow = program(
        tmp_path,
        "slow",
        "#!{python}\nimport os, time\nopen('" + str(tmp_path / "pid") + "', 'w').write(str(os.getpid()))\ntime.sleep(600)\n",
    )
    assert "the time limit" in reason(goods["sat"], drat_trim=slow, timeout=2.0)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_missing_dratify(goods, monkeypatch):
    monkeypatch.setitem(sys.modules, "dratify", None)
    assert "pip install 'qbitsat[proof]'" in reason(goods["sat"])
