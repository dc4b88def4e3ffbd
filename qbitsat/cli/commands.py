"""inspect, verify and export."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any

import numpy as np

from ..campaign import CERTIFICATES, RESULTS, Asked, Store, Task, Verifier, plan, query_of, record, verdicts
from ..certificate.write import Source
from ..encode import dimacs, smtlib
from ..errors import ArgumentError, FloatModelError, InputError, QbitsatError
from ..importers import load, load_inputs, load_labels
from ..importers.files import replacing
from ..importers.float_models import load_float
from ..limits import LimitReached
from ..network import Network
from ..network.names import printable
from ..options import TABLE, make_options
from ..processes import interrupts_held
from ..properties import Query
from ..report import describe, describe_floats, head, result_line
from ..verify import Verdict
from .arguments import EXPORT_OPTIONS, parse_epsilons, parse_samples, reading
from .output import EXIT_HOLDS, EXIT_UNKNOWN, Printer
from .printing import file_of, one_of, print_question
from .signals import ended
from .streams import OutputLost
from .usage import distance_of, expect_folder

# What writes each format of `export`, and how its files are named.
WRITERS: dict[str, Any] = {"dimacs": dimacs, "smt2": smtlib}
SUFFIXES = {"dimacs": ".cnf", "smt2": ".smt2"}
# From so many outputs on, as many as inputs, a network is rather an autoencoder than a classifier.
MANY_OUTPUTS = 32


def inspect(args: argparse.Namespace) -> int:
    """A network of integers, or a float model, of which it is said that it is one."""
    if args.layers is None:
        try:
            print(describe(load_network(args)))
            return EXIT_HOLDS
        except FloatModelError:
            pass
    for name in ("bits", "input_bits", "runtime", "accumulator"):
        if getattr(args, name) is not None:
            raise InputError(f"--{name.replace('_', '-')}: {getattr(args, name)}, but {args.network} is a float model; expected none")
    print(describe_floats(load_float(args.network, args.layers)))
    return EXIT_HOLDS


def load_network(args: argparse.Namespace) -> Network:
    """The network of a command; who calls it prints its notes, so that nothing else needs to warn of them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return load(args.network, args.bits, args.input_bits, args.runtime, args.accumulator)


def verify(args: argparse.Namespace) -> int:
    expect_folder(args)
    network, tasks = read(args)
    if args.print:
        task = one_of(tasks)
        return print_question(query_of(task, network), [file_of(args)], f"{network.name}, {' '.join(task.title.split())}")
    folder = args.out / CERTIFICATES if args.certificates else None
    source = Source(str(args.network), args.bits, args.input_bits, network.runtime or None, args.accumulator)
    verifier = Verifier(network, {row.name: getattr(args, row.name) for row in TABLE}, folder, source)
    # All input has been found good by now: nothing is written for a command that is refused.
    with ExitStack() as stack:
        write, finished = ignore, dict[int, Verdict]()
        if args.out:
            store = stack.enter_context(Store(args.out, args.overwrite, folder, args.resume))
            warn_of_unlocked(args.out, store.unlocked)
            write, finished = store.write, store.finished(tasks, verifier) if args.resume else {}
        printer = Printer(network, tasks, args.quiet, args.verbose, finished)
        code = decide(verifier, [task for task in tasks if task.index not in finished], printer, args.jobs, write)
    if args.out:
        print(f"results in {args.out / RESULTS}")
    return code


def warn_of_unlocked(folder: Path, reason: str) -> None:
    """Say it where another run in the same folder would go unnoticed."""
    if reason:
        print(f"qbitsat: {folder}: can't be locked ({reason}); see that no other run uses it", file=sys.stderr)


def ignore(entry: dict[str, Any]) -> None:
    """For results that nobody asked to keep."""


def decide(verifier: Verifier, tasks: list[Task], printer: Printer, jobs: int = 1, write: Callable[[dict[str, Any]], None] = ignore) -> int:
    """Verify, write and print all tasks; the exit code. If it ends early, so do workers, and what is finished is summed up."""
    try:
        with closing(verdicts(verifier, tasks, jobs)) as results:
            for task, verdict in results:
                # What is written is counted.
                with interrupts_held():
                    write(record(task, verdict, verifier.network, verifier.options))
                    printer.count(verdict)
                printer.show(task, verdict)
        return printer.finish()
    except KeyboardInterrupt as interrupt:
        with suppress(OutputLost):  # a closed terminal is both
            printer.finish()
        return ended(interrupt, f"{printer.counts.total()} of {printer.num_tasks} queries are finished")
    except QbitsatError:
        printer.finish()
        raise


