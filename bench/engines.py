"""`auto` beside each engine alone: python -m bench.engines [SUITES] [--engines auto,hybrid,sat,enumerate] [--timeout 5] [--count 12]

Up to --count queries of each suite, spread evenly over it, each to every engine, one after the other on one core, with a limit in
seconds of CPU. `sat` has the balanced encoding, that of the TACAS 2020 paper. PAR-2 counts seconds of CPU, and twice the limit for
what stays open; `best` has for each query the engine that was fastest on it.

Suites: aaai21, qvip (MNIST, eps 6 to 12 and 3 to 4), mnist (those of the encodings suite), digits (the shipped network; those of the
encodings suite whose networks are in --work), satrelu-1 and satrelu-256 (inputs 0 and 1, and k/256), tflite (three small networks),
students (twins that differ in one feature, networks drawn at random). Keeps bench/results/engines.json, where engines that are not run
again stay as they are. Ends with 1 if two engines contradict each other.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import qbitsat
from bench import cpu_clock, suite
from bench.networks import files, inputs_of
from bench.peers.__main__ import commit
from bench.peers.draw import NETWORKS
from bench.suite import DATA, Case
from qbitsat import examples
from qbitsat.campaign import query_of
from qbitsat.campaign.compare_file import machine
from qbitsat.importers import load_inputs, load_labels
from qbitsat.network import Dense, Network, TensorFormat, classify
from qbitsat.properties import Box, Gap, Query, gap
from qbitsat.properties.vnnlib import Question, bind, read
from qbitsat.verify import HOLDS, VIOLATED

RESULTS = Path(__file__).parent / "results" / "engines.json"
ENGINES: dict[str, dict[str, Any]] = {
    "auto": {},
    "hybrid": {"engine": "hybrid"},
    "sat": {"engine": "sat", "encoding": "balanced"},
    "enumerate": {"engine": "enumerate"},
}
DECIDED = (HOLDS, VIOLATED)
SMALL_TFLITE = ("ptq_mnist_lenet-300-100", "mnist_arduino_q", "mnist_valid_q")

Named = Iterator[tuple[str, Callable[[], Query]]]


def evenly(items: list[Any], count: int) -> list[Any]:
    """So many of them, spread evenly."""
    count = min(count, len(items))
    return [items[k * len(items) // count] for k in range(count)]


def mnist(cells: tuple[tuple[str, int], ...]) -> Named:
    """The first hundred images, each with one of the cells (network, eps), which take turns."""
    networks = {name: qbitsat.load(DATA / NETWORKS[name][0], bits=NETWORKS[name][1]) for name, _ in cells}
    folder, form = DATA / "mnist", TensorFormat((28, 28), 0, 255)
    images, labels = load_inputs(folder / "t10k-images-idx3-ubyte.gz", form), load_labels(folder / "t10k-labels-idx1-ubyte.gz")
    for sample in range(100):
        name, eps = cells[sample % len(cells)]
        x, label = images[sample], int(labels[sample])
        if int(classify(networks[name], x[None])[0]) == label:
            yield f"{name} eps {eps} sample {sample}", lambda n=networks[name], x=x, e=eps, y=label: qbitsat.robustness(n, x, e, y)


def encodings(work: Path | None, of_mnist: bool) -> Named:
    """The suite of bench.encodings, as far as its networks are there."""
    for case in (Case(**case) for case in json.loads((RESULTS.parent / "suite.json").read_text(encoding="utf-8"))["cases"]):
        if (case.network in suite.MNIST) != of_mnist or not (of_mnist or (work and (work / case.network / "digits.npz").exists())):
            continue
        network = suite.load_network(case.network, work or DATA)
        task = suite.task_of(case.network, case.sample, case.eps)
        yield f"{case.network} eps {case.eps} sample {case.sample}", lambda t=task, n=network: query_of(t, n)


def digits(work: Path | None) -> Named:
    network = qbitsat.load(examples.network_path())
    x = np.load(examples.images_path()).reshape(-1, network.num_inputs).astype(np.int64)
    y = np.load(examples.labels_path())
    right = np.flatnonzero(classify(network, x) == y)
    for sample in right.tolist():
        eps = 1 + sample % 3
        yield f"shipped eps {eps} sample {sample}", lambda s=sample, e=eps: qbitsat.robustness(network, x[s], e, int(y[s]))
    yield from encodings(work, of_mnist=False)


def satrelu(grid: int) -> Named:
    for path in sorted((DATA / "satrelu").glob("*.vnnlib")):
        model = str(path.with_suffix(".onnx"))
        yield path.stem, lambda p=path, m=model: Question(bind(read(p), {"": m}, grid=grid)).query


def tflite() -> Named:
    for sample in range(6):
        for name in SMALL_TFLITE:
            network, eps = qbitsat.load(files()[name]), 1 + sample % 2
            x = inputs_of(name, network, sample + 1)[sample]
            label = int(classify(network, x[None])[0])
            yield f"{name} eps {eps} sample {sample}", lambda n=network, x=x, e=eps, y=label: qbitsat.robustness(n, x, e, y)


def students() -> Named:
    """7-16-8-1 in 8 bits over sex, group, education, lunch, course and two scores: do outputs for both sexes differ by so much?"""
    ends = np.array([1, 4, 5, 1, 1, 100, 100])
    for seed in range(8):
        rng, layers, size, top = np.random.default_rng(seed), [], len(ends), 100
        for k, n in enumerate((16, 8, 1)):
            form, output = TensorFormat((size,), 0, top), TensorFormat((n,), 0, 255)
            weights, bias = rng.integers(-40, 41, (n, size)), rng.integers(-800, 2400, n)
            layers.append(Dense(f"dense{k}", form, output, (output.requantizer(6, "half_up"),), weights, bias))
            size, top = n, 255
        asked = gap(Network(tuple(layers), f"students{seed}"), [0], box=Box(np.zeros(len(ends), int), ends))
        for least in (20, 60):
            yield f"network {seed} gap {least}", lambda a=asked, g=least: reaching(a, g)


def reaching(asked: Gap, least: int) -> Query:
    return Query(asked.query.networks, asked.query.boxes, qbitsat.properties.at_least(asked.objective, least))


def suites(work: Path | None) -> dict[str, Callable[[], Named]]:
    return {
        "aaai21": lambda: mnist((("aaai21", 6), ("aaai21", 8), ("aaai21", 12))),
        "qvip": lambda: mnist((("qvip6", 3), ("qvip8", 3), ("qvip6", 4), ("qvip8", 4))),
        "mnist": lambda: encodings(None, of_mnist=True),
        "digits": lambda: digits(work),
        "satrelu-1": lambda: satrelu(1),
        "satrelu-256": lambda: satrelu(256),
        "tflite": tflite,
        "students": students,
    }


def ask(job: tuple[str, Path | None, int, list[str], float]) -> tuple[str, list[dict[str, Any]]]:
    """A suite's name, and a record for each of its queries, in a process whose limits are in seconds of CPU."""
    name, work, count, engines, timeout = job
    cpu_clock.begin()
    records = []
    # What a process pays once, for what it loads and allocates first, is no engine's.
    for options in ENGINES.values():
        qbitsat.verify(next(digits(None))[1](), timeout=timeout, **options)
    for query, make in evenly(list(suites(work)[name]()), count):
        record: dict[str, Any] = {"query": query}
        for engine in engines:
            verdict = qbitsat.verify(make(), timeout=timeout, **ENGINES[engine])
            record[engine] = {"verdict": verdict.verdict, "by": verdict.engine, "seconds": round(verdict.cpu_seconds, 3)}
        print(query, *(f"{e}: {record[e]['verdict']} {record[e]['by']} {record[e]['seconds']}" for e in engines), sep="  ", flush=True)
        records.append(record)
    return name, records


