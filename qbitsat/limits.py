"""Limits of one query: time and memory, asked for by every stage as it works."""

from __future__ import annotations

import gc
import logging
import math
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from inspect import ismethod
from typing import Any, Protocol
from weakref import WeakMethod

from .errors import UnsupportedError
from .threads import Made, Part, leads, look, own_team, work_together

try:
    import resource
except ImportError:  # not a POSIX system
    resource = None  # type: ignore[assignment]

LOG = logging.getLogger(__name__)
GIB = 1 << 30
# Multiply-adds, or as much other work, between two looks at the limits: some hundredths of a second.
SLICE = 1 << 25
# As many that are worth a thread.
THREAD = 1 << 22
# Seconds between two looks at this process's memory.
LOOK_SECONDS = 0.002
# The part of the memory that is left which one batch may take.
BATCH_SHARE = 0.5
# Asks whether limits hold, and raises where not; for the process of that number, or for this one.
Tick = Callable[..., None]
# Seconds between two reports of progress.
REPORT_SECONDS = 0.25
# Objects that the cycle collector looks at in some milliseconds.
MANY = 1 << 14
_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


class LimitReached(Exception):  # noqa: N818 (a result, not an error)
    """A limit ran out; `reason` becomes the reason of UNKNOWN."""

    def __init__(self, reason: str):
        super().__init__(reason)
        self.reason = reason


# What ends work without an answer; of the system: no process, no open file or no room on a disk to be had.
ENDS = (LimitReached, MemoryError, UnsupportedError, OSError)


def reason_of(end: Exception) -> str:
    """The reason of UNKNOWN that one of `ENDS` gives."""
    if isinstance(end, LimitReached):
        return end.reason
    if isinstance(end, MemoryError):
        return "memory"
    return (end.strerror if isinstance(end, OSError) else None) or str(end)


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


@dataclass(frozen=True)
class Progress:
    """How far a query has got.

    stage    what is at work: "bounds", "attack", "search" or "sat"
    seconds  wall time since the query began
    counts   what the stage has counted so far, by the names of `Verdict.statistics`
    """

    stage: str
    seconds: float
    counts: Mapping[str, float] = field(default_factory=dict)


class Guest(Protocol):
    """Work in turns with a child process, or beside it."""

    beside: bool

    def due(self) -> bool:
        """Whether it is the guest's turn."""

    def work(self, seconds: float | None = None) -> None:
        """One turn, of so many seconds where it is not due yet."""


