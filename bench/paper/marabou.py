"""The questions about the real-valued network, to Marabou: floats that are not exact, and a check of verdicts that both have."""

from __future__ import annotations

import importlib.util

import numpy as np

from .real import RealNetwork

INSTALLED = importlib.util.find_spec("maraboupy") is not None


def verdict(network: RealNetwork, pixels: np.ndarray, eps: int, label: int, timeout: float) -> str:
    """Whether an input within eps / 256 gives another class an output at least as large: VIOLATED, HOLDS or UNKNOWN."""
    from maraboupy import Marabou

    options, answers = Marabou.createOptions(verbosity=0, timeoutInSeconds=max(1, int(timeout))), []
    for j in range(len(network.stages[-1].bias)):
        if j != label:
            query = question(network, pixels, eps, label, j)
            answers.append(query.solve(verbose=False, options=options)[0])
            if answers[-1] == "sat":
                return "VIOLATED"
    return "HOLDS" if set(answers) == {"unsat"} else "UNKNOWN"


def question(network: RealNetwork, pixels: np.ndarray, eps: int, label: int, other: int):
    """Marabou's network of z_other >= z_label; ReLU-N(v) is relu(v) - relu(v - N)."""
    from maraboupy import MarabouNetwork

    query = MarabouNetwork.MarabouNetwork()
    values = [query.getNewVariable() for _ in pixels]
    for variable, pixel in zip(values, pixels.tolist(), strict=True):
        query.setLowerBound(variable, max(pixel - eps, 0) / 256)
        query.setUpperBound(variable, min(pixel + eps, 255) / 256)
    query.inputVars = [np.array(values)]
    for stage in network.stages:
        weights, bias = stage.weights / (1 << stage.places), stage.bias / (1 << stage.places)
        sums = [query.getNewVariable() for _ in bias]
        for k, variable in enumerate(sums):
            query.addEquality([*values, variable], [*map(float, weights[k]), -1.0], -float(bias[k]))
        values = sums if stage.top is None else [clamped(query, variable, stage.top) for variable in sums]
    query.outputVars = [np.array(values)]
    query.addInequality([values[label], values[other]], [1.0, -1.0], 0.0)
    return query


def clamped(query, variable: int, top: int) -> int:
    """A variable that is ReLU-N of another."""
    low, beyond, high, out = (query.getNewVariable() for _ in range(4))
    query.addRelu(variable, low)
    query.addEquality([variable, beyond], [1.0, -1.0], float(top))
    query.addRelu(beyond, high)
    query.addEquality([low, high, out], [1.0, -1.0, -1.0], 0.0)
    query.setLowerBound(out, 0.0)
    query.setUpperBound(out, float(top))
    return out
