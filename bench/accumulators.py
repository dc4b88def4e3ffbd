"""How wide accumulators must be in files that people ship: python -m bench.accumulators [NAMES] [--timeout 5] [--total 40] [--table]

Over all inputs, layer by layer: what intervals ask for, what is proved enough, what some input needs, and the range between the farthest
sums that were found beside the one that is proved (`qbitsat overflow --exact`). Limits are seconds of CPU, for a query and for a file.
Keeps bench/results/accumulators.json; --table prints what is there, and runs nothing.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import qbitsat
from bench import cpu_clock
from bench.peers.__main__ import commit
from bench.suite import DATA
from qbitsat.campaign.compare_file import machine
from qbitsat.reach import LayerWidth

RESULTS = Path(__file__).parent / "results" / "accumulators.json"
HEAD = "| file | layers | decided | exact | intervals | enough | needed | bits saved | CPU s |\n|---|---|---|---|---|---|---|---|---|"


def files() -> dict[str, Path]:
    return {path.stem: path for path in sorted((DATA / "tflite").glob("*.tflite"))}


def described(width: LayerWidth) -> dict[str, Any]:
    ranges = {"interval": width.interval, "bounds": width.bounds, "reached": width.reached}
    bits = {"interval_width": width.interval_width, "enough": width.enough, "needed": width.needed}
    return {"layer": width.layer, "name": width.name, "accumulators": width.accumulators, **ranges, **bits, "reason": width.reason}


def measured(path: Path, timeout: float, total: float) -> dict[str, Any]:
    """A file's record."""
    network, start = qbitsat.load(path), cpu_clock.seconds()
    found = qbitsat.overflow(network, exact=True, timeout=timeout, total=total, memory=6.0)
    seconds = round(cpu_clock.seconds() - start, 1)
    about = {"commit": commit(), "machine": machine(), "timeout": timeout, "total": total, "seconds": seconds}
    return {**about, "layers": [described(width) for width in found]}


def row(name: str, record: dict[str, Any]) -> str:
    """A line of a Markdown table."""
    layers = record["layers"]
    decided = sum(layer["enough"] == layer["needed"] for layer in layers)
    exact = sum(layer["bounds"] == layer["reached"] for layer in layers)
    words = [" ".join(str(layer[key]) for layer in layers) for key in ("interval_width", "enough", "needed")]
    saved = sum(layer["interval_width"] - layer["enough"] for layer in layers)
    return f"| {name} | {len(layers)} | {decided} | {exact} | {' | '.join(words)} | {saved} | {record['seconds']:.0f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="files without .tflite; all by default")
    parser.add_argument("--timeout", type=float, default=5.0, metavar="S")
    parser.add_argument("--total", type=float, default=40.0, metavar="S")
    parser.add_argument("--table", action="store_true")
    args = parser.parse_args()
    content = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    if unknown := set(args.names) - set(files()):
        parser.error(f"{', '.join(sorted(unknown))}: expected some of {', '.join(files())}")
    print(HEAD)
    cpu_clock.begin()
    for name in args.names or files():
        if not args.table:
            # JSON has lists where records have pairs.
            content[name] = json.loads(json.dumps(measured(files()[name], args.timeout, args.total)))
            RESULTS.write_text(json.dumps(content) + "\n", encoding="utf-8")
        if name in content:
            print(row(name, content[name]), flush=True)


if __name__ == "__main__":
    main()
