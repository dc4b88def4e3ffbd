"""Train a float model in a format, so that what is trained are the integers that are verified:

    python -m bench.train_quantized mnist.keras --format paper:6,2 --out mnist6.npz

MNIST test images 1000 to 9999 train it, with straight-through gradients (qbitsat/quantize/training.py); 0 to 999 say how good it is before
and after. The script refuses to write a network of which a single output differs from the trained one's. The extra `train` brings what
it needs.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

# One order of float sums on every CPU; read when TensorFlow is imported.
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf

import qbitsat
from bench.train_mnist import HELD_OUT, data
from qbitsat.network import Network, classify, forward
from qbitsat.quantize import parse_format, quantize_with_report
from qbitsat.quantize.training import Trainable

BATCH = 64


def train(trainable: Trainable, x: np.ndarray, labels: np.ndarray, epochs: int, rate: float, seed: int) -> list[tuple[tf.Variable, ...]]:
    """The trained parameters; x float64[n, *shape]."""
    parameters = [tuple(tf.Variable(part) for part in pair) for pair in trainable.parameters]
    flat = [part for pair in parameters for part in pair]
    steps = epochs * (len(x) // BATCH)
    optimizer, rng = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(rate, steps)), np.random.default_rng(seed)

    @tf.function
    def step(batch: tf.Tensor, classes: tf.Tensor) -> None:
        with tf.GradientTape() as tape:
            logits = trainable.apply(tf, parameters, batch)
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(classes, logits))
        optimizer.apply_gradients(zip(tape.gradient(loss, flat), flat, strict=True))

    for _ in range(epochs):
        order = rng.permutation(len(x))
        for start in range(0, len(x) - BATCH + 1, BATCH):
            rows = order[start : start + BATCH]
            step(tf.constant(x[rows]), tf.constant(labels[rows]))
    return parameters


def right(network: Network, pixels: np.ndarray, labels: np.ndarray) -> int:
    return int((classify(network, pixels) == labels).sum())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, metavar="MODEL")
    parser.add_argument("--format", required=True, metavar="FORMAT", help="with all fractional bits, as in paper:6,2")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    keras.utils.set_random_seed(args.seed)
    model, form = qbitsat.load_float(args.model), parse_format(args.format)
    x, labels = data()
    pixels, held = (x * 256).astype(np.int64), slice(HELD_OUT)
    trainable = Trainable(model, form)
    before = right(qbitsat.quantize(model, form), pixels[held], labels[held])
    real = x.astype(np.float64).reshape(-1, *model.inputs[0])
    parameters = train(trainable, real[HELD_OUT:], labels[HELD_OUT:], args.epochs, args.rate, args.seed)
    made = quantize_with_report(trainable.trained([tuple(part.numpy() for part in pair) for pair in parameters]), form)
    outputs = trainable.apply(tf, parameters, tf.constant(real[held])).numpy() / made.report.layers[-1].step
    if not np.array_equal(outputs, forward(made.network, pixels[held])):
        raise SystemExit("train_quantized: the integer network differs from the trained one")
    qbitsat.save(made.network, args.out)
    after = right(made.network, pixels[held], labels[held])
    print(f"{args.format}: of {HELD_OUT} images {before} are right when quantized after training, {after} when trained so; ", end="")
    print("all outputs are those of the trained network")


if __name__ == "__main__":
    main()
