"""Question files: their meaning against enumeration, and what is refused, where."""

import sys
from pathlib import Path

import pytest
from handmade import dense, tensor
from questions import check_question

from qbitsat.arithmetic import ShiftRequantizer
from qbitsat.errors import QbitsatError
from qbitsat.network import Dense, Network, TensorFormat
from qbitsat.properties.question_file import load_question
from qbitsat.properties.question_file.names import TopScope
from qbitsat.verify import HOLDS, VIOLATED, verify

CLAMP = ShiftRequantizer(1, "floor", 0, 9)
NETWORK = Network(
    (dense([[3, -2], [1, 1]], [1, -4], CLAMP, TensorFormat((2,), 0, 15, 0.25, 3)), dense([[1, -1], [0, 1]], None, CLAMP, tensor(2, 0, 9))),
    "small",
)
FIELDS = ("input", "output", "requantizers", "weights", "bias")
HEAD = '\n[networks]\nnet = "net.npz"\n'


def asked(tmp_path: Path, text: str, head: str = HEAD, **networks: Network):
    path = tmp_path / "question.toml"
    path.write_text(text + head)
    return load_question(path, networks or {"net": NETWORK})


@pytest.mark.parametrize("first", range(0, 1200, 100))
def test_questions_mean_what_enumeration_says(first, tmp_path):
    found = {check_question(seed, tmp_path) for seed in range(first, first + 100)}
    assert {HOLDS, VIOLATED, "OPTIMAL"} <= found


