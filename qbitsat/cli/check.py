"""check: what certificates prove, and whether results say what they prove."""

from __future__ import annotations

import argparse
import os
import re
import shutil
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing, suppress
from functools import partial
from itertools import chain

from ..campaign.workers import run
from ..certificate.check import ACCEPTED, NOTHING, REFUSED, UNCHECKED, UNREADABLE, Checked, Means, out_of
from ..certificate.folder import Folder, Item, Question, check_item, in_words, ranges
from ..certificate.lines import VERDICTS
from ..certificate.networks import pinned, title
from ..certificate.samples import Samples
from ..certificate.vnnlib import file_hash
from ..errors import ArgumentError, FloatModelError, InputError, QbitsatError
from ..limits import LimitReached, Limits
from ..network import Network
from ..network.names import printable
from ..properties.region import region_of
from ..properties.robustness import ARGMAX
from .arguments import parse_epsilons, parse_samples
from .output import EXIT_BAD_INPUT, EXIT_HOLDS, EXIT_UNKNOWN, Progress
from .signals import ended
from .streams import OutputLost

EXIT_REFUSED = 20
# A file of a network that has a name in a question.
NAMED = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=.+", re.DOTALL)
# A process that has not seen by itself that it is beyond a limit is ended from outside.
SLACK, SLACK_SECONDS = 1.05, 0.3
OF_QUESTIONS = "--samples and --eps: need each other, --inputs FILE and --network FILE, a network of integers"
OUTCOMES = (ACCEPTED, REFUSED, UNREADABLE, UNCHECKED, NOTHING)


def check(args: argparse.Namespace) -> int:
    expect_usage(args)
    files, networks = given(args)
    runtime = args.runtime if files else None
    means = Means(networks, data_set(args), args.cake_lpr, args.timeout, args.memory, files, runtime, args.question)
    wanted = questions(args, means)
    folders = [Folder(path, wanted, networks[0].input if networks else None) for path in args.paths]
    printer = Printer(means, args.quiet, args.verbose)
    ends = (means.timeout * SLACK + SLACK_SECONDS, means.memory * SLACK)
    try:
        items = chain.from_iterable(folders)
        with closing(run(partial(check_item, means=means), items, args.jobs, partial(lost, means), ends)) as results:
            for _, checked in results:
                printer.add(checked)
        return printer.finish(folders)
    except KeyboardInterrupt as interrupt:
        with suppress(OutputLost):  # a closed terminal is both
            printer.finish(folders)
        return ended(interrupt, f"{printer.counts.total()} results are checked")
    except QbitsatError:
        printer.finish(folders)
        raise


def given(args: argparse.Namespace) -> tuple[dict[str, str], tuple[Network, ...]]:
    """What --network names: files by names, and the networks of those without. A float .onnx alone is the file of the name ""."""
    files, others = named(args.network or ())
    try:
        return files, pinned(others, args.bits, args.input_bits, args.runtime if others or not files else None, args.accumulator)
    except FloatModelError as error:
        if not all(file.endswith(".onnx") for file in others):
            raise
        if files or len(others) > 1:
            raise FloatModelError(f"{error}; or expected --network NAME=FILE, if a VNN-LIB query with --grid is about it") from error
        return {"": others[0]}, pinned((), args.bits, args.input_bits, accumulator=args.accumulator)


