"""verify, export and compare with a question file, as on the command line."""

import json

import numpy as np
import pytest
from handmade import dense, tensor
from pysat.formula import CNF
from pysat.solvers import Cadical153

from qbitsat.arithmetic import ShiftRequantizer
from qbitsat.cli.main import main
from qbitsat.importers import save
from qbitsat.network import Network

CLAMP = ShiftRequantizer(1, "floor", 0, 9)
NETWORK = Network((dense([[3, -2], [1, 1]], [1, -4], CLAMP), dense([[1, -1], [0, 1]], None, CLAMP, tensor(2, 0, 9))), "small")
NETWORKS = '\n[networks]\na = "net.npz"\n'
TWO = f'{NETWORKS}b = "other.npz"\n[inputs]\nlo = 3\n'


@pytest.fixture
def asked(tmp_path, monkeypatch, capsys):
    """Run a command on a question: exit code, standard output, standard error."""
    monkeypatch.chdir(tmp_path)
    save(NETWORK, "net.npz")
    other = Network((NETWORK.layers[0], dense([[1, -1], [0, 1]], [1, 0], CLAMP, tensor(2, 0, 9))), "other")
    save(other, "other.npz")

    def run(text: str, *more: str, command: str = "verify") -> tuple[int, str, str]:
        (tmp_path / "question.toml").write_text(text)
        code = main([command, "question.toml", *more])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def checked(capsys, path: str, *more: str) -> str:
    assert main(["check", path, *more]) == 0
    return capsys.readouterr().out


def test_verdicts_and_exit_codes(asked):
    code, out, _ = asked(f'title = "never more"\nhold = "max(output) <= 9"{NETWORKS}')
    assert (code, out.splitlines()[0].split("  ")[:2]) == (0, ["never more", "HOLDS"])
    code, out, _ = asked(f'hold = "max(output) <= 3"{NETWORKS}')
    assert code == 10
    assert "    output of a: " in out


def test_a_verdict_over_nothing_is_said_to_be_one(asked):
    code, out, _ = asked(f'assume = "output[0] > 3 and layer0[0] < 2"\nhold = "false"{NETWORKS}')
    assert (code, "HOLDS" in out, "of nothing: no input meets the assumptions" in out) == (0, True, True)
    assert "nothing" not in asked(f'assume = "output[0] > 3"\nhold = "output[0] > 2"{NETWORKS}')[1]


def test_optima(asked):
    code, out, _ = asked(f'maximize = ["output[0]", "layer1.acc[0] - 1"]\nminimize = "2*output[1] + 3"{NETWORKS}', "--quiet")
    assert code == 0
    assert [line.rpartition("  ")[0] for line in out.splitlines()] == [
        "largest output[0]: 4",
        "largest layer1.acc[0] - 1: 7",
        "smallest 2*output[1] + 3: 3",
    ]
    code, out, _ = asked(f'assume = "output[0] > 3 and layer0[0] < 2"\nmaximize = "output[0]"{NETWORKS}')
    assert (code, "largest output[0]: none, no input meets the assumptions" in out) == (0, True)


def test_certificates_of_networks_that_share_an_input(asked, capsys, tmp_path):
    text = f'hold = "abs(a.output - b.output) <= 1"\nassume = "input[0] <= 5"{TWO}'
    assert asked(text, "--out", "out", "--certificates")[0] == 0
    said = checked(capsys, "out/certificates", "-v")
    assert "1 accepted (1 HOLDS)" in said
    entry = json.loads((tmp_path / "out" / "results.jsonl").read_text())
    assert (entry["verdict"], entry["certificates"], set(entry["networks"])) == ("HOLDS", ["certificates/question.cert"], {"a", "b"})


def test_certificates_of_optima(asked, capsys):
    assert asked(f'maximize = "a.output[0] - b.output[0]"{TWO}', "--out", "out", "--certificates")[0] == 0
    assert "2 accepted (1 HOLDS, 1 VIOLATED)" in checked(capsys, "out/certificates")


def test_networks_by_option(asked):
    text = f'hold = "layer1.acc[0] <= 8"{NETWORKS}'
    assert asked(text)[0] == 0
    assert asked(text, "--network", "a=other.npz")[0] == 10
    for words in (("--network", "a"), ("--network", "a=x", "--network", "a=x"), ("--network", "c=net.npz")):
        assert asked(text, *words)[0] == 2


