"""What a certificate proves, in words."""

import numpy as np
from certified import certify
from handmade import copying, one_layer, x, y
from hostile import ranked

from qbitsat.certificate.check import check
from qbitsat.certificate.reading import read_formula
from qbitsat.certificate.words import LINES, words
from qbitsat.cli.main import main
from qbitsat.properties import And, AtMost, Box, Not, Or, Query, Ref, robustness

NETWORK = one_layer(np.eye(3, dtype=np.int64))


def boxed(lo, hi, violation) -> Query:
    return Query((NETWORK,), (Box(np.array(lo), np.array(hi)),), violation)


def test_general_certificate_on_the_command_line(tmp_path, capsys):
    violation = And((AtMost(((2, y(0)), (-1, y(2))), -30), Or((Not(AtMost(((1, x(1)),), 5)), And(())))))
    _, path = certify(boxed([3, 3, 0], [9, 9, 4], violation), tmp_path)
    assert main(["check", str(path), "--verbose"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[2:-1] == [
        "    inputs as follows: there are none",
        "    network 0, handmade: input[0:2] in [3, 9], input[2] in [0, 4]",
        "    such that",
        "      all of",
        "        2 output[0] - output[2] <= -30",
        "        any of",
        "          not",
        "            input[1] <= 5",
        "          all of nothing",
    ]


def test_robustness_and_its_witness(tmp_path):
    network = copying(2)
    _, path = certify(robustness(network, [5, 5], 1, 0), tmp_path)
    assert check(path).words == (
        "inputs of handmade within 1 step of x, each in [0, 15], that are not classified as 0 (the class is the first largest output): "
        "there are such, and here is one",
        "x = 5, 5",
        "input = 4, 6; output = 4, 6",
    )
    _, path = certify(robustness(network, [9, 5], 1, 0, 1), tmp_path)
    assert "that are classified as 1 (" in check(path).words[0]


def test_several_networks():
    query = Query((NETWORK, NETWORK), (Box([1, 1, 1], [1, 1, 1]),) * 2, AtMost(((1, Ref(0, "output", 0)), (-3, Ref(1, "output", 2))), 7))
    assert words(query, None)[1:] == [
        "network 0, handmade: input[0:3] = 1",
        "network 1, handmade: input[0:3] = 1",
        "such that",
        "  output 0[0] - 3 output 1[2] <= 7",
    ]


def test_bounded_in_length():
    deep = AtMost(((1, y(0)),), 0)
    for _ in range(95):
        deep = Not(And((deep,)))
    wide = AtMost(((1, y(0)),) * 1000, 0)
    many = read_formula({"or": ranked(5000, 3)}, "")
    large = one_layer(np.ones((2, 5000), np.int64))
    box = Box(np.arange(5000) % 7, np.arange(5000) % 7 + 1)
    for violation in (deep, wide, many):
        lines = words(Query((large,), (box,), violation) if violation is not many else boxed([0] * 3, [9] * 3, many), None)
        assert len(lines) < LINES + 10
        assert max(map(len, lines)) < 1000