class Limits:
    """timeout in seconds from now and memory in GiB of resident memory of any one process; None for no limit.

    cancel is an event that ends the query once another thread sets it; progress is called, in the thread that works, a few
    times a second. cores are threads that may work at the same time.
    """

    def __init__(
        self,
        timeout: float | None = None,
        memory: float | None = None,
        cancel: threading.Event | None = None,
        progress: Callable[[Progress], object] | None = None,
        cores: int = 1,
    ):
        self.start = time.monotonic()
        self.timeout = math.inf if timeout is None else timeout
        self.memory = math.inf if memory is None else memory * GIB
        self.cancel, self.progress = cancel, progress
        self.cores = cores
        self.looked = -math.inf
        self.stage = ""
        # Who works while a child process is waited for; see `search.guest`.
        self.guest: Guest | None = None
        self._counts: Callable[[], Callable[[], Mapping[str, float]] | None] = lambda: None
        self._next_report = 0.0

    def __getstate__(self) -> dict[str, Any]:
        """What another process needs: this one alone hears of `cancel`, and reports."""
        return {**self.__dict__, "cancel": None, "progress": None, "guest": None, "_counts": None, "cores": 1}

    def begin(self, stage: str, counts: Callable[[], Mapping[str, float]] = dict) -> None:
        """A stage begins: it is logged and reported, with what `counts` returns then and later.

        Methods are held weakly: whose they are holds these limits, and all its memory would wait for the collector of cycles.
        """
        self._counts = WeakMethod(counts) if ismethod(counts) else lambda: counts
        self.stage, self._next_report = stage, 0.0
        LOG.debug("%s after %.3f s", stage, self.seconds())
        self.check()

    def part(self, seconds: float, cores: int | None = None) -> Limits:
        """These limits, for at most so many seconds from now, and for so many threads."""
        part = Limits()
        part.__dict__.update(self.__dict__, timeout=min(self.timeout, self.seconds() + seconds), cores=cores or self.cores)
        return part

    def hosting(self, guest: Guest) -> Limits:
        """These limits, with who works while a child process is waited for."""
        hosting = self.part(math.inf)
        hosting.guest = guest
        return hosting

    def seconds(self) -> float:
        """Time since the start."""
        return time.monotonic() - self.start

    def check(self, pid: int | str = "self") -> None:
        """Raise `LimitReached` if time is up, the query was cancelled or the process holds too much memory."""
        if self.cancel is not None and self.cancel.is_set():
            raise LimitReached("cancelled")
        seconds = self.seconds()
        look()
        if self.progress is not None and seconds >= self._next_report and leads():
            self._next_report = seconds + REPORT_SECONDS
            counts = self._counts()
            self.progress(Progress(self.stage, seconds, dict(counts()) if counts else {}))
        if seconds >= self.timeout:
            raise LimitReached("timeout")
        # Asking the system takes longer than most of what is done between two looks.
        if self.memory < math.inf and (pid != "self" or seconds - self.looked >= LOOK_SECONDS):
            self.looked = seconds
            if resident_bytes(pid) > self.memory:
                raise LimitReached("memory")

    def require(self, size: float, seconds: float = 0.0) -> None:
        """Raise `LimitReached` if so many bytes more would be too much memory, or time is up, or not so much of it is left.

        seconds are for what is not worked on in slices: an estimate that is rather too low.
        """
        self.check()
        if seconds and self.seconds() + seconds >= self.timeout:
            raise LimitReached("timeout")
        if not self.has_room(size):
            raise LimitReached("memory")

    def has_room(self, size: float) -> bool:
        """Whether so many bytes more, in each thread that works for this query now, would not be too much memory."""
        return self.memory == math.inf or resident_bytes() + size * _sharing() <= self.memory

    def fit(self, count: int, size: float) -> int:
        """How many of `count` items of so many bytes may be worked on together; raises `LimitReached` if not even one."""
        if count <= 0 or self.memory == math.inf:
            return count
        left = (self.memory - resident_bytes()) / _sharing()
        if size > left:
            raise LimitReached("memory")
        return max(1, min(count, int(BATCH_SHARE * left / max(1.0, size))))

    def shares(self, count: int, work: float) -> list[slice]:
        """range(count) in slices for `spread`, as many as pay; work is that of one item, in multiply-adds."""
        n = max(1, min(self.cores, count, int(count * work / THREAD))) if own_team() is None else 1
        return [slice(count * k // n, count * (k + 1) // n) for k in range(n)]

    def spread(self, work: Callable[[Part], Made], parts: Sequence[Part]) -> list[Made]:
        """What `work` makes of each part, of which there are at most `cores`, each in a thread of its own; see `threads.work_together`."""
        return work_together(work, parts) if len(parts) > 1 else [work(parts[0])]

    def slices(self, count: int, work: float, size: float = 0.0) -> Iterator[slice]:
        """range(count) in slices of about SLICE in all, with a look at the limits before each.

        work and size are those of one item: multiply-adds, and the bytes that it takes for as long as its slice is worked on.
        """
        start, most = 0, max(1, int(SLICE / max(1.0, work)))
        while start < count:
            self.check()
            stop = start + (self.fit(min(most, count - start), size) if size else min(most, count - start))
            yield slice(start, stop)
            start = stop


def _sharing() -> int:
    """How many threads share the memory that is left."""
    team = own_team()
    return 1 if team is None else team.size


@contextmanager
def uncollected() -> Iterator[None]:
    """For work that makes many objects and no cycles of them: the cycle collector does not look for any until this is left."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        # Many count as old at once: the next look at what is young is at all that was made.
        if gc.get_count()[0] > MANY and not gc.get_freeze_count():
            gc.freeze()
            gc.unfreeze()
        gc.enable()


@contextmanager
def set_aside(count: int) -> Iterator[None]:
    """What there is already, `count` objects of interest among it, is passed over by the cycle collector until this is left.

    A look at a million objects takes longer than a limit may be exceeded. Few are not worth it, and what others have set aside stays so.
    """
    ours = count > MANY and not gc.get_freeze_count()
    if ours:
        gc.freeze()
    try:
        yield
    finally:
        if ours:
            gc.unfreeze()


# For who asks for no limits.
NO_LIMITS = Limits()
