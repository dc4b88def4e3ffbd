"""Interrupts that wait, in a process with further threads that take signals."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from qbitsat.processes import INTERRUPTS, call_undisturbed, interrupts_held


@pytest.fixture(autouse=True)
def bystander():
    """A thread that holds nothing back, as those of numpy's BLAS."""
    done = threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    yield
    done.set()
    thread.join()


def interrupt(number: int = signal.SIGINT) -> None:
    """And time for the handler to run."""
    os.kill(os.getpid(), number)
    for _ in range(20_000):
        pass


def hold(order: list[str], name: str) -> None:
    with interrupts_held():
        interrupt()
        interrupt()
        order.append(name)


def handlers() -> list:
    return [signal.getsignal(number) for number in sorted(INTERRUPTS)]


def test_an_interrupt_waits_until_the_end():
    before = handlers()
    for _ in range(20):
        order = list[str]()
        with pytest.raises(KeyboardInterrupt):
            hold(order, "reached")
        assert order == ["reached"]
        assert handlers() == before


def test_within_another_it_waits_for_that():
    order = list[str]()

    def both() -> None:
        with interrupts_held():
            hold(order, "inner")
            order.append("outer")

    with pytest.raises(KeyboardInterrupt):
        both()
    assert order == ["inner", "outer"]


def test_a_handler_of_ones_own_hears_of_it_once(monkeypatch):
    heard, before = [], signal.signal(signal.SIGTERM, lambda number, _: heard.append(number))
    try:
        with interrupts_held():
            interrupt(signal.SIGTERM)
            assert heard == []
        assert heard == [signal.SIGTERM]
        interrupt(signal.SIGTERM)
        assert heard == [signal.SIGTERM] * 2
    finally:
        signal.signal(signal.SIGTERM, before)


def test_what_fails_is_raised_and_nothing_is_held_any_more():
    before = handlers()
    with pytest.raises(ValueError, match="failed"), interrupts_held():
        raise ValueError("failed")
    assert handlers() == before


def test_in_another_thread_nothing_is_to_be_held():
    found = []

    def hold() -> None:
        with interrupts_held():
            found.append(handlers())

    thread = threading.Thread(target=hold)
    thread.start()
    thread.join()
    assert found == [handlers()]


def test_call_undisturbed_gives_and_raises_what_work_does(monkeypatch):
    assert call_undisturbed(divmod, 7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        call_undisturbed(divmod, 7, 0)

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert call_undisturbed(divmod, 7, 2) == (3, 1)


SOLVING = """
import os, signal, subprocess, threading
from pysat.examples.genhard import PHP
from pysat.solvers import Solver
from qbitsat.processes import call_undisturbed

def solve(clauses):
    with Solver(name="glucose4", bootstrap_with=clauses) as solver:
        solver.conf_budget(40_000)
        subprocess.Popen(["sh", "-c", f"sleep 0.05; kill -INT {os.getpid()}"])
        return solver.solve_limited()

threading.Thread(target=threading.Event().wait, daemon=True).start()
try:
    print("solved", call_undisturbed(solve, PHP(9).clauses), flush=True)
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


def test_an_interrupt_while_pysat_solves_does_not_end_the_process():
    """Its own handler for Ctrl-C would jump from the thread that takes the signal into the stack of another."""
    ended = subprocess.run([sys.executable, "-c", SOLVING], capture_output=True, text=True, timeout=120)
    assert (ended.returncode, ended.stdout) == (0, "interrupted\n"), ended.stderr
