"""compare: the grammar of backends, runs, table, files, and backends that lie."""

import json
import math
import os
import signal

import pytest

from qbitsat.campaign import Task, compare
from qbitsat.campaign.compare import Backend, Run, disagreement, parse_backends, standings
from qbitsat.cli.main import main
from qbitsat.encode import SmtLib
from qbitsat.errors import InputError
from qbitsat.solvers import smt
from qbitsat.verify import HOLDS, UNKNOWN, VIOLATED

SAT, BITWUZLA = Backend("sat"), Backend("bitwuzla")


def run_compare(files, *more, backends="sat,bitwuzla", **keywords):
    """The exit code. Bounds are off, because they would decide everything here."""
    return main(files.arguments("--backends", backends, "--no-bounds", *more, command="compare", **keywords))


def lying(status, values=None):
    """A backend that says the same of every script."""

    def solve(backend, script, limits):
        return smt.Answer(status, "because" * (status == "error"), dict.fromkeys(script.names, values) if values is not None else {})

    return solve


# --- grammar ---


@pytest.mark.parametrize(
    ("text", "backends"),
    [
        ("sat", [SAT]),
        ("sat, bitwuzla", [SAT, BITWUZLA]),
        ("sat:linear:glucose42", [Backend("sat", "linear", "glucose42")]),
        ("sat:glucose42:linear", [Backend("sat", "linear", "glucose42")]),
        ("z3:linear,z3:balanced", [Backend("z3", "linear"), Backend("z3")]),
        ("sat,sat:narrowed,sat:glucose42", [SAT]),
    ],
)
def test_backends_grammar(text, backends):
    assert parse_backends(text) == backends


@pytest.mark.parametrize("text", ["sat", "sat:linear", "sat:cadical195", "sat:linear:cadical195", "cvc5:linear", "yices"])
def test_backends_are_named_as_they_are_asked_for(text):
    assert str(parse_backends(text)[0]) == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("minisat", "backends: 'minisat' is unknown; expected one of sat, bitwuzla, boolector, z3, cvc5, yices"),
        ("", "backends: '' is unknown; expected one of sat"),
        ("sat,", "backends: '' is unknown"),
        ("z3:glucose42", "backends: 'glucose42' of 'z3:glucose42' is unknown; expected one of balanced, linear"),
        ("sat:tall", "backends: 'tall' of 'sat:tall' is unknown; expected one of narrowed, substituted, balanced, linear"),
        ("z3:substituted", "backends: 'substituted' of 'z3:substituted' is unknown; expected one of balanced, linear"),
        ("sat:linear:balanced", "backends: 'sat:linear:balanced' has two of"),
    ],
)
def test_backends_refused(text, message):
    with pytest.raises(InputError) as refusal:
        parse_backends(text)
    assert str(refusal.value).startswith(message)


def test_unknown_backend_is_bad_input(files, capsys):
    assert run_compare(files, backends="sat,yikes") == 2
    assert "'yikes' is unknown; expected one of sat, bitwuzla, boolector, z3, cvc5, yices" in capsys.readouterr().err


