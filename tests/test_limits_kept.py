"""All of `verify` keeps limits, whatever the sizes of networks and queries: cases of bench/limits.py, each in a process of its own."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.limits import LEAST
from qbitsat.limits import GIB

# Seconds of CPU, not of wall time: other work on the machine must not decide. The goal is half a second.
SLACK = 1.5
IN_TIME = (
    "wide-1000-time-1",
    "wide-1000-attack-time-1",
    "wide-1000-certificates-time-1",
    "wide-1000-sat-narrowed-time-2",
    "wide-1000-sat-substituted-time-2",
    "wide-1000-tighten-1000000-time-1",
    "twins-1000-time-1",
    "channels-3000-time-1",
    "And-131072-hybrid-time-1",
    "And-131072-sat-time-1",
    "Or-20000-hybrid-time-1",
    "clauses-131072-hybrid-time-1",
    "clauses-131072-enumerate-attack-time-1",
    "terms-400000-auto-time-1",
    "terms-400000-sat-time-1",
    "chain-6000-auto-time-1",
    "steps-1000000-time-1",
    "polish-1000000-time-1",
)
# With three seconds, in which each of them used to exceed its limit.
IN_MEMORY = ("wide-1000-memory-0.05", "wide-1000-memory-0.25", "wide-1000-sat-linear-memory-0.25", "channels-1000-memory-0.1")


def run(name: str, **changed) -> dict:
    """The record of a case."""
    program = f"import json, bench.limits as limits; print(json.dumps(limits.run({name!r}, **{changed!r})))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=Path(__file__).parents[1], check=True)
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", IN_TIME)
def test_time(name):
    record = run(name)
    assert record["reason"] in ("", "timeout")
    assert record["cpu"] <= 1.1 * record["timeout"] + SLACK


@pytest.mark.parametrize("name", IN_MEMORY)
def test_memory(name):
    record = run(name, timeout=3.0)
    assert record["peak"] <= 1.1 * record["memory"]


def test_memory_that_is_held_already_ends_a_query_at_once():
    record = run("held-already")
    assert (record["verdict"], record["reason"]) == ("UNKNOWN", "memory")
    assert LEAST * GIB < record["peak"] < record["held"] + (1 << 24)
    assert record["cpu"] < 0.5
