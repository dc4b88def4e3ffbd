"""agree: lines, results and exit codes."""

import json
from pathlib import Path

import numpy as np
import pytest
from handmade import one_layer, tensor

from qbitsat.arithmetic import ShiftRequantizer
from qbitsat.cli.main import main
from qbitsat.importers import save


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Ties go up in one and to even in the other."""
    monkeypatch.chdir(tmp_path)
    for way in ("half_up", "half_even"):
        save(one_layer([[1, 0], [0, 1]], None, ShiftRequantizer(1, way, 0, 15), tensor(2)), f"{way}.npz")
    np.save("x.npy", np.array([[5, 5], [2, 14]]))


def agree(*arguments: str, around: tuple[str, ...] = ("--inputs", "x.npy", "--eps", "1")) -> int:
    return main(["agree", "half_up.npz", *arguments, *around])


def test_outputs_within_a_step(capsys):
    assert agree("half_even.npz", "--within", "1") == 0
    assert capsys.readouterr().out.splitlines()[-1].endswith("outputs within 1 of each other: 2 hold, 0 violated, 0 unknown")


def test_other_classes_and_results(capsys):
    assert agree("half_even.npz", "--out", "out") == 10
    first, second, last, _ = capsys.readouterr().out.splitlines()
    assert first.startswith("sample 0  eps 1  VIOLATED")
    assert "outputs up to 1 apart" in first
    assert second.startswith("sample 1  eps 1  HOLDS")
    assert last.endswith("the same class: 1 hold, 1 violated, 0 unknown")
    lines = [json.loads(line) for line in Path("out/results.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [(line["sample"], line["verdict"]) for line in lines] == [(0, "VIOLATED"), (1, "HOLDS")]
    up, even = ([(v + 1) // 2 for v in lines[0]["witness"]], [round(v / 2) for v in lines[0]["witness"]])
    assert lines[0]["outputs"] == [up, even]


def test_all_inputs(capsys):
    """Half up, 1 and 2 become 1 and 1, of class 0; to even 0 and 1, of class 1. Outputs are never further apart than a step.

    The question that is printed is about one input, although it says nothing of its ends.
    """
    for more, code, word in (((), 10, "VIOLATED"), (("--within", "0"), 10, "VIOLATED"), (("--within", "1"), 0, "HOLDS")):
        assert agree("half_even.npz", *more, "--out", "out", "--overwrite", around=()) == code
        assert capsys.readouterr().out.startswith(f"all inputs  {word}")
        (line,) = (json.loads(line) for line in Path("out/results.jsonl").read_text(encoding="utf-8").splitlines())
        assert ("sample" in line, line["verdict"]) == (False, word)
        assert agree("half_even.npz", *more, "--print", around=()) == 0
        Path("asked.toml").write_text(capsys.readouterr().out)
        assert main(["verify", "asked.toml"]) == code
        assert f"all inputs  {word}" in capsys.readouterr().out


def test_samples_as_they_are(capsys):
    """Only 5 is a tie that both round to another integer."""
    np.save("x.npy", np.array([[5, 6], [4, 14]]))
    assert agree("half_even.npz", "--within", "0", around=("--inputs", "x.npy")) == 10
    first, second, _ = capsys.readouterr().out.splitlines()
    assert first.startswith("sample 0  eps 0  VIOLATED")
    assert second.startswith("sample 1  eps 0  HOLDS")


def test_verbose_lines_show_the_witness(capsys):
    np.save("x.npy", np.array([[5, 6]]))
    assert agree("half_even.npz", "--within", "0", "-v", around=("--inputs", "x.npy")) == 10
    assert capsys.readouterr().out.splitlines()[1:-1] == [
        "    input 5, 6",
        "    outputs 3, 3 and 2, 3",
        "    layer dense  differs in 1 of 2 values, by 1 at most",
    ]


@pytest.mark.parametrize(("arguments", "said"), [((), "expected OTHER, a second file"), (("x.npy",), "x.npy"), (("a.npz",), "a.npz")])
def test_bad_usage(arguments, said, capsys):
    assert agree(*arguments) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("command", ["agree", "equal"])
def test_one_output_has_no_classes_but_values(command, capsys):
    save(one_layer([[1, 0]], None, ShiftRequantizer(1, "half_up", 0, 15), tensor(2)), "one.npz")
    assert main([command, "one.npz", "one.npz"]) == 2
    said = capsys.readouterr().err
    assert ("ask about outputs instead: --within 0" in said, "Query(" in said) == (True, False)
    assert main([command, "one.npz", "one.npz", "--within", "0"]) == 0
