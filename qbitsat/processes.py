"""Child processes that never outlive the process that needs them."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import pickle
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from .limits import GIB, LimitReached, Limits, resident_bytes

PR_SET_PDEATHSIG = 1
POLL_SECONDS = 0.02
EXIT_MEMORY = 3

# Ctrl-C, the end of a job, the end of a terminal.
INTERRUPTS = {getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)}

# Forked children share the parent's memory; away from Linux, forking a process that has used system libraries is unsafe.
CONTEXT: Any = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")


class ChildDied(Exception):  # noqa: N818 (a result, not an error)
    """A child ended without an answer; `exitcode` is negative for a signal."""

    def __init__(self, exitcode: int | None):
        super().__init__(f"died with exit code {exitcode}")
        self.exitcode = exitcode


def call_in_child(limits: Limits, work: Callable[..., Any], *args: Any) -> Any:
    """work(*args), computed in a child that is killed when a limit runs out.

    It is stopped while the limits' guest works, unless that works beside it.

    Raises `LimitReached` for "timeout" and "memory", and `ChildDied` if the child crashes or `work` raises.
    """
    receiver, sender = CONTEXT.Pipe(duplex=False)
    memory = None if limits.memory == float("inf") else int(limits.memory)
    child = None
    try:
        # Ctrl-C between the fork and the assignment would lose the child.
        with interrupts_held():
            child = start(_answer, sender, work, args, memory, daemon=True)
            sender.close()
        while not receiver.poll(max(0.0, min(POLL_SECONDS, limits.timeout - limits.seconds()))):
            limits.check(child.pid or 0)
            # Not left to the end of the pipe: another thread's fork may hold its other end open.
            if not child.is_alive() and not receiver.poll():
                raise EOFError
            if limits.guest is not None and limits.guest.due():
                with nullcontext() if limits.guest.beside else _stopped(child):
                    limits.guest.work()
        return receiver.recv()
    except (EOFError, OSError, pickle.UnpicklingError):
        if child is None:
            raise
        child.kill()
        child.join()
        killed_for_memory = child.exitcode == -signal.SIGKILL and limits.memory < float("inf")
        if killed_for_memory or child.exitcode == EXIT_MEMORY:
            raise LimitReached("memory") from None
        raise ChildDied(child.exitcode) from None
    finally:
        if child is not None:
            child.kill()
            child.join()
        receiver.close()


@contextmanager
def _stopped(child: BaseProcess) -> Iterator[None]:
    """The child rests, where the system knows how to stop one; else both work."""
    _signal(child, "SIGSTOP")
    try:
        yield
    finally:
        _signal(child, "SIGCONT")


def _signal(child: BaseProcess, name: str) -> None:
    """Send a signal, where the system has it, to a child that is there: once it is known to have ended, its number may be another's."""
    number = getattr(signal, name, None)
    if number is not None and child.is_alive() and child.pid is not None:
        with suppress(ProcessLookupError):  # another thread may have asked how it is
            os.kill(child.pid, number)


def _answer(sender: Connection, work: Callable[..., Any], args: tuple[Any, ...], memory: int | None, parent: int) -> None:
    """The child: send what `work` returns."""
    begin_child(parent)
    if memory is not None and not resident_bytes():
        _limit_address_space(memory)
    try:
        sender.send(work(*args))
    except MemoryError:
        raise SystemExit(EXIT_MEMORY) from None


def _limit_address_space(memory: int) -> None:
    """The limit where resident memory can't be watched from outside; 1 GiB more for what is mapped but not used."""
    try:
        import resource
    except ImportError:
        return
    resource.setrlimit(resource.RLIMIT_AS, (memory + GIB, memory + GIB))


def start(target: Callable[..., None], *args: Any, daemon: bool = False) -> BaseProcess:
    """A running child that calls target(*args, this process's id); it begins with `begin_child` on that id."""
    child = CONTEXT.Process(target=target, args=(*args, os.getpid()), daemon=daemon)
    with warnings.catch_warnings(), _may_have_children():
        # Python warns of threads at a fork; the only ones here are those of numpy's BLAS, which survives forks.
        warnings.simplefilter("ignore", DeprecationWarning)
        child.start()
    return child


@contextmanager
def _may_have_children() -> Iterator[None]:
    """Workers of multiprocessing.Pool are daemonic and so may not start processes; ours die with their parent anyway."""
    config = multiprocessing.process.current_process()._config  # type: ignore[attr-defined]
    daemonic = config.get("daemon")
    config["daemon"] = False
    try:
        yield
    finally:
        config["daemon"] = daemonic


def begin_child(parent: int) -> None:
    """First call of a child: it dies with its parent, and signals that reach all processes of a terminal or a job are the parent's."""
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_BLOCK, INTERRUPTS)
    die_with_parent(parent)


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Interrupts wait until this is left; ignoring them would not do, as PySAT sets a handler of its own for Ctrl-C while it solves."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, INTERRUPTS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def die_with_parent(parent: int | None = None) -> None:
    """Called in a child: have the kernel kill this process when its parent ends, however that ends.

    parent is the parent's process id where the caller knows it: a parent that ended before this call is then noticed
    too, and this process exits at once. Linux only; elsewhere this does nothing.
    """
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if parent is not None and os.getppid() != parent:
        os._exit(1)
