"""Our SAT encodings against SMT solvers: python -m bench.encodings --work DIR [--train-with PYTHON] [--choose]

Trains the networks that --work lacks, takes the queries of bench/results/suite.json (with --choose it chooses them anew, by
the rule of bench/suite.py), runs every table below and writes bench/results/encodings.json and a cactus plot of the
first table. Every run is added to runs.jsonl in --work when it ends, so that a run that was stopped goes on where it was.

All backends get the same query with the same interval bounds, one thread, and the same limit; they take turns query by query.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench import cnf_sizes, suite
from bench.suite import Case
from qbitsat import Network
from qbitsat.campaign import Verifier
from qbitsat.campaign.compare import BOUNDS, Backend, Run, compare, disagreement, parse_backends, standings
from qbitsat.campaign.compare_file import machine, versions
from qbitsat.report.compare import cactus, standings_table

RESULTS = Path(__file__).parent / "results"
SEED = 2026


@dataclass(frozen=True)
class Table:
    """Backends on the suite's digits or MNIST queries: on all of them, or on a seeded choice of `count`."""

    name: str
    backends: str
    count: int = 0
    timeout: float = 60.0
    bounds: bool = True
    mnist: bool = False


TABLES = (
    Table("digits", "sat,boolector,bitwuzla"),
    Table("others", "sat,z3,cvc5,yices", 16, 10.0),
    Table("layouts", "sat,sat:substituted,sat:balanced,sat:linear,boolector,boolector:linear,bitwuzla,bitwuzla:linear", 40, 10.0),
    Table("without_bounds", "sat,boolector,bitwuzla", 30, 10.0, bounds=False),
    Table("mnist", "sat,sat:balanced,boolector,bitwuzla", timeout=10.0, mnist=True),
)


def train(work: Path, python: str) -> None:
    """The networks that are not there yet; seconds each."""
    names = [f"{shape}-{bits}" for shape in suite.SHAPES for bits in suite.BITS] + [f"16-4-seed{seed}" for seed in suite.MORE_SEEDS]
    for name in names:
        if not (work / name / "digits.npz").exists():
            shape, bits, *seed = name.replace("seed", "").split("-")
            command = [python, "-m", "bench.train_digits", "--hidden", shape, "--bits", bits, "--out", str(work / name)]
            subprocess.run([*command, "--seed", *(seed or ["0"])], check=True, stdout=subprocess.DEVNULL)


def cases(work: Path, anew: bool) -> list[Case]:
    """The suite; it is written where it is chosen anew. Ends the program if a network is not the one that it names."""
    path = RESULTS / "suite.json"
    if anew:
        chosen = suite.choose(work)
        path.write_text(json.dumps({"rule": suite.__doc__, "cases": [asdict(case) for case in chosen]}, indent=1) + "\n")
    chosen = [Case(**case) for case in json.loads(path.read_text())["cases"]]
    for name, sha256 in {case.network: case.sha256 for case in chosen}.items():
        found = suite.load_network(name, work).sha256
        if found != sha256:
            raise SystemExit(f"encodings: network {name} has sha256 {found}, and the suite is of {sha256}; choose anew with --choose")
    return chosen


def chosen(table: Table, suite_cases: Sequence[Case]) -> list[int]:
    """Numbers of the table's cases: a seeded sample in the suite's order."""
    pool = [number for number, case in enumerate(suite_cases) if (case.network in suite.MNIST) == table.mnist]
    return sorted(random.Random(SEED).sample(pool, table.count)) if table.count else pool


def run_table(table: Table, suite_cases: Sequence[Case], networks: dict[str, Network], path: Path) -> list[Run]:
    """All runs of a table; those in the file at `path` are not run again."""
    backends = parse_backends(table.backends)
    known = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    done = {record["case"]: record["runs"] for record in known if record["table"] == asdict(table)}
    options = {"timeout": table.timeout, "memory": None, "bounds": table.bounds}
    runs: list[Run] = []
    for number in chosen(table, suite_cases):
        case = suite_cases[number]
        task = suite.task_of(case.network, case.sample, case.eps, number)
        if number not in done:
            turn = number % len(backends)
            verifier = Verifier(networks[case.network], options)
            ended = list(compare(verifier, [task], [*backends[turn:], *backends[:turn]]))
            done[number] = [record_of(run) for run in ended]
            with path.open("a") as stream:
                stream.write(json.dumps({"table": asdict(table), "case": number, "runs": done[number]}) + "\n")
        own = [run_of(record, task, backends) for record in done[number]]
        if message := disagreement(own):
            raise SystemExit(f"encodings: {case.network} {message}")
        runs += own
    return runs


def record_of(run: Run) -> dict[str, Any]:
    """A run as JSON, without its task."""
    return {
        "backend": str(run.backend),
        "verdict": run.verdict,
        "reason": run.reason,
        "seconds": round(run.seconds, 4),
        "statistics": run.statistics,
    }


def run_of(record: dict[str, Any], task: Any, backends: Sequence[Backend]) -> Run:
    backend = next(backend for backend in (*backends, BOUNDS) if str(backend) == record["backend"])
    return Run(task, **{**record, "backend": backend})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder of trained networks and of runs so far")
    parser.add_argument("--train-with", default=sys.executable, metavar="PYTHON", help="a Python that has the extra `train`")
    parser.add_argument("--choose", action="store_true", help="choose the suite anew")
    parser.add_argument("--tables", default=",".join(t.name for t in TABLES), help="which tables to run")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    train(args.work, args.train_with)
    suite_cases = cases(args.work, args.choose)
    networks = {name: suite.load_network(name, args.work) for name in {case.network for case in suite_cases}}
    content: dict[str, Any] = {"machine": machine(), "versions": versions(parse_backends("sat,boolector,bitwuzla,z3,cvc5,yices"))}
    content["cnf_sizes"] = cnf_sizes.measure([case for case in suite_cases if case.network not in suite.MNIST], networks)
    content["tables"] = {}
    for table in [t for t in TABLES if t.name in args.tables.split(",")]:
        backends = parse_backends(table.backends)
        runs = run_table(table, suite_cases, networks, args.work / "runs.jsonl")
        rows = standings(runs, backends, table.timeout)
        print(f"\n{table.name}: {len(chosen(table, suite_cases))} queries, {table.timeout:g} s each, bounds {table.bounds}\n")
        print(standings_table(rows), flush=True)
        content["tables"][table.name] = {
            **asdict(table),
            "standings": [{**asdict(row), "backend": str(row.backend)} for row in rows],
            "runs": [{"case": run.task.index, **record_of(run)} for run in runs],
        }
        if table.name == "digits":
            cactus(runs, backends, RESULTS / "encodings.png")
        (RESULTS / "encodings.json").write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
