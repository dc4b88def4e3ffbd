"""Regions: which elements may move, and how far; in the box, on the command line, and in certificates and results."""

import json

import numpy as np
import pytest
from certified import certify
from handmade import copying
from hypothesis import given, settings
from hypothesis import strategies as st

from qbitsat import InputError, check, examples, load, robustness, save
from qbitsat.cli.main import main
from qbitsat.network import Dense, Network, TensorFormat
from qbitsat.properties.region import distances, region_of

SHAPE = (2, 3, 2)
FORM = TensorFormat(SHAPE, 0, 15)
EXAMPLES = settings(derandomize=True, deadline=None, max_examples=100)


def moved(region: str | None, eps: int = 1) -> list:
    return distances(region, SHAPE, eps).reshape(SHAPE).tolist()


def test_all_elements_without_a_region():
    assert moved(None, 4) == np.full(SHAPE, 4).tolist()


@pytest.mark.parametrize(
    ("region", "index"),
    [
        ("[1]", np.s_[1]), ("[:, 1:3]", np.s_[:, 1:3]), ("[:, :, 0]", np.s_[:, :, 0]), ("[0,2:,1]", np.s_[0, 2:, 1]), ("[:1]", np.s_[:1]),
        ("[ 1 , 0 ]", np.s_[1, 0]),
    ],
)  # fmt: skip
def test_axes_are_those_of_numpy(region, index):
    expected = np.zeros(SHAPE, int)
    expected[index] = 5
    assert moved(region, 5) == expected.tolist()


def test_elements_and_distances_of_their_own_and_the_last_part_counts():
    expected = np.zeros(12, int)
    expected[:6], expected[3:5], expected[4] = 9, 2, 0
    assert distances("[0] 3:5=2 4=0", SHAPE, 9).tolist() == expected.tolist()


@EXAMPLES
@given(st.lists(st.integers(0, 3), min_size=12, max_size=12), st.booleans())
def test_arrays_of_distances_are_regions(values, flat):
    array = np.array(values) if flat else np.array(values).reshape(SHAPE)
    eps, region = region_of(array, FORM, None)
    assert (eps, distances(region, SHAPE, eps).tolist()) == (max(values), values)


@pytest.mark.parametrize(
    ("region", "message"),
    [
        ("", "expected parts"), ("[1", "expected parts"), ("1,2", "'1,2', expected"), ("[0]=x", "expected parts"),
        ("[0]x", "expected parts"), ("[]", "expected a whole number"), ("[-1]", "expected a whole number"),
        ("[0,0,0,0]", "has 4 axes, the input has 3"),
        ("[2]", "but axis 0 has indices 0 to 1"), ("[:, 3:1]", "is empty"), ("12", "but the flattened input has indices 0 to 11"),
        ("[9999999999]", "expected a whole number"), ("[0]=9999999999", "expected a whole number"), ("[0:1:2]", "expected a whole number"),
    ],
)  # fmt: skip
def test_regions_that_are_refused(region, message):
    with pytest.raises(InputError, match="region: ") as error:
        distances(region, SHAPE, 1)
    assert message in str(error.value)


def test_distances_that_are_refused():
    for eps, message in (
        (np.zeros(11, int), r"shape \(11,\), expected"),
        (np.full(12, -1), "expected integers"),
        (np.zeros(12), "dtype float"),
    ):
        with pytest.raises(InputError, match=message):
            region_of(eps, FORM, None)
    with pytest.raises(InputError, match="expected one of them"):
        region_of(np.zeros(12, int), FORM, "[0]")
    with pytest.raises(InputError, match="region: 5, expected parts"):
        region_of(1, FORM, 5)


def test_the_box_moves_what_the_region_says_and_stays_in_the_format():
    network = copying(3)
    top = network.input.hi
    query = robustness(network, [0, 5, top], 2, 2, region="0 2=1")
    assert (query.boxes[0].lo.tolist(), query.boxes[0].hi.tolist()) == ([0, 5, top - 1], [2, 5, top])
    assert query.boxes[0].lo.tolist() == robustness(network, [0, 5, top], np.array([2, 0, 1]), 2).boxes[0].lo.tolist()
    assert str(query.origin) == "robustness: eps 2, region 0 2=1, label 2"


def test_certificates_say_the_region(tmp_path):
    query = robustness(copying(2), [3, 5], 1, 1, region="0")
    verdict, path = certify(query, tmp_path)
    assert verdict.holds
    checked = check(path)
    assert checked.accepted
    assert "within 1 step of x in 0 and equal to it elsewhere" in checked.words[0]


@pytest.fixture
def folder(tmp_path):
    """A network of an image, its inputs, and how the command line names them."""
    network = load(examples.network_path())
    first = network.layers[0]
    form = TensorFormat((8, 8), first.input.lo, first.input.hi, first.input.scale)
    image = Dense(first.name, form, first.output, first.requantizers, first.weights, first.bias)
    save(Network((image, *network.layers[1:])), tmp_path / "image.npz")
    return tmp_path, [str(tmp_path / "image.npz"), "--inputs", str(examples.images_path())]


def test_distances_in_every_part_need_no_eps(folder, capsys):
    _, network = folder
    for command, out in (("verify", "eps 2  "), ("range", "sample 0, eps 2:")):
        assert main([command, *network, "--samples", "0", "--region", "[2:4, 2:5]=1 [3]=2"]) in (0, 10)
        assert out in capsys.readouterr().out
    assert main(["verify", *network, "--samples", "0", "--region", "[2:4, 2:5] [3]=2"]) == 2
    assert "a distance in every part of --region" in capsys.readouterr().err


def test_results_name_the_region_and_check_asks_for_it(folder, capsys):
    path, network = folder
    out = path / "out"
    asked = ["--samples", "0:3", "--eps", "3", "--region", "[2:4,  2:5]"]
    assert main(["verify", *network, *asked, "--out", str(out), "--certificates"]) in (0, 10)
    lines = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    assert [line["region"] for line in lines] == ["[2:4, 2:5]"] * 3
    checked = ["check", str(out), "--network", *network]
    assert main([*checked, *asked]) == 0
    assert "eps 3, region [2:4, 2:5]: samples 0:3" in capsys.readouterr().out
    same, others = ((3, "18:21 [3, 2:5]=3"), (1, "[2:4, 2:5]=3")), ((3, "[2:4, 2:5]=2"), (3, "[2:4, 2:6]"))
    for code, eps, words in [(0, *question) for question in same] + [(20, *question) for question in others]:
        assert main([*checked, "--samples", "0:3", "--eps", str(eps), "--region", words]) == code, words
    assert main([*checked, "--samples", "0:3", "--eps", "3"]) == 20, "a region is no whole box"
    lines[0]["region"] = None
    (out / "results.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert main(checked) == 20, "a line without its region"
    lines[0] |= {"region": "[9]", "eps": 1 << 70}
    (out / "results.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert main([*checked, *asked]) == 20, "a region that the input does not have"


def test_resume_refuses_another_region(folder, capsys):
    path, network = folder
    asked = ["verify", *network, "--samples", "0", "--eps", "1", "--out", str(path / "out")]
    assert main([*asked, "--region", "[0]"]) in (0, 10)
    assert main([*asked, "--resume"]) == 2
    assert "is about another region" in capsys.readouterr().err


def test_region_of_the_command_line_is_checked_first(folder, capsys):
    assert main(["verify", *folder[1], "--eps", "1", "--region", "[9]"]) == 2
    assert "region: '9', but axis 0 has indices 0 to 7" in capsys.readouterr().err
