"""Radii in L1 and L0 beside RC2 of PySAT and CP-SAT of OR-Tools: python -m bench.radii signs.npz [--samples 10] [--timeout 60] [--alone]

The network and signs.samples.npz are those of bench.train_signs. RC2 (Ignatiev, Morgado, Marques-Silva, JSAT 2019) minimises what the
bits of changes cost, bit k of one 2**k, under clauses which say that the class is another. CP-SAT minimises the distance under linear
constraints, with one worker; it takes networks whose hidden neurons have two values and whose last layer only sums. All get the same
time, in seconds of CPU, one after the other, these two in processes of their own. Prints a line a sample and norm: radius or interval
and seconds of each.
"""

from __future__ import annotations

import argparse
import multiprocessing
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
from pysat.examples.rc2 import RC2
from pysat.formula import WCNF

import qbitsat
from bench import cpu_clock
from qbitsat.bounds import propagate
from qbitsat.encode import encode_query
from qbitsat.encode.cnf import TRUE_LIT
from qbitsat.network import Network, classify
from qbitsat.options import make_options
from qbitsat.properties import And, AtMost, Query, robustness
from qbitsat.properties.balls import L0, L1, distance, surrounding

POLL = 0.1


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


def program(network: Network, x: np.ndarray, label: int, norm: str) -> tuple:
    """A CP-SAT model that minimises the distance of another class, and that distance."""
    # The extra is asked for only where it is used.
    from ortools.sat.python import cp_model

    model = cp_model.CpModel()
    lo, hi = network.input.lo, network.input.hi
    values: list = [model.new_int_var(lo, hi, "") for _ in x]
    costs = []
    for value, start in zip(values, x.tolist(), strict=True):
        costs.append(model.new_int_var(0, hi - lo, "") if norm == L1 else model.new_bool_var(""))
        most = 1 if norm == L1 else hi - lo
        for sign in (1, -1):
            model.add(most * costs[-1] >= sign * (value - start))
    sums: list = []
    for k, layer in enumerate(network.layers):
        rows = [network.row(k, i) for i in range(layer.affine.n_out)]
        sums = [cp_model.LinearExpr.weighted_sum([values[v] for v in of], w.tolist()) + bias for of, w, bias in rows]
        if k + 1 < len(network.layers):
            for i, acc in enumerate(sums):
                least, (y_lo, y_hi) = layer.requantizer(i).first_reaching(1), (layer.output.lo, layer.output.hi)
                assert (y_lo, y_hi) == (0, 1), "hidden neurons of two values"
                values.append(model.new_bool_var(""))
                model.add(acc >= least).only_enforce_if(values[-1])
                model.add(acc <= least - 1).only_enforce_if(~values[-1])
    lost = [model.new_bool_var("") for _ in sums]
    for i, acc in enumerate(sums):
        if i != label:
            model.add(acc - sums[label] >= (0 if i < label else 1)).only_enforce_if(lost[i])
    model.add_bool_or([flag for i, flag in enumerate(lost) if i != label])
    model.minimize(sum(costs))
    return model, cp_model


def minimize(pipe: Connection, *question) -> None:
    model, cp_model = program(*question)
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    if solver.solve(model) == cp_model.OPTIMAL:
        pipe.send((round(solver.objective_value), time.process_time()))


def asked(solver: Callable[..., None], timeout: float, *question) -> tuple[int | None, float]:
    """The cost of what is cheapest, None if time runs out, and seconds of CPU."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=solver, args=(theirs, *question))
    process.start()
    while not (answered := ours.poll(POLL)) and process.is_alive() and cpu_clock.seconds_of(process.pid or 0) < timeout:
        pass
    cost, seconds = ours.recv() if answered else (None, timeout)
    process.kill()
    process.join()
    return cost, seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", type=Path)
    parser.add_argument("--samples", type=int, default=10)
    parser.add_argument("--timeout", type=float, default=60.0)
    parser.add_argument("--alone", action="store_true", help="without RC2 and CP-SAT")
    args = parser.parse_args()
    cpu_clock.begin()
    network = qbitsat.load(args.network)
    with np.load(args.network.with_suffix(".samples.npz")) as arrays:
        inputs, labels = arrays["inputs"].reshape(len(arrays["inputs"]), -1), arrays["labels"]
    right = np.flatnonzero(classify(network, inputs) == labels)[: args.samples]
    for sample in right.tolist():
        for norm in (L1, L0):
            question = network, inputs[sample], int(labels[sample])
            found = qbitsat.radius(*question, norm=norm, timeout=args.timeout)
            said = str(found.radius) if found.optimal else f"{found.radius} to {found.upper}"
            line = f"sample {sample}  {norm}  radius {said}  {found.cpu_seconds:.1f} s CPU"
            for name, solver in () if args.alone else (("RC2", solve), ("CP-SAT", minimize)):
                cost, seconds = asked(solver, args.timeout, *question, norm)
                line += f"  {name} {'none' if cost is None else cost - 1}  {seconds:.1f} s"
                assert cost is None or not found.optimal or cost == found.radius + 1
            print(line, flush=True)


if __name__ == "__main__":
    main()
