"""Answers of questions with a name: certificates that `check` accepts, lines that it compares with them, and lines that it refuses."""

import hashlib
import importlib
import json
from pathlib import Path

import numpy as np
import pytest
from handmade import dense, tensor

from qbitsat.arithmetic import ShiftRequantizer
from qbitsat.cli.main import main
from qbitsat.importers import save
from qbitsat.network import Network

CLAMP, OTHER = (ShiftRequantizer(1, rounding, 0, 9) for rounding in ("floor", "half_up"))
AROUND = ("--inputs", "x.npy", "--samples", "0", "--eps", "2")
QUESTION = """
title = "few changes"
hold = "output[0] <= 3"
[networks]
a = "net.npz"
[inputs]
centre = [3, 4]
eps = 3
norm = "l1"
"""
BEST = QUESTION.replace('hold = "output[0] <= 3"', 'maximize = "output[0] - output[1]"\nminimize = "2 * output[1] + 1"')
COMMANDS = {
    "radius linf": ("radius", "net.npz", "--inputs", "x.npy"),
    "radius l1": ("radius", "net.npz", "--inputs", "x.npy", "--norm", "l1"),
    "radius l0": ("radius", "net.npz", "--inputs", "x.npy", "--norm", "l0", "--region", "0"),
    "radius target": ("radius", "net.npz", "--inputs", "x.npy", "--samples", "0,2", "--norm", "l1", "--target", "1", "--ties", "kept"),
    "range": ("range", "net.npz"),
    "range around": ("range", "net.npz", *AROUND, "--region", "1"),
    "overflow": ("overflow", "net.npz", "--width", "6"),
    "overflow around": ("overflow", "net.npz", "--layers", ":", *AROUND),
    "gap": ("gap", "net.npz", "--protected", "0"),
    "gap of groups": ("gap", "net.npz", "--protected", "1", "--groups", "0:2", "--domain", "domain.npy"),
    "monotone": ("monotone", "net.npz"),
    "monotone around": ("monotone", "net.npz", "--grows", "1", "--outputs", "1", "--falls", *AROUND),
    "agree": ("agree", "net.npz", "other.npz", *AROUND),
    "agree within": ("agree", "net.npz", "other.npz", *AROUND, "--within", "1", "--region", "0"),
    "agree all": ("agree", "net.npz", "other.npz"),
    "agree all within": ("agree", "net.npz", "other.npz", "--within", "2"),
    "agree samples": ("agree", "net.npz", "other.npz", "--inputs", "x.npy"),
    "equal all": ("equal", "net.npz", "other.npz", "--within", "2"),
    "equal": ("equal", "net.npz", "other.npz", *AROUND, "--within", "1/3"),
    "question": ("verify", "question.toml"),
    "optimum": ("verify", "best.toml"),
}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, step in (("net", CLAMP), ("other", OTHER)):
        layers = dense([[3, -2], [1, 1]], [1, -4], step), dense([[1, -1], [0, 1]], None, CLAMP, tensor(2, 0, 9))
        save(Network(layers, name), f"{name}.npz")
    np.save("x.npy", np.array([[3, 4], [15, 0], [9, 1]]))
    np.save("domain.npy", np.array([[0, 1], [3, 6]]))
    Path("question.toml").write_text(QUESTION)
    Path("best.toml").write_text(BEST)


def ask(kind: str, *more: str) -> list[dict]:
    """The lines of a command."""
    assert main([*COMMANDS[kind], "--out", "out", "--certificates", "--quiet", *more]) in (0, 10)
    return [json.loads(line) for line in Path("out/results.jsonl").read_text(encoding="utf-8").splitlines()]


def checked(capsys, *more: str) -> tuple[int, str]:
    capsys.readouterr()
    return main(["check", "out", *more]), capsys.readouterr().out


def data(kind: str) -> tuple[str, ...]:
    return ("--inputs", "x.npy") if "x.npy" in COMMANDS[kind] else ()


