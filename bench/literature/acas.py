"""ACAS Xu 1_1: properties 1 to 4 of Katz et al. (CAV 2017), and two quantizations of it side by side."""

from __future__ import annotations

import itertools
import math
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

import qbitsat
from bench.paper.runs import Runs
from qbitsat.network import Network
from qbitsat.network.float_network import FloatDense, FloatNetwork
from qbitsat.properties import Query
from qbitsat.quantize import integers_of

from .setting import Record, ask, bits_of, compared, model

FILE = "onnx/ACASXU_experimental_v2a_1_1.onnx"
# Distance (feet), two angles (radians), two speeds (feet per second): what the network reads is (x - MEAN) / RANGE, and a score is
# SCORE_RANGE * y + SCORE_MEAN. The least score is the advice; 0 is clear of conflict.
MEAN = (19791.091, 0.0, 0.0, 650.0, 600.0)
RANGE = (60261.0, 2 * math.pi, 2 * math.pi, 1100.0, 1200.0)
SCORE_MEAN, SCORE_RANGE = 7.518884, 373.94992
# The whole domain, of which samples are drawn.
DOMAIN = ((0.0, 60760.0), (-math.pi, math.pi), (-math.pi, math.pi), (100.0, 1200.0), (0.0, 1200.0))
FAR = ((55947.691, 60760.0), (-math.pi, math.pi), (-math.pi, math.pi), (1145.0, 1200.0), (0.0, 60.0))
AHEAD = ((1500.0, 1800.0), (-0.06, 0.06), (3.1, math.pi), (980.0, 1200.0), (960.0, 1200.0))
AWAY = ((1500.0, 1800.0), (-0.06, 0.06), (0.0, 0.0), (1000.0, 1200.0), (700.0, 800.0))
# The box, and what must not happen: at LIMIT or above, clear of conflict has the greatest score, or the least one.
PROPERTIES = {
    1: (FAR, "output[0] >= {limit}"),
    2: (FAR, "kept(output, 0)"),
    3: (AHEAD, "kept(-output, 0)"),
    4: (AWAY, "kept(-output, 0)"),
}
LIMIT = 1500.0
# Weights with a scale for each neuron: with one for a layer, 8 bits give the float network's advice to half of the domain. Scores have 16
# bits at every width, as most of them differ in the third decimal.
FORMAT = "power-of-two:{bits},per-channel,input=s{inputs}.{fraction},output=s16.15"
# (bits, bits of inputs)
WIDTHS = ((8, 8), (8, 16), (16, 16))
# Of pairs: steps around the middle of a box, and how far scores may be apart, in their own unit.
DISTANCES, WITHIN = (4, 64), 1


def normalised(values: np.ndarray) -> np.ndarray:
    return (values - MEAN) / RANGE


def drawn(count: int, seed: int) -> np.ndarray:
    """Inputs of the whole domain, normalised: float64[count, 1, 1, 5]."""
    lo, hi = np.array(DOMAIN).T
    return normalised(np.random.default_rng(seed).uniform(lo, hi, (count, 5))).reshape(-1, 1, 1, 5)


def quantized(floats: FloatNetwork, bits: int, inputs: int, more: str = "") -> Network:
    return qbitsat.quantize(floats, FORMAT.format(bits=bits, inputs=inputs, fraction=inputs - 1) + more, drawn(5000, 0), method="range")


def question(text: str, **networks: Network) -> Query:
    """The query of a question file about these networks."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "question.toml"
        names = "\n".join(f'{name} = "{name}.npz"' for name in networks)
        path.write_text(f"{text}\n[networks]\n{names}\n", encoding="utf-8")
        return qbitsat.load_question(path, networks).query


def box_text(box: tuple[tuple[float, float], ...]) -> str:
    """The inputs that real ones of a box become."""
    lo, hi = (normalised(np.array(ends)).tolist() for ends in zip(*box, strict=True))
    return f'[inputs]\nlo = {lo}\nhi = {hi}\nunit = "real"\n'


def property_of(number: int, network: Network) -> Query:
    box, never = PROPERTIES[number]
    limit = math.ceil((LIMIT - SCORE_MEAN) / SCORE_RANGE / network.output.scale)
    return question(f'title = "property {number}"\nnever = "{never.format(limit=limit)}"\n{box_text(box)}', network=network)


def run(finished: Runs, bits: tuple[int, ...], seconds: float) -> Iterator[tuple[str, Record]]:
    """A record for each width."""
    floats = model(FILE)
    for width, inputs in WIDTHS:
        if width not in bits:
            continue
        network = quantized(floats, width, inputs)
        runs = []
        for number in PROPERTIES:
            query = property_of(number, network)
            runs.append({"property": number, "input_bits": round(bits_of(query), 1), **ask(finished, f"property {number}", query, seconds)})
        about = compared(network, floats, drawn(20_000, 1), lambda y: y.argmin(axis=1))
        name = FORMAT.format(bits=width, inputs=inputs, fraction=inputs - 1)
        yield f"acas-xu-{width}-inputs-{inputs}", {"format": name, **about, "runs": runs}


def permuted(floats: FloatNetwork, seed: int) -> FloatNetwork:
    """The same function, its hidden neurons in another order."""
    rng, layers = np.random.default_rng(seed), list(floats.layers)
    dense = [k for k, layer in enumerate(layers) if isinstance(layer, FloatDense)]
    order = np.arange(layers[dense[0]].weights.shape[1])
    for k in dense:
        size = len(layers[k].bias)
        new = np.arange(size) if k == dense[-1] else rng.permutation(size)
        layers[k] = replace(layers[k], weights=layers[k].weights[new][:, order], bias=layers[k].bias[new])
        order = new
    return replace(floats, layers=tuple(layers))


def couples() -> dict[str, tuple[Network, Network]]:
    """Two networks each that ought to agree, on inputs of 16 bits."""
    floats = model(FILE)
    network = quantized(floats, 16, 16)
    return {
        "8 and 16 bits": (quantized(floats, 8, 16), network),
        "half_even and half_up": (quantized(floats, 16, 16, ",rounding=half_even"), network),
        "permuted": (quantized(permuted(floats, 0), 16, 16), network),
    }


def agreement(a: Network, b: Network, centre: np.ndarray, eps: int, within: int | None) -> Query:
    """Do both give the same advice around an input, or scores that are at most so far apart, in their own unit?"""
    if within is None:
        hold = "argmax(-a.output) == argmax(-b.output)"
    else:
        hold = f"abs(a.output - b.output) <= {math.floor(within / SCORE_RANGE / a.output.scale)}"
    return question(f'hold = "{hold}"\n[inputs]\ncentre = {centre.tolist()}\neps = {eps}\n', a=a, b=b)


def run_pairs(finished: Runs, seconds: float) -> Iterator[tuple[str, Record]]:
    """A record for each pair of networks, each query with and without differences of paired layers, around the middles of boxes."""
    for name, (a, b) in couples().items():
        runs = []
        for number, (box, _) in PROPERTIES.items():
            centre = integers_of(a, normalised(np.mean(box, axis=1)).reshape(1, -1))[0]
            for eps, within in itertools.product(DISTANCES, (None, WITHIN)) if number > 1 else ():
                query = agreement(a, b, centre, eps, within)
                about = f"property {number} {eps} {within}"
                answers = {key: ask(finished, f"{about} {key}", query, seconds, pairs=key == "pairs") for key in ("pairs", "no_pairs")}
                runs.append({"property": number, "eps": eps, "within": within, **answers})
        yield f"pairs: {name}", {"runs": runs}