def test_export_and_compare(asked, tmp_path):
    text = f'hold = "max(output) <= 4"{NETWORKS}'
    assert asked(text, "--out", "q.cnf", command="export")[0] == 0
    assert (tmp_path / "q.cnf").read_text().startswith("c qbitsat")
    assert asked(text, "--out", "files", "--format", "smt2", command="export")[0] == 0
    assert (tmp_path / "files" / "question.smt2").exists()
    code, out, _ = asked(text, "--out", "cmp", command="compare")
    assert (code, "sat:linear" in out) == (0, True)
    assert json.loads((tmp_path / "cmp" / "compare.json").read_text())["runs"][0]["question"] == "question"
    for command in ("export", "compare"):
        code, _, err = asked(f'maximize = "output[0]"{NETWORKS}', *(["--out", "x"] if command == "export" else []), command=command)
        assert (code, "has an objective, expected --at VALUE" in err) == (2, True)
        assert asked(text, *(["--out", "x"] if command == "export" else []), "--at", "3", command=command)[0] == 2


def test_objectives_are_exported_and_compared_at_a_value(asked, tmp_path):
    text = f'maximize = "3 - 2*output[1]"\nminimize = "output[1]"{NETWORKS}'
    most, least = (int(line.split(": ")[1].split()[0]) for line in asked(text, "--quiet")[1].splitlines())
    for at, answers in ((most, ("VIOLATED", "HOLDS")), (most + 2, ("HOLDS", "HOLDS")), (most - 2, ("VIOLATED", "VIOLATED"))):
        code, _, _ = asked(text, "--at", str(at), "--out", f"at{at}", command="compare")
        runs = json.loads((tmp_path / f"at{at}" / "compare.json").read_text())["runs"]
        for end, verdict in zip(("attained", "beyond"), answers, strict=True):
            assert {run["verdict"] for run in runs if run["question"] == f"question_objective0_{end}"} == {verdict}
        assert code == 0
    asked(text, "--at", str(least), "--out", "least", command="compare")
    runs = json.loads((tmp_path / "least" / "compare.json").read_text())["runs"]
    found = {run["question"]: run["verdict"] for run in runs}
    assert (found["question_objective1_attained"], found["question_objective1_beyond"]) == ("VIOLATED", "HOLDS")
    assert asked(text, "--at", str(most), "--out", "files", "--format", "smt2", command="export")[0] == 0
    names = [f"question_objective{k}_{end}.smt2" for k in (0, 1) for end in ("attained", "beyond")]
    assert sorted(path.name for path in (tmp_path / "files").iterdir()) == names
    assert asked(text, "--at", "x", "--out", "files", command="export")[0] == 2


def test_bad_questions_are_one_line(asked):
    for text in ("hold = ", 'hold = "outptu[0] < 3"' + NETWORKS, "\xff"):
        code, out, err = asked(text)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert err.startswith("qbitsat: error: question.toml:1:")
    assert asked("hold = 'true'" + NETWORKS, "--certificates")[0] == 2


def test_samples_of_a_file(asked, tmp_path):
    np.save(tmp_path / "x.npy", np.array([[3, 4], [15, 0]]))
    code, out, _ = asked(f'minimize = "input[0] - input[1]"{NETWORKS}[inputs]\nfile = "x.npy"\nsample = 1\neps = 2\n', "--quiet")
    assert (code, out.split("  ")[0]) == (0, "smallest input[0] - input[1]: 11")


MODEL = ("net.npz", "--inputs", "x.npy", "--samples", "0")
NAMED = (
    ("verify", *MODEL, "--eps", "1"),
    ("verify", *MODEL, "--eps", "3", "--region", "0", "--ties", "kept"),
    ("agree", "net.npz", "other.npz", *MODEL[1:], "--eps", "2"),
    ("agree", "net.npz", "other.npz", *MODEL[1:], "--eps", "2", "--within", "0"),
    ("monotone", "net.npz", "--grows", "0"),
    ("monotone", *MODEL, "--eps", "3", "--grows", "1", "--outputs", "1", "--falls"),
    ("overflow", "net.npz", "--width", "6"),
    ("overflow", "net.npz", "--width", "7", "--layers", "0"),
    ("radius", *MODEL, "--norm", "l1"),
    ("radius", *MODEL, "--norm", "l0", "--target", "1"),
    ("equal", "net.npz", "other.npz", *MODEL[1:], "--eps", "1"),
)


@pytest.mark.parametrize("words", NAMED, ids=lambda words: " ".join(words))
def test_named_questions_print_their_file(asked, capsys, tmp_path, words):
    """Which has the same verdict."""
    np.save(tmp_path / "x.npy", np.array([[3, 4], [15, 0]]))
    asked("")
    assert main([*words, "--print"]) == 0
    text = capsys.readouterr().out
    code = main([*words, "--quiet"])
    capsys.readouterr()
    assert asked(text)[0] == code


