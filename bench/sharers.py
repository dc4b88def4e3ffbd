"""What a second process brings to one query: python -m bench.sharers [SUITE ...] [--count 10] [--runs 3]

Queries that hold and took 0.3 to 30 s when they were last measured: the ten longest of each suite (aaai21, qvip, mnist-256x4, tflite, in
bench/results/protocols.json, literature.json and networks.json). One process and two take turns, --runs times each. The figure of a query
is the median of the seconds of wall time with one over that with two; what is open after two minutes counts with these. The machine should
do nothing else. Keeps bench/results/sharers.json, and prints a line a query and the median ratio of each suite.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

import qbitsat
from bench.literature import mnist as pixels_of
from bench.literature.setting import model
from bench.networks import files, inputs_of
from bench.peers.__main__ import commit
from bench.peers.draw import DATA, NETWORKS
from qbitsat.campaign.compare_file import machine
from qbitsat.importers import load_inputs, load_labels
from qbitsat.network import TensorFormat, classify
from qbitsat.properties import Query
from qbitsat.verify import HOLDS

RESULTS = Path(__file__).parent / "results"
LEAST, MOST, LIMIT = 0.3, 30.0, 120.0
# Of a query: its seconds when it was last measured, its name, and how to make it.
Known = tuple[float, str, Callable[[], Query]]


def recorded(name: str) -> dict[str, Any]:
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def long_runs(record: dict[str, Any], seconds: str = "seconds") -> list[dict[str, Any]]:
    return [run for run in record["runs"] if run["verdict"] == HOLDS and LEAST <= run[seconds] <= MOST]


def images(form: TensorFormat) -> tuple[np.ndarray, np.ndarray]:
    folder = DATA / "mnist"
    return load_inputs(folder / "t10k-images-idx3-ubyte.gz", form), load_labels(folder / "t10k-labels-idx1-ubyte.gz")


def of_protocols(prefix: str) -> Iterator[Known]:
    for key, record in recorded("protocols").items():
        if key.startswith(prefix):
            file, bits = NETWORKS[record["network"]]
            network = qbitsat.load(DATA / file, bits=bits)
            x, labels = images(network.input)
            for run in long_runs(record):
                k, eps = run["sample"], record["eps"]
                yield run["seconds"], f"{key} {k}", lambda n=network, x=x[k], e=eps, y=int(labels[k]): qbitsat.robustness(n, x, e, y)


def of_tflite() -> Iterator[Known]:
    for key, record in recorded("networks").items():
        name, eps = key.removesuffix("-patch").rsplit("-eps", 1)
        network = qbitsat.load(files()[name])
        for run in long_runs(record):
            x = inputs_of(name, network, run["sample"] + 1)[-1]
            label, region = int(classify(network, x[None])[0]), record["region"]
            yield (
                run["seconds"],
                f"{key} {run['sample']}",
                lambda n=network, x=x, e=int(eps), y=label, r=region: qbitsat.robustness(n, x, e, y, region=r),
            )


def of_256x4() -> Iterator[Known]:
    x, labels = images(TensorFormat((28, 28), 0, 255))
    floats, real = model(pixels_of.NAMES["mnist-256x4"]), (x / 256).reshape(-1, 784, 1)
    network = qbitsat.quantize(floats, pixels_of.FORMAT.format(bits=8), real[pixels_of.CALIBRATION])
    for run in long_runs(recorded("literature")["mnist-256x4-8"], "cpu_seconds"):
        k, eps = run["sample"], run["eps"]
        yield run["cpu_seconds"], f"256x4 eps {eps} {k}", lambda x=x[k], e=eps, y=int(labels[k]): qbitsat.robustness(network, x, e, y)


SUITES: dict[str, Callable[[], Iterator[Known]]] = {
    "aaai21": lambda: of_protocols("aaai21"),
    "qvip": lambda: of_protocols("qvip"),
    "mnist-256x4": of_256x4,
    "tflite": of_tflite,
}


def ask(query: Query, runs: int) -> dict[str, Any]:
    """Seconds of wall time with one process and with two, which take turns."""
    seconds: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(runs):
        for jobs, found in seconds.items():
            verdict = qbitsat.verify(query, timeout=LIMIT, jobs=jobs)
            if verdict.violated:
                raise SystemExit(f"{verdict}: expected {HOLDS}")
            found.append(round(verdict.seconds, 3) if verdict.holds else LIMIT)
    one, two = (median(found) for found in seconds.values())
    return {"one": seconds[1], "two": seconds[2], "ratio": round(one / two, 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suites", nargs="*", default=list(SUITES), metavar="SUITE", help=", ".join(SUITES))
    parser.add_argument("--count", type=int, default=10, metavar="N", help="queries of each suite")
    parser.add_argument("--runs", type=int, default=3, metavar="N")
    args = parser.parse_args()
    out = RESULTS / "sharers.json"
    content = json.loads(out.read_text(encoding="utf-8")) if out.exists() else {}
    print("| query | one process, s | two, s | ratio |\n|---|---|---|---|")
    for name in args.suites:
        found = []
        for _, query, made in sorted(SUITES[name](), key=lambda known: -known[0])[: args.count]:
            found.append({"query": query, **ask(made(), args.runs)})
            print(f"| {query} | {median(found[-1]['one']):.2f} | {median(found[-1]['two']):.2f} | {found[-1]['ratio']} |", flush=True)
        content[name] = {"commit": commit(), "machine": machine(), "queries": found}
        out.write_text(json.dumps(content) + "\n", encoding="utf-8")
        print(f"| {name}, {len(found)} queries | | | {median(one['ratio'] for one in found)} |", flush=True)


if __name__ == "__main__":
    main()
