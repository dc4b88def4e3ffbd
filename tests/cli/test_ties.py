"""The rule for equal outputs, from `verify` over results and certificates to `check`."""

import json

import numpy as np
import pytest
from campaigned import entries, put
from forge import Parts
from handmade import copying

from qbitsat.cli.main import main
from qbitsat.importers import save

# Of outputs that are the inputs; labels 1. By argmax the first is class 0.
TIED, AHEAD, BEHIND = [5, 5], [3, 5], [6, 5]


@pytest.fixture
def asked(tmp_path) -> list[str]:
    save(copying(2), tmp_path / "network.npz")
    np.save(tmp_path / "x.npy", np.array([TIED, AHEAD, BEHIND]))
    np.save(tmp_path / "labels.npy", np.array([1, 1, 1]))
    return [str(tmp_path / "network.npz"), "--inputs", str(tmp_path / "x.npy"), "--labels", str(tmp_path / "labels.npy")]


def run(asked: list[str], out, *more: str) -> tuple[int, dict[tuple[int, int], str]]:
    code = main(["verify", *asked, "--eps", "0,1,2", "--out", str(out), *more])
    return code, {(entry["sample"], entry["eps"]): entry["verdict"] for entry in entries(out)}


def check(asked: list[str], out, *more: str) -> int:
    return main(["check", str(out), "--network", *asked, *more])


def test_the_label_is_kept_where_it_ties(asked, tmp_path):
    """From 3, 5 a tie is one step away, and the first output ahead is two."""
    _, found = run(asked, tmp_path / "argmax")
    assert [found[sample, 0] for sample in range(3)] == ["MISCLASSIFIED", "HOLDS", "MISCLASSIFIED"]
    assert [found[1, eps] for eps in (1, 2)] == ["VIOLATED", "VIOLATED"]
    code, found = run(asked, tmp_path / "kept", "--ties", "kept")
    assert [found[sample, 0] for sample in range(3)] == ["HOLDS", "HOLDS", "MISCLASSIFIED"]
    assert ([found[0, 1], found[1, 1], found[1, 2]], code) == (["VIOLATED", "HOLDS", "VIOLATED"], 10)
    assert {entry["ties"] for entry in entries(tmp_path / "kept")} == {"kept"}


@pytest.mark.parametrize("engine", ["auto", "hybrid", "sat", "enumerate"])
def test_certificates_say_the_rule(asked, tmp_path, engine, capsys):
    out = tmp_path / "results"
    run(asked, out, "--ties", "kept", "--certificates", "--engine", engine)
    assert check(asked, out, "--ties", "kept", "--eps", "0:3", "--verbose") == 0
    said = capsys.readouterr().out
    assert "or 1 if its output is as large" in said
    assert "eps 1, ties kept: samples 0:3" in said
    assert check(asked, out, "--eps", "0:3") == 20  # these questions, by argmax, have no lines


def test_a_forged_rule_is_refused(asked, tmp_path, capsys):
    out = tmp_path / "results"
    run(asked, out, "--ties", "kept", "--certificates")
    lines = entries(out)
    put(out, [{**entry, "ties": "argmax"} for entry in lines])
    assert check(asked, out) == 20
    assert "says ties 'argmax', the certificate 'kept'" in capsys.readouterr().out
    put(out, [{key: value for key, value in entry.items() if key != "ties"} for entry in lines])
    assert check(asked, out) == 20
    put(out, lines)
    certified = out / next(entry["certificate"] for entry in lines if (entry["sample"], entry["eps"]) == (1, 1))
    parts = Parts(certified)
    del parts.header["query"]["ties"]
    parts.save(certified)
    assert check(asked, out) == 20
    parts.header["query"]["ties"] = "first"
    parts.save(certified)
    assert main(["check", str(certified)]) == 2
    put(out, [{**entry, "ties": "first"} for entry in lines])
    assert check(asked, out) in (2, 20)


def test_lines_without_certificates_are_recomputed_by_the_rule(asked, tmp_path):
    out = tmp_path / "results"
    run(asked, out, "--ties", "kept", "--certificates")
    tied = [entry for entry in entries(out) if (entry["sample"], entry["eps"]) == (0, 0)]
    false = {"verdict": "MISCLASSIFIED", "reason": "the network says 0, the label is 1", "engine": "", "certificate": None}
    for path in out.glob("certificates/*.cert"):
        path.unlink()
    put(out, [{**tied[0], **false}])
    assert check(asked, out) == 20
    put(out, [{**tied[0], **false, "ties": "argmax"}])
    assert check(asked, out) == 0


def test_another_rule_does_not_go_on(asked, tmp_path, capsys):
    run(asked, tmp_path / "results", "--ties", "kept")
    assert main(["verify", *asked, "--eps", "0,1,2", "--out", str(tmp_path / "results"), "--resume"]) == 2
    assert "is about another rule for ties, kept and not argmax" in capsys.readouterr().err


def test_unknown_words(asked, tmp_path, capsys):
    assert main(["verify", *asked, "--eps", "1", "--ties", "keep"]) == 2
    assert "did you mean 'kept'" in capsys.readouterr().err
    assert check(asked, tmp_path, "--ties", "kept") == 2


def test_comments_of_exported_clauses_have_it(asked, tmp_path):
    out = tmp_path / "one.cnf"
    main(["export", *asked, "--samples", "1", "--eps", "2", "--ties", "kept", "--out", str(out)])
    assert "ties kept" in out.read_text()


def test_comparisons_use_it(asked, tmp_path):
    assert main(["compare", *asked, "--samples", "1", "--eps", "1,2", "--ties", "kept", "--no-bounds", "--out", str(tmp_path / "c")]) == 0
    runs = json.loads((tmp_path / "c" / "compare.json").read_text())["runs"]
    assert {(run["eps"], run["verdict"], run["ties"]) for run in runs} == {(1, "HOLDS", "kept"), (2, "VIOLATED", "kept")}
