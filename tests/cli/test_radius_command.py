"""radius: lines, histogram, results, resume, certificates and exit codes."""

import json
from pathlib import Path

import numpy as np
import pytest
from handmade import one_layer, tensor

from qbitsat.arithmetic import ShiftRequantizer
from qbitsat.cli.main import main
from qbitsat.importers import save
from qbitsat.report.radii import histogram


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The class is the larger of two inputs of 0 to 15, the first of equal ones."""
    monkeypatch.chdir(tmp_path)
    save(one_layer([[1, 0], [0, 1]], None, ShiftRequantizer(0, "floor", 0, 15), tensor(2)), "larger.npz")
    np.save("x.npy", np.array([[5, 5], [2, 14], [15, 0], [9, 0]]))
    np.save("y.npy", np.array([0, 1, 0, 1]))


def measure(*arguments: str) -> int:
    return main(["radius", "larger.npz", "--inputs", "x.npy", *arguments])


def lines(folder: str = "out") -> list[dict]:
    return [json.loads(line) for line in Path(folder, "results.jsonl").read_text(encoding="utf-8").splitlines()]


def test_lines_histogram_and_results(capsys):
    assert measure("--labels", "y.npy", "--out", "out", "-v") == 0
    said = capsys.readouterr().out
    assert "sample 3  misclassified  the network says 0, the label is 1" in said
    assert "class 0 becomes 1 at 1" in said
    assert "linf" in said
    assert "exact radii: smallest 0, median 5, 5 in real units, largest 7" in said
    assert said.splitlines()[-9].split() == ["0", "#", "1"]
    found = {line["sample"]: line for line in lines()}
    assert [found[k]["radius"] for k in range(4)] == [0, 5, 7, None]
    assert found[1]["witness_class"] == 0
    assert max(abs(np.array(found[1]["witness"]) - [2, 14])) == 6


def test_a_target_and_a_largest_distance(capsys):
    assert measure("--samples", "1:3", "--target", "1", "--max-eps", "4") == 0
    said = capsys.readouterr().out
    assert "sample 1  skipped" in said
    assert "sample 2  radius 4" in said
    assert "no other class up to 4, the largest distance asked about" in said


@pytest.mark.parametrize(("norm", "radii"), [("l1", [0, 11, 15, 9]), ("l0", [0, 0, 1, 0])])
def test_other_norms(norm, radii, capsys):
    assert measure("--norm", norm, "--out", "out") == 0
    assert [line["radius"] for line in sorted(lines(), key=lambda line: line["sample"])] == radii
    assert f", {norm}, in" in capsys.readouterr().out


def test_nothing_to_measure_is_not_exact():
    assert measure("--labels", "y.npy", "--samples", "3") == 5


def test_certificates_are_accepted(capsys):
    assert measure("--out", "out", "--certificates", "--jobs", "2") == 0
    assert {name for line in lines() for name in line["certificates"]} == {f"certificates/{p.name}" for p in Path("out").rglob("*.cert")}
    assert main(["check", "out/certificates"]) == 0
    assert "8 accepted (4 HOLDS, 4 VIOLATED)" in capsys.readouterr().out
    assert main(["check", "out"]) == 0


@pytest.mark.parametrize("norm", ["linf", "l1", "l0"])
@pytest.mark.parametrize("more", [(), ("--target", "1"), ("--region", "0", "--ties", "kept")])
def test_the_question_at_the_radius_is_printed(norm, more, capsys):
    """It holds, and a step beyond it does not, where there is a step."""
    words = ("--samples", "2", "--norm", norm, *more)
    assert measure(*words, "--out", "out") == 0
    (line,) = lines()
    capsys.readouterr()
    assert measure(*words, "--print") == 0
    text = capsys.readouterr().out
    assert f"eps = {line['radius']}\n" in text
    for eps, code in ((line["radius"], 0), (line["radius"] + 1, 10 if line["witness"] else 0)):
        Path("question.toml").write_text(text.replace(f"eps = {line['radius']}\n", f"eps = {eps}\n"))
        assert main(["verify", "question.toml", "--quiet"]) == code


def test_no_radius_is_printed(capsys):
    assert measure("--samples", "2", "--target", "0", "--print") == 2
    assert "has no radius: the label is the target" in capsys.readouterr().err


def test_resume_says_which_distances_differ(capsys):
    assert measure("--samples", "1", "--out", "out", "--max-eps", "2") == 0
    assert lines()[0]["max_eps"] == 2
    for more, said in ((("--max-eps", "3"), "3"), ((), "None")):
        assert measure("--samples", "1", "--out", "out", "--resume", *more) == 2
        assert f"is about another largest distance, 2 and not {said};" in capsys.readouterr().err
    assert measure("--samples", "1", "--out", "out", "--resume", "--max-eps", "2") == 0


def test_resume_asks_again_only_what_is_open(capsys):
    assert measure("--out", "out", "--samples", "0:3") == 0
    before = lines()
    entry = {**before[1], "verdict": "UNKNOWN"}
    Path("out/results.jsonl").write_text("".join(json.dumps(line) + "\n" for line in (before[0], entry, before[2])) + '{"sam')
    capsys.readouterr()
    assert measure("--out", "out", "--resume") == 0
    said = capsys.readouterr().out
    assert [line["sample"] for line in lines()] == [0, 2, 1, 3]
    assert "2 of them were finished before" in said
    assert "sample 0" not in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--resume",), "needs --out"),
        (("--certificates",), "needs --out"),
        (("--out", "out"), "exists already"),
        (("--out", "out", "--resume", "--max-eps", "3"), "another largest distance"),
        (("--out", "out", "--resume", "--seed", "3"), "option seed"),
        (("--target", "2"), "expected a class"),
        (("--norm", "l3"), "invalid choice"),
        (("--region", "0=2"), "without distances of their own"),
        (("--print", "--samples", "0:2"), "2 questions, expected one"),
    ],
)
def test_bad_usage(arguments, said, capsys):
    assert measure("--samples", "0", "--out", "out") == 0
    assert measure(*arguments) == 2
    assert said in capsys.readouterr().err


def test_histograms_share_rows():
    rows = histogram(range(100), [])
    assert len(rows) == 21
    assert rows[1] == "  0 to 4  ##### 5"
    assert histogram([], []) == []
    assert histogram([3] * 120, [5])[0] == "  radius  samples, 3 for each sign"


def test_a_limit_that_runs_out_at_once_leaves_everything_open(capsys):
    assert measure("--samples", "0", "--memory", "0.001") == 5
    assert "sample 0  radius unknown" in capsys.readouterr().out
