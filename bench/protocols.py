"""Every query of the published and the harder protocols: python -m bench.protocols [NAMES] [--timeout 60] [--jobs 2]

A protocol is a network at some eps, with the samples of the MNIST test set that belong to it (`bench.peers.draw.PROTOCOLS`),
one query after the other on one core in a process of its own; --jobs protocols run side by side. Keeps bench/results/protocols.json,
where protocols that are not run again stay as they are, and prints one table row for each.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import statistics
from functools import partial
from pathlib import Path
from typing import Any

from bench.growth import measure
from bench.peers.__main__ import commit
from bench.peers.draw import PROTOCOLS
from qbitsat.campaign.compare_file import machine
from qbitsat.verify import HOLDS, VIOLATED

RESULTS = Path(__file__).parent / "results" / "protocols.json"
# ru_maxrss is in KiB on Linux.
KIB_IN_MIB = 1024


def name_of(protocol: tuple[str, int, int, int]) -> str:
    network, eps, first, end = protocol
    return f"{network}-eps{eps}-{first}:{end}"


def run(protocol: tuple[str, int, int, int], timeout: float) -> tuple[str, dict[str, Any]]:
    """The protocol's name and record; its process must have run nothing before, as its peak memory is in it."""
    network, eps, first, end = protocol
    (record,) = measure(network, [eps], range(first, end), timeout)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / KIB_IN_MIB
    return name_of(protocol), {"commit": commit(), "machine": machine(), "timeout": timeout, "peak_mib": round(peak), **record}


def row(name: str, record: dict[str, Any]) -> str:
    """A line of a Markdown table; what is open counts with the limit in the median."""
    runs = record["runs"]
    decided = [run["seconds"] for run in runs if run["verdict"] in (HOLDS, VIOLATED)]
    open_ = [str(run["sample"]) for run in runs if run["verdict"] not in (HOLDS, VIOLATED)]
    median = statistics.median(decided + [record["timeout"]] * len(open_))
    cells = (
        name,
        f"{record['timeout']:g}",
        f"{len(decided)} of {len(runs)}",
        ", ".join(open_),
        f"{median:.2g}",
        f"{max(decided, default=0):.2g}",
    )
    return "| " + " | ".join((*cells, str(record["peak_mib"]))) + " |"


def main() -> None:
    names = [name_of(protocol) for protocol in PROTOCOLS]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"all by default, of {', '.join(names)}")
    parser.add_argument("--timeout", type=float, default=60.0, metavar="S")
    parser.add_argument("--jobs", type=int, default=1, metavar="N")
    args = parser.parse_args()
    if unknown := set(args.names) - set(names):
        parser.error(f"{', '.join(sorted(unknown))}: expected some of {', '.join(names)}")
    chosen = [protocol for protocol in PROTOCOLS if not args.names or name_of(protocol) in args.names]
    content = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    print("| protocol | limit s | decided | open | median s | longest s | peak MiB |\n|---|---|---|---|---|---|---|")
    with multiprocessing.get_context("spawn").Pool(args.jobs, maxtasksperchild=1) as pool:
        for name, record in pool.imap_unordered(partial(run, timeout=args.timeout), chosen):
            content[name] = record
            RESULTS.write_text(json.dumps(content) + "\n", encoding="utf-8")
            print(row(name, record), flush=True)


if __name__ == "__main__":
    main()
