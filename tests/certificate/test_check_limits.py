"""Limits of `check` hold in every stage, whatever small files make it do."""

import os
import re
import subprocess
import sys
from pathlib import Path

import hostile

import qbitsat

# A command, and the most memory that it or a child of it held, in MiB; this process is small, so that none inherits from it.
MEASURE = """
import resource, subprocess, sys
done = subprocess.run([sys.executable, "-m", "qbitsat", "check", *sys.argv[1:]], capture_output=True, text=True)
print(done.stdout + done.stderr)
print("code", done.returncode, "peak", resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024)
"""


def measured(*arguments: str) -> tuple[str, int, int]:
    """Output, exit code and peak of `check`."""
    environment = {**os.environ, "PYTHONPATH": str(Path(qbitsat.__file__).parent.parent)}
    done = subprocess.run([sys.executable, "-c", MEASURE, *arguments], capture_output=True, text=True, env=environment, check=True)
    code, peak = re.search(r"^code (\d+) peak (\d+)$", done.stdout, re.MULTILINE).groups()
    return done.stdout, int(code), int(peak)


def test_time(tmp_path):
    """Each ends within 1.1 times the limit and half a second; with slack for machines that are busy."""
    hostile.write_all(tmp_path)
    count = len(list(tmp_path.glob("*.cert")))
    out, code, _ = measured(str(tmp_path), "--timeout", "1")
    assert code in (5, 20)
    assert "Traceback" not in out
    seconds = re.search(rf"^{count} results in ([\d.]+) s: 0 accepted, \d+ refused, 0 unreadable", out, re.MULTILINE)
    assert float(seconds[1]) < 3 * count


def test_memory(tmp_path):
    hostile.write_all(tmp_path)
    out, code, peak = measured(str(tmp_path), "--timeout", "3", "--memory", "0.25")
    assert code in (5, 20)
    assert "the memory limit" in out
    assert peak < 256 * 1.25


def test_network_of_many_names_is_held_once(tmp_path):
    hostile.write_copies(tmp_path)
    out, _, peak = measured(str(tmp_path), "--memory", "0.25")
    assert "1 results" not in out
    assert "1 accepted (1 HOLDS)" in out
    assert peak < 256
