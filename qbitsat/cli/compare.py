"""compare: the same queries to several backends."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path

from ..campaign import Asked, Task, Verifier, query_of
from ..campaign import compare as campaign
from ..campaign.compare import Backend, Run
from ..campaign.compare_file import ComparisonFile
from ..errors import MissingExtraError
from ..network import Network
from ..report import result_line
from ..report.compare import cactus, run_line, standings_table
from .commands import SUFFIXES, read, warn_of_unlocked, write_query
from .output import EXIT_HOLDS, Progress
from .signals import ended

EXIT_DISAGREEMENT = 1


def compare(args: argparse.Namespace) -> int:
    """See `compare_all`."""
    backends = chosen_backends(args)
    return compare_all(args, backends, *read(args))


def chosen_backends(args: argparse.Namespace) -> list[Backend]:
    """All installed."""
    backends = campaign.parse_backends(args.backends)
    campaign.require(backends)
    return backends


def compare_all(args: argparse.Namespace, backends: list[Backend], network: Network, tasks: Sequence[Task | Asked]) -> int:
    """0 if all backends agree on these tasks wherever two decide, 1 if not; network is that of samples."""
    options = {name: getattr(args, name) for name in ("timeout", "memory", "bounds")}
    networks = dict.fromkeys(asked for task in tasks for asked in (task.query.networks if isinstance(task, Asked) else (network,)))
    with ExitStack() as stack:
        file = None
        if args.out:
            file = stack.enter_context(ComparisonFile(args.out, args.overwrite, list(networks), options, backends))
            warn_of_unlocked(args.out, file.unlocked)
        return run(tasks, _Session(Verifier(network, options), backends, file, args.out))


def run(tasks: Sequence[Task | Asked], session: _Session) -> int:
    for task in tasks:
        if isinstance(task, Task) and task.settled is not None:
            print(result_line(task, task.settled))
    code = EXIT_HOLDS
    try:
        session.run([task for task in tasks if task.settled is None])
    except KeyboardInterrupt as interrupt:
        code = ended(interrupt, "the table is that of the runs that ended")
    session.finish()
    return code or (EXIT_DISAGREEMENT if session.disagreements else EXIT_HOLDS)


class _Session:
    """Runs as they come, and what is printed, written and kept of them."""

    def __init__(self, verifier: Verifier, backends: list[Backend], file: ComparisonFile | None, out: Path | None):
        self.verifier, self.backends, self.file, self.out = verifier, backends, file, out
        self.runs: list[Run] = []
        self.disagreements = 0

    def run(self, tasks: Sequence[Task | Asked]) -> None:
        width = max(len(str(backend)) for backend in (*self.backends, campaign.BOUNDS))
        bar = Progress(len(tasks), " queries")
        with closing(bar), closing(campaign.compare(self.verifier, tasks, self.backends)) as runs:
            for run in runs:
                self.runs.append(run)
                if self.file:
                    self.file.add(run)
                bar.print(run_line(run, width))
                of_task = [other for other in self.runs if other.task is run.task]
                if len(of_task) == len(self.backends):
                    self._hold_together(of_task)
                if len(of_task) == len(self.backends) or run.backend == campaign.BOUNDS:
                    bar.add(f"at most {self.verifier.options['timeout']:g} s a backend")

    def _hold_together(self, runs: list[Run]) -> None:
        """Report backends that contradict each other, and keep the query in the encodings that they were given."""
        message = campaign.disagreement(runs)
        if not message:
            return
        self.disagreements += 1
        kept = "--out DIR would have kept its files"
        if self.out:
            task, paths = runs[0].task, []
            for encoding in dict.fromkeys(run.backend.encoding for run in runs):
                options = {"bounds": self.verifier.options["bounds"], "encoding": encoding}
                for form, suffix in SUFFIXES.items():
                    paths.append(self.out / f"{task.stem}_{encoding}{suffix}")
                    write_query(paths[-1], query_of(task, self.verifier.network), options, form)
            kept = f"kept as {', '.join(map(str, paths))}"
        print(f"qbitsat: error: {message}; {kept}", file=sys.stderr, flush=True)

    def finish(self) -> None:
        """The table, the rest of the file, and the plot."""
        standings = campaign.standings(self.runs, self.backends, self.verifier.options["timeout"])
        print(f"\n{standings_table(standings)}")
        by_bounds = Counter(run.verdict for run in self.runs if run.backend == campaign.BOUNDS)
        if by_bounds:
            print(f"not in the table: {', '.join(f'{count} {verdict}' for verdict, count in by_bounds.items())} by bounds")
        if self.file:
            self.file.finish(standings)
            print(f"comparison in {self.file.path}")
        if self.out:
            try:
                cactus(self.runs, self.backends, self.out / "cactus.png")
                print(f"plot in {self.out / 'cactus.png'}")
            except MissingExtraError as missing:
                print(f"no plot: {missing}")