@pytest.mark.parametrize("kind", COMMANDS)
def test_all_answers_are_proved(kind, capsys):
    lines = ask(kind)
    names = [name for line in lines for name in line["certificates"]]
    assert sorted(names) == sorted(f"certificates/{path.name}" for path in Path("out").rglob("*.cert"))
    code, said = checked(capsys, *data(kind), "-v")
    assert (code, f"{len(names)} accepted" in said) == (0, True), said
    networks = ["--network", "net.npz", *(["--network", "other.npz"] if "other.npz" in COMMANDS[kind] else [])]
    assert checked(capsys, *data(kind), *networks)[0] == 0
    assert checked(capsys, *data(kind), "--network", "x.npy")[0] == 2


@pytest.mark.parametrize("kind", [kind for kind in COMMANDS if "around" in kind or kind in ("agree", "equal")])
def test_lines_around_samples_need_the_samples(kind, capsys):
    ask(kind)
    code, said = checked(capsys)
    assert (code, "not checked" in said, "needs --inputs FILE" in said) == (5, True, True)
    np.save("x.npy", np.array([[4, 4], [15, 0], [9, 1]]))
    assert checked(capsys, *data(kind))[0] == 20


def forged(line: dict, **changed) -> None:
    """The first line, changed, alone with its certificates."""
    line = {**line, **changed}
    Path("out/results.jsonl").write_text(json.dumps(line) + "\n")
    for path in Path("out/certificates").iterdir():
        if f"certificates/{path.name}" not in line["certificates"]:
            path.unlink()


@pytest.mark.parametrize(
    ("kind", "changed", "said"),
    [
        ("radius linf", {"radius": 9, "upper": 9}, "says eps 9"),
        ("radius l1", {"norm": "linf"}, "norm"),
        ("radius l0", {"norm": "l1"}, "says norm l1, the certificate l0"),
        ("radius l1", {"norm": "l2"}, "norm"),
        ("radius l0", {"region": None}, "region"),
        ("radius l1", {"label": 1}, "label"),
        ("radius target", {"ties": "argmax"}, "says ties None"),
        ("radius target", {"target": None}, "target"),
        ("radius l1", {"sample": 2}, "sample"),
        ("radius l1", {"input_sha256": "0" * 64}, "another input"),
        ("radius l1", {"witness": [0, 0]}, "another witness"),
        ("radius l1", {"witness": None}, "another witness"),
        ("radius l1", {"witness_outputs": [0, 0]}, "other outputs"),
        ("radius linf", {"witness_class": 0}, "another class"),
        ("radius l1", {"farthest": 1 << 40}, "the largest distance is 23"),
        ("radius l1", {"max_eps": 9}, "the largest distance is 9"),
        ("radius l1", {"max_eps": 24}, "says max_eps 24, expected none: the largest distance is 23"),
        ("radius l1", {"max_eps": (1 << 62)}, "expected none"),
        ("radius linf", {"max_eps": 13}, "the largest distance is"),
        ("radius l0", {"farthest": 2}, "the largest distance is 1"),
        ("range", {"least": [1, 1]}, "something else"),
        ("range", {"most": [3, 3]}, "something else"),
        ("range", {"output": 1}, "something else"),
        ("range around", {"region": None}, "other inputs"),
        ("range around", {"eps": 3}, "other inputs"),
        ("range around", {"sample": None, "eps": None, "region": None}, "other inputs"),
        ("range", {"networks": {"net": "0" * 64}}, "other networks"),
        ("overflow", {"enough": 5}, "something else"),
        ("overflow", {"enough": 1 << 40}, "at most 61"),
        ("overflow", {"needed": 8}, "needs 8 bits"),
        ("overflow", {"needed": 4, "value": 7}, "something else"),
        ("overflow", {"layer": 1}, "something else"),
        ("overflow", {"layer": 7}, "that there is"),
        ("overflow", {"end": [9, 1]}, "no question"),
        ("gap", {"value": 3}, "something else"),
        ("gap", {"protected": [1]}, "made otherwise"),
        ("gap", {"output": 1}, "something else"),
        ("gap", {"domain": [[0, 0], [1, 1]]}, "other"),
        ("gap", {"domain": [[0], [1]]}, "other elements"),
        ("gap", {"groups": [0]}, "no lists"),
        ("gap of groups", {"groups": []}, "made otherwise"),
        ("monotone", {"grows": 1}, "other inputs"),
        ("monotone", {"falls": True}, "something else"),
        ("monotone around", {"outputs": [0]}, "something else"),
        ("agree", {"within": 5}, "something else"),
        ("agree", {"sample": 1}, "other inputs"),
        ("agree", {"sample": 8}, "has less"),
        ("agree within", {"within": None}, "something else"),
        ("agree", {"kind": "equal", "within": "1/7"}, "something else"),
        ("agree all within", {"within": 1}, "something else"),
        ("agree samples", {"eps": 1}, "other inputs"),
        ("agree samples", {"sample": None, "eps": None}, "other inputs"),
        ("equal all", {"within": "1"}, "something else"),
        ("equal", {"within": "1/0"}, "no question"),
        ("question", {"question": "best.toml"}, "has an objective"),
        ("optimum", {"value": 4}, "something else"),
        ("optimum", {"sense": "minimize"}, "does not ask"),
        ("optimum", {"objective": "output[0]"}, "does not ask"),
        ("optimum", {"question": "question.toml"}, "does not ask"),
    ],
)
def test_lines_that_are_forged(kind, changed, said, capsys):
    forged(ask(kind)[0], **changed)
    code, printed = checked(capsys, *data(kind))
    assert (code, said in printed) == (20, True), printed


