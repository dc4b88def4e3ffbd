"""Our engines against HiGHS as a MILP solver and OR-Tools CP-SAT, side by side: see docs/lab/peers.md.

Beside --out lies a file of the same name with .jsonl, to which every run goes as it ends: the same command goes on from there.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import platform
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from qbitsat.campaign.compare import Backend
from qbitsat.campaign.compare_file import machine
from qbitsat.errors import MissingExtraError, QbitsatError
from qbitsat.report.compare import cactus

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("numpy", "python-sat", "highspy", "ortools")


def main() -> None:
    for package in ("highspy", "ortools"):
        if importlib.util.find_spec(package) is None:
            raise MissingExtraError(package, "bench", "bench.peers")
    from .draw import draw
    from .journal import Journal, record
    from .race import TOOLS, race
    from .report import judged, left_open, rows, text

    arguments = parse(TOOLS)
    tools, timeout = arguments.tools, arguments.timeout
    drawn = draw(arguments.seed, arguments.queries)
    conditions = {"timeout": timeout, "jobs": arguments.jobs, "commit": commit(), "machine": machine(), "versions": versions()}
    journal = Journal(arguments.out.with_suffix(".jsonl"), conditions)
    runs = journal.runs(drawn, tools)
    for run in race(drawn, tools, timeout, runs, arguments.jobs):
        one = drawn[run.task.index]
        journal.add(one, run)
        runs.append(run)
        name = f"{one.name} sample {run.task.sample} eps {run.task.eps}"
        print(f"{name:<27}  {run.backend!s:<6}  {run.verdict:<8}  {run.seconds:8.3f} s  {run.reason}".rstrip(), flush=True)
    runs = judged(runs)
    summaries = {"all": rows(runs, tools, timeout), "left open by bounds": rows(left_open(runs), tools, timeout)}
    entries = [record(drawn[run.task.index], run) for run in runs]
    content = {**conditions, "seed": arguments.seed, "queries": len(drawn), "summaries": summaries, "runs": entries}
    arguments.out.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    for title, summary in summaries.items():
        print(f"\n{title}\n{text(summary)}")
    if arguments.plot:
        cactus(runs, [Backend(tool) for tool in tools], arguments.plot)


def parse(tools: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m bench.peers", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--queries", type=int, default=60, metavar="N", help="how many; with one seed, fewer are the first of more")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--timeout", type=float, default=60.0, metavar="S", help="seconds for each query and tool")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="queries side by side, each on a core of its own")
    parser.add_argument("--tools", nargs="+", choices=tools, default=tools, help="all by default; ratios are to the first")
    parser.add_argument("--out", type=Path, default=ROOT / "bench" / "results" / "peers.json", metavar="FILE")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="a cactus plot as PNG (extra plot)")
    return parser.parse_args()


def commit() -> str:
    """Of the sources; a star says that they have changed since."""
    git = ["git", "-C", str(ROOT)]
    head = subprocess.run([*git, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True).stdout.strip() or "unknown"
    changed = subprocess.run([*git, "diff", "--quiet", "HEAD", "--", "qbitsat", "csrc", "bench/peers"]).returncode
    return head + "*" * bool(changed)


def versions() -> dict[str, str]:
    return {"python": platform.python_version(), **{package: importlib.metadata.version(package) for package in PACKAGES}}


if __name__ == "__main__":
    try:
        main()
    except QbitsatError as error:
        print(f"bench.peers: error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
