"""Hybrid against `sat` on the encodings suite: python -m bench.agreement --work DIR [--timeout 60]

Every query of bench/results/suite.json goes to both engines, one after the other on one core. DIR keeps the networks that the suite
trains. Writes bench/results/agreement.json and prints how many verdicts agree; ends with 1 if any two differ.
"""

from __future__ import annotations

import argparse
import collections
import json
import sys
from pathlib import Path
from typing import Any

from bench import suite
from bench.peers.__main__ import commit
from bench.suite import Case
from qbitsat.campaign import Verifier
from qbitsat.campaign.compare_file import machine
from qbitsat.verify import HOLDS, VIOLATED

RESULTS = Path(__file__).parent / "results"
ENGINES = ("hybrid", "sat")


def ask(case: Case, number: int, networks: dict[str, Any], work: Path, timeout: float) -> dict[str, Any]:
    """What each engine says of one query, and its seconds."""
    if case.network not in networks:
        networks[case.network] = suite.load_network(case.network, work)
        if networks[case.network].sha256 != case.sha256:
            raise SystemExit(f"agreement: {case.network} is not the network that the suite was made with")
    task = suite.task_of(case.network, case.sample, case.eps, number)
    record: dict[str, Any] = {"network": case.network, "sample": case.sample, "eps": case.eps, "suite": case.verdict}
    for engine in ENGINES:
        verdict = Verifier(networks[case.network], {"engine": engine, "timeout": timeout})(task)
        record[engine] = {"verdict": verdict.verdict, "seconds": round(verdict.seconds, 4)}
    return record


def outcome(record: dict[str, Any]) -> str:
    """Whether both engines and whoever decided the query for the suite say the same; an engine may leave it open."""
    said = {record[engine]["verdict"] for engine in ENGINES} & {HOLDS, VIOLATED} | {record["suite"]}
    if len(said) > 1:
        return "differ"
    return "agree" if all(record[engine]["verdict"] in said for engine in ENGINES) else "open"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, metavar="DIR")
    parser.add_argument("--timeout", type=float, default=60.0, metavar="S")
    parser.add_argument("--out", type=Path, default=RESULTS / "agreement.json", metavar="FILE")
    args = parser.parse_args()
    cases = [Case(**case) for case in json.loads((RESULTS / "suite.json").read_text(encoding="utf-8"))["cases"]]
    content: dict[str, Any] = {"machine": machine(), "commit": commit(), "timeout": args.timeout, "records": []}
    networks: dict[str, Any] = {}
    for number, case in enumerate(cases):
        content["records"].append(ask(case, number, networks, args.work, args.timeout))
        args.out.write_text(json.dumps(content) + "\n", encoding="utf-8")
    counts = collections.Counter(map(outcome, content["records"]))
    for engine in ENGINES:
        seconds = [record[engine]["seconds"] for record in content["records"]]
        print(f"{engine}: {sum(seconds):.1f} s in all, longest {max(seconds):.2f} s")
    print(", ".join(f"{count} {word}" for word, count in sorted(counts.items())))
    sys.exit(1 if counts["differ"] else 0)


if __name__ == "__main__":
    main()
