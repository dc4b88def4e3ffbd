"""Speed and memory of the encoder: python bench/encoding.py [--out bench/results/encoding.json]

The query is a robustness query of the 784-64-32-10 8-bit network of the QVIP benchmark at eps 2. Each memory figure is
the peak of a process of its own, less the peak of one that only imports, and reads the network and one image:

    encode          network to clause buffer
    encode_load     network to clause buffer to a loaded solver, as `verify` does it
    load            the same clauses, read from a file piece by piece, into a solver

so encode_load - load is what qbitsat needs beyond the solver itself.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

DATA = Path(os.environ.get("QBITSAT_BENCH_DATA", Path(__file__).resolve().parents[2] / "shared" / "benchmarks"))


def extract(folder: Path, sample: int) -> None:
    """The network, one image and its label as small files, so that reading them leaves no peak of its own."""
    import numpy as np

    import qbitsat
    from qbitsat.importers import load_inputs, load_labels

    network = qbitsat.load(DATA / "qvip" / "qu_mnist_2blk_64_32_in_8_qu_8.h5")
    qbitsat.save(network, folder / "network.npz")
    np.save(folder / "image.npy", load_inputs(DATA / "mnist" / "t10k-images-idx3-ubyte.gz", network.input)[sample])
    np.save(folder / "label.npy", load_labels(DATA / "mnist" / "t10k-labels-idx1-ubyte.gz")[sample])


def make_query(folder: Path, eps: int):
    import numpy as np

    import qbitsat

    network = qbitsat.load(folder / "network.npz")
    return qbitsat.robustness(network, np.load(folder / "image.npy"), eps, int(np.load(folder / "label.npy")))


def encode(query, encoding: str):
    """The CNF and the seconds from query to clause buffer, bounds included."""
    from qbitsat.bounds import propagate, simplify
    from qbitsat.encode import encode_query
    from qbitsat.options import make_options

    start = time.perf_counter()
    bounds = propagate(query)
    cnf = encode_query(query, bounds, make_options(encoding=encoding), simplify(query, bounds))
    return cnf, time.perf_counter() - start


def load(pieces) -> None:
    """Into a solver, a piece at a time, as `qbitsat.solvers.sat` does; prints the peak."""
    from pysat.solvers import Solver

    from qbitsat.solvers import sat

    with Solver(name="cadical195") as solver:
        for piece in pieces:
            sat.add_clauses(solver, piece.tolist())
        print_peak()


def pieces_of_file(path: Path):
    """Whole clauses, about as many at a time as `qbitsat.solvers.sat.chunks` gives."""
    import numpy as np

    from qbitsat.solvers import sat

    rest = np.empty(0, np.int32)
    with open(path, "rb") as stream:
        while len(block := np.fromfile(stream, np.int32, sat.CHUNK)):
            entries = np.concatenate([rest, block])
            end = int(np.flatnonzero(entries == 0)[-1]) + 1
            yield entries[:end]
            rest = entries[end:]


def print_peak() -> None:
    """Not ru_maxrss: a child begins with that of the process that started it."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    print(int(status.split("VmHWM:")[1].split()[0]) * 1024)


def child(kind: str, folder: Path, eps: int, encoding: str) -> None:
    """One memory figure, printed in bytes."""
    import numpy as np
    import pysat.solvers  # noqa: F401

    from qbitsat.solvers import sat

    query = make_query(folder, eps)
    if kind == "load":
        load(pieces_of_file(folder / "clauses.int32"))
        return
    if kind != "base":
        clauses = np.asarray(encode(query, encoding)[0].clauses)
        if kind == "encode_load":
            load(clauses[start:stop] for start, stop in sat.chunks(clauses))
            return
    print_peak()


def measure(sample: int, eps: int, encoding: str, repeats: int) -> dict:
    import numpy as np

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        extract(folder, sample)
        query = make_query(folder, eps)
        runs = [encode(query, encoding) for _ in range(repeats)]
        cnf, seconds = runs[0][0], statistics.median(run[1] for run in runs)
        np.asarray(cnf.clauses).tofile(folder / "clauses.int32")
        peaks = {}
        for kind in ("base", "encode", "encode_load", "load"):
            command = [sys.executable, __file__, "--child", kind, "--folder", name, "--eps", str(eps), "--encoding", encoding]
            peaks[kind] = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    per_clause = {kind: (peaks[kind] - peaks["base"]) / cnf.num_clauses for kind in ("encode", "encode_load", "load")}
    return {
        "encoding": encoding,
        "sample": sample,
        "eps": eps,
        "variables": cnf.num_vars,
        "clauses": cnf.num_clauses,
        "seconds_median": seconds,
        "clauses_per_second": cnf.num_clauses / seconds,
        "peak_bytes_per_clause": per_clause,
        "bytes_per_clause_beyond_solver": per_clause["encode_load"] - per_clause["load"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--sample", type=int, default=0)
    parser.add_argument("--eps", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--encoding", default="balanced", help=argparse.SUPPRESS)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        child(arguments.child, arguments.folder, arguments.eps, arguments.encoding)
        return
    results = {
        "machine": {"processor": platform.processor() or platform.machine(), "cores": os.cpu_count(), "python": platform.python_version()},
        "runs": [measure(arguments.sample, arguments.eps, encoding, arguments.repeats) for encoding in ("balanced", "linear")],
    }
    text = json.dumps(results, indent=2)
    print(text)
    if arguments.out:
        arguments.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
