"""`verify`: exit codes, lines, order, results."""

import io
import json
import re
import sys
import time

import numpy as np
import pytest

from qbitsat.cli.main import main
from qbitsat.importers import load
from qbitsat.verify import UNKNOWN, Verdict, verify

VERDICTS, ENGINES, SECONDS = "HOLDS|VIOLATED|UNKNOWN|misclassified|skipped", "attack|bounds|hybrid|sat|-", r"\d+\.\d{3} s"
LINE = re.compile(rf"sample \d+ +eps \d+ +({VERDICTS}) +({ENGINES}) +{SECONDS} +{SECONDS} CPU(  .+)?")


def replace_verify(monkeypatch, function) -> None:
    monkeypatch.setattr("qbitsat.campaign.queries.verify", function)


def read_results(folder) -> list[dict]:
    return [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]


# --- exit codes ---


def test_exit_code_all_hold(files):
    assert main(files.arguments(samples="0,2")) == 0


def test_exit_code_some_violated(files):
    assert main(files.arguments(samples="0:3")) == 10


def test_exit_code_some_unknown(files, monkeypatch):
    replace_verify(monkeypatch, lambda query, **_: verify(query) if query.boxes[0].lo[0] > 5 else Verdict(UNKNOWN, "timeout"))
    assert main(files.arguments(samples="0,2")) == 5


def test_exit_code_violated_counts_more_than_unknown(files, monkeypatch):
    replace_verify(monkeypatch, lambda query, **_: verify(query) if query.boxes[0].lo[0] == 4 else Verdict(UNKNOWN, "timeout"))
    assert main(files.arguments(samples="0:3")) == 10


def test_exit_code_misclassified_beside_holding(files):
    assert main(files.arguments(samples="0,3")) == 0


def test_exit_code_nothing_verified(files):
    assert main(files.arguments(samples="3")) == 5


def test_exit_code_bad_input(files):
    assert main(files.arguments(samples="4")) == 2


def test_fault_of_our_own_escapes(files, monkeypatch):
    def fail(query, **_):
        raise ZeroDivisionError

    replace_verify(monkeypatch, fail)
    with pytest.raises(ZeroDivisionError):
        main(files.arguments(samples="0"))


# --- standard output ---


def test_lines_have_one_format(files, capsys):
    main(files.arguments(eps="1,2"))
    lines = capsys.readouterr().out.splitlines()
    assert all(LINE.fullmatch(line) for line in lines[:8])
    assert len({re.search(r"HOLDS|VIOLATED|misclassified", line).start() for line in lines[:8]}) == 1


def test_every_sample_at_every_eps(files, capsys):
    main(files.arguments(samples="2,0", eps="2,1"))
    found = re.findall(r"sample (\d+) +eps (\d+)", capsys.readouterr().out)
    assert found == [("2", "2"), ("2", "1"), ("0", "2"), ("0", "1")]


def test_line_of_violation_names_both_classes(files, capsys):
    main(files.arguments(samples="1"))
    assert "class 0 becomes 1" in capsys.readouterr().out


def test_line_of_misclassified(files, capsys):
    main(files.arguments(samples="3"))
    line = capsys.readouterr().out.splitlines()[0]
    assert re.fullmatch(r"sample 3  eps 1  misclassified  - +0\.000 s +0\.000 s CPU  the network says 1, the label is 0", line)


def test_line_of_unknown_has_its_reason(files, capsys, monkeypatch):
    replace_verify(monkeypatch, lambda query, **_: Verdict(UNKNOWN, "memory", seconds=1.5, cpu_seconds=0.25))
    main(files.arguments(samples="0"))
    assert re.search(r"UNKNOWN +- +1\.500 s +0\.250 s CPU  memory\n", capsys.readouterr().out)


def test_line_of_unknown_says_how_far_it_got(files, capsys, monkeypatch):
    far = {"open": 1204, "closed": 0.98765}
    replace_verify(monkeypatch, lambda query, **_: Verdict(UNKNOWN, "timeout", statistics=far))
    main(files.arguments(samples="0"))
    assert re.search(r"CPU  timeout, 98\.77% of the tree closed, open nodes 1204\n", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("far", "said"),
    [
        ({"points": 0, "point_bits": 2000.52}, "2**2000.5 points"),
        ({"points": 1 << 20, "point_bits": 22}, "25.00% of 2**22.0 points run"),
        ({"variables": 12, "clauses": 34, "encode_seconds": 0.1}, "SAT with 12 variables, 34 clauses"),
        ({"variables": 12, "clauses": 34, "conflicts": 56}, "SAT with 12 variables, 34 clauses, 56 conflicts"),
    ],
)
def test_line_of_unknown_says_how_far_each_engine_got(files, capsys, monkeypatch, far, said):
    replace_verify(monkeypatch, lambda query, **_: Verdict(UNKNOWN, "timeout", statistics=far))
    main(files.arguments(samples="0"))
    assert f"CPU  timeout, {said}\n" in capsys.readouterr().out


