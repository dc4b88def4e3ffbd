"""Train a convolutional network of the size in TACAS 2020, in its Q-format: python -m bench.train_convolution --out DIR [--bits LIST]

Two convolutions (5 x 5, stride 2: 12 and 25 maps) and two dense layers (100, 10): 2,238 neurons, as the paper's. MNIST test images 1000 to
9999 train it; 0 to 999 say how good it is. All B bits of weights, biases and activations have F = B - 2 fractional ones; a layer computes

    y = clamp(floor(sum w * x / 2**F) + b, 0, 2**F)          ReLU-1; the bias is in activation units, added after the shift

The input is the pixel, with 8 fractional bits; the last layer keeps its sign and saturates. Floats first, then epochs on the quantized
values with straight-through gradients. DIR gets BITS.npz, networks of qbitsat's own format. The extra `train` brings what it needs.
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

from bench.suite import DATA
from qbitsat import importers
from qbitsat.network import Convolution, Dense, Layer, Network, TensorFormat, classify

INPUT_FRACTION = 8
MAPS, KERNEL, STRIDE, HIDDEN, CLASSES = (12, 25), 5, 2, 100, 10
HELD_OUT = 1000


def data() -> tuple[np.ndarray, np.ndarray]:
    """Pixels int64[10000, 28, 28, 1] and labels int64[10000]."""
    folder = DATA / "mnist"
    pixels = importers.load_inputs(folder / "t10k-images-idx3-ubyte.gz", TensorFormat((28, 28), 0, 255))
    return pixels.reshape(-1, 28, 28, 1), importers.load_labels(folder / "t10k-labels-idx1-ubyte.gz")


def rounded(values: tf.Tensor, fraction: int, lo: int, hi: int, floor: bool) -> tf.Tensor:
    """Multiples of 2**-fraction in [lo, hi] of them; the gradient passes the rounding and stops where it saturates."""
    scaled = tf.clip_by_value(values * 2.0**fraction, lo, hi)
    whole = tf.floor(scaled) if floor else tf.floor(scaled + 0.5)
    return (scaled + tf.stop_gradient(tf.clip_by_value(whole, lo, hi) - scaled)) * 2.0**-fraction


class Model(tf.Module):
    """The network over floats; bits None: without quantization."""

    def __init__(self, seed: int):
        super().__init__()
        rng = np.random.default_rng(seed)
        shapes = [(KERNEL, KERNEL, 1, MAPS[0]), (KERNEL, KERNEL, MAPS[0], MAPS[1]), (4 * 4 * MAPS[1], HIDDEN), (HIDDEN, CLASSES)]
        self.weights = [tf.Variable(rng.normal(0, np.sqrt(2 / np.prod(s[:-1])), s).astype(np.float32)) for s in shapes]
        self.biases = [tf.Variable(np.zeros(s[-1], np.float32)) for s in shapes]

    def __call__(self, x: tf.Tensor, bits: int | None) -> tf.Tensor:
        for k, (weights, biases) in enumerate(zip(self.weights, self.biases, strict=True)):
            last = k == len(self.weights) - 1
            if bits is not None:
                fraction, most = bits - 2, 1 << (bits - 1)
                weights, biases = (rounded(v, fraction, -most, most - 1, False) for v in (weights, biases))
            x = tf.nn.conv2d(x, weights, STRIDE, "VALID") if k < len(MAPS) else tf.reshape(x, (len(x), -1)) @ weights
            if bits is not None:
                x = rounded(x, fraction, -(1 << 30), 1 << 30, True)
            x = x + biases
            if not last:
                x = tf.clip_by_value(x, 0, 1)
        return x


def train(model: Model, x: np.ndarray, labels: np.ndarray, bits: int | None, epochs: int, rate: float, seed: int) -> None:
    optimizer, rng = keras.optimizers.Adam(rate), np.random.default_rng(seed)

    @tf.function
    def step(batch: tf.Tensor, classes: tf.Tensor) -> None:
        with tf.GradientTape() as tape:
            logits = model(batch, bits)
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(classes, 4 * logits))
        variables = model.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))

    for epoch in range(epochs):
        optimizer.learning_rate.assign(rate * (1 - epoch / epochs))
        order = rng.permutation(len(x))
        for start in range(0, len(x) - 63, 64):
            rows = order[start : start + 64]
            step(tf.constant(x[rows]), tf.constant(labels[rows]))


def integers(variable: tf.Variable, bits: int) -> np.ndarray:
    most = 1 << (bits - 1)
    return np.clip(np.floor(variable.numpy().astype(float) * 2.0 ** (bits - 2) + 0.5), -most, most - 1).astype(np.int64)


def network_of(model: Model, bits: int) -> Network:
    """The integer network in the paper's Q-format."""
    fraction, most = bits - 2, 1 << (bits - 1)
    source, layers = TensorFormat((28, 28, 1), 0, 255, 2.0**-INPUT_FRACTION), list[Layer]()
    for k, (variable, biases) in enumerate(zip(model.weights, model.biases, strict=True)):
        weights, last = integers(variable, bits), k == len(model.weights) - 1
        lo, hi = (-most, most - 1) if last else (0, 1 << fraction)
        size = (source.shape[0] - KERNEL) // STRIDE + 1 if k < len(MAPS) else 0
        target = TensorFormat((size, size, MAPS[k]) if k < len(MAPS) else (weights.shape[-1],), lo, hi, 2.0**-fraction)
        shift = INPUT_FRACTION if k == 0 else fraction
        requantizers = tuple(target.requantizer(shift, "floor", bias=int(b)) for b in integers(biases, bits))
        nothing = np.zeros(weights.shape[-1], np.int64)
        if k < len(MAPS):
            kernel = np.moveaxis(weights, -1, 0)
            layers.append(Convolution(f"conv{k}", source, target, requantizers, kernel, nothing, (STRIDE, STRIDE)))
        else:
            layers.append(Dense(f"dense{k}", source, target, requantizers, weights.T, nothing))
        source = target
    return Network(tuple(layers), f"convolution-{bits}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--bits", default="6,7,8,9,10", metavar="LIST")
    parser.add_argument("--epochs", type=int, default=12, help="on floats, and as many on quantized values")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    pixels, labels = data()
    x, seen = (pixels / 2.0**INPUT_FRACTION).astype(np.float32), slice(HELD_OUT, None)
    floats = Model(args.seed)
    train(floats, x[seen], labels[seen], None, args.epochs, 2e-3, args.seed)
    args.out.mkdir(parents=True, exist_ok=True)
    for bits in map(int, args.bits.split(",")):
        model = Model(args.seed)
        for mine, other in zip(model.trainable_variables, floats.trainable_variables, strict=True):
            mine.assign(other)
        train(model, x[seen], labels[seen], bits, args.epochs, 1e-3, args.seed)
        network = network_of(model, bits)
        flat = pixels[:HELD_OUT].reshape(HELD_OUT, -1)
        right = int((classify(network, flat) == labels[:HELD_OUT]).sum())
        near = int((model(tf.constant(x[:HELD_OUT]), bits).numpy().argmax(axis=1) == classify(network, flat)).sum())
        importers.save(network, args.out / f"{bits}.npz")
        print(f"{bits} bits: {right} of {HELD_OUT} right; the trained floats and the integers agree on {near}", flush=True)


if __name__ == "__main__":
    main()
