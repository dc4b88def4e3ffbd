"""Radii in L1 and L0 beside RC2 of PySAT on clauses of the same question: python -m bench.radii signs.npz [--samples 10] [--timeout 60]

The network and signs.samples.npz are those of bench.train_signs. RC2 (Ignatiev, Morgado, Marques-Silva, JSAT 2019) minimises what the bits
of changes cost, bit k of one 2**k, under clauses which say that the class is another. Both get the same time, one after the other, RC2 in
a process of its own. Prints a line a sample and norm: radius or interval, seconds of CPU, and the same of RC2.
"""

from __future__ import annotations

import argparse
import multiprocessing
import time
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
from pysat.examples.rc2 import RC2
from pysat.formula import WCNF

import qbitsat
from qbitsat.bounds import propagate
from qbitsat.encode import encode_query
from qbitsat.encode.cnf import TRUE_LIT
from qbitsat.network import Network, classify
from qbitsat.options import make_options
from qbitsat.properties import And, AtMost, Query, robustness
from qbitsat.properties.balls import L0, L1, distance, surrounding


def weighted(network: Network, x: np.ndarray, label: int, norm: str) -> WCNF:
    """Clauses of another class, and what each bit of a change costs."""
    wider, terms = distance(network, x, norm)
    # What is always true gives the changes variables.
    named = tuple(AtMost((term,), network.input.hi - network.input.lo) for term in terms)
    violation = And((robustness(network, x, 0, label).violation, *named))
    query = Query((wider,), (surrounding(wider, x, norm, sum(network.input.hi - network.input.lo for _ in x)),), violation)
    cnf = encode_query(query, propagate(query), make_options(encoding="balanced"))
    flat, formula, clause = np.asarray(cnf.clauses).tolist(), WCNF(), list[int]()
    for lit in flat:
        if lit:
            clause.append(lit)
        else:
            formula.append(clause)
            clause = []
    for word in cnf.values[0].values():
        for k, lit in enumerate(word.bits):
            if abs(lit) != TRUE_LIT:
                formula.append([-lit], weight=1 << k)
    return formula


def solve(pipe: Connection, *question) -> None:
    with RC2(weighted(*question)) as solver:
        solver.compute()
        pipe.send((solver.cost, time.process_time()))


def rc2(timeout: float, *question) -> tuple[int | None, float]:
    """The cost of the cheapest assignment, None if time runs out, and seconds of CPU."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=solve, args=(theirs, *question))
    process.start()
    cost, seconds = ours.recv() if ours.poll(timeout) else (None, timeout)
    process.kill()
    process.join()
    return cost, seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", type=Path)
    parser.add_argument("--samples", type=int, default=10)
    parser.add_argument("--timeout", type=float, default=60.0)
    args = parser.parse_args()
    network = qbitsat.load(args.network)
    with np.load(args.network.with_suffix(".samples.npz")) as arrays:
        inputs, labels = arrays["inputs"].reshape(len(arrays["inputs"]), -1), arrays["labels"]
    right = np.flatnonzero(classify(network, inputs) == labels)[: args.samples]
    for sample in right.tolist():
        for norm in (L1, L0):
            question = network, inputs[sample], int(labels[sample])
            found = qbitsat.radius(*question, norm=norm, timeout=args.timeout)
            said = str(found.radius) if found.optimal else f"{found.radius} to {found.upper}"
            cost, seconds = rc2(args.timeout, *question, norm)
            theirs = "none" if cost is None else str(cost - 1)
            print(f"sample {sample}  {norm}  radius {said}  {found.cpu_seconds:.1f} s CPU  RC2 {theirs}  {seconds:.1f} s", flush=True)
            assert cost is None or not found.optimal or cost == found.radius + 1


if __name__ == "__main__":
    main()