def test_missing_backend_is_bad_input(files, capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(smt.base.importlib.util, "find_spec", lambda name: None)
    assert run_compare(files, "--out", str(tmp_path / "out")) == 2
    assert "qbitsat[smt]" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


# --- runs ---


def test_all_backends_agree(files, capsys):
    backends = "sat,sat:balanced,sat:linear,sat:cadical195,bitwuzla,boolector,z3,cvc5,yices,yices:linear"
    assert run_compare(files, backends=backends, samples="0:2") == 0
    lines = capsys.readouterr().out.split("\n\n")[0].splitlines()
    assert [line.split()[5] for line in lines] == [HOLDS] * 10 + [VIOLATED] * 10


def test_order_rotates(files, capsys):
    run_compare(files, backends="sat,sat:linear", samples="0:3")
    lines = capsys.readouterr().out.split("\n\n")[0].splitlines()
    assert [line.split()[4] for line in lines] == ["sat", "sat:linear", "sat:linear", "sat", "sat", "sat:linear"]


def test_bounds_decide_for_all(files, capsys):
    assert main(files.arguments(command="compare", samples="0")) == 0
    out = capsys.readouterr().out
    assert "bounds" in out.splitlines()[0]
    assert "not in the table: 1 HOLDS by bounds" in out


def test_misclassified_is_not_compared(files, capsys):
    assert run_compare(files, samples="3") == 0
    assert "misclassified" in capsys.readouterr().out.splitlines()[0]


def test_table_counts(files, capsys):
    run_compare(files, samples="0:3")
    header, sat_row, bitwuzla_row = capsys.readouterr().out.split("\n\n")[1].splitlines()
    assert header.split() == ["backend", "solved", "holds", "violated", "timeouts", "other", "errors", "PAR-2", "ratio", "common"]
    assert sat_row.split()[:7] == ["sat", "3", "2", "1", "0", "0", "0"]
    assert bitwuzla_row.split()[:7] == ["bitwuzla", "3", "2", "1", "0", "0", "0"]
    assert sat_row.split()[8] == "1.00"


# --- backends that fail ---


def test_crashing_backend_stops_nothing(files, capsys, monkeypatch):
    monkeypatch.setattr(compare.smt, "solve", lying("error"))
    assert run_compare(files, samples="0:2") == 0
    out = capsys.readouterr().out
    assert out.count("ERROR") == out.count("because") == 2
    assert out.splitlines()[-1].split()[:7] == ["bitwuzla", "0", "0", "0", "0", "0", "2"]


def test_witness_that_does_not_replay_is_an_error(files, capsys, monkeypatch):
    monkeypatch.setattr(compare.smt, "solve", lying("sat", 0))
    assert run_compare(files, samples="0") == 0
    assert "its witness does not replay" in capsys.readouterr().out


def test_witness_outside_the_box_is_an_error(files, capsys, monkeypatch):
    monkeypatch.setattr(compare.smt, "solve", lying("sat", 10**30))
    assert run_compare(files, samples="1") == 0
    assert "its witness does not replay" in capsys.readouterr().out


def test_disagreement_exits_1_and_names_the_query(files, capsys, monkeypatch):
    monkeypatch.setattr(compare.smt, "solve", lying("unsat"))
    assert run_compare(files, samples="0:3") == 1
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "sample 1 eps 1: bitwuzla says HOLDS but sat says VIOLATED with a witness that replays" in err


def test_disagreement_keeps_the_query(files, tmp_path, monkeypatch):
    monkeypatch.setattr(compare.smt, "solve", lying("unsat"))
    run_compare(files, "--out", str(tmp_path / "out"), samples="0:3", backends="sat:linear,bitwuzla")
    kept = {path.name for path in (tmp_path / "out").iterdir()} - {"compare.json", "cactus.png", ".lock"}
    assert kept == {f"sample1_eps1_{encoding}.{suffix}" for encoding in ("balanced", "linear") for suffix in ("cnf", "smt2")}


def test_timeout_counts(files, capsys, monkeypatch):
    monkeypatch.setattr(compare.smt, "solve", lambda backend, script, limits: smt.Answer("unknown", "timeout"))
    assert run_compare(files, "--timeout", "7", samples="0:2") == 0
    row = capsys.readouterr().out.splitlines()[-1].split()
    assert row == ["bitwuzla", "0", "0", "0", "2", "0", "0", "14.000", "-", "0"]


def test_interrupt_keeps_what_ended(files, capsys, monkeypatch, tmp_path):
    def interrupted(backend, script, limits):
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(compare.smt, "solve", interrupted)
    assert run_compare(files, "--out", str(tmp_path), samples="0:2") == 130
    content = json.loads((tmp_path / "compare.json").read_text())
    assert [run["backend"] for run in content["runs"]] == ["sat"]
    assert [row["solved"] for row in content["standings"]] == [1, 0]
    assert "interrupted" in capsys.readouterr().err


# --- files ---


def test_comparison_file(files, tmp_path):
    run_compare(files, "--out", str(tmp_path / "out"), samples="0:2")
    content = json.loads((tmp_path / "out" / "compare.json").read_text())
    assert {"machine", "versions", "network", "options", "backends", "runs", "standings"} == content.keys()
    assert {"python", "qbitsat", "python-sat", "bitwuzla"} == content["versions"].keys()
    assert content["options"] == {"timeout": 60.0, "memory": None, "bounds": False}
    assert [(run["sample"], run["backend"], run["verdict"]) for run in content["runs"]] == [
        (0, "sat", HOLDS),
        (0, "bitwuzla", HOLDS),
        (1, "bitwuzla", VIOLATED),
        (1, "sat", VIOLATED),
    ]


def test_comparison_is_written_as_runs_end(files, tmp_path, monkeypatch):
    seen = []

    def look(backend, script, limits):
        seen.append(len(json.loads((tmp_path / "compare.json").read_text())["runs"]))
        return smt.Answer("unknown")

    monkeypatch.setattr(compare.smt, "solve", look)
    run_compare(files, "--out", str(tmp_path), samples="0:2")
    assert seen == [1, 2]


def test_comparison_that_is_there_is_kept(files, tmp_path, capsys):
    (tmp_path / "compare.json").write_text("precious")
    assert run_compare(files, "--out", str(tmp_path)) == 2
    assert "compare.json: exists already" in capsys.readouterr().err
    assert (tmp_path / "compare.json").read_text() == "precious"


def test_comparison_overwrite(files, tmp_path):
    (tmp_path / "compare.json").write_text("old")
    assert run_compare(files, "--out", str(tmp_path), "--overwrite", samples="0") == 0
    assert json.loads((tmp_path / "compare.json").read_text())["runs"]


def test_out_that_is_a_file_is_bad_input(files, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert run_compare(files, "--out", str(tmp_path / "file")) == 2
    assert "file" in capsys.readouterr().err


def test_cactus_plot_is_a_picture(files, tmp_path):
    run_compare(files, "--out", str(tmp_path), samples="0:2")
    assert (tmp_path / "cactus.png").read_bytes().startswith(b"\x89PNG")


def test_no_plot_without_matplotlib(files, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    assert run_compare(files, "--out", str(tmp_path), samples="0") == 0
    assert capsys.readouterr().out.splitlines()[-1] == "no plot: a cactus plot needs the package 'matplotlib': pip install 'qbitsat[plot]'"
    assert not (tmp_path / "cactus.png").exists()


# --- statistics ---


def runs_of(backend, *results):
    """Runs of tasks 0, 1, ...: (verdict, seconds) each."""
    tasks = [Task(i, i, 1, None, 0) for i in range(len(results))]
    return [Run(task, backend, verdict, "timeout", seconds, {}) for task, (verdict, seconds) in zip(tasks, results, strict=True)]


def test_standings_par2_and_ratio():
    runs = runs_of(SAT, (HOLDS, 1.0), (VIOLATED, 2.0), (HOLDS, 3.0))
    runs += runs_of(BITWUZLA, (HOLDS, 4.0), (VIOLATED, 2.0), (UNKNOWN, 10.0))
    first, second = standings(runs, [SAT, BITWUZLA], 10.0)
    assert (first.solved, first.par2, first.ratio, first.common) == (3, 2.0, 1.0, 3)
    assert (second.solved, second.timeouts, second.common) == (2, 1, 2)
    assert second.par2 == pytest.approx((4 + 2 + 20) / 3)
    assert second.ratio == pytest.approx(math.sqrt(4 * 1))


def test_standings_without_common_tasks():
    runs = runs_of(SAT, (HOLDS, 1.0)) + runs_of(BITWUZLA, (UNKNOWN, 1.0))
    assert math.isnan(standings(runs, [SAT, BITWUZLA], 10.0)[1].ratio)


def test_disagreement_needs_both_verdicts():
    assert not disagreement(runs_of(SAT, (HOLDS, 1.0)) + runs_of(BITWUZLA, (UNKNOWN, 1.0)))


# --- export ---


def test_export_smt2_is_what_the_backends_get(files, tmp_path):
    assert main(files.arguments("--out", str(tmp_path), "--no-bounds", "--format", "smt2", command="export", samples="0:3")) == 0
    statuses = []
    for sample in range(3):
        body, tail = (tmp_path / f"sample{sample}_eps1.smt2").read_text().split("(check-sat)")
        assert tail == "\n(get-value (x_0_0 x_0_1))\n"
        statuses.append(smt.solve("bitwuzla", SmtLib(body, (((0, "x_0_0"), (0, "x_0_1")),)), smt.base.Limits()).status)
    assert statuses == ["unsat", "sat", "unsat"]


def test_export_file_of_the_other_format(files, tmp_path, capsys):
    assert main(files.arguments("--out", str(tmp_path / "query.cnf"), "--format", "smt2", command="export", samples="1")) == 2
    assert "query.cnf has the wrong ending for this --format, expected .smt2 or a folder" in capsys.readouterr().err
