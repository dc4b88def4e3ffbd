"""Drawing queries, running tools in turn, going on after a kill, and what the runs come to."""

import json
import time
from collections import Counter
from dataclasses import replace

import pytest
from larger import INPUTS, LABELS, larger_network

from bench.peers import draw as drawing
from bench.peers import race as racing
from bench.peers.__main__ import main
from bench.peers.draw import Drawn, draw, order
from bench.peers.journal import Journal
from bench.peers.race import NO_REPLAY, Outcome, ask, race
from bench.peers.report import judged, left_open, rows, text
from qbitsat.campaign import Task
from qbitsat.campaign.compare import ERROR, Backend, Run
from qbitsat.errors import InputError, MissingExtraError
from qbitsat.verify import HOLDS, UNKNOWN, VIOLATED

CONDITIONS = {"timeout": 7.0, "commit": "abc"}


def larger(*samples):
    """Queries of the larger network at eps 1: sample 1 is violated, 0 and 2 hold."""
    network = larger_network()
    return [Drawn("larger", network, Task(k, i, 1, INPUTS[i], int(LABELS[i]))) for k, i in enumerate(samples)]


def run_of(tool, verdict, seconds=1.0, reason="", index=0, by_bounds=0.0):
    return Run(Task(index, index, 1, INPUTS[0], 0), Backend(tool), verdict, reason, seconds, {"by_bounds": by_bounds})


# --- draw ---


def test_order_is_that_of_the_seed():
    assert order(3) == order(3)
    assert order(3) != order(4)


def test_order_has_every_query_once():
    counts = Counter(order(0))
    assert set(counts.values()) == {1}
    assert len(counts) == 400 + 300 + 2 * 300 + 2 * 300


def test_drawn_queries(bench_data, monkeypatch):
    monkeypatch.setattr(drawing, "DATA", bench_data)
    drawn = draw(5, 30)
    assert [one.task.index for one in drawn] == list(range(30))
    found = [(one.name, one.task.sample, one.task.eps) for one in drawn]
    assert found == [row for row in order(5) if row in found]
    assert all(one.task.settled is None for one in drawn)


# --- race ---


def test_tools_rotate(monkeypatch):
    monkeypatch.setattr(racing, "ask", lambda tool, query, timeout: Outcome(HOLDS, "", 1.0))
    found = [(run.task.index, run.backend.name) for run in race(larger(0, 1, 2), ["a", "b"], 1)]
    assert found == [(0, "a"), (0, "b"), (1, "b"), (1, "a"), (2, "a"), (2, "b")]


def test_runs_that_are_done_are_left_out(monkeypatch):
    monkeypatch.setattr(racing, "ask", lambda tool, query, timeout: Outcome(HOLDS, "", 1.0))
    done = [run_of("a", HOLDS), run_of("b", HOLDS)]
    assert [(run.task.index, run.backend.name) for run in race(larger(0, 1), ["a", "b"], 1, done)] == [(1, "b"), (1, "a")]


def test_queries_side_by_side_are_all_run(monkeypatch):
    at_once, most = [], []

    def slow(tool, query, timeout):
        at_once.append(tool)
        most.append(len(at_once))
        time.sleep(0.05)
        at_once.remove(tool)
        return Outcome(HOLDS, "", 0.05)

    monkeypatch.setattr(racing, "ask", slow)
    found = [(run.task.index, run.backend.name) for run in race(larger(0, 1, 2), ["a", "b"], 1, jobs=2)]
    assert sorted(found) == [(k, tool) for k in range(3) for tool in "ab"]
    assert max(most) == 2


def test_a_fault_in_one_of_several_queries_ends_the_race(monkeypatch):
    def faulty(tool, query, timeout):
        raise RuntimeError("broken")

    monkeypatch.setattr(racing, "ask", faulty)
    with pytest.raises(RuntimeError, match="broken"):
        list(race(larger(0, 1), ["a"], 1, jobs=2))


@pytest.mark.parametrize("tool", racing.TOOLS)
@pytest.mark.parametrize(("sample", "verdict"), [(0, HOLDS), (1, VIOLATED)])
def test_every_tool_answers(tool, sample, verdict):
    assert ask(tool, larger(sample)[0].query, 60).verdict == verdict


def test_tool_that_overruns_is_killed(monkeypatch):
    monkeypatch.setattr(racing, "GRACE", 0.0)
    monkeypatch.setattr(racing, "_by_milp", lambda tool, query, timeout: time.sleep(600))
    assert ask("milp", larger(0)[0].query, 0.1) == Outcome(UNKNOWN, "timeout", 0.1)


def test_late_answer_is_none(monkeypatch):
    monkeypatch.setattr(racing, "_by_milp", lambda tool, query, timeout: Outcome(HOLDS, "", 2.0))
    assert ask("milp", larger(0)[0].query, 1.0) == Outcome(UNKNOWN, "timeout", 1.0)


def test_crash_is_an_error(monkeypatch):
    monkeypatch.setattr(racing, "_by_milp", lambda tool, query, timeout: exit(9))
    assert ask("milp", larger(0)[0].query, 1.0).verdict == ERROR


def test_witness_that_does_not_replay_is_an_error(monkeypatch):
    monkeypatch.setattr(racing.milp, "solve", lambda program, limits: list(program.lo))
    outcome = ask("milp", larger(1)[0].query, 60)
    assert (outcome.verdict, outcome.reason) == (ERROR, NO_REPLAY)


