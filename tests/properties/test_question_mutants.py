"""Question files with a few characters changed: each means something, or is refused in one line that says where."""

import re
import string

import pytest
from handmade import dense, tensor
from hypothesis import given, settings
from hypothesis import strategies as st

from qbitsat.arithmetic import ShiftRequantizer
from qbitsat.errors import QbitsatError
from qbitsat.network import Network
from qbitsat.properties.question_file import load_question

CLAMP = ShiftRequantizer(1, "floor", 0, 9)
NETWORK = Network((dense([[3, -2], [1, 1]], [1, -4], CLAMP), dense([[1, -1], [0, 1]], None, CLAMP, tensor(2, 0, 9))), "small")
DECIDED = '''title = "all \\u0031 of it"
assume = ["input[0] in {1, 3..5} implies kept(b.output, 1)", 'not (abs(sum([2, -1] * b.layer0.acc)) > 7)']
hold = """
  argmax(a.output) == argmax(b.output) and \\
  rank(b.output.flat, 0) < 2"""
never = "3 <= max(b.layer1[:]) < 4 or any(margin != 0)"

[networks]
a = "a.npz"
b = {file = "b.npz", runtime = "tflm", bits = 8}

[inputs]  # shared
centre = [3, 4]
eps = [2, 1]
norm = "linf"
region = "[0:2]"
elements = [{at = "0", among = [2, 3, 5]}, {at = "0:2", lo = 2, hi = [5, 5]}]

[define]
margin = "a.output[1] - 2 * -b.output[0]"
'''
OPTIMA = """maximize = ["a.output[0] - 3", '''b.layer0.acc[1]''']
minimize = "sum(both)"
networks.a = "a.npz"
networks.b.file = "b.npz"
[inputs.both]
networks = ["a", "b"]
unit = "real"
lo = [0.5, 1e0]
[[inputs.both.elements]]
at = "0 1"
one_hot = [[2, 3], [4, 5]]
"""
PIECES = (
    *string.printable,
    *"\u00e9\u2028\U0001f600\ufeff\x00",
    "999999999999999999999",
    "[[",
    "]]",
    '"""',
    "'''",
    "1e400",
    "nan",
    "not ",
    "(((",
    "inputs",
    "= ",
)
PLACE = re.compile(r":\d+:\d+: .", re.DOTALL)


def read(path, text: str) -> str:
    """What is wrong with it, or nothing; whatever else is raised fails the test."""
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        load_question(path, {"a": NETWORK, "b": NETWORK})
    except QbitsatError as error:
        return str(error)
    return ""


@pytest.fixture
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("mutants") / "question.toml"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("mutants") / "question.toml"


@pytest.mark.parametrize("text", [DECIDED, OPTIMA], ids=["decided", "optima"])
def test_what_is_mutated_is_read(path, text):
    assert read(path, text) == ""


MUTATIONS = st.lists(
    st.tuples(st.sampled_from("idrm"), st.integers(0, 2000), st.integers(0, 12), st.sampled_from(PIECES)), min_size=1, max_size=4
)


@settings(derandomize=True, deadline=None, max_examples=1500, database=None)
@given(st.sampled_from([DECIDED, OPTIMA]), MUTATIONS)
def test_no_mutant_crashes(place, text, mutations):
    for kind, at, size, piece in mutations:
        at %= max(1, len(text))
        if kind == "i":
            text = text[:at] + piece + text[at:]
        elif kind == "d":
            text = text[:at] + text[at + size :]
        elif kind == "r":
            text = text[:at] + piece + text[at + 1 :]
        else:
            text = text[:at] + text[at : at + 10 * size] * 2 + text[at + size :]
    said = read(place, text)
    assert not said or PLACE.match(said.removeprefix(str(place))) or said.startswith(f"{place}: network"), said
