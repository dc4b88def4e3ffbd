"""Architectures of today, converted to int8 here: python -m bench.architectures [NAMES] [--inputs 20] [--samples 5] [--timeout 60]

Keras models with random weights (seeded; no training, so classes mean nothing), converted by TFLiteConverter with a representative data set
of uniform floats, batch of 1. For each runtime how many outputs differ from what is computed here, on random inputs; then, as TFLM computes
it, whether random inputs keep their class within one step of all inputs, in seconds of CPU. Every model is a process of its own. Keeps
bench/results/architectures.json. Needs the extras `test` and `train`.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import qbitsat
import tests.folders  # noqa: F401 (where modules of the tests are)
from bench import cpu_clock
from bench.exactness import compared
from bench.peers.__main__ import commit
from qbitsat.campaign.compare_file import machine
from qbitsat.errors import UnsupportedError
from qbitsat.limits import cpu_seconds
from qbitsat.network import classify
from qbitsat.verify import HOLDS, VIOLATED

RESULTS = Path(__file__).parent / "results" / "architectures.json"
KIB_IN_MIB = 1024
SEED, CALIBRATION, CLASSES = 1, 20, 5


def squeezed(keras: Any) -> Any:
    """Convolutions, the second of which is scaled channel by channel by what was made of its averages (squeeze and excitation)."""
    layers = keras.layers
    start = layers.Input((28, 28, 1), batch_size=1)
    x = layers.Conv2D(8, 3, strides=2, activation="relu")(start)
    gate = layers.Conv2D(2, 1, activation="relu")(layers.GlobalAveragePooling2D(keepdims=True)(x))
    x = layers.Multiply()([x, layers.Conv2D(8, 1, activation="sigmoid")(gate)])
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(8, 3, activation="relu")(x))
    return keras.Model(start, layers.Dense(CLASSES)(x))


def recurrent(name: str, **options: Any) -> Callable[[Any], Any]:
    def build(keras: Any) -> Any:
        start = keras.layers.Input((10, 8), batch_size=1)
        return keras.Model(start, keras.layers.Dense(CLASSES)(getattr(keras.layers, name)(12, unroll=True, **options)(start)))

    return build


def upsampled(keras: Any) -> Any:
    """Down, and up again by transposed convolutions and bilinearly, with a skip between."""
    layers = keras.layers
    start = layers.Input((16, 16, 1), batch_size=1)
    first = layers.Conv2D(6, 3, padding="same", activation="relu")(start)
    x = layers.Conv2D(12, 3, strides=2, padding="same", activation="relu")(first)
    x = layers.Conv2D(12, 3, strides=2, padding="same", activation="relu")(x)
    x = layers.UpSampling2D(2, interpolation="bilinear")(x)
    x = layers.Conv2DTranspose(6, 3, strides=2, padding="same", activation="relu")(x)
    x = layers.Conv2D(4, 3, padding="same", activation="relu")(layers.Concatenate()([x, first]))
    return keras.Model(start, layers.Dense(CLASSES)(layers.GlobalAveragePooling2D()(x)))


def application(name: str, size: int, **options: Any) -> Callable[[Any], Any]:
    def build(keras: Any) -> Any:
        start = keras.layers.Input((size, size, 3), batch_size=1)
        return getattr(keras.applications, name)(input_tensor=start, weights=None, classes=CLASSES, classifier_activation=None, **options)

    return build


MODELS: dict[str, Callable[[Any], Any]] = {
    "squeeze-excitation": squeezed,
    "SimpleRNN": recurrent("SimpleRNN"),
    "LSTM": recurrent("LSTM"),
    "GRU": recurrent("GRU", reset_after=False),
    "upsampling": upsampled,
    "MobileNetV2": application("MobileNetV2", 32, alpha=0.35),
    "MobileNetV3Small": application("MobileNetV3Small", 64, include_preprocessing=False),
    "EfficientNetB0": application("EfficientNetB0", 32),
}


def converted(name: str) -> bytes:
    """The .tflite file of a model; batch normalizations have the statistics of trained ones, or deep networks would give zeros."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import tensorflow as tf

    keras, rng = tf.keras, np.random.default_rng(SEED)
    keras.utils.set_random_seed(SEED)
    model = MODELS[name](keras)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            shape = layer.gamma.shape
            draws = rng.uniform(0.5, 1.5, shape), rng.normal(0, 0.3, shape), rng.normal(0, 0.1, shape), rng.uniform(0.2, 1, shape)
            layer.set_weights(draws)
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    shape = tuple(model.input_shape)
    converter.representative_dataset = lambda: ([rng.uniform(0, 1, shape).astype(np.float32)] for _ in range(CALIBRATION))
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    return converter.convert()


