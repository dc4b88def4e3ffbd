"""Do float models compute what Keras does? python -m bench.keras_outputs [--samples 1000] [--models 50]

The largest difference of an output from Keras's, which computes in floats of 32 bits: of each Keras file of the benchmark data for MNIST's
first images, pixels from 0 to 1, or numbers of a normal distribution, and of as many random models of Keras 3 and Keras 2 (tf_keras) as
`tests_tensorflow` draws, saved in both formats, for 20 such samples each. Needs the extra `oracle`. Keeps bench/results/keras.json.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import warnings
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tf_keras

import qbitsat
from bench.peers.__main__ import commit
from bench.suite import DATA
from qbitsat.importers import load_inputs
from qbitsat.network import TensorFormat
from qbitsat.network.float_network import FloatNetwork
from tests_tensorflow.keras_models import draw

RESULTS = Path(__file__).parent / "results" / "keras.json"
VERSIONS = {"Keras 3": keras, "Keras 2": tf_keras}
# Samples of each random model.
FEW = 20
HEAD = "| model | samples | largest output | largest difference |\n|---|---|---|---|"


def compared(model: Any, network: FloatNetwork, xs: np.ndarray) -> dict[str, float]:
    """The largest magnitude of an output, and the largest difference from it."""
    theirs = model(xs, training=False)
    theirs = [np.asarray(part, np.float64) for part in (theirs if isinstance(theirs, list | tuple) else [theirs])]
    pairs = list(zip(network.run(xs), theirs, strict=True))
    largest = max(float(np.abs(y).max()) for _, y in pairs)
    return {"samples": len(xs), "largest": largest, "difference": max(float(np.abs(x - y).max()) for x, y in pairs)}


def published(path: Path, samples: int) -> dict[str, float]:
    network = qbitsat.load_float(path)
    (shape,) = network.inputs
    if shape == (28, 28, 1):
        pixels = load_inputs(DATA / "mnist" / "t10k-images-idx3-ubyte.gz", TensorFormat(shape, 0, 255))[:samples]
        xs = (pixels.reshape(-1, *shape) / 255).astype(np.float32)
    else:
        xs = np.random.default_rng(0).normal(size=(samples, *shape)).astype(np.float32)
    return compared(tf_keras.models.load_model(path, compile=False), network, xs)


def drawn(version: str, models: int, ending: str) -> dict[str, float]:
    """What is largest among random models."""
    found = []
    for seed in range(models):
        model = draw(VERSIONS[version], seed)
        with tempfile.TemporaryDirectory() as folder:
            model.save(f"{folder}/net{ending}")
            network = qbitsat.load_float(f"{folder}/net{ending}")
        xs = np.random.default_rng(0).normal(size=(FEW, *network.inputs[0])).astype(np.float32)
        found.append(compared(model, network, xs))
    return {"samples": models * FEW, **{key: max(each[key] for each in found) for key in ("largest", "difference")}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=1000, metavar="N")
    parser.add_argument("--models", type=int, default=50, metavar="N")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    rows = {path.name: published(path, args.samples) for path in sorted((DATA / "keras").glob("*.h5"))}
    for version in VERSIONS:
        for ending in (".keras", ".h5"):
            rows[f"{args.models} random models of {version}, `{ending}`"] = drawn(version, args.models, ending)
    print(HEAD)
    for name, row in rows.items():
        print(f"| {name} | {row['samples']:,} | {row['largest']:.3g} | {row['difference']:.1e} |")
    about = {"commit": commit(), "keras": keras.__version__, "tf_keras": tf_keras.__version__}
    RESULTS.write_text(json.dumps({**about, "rows": rows}) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