def read(args: argparse.Namespace) -> tuple[Network, list[Task]]:
    """The network and the tasks that the arguments ask for, everything checked."""
    distance = distance_of(args)
    network = noted_network(args)
    if network.num_inputs == len(network.outputs) >= MANY_OUTPUTS:
        print(
            f"qbitsat: note: {printable(str(args.network))}: as many outputs as inputs, as of an autoencoder; the question is whether the "
            "largest of them stays the largest (qbitsat range asks how far outputs reach)",
            file=sys.stderr,
        )
    epsilons = parse_epsilons(distance, network.input)
    inputs, labels = read_samples(args, network)
    samples = parse_samples(args.samples, len(inputs), args.inputs)
    return network, plan(network, inputs, labels, samples, epsilons, args.target, args.region, args.ties)


def noted_network(args: argparse.Namespace) -> Network:
    """The network of a command that works with it; its notes go to standard error."""
    network = load_network(args)
    for note in network.notes:
        print(f"qbitsat: note: {printable(str(args.network))}: {note}", file=sys.stderr)
    return network


def read_samples(args: argparse.Namespace, network: Network) -> tuple[np.ndarray, np.ndarray | None]:
    """Inputs, int64[n, size], and labels, int64[n], or None without --labels."""
    inputs = load_inputs(args.inputs, network.inputs, **reading(args))
    if not args.labels:
        return inputs, None
    labels = load_labels(args.labels, header=args.header)
    if len(labels) != len(inputs):
        raise InputError(f"{args.labels}: {len(labels)} labels, expected {len(inputs)}, one for each sample of {args.inputs}")
    return inputs, labels


def export(args: argparse.Namespace) -> int:
    """A file for each query of samples; 5 if there is none, or a limit was too small for one."""
    expect_format(args)
    network, tasks = read(args)
    asked = [task for task in tasks if task.settled is None]
    for task in tasks:
        if task.settled is not None:
            print(result_line(task, task.settled))
    return export_all(args, network, asked) if asked else EXIT_UNKNOWN


def export_all(args: argparse.Namespace, network: Network, tasks: Sequence[Task | Asked]) -> int:
    """A file for each task, and a line; network is that of samples. 5 if a limit was too small for one."""
    paths = export_paths(args.out, {task.index: task.stem for task in tasks}, args.overwrite, SUFFIXES[args.format])
    options, how = {name: getattr(args, name) for name in EXPORT_OPTIONS}, {} if args.get_value else {"get_value": False}
    complete = True
    for task in tasks:
        path, place = paths[task.index], f"{head(task)}  " if isinstance(task, Task) else ""
        try:
            written = write_query(path, query_of(task, network), options, args.format, **how)
        except (LimitReached, MemoryError) as limit:
            complete = False
            reason = limit.reason if isinstance(limit, LimitReached) else "memory"
            print(f"{place or f'{printable(task.stem)}  '}not written: {reason}", flush=True)
            continue
        sizes = ", ".join(f"{count} {name}" for name, count in written.sizes.items())
        print(f"{place}{printable(str(path))}: {sizes}, {path.stat().st_size} bytes", flush=True)
    return EXIT_HOLDS if complete else EXIT_UNKNOWN


def expect_format(args: argparse.Namespace) -> None:
    """Other options of `export` fit --format."""
    if not args.get_value and args.format != "smt2":
        raise ArgumentError("no_get_value", "is for --format smt2; DIMACS files ask for nothing")
    suffix = SUFFIXES[args.format]
    if args.out.suffix != suffix and args.out.suffix in SUFFIXES.values():
        raise ArgumentError("out", f"{args.out} has the wrong ending for this --format, expected {suffix} or a folder")


def export_paths(out: Path, stems: Mapping[int, str], overwrite: bool, suffix: str) -> dict[int, Path]:
    """The file of every query, by what it is called; none is there already unless `overwrite`; their folder is made."""
    if out.suffix == suffix:
        if len(stems) > 1:
            raise InputError(f"--out: {out} is one file, but there are {len(stems)} queries; expected a folder")
        folder, paths = out.parent, dict.fromkeys(stems, out)
    else:
        folder, paths = out, {index: out / f"{stem}{suffix}" for index, stem in stems.items()}
    for path in paths.values():
        if path.exists() and not overwrite:
            raise InputError(f"--out: {path} exists already; expected a new name, or --overwrite")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--out: {folder}: {error.strerror}, expected a folder that can be written") from error
    return paths


def write_query(path: Path, query: Query, options: dict[str, Any], form: str, **how: Any) -> Any:
    """The query in a format of WRITERS, and what that returns; the file takes its name only once it is complete."""
    with replacing(path, sync=False) as stream:
        return WRITERS[form].write(query, make_options(**options), stream, **how)
