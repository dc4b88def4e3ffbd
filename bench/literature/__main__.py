"""See the package."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import bench.literature
from bench.paper.runs import Runs
from bench.peers.__main__ import commit
from qbitsat.campaign.compare_file import machine

from . import acas, mnist, rivals, taxi
from .setting import Record

RESULTS = Path(__file__).resolve().parents[1] / "results" / "literature.json"
CACHE = Path.home() / ".cache" / "qbitsat" / "literature"
NAMES = (*mnist.NAMES, "acas-xu", "tinytaxi", "pairs", "marabou")


def records(finished: Runs, name: str, args: argparse.Namespace) -> Iterator[tuple[str, Record]]:
    """What comes of a name, one record after the other."""
    if name == "acas-xu":
        yield from acas.run(finished, tuple(args.bits), args.seconds)
    elif name == "pairs":
        yield from acas.run_pairs(finished, args.seconds)
    elif name == "marabou":
        yield from rivals.run(finished, args.seconds, args.samples)
    else:
        for bits in args.bits:
            run = taxi.run if name == "tinytaxi" else partial(mnist.run, name=name)
            yield f"{name}-{bits}", run(finished, bits=bits, seconds=args.seconds, samples=args.samples)


def main() -> None:
    parser = argparse.ArgumentParser(
        "python -m bench.literature", description=bench.literature.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--bits", type=lambda text: [int(part) for part in text.split(",")], default=[8, 16], metavar="LIST")
    parser.add_argument("--seconds", type=float, default=60.0, metavar="S", help="CPU seconds for a query")
    parser.add_argument("--samples", type=int, default=15, metavar="N", help="of each network of images")
    parser.add_argument("--cache", type=Path, default=CACHE, metavar="DIR")
    parser.add_argument("--out", type=Path, default=RESULTS, metavar="FILE")
    args = parser.parse_args()
    if unknown := set(args.names) - set(NAMES):
        parser.error(f"{', '.join(sorted(unknown))}: expected some of {', '.join(NAMES)}")
    content = json.loads(args.out.read_text(encoding="utf-8")) if args.out.exists() else {}
    with Runs(args.cache / "runs.jsonl") as finished:
        for name in args.names or NAMES:
            for key, record in records(finished, name, args):
                content[key] = {"commit": commit(), "machine": machine(), "seconds": args.seconds, **record}
                args.out.write_text(json.dumps(content) + "\n", encoding="utf-8")
                print(key, json.dumps({k: v for k, v in record.items() if k != "runs"}), flush=True)
                for run in record["runs"]:
                    print("   ", json.dumps(run), flush=True)


if __name__ == "__main__":
    main()
