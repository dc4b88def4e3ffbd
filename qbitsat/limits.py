"""Limits of one query: time and memory, asked for by every stage as it works."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable

try:
    import resource
except ImportError:  # not a POSIX system
    resource = None  # type: ignore[assignment]

GIB = 1 << 30
# Asks whether limits hold, and raises where not; for the process of that number, or for this one.
Tick = Callable[..., None]
_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


class LimitReached(Exception):  # noqa: N818 (a result, not an error)
    """A limit ran out; `reason` becomes the reason of UNKNOWN."""

    def __init__(self, reason: str):
        super().__init__(reason)
        self.reason = reason


def resident_bytes(pid: int | str = "self") -> int:
    """Resident memory of a process; 0 where the system doesn't say or the process is gone."""
    try:
        with open(f"/proc/{pid}/statm", encoding="ascii") as stream:
            return int(stream.read().split()[1]) * _PAGE
    except (OSError, IndexError, ValueError):
        return 0


def cpu_seconds() -> float:
    """User and system time of this process so far, with that of children that have ended and been waited for (POSIX only)."""
    if resource is None:
        return time.process_time()
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


class Limits:
    """timeout in seconds from now and memory in GiB of resident memory of any one process; None for no limit."""

    def __init__(self, timeout: float | None = None, memory: float | None = None):
        self.start = time.monotonic()
        self.timeout = math.inf if timeout is None else timeout
        self.memory = math.inf if memory is None else memory * GIB

    def seconds(self) -> float:
        """Time since the start."""
        return time.monotonic() - self.start

    def check(self, pid: int | str = "self") -> None:
        """Raise `LimitReached` if time is up or the process holds too much memory."""
        if self.seconds() >= self.timeout:
            raise LimitReached("timeout")
        if self.memory < math.inf and resident_bytes(pid) > self.memory:
            raise LimitReached("memory")