def test_unknown_of_too_many_points_is_one_cause(files, capsys):
    main(files.arguments("--engine", "enumerate", "--enumerate-bits", "1", "--no-bounds", "--no-attack", samples="0,2", eps="1,2"))
    out = capsys.readouterr().out
    assert "unknown because of enumerate: more than 2**1 points, the limit of enumerate bits (4)\n" in out
    assert len(set(re.findall(r"2\*\*\d+\.\d points\n", out))) > 1


def test_summary_counts_and_real_units(files, capsys):
    main(files.arguments())
    first, second = capsys.readouterr().out.splitlines()[-2:]
    assert re.fullmatch(r"4 queries in \d+\.\d{3} s: 2 hold, 1 violated, 0 unknown, 1 misclassified", first)
    assert second == "eps 1 is 0.5 in real units"


def test_summary_counts_reasons_of_unknown(files, capsys, monkeypatch):
    replace_verify(monkeypatch, lambda query, **_: Verdict(UNKNOWN, "timeout"))
    main(files.arguments(samples="0,1"))
    assert "unknown because of timeout (2)\n" in capsys.readouterr().out


def test_quiet_prints_summary_only(files, capsys):
    main(files.arguments("--quiet"))
    assert "sample" not in capsys.readouterr().out


def test_verbose_prints_changed_inputs(files, capsys):
    main(files.arguments("--verbose", samples="1"))
    assert re.search(r"\d input elements change: (\[0\]:5->4|.*\[1\]:5->6)", capsys.readouterr().out)


def test_verbose_prints_statistics(files, capsys):
    main(files.arguments("--verbose", "--engine", "sat", "--no-attack", "--no-bounds", samples="0"))
    assert re.search(r"variables \d+  clauses \d+", capsys.readouterr().out)


def test_progress_not_on_a_file(files, capsys):
    main(files.arguments())
    assert capsys.readouterr().err == ""


def test_progress_on_a_terminal(files, monkeypatch):
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr("sys.stderr", terminal)
    main(files.arguments())
    assert re.search(r"\| 4/4 \[.* queries/s, 1 violated, 0 unknown\]", terminal.getvalue())
    # Nothing of it stays.
    assert not terminal.getvalue().rpartition("\r")[0].rpartition("\r")[2].strip()


def test_quiet_has_progress_too(files, monkeypatch):
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr("sys.stderr", terminal)

    def slow(query, **options):
        time.sleep(0.2)
        return verify(query, **options)

    replace_verify(monkeypatch, slow)
    main(files.arguments("--quiet"))
    assert "| 4/4 [" in terminal.getvalue()


def test_without_tqdm_there_is_no_progress(files, monkeypatch, capsys):
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setitem(sys.modules, "tqdm", None)
    assert main(files.arguments()) == 10
    assert terminal.getvalue() == ""
    assert "4 queries" in capsys.readouterr().out


def test_lines_come_in_the_order_in_which_queries_end(files, capsys, monkeypatch, tmp_path):
    def first_is_slow(query, **options):
        time.sleep(0.5 * (query.boxes[0].lo[0] == 9))
        return verify(query, **options)

    replace_verify(monkeypatch, first_is_slow)
    main(files.arguments("--jobs", "2", "--out", str(tmp_path / "out"), samples="0:3"))
    assert re.findall(r"sample (\d+)", capsys.readouterr().out) == ["1", "2", "0"]
    assert [entry["sample"] for entry in read_results(tmp_path / "out")] == [1, 2, 0]


# --- what is verified ---


def test_options_reach_the_engine(files, monkeypatch):
    seen = {}

    def remember(query, **options):
        seen.update(options)
        return verify(query)

    replace_verify(monkeypatch, remember)
    main(files.arguments("--solver", "glucose4", "--timeout", "7", "--no-attack", "--encoding", "linear", samples="0"))
    assert (seen["solver"], seen["timeout"], seen["attack"], seen["encoding"]) == ("glucose4", 7.0, False, "linear")