def fault(tmp_path: Path, text: str, head: str = HEAD, **networks: Network) -> str:
    with pytest.raises(QbitsatError) as refused:
        asked(tmp_path, text, head, **networks)
    return str(refused.value).removeprefix(f"{tmp_path / 'question.toml'}:")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('hold = "outptu[0] < 3"', "1:9: name 'outptu' is unknown; did you mean 'output'?"),
        ('hold = "output[2] < 3"', "1:9: index 2 of axis 0, expected one from 0 to 1"),
        ('hold = "output[0, 0] < 3"', "1:9: 2 indices, but there is 1 axis"),
        ('hold = """\noutput[0] < 3\n  and input"""', "3:7: a tensor, expected a condition, as in output[0] <= 5"),
        ('hold = "output[0] * output[1] < 3"', "1:19: a product of two elements of tensors, expected one factor to be a number"),
        ('hold = "output[0] < 3.5"', "1:21: 3.5, expected a whole number: all elements are integers"),
        ('hold = "output[0] <"', "1:20: ends where a number, a name or '(' is expected"),
        ('hold = "output[0] < 3 3"', "1:23: '3', expected the end, or a sign between two parts"),
        ('hold = "output[0] ? 3"', "1:19: '?', expected a number, a name or a sign"),
        ('hold = "argmax(output) == 2"', "1:24: class 2, expected one in [0, 1]"),
        ('hold = "argmin(output) == 2"', "1:9: function 'argmin' is unknown; did you mean 'min'?"),
        ('hold = "rank(output) < 2"', "1:9: rank of 1 arguments, expected 2"),
        ('hold = "input == layer0[:1] + layer1"', "1:29: arrays of shapes [1] and [2], expected the same shape, or one number"),
        ('hold = "output[0] in {3..2}"', "1:23: 3..2 is empty, expected a..b with a at most b"),
        (f'hold = "output[0] < {1 << 61}"', "1:21: a number of 62 bits, expected at most 2**60 in magnitude"),
        (f'hold = "output[0] < {"9" * 40}"', "1:21: a number of 40 digits, expected at most 2**60"),
        (f'hold = ["true",\n  "{1 << 57}*output[0] < 3"]', "2:3: query: an inequality can reach"),
        (f'maximize = "{1 << 57}*output[0]"', "1:12: query: an inequality can reach"),
        (f'hold = "{"(" * 100}1 < 2{")" * 100}"', "1:69: nests deeper than 60 levels"),
        (f'hold = "{"not " * 5000}output[0] + 1"', "1:20009: numbers, expected a condition, as in output[0] <= 5"),
        ("hold = 3", "1:8: hold is 3, expected a text or a list"),
        ('hold = ["true", 3]', "1:17: 1 is 3, expected a text"),
        ('hodl = "true"', "1:1: key 'hodl' is unknown; did you mean 'hold'?"),
        ("", "1:1: asks nothing; expected hold = "),
        ('hold = "true"\nmaximize = "output[0]"', "1:1: asks both something to decide and something to optimise"),
        ('maximize = "output"', "1:12: 2 numbers, expected one to maximize"),
        ("hold = ", "1:8: no TOML: Invalid value"),
        ('hold = "true"\nhold = "true"', "2:14: no TOML: Cannot overwrite a value"),
        (f"a = {'[' * 5000}", "1:1: no TOML: lists or tables nest too deep"),
        (f"a = {'9' * 5000}", "1:1: no TOML: Exceeds the limit"),
        ('x = """' + "a." * 30 + '"""\n[ ' + " . ".join(['"."', "b"] * 25_000) + "]", "2:3: a key of more than 20 parts"),
        ("x = {y = '" + "." * 30 + "', " + ".".join("a" * 21) + " = 1}", "1:44: a key of more than 20 parts"),
        (".".join("a" * 20) + " = [" + ", ".join(["0.5"] * 30) + "] # " + "." * 30, "1:1: key 'a' is unknown"),
        ("\n" * 200_001, "200001:1: the file goes on for more than 200000 lines"),
    ],
)
def test_expressions_and_texts_that_are_refused(tmp_path, text, said):
    assert fault(tmp_path, text).startswith(said)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("lo = 16", "5:6: lo: 16, expected one in the input's range [0, 15]"),
        ("lo = 5\nhi = [7, 4]", "6:6: nothing is left of input element 1: at least 5 and at most 4"),
        ("lo = [1, 2, 3]", "5:13: more than 2 numbers, expected one for each element, or one for all"),
        ("lo = [1]", "5:6: 1 numbers, expected 2"),
        ("lo = 0.5", "5:6: lo is 0.5, expected a whole number or a list"),
        ("lo = true", "5:6: lo is True, expected a whole number or a list"),
        ("unit = 'real'\nlo = nan", "6:6: nan, expected a finite number"),
        ("unit = 'real'\nlo = 1e300", "6:6: 1e+300 is out of range"),
        ("unit = 'imaginary'", "5:8: unit 'imaginary' is unknown; expected one of integer, real"),
        ("eps = 3", "5:7: eps needs a centre = [...]"),
        ("centre = [3, 3]", "5:10: needs eps"),
        ("centre = [3, 3]\neps = -1", "6:7: eps -1, expected 0 or more"),
        ("centre = [3, 3]\neps = 1\nregion = '[2]'", "7:10: region: '2', but axis 0 has indices 0 to 1"),
        ("file = 'none.npy'\nsample = 0\neps = 1", "5:8: "),
        ("elements = [{lo = 3}]", "5:13: needs at"),
        ("elements = [{at = '0', among = []}]", "5:32: among no numbers"),
        ("elements = [{at = '0', among = [3, 16]}]", "5:32: among: 16, expected one in the input's range [0, 15]"),
        ("elements = [{at = '0', one_hot = [1, 1]}]", "5:34: one_hot: off and on are the same integer"),
        ("low = 3", "5:1: key 'low' is unknown"),
    ],
)
def test_inputs_that_are_refused(tmp_path, table, said):
    assert fault(tmp_path, 'hold = "true"', f"{HEAD}[inputs]\n{table}\n").startswith(said)


def test_definitions_that_double_are_refused_at_once(tmp_path):
    doubling = "".join(f'a{k + 1} = "a{k} and a{k}"\n' for k in range(40))
    said = fault(tmp_path, 'hold = "a40"', f'{HEAD}[define]\na0 = "output[0] >= 0"\n{doubling}')
    assert said.startswith("1:8: query: the formula has more than 1048576 parts")


@pytest.mark.parametrize(
    ("head", "said"),
    [
        ("", "1:1: names no networks"),
        ("\n[networks]\n", "2:1: 0 networks, expected 1 to 100"),
        ('\n[networks]\nand = "a.npz"\n', "3:1: name 'and', expected letters, digits and _"),
        ("\n[networks]\nnet = {runtime = 3}\n", "3:18: runtime is 3, expected a text"),
        (f'{HEAD}[inputs.a]\nnetworks = ["b"]\n', "5:13: network 'b' is unknown; expected one of net"),
        (f'{HEAD}[define]\noutput = "3"\n', "5:1: 'output' is the name of something else"),
        (f'{HEAD}[define]\nx = "output +"\n', "5:14: ends where a number"),
    ],
)
def test_networks_and_names_that_are_refused(tmp_path, head, said):
    network = {"and": NETWORK} if "and =" in head else {}
    assert fault(tmp_path, 'hold = "true"', head, **network).startswith(said)


