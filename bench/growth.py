"""How the time grows with eps: python -m bench.growth [--eps 1,2,...] [--samples 400:420] [--timeout 10]

Samples of the MNIST test set, each at every eps on each of the three 784-input networks of the
published benchmarks, one after the other on one core. Writes bench/results/growth.json and prints one table row for each network and eps.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import qbitsat
from bench.peers.__main__ import commit
from bench.peers.draw import DATA, NETWORKS
from qbitsat.campaign import Verifier, plan
from qbitsat.campaign.compare_file import machine
from qbitsat.importers import load_inputs, load_labels
from qbitsat.verify import HOLDS, VIOLATED

RESULTS = Path(__file__).parent / "results" / "growth.json"
MNIST = DATA / "mnist"


def measure(name: str, epsilons: list[int], samples: range, timeout: float) -> Iterator[dict[str, Any]]:
    """One record for each eps: verdicts and seconds of the samples that the network gets right."""
    file, bits = NETWORKS[name]
    network = qbitsat.load(DATA / file, bits=bits)
    images = load_inputs(MNIST / "t10k-images-idx3-ubyte.gz", network.input)
    labels = load_labels(MNIST / "t10k-labels-idx1-ubyte.gz")
    verifier = Verifier(network, {"timeout": timeout})
    for eps in epsilons:
        runs = []
        for task in plan(network, images, labels, samples, [eps]):
            if task.settled is None:
                verdict = verifier(task)
                runs.append(
                    {"sample": task.sample, "verdict": verdict.verdict, "engine": verdict.engine, "seconds": round(verdict.seconds, 4)}
                )
        yield {"network": name, "eps": eps, "runs": runs}


def row(record: dict[str, Any], timeout: float) -> str:
    """A line of a Markdown table; what is open counts with the limit."""
    runs = record["runs"]
    count = {word: sum(run["verdict"] == word for run in runs) for word in (HOLDS, VIOLATED)}
    seconds = sorted(run["seconds"] if run["verdict"] in count else timeout for run in runs)
    open_ = len(runs) - sum(count.values())
    cells = (
        record["network"],
        record["eps"],
        count[HOLDS],
        count[VIOLATED],
        open_,
        f"{statistics.median(seconds):.3g}",
        f"{statistics.mean(seconds):.3g}",
    )
    return "| " + " | ".join(map(str, cells)) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--eps", default="1,2,3,4,6,8,12,16,24,32")
    parser.add_argument("--samples", default="400:420", metavar="FIRST:END")
    parser.add_argument("--timeout", type=float, default=10.0, metavar="S")
    parser.add_argument("--networks", default=",".join(NETWORKS))
    parser.add_argument("--out", type=Path, default=RESULTS, metavar="FILE")
    args = parser.parse_args()
    samples = range(*map(int, args.samples.split(":")))
    epsilons = [int(eps) for eps in args.eps.split(",")]
    content: dict[str, Any] = {"machine": machine(), "commit": commit(), "timeout": args.timeout, "records": []}
    print("| network | eps | holds | violated | open | median s | mean s |\n|---|---|---|---|---|---|---|")
    for name in args.networks.split(","):
        for record in measure(name, epsilons, samples, args.timeout):
            print(row(record, args.timeout), flush=True)
            content["records"].append(record)
            args.out.write_text(json.dumps(content) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
