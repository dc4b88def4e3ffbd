"""Networks and formats, and how a query is asked and kept."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

import qbitsat
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


def ask(query: Query, seconds: float, **options: Any) -> Record:
    """The verdict, after at most so many CPU seconds; a witness is one that the reference has replayed."""
    verdict = qbitsat.verify(query, **budget(seconds), **options)
    record = {"verdict": verdict.verdict, "engine": verdict.engine, "cpu_seconds": round(verdict.cpu_seconds, 3)}
    if verdict.unknown:
        record["closed"] = verdict.statistics.get("closed", 0.0)
    return record


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
