"""check: what certificates prove, and whether results say what they prove."""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial

from ..certificate.check import ACCEPTED, NOTHING, REFUSED, UNCHECKED, UNREADABLE, Checked, Means
from ..certificate.folder import Folder, Item, Question, check_item
from ..certificate.lines import VERDICTS
from ..certificate.networks import pinned, title
from ..certificate.samples import Samples
from ..errors import InputError
from ..network.names import printable
from ..solvers.processes import CONTEXT
from .arguments import parse_epsilons, parse_samples
from .output import EXIT_BAD_INPUT, EXIT_HOLDS, EXIT_UNKNOWN

EXIT_REFUSED = 20
OUTCOMES = (ACCEPTED, REFUSED, UNREADABLE, UNCHECKED, NOTHING)


def check(args: argparse.Namespace) -> int:
    networks = pinned(args.network or (), args.bits, args.input_bits)
    means = Means(networks, data_set(args), args.cake_lpr, args.timeout, args.memory)
    wanted = questions(args, means)
    folders = [Folder(path, wanted) for path in args.paths]
    printer = Printer(means, args.quiet)
    for checked in outcomes([item for folder in folders for item in folder], means, args.jobs):
        printer.add(checked)
    return printer.finish(folders)


def data_set(args: argparse.Namespace) -> Samples | None:
    """What --inputs and --labels name."""
    if args.labels and not args.inputs:
        raise InputError("--labels: needs --inputs FILE, whose labels they are")
    return Samples(args.inputs, args.labels, args.header, args.scale) if args.inputs else None


def questions(args: argparse.Namespace, means: Means) -> list[Question]:
    """What --samples, --eps and --target say that must have been asked."""
    if args.samples is None and args.eps is None:
        if args.target is not None:
            raise InputError("--target: needs --eps LIST, what must have been asked of it")
        return []
    if args.eps is None or means.samples is None or not means.networks:
        raise InputError("--samples and --eps: need each other, --inputs FILE and --network FILE")
    count = means.samples.count(means.networks[0].input)
    samples = parse_samples(args.samples or ":", count, args.inputs)
    return [Question(sample, eps, args.target) for eps in parse_epsilons(args.eps) for sample in samples]


def outcomes(items: list[Item], means: Means, jobs: int) -> Iterator[Checked]:
    """One for each item, in order."""
    work = partial(check_item, means=means)
    if min(jobs, len(items)) <= 1:
        yield from map(work, items)
        return
    with ProcessPoolExecutor(jobs, mp_context=CONTEXT) as pool:
        yield from pool.map(work, items)


class Printer:
    """Lines of outcomes, and what came of all."""

    def __init__(self, means: Means, quiet: bool):
        self.quiet = quiet
        self.counts: Counter[str] = Counter()
        self.verdicts: Counter[str] = Counter()
        self.needs: Counter[str] = Counter()
        self.start = time.monotonic()
        self.shown = {title(network) for network in means.networks}
        for name in sorted(self.shown):
            print(f"network      {printable(name)}")

    def add(self, checked: Checked) -> None:
        """An outcome."""
        self.counts[checked.outcome] += 1
        self.verdicts[checked.verdict] += checked.accepted
        if checked.outcome == UNCHECKED:
            self.needs[checked.reason] += 1
        for name in checked.networks:
            if name not in self.shown:
                print(f"network      as a certificate names it: {printable(name)}")
                self.shown.add(name)
        if not self.quiet or not checked.accepted:
            print(f"{checked.outcome:<11}  {printable(describe(checked))}", flush=True)

    def finish(self, folders: list[Folder]) -> int:
        """The summary; the exit code."""
        for folder in folders:
            for (eps, target), samples in sorted(folder.covered.items(), key=str):
                aim = "" if target is None else f", target {target}"
                print(f"{printable(str(folder.path))}: eps {eps}{aim}: samples {ranges(samples)}")
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


def ranges(samples: set[int], most: int = 10) -> str:
    """As in 0:100,115; at most so many ranges."""
    starts = sorted(sample for sample in samples if sample - 1 not in samples)
    ends = sorted(sample + 1 for sample in samples if sample + 1 not in samples)
    parts = [f"{start}:{end}" if end > start + 1 else f"{start}" for start, end in zip(starts, ends, strict=True)]
    return ",".join(parts[:most]) + (f",... ({len(samples)} in all)" if len(parts) > most else "")


def describe(checked: Checked) -> str:
    """The rest of an outcome's line."""
    reason = " ".join(checked.reason.splitlines())
    if not checked.accepted and checked.outcome != NOTHING:
        return reason if checked.outcome == UNREADABLE else f"{checked.path}: {reason}"
    query = checked.header["query"]
    about = [f"{key} {query[key]}" for key in ("sample", "eps", "label", "target") if query.get(key) is not None]
    about += [f"network {network['sha256'][:16]}" for network in checked.header["networks"]] + [reason] * bool(reason)
    return f"{checked.path}  {checked.verdict:<8}  {checked.engine or '-':<6}  {checked.seconds:9.3f} s  {'  '.join(about)}"
