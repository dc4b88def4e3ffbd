"""Persistent worker processes: each works on one task at a time, and a death costs only the task at hand."""

from __future__ import annotations

import time
import traceback
from collections import deque
from collections.abc import Callable, Generator, Iterable
from contextlib import suppress
from itertools import chain, islice
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Generic, TypeVar

from ..errors import ArgumentError, QbitsatError
from ..limits import GIB, cpu_seconds, resident_bytes
from ..processes import CONTEXT, POLL_SECONDS, begin_child, interrupts_held, start
from ..verify import UNKNOWN, Verdict

T = TypeVar("T")
R = TypeVar("R")
# The result of a task that was lost: why, and the wall and CPU seconds that it had.
Lost = Callable[[T, str, float, float], R]


def unknown(task: Any, reason: str, seconds: float, cpu: float) -> Verdict:
    """The verdict of a lost task."""
    return Verdict(UNKNOWN, reason, seconds=seconds, cpu_seconds=cpu)


def run(
    work: Callable[[T], R],
    tasks: Iterable[T],
    jobs: int,
    lost: Lost[T, R] = unknown,  # type: ignore[assignment]
    ends: tuple[float, float] | None = None,
) -> Generator[tuple[T, R], None, None]:
    """Every task with `work(task)`, in the order of completion, from up to `jobs` processes; one job runs right here.

    `work` is handed to each worker once (and pickled where processes can't fork), tasks and results go through pipes; tasks are taken as
    they are needed. A worker that dies leaves what `lost` makes of its task and is replaced. ends are seconds, and GiB of resident memory,
    at which a worker is killed, with the reasons "timeout" and "memory"; then one job, too, has a process. If the system gives fewer
    processes, those do it; if none, `InputError`. An exception of `work` ends the run and is raised here: `QbitsatError` as such, others
    as `RuntimeError` with the worker's traceback. However the run ends, no worker is left.
    """
    rest = iter(tasks)
    waiting = deque(islice(rest, jobs))
    if ends is None and min(jobs, len(waiting)) <= 1:
        for task in chain(waiting, rest):
            yield task, work(task)
        return
    workers = [_Worker(work, lost) for _ in range(len(waiting))]
    try:
        for worker in workers:
            worker.take(waiting)
        while busy := {worker.connection: worker for worker in workers if worker.busy}:
            ready = wait(list(busy), POLL_SECONDS if ends else None)
            for connection, worker in busy.items():
                reason = ends and connection not in ready and worker.over(*ends)
                if connection in ready or reason:
                    task, result = worker.task, worker.give_up(reason) if reason else worker.finish()
                    waiting.extend(islice(rest, 1))
                    worker.take(waiting)
                    yield task, result
        if waiting:
            raise ArgumentError("jobs", f"no process can be started: {workers[0].refused}; expected fewer")
    finally:
        for worker in workers:
            worker.end()


class _Worker(Generic[T, R]):
    """The parent's side: a process, started when there is a task for it, and the task at hand."""

    task: T
    connection: Connection
    process: BaseProcess | None = None
    busy = False
    begun = 0.0
    refused = ""
    # What verdicts of this process have accounted for.
    cpu_seconds = 0.0

    def __init__(self, work: Callable[[T], R], lost: Lost[T, R]):
        self.work, self.lost = work, lost

    def take(self, waiting: deque[T]) -> None:
        """Hand over the next task, if any; a process that is gone is replaced first, and if the system refuses that, others take it."""
        if not waiting:
            return
        if self.process is None:
            try:
                self._start()
            except OSError as error:
                self.refused = error.strerror or str(error)
                return
        task = waiting.popleft()
        self.task, self.busy, self.begun = task, True, time.monotonic()
        # A process that has just died is noticed as the end of its connection.
        with suppress(OSError):
            self.connection.send(task)

    def finish(self) -> R:
        """The result that is ready on the connection, or that of a task that is lost if the process died."""
        try:
            kind, content = self.connection.recv()
        except (EOFError, OSError):
            return self.give_up()
        self.busy = False
        if kind == "refused":
            raise QbitsatError(content)
        if kind == "fault":
            raise RuntimeError(f"a worker failed:\n{content}")
        self.cpu_seconds += getattr(content, "cpu_seconds", 0.0)
        return content

    def give_up(self, reason: str = "") -> R:
        """End the process, at once if there is a reason, and leave its task."""
        self.busy = False
        seconds, cpu = time.monotonic() - self.begun, cpu_seconds()
        ended = self.end(grace=0 if reason else 1)
        return self.lost(self.task, reason or f"worker died: {ended}", seconds, max(0.0, cpu_seconds() - cpu - self.cpu_seconds))

    def over(self, seconds: float, memory: float) -> str:
        """Which end the process has reached, if any."""
        if time.monotonic() - self.begun > seconds:
            return "timeout"
        pid = self.process.pid if self.process else None
        return "memory" if pid and resident_bytes(pid) > memory * GIB else ""

    def end(self, grace: float = 0) -> str:
        """Kill the process if it still runs after `grace` seconds, and say how it ended."""
        if self.process is None or self.process.pid is None:
            return "never started"
        self.connection.close()
        self.process.join(grace)
        self.process.kill()
        self.process.join()
        code, self.process = self.process.exitcode or 0, None
        return f"signal {-code}" if code < 0 else f"exit code {code}"

    def _start(self) -> None:
        self.cpu_seconds = 0.0
        self.connection, theirs = CONTEXT.Pipe()
        try:
            # Not daemonic: a daemonic process may not start the child that runs the solver.
            # Ctrl-C between the fork and the assignment would leave a worker that nobody ends.
            with theirs, interrupts_held():
                self.process = start(_serve, self.work, theirs)
        except OSError:
            self.connection.close()
            raise


def _serve(work: Callable[[T], R], connection: Connection, parent: int) -> None:
    """The worker: results for tasks until it is killed or its parent is gone."""
    begin_child(parent)
    answer: tuple[str, Any]
    with suppress(EOFError, OSError):
        while True:
            task = connection.recv()
            try:
                answer = "result", work(task)
            except QbitsatError as error:
                answer = "refused", str(error)
            except Exception:
                answer = "fault", traceback.format_exc()
            connection.send(answer)
