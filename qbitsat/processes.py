"""Child processes that never outlive the process that needs them."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext, suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import Any, TypeVar

from .limits import GIB, LimitReached, Limits, resident_bytes

Made = TypeVar("Made")
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


class _Held:
    """A handler in place of another, which hears of a signal once none is held any more."""

    def __init__(self, number: int):
        self.number, self.before, self.holds = number, signal.getsignal(number), True
        self.heard: list[FrameType | None] = []

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self.holds:
            self.heard.append(frame)
        elif callable(self.before):
            self.before(number, frame)


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Interrupts wait until this is left.

    That the main thread blocks them keeps them from children that begin here, and from ending the process. It is not enough where there are
    other threads, such as those of numpy's BLAS: they take the signal, and the main thread runs Python's handler all the same.
    """
    masked = signal.pthread_sigmask(signal.SIG_BLOCK, INTERRUPTS) if hasattr(signal, "pthread_sigmask") else None
    main = threading.current_thread() is threading.main_thread()  # that alone sets handlers, and runs them
    held = [_Held(number) for number in INTERRUPTS if main and callable(signal.getsignal(number))]
    try:
        for handler in held:
            signal.signal(handler.number, handler)
        yield
    finally:
        if masked is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, masked)
        for handler in held:
            handler.holds = False
        # An interrupt from here on goes on to the one before.
        for handler in held:
            signal.signal(handler.number, handler.before)
        for handler in held:
            if handler.heard and callable(handler.before):
                handler.before(handler.number, handler.heard[0])


def call_undisturbed(work: Callable[..., Made], *args: Any) -> Made:
    """work(*args) of a solver of PySAT, to its end: interrupts wait.

    In a thread of its own, because in the main one PySAT sets a handler for Ctrl-C that jumps back to where it was called, whichever thread
    has the signal. That ends the process.
    """
    if threading.current_thread() is not threading.main_thread():
        return work(*args)
    with interrupts_held(), ThreadPoolExecutor(1) as thread:
        try:
            answer = thread.submit(work, *args)
        except RuntimeError:  # no thread can begin
            return work(*args)
        return answer.result()


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
