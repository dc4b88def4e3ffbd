"""Limits: what raises, and with which reason."""

import gc
import os
import subprocess
import sys

import pytest

from qbitsat.limits import GIB, MANY, LimitReached, Limits, resident_bytes, set_aside, uncollected


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


def test_slices_cut_work_and_look_each_time(monkeypatch):
    monkeypatch.setattr("qbitsat.limits.SLICE", 100)
    limits, looks = Limits(), []
    monkeypatch.setattr(limits, "check", lambda: looks.append(None))
    assert list(limits.slices(7, 30)) == [slice(0, 3), slice(3, 6), slice(6, 7)]
    assert len(looks) == 3
    assert list(limits.slices(3, 1000)) == [slice(0, 1), slice(1, 2), slice(2, 3)]
    assert list(limits.slices(0, 1)) == []


def test_memory_is_asked_for_before_it_is_taken(monkeypatch):
    monkeypatch.setattr("qbitsat.limits.resident_bytes", lambda pid="self": GIB // 2)
    limits = Limits(memory=1)
    limits.require(GIB // 2)
    assert (limits.fit(100, GIB // 8), limits.fit(100, GIB // 2), limits.fit(100, 1), limits.fit(0, 2 * GIB)) == (2, 1, 100, 0)
    for ask in (limits.require, lambda size: limits.fit(1, size), lambda size: next(limits.slices(1, 1, size))):
        with pytest.raises(LimitReached, match="memory"):
            ask(GIB // 2 + 1)
    assert Limits().fit(100, 1 << 60) == 100


def test_limits_require_the_time_that_something_takes():
    Limits(timeout=60).require(0.0, seconds=1.0)
    with pytest.raises(LimitReached, match="timeout"):
        Limits(timeout=60).require(0.0, seconds=61.0)


def test_what_is_set_aside_is_put_back():
    frozen = gc.get_freeze_count()
    with set_aside(MANY + 1):
        assert gc.get_freeze_count() > frozen
        with set_aside(MANY + 1):
            assert gc.get_freeze_count() > frozen
        assert gc.get_freeze_count() > frozen
    with set_aside(MANY):
        assert gc.get_freeze_count() == frozen
    assert gc.get_freeze_count() == frozen == 0


def test_what_others_have_set_aside_stays_so():
    gc.freeze()
    try:
        with set_aside(MANY + 1), uncollected():
            made = [[] for _ in range(MANY + 1)]
        assert gc.get_freeze_count() > 0
        assert len(made) > MANY
    finally:
        gc.unfreeze()


@pytest.mark.parametrize("count", [1, 4 * MANY])
def test_cycles_are_collected_again_afterwards(count):
    class Cycle:
        live = 0

        def __init__(self):
            self.me, Cycle.live = self, Cycle.live + 1

        def __del__(self):
            Cycle.live -= 1

    with uncollected():
        assert not gc.isenabled()
        made = [Cycle() for _ in range(count)]
    assert gc.isenabled()
    del made
    gc.collect()
    assert Cycle.live == 0


def test_a_collector_that_is_off_stays_off():
    gc.disable()
    try:
        with uncollected():
            assert not gc.isenabled()
        assert not gc.isenabled()
    finally:
        gc.enable()