@pytest.mark.parametrize(
    ("kind", "changed"),
    [
        ("radius l1", {"upper": 100}),
        ("radius l1", {"radius": 30, "upper": 30, "farthest": 9}),
        ("radius l1", {"radius": None}),
        ("range", {"least": [0]}),
        ("range", {"kind": "ranges"}),
        ("gap", {"protected": 3}),
        ("optimum", {"value": "3"}),
        ("monotone", {"certificates": ["a", "b"]}),
        ("monotone", {"certificates": [1]}),
        ("overflow", {"needed": 0}),
        ("range around", {"eps": None}),
        ("monotone around", {"eps": None}),
        ("range around", {"sample": None}),
        ("overflow", {"eps": 3}),
        ("overflow", {"region": "0"}),
        ("equal", {"eps": None}),
    ],
)
def test_lines_that_are_damaged(kind, changed, capsys):
    forged(ask(kind)[0], **{"certificates": [], **changed})
    assert checked(capsys, *data(kind))[0] == 2


def test_a_largest_distance_that_is_none(capsys):
    """The certificate of one end alone, and the other end said to be beyond all distances."""
    line = ask("radius l1")[0]
    forged(line, farthest=line["radius"], certificates=line["certificates"][:1], witness=None)
    code, said = checked(capsys)
    assert (code, f"says farthest {line['radius']}, the largest distance is" in said) == (20, True)
    ask("radius l1", "--max-eps", "1", "--overwrite")
    assert checked(capsys)[0] == 0


def test_a_limit_beyond_all_distances_is_none(capsys):
    for limit, said in ((9, 9), (23, 23), (24, None), (1000, None)):
        lines = ask("radius l1", "--max-eps", str(limit), "--overwrite")
        assert lines[0]["max_eps"] == said
        assert checked(capsys)[0] == 0
        assert ask("radius l1", "--max-eps", str(limit), "--resume") == lines
    assert main([*COMMANDS["radius l1"], "--out", "out", "--resume", "--max-eps", "9", "--quiet"]) == 2
    assert "another largest distance" in capsys.readouterr().err


def test_a_witness_where_there_is_none(capsys):
    """At the largest distance no input has another class, so nothing may be shown as one."""
    line = ask("radius l0")[1]
    assert line["radius"] == line["farthest"]
    for shown in ({"witness": [15, 4]}, {"witness_outputs": [1, 3]}, {"witness_class": 1}):
        forged({**line, **shown})
        code, said = checked(capsys)
        assert (code, "a witness, expected none" in said) == (20, True)


