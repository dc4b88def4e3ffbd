"""The checker of proofs with hints, and the outside program that may have the last word."""

import lzma
import os
import random
import sys

import numpy as np
import pytest
from certified import PROVERS
from forge import outcome, reason
from forge_proofs import flat, packed, random_clauses, satisfiable, steps_of
from pysat.examples.genhard import PHP

from qbitsat._kernels.cnf import lrat as _lrat
from qbitsat.certificate.cake import check_by_cake_lpr
from qbitsat.certificate.lrat import check_lrat
from qbitsat.certificate.reading import Refused
from qbitsat.limits import Limits
from qbitsat.solvers import sat
from qbitsat.solvers.proofs import binary_drup

# x1 or x2, not x1 or x2, x1 or not x2, not x1 or not x2: x2 follows from 0 and 1; and then 2 and 3 are at odds.
SQUARE = [1, 2, 0, -1, 2, 0, 1, -2, 0, -1, -2, 0]
RIGHT = [([2], [0, 1]), ([], [4, 2, 3])]
PIGEONS = flat(PHP(nof_holes=4).clauses)


def numbers(*values: int) -> bytes:
    return lzma.compress(np.array(values, "<i4").tobytes())


def check(data, proof, num_vars=2):
    check_lrat(num_vars, data, proof, lambda *_: None)


def refusal(data, proof, num_vars=2) -> str:
    with pytest.raises(Refused) as caught:
        check(data, proof, num_vars)
    return str(caught.value)


def test_right_proof():
    check(SQUARE, packed(RIGHT))
    check([1, 0, -1, 0], packed([([], [0, 1])]))
    check([1, 0, 0], packed([]))


@pytest.mark.parametrize(
    ("steps", "why"),
    [
        ([], "never derives the empty clause"),
        (RIGHT[:1], "never derives the empty clause"),
        ([([2], [0, 0]), RIGHT[1]], "step 0 of the LRAT proof: clause 0 is not false"),
        ([([2], [1])], "clause 1 is not false"),
        ([([2], [0, 1, 1])], "0 literals are left of clause 1"),
        ([([], [0, 1])], "2 literals are left of clause 0"),
        ([([], [4, 2, 3]), RIGHT[0]], "names clause 4, which is not there"),
        ([([], [6])], "names clause 6, which is not there"),
        ([([], [0]), RIGHT[0]], "clause 0 is not false"),
        ([([], [-1])], "names clause -1, which is not there"),
        ([([], [4])], "names clause 4, which is not there"),
        ([([3], [0])], "has literals 3 to 3, expected variables 1 to 2"),
        ([([-3], [0])], "expected variables 1 to 2"),
        ([([0], [0])], "expected variables 1 to 2"),
        ([([-(1 << 31)], [0])], "expected variables 1 to 2"),
        ([([1], [])], "or no hint"),
        ([RIGHT[0], ([], [4, 2, 3]), ([1], [4])], "clause 4 is not false"),
    ],
)
def test_wrong_steps_are_refused(steps, why):
    assert why in refusal(SQUARE, packed(steps))


@pytest.mark.parametrize(
    ("proof", "why"),
    [
        (b"", "cut off"),
        (b"nothing that is xz", "can't be unpacked"),
        (packed(RIGHT)[:-1], "cut off"),
        (packed(RIGHT)[:20], "cut off"),
        (packed(RIGHT) + b"\0", "behind its end"),
        (lzma.compress(b"\1\0\0"), "cut off"),
        (numbers(), "no room for its -1 steps"),
        (numbers(-1), "no room for its -1 steps"),
        (numbers(1, 0), "no room for its 1 steps"),
        (numbers((1 << 31) - 1), "no room for its 2147483647 steps"),
        (numbers(1, -1, 2, 1), "less than no literals"),
        (numbers(1, 0, 2, 1), "its steps take 2"),
        (numbers(1, 0, 1, 1, 1), "its steps take 1"),
        (numbers(2, (1 << 31) - 1, 3, (1 << 31) - 1, (1 << 31) - 1, 1), "its steps take 6442450944"),
    ],
)
def test_damaged_proofs_are_refused(proof, why):
    assert why in refusal(SQUARE, proof)


def test_proof_that_unpacks_to_much(monkeypatch):
    monkeypatch.setattr("qbitsat.certificate.lrat.PIECE", 1 << 10)
    monkeypatch.setattr("qbitsat.certificate.lrat.MAX_BYTES", 1 << 16)
    assert "unpacks to more than 65536 bytes" in refusal(SQUARE, lzma.compress(bytes(1 << 20)))


