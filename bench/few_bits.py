"""Robustness of networks of two to four bits:

    python -m bench.few_bits [NAMES] [--eps 4,6,8] [--samples 0:20] [--timeout 20] [--sat] [--table]

NAMES are 64-benchmark:4 and the like: hidden layers, and the format for which bench.train_quantized trains what bench.train_mnist has
made; networks that are not in --folder yet are trained. Samples are those of the MNIST test set, seconds those of CPU. --sat asks
`--engine sat` too. Keeps bench/results/few_bits.json; --table prints what is there, and runs nothing.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import qbitsat
from bench import cpu_clock
from bench.peers.__main__ import commit
from bench.suite import DATA
from qbitsat.campaign import Verifier, plan
from qbitsat.campaign.compare_file import machine
from qbitsat.importers import load_inputs, load_labels
from qbitsat.network import Network, TensorFormat
from qbitsat.verify import HOLDS, VIOLATED

RESULTS = Path(__file__).parent / "results" / "few_bits.json"
FOLDER = Path(__file__).parents[1] / "work" / "few_bits"
NAMES = ("64-benchmark:4", "64-32-benchmark:4", "64-32-benchmark:3")
EPOCHS = 3
HEAD = (
    "| network, eps | engine | holds | violated | open | limit s | seconds in all | nodes | commit |\n|---|---|---|---|---|---|---|---|---|"
)


def made(name: str, folder: Path) -> Network:
    """The network of a name, trained if it has not been."""
    hidden, _, form = name.rpartition("-")
    floats, whole = folder / f"{hidden}.keras", folder / f"{name.replace(':', '')}.npz"
    folder.mkdir(parents=True, exist_ok=True)
    if not whole.exists():
        if not floats.exists():
            run("bench.train_mnist", "--hidden", hidden.replace("-", ","), "--out", str(floats))
        run("bench.train_quantized", str(floats), "--format", form, "--epochs", str(EPOCHS), "--out", str(whole))
    return qbitsat.load(whole)


def run(module: str, *arguments: str) -> None:
    subprocess.run([sys.executable, "-m", module, *arguments], check=True)


def measure(network: Network, eps: int, samples: range, timeout: float, engine: str) -> list[dict[str, Any]]:
    """A record for each sample that the network gets right."""
    images = load_inputs(DATA / "mnist" / "t10k-images-idx3-ubyte.gz", TensorFormat((28, 28), 0, 255))
    labels = load_labels(DATA / "mnist" / "t10k-labels-idx1-ubyte.gz")
    verifier, runs = Verifier(network, {"timeout": timeout, "engine": engine}), []
    for task in plan(network, images, labels, samples, [eps]):
        if task.settled is not None:
            continue
        verdict = verifier(task)
        counts = {key: verdict.statistics.get(key, 0) for key in ("nodes", "closed")}
        runs.append(
            {"sample": task.sample, "verdict": verdict.verdict, "engine": verdict.engine, "seconds": round(verdict.seconds, 3), **counts}
        )
    return runs


def row(record: dict[str, Any]) -> str:
    """A line of a Markdown table."""
    runs = record["runs"]
    holds, violated = (sum(run["verdict"] == word for run in runs) for word in (HOLDS, VIOLATED))
    seconds, nodes = sum(run["seconds"] for run in runs), int(sum(run["nodes"] for run in runs))
    cells = (
        record["engine"],
        holds,
        violated,
        len(runs) - holds - violated,
        f"{record['timeout']:g}",
        f"{seconds:.1f}",
        nodes,
        record["commit"],
    )
    return f"| {record['network']}, {record['eps']} | {' | '.join(map(str, cells))} |"


def kept() -> dict[str, Any]:
    """What has been measured so far."""
    return json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(NAMES)} by default")
    parser.add_argument("--eps", default="4,6,8", metavar="LIST")
    parser.add_argument("--samples", default="0:20", metavar="FIRST:END")
    parser.add_argument("--timeout", type=float, default=20.0, metavar="S")
    parser.add_argument("--folder", type=Path, default=FOLDER, metavar="DIR")
    parser.add_argument("--sat", action="store_true")
    parser.add_argument("--table", action="store_true")
    args = parser.parse_args()
    print(HEAD)
    if args.table:
        print(*map(row, kept().values()), sep="\n")
        return
    networks = {name: made(name, args.folder) for name in args.names or NAMES}
    cpu_clock.begin()
    for name, network in networks.items():
        for eps in map(int, args.eps.split(",")):
            for engine in ("auto", "sat")[: 1 + args.sat]:
                runs = measure(network, eps, range(*map(int, args.samples.split(":"))), args.timeout, engine)
                record = {"network": name, "eps": eps, "engine": engine, "timeout": args.timeout, "commit": commit(), "machine": machine()}
                key = f"{name}-eps{eps}-{engine}-{args.samples}"
                content = {**kept(), key: {**record, "samples": args.samples, "runs": runs}}
                RESULTS.write_text(json.dumps(content) + "\n", encoding="utf-8")
                print(row({**record, "runs": runs}), flush=True)


if __name__ == "__main__":
    main()
