"""TinyTaxiNet of Julian, Lee and Kochenderfer: 8 x 16 grey pixels of a runway give the plane's distance from its centre line (metres) and
its heading (degrees).

How far the outputs move with the image is what is asked of it elsewhere. Its images are not published with it, so the images here are
smooth random ones, each of which is said by its seed.
"""

from __future__ import annotations

from functools import partial

import numpy as np

import qbitsat
from bench.paper.runs import Runs
from qbitsat.properties import And, Box, Query, Ref
from qbitsat.properties.formula import OUTPUT

from .setting import Record, budget, compared, kept, model

FILE = "onnx/KJ_TinyTaxiNet.onnx"
FORMAT = "power-of-two:{bits},input=u8.8"
# Numbers of the network's outputs, and their names.
OUTPUTS = ("distance", "heading")
DISTANCES = (1, 2, 4, 8)


def images(count: int, seed: int) -> np.ndarray:
    """Grey values k / 256, float64[count, 8, 16, 1]: planes with random slopes, and some noise."""
    rng = np.random.default_rng(seed)
    base, down, right = rng.uniform(0.2, 0.8, (3, count, 1, 1)) - np.array([0, 0.5, 0.5]).reshape(3, 1, 1, 1)
    rows, columns = np.linspace(-0.5, 0.5, 8)[:, None], np.linspace(-0.5, 0.5, 16)
    grey = base + down * rows + right * columns + rng.normal(0, 0.03, (count, 8, 16))
    return np.clip(np.rint(grey * 256), 0, 255)[..., None] / 256


def ends(query: Query, output: int, seconds: float) -> Record:
    """Between what an output is."""
    least, most = (qbitsat.maximize(query, ((side, Ref(0, OUTPUT, output)),), **budget(seconds)) for side in (-1, 1))
    scale = query.networks[0].output.scale
    # (reached, proved) of each end, in the network's unit.
    found = [[side * v * scale for v in (end.value, end.upper)] for side, end in ((-1, least), (1, most))]
    verdict = most.verdict if least.optimal else least.verdict
    spent = round(least.cpu_seconds + most.cpu_seconds, 3)
    return {"verdict": verdict, "least": found[0], "most": found[1], "cpu_seconds": spent}


def run(finished: Runs, bits: int, seconds: float, samples: int) -> Record:
    floats = model(FILE)
    network = qbitsat.quantize(floats, FORMAT.format(bits=bits), images(2000, 0))
    x, form = images(10_000, 1), network.input
    runs = []
    for sample, pixels in enumerate(np.rint(x[:samples].reshape(samples, -1) * 256).astype(np.int64)):
        for eps in DISTANCES:
            query = Query((network,), (Box(np.maximum(pixels - eps, form.lo), np.minimum(pixels + eps, form.hi)),), And(()))
            for output, name in enumerate(OUTPUTS):
                found = kept(finished, query.networks, f"ends {eps} {sample} {name}", seconds, partial(ends, query, output, seconds))
                runs.append({"sample": sample, "eps": eps, "output": name, **found})
    return {"format": FORMAT.format(bits=bits), **compared(network, floats, x), "runs": runs}
