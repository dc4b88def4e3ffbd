"""Robustness of dense MNIST networks of few bits, and of deeper and wider ones:

    python -m bench.dense [NAMES] [--eps 4,6,8] [--samples 0:20] [--timeout 20] [--sat] [--table]

NAMES are hidden layers and the format for which bench.train_quantized trains what bench.train_mnist has made, as in
64-benchmark:4; without a format, as in 512-512, that network is quantized to 8 bits after training. What is not in --folder yet
is trained. Samples are those of the MNIST test set, seconds those of CPU. --sat asks `--engine sat` too. Keeps
bench/results/dense.json; --table prints what is there, and runs nothing.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

import qbitsat
from bench import cpu_clock
from bench.literature.mnist import CALIBRATION, FORMAT
from bench.peers.__main__ import commit
from bench.suite import DATA
from qbitsat.campaign import Verifier, plan
from qbitsat.campaign.compare_file import machine
from qbitsat.importers import load_inputs, load_labels
from qbitsat.network import Network, TensorFormat
from qbitsat.verify import HOLDS, VIOLATED

RESULTS = Path(__file__).parent / "results" / "dense.json"
FOLDER = Path(__file__).parents[1] / "work" / "dense"
FEW_BITS = ("64-benchmark:4", "64-32-benchmark:4", "64-32-benchmark:3")
NAMES = (*FEW_BITS, "100-100-100", "100-100-100-100-100-100", "512-512")
EPOCHS = 3
HEAD = (
    "| network, eps | engine | holds | violated | open | limit s | median s | seconds in all | nodes | commit |\n"
    "|---|---|---|---|---|---|---|---|---|---|"
)


def made(name: str, folder: Path) -> Network:
    """The network of a name, trained if it has not been."""
    hidden, _, form = name.rpartition("-") if ":" in name else (name, "", "")
    floats, whole = folder / f"{hidden}.keras", folder / f"{name.replace(':', '')}.npz"
    folder.mkdir(parents=True, exist_ok=True)
    if not whole.exists():
        if not floats.exists():
            run("bench.train_mnist", "--hidden", hidden.replace("-", ","), "--out", str(floats))
        if not form:
            return qbitsat.quantize(qbitsat.load_float(floats), FORMAT.format(bits=8), (pixels()[CALIBRATION] / 256).reshape(-1, 784))
        run("bench.train_quantized", str(floats), "--format", form, "--epochs", str(EPOCHS), "--out", str(whole))
    return qbitsat.load(whole)


def pixels() -> np.ndarray:
    """MNIST's test images, int64[10000, 28, 28]."""
    return load_inputs(DATA / "mnist" / "t10k-images-idx3-ubyte.gz", TensorFormat((28, 28), 0, 255))


def run(module: str, *arguments: str) -> None:
    subprocess.run([sys.executable, "-m", module, *arguments], check=True)


def measure(network: Network, eps: int, samples: range, timeout: float, engine: str) -> list[dict[str, Any]]:
    """A record for each sample that the network gets right."""
    labels = load_labels(DATA / "mnist" / "t10k-labels-idx1-ubyte.gz")
    verifier, runs = Verifier(network, {"timeout": timeout, "engine": engine}), []
    for task in plan(network, pixels(), labels, samples, [eps]):
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
    seconds, nodes = [run["seconds"] for run in runs], int(sum(run["nodes"] for run in runs))
    cells = (
        record["engine"],
        holds,
        violated,
        len(runs) - holds - violated,
        f"{record['timeout']:g}",
        f"{statistics.median(seconds):.2g}",
        f"{sum(seconds):.1f}",
        nodes,
        record["commit"],
    )
    return f"| {record['network']}, {record['eps']} | {' | '.join(map(str, cells))} |"


def kept() -> dict[str, Any]:
    """What has been measured so far."""
    return json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}; {', '.join(FEW_BITS)} by default")
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
    networks = {name: made(name, args.folder) for name in args.names or FEW_BITS}
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
