"""How far MNIST images keep their class on QVIP's networks: python -m bench.distances [--bits 6,8] [--samples 0:100] [--timeout 60]

`qbitsat.radius` in L-infinity on 784-64-32-10 of 6 and 8 bits, one image after the other, with a limit in seconds of CPU. An image that
is misclassified has no radius and is said to be so. Samples that a killed run finished are not asked again. Prints a line a network:
how many radii are exact, and how many distances the others leave open.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path
from statistics import median
from typing import Any

import qbitsat
from bench import cpu_clock
from bench.paper.runs import Runs
from bench.peers.__main__ import commit
from bench.suite import DATA, QVIP6, QVIP8, images, load_network
from qbitsat.campaign.compare_file import machine
from qbitsat.optimize import OPTIMAL
from qbitsat.verify import UNKNOWN

RESULTS = Path(__file__).parent / "results" / "distances.json"
CACHE = Path.home() / ".cache" / "qbitsat" / "distances"
FILES = {6: QVIP6, 8: QVIP8}


def records(bits: int, samples: range, timeout: float, runs: Runs) -> list[dict[str, Any]]:
    """What is known of the radius of each sample: verdict, radius, upper, seconds of CPU."""
    network, (x, labels) = load_network(FILES[bits], DATA), images(FILES[bits])
    found = []
    for sample in samples:
        entry = runs.get(key := f"{bits} {sample}", timeout)
        if entry is None:
            one = qbitsat.radius(network, x[sample], int(labels[sample]), timeout=timeout)
            values = {"verdict": one.verdict, "radius": one.radius, "upper": one.upper}
            entry = runs.add(key, **values, reason=one.reason, seconds=round(one.cpu_seconds, 2), timeout=timeout, commit=commit())
        found.append(entry)
    return found


def line(bits: int, entries: list[dict[str, Any]]) -> str:
    """A line of a Markdown table."""
    exact = [entry for entry in entries if entry["verdict"] == OPTIMAL]
    left = Counter(entry["upper"] - entry["radius"] for entry in entries if entry["verdict"] == UNKNOWN and entry["upper"] is not None)
    seconds = [entry["seconds"] for entry in exact]
    cells = (f"{len(exact)} of {len(entries)}", f"{min(e['radius'] for e in exact)} to {max(e['radius'] for e in exact)}" if exact else "")
    by_count = ", ".join(f"{gap}: {count}" for gap, count in sorted(left.items()))
    return f"| {bits} | {' | '.join(cells)} | {f'{median(seconds):.2g}' if seconds else ''} | {by_count} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bits", type=lambda text: [int(part) for part in text.split(",")], default=[6, 8], metavar="LIST")
    parser.add_argument("--samples", type=lambda text: range(*map(int, text.split(":"))), default=range(100), metavar="A:B")
    parser.add_argument("--timeout", type=float, default=60.0, metavar="S", help="CPU seconds for each sample")
    parser.add_argument("--cache", type=Path, default=CACHE, metavar="DIR")
    args = parser.parse_args()
    cpu_clock.begin()
    content = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    print("| bits | exact | radii | their median s | distances left open, of how many |\n|---|---|---|---|---|")
    for bits in args.bits:
        with Runs(args.cache / f"{bits}.jsonl") as runs:
            entries = records(bits, args.samples, args.timeout, runs)
        content[str(bits)] = {"machine": machine(), "timeout": args.timeout, "samples": entries}
        RESULTS.write_text(json.dumps(content) + "\n", encoding="utf-8")
        print(line(bits, entries), flush=True)


if __name__ == "__main__":
    main()
