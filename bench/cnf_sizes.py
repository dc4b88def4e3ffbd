"""Sizes of what is handed to SAT for the same query: our CNF, Bitwuzla's CNF, and Boolector's and-inverter graph.

Bitwuzla tells its sizes in its statistics, after a search that is cut short. Boolector's Python package doesn't give the CNF but
the graph that it comes from, after its rewriting: each and-gate becomes a variable and three clauses, unless gates are merged.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import geometric_mean
from typing import Any

import bitwuzla
import pyboolector

from bench import suite
from qbitsat import Network
from qbitsat.bounds import propagate, simplify
from qbitsat.campaign import query_of
from qbitsat.encode import SmtLib, encode_disjuncts, encode_smtlib
from qbitsat.options import ENCODINGS, make_options
from qbitsat.solvers.smt.base import nameless_file

EVERY = 6
SEARCH_MILLISECONDS = 2000


def of_bitwuzla(script: SmtLib) -> dict[str, int]:
    options = bitwuzla.Options()
    options.set(bitwuzla.Option.TIME_LIMIT_PER, SEARCH_MILLISECONDS)
    parser = bitwuzla.Parser(bitwuzla.TermManager(), options)
    parser.parse(script.body, True, False)
    solver = parser.bitwuzla()
    solver.check_sat()
    statistics = solver.statistics()
    return {
        "variables": int(statistics["solver::bv::bitblast::cnf::num_vars"]),
        "clauses": int(statistics["solver::bv::bitblast::cnf::num_clauses"]),
    }


def of_boolector(script: SmtLib) -> dict[str, int]:
    boolector = pyboolector.Boolector()
    with nameless_file(script.body) as file, tempfile.TemporaryDirectory() as folder:
        boolector.Parse(f"/dev/fd/{file.fileno()}")
        path = Path(folder) / "graph.aag"
        boolector.Dump("aag", str(path))
        # aag, largest variable, inputs, latches, outputs, and-gates
        with path.open() as graph:
            return {"and_gates": int(graph.readline().split()[5])}


def measure(cases: Sequence[suite.Case], networks: dict[str, Network]) -> dict[str, Any]:
    """Sizes for every EVERYth case, and their geometric means."""
    rows = []
    for case in cases[::EVERY]:
        query = query_of(suite.task_of(case.network, case.sample, case.eps), networks[case.network])
        bounds = propagate(query)
        formula = simplify(query, bounds)
        row: dict[str, Any] = {"network": case.network, "sample": case.sample, "eps": case.eps}
        for encoding in ENCODINGS:
            row[encoding] = encode_disjuncts(query, bounds, make_options(encoding=encoding), formula).sizes
        script = encode_smtlib(query, bounds, make_options(encoding="balanced"), formula)
        rows.append({**row, "bitwuzla": of_bitwuzla(script), "boolector": of_boolector(script)})
    means = {
        f"{what} {size}": geometric_mean([row[what][size] + 1 for row in rows])
        for what in (*ENCODINGS, "bitwuzla", "boolector")
        for size in rows[0][what]
    }
    return {"geometric_means": {name: round(value) for name, value in means.items()}, "rows": rows}
