"""radius: how far samples keep their class."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing, suppress
from typing import Any

from ..campaign import CERTIFICATES, RESULTS, Store, Task, plan
from ..campaign.radii import Measurer, finished_radii, radii
from ..certificate.write import Source
from ..errors import InputError
from ..network import Network
from ..processes import interrupts_held
from ..properties import robustness
from ..radii import Radius, radius
from ..report.radii import radius_details, radius_line, radius_summary
from ..verify import UNKNOWN
from .arguments import parse_samples
from .commands import ignore, noted_network, read_samples, warn_of_unlocked
from .output import EXIT_HOLDS, EXIT_UNKNOWN, Progress
from .printing import file_of, one_of, print_question
from .proofs import table_options
from .signals import ended
from .streams import OutputLost
from .usage import expect_folder


def radius_command(args: argparse.Namespace) -> int:
    """A line a sample, and a summary; 5 if some radius is open, or none was asked for."""
    expect_folder(args)
    network = noted_network(args)
    inputs, labels = read_samples(args, network)
    samples = parse_samples(args.samples, len(inputs), args.inputs)
    tasks = plan(network, inputs, labels, samples, [0], args.target, args.region, args.ties)
    if args.print:
        return _print(args, network, one_of(tasks))
    folder = args.out / CERTIFICATES if args.certificates else None
    source = Source(str(args.network), args.bits, args.input_bits, network.runtime or None, args.accumulator)
    measurer = Measurer(network, table_options(args), args.norm, args.max_eps, folder, source)
    results: list[Radius] = []
    start, width = time.monotonic(), len(str(max(task.sample for task in tasks)))
    with ExitStack() as stack:
        write, finished = ignore, dict[int, Radius]()
        if args.out:
            store = stack.enter_context(Store(args.out, args.overwrite, folder, args.resume))
            warn_of_unlocked(args.out, store.unlocked)
            write, finished = store.write, finished_radii(store, tasks, measurer) if args.resume else {}
        results += finished.values()
        progress = Progress(len(tasks), " samples", len(results))

        def finish() -> None:
            progress.close()
            print("\n".join(radius_summary(results, network, args.norm, time.monotonic() - start)), flush=True)
            if finished:
                print(f"{len(finished)} of them were finished before", flush=True)

        try:
            with closing(radii(measurer, [task for task in tasks if task.index not in finished], args.jobs)) as found:
                for task, one, names in found:
                    with interrupts_held():
                        write(measurer.record(task, one, names))
                        results.append(one)
                    progress.add(f"{sum(part.verdict == UNKNOWN for part in results)} open")
                    if not args.quiet:
                        details = radius_details(one) if args.verbose else []
                        progress.print("\n".join([radius_line(task, one, width), *details]))
            finish()
        except KeyboardInterrupt as interrupt:
            with suppress(OutputLost):  # a closed terminal is both
                finish()
            return ended(interrupt, f"{len(results)} of {len(tasks)} samples are finished")
    if args.out:
        print(f"results in {args.out / RESULTS}")
    return EXIT_UNKNOWN if _is_open(results) else EXIT_HOLDS


def _is_open(results: Sequence[Radius]) -> bool:
    """Whether some radius is, or none was asked for."""
    return any(part.verdict == UNKNOWN for part in results) or not any(part.optimal for part in results)


def _print(args: argparse.Namespace, network: Network, task: Task) -> int:
    """Whether the sample holds at its radius, as a question file; of an open one at what is proved, which standard error says."""
    about: dict[str, Any] = {"target": task.target, "ties": task.ties, "region": task.region, "norm": args.norm}
    found = radius(network, task.x, task.label, max_eps=args.max_eps, **about, **table_options(args))
    if found.radius is None:
        raise InputError(f"--print: sample {task.sample} has no radius: {found.reason}")
    if not found.optimal:
        print(f"qbitsat: radius {found.radius} to {found.upper}, open: {found.reason}", file=sys.stderr)
    query = robustness(network, task.x, found.radius, task.label, **about)
    title = f"{network.name}, sample {task.sample}, {'radius' if found.optimal else 'at least radius'} {found.radius} in {args.norm}"
    return print_question(query, [file_of(args)], title)
