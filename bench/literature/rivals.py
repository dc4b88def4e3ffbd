"""Marabou on the float networks, asked what their quantizations are asked: its verdicts are about floats, with its tolerances."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from bench.paper.runs import Runs
from bench.suite import DATA
from qbitsat.importers import load_inputs, load_labels
from qbitsat.limits import cpu_seconds
from qbitsat.network import TensorFormat

from . import acas, mnist
from .setting import Record, kept

DISTANCES = (1, 2, 4, 8)
VERDICTS = {"sat": "VIOLATED", "unsat": "HOLDS"}
# What becomes of a network's inputs and outputs: more inequalities.
Wish = Callable[[Any, list[int], list[int]], None]


def solved(file: str, box: tuple[np.ndarray, np.ndarray], wish: Wish, seconds: float) -> str:
    """sat, unsat, or what else Marabou says, of outputs that a wish is about."""
    from maraboupy import Marabou

    network = Marabou.read_onnx(str(DATA / file))
    inputs, outputs = (np.asarray(found[0]).reshape(-1).tolist() for found in (network.inputVars, network.outputVars))
    for variable, lo, hi in zip(inputs, *(ends.tolist() for ends in box), strict=True):
        network.setLowerBound(variable, lo)
        network.setUpperBound(variable, hi)
    wish(network, inputs, outputs)
    options = Marabou.createOptions(verbosity=0, numWorkers=1, timeoutInSeconds=max(1, math.ceil(seconds)))
    return str(network.solve(verbose=False, options=options)[0])


def least(chosen: int, sign: int) -> Wish:
    """sign times the chosen output is at most sign times any other."""

    def wish(network: Any, _: list[int], outputs: list[int]) -> None:
        for other in outputs:
            if other != outputs[chosen]:
                network.addInequality([outputs[chosen], other], [float(sign), -float(sign)], 0.0)

    return wish


def at_least(chosen: int, limit: float) -> Wish:
    def wish(network: Any, _: list[int], outputs: list[int]) -> None:
        network.setLowerBound(outputs[chosen], limit)

    return wish


def beats(label: int, other: int) -> Wish:
    def wish(network: Any, _: list[int], outputs: list[int]) -> None:
        network.addInequality([outputs[label], outputs[other]], [1.0, -1.0], 0.0)

    return wish


def timed(found: Callable[[], str]) -> Callable[[], Record]:
    """A function that gives the verdict of an answer, and CPU seconds."""

    def record() -> Record:
        start = cpu_seconds()
        verdict = VERDICTS.get(found(), "UNKNOWN")
        return {"verdict": verdict, "cpu_seconds": round(cpu_seconds() - start, 3)}

    return record


def advice(finished: Runs, seconds: float) -> Record:
    """Properties 1 to 4 of ACAS Xu 1_1."""
    wishes = {1: at_least(0, (acas.LIMIT - acas.SCORE_MEAN) / acas.SCORE_RANGE), 2: least(0, -1), 3: least(0, 1), 4: least(0, 1)}
    runs = []
    for number, wish in wishes.items():
        lo, hi = (acas.normalised(end) for end in np.array(acas.PROPERTIES[number][0]).T)
        found = timed(partial(solved, acas.FILE, (lo, hi), wish, seconds))
        runs.append({"property": number, **kept(finished, (), f"marabou acas-xu {number}", seconds, found)})
    return {"runs": runs}


def robust(name: str, image: np.ndarray, eps: int, label: int, seconds: float) -> str:
    """Whether no other class reaches this one's output, one after the other within one limit."""
    box, start = (np.maximum(image - eps, 0) / 256, np.minimum(image + eps, 255) / 256), cpu_seconds()
    for other in (j for j in range(10) if j != label):
        left = seconds - (cpu_seconds() - start)
        answer = solved(mnist.NAMES[name], box, beats(label, other), left) if left > 0 else "TIMEOUT"
        if answer != "unsat":
            return answer
    return "unsat"


def images(finished: Runs, name: str, seconds: float, samples: int) -> Record:
    """Robustness around the first images."""
    folder = DATA / "mnist"
    pixels = load_inputs(folder / "t10k-images-idx3-ubyte.gz", TensorFormat((28, 28), 0, 255))[:samples]
    labels = load_labels(folder / "t10k-labels-idx1-ubyte.gz")
    runs = []
    for eps in DISTANCES:
        for sample, image in enumerate(pixels):
            found = timed(partial(robust, name, image, eps, int(labels[sample]), seconds))
            runs.append({"eps": eps, "sample": sample, **kept(finished, (), f"marabou {name} {eps} {sample}", seconds, found)})
    return {"runs": runs}


def run(finished: Runs, seconds: float, samples: int) -> Iterator[tuple[str, Record]]:
    """A record for ACAS Xu, and one for each of the networks of images."""
    yield "marabou: acas-xu", advice(finished, seconds)
    for name in mnist.NAMES:
        yield f"marabou: {name}", images(finished, name, seconds, samples)