@pytest.mark.parametrize("name", ["a\0b", "\ud800", "", "."])
@pytest.mark.parametrize("kind", ["range", "monotone"])
def test_names_of_certificates_that_are_none_of_files(kind, name, capsys):
    line = ask(kind)[0]
    forged(line, certificates=[name])
    code, said = checked(capsys)
    assert (code in (2, 20), "Traceback" in said) == (True, False)


def test_names_of_networks_are_those_of_files(capsys):
    """A line may give the names of a question to other networks than its file only where --network NAME=FILE does."""
    Path("two.toml").write_text(
        'hold = "a.output[0] >= b.output[0]"\n[networks]\na = "net.npz"\nb = "other.npz"\n[inputs.x]\nnetworks = ["a", "b"]\n'
    )
    swapped = ("--network", "a=other.npz", "--network", "b=net.npz")
    assert main(["verify", "two.toml", *swapped, "--out", "out", "--certificates", "--quiet"]) == 10
    (line,) = (json.loads(text) for text in Path("out/results.jsonl").read_text().splitlines())
    code, said = checked(capsys)
    assert (code, "expected --network a=FILE where another was meant" in said) == (20, True)
    assert checked(capsys, *swapped[:2])[0] == 20
    assert checked(capsys, "--network", "a=net.npz", "--network", "b=other.npz")[0] == 20
    code, said = checked(capsys, "--network", "a=other.npz", "--network", "c=net.npz")
    assert (code, "is about networks a, b, not a, c" in said) == (20, True)
    code, said = checked(capsys, *swapped, "-v")
    assert code == 0
    for name, sha256 in line["networks"].items():
        assert f"{name} of two.toml is the network {sha256}" in said
        assert f"(sha256 {sha256})" in said
    assert "outputs from 0 on are those of other" in said
    assert "outputs from 2 on are those of net" in said
    Path("net.npz").rename("net2.npz")
    Path("other.npz").rename("other2.npz")
    assert checked(capsys, "--network", "net2.npz", "--network", "other2.npz")[0] == 5
    renamed = ("--network", "a=other2.npz", "--network", "b=net2.npz", "--network", "net2.npz", "--network", "other2.npz")
    assert checked(capsys, *renamed)[0] == 0
    forged(line, networks={"a": line["networks"]["b"], "b": line["networks"]["a"]})
    assert checked(capsys, *renamed)[0] == 20


def test_names_are_of_questions_in_files(capsys):
    """Lines of other commands and certificates alone have networks without names."""
    for kind in ("range", "radius l1"):
        ask(kind, "--overwrite")
        code, said = checked(capsys, "--network", "a=net.npz")
        assert (code, "networks without names, expected --network FILE" in said) == (20, True)
    assert main(["verify", "net.npz", "--inputs", "x.npy", "--eps", "1", "--out", "samples", "--certificates", "--quiet"]) in (0, 10)
    for place in ("samples", "samples/certificates"):
        capsys.readouterr()
        assert main(["check", place, "--network", "a=net.npz"]) == 20
        assert "networks without names" in capsys.readouterr().out
    ask("question", "--overwrite")
    assert checked(capsys, "--network", "a=net.npz")[0] == 0
    assert checked(capsys, "--network", "a=other.npz")[0] == 20


def test_certificates_that_change_places(capsys):
    lines = ask("range")
    for a, b in ((0, 2), (1, 3)):
        names = list(lines[0]["certificates"])
        names[a], names[b] = names[b], names[a]
        Path("out/results.jsonl").write_text("".join(json.dumps(line) + "\n" for line in ({**lines[0], "certificates": names}, lines[1])))
        code, said = checked(capsys)
        assert (code, "2 refused" in said) == (20, True)


