"""Standard output in the order of the samples, and progress on a terminal."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Sequence

from ..campaign import Task
from ..network import Network
from ..report import details, result_line, summary
from ..verify import HOLDS, UNKNOWN, VIOLATED, Verdict

EXIT_HOLDS, EXIT_BAD_INPUT, EXIT_UNKNOWN, EXIT_VIOLATED, EXIT_INTERRUPTED = 0, 2, 5, 10, 130


class Printer:
    """Takes results in the order of completion; a line waits until those of all earlier tasks are out."""

    def __init__(self, network: Network, tasks: Sequence[Task], quiet: bool = False, verbose: bool = False):
        self.network, self.num_tasks, self.quiet, self.verbose = network, len(tasks), quiet, verbose
        self.widths = (len(str(max(task.sample for task in tasks))), len(str(max(task.eps for task in tasks))))
        self.epsilons = list(dict.fromkeys(task.eps for task in tasks))
        self.target = tasks[0].target
        self.counts: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        self.waiting: dict[int, tuple[Task, Verdict]] = {}
        self.next_index = 0
        self.start = time.monotonic()
        self._progress(self._standing())

    def add(self, task: Task, verdict: Verdict) -> None:
        """A result."""
        self.counts[verdict.verdict] += 1
        if verdict.verdict == UNKNOWN:
            self.reasons[verdict.reason] += 1
        self.waiting[task.index] = task, verdict
        while self.next_index in self.waiting:
            self._print(*self.waiting.pop(self.next_index))
            self.next_index += 1
        self._progress(self._standing())

    def finish(self) -> int:
        """Print what still waits and the summary; the exit code that the verdicts ask for."""
        for _, result in sorted(self.waiting.items()):
            self._print(*result)
        self._progress("")
        for line in summary(self.counts, self.reasons, time.monotonic() - self.start, self.epsilons, self.network, self.target):
            print(line, flush=True)
        if self.counts[VIOLATED]:
            return EXIT_VIOLATED
        # Nothing verified proves nothing: a file of wrong labels must not look like a robust network.
        return EXIT_UNKNOWN if self.counts[UNKNOWN] or not self.counts[HOLDS] else EXIT_HOLDS

    def _print(self, task: Task, verdict: Verdict) -> None:
        if self.quiet:
            return
        self._progress("")
        lines = [result_line(task, verdict, *self.widths)]
        if self.verbose:
            lines += details(self.network, task, verdict)
        print("\n".join(lines), flush=True)

    def _standing(self) -> str:
        counts = self.counts
        return f"{counts.total()} of {self.num_tasks} queries, {counts[VIOLATED]} violated, {counts[UNKNOWN]} unknown"

    def _progress(self, text: str) -> None:
        """Rewrite the one progress line; an empty text removes it."""
        if sys.stderr.isatty():
            print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)
