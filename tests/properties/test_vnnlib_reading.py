"""The text of VNN-LIB files: what is read, and where what is wrong stands."""

import re
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qbitsat.errors import QbitsatError
from qbitsat.properties.vnnlib import read_text
from qbitsat.properties.vnnlib.numbers import nearest
from qbitsat.properties.vnnlib.records import Connective

TEXT = """; a comment
(vnnlib-version <2.0>)
(declare-network f
    (declare-input X int8 [2, 3])
    (declare-hidden H uint8 [4] "inner")
    (declare-output Y uint8 []))
(declare-network g (equal-to f) (declare-input A int8 [2,3]) (declare-output B uint8 []))
(assert (and (>= X[0,1] -3) (<= X [0,2] 300) (== X[1,0] A[1,0])))
(assert (or (> (* 2 X[0,0]) (+ X[1,1] 1)) (< (- Y H[3] 1) (- B)) (!= Y 3)))
"""
FLAT = """(declare-const X_0 Real)(declare-const Y_0 Real)(declare-const X_1 Real)
(assert (<= X_1 1e-2))(assert (not (and (>= Y_0 X_0) (= X_0 .5))))"""
WORDS = ("", "(", ")", "[", "]", ",", '"', "1e400", "-", "X[0,0]", "X_0", "0", "\x00", "and")


def test_terms():
    spec = read_text(TEXT, "a.vnnlib")
    first, second = spec.assertions
    assert isinstance(first, Connective)
    assert [(part.terms, part.constant, part.op) for part in first.parts] == [
        ((((0, 1), -1),), -3, "<="),
        ((((0, 2), 1),), -300, "<="),
        ((((0, 3), 1), ((3, 3), -1)), 0, "=="),
    ]
    assert [(part.terms, part.constant, part.op, part.leaves) for part in second.parts] == [
        ((((0, 0), -2), ((0, 4), 1)), 1, "<", True),
        ((((2, 0), 1), ((1, 3), -1), ((4, 0), 1)), -1, "<", True),
        ((((2, 0), 1),), -3, "!=", False),
    ]


def test_version_1():
    spec = read_text(FLAT, "a.vnnlib")
    bound, rest = spec.assertions
    assert (spec.version, [variable.shape for _, variable in spec.variables]) == ((1, 0), [(2,), (1,)])
    assert (bound.terms, bound.constant) == ((((0, 1), 1),), Fraction(-1, 100))
    assert [(part.terms, part.constant, part.op) for part in rest.parts] == [
        ((((1, 0), 1), ((0, 0), -1)), 0, "<"),
        ((((0, 0), 1),), Fraction(-1, 2), "!="),
    ]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("<2.0>", "<1.0>", "2:1: version 1.0, expected 2.0"),
        ("X[1,0]", "X[2,0]", "8:50: X[2, 0], but its shape is [2, 3]"),
        ("X[1,0]", "X", "8:50: X without indices, expected 2 in brackets"),
        ("X[1,0]", "Z[1,0]", "8:50: 'Z' is no variable that is declared"),
        ("A[1,0]", "Y", "8:57: Y of uint8 and X of int8 in one comparison, expected one type"),
        (" 300", " 3.5", "8:41: '3.5' among elements of int8, expected an integer"),
        (" 300", " 1e999999999", "8:41: a number of more than 400 digits or an exponent beyond 400"),
        ("* 2", "* X[0,1]", "9:16: a product of two elements, expected linear sums"),
        ("(assert (and", "(assert (xor", "8:9: '(xor ...)', expected and, or, or a comparison"),
        ("uint8 [4]", "uint8 [0]", "5:29: shape [0], expected at most 8 sizes of at least 1"),
        ("H uint8", "X uint8", "5:21: variable X is declared already"),
        ("int8 [2, 3]", "int9 [2, 3]", "4:22: 'int9', expected an element type of ONNX, or real; did you mean 'int8'?"),
        ("(equal-to f)", "(equal-to h)", "7:30: equal-to h, which no network before it is named"),
        ("A int8", "A uint8", "7:1: network g declares other inputs than f, which it is said to be like"),
        ("(< (- Y H", "(< (/ Y H", "9:46: '(/ ...)', expected a number, an element, or a sum or product of such"),
        ("(!= Y 3)", "(!= Y 3) (or)", "9:75: (or) of nothing, expected at least one part"),
        ("(!= Y 3)", "(!= Y 3 4)", "9:66: != of 3 operands, expected 2"),
        ("(!= Y 3)))", "(!= Y 3)) x)", "9:1: assert of 2 formulas, expected one"),
        ("(!= Y 3)))", "(!= Y 3))", "9:1: a parenthesis that nothing closes"),
        ("(!= Y 3)))", "(!= Y 3))))", "9:76: a parenthesis that nothing opens"),
        ('"inner"', '"inner', "5:33: '\"', expected a word or a parenthesis"),
        ("; a comment", "(" * 101, "1:101: parentheses nest deeper than 100 levels"),
    ],
)
def test_place_of_what_is_wrong(old, new, message):
    assert old in TEXT
    with pytest.raises(QbitsatError) as error:
        read_text(TEXT.replace(old, new, 1), "a.vnnlib")
    assert str(error.value) == f"a.vnnlib:{message}"


@pytest.mark.parametrize("text", [TEXT, FLAT])
@settings(max_examples=300, deadline=None)
@given(st.data())
def test_no_mutation_escapes(text, data):
    """Deleted, doubled and changed parts are read or refused in one line."""
    for _ in range(data.draw(st.integers(1, 3))):
        at, length = data.draw(st.integers(0, len(text) - 1)), data.draw(st.integers(0, 12))
        word = data.draw(
            st.sampled_from(["", "(", ")", "[", "]", ",", '"', "1e400", "-", "X[0,0]", "X_0", "0", "\x00", "and", text[at : at + 9]])
        )
        text = text[:at] + word + text[at + length :] or " "
    message = ""
    try:
        read_text(text, "a.vnnlib")
    except QbitsatError as error:
        message = str(error)
    assert not message or re.fullmatch(r"a\.vnnlib:\d+:\d+: [^\n]+", message)


@pytest.mark.parametrize(("value", "rounded"), [("0.1", 0.1), ("1e-46", 0.0), ("-16777217", -16777216.0), ("3e-45", 3e-45), ("0", 0.0)])
def test_nearest_float(value, rounded):
    assert nearest(Fraction(value), "float32") == Fraction(float(np.float32(rounded)))
    assert nearest(Fraction("1e39"), "float32") is None
