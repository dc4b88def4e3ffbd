"""Train the float network of TACAS 2020, 784-64-32-10 with ReLU-7, in TensorFlow: python -m bench.train_mnist --out mnist.keras

MNIST test images 1000 to 9999 train it; 0 to 999 say how good it is. The input is the pixel / 256, which 8 fractional bits hold exactly.
What comes out is a plain Keras model, for `qbitsat quantize` and `qbitsat bits`. The extra `train` brings what it needs.
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
from qbitsat.network import TensorFormat

HIDDEN, CLASSES, TOP, HELD_OUT = (64, 32), 10, 7.0, 1000
# Small weights make small changes of an image matter less.
WEIGHT_DECAY = 1e-4


def data() -> tuple[np.ndarray, np.ndarray]:
    """Pixels / 256, float32[10000, 784], and labels int64[10000]."""
    folder = DATA / "mnist"
    pixels = importers.load_inputs(folder / "t10k-images-idx3-ubyte.gz", TensorFormat((28, 28), 0, 255))
    return (pixels / 256).astype(np.float32), importers.load_labels(folder / "t10k-labels-idx1-ubyte.gz")


def model(hidden: tuple[int, ...] = HIDDEN) -> keras.Sequential:
    decay = keras.regularizers.L2(WEIGHT_DECAY)
    layers = [keras.Input((784,))]
    for n in hidden:
        layers += [keras.layers.Dense(n, kernel_regularizer=decay), keras.layers.ReLU(max_value=TOP)]
    return keras.Sequential([*layers, keras.layers.Dense(CLASSES, kernel_regularizer=decay)], name="mnist")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, metavar="FILE")
    parser.add_argument("--hidden", type=lambda text: tuple(map(int, text.split(","))), default=HIDDEN, metavar="LIST")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    keras.utils.set_random_seed(args.seed)
    tf.config.experimental.enable_op_determinism()
    x, labels = data()
    floats, steps = model(args.hidden), args.epochs * -(-(len(x) - HELD_OUT) // 64)
    floats.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(2e-3, steps)),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    floats.fit(x[HELD_OUT:], labels[HELD_OUT:], batch_size=64, epochs=args.epochs, verbose=0)
    right = int((np.asarray(floats(x[:HELD_OUT])).argmax(axis=1) == labels[:HELD_OUT]).sum())
    args.out.parent.mkdir(parents=True, exist_ok=True)
    floats.save(args.out)
    print(f"{args.out}: {right} of {HELD_OUT} images right that it was not trained on")


if __name__ == "__main__":
    main()
