"""Persistent worker processes: each verifies one task at a time, and a death costs only the task at hand."""

from __future__ import annotations

import time
import traceback
from collections import deque
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Generic, TypeVar

from ..errors import InputError, QbitsatError
from ..limits import cpu_seconds
from ..solvers.processes import CONTEXT, begin_child, interrupts_held, start
from ..verify import UNKNOWN, Verdict

T = TypeVar("T")
Work = Callable[[T], Verdict]


def run(work: Work[T], tasks: Sequence[T], jobs: int) -> Generator[tuple[T, Verdict], None, None]:
    """Every task with `work(task)`, in the order of completion, from up to `jobs` processes; one job runs right here.

    `work` is handed to each worker once (and pickled where processes can't fork), tasks and verdicts go through pipes.
    A worker that dies leaves UNKNOWN for its task and is replaced. If the system gives fewer processes, those do it; if none, `InputError`.
    An exception of `work` ends the run and is raised here: `QbitsatError` as such, others as `RuntimeError` with the worker's traceback.
    However the run ends, no worker is left.
    """
    jobs = min(jobs, len(tasks))
    if jobs <= 1:
        for task in tasks:
            yield task, work(task)
        return
    waiting = deque(tasks)
    workers = [_Worker(work) for _ in range(jobs)]
    try:
        for worker in workers:
            worker.take(waiting)
        while busy := {worker.connection: worker for worker in workers if worker.busy}:
            for connection in wait(list(busy)):
                worker = busy[connection]  # type: ignore[index]
                task, verdict = worker.task, worker.finish()
                worker.take(waiting)
                yield task, verdict
        if waiting:
            raise InputError(f"jobs: no process can be started: {workers[0].refused}; expected fewer")
    finally:
        for worker in workers:
            worker.end()


class _Worker(Generic[T]):
    """The parent's side: a process, started when there is a task for it, and the task at hand."""

    task: T
    connection: Connection
    process: BaseProcess | None = None
    busy = False
    begun = 0.0
    refused = ""
    # What verdicts of this process have accounted for.
    cpu_seconds = 0.0

    def __init__(self, work: Work[T]):
        self.work = work

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

    def finish(self) -> Verdict:
        """The verdict that is ready on the connection, or UNKNOWN if the process died."""
        self.busy = False
        try:
            kind, content = self.connection.recv()
        except (EOFError, OSError):
            seconds, cpu = time.monotonic() - self.begun, cpu_seconds()
            reason = f"worker died: {self.end(grace=1)}"
            return Verdict(UNKNOWN, reason, seconds=seconds, cpu_seconds=max(0.0, cpu_seconds() - cpu - self.cpu_seconds))
        if kind == "refused":
            raise QbitsatError(content)
        if kind == "fault":
            raise RuntimeError(f"a worker failed:\n{content}")
        self.cpu_seconds += content.cpu_seconds
        return content

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


def _serve(work: Work[T], connection: Connection, parent: int) -> None:
    """The worker: verdicts for tasks until it is killed or its parent is gone."""
    begin_child(parent)
    answer: tuple[str, Any]
    with suppress(EOFError, OSError):
        while True:
            task = connection.recv()
            try:
                answer = "verdict", work(task)
            except QbitsatError as error:
                answer = "refused", str(error)
            except Exception:
                answer = "fault", traceback.format_exc()
            connection.send(answer)