def par2(runs: list[dict[str, Any]], timeout: float) -> float:
    return sum(run["seconds"] if run["verdict"] in DECIDED else 2 * timeout for run in runs)


def row(name: str, records: list[dict[str, Any]], timeout: float) -> str:
    """A line of a Markdown table: of each engine how many it decided and PAR-2, and the same of the best for each query."""
    cells, best = [name, str(len(records))], []
    for record in records:
        best.append(min((record[engine] for engine in ENGINES if engine in record and engine != "auto"), key=lambda r: par2([r], timeout)))
    for runs in (*([record[engine] for record in records if engine in record] for engine in ENGINES), best):
        cells.append(f"{sum(run['verdict'] in DECIDED for run in runs)}, {par2(runs, timeout):.1f}" if runs else "")
    auto = [record["auto"] for record in records if "auto" in record]
    cells.append(f"{par2(auto, timeout) / par2(best, timeout):.2f}" if auto else "")
    return f"| {' | '.join(cells)} |"


def contradictions(records: list[dict[str, Any]]) -> list[str]:
    found = [record["query"] for record in records if {HOLDS, VIOLATED} <= {record[e]["verdict"] for e in ENGINES if e in record}]
    return found


def merged(old: list[dict[str, Any]], new: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Queries of both, with the engines that were not run again as they are."""
    known = {record["query"]: record for record in old}
    known |= {record["query"]: {**known.get(record["query"], {}), **record} for record in new}
    return list(known.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suites", nargs="*", metavar="SUITE", help="all by default")
    parser.add_argument("--engines", default=",".join(ENGINES), metavar="LIST")
    parser.add_argument("--timeout", type=float, default=5.0, metavar="S")
    parser.add_argument("--count", type=int, default=12, metavar="N")
    parser.add_argument("--work", type=Path, metavar="DIR", help="networks that bench.encodings has trained")
    parser.add_argument("--out", type=Path, default=RESULTS, metavar="FILE")
    args = parser.parse_args()
    names = list(suites(args.work))
    if unknown := set(args.suites) - set(names):
        parser.error(f"{', '.join(sorted(unknown))}: expected some of {', '.join(names)}")
    content = json.loads(args.out.read_text(encoding="utf-8")) if args.out.exists() else {}
    jobs = [(name, args.work, args.count, args.engines.split(","), args.timeout) for name in args.suites or names]
    wrong = []
    print(f"| suite | queries | {' | '.join(ENGINES)} | best | auto / best |\n{'|---' * (len(ENGINES) + 4)}|")
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        for name, found in pool.imap(ask, jobs):
            records = merged(content[name]["runs"] if name in content else [], found)
            about = {"commit": commit(), "machine": machine(), "load": round(os.getloadavg()[0], 1), "timeout": args.timeout}
            content[name] = {**about, "runs": records}
            args.out.write_text(json.dumps(content) + "\n", encoding="utf-8")
            print(row(name, records, args.timeout), flush=True)
            wrong += contradictions(records)
    sys.exit(f"engines: contradictions: {', '.join(wrong)}" if wrong else 0)


if __name__ == "__main__":
    main()
