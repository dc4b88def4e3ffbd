"""Child processes that never outlive the process that needs them."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from typing import Any

PR_SET_PDEATHSIG = 1

# Forked children share the parent's memory; away from Linux, forking a process that has used system libraries is unsafe.
CONTEXT: Any = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")


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
    """First call of a child: it dies with its parent, and Ctrl-C, which reaches all processes of a terminal, is the parent's."""
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    die_with_parent(parent)


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Ctrl-C waits until this is left; ignoring it would not do, as PySAT sets a handler of its own while it solves."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
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
