"""Networks and formats, and how a query is asked and kept."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

import qbitsat
from bench.paper.runs import Runs
from bench.suite import DATA
from qbitsat.limits import Progress, cpu_seconds
from qbitsat.network import Network, forward
from qbitsat.network.float_network import FloatNetwork
from qbitsat.properties import Query
from qbitsat.quantize import integers_of

Record = dict[str, Any]


def model(name: str) -> FloatNetwork:
    return qbitsat.load_float(DATA / name)


def budget(seconds: float) -> dict[str, Any]:
    """Options of `verify` and `maximize` that end a query after so many CPU seconds."""
    cancel, start = threading.Event(), cpu_seconds()

    def look(_: Progress) -> None:
        if cpu_seconds() - start > seconds:
            cancel.set()

    return {"cancel": cancel, "progress": look}


def kept(runs: Runs, networks: tuple[Network, ...], about: str, seconds: float, found: Callable[[], Record]) -> Record:
    """What came of a question about these networks with this limit: it is asked unless it is there. A record has a verdict."""
    key = f"{' '.join(network.sha256[:16] for network in networks)} {about} {seconds:g}"
    entry = runs.get(key, seconds) or runs.add(key, **found(), timeout=seconds)
    return {name: value for name, value in entry.items() if name not in ("key", "timeout")}


def ask(runs: Runs, about: str, query: Query, seconds: float, **options: Any) -> Record:
    """The verdict, after at most so many CPU seconds; a witness is one that the reference has replayed."""

    def found() -> Record:
        verdict = qbitsat.verify(query, **budget(seconds), **options)
        record = {"verdict": verdict.verdict, "engine": verdict.engine, "cpu_seconds": round(verdict.cpu_seconds, 3)}
        if verdict.unknown:
            record["closed"] = verdict.statistics.get("closed", 0.0)
        return record

    return kept(runs, query.networks, about, seconds, found)


def bits_of(query: Query) -> float:
    """log2 of the number of inputs."""
    return float(sum(math.log2(n) for box in query.boxes for n in (box.hi - box.lo + 1).tolist()))


def compared(network: Network, floats: FloatNetwork, x: np.ndarray, choose: Callable[[np.ndarray], np.ndarray] | None = None) -> Record:
    """How far outputs are from the float network's, in real units, on real samples; and how often both choose the same."""
    mine = forward(network, integers_of(network, x)) * network.output.scale
    theirs = floats.run(x)[0].reshape(len(x), -1)
    error = np.abs(mine - theirs)
    record: Record = {"samples": len(x), "max_error": float(error.max()), "mean_error": float(error.mean())}
    if choose is not None:
        record["same_choice"] = float((choose(mine) == choose(theirs)).mean())
    return record
