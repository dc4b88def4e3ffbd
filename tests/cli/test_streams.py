"""Standard streams that are closed, full, or read by nobody; and a system that gives few files."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import qbitsat


def run_in_shell(command: str, *arguments: str) -> subprocess.CompletedProcess:
    """`command`, in which {} stands for qbitsat with the arguments, in a shell."""
    words = shlex.join([sys.executable, "-m", "qbitsat", *map(str, arguments)])
    environment = {**os.environ, "PYTHONPATH": str(Path(qbitsat.__file__).parent.parent)}
    return subprocess.run(["bash", "-c", command.format(words)], capture_output=True, text=True, timeout=120, env=environment)


def samples_in(folder: Path) -> list[int]:
    return sorted(json.loads(line)["sample"] for line in (folder / "results.jsonl").read_text().splitlines())


@pytest.mark.parametrize("jobs", ["1", "2"])
@pytest.mark.parametrize("closed", ["2>&-", ">&-", "<&-", "<&- >&- 2>&-", "2> /dev/full"])
def test_closed_streams_change_no_verdict(files, tmp_path, closed, jobs):
    result = run_in_shell(f"{{}} {closed}", *files.arguments("--jobs", jobs, "--out", str(tmp_path / "out")))
    assert (result.returncode, result.stderr) == (10, "")
    assert samples_in(tmp_path / "out") == [0, 1, 2, 3]


@pytest.mark.parametrize("closed", ["2>&-", ">&-", "<&- >&- 2>&-"])
def test_closed_streams_in_check(files, tmp_path, closed):
    run_in_shell("{}", *files.arguments("--certificates", "--out", str(tmp_path / "out"), samples="0:3"))
    result = run_in_shell(f"{{}} {closed}", "check", tmp_path / "out")
    assert (result.returncode, result.stderr) == (0, "")


def test_message_to_a_closed_stream_goes_nowhere(files):
    result = run_in_shell("{} 2>&-", *files.arguments(samples="7"))
    assert (result.returncode, result.stdout, result.stderr) == (2, "", "")


def test_files_do_not_take_the_place_of_closed_streams(files, tmp_path):
    """Else the summary would be among the results."""
    run_in_shell("{} <&- >&- 2>&-", *files.arguments("--out", str(tmp_path / "out")))
    assert all(line.startswith("{") for line in (tmp_path / "out" / "results.jsonl").read_text().splitlines())


@pytest.mark.parametrize("lines", ["0", "1"])
def test_reader_that_leaves_ends_the_work(files, lines):
    result = run_in_shell(f"{{}} | head -n {lines}; exit ${{{{PIPESTATUS[0]}}}}", *files.arguments("--verbose"))
    assert (result.returncode, result.stderr) == (141, "")


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_reader_that_leaves_does_not_end_work_that_is_kept(files, tmp_path, jobs):
    arguments = files.arguments("--out", str(tmp_path / "out"), "--jobs", jobs)
    result = run_in_shell("{} | head -n 0; exit ${{PIPESTATUS[0]}}", *arguments)
    assert (result.returncode, result.stderr) == (10, "")
    assert samples_in(tmp_path / "out") == [0, 1, 2, 3]


def test_full_output_is_one_line(files):
    result = run_in_shell("{} > /dev/full", *files.arguments())
    assert result.returncode == 2
    assert result.stderr == "qbitsat: error: standard output: can't be written: No space left on device\n"


@pytest.mark.parametrize("command", [["--help"], ["--version"], ["verify", "--help"]])
def test_help_to_a_full_output_is_no_traceback(command):
    result = run_in_shell("{} > /dev/full", *command)
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)


def test_full_output_does_not_end_work_that_is_kept(files, tmp_path):
    result = run_in_shell("{} > /dev/full", *files.arguments("--out", str(tmp_path / "out")))
    assert result.returncode == 10
    assert result.stderr == "qbitsat: standard output: can't be written: No space left on device; the work goes on\n"
    assert samples_in(tmp_path / "out") == [0, 1, 2, 3]


def test_export_and_compare_go_on_without_a_reader(files, tmp_path):
    arguments = files.arguments("--out", str(tmp_path / "cnf"), command="export")
    assert run_in_shell("{} | head -n 0; exit ${{PIPESTATUS[0]}}", *arguments).returncode == 0
    assert len(list((tmp_path / "cnf").iterdir())) == 3
    arguments = files.arguments("--out", str(tmp_path / "compared"), command="compare")
    assert run_in_shell("{} > /dev/full", *arguments).returncode == 0
    assert json.loads((tmp_path / "compared" / "compare.json").read_text())["standings"]


@pytest.mark.parametrize("limit", [8, 12, 16, 20])
def test_few_open_files_are_no_fault(files, limit):
    """Workers that can't be had do without; queries for which there is no file left are UNKNOWN, and say so."""
    arguments = files.arguments("--jobs", "6", "--engine", "sat", "--no-attack", "--no-bounds", eps="1,2,3", samples="0:3")
    result = run_in_shell(f"ulimit -n {limit}; {{}}", *arguments)
    assert "Traceback" not in result.stderr
    assert result.returncode in (2, 5, 10)
    if result.returncode == 2:
        assert result.stderr.count("\n") == 1
        assert "Too many open files" in result.stderr
