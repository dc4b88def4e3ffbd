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


def agree(*arguments: str) -> int:
    return main(["agree", "half_up.npz", *arguments, "--inputs", "x.npy", "--eps", "1"])


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


@pytest.mark.parametrize(("arguments", "said"), [((), "expected OTHER, a second file"), (("x.npy",), "x.npy"), (("a.npz",), "a.npz")])
def test_bad_usage(arguments, said, capsys):
    assert agree(*arguments) == 2
    assert said in capsys.readouterr().err
