"""Limits: what raises, and with which reason."""

import os
import subprocess
import sys

import pytest

from qbitsat.limits import GIB, LimitReached, Limits, resident_bytes


def test_limits_none_never_raise():
    Limits().check()


def test_limits_wide_do_not_raise():
    Limits(timeout=3600, memory=1024).check()


def test_limits_timeout_over():
    with pytest.raises(LimitReached) as caught:
        Limits(timeout=0).check()
    assert caught.value.reason == "timeout"


def test_limits_memory_over():
    with pytest.raises(LimitReached) as caught:
        Limits(memory=1 / GIB).check()
    assert caught.value.reason == "memory"


def test_limits_memory_of_another_process(monkeypatch):
    monkeypatch.setattr("qbitsat.limits.resident_bytes", lambda pid: 2 * GIB if pid == 7 else 0)
    limits = Limits(memory=1)
    limits.check()
    with pytest.raises(LimitReached, match="memory"):
        limits.check(7)


def test_limits_seconds_do_not_run_backwards():
    limits = Limits()
    assert 0 <= limits.seconds() <= limits.seconds()


def test_resident_bytes_of_this_process():
    assert 1 << 20 < resident_bytes() < 1 << 40
    assert resident_bytes(os.getpid()) > 1 << 20


def test_resident_bytes_of_an_ended_process():
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    assert resident_bytes(process.pid) == 0
