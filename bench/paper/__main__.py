"""The command line: see `bench.paper`."""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench import paper
from bench.peers.__main__ import commit
from qbitsat.campaign.compare_file import machine
from qbitsat.campaign.lock import Lock
from qbitsat.importers.files import replacing
from qbitsat.properties.robustness import TIES

from .plot import histogram
from .setting import NUM_SAMPLES, Setting
from .tables import TABLES

RESULTS = Path(__file__).resolve().parents[1] / "results" / "paper.json"
CACHE = Path.home() / ".cache" / "qbitsat" / "paper"
DEFAULT = Setting(CACHE)


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench.paper", description=paper.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tables", nargs="*", metavar="TABLE", help=f"of {', '.join(TABLES)}")
    parser.add_argument("--samples", type=int, default=NUM_SAMPLES, metavar="N", help="so many of the 300, evenly spread")
    parser.add_argument("--timeout", type=float, default=DEFAULT.timeout, metavar="S", help="for each query of ours")
    parser.add_argument("--smt-samples", type=int, default=DEFAULT.smt_samples, metavar="N", help="for each backend; 0 for none")
    parser.add_argument("--smt-timeout", type=float, default=DEFAULT.smt_timeout, metavar="S")
    parser.add_argument("--backends", default=DEFAULT.backends, metavar="LIST", help="as of `qbitsat compare`")
    parser.add_argument("--marabou-samples", type=int, default=DEFAULT.marabou_samples, metavar="N", help="0 for none")
    parser.add_argument("--bits", type=lambda text: tuple(map(int, text.split(","))), default=DEFAULT.bits, metavar="LIST")
    parser.add_argument("--ties", choices=TIES, default=DEFAULT.ties)
    parser.add_argument("--truncation", choices=("floor", "toward_zero"), default=DEFAULT.truncation)
    parser.add_argument("--seed", type=int, default=0, help="of the training")
    parser.add_argument("--cache", type=Path, default=CACHE, metavar="DIR", help=f"networks and runs; {CACHE} by default")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the histogram of fig4 there, a PNG; needs the extra `plot`")
    parser.add_argument("--out", type=Path, default=RESULTS, metavar="FILE")
    return parser


def main(given: list[str] | None = None) -> None:
    parser = arguments()
    args = vars(parser.parse_args(given))
    names, out, picture = args.pop("tables"), args.pop("out"), args.pop("plot")
    if unknown := set(names) - set(TABLES):
        parser.error(f"{', '.join(sorted(unknown))}: expected some of {', '.join(TABLES)}")
    setting = replace(DEFAULT, **args)
    if setting.samples < 1:
        parser.error(f"--samples: {setting.samples}, expected at least 1")
    setting.cache.mkdir(parents=True, exist_ok=True)
    lock = Lock(setting.cache)
    for name in names or TABLES:
        found, text = TABLES[name](setting)
        keep(out, name, setting, found)
        if name == "fig4" and picture:
            histogram(found, picture)
        print(f"{name}: {len(setting.chosen)} samples, limit {setting.timeout:g} s, {setting.name}\n\n{text}\n", flush=True)
    lock.release()


def keep(out: Path, name: str, setting: Setting, found: dict[str, Any]) -> None:
    """A table's figures, beside those of other tables."""
    content = json.loads(out.read_text(encoding="utf-8")) if out.exists() else {}
    # More runnable processes than cores stretch wall times.
    about = {"commit": commit(), "machine": machine(), "load": round(os.getloadavg()[0], 1), "samples": len(setting.chosen)}
    about |= {"timeout": setting.timeout, "setting": setting.name}
    content[name] = {**about, "found": found}
    with replacing(out, sync=False) as stream:
        stream.write(json.dumps(content, indent=1).encode() + b"\n")


if __name__ == "__main__":
    main()