def exact(path: Path, runtime: str, count: int) -> dict[str, Any]:
    """Of one runtime: inputs, elements of their outputs, how many differ; or why it is not read."""
    from tflite_networks import RuntimeModel

    try:
        network = qbitsat.load(path, runtime=runtime)
    except UnsupportedError as error:
        return {"refused": str(error).removeprefix(f"{path}: ")}
    model = RuntimeModel(runtime, path.read_bytes())
    x = np.random.default_rng(0).integers(network.input.lo, network.input.hi + 1, (count, network.input.size))
    return {"layers": len(network.layers), "values": network.num_values, **compared(network, lambda v: model.run(v, network), x)}


def compare(path: Path, count: int) -> dict[str, Any]:
    """What each runtime says."""
    from oracles import TFLITE

    return {runtime: exact(path, runtime, count) for runtime in TFLITE}


def ask(path: Path, samples: int, timeout: float) -> dict[str, Any]:
    """Verdicts, and the peak memory of it all."""
    cpu_clock.begin()
    network, runs = qbitsat.load(path), []
    x = np.random.default_rng(5).integers(network.input.lo, network.input.hi + 1, (samples, network.input.size))
    for row, label in zip(x, classify(network, x).tolist(), strict=True):
        start = cpu_seconds()
        verdict = qbitsat.verify(qbitsat.robustness(network, row, 1, label), timeout=timeout)
        runs.append({"verdict": verdict.verdict, "engine": verdict.engine, "seconds": round(cpu_seconds() - start, 3)})
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // KIB_IN_MIB
    return {"timeout": timeout, "peak_mib": peak, "runs": runs}


def row(name: str, record: dict[str, Any]) -> str:
    """A line of a Markdown table."""
    found = record["runtimes"]
    read = [about for about in found.values() if "refused" not in about]
    elements, differing = (sum(about[key] for about in read) for key in ("elements", "differing"))
    refused = ", ".join(runtime for runtime, about in found.items() if "refused" in about)
    verdicts = [run["verdict"] for run in record["runs"]]
    seconds = [run["seconds"] for run in record["runs"]]
    size = f"{read[0]['layers']}, {read[0]['values']:,}" if read else ""
    cells = (size, len(read), refused or "none", f"{differing} of {elements:,}", verdicts.count(HOLDS), verdicts.count(VIOLATED))
    return f"| {name} | {' | '.join(map(str, cells))} | {statistics.median(seconds):.2g} | {record['peak_mib']} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"all by default, of {', '.join(MODELS)}")
    parser.add_argument("--inputs", type=int, default=20, metavar="N", help="random ones for each runtime")
    parser.add_argument("--samples", type=int, default=5, metavar="N", help="that are asked about")
    parser.add_argument("--timeout", type=float, default=60.0, metavar="S", help="for each query, in seconds of CPU")
    args = parser.parse_args()
    if unknown := set(args.names) - set(MODELS):
        parser.error(f"{', '.join(sorted(unknown))}: expected some of {', '.join(MODELS)}")
    content = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    print("| model | layers, values | runtimes | refused by | differing | hold | violated | median s | peak MiB |")
    print("|---|---|---|---|---|---|---|---|---|")
    # Each step in a process of its own, as TensorFlow's memory is no part of what is measured.
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool, tempfile.TemporaryDirectory() as folder:
        for name in args.names or MODELS:
            path = Path(folder) / f"{name}.tflite"
            path.write_bytes(pool.apply(converted, (name,)))
            record = {"commit": commit(), "machine": machine(), "bytes": path.stat().st_size}
            record |= {"runtimes": pool.apply(compare, (path, args.inputs)), **pool.apply(ask, (path, args.samples, args.timeout))}
            content[name] = record
            RESULTS.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
            print(row(name, record), flush=True)


if __name__ == "__main__":
    main()
