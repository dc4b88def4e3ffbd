"""Verdicts with their certificates: every engine's are written, and checked by the checker."""

from __future__ import annotations

import tempfile
from pathlib import Path

from qbitsat.certificate.check import Checked, check
from qbitsat.certificate.write import Source, write
from qbitsat.importers import save
from qbitsat.options import SOLVERS
from qbitsat.properties import Query
from qbitsat.solvers.sat import WITHOUT_PROOFS
from qbitsat.verify import UNKNOWN, Verdict, verify

PROVERS = tuple(solver for solver in SOLVERS if solver not in WITHOUT_PROOFS)


def certify(query: Query, folder: Path, **options) -> tuple[Verdict, Path]:
    """Verify, and write networks and certificate into the folder."""
    options = {"certificates": True, **options}
    verdict = verify(query, **options)
    if verdict.verdict == UNKNOWN:
        raise AssertionError(verdict.reason)
    sources = [Source(str(folder / f"{network.sha256}.npz")) for network in query.networks]
    for network, source in zip(query.networks, sources, strict=True):
        save(network, source.path)
    path = folder / "verdict.cert"
    write(path, query, verdict, sources)
    return verdict, path


def check_engines(query: Query, seed: int, engines: tuple[str, ...] = ("hybrid", "sat", "enumerate")) -> list[Checked]:
    """What the checker says of the verdicts of some engines, with options that depend on the seed."""
    rules = {"tighten": (40, 0)[seed % 2], "steps": (5, 10, 20)[seed % 3], "batch": (8, 64)[seed % 2], "bounds": seed % 5 > 0}
    solver = {"solver": PROVERS[seed % len(PROVERS)], "encoding": ("balanced", "linear", "narrowed")[seed // 2 % 3], "attack": seed % 3 > 0}
    checked = []
    with tempfile.TemporaryDirectory() as folder:
        for engine in engines:
            options = rules if engine == "hybrid" else {"bounds": seed % 7 > 0}
            _, path = certify(query, Path(folder), engine=engine, **solver, **options)
            checked.append(check(path))
    return checked