def test_target_that_cannot_be_reached(files):
    assert main(files.arguments("--target", "1", samples="0")) == 0


def test_target_that_is_the_label_is_skipped(files, capsys):
    assert main(files.arguments("--target", "0", samples="0,2")) == 0
    assert "skipped" in capsys.readouterr().out.splitlines()[0]


def test_labels_default_to_the_networks_answers(files, capsys):
    arguments = files.arguments(samples="3")
    del arguments[4:6]
    assert main(arguments) == 0


def test_samples_default_to_all(files, capsys):
    arguments = files.arguments()
    del arguments[6:8]
    main(arguments)
    assert len(re.findall(r"^sample", capsys.readouterr().out, re.MULTILINE)) == 4


# --- --out ---


def test_out_has_one_object_a_query(files, tmp_path):
    main(files.arguments("--out", str(tmp_path / "a" / "b")))
    entries = sorted(read_results(tmp_path / "a" / "b"), key=lambda entry: entry["sample"])
    assert [entry["verdict"] for entry in entries] == ["HOLDS", "VIOLATED", "HOLDS", "MISCLASSIFIED"]


def test_out_fields(files, tmp_path):
    main(files.arguments("--out", str(tmp_path / "out"), "--seed", "3", samples="0"))
    (entry,) = read_results(tmp_path / "out")
    expected = {"sample", "eps", "label", "verdict", "reason", "engine", "seconds", "witness", "certificate", "options", "version"}
    assert expected <= entry.keys()
    assert entry["network_sha256"] == load(files.network).sha256
    assert entry["options"]["seed"] == 3
    assert (entry["witness"], entry["certificate"]) == (None, None)


def test_out_witness_breaks_the_property(files, tmp_path):
    main(files.arguments("--out", str(tmp_path / "out"), samples="1"))
    (entry,) = read_results(tmp_path / "out")
    x0, x1 = entry["witness"]
    assert x0 < x1
    assert max(abs(x0 - 5), abs(x1 - 5)) <= 1
    assert (entry["witness_outputs"], entry["witness_class"]) == ([x0, x1], 1)


def test_out_is_written_when_a_query_ends(files, tmp_path, monkeypatch):
    lengths = []

    def count(query, **options):
        lengths.append(len(read_results(tmp_path / "out")))
        return verify(query)

    replace_verify(monkeypatch, count)
    main(files.arguments("--out", str(tmp_path / "out"), samples="0:3"))
    assert lengths == [0, 1, 2]


def test_out_overwrite_replaces(files, tmp_path):
    for samples in ("0:3", "2"):
        assert main(files.arguments("--out", str(tmp_path), "--overwrite", samples=samples)) in (0, 10)
    assert [entry["sample"] for entry in read_results(tmp_path)] == [2]


def test_same_verdicts_with_any_number_of_jobs(files, tmp_path):
    found = []
    for jobs in ("1", "2", "9"):
        main(files.arguments("--out", str(tmp_path / jobs), "--jobs", jobs, eps="1,3,4"))
        entries = sorted(read_results(tmp_path / jobs), key=lambda entry: (entry["sample"], entry["eps"]))
        found.append([(entry["verdict"], entry["witness"]) for entry in entries])
    assert found[0] == found[1] == found[2]


def test_csv_of_one_sample(files, tmp_path):
    np.savetxt(tmp_path / "x.csv", [[10, 2]], fmt="%d", delimiter=",")
    assert main(["verify", str(files.network), "--inputs", str(tmp_path / "x.csv"), "--eps", "1"]) == 0


# --- targets ---


def test_target_is_named_in_lines_summary_and_results(files, tmp_path, capsys):
    main(files.arguments("--target", "1", "--out", str(tmp_path / "out"), samples="0:3"))
    lines = capsys.readouterr().out.splitlines()
    assert all(re.match(r"sample \d  eps 1  target 1  (HOLDS|VIOLATED|skipped)", line) for line in lines[:3])
    assert any(re.search(r"HOLDS .*  class \d never becomes 1$", line) for line in lines[:3])
    assert re.match(r"3 queries against target 1 in \d+\.\d{3} s: ", lines[3])
    assert {entry["target"] for entry in read_results(tmp_path / "out")} == {1}


def test_verbose_twice_logs_the_stages(files, capsys):
    main(files.arguments("-vv", samples="0"))
    assert "qbitsat: bounds after 0.0" in capsys.readouterr().err
    main(files.arguments("-v", samples="0"))
    assert capsys.readouterr().err == ""
