"""Train a predictor of math scores, 19-64-32-1 with ReLU-7, in TensorFlow: python -m bench.train_students --out students.keras

The experiment on fairness of TACAS 2020 has such a network; its own is not published. A student is two scores and which of each group of
features is set, all in 7 fractional bits: a score s is s / 128, a feature that is set 128 / 128. The output is the score in math / 16, so
that 100 points are within ReLU-7's range. Four students of five train it, the others say how good it is. The extra `train` brings what it
needs.
"""

from __future__ import annotations

import argparse
import csv
import os
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from bench.suite import DATA
from qbitsat import load_float, quantize
from qbitsat.network import Network, forward
from qbitsat.network.float_network import FloatNetwork
from qbitsat.properties import Box, Gap, gap
from qbitsat.quantize import parse_format
from qbitsat.quantize.training import Trainable

# The columns of a student, in the order of their features, with what they hold.
GROUPS = {
    "gender": ("female", "male"),
    "race/ethnicity": tuple(f"group {letter}" for letter in "ABCDE"),
    "parental level of education": (
        "some high school", "high school", "some college", "associate's degree", "bachelor's degree", "master's degree",
    ),
    "lunch": ("free/reduced", "standard"),
    "test preparation course": ("none", "completed"),
}  # fmt: skip
SCORES, TARGET = ("reading score", "writing score"), "math score"
HIDDEN, TOP, UNIT, POINTS, SET = (64, 32), 7.0, 16, 100, 128
# What `qbitsat.quantize` is given: the paper's format with scores and features as they are here.
INPUT = "input=u8.7"
BITS, BATCH, RATE = (6, 7, 8, 9, 10), 32, 2e-3


def places() -> dict[str, tuple[int, ...]]:
    """Which features are those of each group."""
    found, start = {}, 0
    for name, words in GROUPS.items():
        found[name] = tuple(range(start, start + len(words)))
        start += len(words)
    return found


def domain() -> Box:
    """All students that there could be."""
    count = sum(map(len, GROUPS.values()))
    return Box(np.zeros(count + len(SCORES), np.int64), np.array([SET] * count + [POINTS] * len(SCORES)))


def students() -> tuple[np.ndarray, np.ndarray]:
    """Features int64[1000, 19] and scores in math int64[1000]."""
    rows, features = [], {(name, word): k for k, (name, word) in enumerate((n, w) for n, words in GROUPS.items() for w in words)}
    with open(DATA / "students" / "StudentsPerformance.csv", encoding="utf-8", newline="") as stream:
        for line in csv.DictReader(stream):
            row = [0] * len(features) + [int(line[name]) for name in SCORES]
            for name in GROUPS:
                row[features[name, line[name]]] = SET
            rows.append((row, int(line[TARGET])))
    return np.array([row for row, _ in rows]), np.array([score for _, score in rows])


def held_out(count: int) -> np.ndarray:
    """Which students do not train."""
    return np.arange(count) % 5 == 0


def network_at(model: FloatNetwork, bits: int) -> Network:
    """The model in the paper's format."""
    return quantize(model, f"paper:{bits},{INPUT}")


def gap_of(network: Network, name: str) -> Gap:
    """How far the named group alone can move the score: see `qbitsat.properties.gap`."""
    found = places()
    return gap(network, found[name], groups=tuple(found.values()), box=domain())


def error_of(network: Network) -> float:
    """The mean distance in points between what the network gives and the score, of students who did not train it."""
    x, scores = students()
    held = held_out(len(x))
    return float(np.abs(forward(network, x[held])[:, 0] * points_of(network) - scores[held]).mean())


def points_of(network: Network) -> float:
    """Points of a step of the output."""
    return network.output.scale * UNIT


def model_of(seed: int) -> Any:
    """The Keras model, not trained."""
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    layers = [keras.Input((domain().lo.size,))]
    for n in HIDDEN:
        layers += [keras.layers.Dense(n), keras.layers.ReLU(max_value=TOP)]
    return keras.Sequential([*layers, keras.layers.Dense(1)], name="students")


def train(model: Any, path: Path, epochs: int, seed: int) -> None:
    """Train it at all widths at once: each batch as one of them computes it, with straight-through gradients.

    Weights of a float model are mostly below the step of 6 bits, 0.25, and a shift takes half of that from every value on average: trained
    for itself alone, it is no predictor there.
    """
    import keras
    import tensorflow as tf

    floats = load_float(path)
    widths = [Trainable(floats, parse_format(f"paper:{bits},{INPUT}")) for bits in BITS]
    parameters = [tuple(tf.Variable(part) for part in pair) for pair in widths[0].parameters]
    flat, x, scores = [part for pair in parameters for part in pair], *students()
    rows = np.flatnonzero(~held_out(len(x)))
    optimizer = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(RATE, epochs * len(widths) * (len(rows) // BATCH)))

    def step_at(width: Trainable) -> Callable[[tf.Tensor, tf.Tensor], None]:
        @tf.function
        def step(batch: tf.Tensor, wanted: tf.Tensor) -> None:
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean((width.apply(tf, parameters, batch)[:, 0] - wanted) ** 2)
            optimizer.apply_gradients(zip(tape.gradient(loss, flat), flat, strict=True))

        return step

    optimizer.build(flat)
    steps, rng = [step_at(width) for width in widths], np.random.default_rng(seed)
    for _ in range(epochs):
        for step in steps:
            order = rng.permutation(rows)
            for start in range(0, len(order) - BATCH + 1, BATCH):
                some = order[start : start + BATCH]
                step(tf.constant(x[some] / SET), tf.constant(scores[some] / UNIT))
    dense = [layer for layer in model.layers if isinstance(layer, keras.layers.Dense)]
    for layer, (weights, bias) in zip(dense, parameters, strict=True):
        layer.set_weights([weights.numpy().T, bias.numpy()])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, metavar="FILE")
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    # One order of float sums on every CPU; read when TensorFlow is imported.
    os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    args.out.parent.mkdir(parents=True, exist_ok=True)
    model = model_of(args.seed)
    with TemporaryDirectory() as folder:
        model.save(Path(folder) / "start.keras")
        train(model, Path(folder) / "start.keras", args.epochs, args.seed)
    model.save(args.out)
    errors = [f"{error_of(network_at(load_float(args.out), bits)):.1f} at {bits}" for bits in BITS]
    print(f"{args.out}: of students that it was not trained on it is so many points off, on average: {', '.join(errors)} bits")


if __name__ == "__main__":
    main()
