"""What proofs by SAT cost: python -m bench.proofs --work DIR [--solver NAME]

HOLDS of the suite of bench/encodings.py on whole digits, balanced, by one solver. CPU seconds of solving with a proof, of making
it short with hints (trim), of packing, and of checking; bytes of the solver's own proof, deflated, and of what goes into
certificates. --work holds the networks of bench/encodings.py. Kept in bench/results/proofs.json, by solver.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
import zlib
from pathlib import Path

import numpy as np
import pysolvers
from pysat.solvers import Solver

from bench import suite
from qbitsat._kernels.cnf import lrat as _lrat
from qbitsat.bounds import propagate, simplify
from qbitsat.campaign import query_of
from qbitsat.certificate.lrat import check_lrat
from qbitsat.encode import encode_query
from qbitsat.limits import Limits
from qbitsat.options import SOLVERS, make_options
from qbitsat.solvers import proofs, sat
from qbitsat.verify import HOLDS

RESULTS = Path(__file__).parent / "results"


def drup_of(flat: np.ndarray, solver: str) -> bytes:
    """The solver's proof, in binary."""
    with Solver(name=solver, with_proof=True) as prover:
        assert sat.load(prover, flat)
        assert prover.solve() is False
        inner = prover.solver
        pysolvers.flushpr(inner.prfp)
        inner.prfile.seek(0)
        return inner.prfile.read() if hasattr(inner, "cadical") else proofs.binary_drup(inner.prfile.read())


def measure(case: suite.Case, work: Path, solver: str) -> dict[str, float]:
    """Seconds and bytes of one query."""
    network = suite.load_network(case.network, work)
    query = query_of(suite.task_of(case.network, case.sample, case.eps), network)
    bounds = propagate(query)
    options = make_options(certificates=True, engine="sat", encoding="balanced")
    cnf = encode_query(query, bounds, options, simplify(query, bounds), Limits())
    flat = np.array(cnf.clauses)
    times = [time.process_time()]
    drup = drup_of(flat, solver)
    times.append(time.process_time())
    _, *arrays = _lrat.trim(cnf.num_vars, flat, drup, lambda: None)
    times.append(time.process_time())
    packed = proofs.pack(*arrays)
    times.append(time.process_time())
    check_lrat(cnf.num_vars, flat.tolist(), packed, lambda *_: None)
    times.append(time.process_time())
    seconds = dict(zip(("solve", "trim", "pack", "check"), np.diff(times).tolist(), strict=True))
    return {**seconds, "bytes_of_solver": len(zlib.compress(drup, 1)), "bytes": len(packed)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder of trained networks")
    parser.add_argument("--solver", choices=SOLVERS, default="cadical195")
    args = parser.parse_args()
    cases = [suite.Case(**case) for case in json.loads((RESULTS / "suite.json").read_text())["cases"]]
    cases = [case for case in cases if case.network not in suite.MNIST and case.verdict == HOLDS]
    rows = [measure(case, args.work, args.solver) for case in cases]
    table = {"queries": len(rows)} | {
        key: {"median": statistics.median(values), "largest": max(values), "total": sum(values)}
        for key in rows[0]
        if (values := [row[key] for row in rows])
    }
    path = RESULTS / "proofs.json"
    content = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps({**content, args.solver: table}, indent=1) + "\n")
    print(json.dumps(table, indent=1))


if __name__ == "__main__":
    main()
