"""What certificates cost: python -m bench.certificates --work DIR [--tables NAMES]

Every query is verified twice, without and with a certificate, in alternating order, on one core; when a network's are done, `check`
is given what was written, in the same process. At the end `qbitsat check` is given each table's folder as a whole, on two
cores. --work holds the networks of bench/encodings.py, which the tables named `sat` need; without it they are left out. Tables are
kept in bench/results/certificates.json; those that are not run again stay as they are.

Certificates stay on the disk until all is measured: ext4 is slow to make files where many were deleted in the last seconds.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import qbitsat
from bench import suite
from bench.suite import DATA
from qbitsat.campaign import Task, Verifier, plan
from qbitsat.campaign.compare_file import machine, versions
from qbitsat.certificate.write import Source
from qbitsat.importers import load_inputs, load_labels
from qbitsat.verify import HOLDS

RESULTS = Path(__file__).parent / "results" / "certificates.json"
AAAI21 = {eps: range(100 * (eps - 1), 100 * eps) for eps in (1, 2, 3, 4)}
TACAS = {1: range(200), 2: range(200, 300)}
LONG = 1.0  # seconds of solving above which checking is compared with it


@dataclass(frozen=True)
class Outcome:
    """One query: seconds without a certificate, with it, and of the check; size in bytes; accepted is None where nothing is to check."""

    network: str
    sample: int
    eps: int
    verdict: str
    engine: str
    without: float
    seconds: float
    size: int = 0
    check: float = 0.0
    accepted: bool | None = None


def measure(verifier: Verifier, name: str, source: Source, tasks: Sequence[Task], folder: Path) -> list[Outcome]:
    """All tasks, with certificates in the folder."""
    folder.mkdir(parents=True)
    certified = replace(verifier, options={**verifier.options, "certificates": True}, certificates=folder, source=source)
    verifier(tasks[0])  # what is prepared once is not the first query's
    outcomes = []
    for task in tasks:
        took = {}
        for way in (verifier, certified) if task.index % 2 else (certified, verifier):
            start = time.perf_counter()
            verdict = way(task)
            took[way is certified] = time.perf_counter() - start
            if way is certified:
                found = verdict
        outcomes.append((Outcome(name, task.sample, task.eps, found.verdict, found.engine, took[False], took[True]), found.certificate))
    return [checked(outcome, folder.parent / path) if path else outcome for outcome, path in outcomes]


def checked(outcome: Outcome, path: Path) -> Outcome:
    """The same with what the checker says."""
    found = qbitsat.check(path)
    if not found.accepted:
        print(f"refused: {path}: {found.reason}", flush=True)
    return replace(outcome, size=path.stat().st_size, check=found.seconds, accepted=found.accepted)


def summary(outcomes: Sequence[Outcome], folder: Path) -> dict[str, Any]:
    """The table's numbers, times in seconds."""
    decided = [outcome for outcome in outcomes if outcome.accepted is not None]
    long = [outcome for outcome in decided if outcome.seconds > LONG]
    start = time.perf_counter()
    status = subprocess.run([sys.executable, "-m", "qbitsat", "check", str(folder), "--jobs", "2", "--quiet"], check=False).returncode
    together = time.perf_counter() - start
    return {
        "queries": len(outcomes),
        "verdicts": {verdict: sum(outcome.verdict == verdict for outcome in outcomes) for verdict in sorted({o.verdict for o in outcomes})},
        "accepted": sum(outcome.accepted is True for outcome in decided),
        "without": spread([outcome.without for outcome in outcomes]),
        "with": spread([outcome.seconds for outcome in outcomes]),
        "with_to_without": spread([outcome.seconds / outcome.without for outcome in outcomes]),
        "check": spread([outcome.check for outcome in decided]),
        "check_to_with_where_long": spread([outcome.check / outcome.seconds for outcome in long]),
        "check_command": {"jobs": 2, "seconds": round(together, 2), "exit_code": status},
        "bytes": spread([outcome.size for outcome in decided]),
    }


def spread(values: Sequence[float]) -> dict[str, float]:
    """Four digits of each."""
    found = {"median": statistics.median(values), "largest": max(values), "total": sum(values)} if values else {}
    return {"count": len(values), **{name: float(f"{value:.4g}") for name, value in found.items()}}


def protocol(file: str, bits: int | None, samples: dict[int, range], folder: Path) -> list[Outcome]:
    """A published protocol: eps and the samples at it; those that the network misses are skipped."""
    network = qbitsat.load(DATA / file, bits)
    x = load_inputs(DATA / "mnist" / "t10k-images-idx3-ubyte.gz", network.input)
    y = load_labels(DATA / "mnist" / "t10k-labels-idx1-ubyte.gz")
    tasks = [task for eps, which in samples.items() for task in plan(network, x, y, which, [eps]) if task.settled is None]
    tasks = [replace(task, index=k) for k, task in enumerate(tasks)]
    return measure(Verifier(network, {"timeout": 20.0}), file, Source(str(DATA / file), bits), tasks, folder / "all")


def by_sat(options: dict[str, Any], work: Path, folder: Path) -> list[Outcome]:
    """What holds of the suite of bench/encodings.py on whole digits, by SAT alone with these options."""
    cases = [suite.Case(**case) for case in json.loads((RESULTS.parent / "suite.json").read_text())["cases"]]
    outcomes: list[Outcome] = []
    for name in dict.fromkeys(case.network for case in cases if case.network not in suite.MNIST):
        network, file = suite.load_network(name, work), str(work / name / "digits.npz")
        own = [case for case in cases if case.network == name and case.verdict == HOLDS and case.sha256 == network.sha256]
        tasks = [suite.task_of(name, case.sample, case.eps, k) for k, case in enumerate(own)]
        if tasks:
            outcomes += measure(Verifier(network, {"engine": "sat", "timeout": 60.0, **options}), name, Source(file), tasks, folder / name)
    return outcomes


def tables(work: Path | None) -> dict[str, Any]:
    """What makes each table, given the folder for its certificates and how to check."""
    qvip = "qvip/qu_mnist_2blk_64_32_in_8_qu_{}.h5"
    found: dict[str, Any] = {
        "aaai21": lambda *rest: protocol("aaai21/mnist_mlp.h5", 6, AAAI21, *rest),
        "tacas 6 bits": lambda *rest: protocol(qvip.format(6), None, TACAS, *rest),
        "tacas 8 bits": lambda *rest: protocol(qvip.format(8), None, TACAS, *rest),
    }
    if work is not None:
        found["sat balanced"] = lambda *rest: by_sat({"encoding": "balanced", "solver": "cadical195"}, work, *rest)
        # Without a certificate narrowed disjuncts, dives and a second solver help, for which there is no proof.
        found["sat default"] = lambda *rest: by_sat({}, work, *rest)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, help="folder of trained networks")
    parser.add_argument("--tables", help="which tables to run, with commas; all by default")
    args = parser.parse_args()
    content = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"tables": {}}
    with tempfile.TemporaryDirectory() as folder:
        for name, make in tables(args.work).items():
            if args.tables and name not in args.tables.split(","):
                continue
            outcomes = make(Path(folder) / name)
            table = summary(outcomes, Path(folder) / name)
            table |= {"machine": machine(), "versions": versions([])}
            print(name, json.dumps(table, indent=1), flush=True)
            content["tables"][name] = table
            RESULTS.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
