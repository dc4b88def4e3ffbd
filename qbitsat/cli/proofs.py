"""Where lines and certificates of a command go, and the time that its queries share."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from glob import escape
from pathlib import Path
from typing import Any

from ..campaign import CERTIFICATES, Store
from ..certificate.write import Source, Sources, write
from ..limits import LimitReached
from ..network import Network
from ..options import TABLE, make_options
from ..properties import Query
from ..reach.extremes import Budget
from ..verify import HOLDS, UNKNOWN, VIOLATED, Verdict, verify
from .commands import ignore, warn_of_unlocked


class Proofs:
    """Writes lines, if a folder is given, and certificates, if they are asked for; `sources` are those of the networks of a query, and
    record is what a VNN-LIB file asks.
    """

    def __init__(self, args: argparse.Namespace, sources: Sequence[Sources], stack: ExitStack, record: dict[str, Any] | None = None):
        certificates = getattr(args, "certificates", False)
        self.folder, self.put = args.out / CERTIFICATES if certificates else None, ignore
        self.sources, self.record = sources, record
        if args.out:
            store = stack.enter_context(Store(args.out, args.overwrite, self.folder, resume=None))
            warn_of_unlocked(args.out, store.unlocked)
            self.put = store.write

    def certify(self, name: str, query: Query | None, verdict: Verdict) -> str | None:
        """The certificate of a verdict as results name it; None where there is none."""
        if self.folder is None or query is None or verdict.verdict not in (HOLDS, VIOLATED):
            return None
        write(self.folder / f"{name}.cert", query, verdict, self.sources, self.record)
        return f"{CERTIFICATES}/{name}.cert"

    def each(self, name: str, parts: Iterable[str], proved: Sequence[tuple[Query, Verdict]]) -> list[str | None]:
        """The certificates of the parts of an answer; None for each where nothing is proved."""
        if self.folder is None:
            return []
        parts = list(parts)
        found: list[str | None] = [self.certify(f"{name}_{part}", *one) for part, one in zip(parts, proved, strict=False)]
        return [*found, *[None] * (len(parts) - len(found))]


def add_out(parser: argparse._ActionsContainer) -> None:
    """Where the line and the certificates of a question in a file go."""
    parser.add_argument("--out", metavar="DIR", type=Path, help="write results.jsonl there, and with --certificates those")
    parser.add_argument("--overwrite", action="store_true", help="replace a results.jsonl that is there already, and its certificates")


def clear(args: argparse.Namespace, stem: str) -> None:
    """Take away certificates of an earlier question in a file of that name, where results are overwritten."""
    for stale in (args.out / CERTIFICATES).glob(f"{escape(stem)}*.cert") if args.out and args.overwrite else ():
        stale.unlink()


def verdict_record(verdict: Verdict) -> dict[str, Any]:
    """What a line of a question in a file says of its verdict."""
    fields = {"verdict": verdict.verdict, "reason": verdict.reason, "engine": verdict.engine}
    return {**fields, "seconds": round(verdict.seconds, 6), "statistics": verdict.statistics}


def source_of(args: argparse.Namespace, network: Network, **other: Any) -> Source:
    """Where the command's network is from; `other` says what is different of a second one."""
    given = {"path": str(args.network), "bits": args.bits, "input_bits": args.input_bits, "runtime": network.runtime or None}
    given["accumulator"] = args.accumulator
    return Source(**{**given, **other})


def table_options(args: argparse.Namespace) -> dict[str, Any]:
    """Those of the table of options that the command has."""
    return {row.name: getattr(args, row.name) for row in TABLE if hasattr(args, row.name)}


def shared_time(args: argparse.Namespace) -> Budget:
    """The time of all queries of a command, --total."""
    return Budget(make_options(**table_options(args)), args.total)


def asked(make: Callable[[], Query], budget: Budget, left: int) -> tuple[Query | None, Verdict]:
    """One of so many queries that are left, and its verdict; UNKNOWN where there is no time for it, which is not spent on making it."""
    query = None
    try:
        budget.turn(left)
        budget.limits.check()
        query = make()
        return query, verify(query, **budget.each())
    except LimitReached as limit:
        return query, Verdict(UNKNOWN, limit.reason)


def named_region(where: dict[str, Any]) -> str:
    """The part of a certificate's name that says which region, with the blank after it; empty for all inputs."""
    return f"sample{where['sample']}_eps{where['eps']}_" if where else ""


def placed(where: dict[str, Any], networks: dict[str, Network]) -> dict[str, Any]:
    """What a line says of the region and of the networks."""
    about = {name: value for name, value in where.items() if name != "text"}
    return {**about, "networks": {name: network.sha256 for name, network in networks.items()}}
