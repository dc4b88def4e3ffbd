"""`check` as a process: Ctrl-C, a reader that leaves, certificates that need more than the limits and never look at them."""

import os
import re
import signal
import subprocess

import pytest
from processes import is_running, wait_until
from test_as_process import start

# Checking as always, but the certificate of sample 1 does something else, after telling the id of the process.
INSTEAD = """
import os, pathlib, time
import qbitsat.cli.check as command
from qbitsat.certificate.folder import check_item
from qbitsat.cli.main import entry

def check_or_hang(item, means):
    if item.path is None or item.path.name != "sample1_eps1.cert":
        return check_item(item, means)
    pathlib.Path("partial").write_text(str(os.getpid()))
    pathlib.Path("partial").rename("pid")
    {instead}

if __name__ == "__main__":
    command.check_item = check_or_hang
    entry()
"""
HANG, FILL, DIE = "time.sleep(600)", "rows = [b'x' * (1 << 20) for _ in range(8 << 10)]", "os._exit(7)"


@pytest.fixture
def instead(results, tmp_path):
    """Start `check` with something else for sample 1; the process."""
    started = []

    def run(code: str, *more: str) -> subprocess.Popen:
        (tmp_path / "instead.py").write_text(INSTEAD.format(instead=code))
        process = start("instead.py", "check", str(results), *more, cwd=tmp_path)
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("jobs", ["1", "2"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupt_keeps_the_summary(instead, tmp_path, jobs, number):
    process = instead(HANG, "--jobs", jobs)
    assert wait_until((tmp_path / "pid").exists)
    if jobs == "2":
        assert any("not checked" in process.stdout.readline() for _ in range(9))  # the last of the others
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 128 + number
    assert "Traceback" not in err
    # One job begins the next task before it tells of the last one.
    assert re.search(r"; [01] results" if jobs == "1" else "; 3 results", err)
    assert "0 refused" in out.splitlines()[-1]
    assert wait_until(lambda: not is_running(int((tmp_path / "pid").read_text())))


@pytest.mark.parametrize(("code", "reason"), [(HANG, "0.5 s, the time limit"), (FILL, "0.2 GiB, the memory limit"), (DIE, "exit code 7")])
def test_process_that_has_to_be_ended_costs_its_certificate(instead, code, reason):
    limits = ("--memory", "0.2") if code == FILL else ("--timeout", "0.5") if code == HANG else ()
    process = instead(code, *limits)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 5
    assert err == ""
    assert next(line for line in out.splitlines() if line.startswith("not checked  ")).endswith(reason)
    assert "2 accepted (2 HOLDS), 0 refused, 0 unreadable, 2 not checked" in out


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_reader_that_leaves_is_no_fault(results, jobs):
    process = start("-m", "qbitsat", "check", str(results), "--jobs", jobs)
    process.stdout.close()
    err = process.stderr.read()
    process.stderr.close()
    assert (process.wait(), err) == (141, "")


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-"])
def test_closed_streams(results, closed):
    command = f"exec {os.sys.executable} -m qbitsat check {results / 'certificates'} {closed}"
    assert subprocess.run(["sh", "-c", command], capture_output=True, timeout=60).returncode == 0
