"""The command as its own process: exit codes, Ctrl-C, a closed pipe, a killed parent, a killed worker."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from processes import is_running, wait_until

import qbitsat

# Verification as always, but the query of sample 1 starts a child, tells both process ids and never ends.
HANGS = """
import multiprocessing, os, pathlib, signal, sys, time
import qbitsat.campaign.queries as queries
from qbitsat.cli.main import entry
from qbitsat.processes import die_with_parent
from qbitsat.verify import verify

def child(parent):
    die_with_parent(parent)
    time.sleep(600)

def hang(query, **options):
    if query.boxes[0].lo[0] != 4:
        return verify(query, **options)
    process = multiprocessing.get_context("fork").Process(target=child, args=(os.getpid(),), daemon=True)
    process.start()
    pids = pathlib.Path("pids")
    pathlib.Path("partial").write_text(f"{os.getpid()} {process.pid}")
    pathlib.Path("partial").rename(pids)
    time.sleep(600)

if __name__ == "__main__":
    queries.verify = hang
    entry()
"""

FAILS = """
import qbitsat.campaign.queries as queries
from qbitsat.cli.main import entry

def fail(query, **options):
    raise ZeroDivisionError

if __name__ == "__main__":
    queries.verify = fail
    entry()
"""


def start(*command: str, **more) -> subprocess.Popen:
    """A Python process with its output in pipes; this package is the one it imports."""
    environment = {**os.environ, "PYTHONPATH": str(Path(qbitsat.__file__).parent.parent)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, *command], env=environment, **pipes, **more)


@pytest.fixture
def hanging(files, tmp_path):
    """Start `verify` with the jobs asked for and wait until its last query hangs: the process, and the hanging pids."""
    started = []

    def start_hanging(jobs: int, samples: str = "0,2,1", **more):
        (tmp_path / "hangs.py").write_text(HANGS)
        arguments = files.arguments("--jobs", str(jobs), "--out", str(tmp_path / "out"), samples=samples)
        # Whoever runs the tests by `nohup` has it ignored, and children would inherit that.
        before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
        try:
            process = start("hangs.py", *arguments, cwd=tmp_path, **more)
        finally:
            signal.signal(signal.SIGHUP, before)
        started.append(process)
        results = tmp_path / "out" / "results.jsonl"
        assert wait_until(lambda: (tmp_path / "pids").exists() and results.read_text().count("\n") == 2)
        return process, [int(pid) for pid in (tmp_path / "pids").read_text().split()]

    yield start_hanging
    for process in started:
        process.kill()
        process.communicate()


ENDS = [(signal.SIGINT, "interrupted"), (signal.SIGTERM, "ended by SIGTERM"), (signal.SIGHUP, "ended by SIGHUP")]


@pytest.mark.parametrize(("number", "said"), ENDS, ids=[number.name for number, _ in ENDS])
@pytest.mark.parametrize("jobs", [1, 2])
def test_signal_keeps_results_and_leaves_no_child(hanging, tmp_path, jobs, number, said):
    process, pids = hanging(jobs)
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 128 + number
    assert f"{said}; 2 of 3 queries are finished" in err
    assert "Traceback" not in err
    assert out.splitlines()[2].startswith("2 queries")
    results = [json.loads(line) for line in (tmp_path / "out" / "results.jsonl").read_text().splitlines()]
    assert sorted(entry["sample"] for entry in results) == [0, 2]
    assert wait_until(lambda: not any(map(is_running, pids)))


def test_signals_to_all_processes_are_the_parents(hanging, tmp_path):
    """As a scheduler or a closed terminal sends them: a worker that ended first would be an UNKNOWN."""
    process, pids = hanging(2)
    for pid in (*pids, process.pid):
        os.kill(pid, signal.SIGTERM)
        os.kill(pid, signal.SIGHUP)
    out, err = process.communicate(timeout=30)
    assert process.returncode in (129, 143)
    assert out.splitlines()[2].startswith("2 queries")
    assert "Traceback" not in err


@pytest.mark.parametrize("gap", [0, 0.001, 0.01])
def test_interrupts_that_come_together_leave_no_worker(hanging, gap):
    """The second one must not cut off the end of the workers, for which Python would wait for ever."""
    process, pids = hanging(2)
    process.send_signal(signal.SIGINT)
    time.sleep(gap)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert out.splitlines()[2].startswith("2 queries")
    assert "Traceback" not in err
    assert wait_until(lambda: not any(map(is_running, pids)))


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT])
def test_ignored_signals_stay_ignored(hanging, number):
    """As nohup and shells' background jobs ask for."""
    process, _ = hanging(2, preexec_fn=lambda: signal.signal(number, signal.SIG_IGN))
    process.send_signal(number)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.5)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 143


def test_killed_command_leaves_no_child(hanging):
    process, pids = hanging(2)
    process.kill()
    process.wait()
    assert wait_until(lambda: not any(map(is_running, pids)))


def test_killed_worker_costs_its_query_only(hanging, tmp_path):
    process, (worker, child) = hanging(2)
    os.kill(worker, signal.SIGKILL)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 5
    assert out.splitlines()[2].endswith("worker died: signal 9")
    assert out.count("HOLDS") == 2
    assert wait_until(lambda: not is_running(child))


def test_module_exit_code_violated(files):
    process = start("-m", "qbitsat", *files.arguments("--jobs", "2"))
    process.communicate(timeout=60)
    assert process.returncode == 10


def test_module_bad_input_has_no_traceback(files):
    process = start("-m", "qbitsat", *files.arguments(samples="7"))
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err.count("\n")) == (2, "", 1)


def test_fault_of_our_own_has_a_traceback(files, tmp_path):
    (tmp_path / "fails.py").write_text(FAILS)
    process = start("fails.py", *files.arguments("--jobs", "2"), cwd=tmp_path)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "ZeroDivisionError" in err


def test_names_beyond_the_encoding_are_escaped(files, tmp_path):
    path = tmp_path / "n\u00e9t.npz"
    path.write_bytes(files.network.read_bytes())
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    result = subprocess.run(
        [sys.executable, "-m", "qbitsat", "inspect", str(path)], capture_output=True, text=True, timeout=60, env=environment
    )
    assert result.returncode == 0
    assert "n\\xe9t.npz" in result.stdout


# A file that Python imports as it starts: Ctrl-C comes when the package imports that module.
INTERRUPTING = """
import os, signal, sys
class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == "qbitsat.errors":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupt())
"""


@pytest.mark.parametrize(
    ("program", "code"), [(["-m", "qbitsat", "--version"], 130), (["{}/qbitsat"], 130), (["-c", "import qbitsat"], -2)]
)
def test_interrupt_during_the_imports(tmp_path, program, code):
    (tmp_path / "sitecustomize.py").write_text(INTERRUPTING)
    (tmp_path / "qbitsat").write_text("from qbitsat.cli.main import entry; entry()")
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}:{Path(qbitsat.__file__).parent.parent}"}
    words = [sys.executable, *(word.format(tmp_path) for word in program)]
    done = subprocess.run(words, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == code
    assert (done.stderr == "") == (code == 130)
