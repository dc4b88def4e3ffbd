"""Limits in seconds of CPU instead of wall time, for figures that do not depend on who else is at work."""

from __future__ import annotations

import os
import time

from qbitsat import limits
from qbitsat.limits import cpu_seconds

TICKS = os.sysconf("SC_CLK_TCK")


def seconds() -> float:
    """CPU time of this process, of the children that it has had, and of those that it has (Linux only)."""
    with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as stream:
        return cpu_seconds() + sum(map(seconds_of, map(int, stream.read().split())))


def seconds_of(child: int) -> float:
    """CPU time of a child; 0 if it has ended."""
    try:
        with open(f"/proc/{child}/stat", "rb") as stat:
            user, system = stat.read().rpartition(b")")[2].split()[11:13]
    except OSError:
        return 0.0
    return (int(user) + int(system)) / TICKS


class Clock:
    """What `limits` takes of the module `time`."""

    monotonic = staticmethod(seconds)
    process_time = staticmethod(time.process_time)


def begin() -> None:
    """From now on all limits of this process are in seconds of CPU."""
    limits.time = Clock  # type: ignore[assignment]