def test_files_that_are_not_there(tmp_path):
    path = tmp_path / "question.toml"
    path.write_text('hold = "true"\n[networks]\nnet = {file = "none.npz"}\n')
    with pytest.raises(QbitsatError, match=r"question\.toml:3:15: .*none\.npz: can't be read"):
        load_question(path)
    with pytest.raises(QbitsatError, match="network 'nat' is unknown; expected one of net"):
        load_question(path, {"nat": NETWORK})


def test_networks_that_share_an_input_must_fit(tmp_path):
    other = Network((dense([[1, 1]], None, CLAMP, tensor(2, 0, 9)),), "narrow")
    head = '\n[networks]\na = "a.npz"\nb = "b.npz"\n[inputs]\nlo = 1\n'
    assert "expected the same integers" in fault(tmp_path, 'hold = "true"', head, a=NETWORK, b=other)


def test_real_units_become_the_steps_of_the_format(tmp_path):
    table = "\n[inputs]\nunit = 'real'\nlo = [-0.6, 0.0]\nhi = [0.1, 0.5]\n"
    (box,) = asked(tmp_path, 'hold = "true"', HEAD + table).query.boxes
    assert (box.lo.tolist(), box.hi.tolist()) == ([1, 3], [3, 5])
    table = "\n[inputs]\nunit = 'real'\ncentre = [0, 0]\neps = 0.74\n"
    (box,) = asked(tmp_path, 'hold = "true"', HEAD + table).query.boxes
    assert (box.lo.tolist(), box.hi.tolist()) == ([1, 1], [5, 5])


def test_names_of_all_kinds(tmp_path):
    """An input's own name, definitions, layers by number and by name."""
    lines = ["[inputs.image]", 'networks = ["net"]', "lo = 2", "[define]", 'margin = "output[1] - output[0]"', 'inner = "layer0[:]"']
    network = Network((NETWORK.layers[0], dense([[1, 0]], None, CLAMP, tensor(2, 0, 9))), "two")
    renamed = Network((Dense("first", *(getattr(network.layers[0], name) for name in FIELDS)), network.layers[1]), "two")
    same = "image[0] == net.input.flat[0] and inner == net.layer0 and first.acc == layer0.acc and 'first'[1] == inner[1]"
    found = asked(tmp_path, f'hold = "{same}"', HEAD + "\n".join(lines).replace("output[1] - ", "2 * "), net=renamed)
    assert verify(found.query).holds
    assert found.query.boxes[0].lo.tolist() == [2, 2]


def test_long_sums_are_read_in_time(tmp_path):
    (objective,) = asked(tmp_path, f'maximize = "{" + ".join(["output[0]"] * 20_000)} - 7"').objectives
    assert (objective.terms[0][0], objective.constant, objective.value(3)) == (20_000, -7, -4)


LONG = {
    "ands": ("hold = '{}'", " and ", "output[0] <= {}", ""),
    "implications": ("hold = '{}'", " and ", "(output[0] <= {} implies output[1] > 1)", ""),
    "conditions": ("hold = [{}]", ",", "'output[0] <= {}'", ""),
    "objectives": ("maximize = [{}]", ",", "'output[0] + {}'", ""),
    "elements": ("hold = 'output[0] <= 3'", ",", "{{at = '0', hi = 5}}", "[inputs]\nelements = [{}]\n"),
    "definitions": ("hold = 'output[0] <= 3'", "\n", "a{0} = 'output[0] + {0}'", "[define]\n{}\n"),
}


@pytest.mark.parametrize("kind", LONG)
def test_twice_as_much_takes_twice_the_work(tmp_path, monkeypatch, kind):
    """Calls of functions, and none that goes over all names."""
    monkeypatch.setattr(TopScope, "names", lambda _: pytest.fail("goes over all names"))
    calls = []
    for n in (200, 400):
        text, join, part, table = LONG[kind]
        parts, count = join.join(part.format(i) for i in range(n)), [0]

        def add(*_: object, count: list[int] = count) -> None:
            count[0] += 1

        sys.setprofile(add)
        try:
            asked(tmp_path, text.format(parts), HEAD + table.format(parts))
        finally:
            sys.setprofile(None)
        calls.append(count[0])
    assert calls[1] < 2.2 * calls[0]
