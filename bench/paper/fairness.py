"""Table 4: how far a protected feature alone moves a student's predicted score, at every width, over all students that there could be."""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import numpy as np

import qbitsat
from bench.train_students import GROUPS, POINTS, SCORES, domain, error_of, gap_of, network_at, places, points_of
from qbitsat.network import Network, forward

from .setting import Setting

# Students that are run at a time.
BATCH = 1 << 14


def gaps(setting: Setting) -> dict[str, Any]:
    """For each width what `maximize` says of each group, with what a table of all students says, and the network's error."""
    found: dict[str, Any] = {}
    with setting.runs("fairness") as runs:
        for bits in setting.bits:
            network = network_at(setting.students, bits)
            found[str(bits)] = {"error": round(error_of(network), 2), "points_of_a_step": points_of(network), "gaps": {}}
            key = f"{network.sha256[:16]} table"
            table = runs.get(key, math.inf) or runs.add(key, verdict="OPTIMAL", gaps=by_table(network))
            for name in GROUPS:
                key = f"{network.sha256[:16]} gap {name}"
                entry = runs.get(key, setting.timeout)
                if entry is None:
                    asked = gap_of(network, name)
                    optimum = qbitsat.maximize(asked.query, asked.objective, timeout=setting.timeout)
                    pair = None if optimum.witness is None else asked.inputs(optimum.witness.inputs)
                    seconds = {"seconds": round(optimum.seconds, 2), "cpu": round(optimum.cpu_seconds, 2), "timeout": setting.timeout}
                    ends = {"value": optimum.value, "upper": optimum.upper, "pair": pair}
                    entry = runs.add(key, verdict=optimum.verdict, reason=optimum.reason, **ends, **seconds)
                truth = table["gaps"][name]
                if not (entry["value"] or 0) <= truth <= (math.inf if entry["upper"] is None else entry["upper"]):
                    raise RuntimeError(
                        f"{bits} bits, {name}: {entry['value']} to {entry['upper']}, but a table of all students has {truth}"
                    )
                found[str(bits)]["gaps"][name] = {k: v for k, v in entry.items() if k != "key"} | {"by_table": truth}
    return found


def by_table(network: Network) -> dict[str, int]:
    """The gap of each group, in steps, from the outputs for all students: a plain check that knows nothing of searches."""
    hi, groups = domain().hi, places()
    sizes = [len(group) for group in groups.values()]
    scores = np.array(list(product(range(POINTS + 1), repeat=len(SCORES))))
    outputs = np.empty((*sizes, len(scores)), np.int16)
    for chosen in np.ndindex(*sizes):
        x = np.zeros((len(scores), len(hi)), np.int64)
        for group, k in zip(groups.values(), chosen, strict=True):
            x[:, group[k]] = hi[group[k]]
        x[:, -len(SCORES) :] = scores
        rows = [forward(network, x[start : start + BATCH])[:, 0] for start in range(0, len(x), BATCH)]
        outputs[chosen] = np.concatenate(rows)
    return {name: int((outputs.max(axis=k) - outputs.min(axis=k)).max()) for k, name in enumerate(groups)}