# --- journal ---


def test_journal_gives_back_its_runs(tmp_path):
    drawn = larger(0, 1)
    run = Run(drawn[1].task, Backend("milp"), VIOLATED, "", 1.5, {"by_bounds": 0.0})
    Journal(tmp_path / "new" / "runs.jsonl", CONDITIONS).add(drawn[1], run)
    assert Journal(tmp_path / "new" / "runs.jsonl", CONDITIONS).runs(drawn, ["milp"]) == [run]


def test_journal_keeps_to_the_tools_and_queries_asked_for(tmp_path):
    drawn = larger(0, 1)
    journal = Journal(tmp_path / "runs.jsonl", CONDITIONS)
    for one in drawn:
        journal.add(one, Run(one.task, Backend("milp"), HOLDS, "", 1.5, {"by_bounds": 0.0}))
    journal = Journal(tmp_path / "runs.jsonl", CONDITIONS)
    assert not journal.runs(drawn, ["sat"])
    assert len(journal.runs(drawn[:1], ["milp"])) == 1


def test_journal_drops_a_line_cut_short(tmp_path):
    path, (one,) = tmp_path / "runs.jsonl", larger(0)
    Journal(path, CONDITIONS).add(one, Run(one.task, Backend("milp"), HOLDS, "", 1.5, {"by_bounds": 0.0}))
    whole = path.read_text()
    path.write_text(whole + '{"network": "lar')
    assert len(Journal(path, CONDITIONS).runs([one], ["milp"])) == 1
    assert path.read_text() == whole


def test_journal_of_other_conditions_is_refused(tmp_path):
    Journal(tmp_path / "runs.jsonl", CONDITIONS)
    with pytest.raises(InputError, match=r"runs\.jsonl: line 1 has timeout 7\.0, expected 8\.0"):
        Journal(tmp_path / "runs.jsonl", {**CONDITIONS, "timeout": 8.0})


def test_journal_starts_with_the_conditions(tmp_path):
    Journal(tmp_path / "runs.jsonl", CONDITIONS)
    assert json.loads((tmp_path / "runs.jsonl").read_text()) == CONDITIONS


# --- report ---


def test_contradicted_proof_is_wrong():
    runs = judged([run_of("a", VIOLATED), run_of("b", HOLDS), run_of("b", HOLDS, index=1)])
    assert [run.verdict for run in runs] == [VIOLATED, ERROR, HOLDS]
    assert [row["wrong"] for row in rows(runs, ["a", "b"], 10.0)] == [0, 1]


def test_wrong_answers_and_crashes_cost_two_timeouts():
    runs = [run_of("a", ERROR, reason=NO_REPLAY), run_of("a", ERROR, reason="a died", index=1), run_of("a", HOLDS, 4.0, index=2)]
    (row,) = rows(runs, ["a"], 10.0)
    assert (row["solved"], row["wrong"], row["crashed"], row["timeouts"]) == (1, 1, 1, 0)
    assert row["par2"] == pytest.approx((20 + 20 + 4) / 3, abs=1e-3)


def test_queries_decided_by_bounds_are_left_out():
    runs = [run_of("a", HOLDS, by_bounds=1.0), run_of("b", UNKNOWN), run_of("a", HOLDS, index=1)]
    assert left_open(runs) == runs[2:]


def test_table_has_a_dash_where_there_is_no_number():
    lines = text(rows([run_of("a", HOLDS), replace(run_of("b", UNKNOWN), reason="timeout")], ["a", "b"], 10.0)).splitlines()
    assert lines[2].split() == ["b", "0", "0", "0", "1", "0", "0", "0", "20.0", "-", "0"]


# --- the command ---


@pytest.fixture
def command(tmp_path, monkeypatch):
    """Runs it on two queries of the larger network."""

    def run(*more):
        monkeypatch.setattr(drawing, "draw", lambda seed, count: larger(0, 1)[:count])
        words = ["--tools", "sat", "milp", "--timeout", "60", "--out", str(tmp_path / "peers.json"), *more]
        monkeypatch.setattr("sys.argv", ["bench.peers", *words])
        main()
        return json.loads((tmp_path / "peers.json").read_text())

    return run


def test_command_writes_everything(command, tmp_path):
    content = command("--plot", str(tmp_path / "cactus.png"))
    assert {"timeout", "jobs", "commit", "machine", "versions", "seed", "queries", "summaries", "runs"} == content.keys()
    assert [(run["sample"], run["tool"], run["verdict"]) for run in content["runs"]] == [
        (0, "sat", HOLDS),
        (0, "milp", HOLDS),
        (1, "milp", VIOLATED),
        (1, "sat", VIOLATED),
    ]
    assert [row["solved"] for row in content["summaries"]["all"]] == [2, 2]
    assert (tmp_path / "cactus.png").read_bytes().startswith(b"\x89PNG")


def test_command_goes_on_where_it_stopped(command, monkeypatch, capsys):
    first = command("--queries", "1")
    capsys.readouterr()
    second = command()
    assert second["runs"][:2] == first["runs"]
    assert [line.split()[2] for line in capsys.readouterr().out.splitlines() if " sample " in line] == ["1", "1"]


def test_missing_package_is_named(command, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"qbitsat\[bench\]"):
        command()