def test_the_question_that_must_be_answered(capsys):
    """It is read in place of the one that the line names, and nothing else is accepted."""
    ask("question")
    sha256 = hashlib.sha256(Path("question.toml").read_bytes()).hexdigest()
    code, said = checked(capsys, "--question", "question.toml")
    assert (code, said.splitlines()[0]) == (0, f"question     question.toml (sha256 {sha256})")
    Path("mine").mkdir()
    Path("mine/asked.toml").write_text(QUESTION.replace("net.npz", "../net.npz"))
    # The line's own is another one by now.
    Path("question.toml").write_text(QUESTION.replace("eps = 3", "eps = 2"))
    assert checked(capsys)[0] == 20
    assert checked(capsys, "--question", "mine/asked.toml")[0] == 0
    code, said = checked(capsys, "--question", "question.toml")
    assert (code, "the certificate" in said) == (20, True)
    assert checked(capsys, "--question", "none.toml")[0] == 2
    assert main(["check", "out/certificates", "--question", "mine/asked.toml"]) == 20
    assert "answers no question in a file, expected mine/asked.toml" in capsys.readouterr().out
    for kind in ("range", "radius l1"):
        ask(kind, "--overwrite")
        code, said = checked(capsys, *data(kind), "--question", "mine/asked.toml")
        assert (code, "answers no question in a file" in said) == (20, True)


def test_a_question_that_is_changed_after_its_answer(capsys):
    ask("question")
    Path("question.toml").write_text(QUESTION.replace("eps = 3", "eps = 2"))
    code, said = checked(capsys)
    assert (code, "the certificate" in said) == (20, True)
    Path("question.toml").unlink()
    code, said = checked(capsys)
    assert (code, "needs the question file question.toml" in said) == (5, True)


def test_answers_without_certificates_are_not_checked(capsys):
    for kind in ("gap", "optimum", "monotone"):
        assert main([*COMMANDS[kind], "--out", "out", "--overwrite", "--quiet"]) in (0, 10)
        code, said = checked(capsys)
        assert (code, "without a certificate" in said) == (5, True)


@pytest.mark.parametrize(
    ("kind", "choice"), [("range", ", or --overwrite"), ("question", ", or --overwrite"), ("radius linf", ", --resume or --overwrite")]
)
def test_results_that_are_there_already(kind, choice, capsys):
    ask(kind)
    capsys.readouterr()
    assert main([*COMMANDS[kind], "--out", "out"]) == 2
    assert f"exists already; expected a folder without results{choice}\n" in capsys.readouterr().err


def test_counts_prove_nothing(capsys):
    assert main(["agree", "net.npz", "other.npz", "--observe", "x.npy", "--out", "out"]) in (0, 10)
    code, said = checked(capsys)
    assert (code, "nothing that is proved" in said) == (5, True)


def test_samples_that_have_no_radius(capsys):
    np.save("y.npy", np.array([1, 0, 0]))
    ask("radius l1", "--labels", "y.npy")
    assert checked(capsys)[0] == 5
    code, said = checked(capsys, "--inputs", "x.npy", "--labels", "y.npy")
    assert (code, "MISCLASSIFIED" in said) == (0, True)


@pytest.mark.parametrize("kind", ["range", "gap", "monotone", "agree", "overflow"])
def test_certificates_need_a_folder(kind, capsys):
    assert main([*COMMANDS[kind], "--certificates"]) == 2
    assert "--certificates: needs --out DIR" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["gap", "monotone", "agree", "equal"])
def test_time_for_all_queries(kind, capsys):
    assert main([*COMMANDS[kind], "--total", "0.000001"]) == 5
    assert "timeout" in capsys.readouterr().out
    assert main([*COMMANDS[kind], "--total", "100"]) in (0, 10)


@pytest.mark.parametrize(("kind", "name"), [("gap", "gap"), ("monotone", "monotone"), ("agree", "agreement"), ("equal", "equality")])
def test_no_query_is_made_without_time_for_it(kind, name, monkeypatch, capsys):
    def made(*args, **more):
        raise AssertionError("made")

    module = importlib.import_module(f"qbitsat.cli.{'agree' if kind == 'equal' else kind}")
    monkeypatch.setattr(module, name, made)
    assert main([*COMMANDS[kind], "--total", "0.000001"]) == 5
    assert "timeout" in capsys.readouterr().out
