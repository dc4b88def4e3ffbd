"""Whole queries as SMT-LIB 2: their truth by enumeration, the words' meaning, names, comments, determinism."""

import io
import itertools
import random

import numpy as np
import pytest
from handmade import copying, dense, one_layer, query, x, y
from tiny import points_of, random_query

from qbitsat.arithmetic import OVERFLOWS, ROUNDINGS, Requantizer, ShiftRequantizer
from qbitsat.bounds import propagate, simplify
from qbitsat.encode import encode_smtlib, smtlib
from qbitsat.errors import UnsupportedError
from qbitsat.limits import LimitReached, Limits
from qbitsat.network import Network, forward
from qbitsat.options import ENCODINGS, make_options
from qbitsat.properties import And, AtMost, Box, Not, Or, replay
from qbitsat.properties.formula import is_true
from qbitsat.solvers.smt import bitwuzla, boolector

# In this process, without a child for each of many small scripts.
RUN = {"bitwuzla": bitwuzla.run, "boolector": boolector.run}


def violated(question):
    """The truth, by trying every input."""
    tables = []
    for network, box in zip(question.networks, question.boxes, strict=True):
        points = points_of(box)
        tables.append(list(zip(points.tolist(), forward(network, points).tolist(), strict=True)))
    return any(is_true(question.violation, *zip(*combination, strict=True)) for combination in itertools.product(*tables))


def solve(question, backend="bitwuzla", encoding="balanced", formula=None):
    """The backend's status and the replayed witness."""
    script = encode_smtlib(question, propagate(question), make_options(encoding=encoding), formula)
    answer = RUN[backend](script, Limits())
    assert answer.status in ("sat", "unsat"), answer
    return answer.status, replay(question, script.decode(answer.values)) if answer.status == "sat" else None


@pytest.mark.parametrize(("backend", "first"), [("bitwuzla", 0), ("boolector", 100)])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_random_queries_agree_with_enumeration(backend, first, encoding):
    for seed in range(first, first + 60):
        question = random_query(random.Random(seed))
        formula = simplify(question, propagate(question)) if seed % 2 else None
        status, witness = solve(question, backend, encoding, formula)
        assert status == ("sat" if violated(question) else "unsat"), seed
        assert (witness is not None) == (status == "sat")


@pytest.mark.parametrize("overflow", OVERFLOWS)
@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_requantizer_every_value(rounding, overflow):
    """An output value is found iff some input of a neuron gives it."""
    for shift, offset, lo in itertools.product((-2, 0, 1, 3), (-3, 0), (-4, 0)):
        requantizer = ShiftRequantizer(shift, rounding, lo, lo + 7, overflow, offset)
        network = one_layer([[3, -2]], [-5], requantizer)
        points = points_of(Box(np.zeros(2, np.int64), np.full(2, 15)))
        results = forward(network, points)[:, 0]
        for value in range(lo, lo + 8):
            found = query(network, And((AtMost(((1, y(0)),), value), AtMost(((-1, y(0)),), -value))))
            inside = bool((results == value).any())
            assert solve(found)[0] == ("sat" if inside else "unsat"), (shift, offset, lo, value)


@pytest.mark.parametrize(
    ("formula", "status"),
    [
        (And(()), "sat"),
        (Or(()), "unsat"),
        (Not(Or(())), "sat"),
        (Or((And(()), Or(()))), "sat"),
        (AtMost((), 0), "sat"),
        (AtMost((), -1), "unsat"),
        (AtMost(((1, x(0)), (-1, x(0))), -1), "unsat"),
        (And((Or((AtMost(((1, x(0)),), 3),)), Not(AtMost(((1, y(0)),), 2)))), "sat"),
    ],
)
def test_formulas_of_every_shape(formula, status):
    assert solve(query(copying(2), formula))[0] == status


def body_of(question, **options):
    return encode_smtlib(question, propagate(question), make_options(**options)).body


def test_names_and_comments_map_elements():
    network = copying(3, -4, 11)
    question = query(network, AtMost(((1, y(1)), (-1, x(2))), 0), Box(np.array([-4, 0, 2]), np.array([-4, 5, 9])))
    lines = body_of(question).splitlines()
    assert "; input 0 0 = -4" in lines
    assert "; input 0 1 = 0 + x_0_1" in lines
    assert "; input 0 2 = 2 + x_0_2" in lines
    assert "; output 0 1 = 0 + y_0_1" in lines
    assert [line for line in lines if line.startswith("; output 0 ")] == ["; output 0 1 = 0 + y_0_1"]


def test_inputs_outside_the_cone_are_not_declared():
    question = query(copying(3), AtMost(((1, y(1)),), 2))
    script = encode_smtlib(question, propagate(question), make_options())
    assert script.names == ("x_0_1",)
    assert script.decode({"x_0_1": 7}) == ((0, 7, 0),)


def test_words_are_as_wide_as_their_spans():
    question = query(copying(1), AtMost(((1, y(0)),), 2), Box(np.array([3]), np.array([8])))
    lines = body_of(question).splitlines()
    assert "(declare-fun x_0_0 () (_ BitVec 3))" in lines
    assert "(assert (bvule x_0_0 (_ bv5 3)))" in lines


def test_options_come_before_the_logic():
    body = body_of(query(copying(1), AtMost(((1, y(0)),), 2)))
    assert body.index("(set-option") < body.index("(set-logic QF_BV)") < body.index("(declare-fun")


def test_tail_asks_for_every_input():
    question = query(copying(2), AtMost(((1, y(0)), (1, y(1))), 2))
    assert encode_smtlib(question, propagate(question), make_options()).tail == "(check-sat)\n(get-value (x_0_0 x_0_1))\n"


def test_tail_without_inputs_only_checks():
    question = query(copying(1), Or(()))
    assert encode_smtlib(question, propagate(question), make_options()).tail == "(check-sat)\n"


def test_linear_adds_one_after_the_other():
    question = query(one_layer([[1, 1, 1, 1]]), AtMost(((1, y(0)),), 2))
    sums = {e: [line for line in body_of(question, encoding=e).splitlines() if "define-fun s" in line] for e in ENCODINGS}
    assert "s1" in sums["linear"][1]
    assert "s1" not in sums["balanced"][1]


def test_same_query_same_bytes():
    texts = []
    for _ in range(2):
        stream = io.BytesIO()
        smtlib.write(random_query(random.Random(11)), make_options(), stream)
        texts.append(stream.getvalue())
    assert texts[0] == texts[1]


def test_limits_stop_the_encoding():
    question = query(copying(1), AtMost(((1, y(0)),), 2))
    with pytest.raises(LimitReached):
        encode_smtlib(question, propagate(question), make_options(), None, Limits(0))


def test_other_requantizers_are_refused():
    class Odd(Requantizer):
        lo, hi = 0, 15

        def apply(self, acc):
            return np.clip(acc, 0, 15) if isinstance(acc, np.ndarray) else min(max(acc, 0), 15)

    question = query(Network((dense([[1]], None, Odd()),)), AtMost(((1, y(0)),), 2))
    with pytest.raises(UnsupportedError, match="no encoding of a requantizer of kind Odd"):
        encode_smtlib(question, propagate(question), make_options())
