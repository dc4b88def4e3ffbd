"""Limits of `check` hold in every stage, whatever small files make it do."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import hostile
import numpy as np
import pytest

import qbitsat
from qbitsat.certificate.archive import write_npz
from qbitsat.errors import InputError
from qbitsat.limits import GIB, cpu_seconds, resident_bytes

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
    seconds = re.search(rf"^{count} results in ([\d.]+) s: .* refused, 0 unreadable", out, re.MULTILINE)
    assert float(seconds[1]) < 3 * count


def test_memory(tmp_path):
    hostile.write_all(tmp_path)
    out, code, peak = measured(str(tmp_path), "--timeout", "3", "--memory", "0.25")
    assert code in (5, 20)
    assert "the memory limit" in out
    assert peak < 256 * 1.5  # memory is looked at every few milliseconds, and by then a busy machine has given more


def test_network_of_many_names_is_held_once(tmp_path):
    hostile.write_copies(tmp_path)
    out, _, peak = measured(str(tmp_path), "--memory", "0.25")
    assert "1 results" not in out
    assert "1 accepted (1 HOLDS)" in out
    assert peak < 256


@pytest.fixture
def large(tmp_path) -> Path:
    """A certificate whose header alone takes seconds to read: an And of 131,072 Ors."""
    parts = [{"or": [hostile.below(k % 8, 200 + k % 50)]} for k in range(1 << 17)]
    made = hostile.network(tmp_path, "n", hostile.layer(20, 8))
    return hostile.certificate(tmp_path, "large", [made], {"and": parts}, hostile.TREE, hostile.INFEASIBLE)


@pytest.mark.parametrize("limits", [{"timeout": 0.2}, {"timeout": 1.0}])
def test_time_from_python(large, limits):
    """In seconds of CPU: other work on the machine must not decide."""
    start = cpu_seconds()
    checked = qbitsat.check(large, **limits)
    assert (checked.outcome, checked.reason) == ("not checked", f"needs more than {limits['timeout']:g} s, the time limit")
    assert cpu_seconds() - start < 1.1 * limits["timeout"] + 0.5


def test_memory_from_python(large):
    most = resident_bytes() + (64 << 20)
    checked = qbitsat.check(large, memory=most / GIB)
    assert (checked.outcome, "the memory limit" in checked.reason) == ("not checked", True)
    assert resident_bytes() < 1.1 * most


def test_networks_are_loaded_within_the_limits(tmp_path):
    made = hostile.network(tmp_path, "n", hostile.layer(700, 700))
    path = hostile.certificate(tmp_path, "small", [made], {"and": []}, hostile.TREE, hostile.INFEASIBLE)
    for networks in ((), made[1]):
        for limits in ({"timeout": 1e-9}, {"memory": 1e-9}):
            assert qbitsat.check(path, networks, **limits).outcome == "not checked"


def test_lists_of_nothing_are_refused(tmp_path):
    header = json.dumps({"format": hostile.FORMAT, "lists": [[]] * (1 << 17)}, separators=(",", ":")).encode()
    with open(tmp_path / "lists.cert", "wb") as stream:
        write_npz(stream, {"header": np.frombuffer(header, np.uint8)})
    with pytest.raises(InputError, match=r"header: 131073 lists in .* bytes of JSON, expected at most one in 8"):
        qbitsat.check(tmp_path / "lists.cert")
