"""check: what certificates prove."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial

from ..certificate.check import Checked, Means
from ..certificate.folder import Item, check_item, items
from ..certificate.networks import pinned, title
from ..errors import QbitsatError
from ..solvers.processes import CONTEXT
from .output import EXIT_BAD_INPUT, EXIT_HOLDS

EXIT_REFUSED = 20


def check(args: argparse.Namespace) -> int:
    found = [item for path in args.paths for item in items(path)]
    means = Means(pinned(args.network or (), args.bits, args.input_bits), args.drat_trim, args.cake_lpr, args.timeout, args.memory)
    shown = {title(network) for network in means.networks}
    for name in sorted(shown):
        print(f"network     {name}")
    counts: Counter[str] = Counter()
    start = time.monotonic()
    for item, outcome in zip(found, outcomes(found, means, args.jobs), strict=True):
        word, text = describe(item, outcome)
        counts[word] += 1
        if sys.stderr.isatty():
            print("\r\x1b[K", end="", file=sys.stderr)
        for name in () if isinstance(outcome, QbitsatError) else outcome.networks:
            if name not in shown:
                print(f"network     as a certificate names it: {name}")
                shown.add(name)
        if not args.quiet or word != "accepted":
            print(f"{word:<10}  {text}", flush=True)
        if sys.stderr.isatty() and counts.total() < len(found):
            print(f"{counts.total()} of {len(found)}, {counts['refused']} refused", end="", file=sys.stderr, flush=True)
    noun = "certificate" if len(found) == 1 else "certificates"
    parts = ", ".join(f"{counts[word]} {word}" for word in ("accepted", "refused", "unreadable"))
    print(f"{len(found)} {noun} in {time.monotonic() - start:.3f} s: {parts}")
    if counts["refused"]:
        return EXIT_REFUSED
    return EXIT_HOLDS if counts["accepted"] == len(found) else EXIT_BAD_INPUT


def outcomes(found: list[Item], means: Means, jobs: int) -> Iterator[Checked | QbitsatError]:
    """One for each item, in order."""
    work = partial(check_item, means=means)
    if min(jobs, len(found)) <= 1:
        yield from map(work, found)
        return
    with ProcessPoolExecutor(jobs, mp_context=CONTEXT) as pool:
        yield from pool.map(work, found)


def describe(item: Item, outcome: Checked | QbitsatError) -> tuple[str, str]:
    """The word for an outcome, and the rest of its line."""
    if isinstance(outcome, QbitsatError):
        return "unreadable", " ".join(str(outcome).splitlines())
    place = item.place if item.path is None else str(item.path)
    if not outcome.accepted:
        return "refused", f"{place}: {outcome.reason}"
    query = outcome.header["query"]
    about = [f"{key} {query[key]}" for key in ("sample", "eps", "label", "target") if query.get(key) is not None]
    about += [f"network {network['sha256'][:16]}" for network in outcome.header["networks"]]
    return "accepted", f"{place}  {outcome.verdict:<8}  {outcome.engine:<6}  {outcome.seconds:9.3f} s  {'  '.join(about)}"