@pytest.mark.parametrize("words", NAMED, ids=lambda words: " ".join(words))
def test_named_questions_are_exported_and_compared(asked, capsys, tmp_path, words):
    """As their files are: what a solver says of the clauses is the answer, and so is what backends say."""
    np.save(tmp_path / "x.npy", np.array([[3, 4], [15, 0]]))
    asked("")
    assert main([*words, "--print"]) == 0
    text = capsys.readouterr().out
    is_violated = asked(text)[0] == 10
    for form, suffix in (("dimacs", "cnf"), ("smt2", "smt2")):
        assert asked(text, "--format", form, "--no-bounds", "--out", f"asked.{suffix}", command="export")[0] == 0
    with Cadical153(bootstrap_with=CNF(from_file="asked.cnf").clauses) as solver:
        assert solver.solve() == is_violated
    assert (tmp_path / "asked.smt2").read_text().rstrip().endswith(")")
    code, out, _ = asked(text, "--backends", "sat,sat:linear", "--no-bounds", command="compare")
    assert (code, out.count("VIOLATED" if is_violated else "HOLDS") >= 2) == (0, True)


def test_ranges_print_their_file(asked, capsys):
    asked("")
    assert main(["range", "net.npz", "--print"]) == 0
    code, out, _ = asked(capsys.readouterr().out, "--quiet")
    found = [line.rpartition("  ")[0] for line in out.splitlines()]
    assert (code, found) == (0, ["largest output[0]: 4", "largest output[1]: 4", "smallest output[0]: 0", "smallest output[1]: 0"])


def test_one_question_a_file(asked, capsys, tmp_path):
    np.save(tmp_path / "x.npy", np.array([[3, 4], [15, 0]]))
    asked("")
    assert main(["verify", "net.npz", "--inputs", "x.npy", "--eps", "1", "--print"]) == 2
    assert "--print: 2 questions, expected one" in capsys.readouterr().err
    for words in (
        ["verify", "net.npz", "--inputs", "x.npy", "--eps", "1"],
        ["range", "net.npz"],
        ["radius", "net.npz", "--inputs", "x.npy"],
    ):
        assert main([*words, "--print", "--out", "out"]) == 2
        assert "--out: not allowed with argument --print" in capsys.readouterr().err


def test_balls(asked, tmp_path):
    """Of inputs within 3 of (8, 8) in L1, the sum is at least 5; with one element changed it is 8 or more."""
    table = f"{NETWORKS}[inputs]\ncentre = [8, 8]\n"
    for norm, eps, least in (("l1", 3, 13), ("l0", 1, 8), ("l0", 2, 0), ("linf", 3, 10), ("l1", 0, 16)):
        code, out, _ = asked(f'minimize = "sum(input)"{table}eps = {eps}\nnorm = "{norm}"\n', "--quiet")
        assert (code, out.partition("  ")[0]) == (0, f"smallest sum(input): {least}")
    code, out, _ = asked(f'minimize = "sum(input)"{table}eps = 3\nnorm = "l1"\nregion = "0"\nlo = 6\n', "--quiet")
    assert out.startswith("smallest sum(input): 14  ")
    assert "norm 'l2' is unknown" in asked(f'minimize = "sum(input)"{table}eps = 3\nnorm = "l2"\n')[2]


def test_folders_of_questions_are_checked(asked, capsys, tmp_path):
    assert asked(f'maximize = "a.output[0]"\nminimize = "b.output[0] - a.output[0]"{TWO}', "--out", "out", "--certificates")[0] == 0
    assert "4 accepted (2 HOLDS, 2 VIOLATED)" in checked(capsys, "out", "--network", "net.npz", "--network", "other.npz")
    lines = (tmp_path / "out" / "results.jsonl").read_text()
    for old, new, code in (("OPTIMAL", "EMPTY", 2), ('"b": "', '"b": "0', 20), ("_attained", "_beyond", 20), ("OPTIMAL", "HOLDS", 2)):
        (tmp_path / "out" / "results.jsonl").write_text(lines.replace(old, new))
        assert main(["check", "out"]) == code
        capsys.readouterr()


def test_lines_without_certificates_prove_nothing(asked, capsys):
    for text, code in ((f'hold = "true"{NETWORKS}', 0), (f'assume = "false"\nmaximize = "output[0]"{NETWORKS}', 0)):
        assert asked(text, "--out", "out", "--overwrite")[0] == code
        assert main(["check", "out"]) == 5
        assert "1 not checked" in capsys.readouterr().out


def test_certificates_of_an_earlier_question_are_taken_away(asked, tmp_path):
    asked(f'hold = "true"{NETWORKS}', "--out", "out", "--certificates")
    asked(f'maximize = "output[0]"{NETWORKS}', "--out", "out", "--certificates", "--overwrite")
    assert sorted(path.name for path in (tmp_path / "out" / "certificates").iterdir()) == [
        "question_objective0_attained.cert", "question_objective0_beyond.cert",
    ]  # fmt: skip