def test_dictionary_that_takes_much():
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 1 << 27}]
    assert "can't be unpacked" in refusal(SQUARE, lzma.compress(bytes(100), lzma.FORMAT_XZ, filters=filters))


def test_pieces_make_the_whole(monkeypatch):
    monkeypatch.setattr("qbitsat.certificate.lrat.PIECE", 3)
    check(SQUARE, packed(RIGHT))


def test_limits_are_asked():
    def tick(*_):
        raise MemoryError

    with pytest.raises(MemoryError):
        check_lrat(2, SQUARE, packed(RIGHT), tick)


def proof_of(data: list[int], solver: str = "cadical195") -> bytes:
    result = sat.solve(np.array(data, np.int32), max(map(abs, data)), solver, Limits(), proof=True)
    assert result.satisfiable is False
    return result.lrat


@pytest.mark.parametrize("data", [[1, 0, -1, 0], [1, 2, 0, -1, 0, -2, 1, 0], [0], [1, 0, 0, 2, 0], [1, -1, 0, 2, 2, 0, -2, 0], PIGEONS])
@pytest.mark.parametrize("solver", PROVERS)
def test_proofs_of_all_solvers(data, solver):
    check(data, proof_of(data, solver), max(map(abs, data)))


def test_proof_of_another_formula():
    data = PIGEONS[: PIGEONS.index(0, len(PIGEONS) // 2) + 1]
    assert refusal(data, proof_of(PIGEONS), 20)


# --- the kernel that makes them ---


def follows(num_vars: int, clauses: list[list[int]], clause: list[int]) -> bool:
    """Whether a clause follows by unit propagation."""
    false, size = set(clause), -1
    while size < len(false):
        size = len(false)
        for other in clauses:
            left = set(other) - false
            if not left or any(-lit in false and lit in false for lit in false):
                return True
            if len(left) == 1:
                false.add(-left.pop())
    return False


def follows_by_steps(num_vars: int, clauses: list[list[int]], steps: list[tuple[bool, list[int]]]) -> bool:
    """Whether every step follows from the clauses before it, up to the empty clause; a plain Python twin of the kernel."""
    known = [list(c) for c in clauses]
    for add, clause in steps:
        if follows(num_vars, known, []):
            return True
        if not add and clause in known:
            known.remove(clause)
        elif add:
            if not follows(num_vars, known, clause):
                return False
            known.append(clause)
    return follows(num_vars, known, [])


def test_kernel_takes_what_its_twin_takes():
    rng, right, wrong = random.Random(3), 0, 0
    for _ in range(3000):
        num_vars = rng.randint(2, 5)
        clauses = random_clauses(rng, num_vars, rng.randint(2 * num_vars, 6 * num_vars))
        steps = [(rng.random() < 0.7, random_clauses(rng, num_vars, 1)[0]) for _ in range(rng.randint(0, 6))]
        steps = [(add, clause if add else rng.choice(clauses)) for add, clause in steps]
        text = "".join(f"{'' if add else 'd '}{' '.join(map(str, clause))} 0\n" for add, clause in steps)
        state, *arrays = _lrat.trim(num_vars, np.array(flat(clauses), np.int32), binary_drup(text.encode()) if text else b"", lambda: None)
        if follows_by_steps(num_vars, clauses, steps):
            assert state == _lrat.DONE
            right += 1
        if state == _lrat.DONE:
            check_lrat(num_vars, flat(clauses), packed(steps_of(*arrays)), lambda *_: None)
            assert not satisfiable(num_vars, clauses)
        else:
            assert not any(array.size for array in arrays)
            wrong += 1
    assert right > 300
    assert wrong > 300


@pytest.mark.parametrize(
    ("data", "state"),
    [
        (b"", _lrat.OPEN), (b"a\0", _lrat.OPEN), (b"a\4\0", _lrat.DONE), (b"a\4", _lrat.CUT), (b"x\4\0", _lrat.CUT), (b"\0", _lrat.CUT),
        (b"a\1\0", _lrat.VARIABLE), (b"a\6\0", _lrat.VARIABLE), (b"a\xff\xff\xff\xff\xff\1\0", _lrat.VARIABLE), (b"d\2\0", _lrat.OPEN),
        (b"d\2\4\0a\4\0", _lrat.NOT_RUP), (b"a\2\3\0a\4\0", _lrat.DONE), (b"a\4\0x", _lrat.DONE),
    ],
)  # fmt: skip
def test_states_of_the_kernel(data, state):
    assert _lrat.trim(2, np.array(SQUARE, np.int32), data, lambda: None)[0] == state


def test_step_that_does_not_follow():
    clauses = np.array(flat([[1, 2, 3], [-1, 2, 3], [1, -2, 3], [-1, -2, 3], [1, -3, 2], [-1, -3, 2], [1, -3, -2]]), np.int32)
    assert _lrat.trim(3, clauses, binary_drup(b"1 2 0\n-1 2 0\n2 0\n1 0\n3 0\n-3 0\n"), lambda: None)[0] != _lrat.DONE
    assert _lrat.trim(3, clauses, binary_drup(b"2 3 0\n3 0\n2 0\n-1 0\n"), lambda: None)[0] == _lrat.NOT_RUP


def test_unneeded_steps_are_left_out():
    state, sizes, literals, _ = _lrat.trim(
        2, np.array(SQUARE, np.int32), binary_drup(b"1 2 0\n1 2 0\nd 1 2 0\n2 0\n1 0\n0\n"), lambda: None
    )
    assert (state, sizes[:, 0].tolist(), literals.tolist()) == (_lrat.DONE, [1, 0], [2])


@pytest.mark.parametrize("data", [[1], [3, 0], [-3, 0], [1, 0, -(1 << 31), 0]])
def test_clauses_that_are_none(data):
    with pytest.raises(ValueError, match="no end, or a literal"):
        _lrat.trim(2, np.array(data, np.int32), b"", lambda: None)


def test_kernel_asks_for_limits():
    def tick():
        raise InterruptedError

    with pytest.raises(InterruptedError):
        _lrat.trim(2, np.array(SQUARE, np.int32), b"", tick)


# --- text ---


def test_text_becomes_binary():
    assert binary_drup(b"d 1 -64 0\n0\n97 0\n") == b"d\x02\x81\x01\x00a\x00a\xc2\x01\x00"


# --- cake_lpr ---

# A checker of LRAT as text of its own: (name, num_vars) of what it read goes to a file beside it.
LPR = """#!{python}
import sys
cnf, proof = (open(name).read().splitlines() for name in sys.argv[1:3])
assert cnf[0].split()[:2] == ["p", "cnf"]
clauses = dict(enumerate((set(map(int, line.split()[:-1])) for line in cnf[1:]), 1))
assert len(clauses) == int(cnf[0].split()[3])
last = None
for line in proof:
    number, *rest = map(int, line.split())
    end = rest.index(0)
    last, hints = set(rest[:end]), rest[end + 1 : -1]
    assert rest[-1] == 0 and number > max(clauses)
    true = {{-literal for literal in last}}
    for hint in hints:
        left = [literal for literal in clauses[hint] if -literal not in true]
        assert len(left) == (hint != hints[-1])
        true.update(left)
    clauses[number] = last
print("s VERIFIED UNSAT" if last == set() else "s NOT VERIFIED")
"""


def program(folder, name: str, text: str):
    """A script of that name that can be run."""
    path = folder / name
    path.write_text(text.format(python=sys.executable))
    path.chmod(0o755)
    return path


def test_cake_lpr_is_given_the_same(goods, tmp_path):
    lpr = program(tmp_path, "lpr", LPR)
    for kind in ("sat", "leaf"):
        assert outcome(goods[kind], cake_lpr=lpr).accepted
    for solver in ("cadical195", "glucose42"):
        check_by_cake_lpr(20, PIGEONS, proof_of(PIGEONS, solver), lpr, lambda *_: None)
    with pytest.raises(Refused, match="does not accept"):
        check_by_cake_lpr(2, SQUARE, packed([RIGHT[0], ([], [4, 2])]), lpr, lambda *_: None)


def test_cake_lpr_has_the_last_word(goods, tmp_path):
    false = program(tmp_path, "false", "#!{python}\nprint('s NOT VERIFIED')\n")
    assert "false does not accept the LRAT proof: s NOT VERIFIED" in reason(goods["sat"], cake_lpr=false)


def test_program_that_can_not_be_run(goods, tmp_path):
    assert "can't be run" in reason(goods["sat"], cake_lpr=tmp_path / "none")


def test_program_that_does_not_end_is_killed(goods, tmp_path):
    slow = program(
        tmp_path,
        "slow",
        "#!{python}\nimport os, time\nopen('" + str(tmp_path / "pid") + "', 'w').write(str(os.getpid()))\ntime.sleep(600)\n",
    )
    assert "the time limit" in reason(goods["sat"], cake_lpr=slow, timeout=3.0)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