def named(words: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Files that are given as NAME=FILE, by their names, and those without a name."""
    files, others = dict[str, str](), list[str]()
    for word in words:
        name, _, file = word.partition("=")
        if not (NAMED.fullmatch(word) and not os.path.isfile(word)):
            others.append(word)
        elif files.setdefault(name, file) != file:
            raise InputError(f"--network: {word!r}, expected each name once")
    return files, others


def expect_usage(args: argparse.Namespace) -> None:
    """Raise for options that need others which are not there."""
    if args.labels and not args.inputs:
        raise ArgumentError("labels", "needs --inputs FILE, whose labels they are")
    if args.cake_lpr and shutil.which(args.cake_lpr) is None:  # also where no proof needs it
        raise ArgumentError("cake_lpr", f"{args.cake_lpr}, expected a program that can be run")
    if args.samples is None and args.eps is None:
        for name, nothing in (("target", None), ("region", None), ("ties", ARGMAX)):
            if getattr(args, name) != nothing:
                raise ArgumentError(name, "needs --eps LIST, what must have been asked of it")
    elif args.eps is None or args.inputs is None or not named(args.network or ())[1]:
        raise InputError(OF_QUESTIONS)


def data_set(args: argparse.Namespace) -> Samples | None:
    """What --inputs and --labels name."""
    return Samples(args.inputs, args.labels, args.header, args.scale) if args.inputs else None


def questions(args: argparse.Namespace, means: Means) -> list[Question]:
    """What --samples, --eps, --target, --region and --ties say that must have been asked."""
    if args.eps is None or means.samples is None:
        return []
    if not means.networks:
        raise InputError(OF_QUESTIONS)
    form = means.networks[0].input
    count = means.samples.count(means.networks[0].inputs)
    samples = parse_samples(args.samples or ":", count, args.inputs)
    region = None if args.region is None else region_of(0, form, args.region)[1]
    return [Question(sample, eps, args.target, region, args.ties) for eps in parse_epsilons(args.eps, form) for sample in samples]


def lost(means: Means, item: Item, reason: str, seconds: float, _cpu: float) -> Checked:
    """What comes of an item whose process ended, or had to be ended."""
    if reason in ("timeout", "memory"):
        reason = out_of(means, LimitReached(reason))
    return Checked(item.place, UNCHECKED, reason, seconds)


class Printer:
    """Lines of outcomes, and what came of all."""

    def __init__(self, means: Means, quiet: bool, verbose: int):
        self.quiet, self.verbose = quiet, verbose
        self.counts: Counter[str] = Counter()
        self.verdicts: Counter[str] = Counter()
        self.needs: Counter[str] = Counter()
        self.start = time.monotonic()
        self.progress = Progress(None, " results")
        self.shown = {title(network) for network in means.networks}
        self.pinned = bool(means.files)
        if means.question is not None:
            path = os.fspath(means.question)
            print(f"question     {printable(path)} (sha256 {file_hash(path, Limits(means.timeout))})")
        for network in dict.fromkeys(means.networks):
            print("\n".join([f"network      {printable(title(network))}", *(f"    {printable(note)}" for note in network.notes)]))

    def add(self, checked: Checked) -> None:
        """An outcome."""
        self.counts[checked.outcome] += 1
        self.verdicts[checked.verdict] += checked.accepted
        if checked.outcome == UNCHECKED:
            self.needs[checked.reason] += 1
        for name in checked.networks:
            if name not in self.shown:
                # Files that are given by the names in questions are those that accepted certificates are about.
                known = "" if self.pinned and checked.accepted else "as a certificate names it: "
                self.progress.print(f"network      {known}{printable(name)}")
                self.shown.add(name)
        self.progress.add(f"{self.counts[REFUSED]} refused")
        if not self.quiet or not checked.accepted:
            lines = [f"{checked.outcome:<11}  {printable(describe(checked))}"]
            lines += [f"    {line}" for line in checked.words if self.verbose and checked.accepted]
            self.progress.print("\n".join(lines))

    def finish(self, folders: list[Folder]) -> int:
        """The summary; the exit code."""
        self.progress.close()
        for folder in folders:
            for asked, samples in sorted(folder.covered.items(), key=str):
                print(f"{printable(str(folder.path))}: {printable(in_words(*asked))}: samples {ranges(samples)}")
        for reason, count in self.needs.most_common(3):
            print(f"not checked: {count} {printable(reason)}")
        total = self.counts.total()
        parts = [f"{self.counts[outcome]} {outcome}" for outcome in OUTCOMES if self.counts[outcome] or outcome in OUTCOMES[:3]]
        proved = ", ".join(f"{self.verdicts[verdict]} {verdict}" for verdict in VERDICTS if self.verdicts[verdict])
        parts[0] += f" ({proved})" if proved else ""
        print(f"{total} {'result' if total == 1 else 'results'} in {time.monotonic() - self.start:.3f} s: {', '.join(parts)}", flush=True)
        if self.counts[REFUSED]:
            return EXIT_REFUSED
        if self.counts[UNREADABLE]:
            return EXIT_BAD_INPUT
        return EXIT_HOLDS if total and self.counts[ACCEPTED] == total else EXIT_UNKNOWN


def describe(checked: Checked) -> str:
    """The rest of an outcome's line."""
    reason = " ".join(checked.reason.splitlines())
    if not checked.accepted and checked.outcome != NOTHING:
        return reason if checked.outcome == UNREADABLE else f"{checked.path}: {reason}"
    query, networks = checked.header.get("query", {}), checked.header.get("networks", [])
    about = [
        f"{key} {query[key]}"
        for key in ("sample", "eps", "region", "label", "target", "ties", "file", "grid")
        if query.get(key) is not None
    ]
    about += [f"network {network['sha256'][:16]}" for network in networks] + [reason] * bool(reason)
    return f"{checked.path}  {checked.verdict:<8}  {checked.engine or '-':<6}  {checked.seconds:9.3f} s  {'  '.join(about)}"
