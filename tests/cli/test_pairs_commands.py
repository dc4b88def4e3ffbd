"""gap, equal and agree --observe: lines, results, exit codes and what is refused."""

import json

import numpy as np
import pytest
from handmade import one_layer, tensor

from qbitsat.arithmetic import ShiftRequantizer
from qbitsat.cli.main import main
from qbitsat.importers import save


@pytest.fixture
def files(tmp_path):
    """Two networks that round halves otherwise, and samples."""
    for name, way in (("up", "half_up"), ("even", "half_even")):
        save(one_layer([[1, 0], [1, 2]], None, ShiftRequantizer(1, way, 0, 15), tensor(2)), tmp_path / f"{name}.npz")
    np.save(tmp_path / "x.npy", np.array([[5, 5], [4, 2], [1, 0]]))
    np.save(tmp_path / "domain.npy", np.array([[0, 0], [3, 6]]))
    return tmp_path


def run(capsys, *words):
    code = main([str(word) for word in words])
    return code, capsys.readouterr()


def test_gap_of_each_output(files, capsys):
    code, said = run(capsys, "gap", files / "up.npz", "--protected", "0", "--domain", files / "domain.npy", "-v", "--out", files / "out")
    assert code == 0
    lines = said.out.splitlines()
    assert lines[0].startswith("output 0  gap 2  (2)")
    assert lines[-2] == "2 outputs: 2 exact, 0 open"
    records = [json.loads(line) for line in (files / "out" / "results.jsonl").read_text().splitlines()[-2:]]
    assert [record["value"] for record in records] == [2, 2]
    first, second = records[0]["inputs"]
    assert first[1] == second[1]


def test_gap_of_a_group(files, capsys):
    code, said = run(
        capsys, "gap", files / "up.npz", "--protected", "0", "--groups", "0:2", "--domain", files / "domain.npy", "--outputs", "1"
    )
    assert code == 0
    assert said.out.startswith("output 1  gap 4  (4)")  # (0, 6) and (3, 0)


@pytest.mark.parametrize(("more", "gaps"), [((), ["2", "2"]), (("--groups", "0:2", "--outputs", "1"), ["4"])])
def test_gaps_are_printed_as_questions(files, capsys, more, gaps):
    code, said = run(capsys, "gap", files / "up.npz", "--protected", "0", "--domain", files / "domain.npy", *more, "--print")
    assert code == 0
    (files / "gap.toml").write_text(said.out)
    code, said = run(capsys, "verify", files / "gap.toml", "--quiet")
    assert (code, [line.split(": ")[1].split()[0] for line in said.out.splitlines()]) == (0, gaps)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--protected", "5"], "--protected: '5', but up.npz has"),
        (["--protected", ""], "--protected: '', expected indices"),
        (["--protected", "0", "--outputs", ""], "--outputs: '', expected indices"),
        (["--protected", "0", "--groups", "0:2,,"], "--groups: '', expected indices"),
        (["--protected", "0", "--groups", "0"], "two elements"),
        (["--protected", "0", "--groups", "0:9"], "--groups: '0:9'"),
        (["--protected", "0", "--domain", "x.npy"], "3 rows, expected two"),
    ],
)
def test_gaps_that_are_refused(files, capsys, monkeypatch, words, said):
    monkeypatch.chdir(files)
    code, printed = run(capsys, "gap", "up.npz", *words)
    assert code == 2
    assert said in printed.err


def test_equal_in_steps_of_both(files, capsys):
    around = ("--inputs", files / "x.npy", "--eps", "1", "--samples", "0")
    for within, expected, word in (("0.5", 10, "1 violated"), ("1", 0, "1 hold"), (None, 0, "1 hold")):
        code, said = run(capsys, "equal", files / "up.npz", files / "even.npz", *around, *(["--within", within] if within else []))
        assert code == expected
        assert word in said.out


@pytest.mark.parametrize("within", [None, "0.5"])
def test_equal_prints_its_question(files, capsys, within):
    words = ("--inputs", files / "x.npy", "--eps", "1", "--samples", "0", *(["--within", within] if within else []))
    code, said = run(capsys, "equal", files / "up.npz", files / "even.npz", *words, "--print")
    assert code == 0
    (files / "asked.toml").write_text(said.out)
    assert run(capsys, "verify", files / "asked.toml")[0] == run(capsys, "equal", files / "up.npz", files / "even.npz", *words)[0]


def test_observe_counts(files, capsys):
    words = ("agree", files / "up.npz", files / "even.npz", "--observe", files / "x.npy")
    code, said = run(capsys, *words, "--out", files / "out")
    assert code == 10
    assert "output 0  differs for 2, by 1 at most" in said.out
    assert said.out.splitlines()[-1].startswith("3 samples: some output differs for 2")
    assert json.loads((files / "out" / "results.jsonl").read_text().splitlines()[-1])["differing"] == 2
    code, said = run(capsys, *words, "--samples", "1", "--quiet")
    assert (code, len(said.out.splitlines())) == (0, 1)
    for more in (("--within", "0"), ("--print",), ("--inputs", files / "x.npy"), ("--certificates", "--out", files / "out")):
        code, said = run(capsys, *words, *more)
        assert (code, said.out) == (2, "")
        assert f"{more[0]}: asks for a proof, expected none with --observe" in said.err


@pytest.mark.parametrize("command", ["agree", "equal"])
def test_distances_around_nothing_are_refused(files, capsys, command):
    for more in (("--eps", "1"), ("--region", "0"), ("--samples", "1")):
        code, said = run(capsys, command, files / "up.npz", files / "even.npz", *more)
        assert code == 2
        assert f"{more[0]}: around no sample, expected --inputs FILE" in said.err
