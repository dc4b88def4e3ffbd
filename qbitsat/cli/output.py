"""What `verify` prints: a line for each query as it ends, how far it is, and a summary."""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ..campaign import Task
from ..network import Network
from ..report import details, result_line, summary
from ..verify import HOLDS, UNKNOWN, VIOLATED, Verdict

EXIT_HOLDS, EXIT_BAD_INPUT, EXIT_UNKNOWN, EXIT_VIOLATED = 0, 2, 5, 10


class Progress:
    """How many are done, on standard error if that is a terminal; tqdm (the extra `progress`) shows it, and without it nothing does."""

    def __init__(self, total: int | None, unit: str, done: int = 0):
        self.bar: Any = None
        if not sys.stderr.isatty():
            return
        try:
            from tqdm import tqdm
        except ImportError:
            return
        # Neither a thread that watches the bar nor a lock that processes share: we fork, and children show nothing.
        tqdm.monitor_interval = 0
        tqdm.set_lock(threading.RLock())
        self.bar = tqdm(total=total, initial=done, unit=unit, file=sys.stderr, leave=False, dynamic_ncols=True)

    def add(self, note: str) -> None:
        """One more is done; `note` says what came of all."""
        if self.bar is not None:
            self.bar.set_postfix_str(note, refresh=False)
            self.bar.update()

    def at(self, done: int, note: str) -> None:
        """So many are done; `note` says what is at work."""
        if self.bar is not None:
            self.bar.set_postfix_str(note, refresh=False)
            self.bar.n = done
            self.bar.refresh()

    def print(self, text: str) -> None:
        """Lines on standard output, above the bar."""
        if self.bar is not None:
            self.bar.clear()
        print(text, flush=True)
        if self.bar is not None:
            self.bar.refresh()

    def close(self) -> None:
        """Take the bar off the terminal."""
        if self.bar is not None:
            self.bar.close()


class Printer:
    """Takes results in the order of completion, and prints them so: a line says which sample and eps it is about."""

    def __init__(
        self,
        network: Network,
        tasks: Sequence[Task],
        quiet: bool = False,
        verbose: bool = False,
        finished: Mapping[int, Verdict] | None = None,
    ):
        """finished are the verdicts of tasks that earlier runs have ended: they count, and are not printed again."""
        self.network, self.num_tasks, self.quiet, self.verbose = network, len(tasks), quiet, verbose
        self.widths = (len(str(max(task.sample for task in tasks))), len(str(max(task.eps for task in tasks))))
        self.epsilons = list(dict.fromkeys(task.eps for task in tasks))
        self.target = tasks[0].target
        self.counts: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        self.start = time.monotonic()
        self.finished = finished or {}
        for verdict in self.finished.values():
            self.count(verdict)
        self.progress = Progress(len(tasks), " queries", len(self.finished))

    def count(self, verdict: Verdict) -> None:
        """One more for the summary."""
        self.counts[verdict.verdict] += 1
        if verdict.verdict == UNKNOWN:
            self.reasons[verdict.reason] += 1

    def show(self, task: Task, verdict: Verdict) -> None:
        """Print a result that has been counted."""
        self.progress.add(f"{self.counts[VIOLATED]} violated, {self.counts[UNKNOWN]} unknown")
        if self.quiet:
            return
        lines = [result_line(task, verdict, *self.widths)]
        if self.verbose:
            lines += details(self.network, task, verdict)
        self.progress.print("\n".join(lines))

    def finish(self) -> int:
        """Print the summary; the exit code that the verdicts ask for."""
        self.progress.close()
        for line in summary(self.counts, self.reasons, time.monotonic() - self.start, self.epsilons, self.network, self.target):
            print(line, flush=True)
        if self.finished:
            print(f"{len(self.finished)} of them were finished before", flush=True)
        if self.counts[VIOLATED]:
            return EXIT_VIOLATED
        # Nothing verified proves nothing: a file of wrong labels must not look like a robust network.
        return EXIT_UNKNOWN if self.counts[UNKNOWN] or not self.counts[HOLDS] else EXIT_HOLDS
