"""Train the shipped examples: scikit-learn's digits as a float model, and quantized to a Q-format, as an exact integer network.

Run from the root of the repository: python -m bench.train_digits. The extra `train` brings what it needs. Floats first,
then a few epochs on the quantized values with straight-through gradients. In those every sum is exact in float32, so the
trained function is the integer network itself, and the script refuses to write it where a single output differs.
"""

from __future__ import annotations

import argparse
import os
import platform
from dataclasses import dataclass
from pathlib import Path

# One order of float sums on every CPU; read when TensorFlow is imported.
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import sklearn
import tensorflow as tf

from bench.digits import split
from qbitsat import importers
from qbitsat.arithmetic import ShiftRequantizer
from qbitsat.network import Dense, Network, TensorFormat, classify, forward

SHIPPED = 50
INPUT_FRACTION = 4
# Small weights make small changes of an image matter less, at no cost in accuracy up to about here.
WEIGHT_DECAY = 3e-3


@dataclass(frozen=True)
class QFormat:
    """Integers of `bits` bits that stand for multiples of 2**-fraction; half_up rounding, saturation."""

    bits: int
    fraction: int
    signed: bool

    @property
    def lo(self) -> int:
        return -(1 << (self.bits - 1)) if self.signed else 0

    @property
    def hi(self) -> int:
        return self.lo + (1 << self.bits) - 1

    def integers(self, values: np.ndarray) -> np.ndarray:
        """float32 of any shape -> int64 of the same shape."""
        return np.clip(np.floor(values * 2.0**self.fraction + 0.5), self.lo, self.hi).astype(np.int64)

    def fake(self, values: tf.Tensor) -> tf.Tensor:
        """The floats the integers stand for; the gradient passes the rounding and stops where it saturates."""
        scaled = tf.clip_by_value(values * 2.0**self.fraction, self.lo, self.hi)
        rounded = tf.minimum(tf.floor(scaled + 0.5), self.hi)
        # The difference is exactly 0: it only carries the gradient.
        return (tf.stop_gradient(rounded) + (scaled - tf.stop_gradient(scaled))) * 2.0**-self.fraction


def best_format(values: np.ndarray, bits: int, signed: bool, most: int = 16) -> QFormat:
    """The format with the least squared error on `values`, of at most `most` fractional bits."""

    def error(form: QFormat) -> float:
        return float(np.square(form.integers(values) * 2.0**-form.fraction - values).mean())

    return min((QFormat(bits, fraction, signed) for fraction in range(-8, most + 1)), key=error)


@dataclass(frozen=True)
class Formats:
    """The Q-formats of one layer."""

    weights: QFormat
    bias: QFormat
    output: QFormat


class QDense(keras.layers.Dense):
    """A dense layer on floats until it has `formats`, then on the values of those; ReLU is their saturation at 0."""

    formats: Formats | None = None

    def call(self, x):
        if self.formats is None:
            return super().call(x)
        acc = tf.matmul(x, self.formats.weights.fake(self.kernel)) + self.formats.bias.fake(self.bias)
        return self.formats.output.fake(acc)


def fit(floats: keras.Sequential, images: np.ndarray, labels: np.ndarray, epochs: int, rate: float) -> None:
    """Train in place with Adam, the rate falling to 0 along a cosine."""
    steps = epochs * -(-len(images) // 32)
    floats.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(rate, steps)),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    floats.fit(images, labels, batch_size=32, epochs=epochs, verbose=0)


def choose_formats(floats: keras.Sequential, images: np.ndarray, bits: int) -> None:
    """Give every layer its formats, from its weights and from its float outputs on `images`."""
    x, fraction = images, INPUT_FRACTION
    for layer in floats.layers:
        x = np.asarray(layer(x))
        kernel, bias = (np.asarray(v) for v in layer.get_weights())
        weights = best_format(kernel, bits, signed=True)
        # A bias finer than the accumulator would not be an integer there.
        bias_format = best_format(bias, bits, signed=True, most=fraction + weights.fraction)
        output = best_format(x, bits, signed=layer is floats.layers[-1])
        layer.formats, fraction = Formats(weights, bias_format, output), output.fraction


def integer_network(floats: keras.Sequential, name: str) -> Network:
    """The exact integer network of a quantized Keras network."""
    layers, before, fraction = [], TensorFormat((8, 8), 0, 16, 2.0**-INPUT_FRACTION), INPUT_FRACTION
    for i, layer in enumerate(floats.layers):
        form, (kernel, bias) = layer.formats, layer.get_weights()
        acc_fraction = fraction + form.weights.fraction
        output, fraction = form.output, form.output.fraction
        after = TensorFormat((len(bias),), output.lo, output.hi, 2.0**-fraction)
        requantizer = ShiftRequantizer(acc_fraction - fraction, "half_up", output.lo, output.hi)
        weights, bias = form.weights.integers(kernel.T), form.bias.integers(bias) << (acc_fraction - form.bias.fraction)
        layers.append(Dense(f"dense{i}", before, after, (requantizer,), weights, bias))
        before = after
    return Network(tuple(layers), name)


def train(images: np.ndarray, labels: np.ndarray, sizes: list[int], epochs: int) -> keras.Sequential:
    """A float network; images are real values (n, 64)."""
    decay = keras.regularizers.L2(WEIGHT_DECAY)
    hidden = [QDense(n, activation="relu", kernel_regularizer=decay) for n in sizes]
    floats = keras.Sequential([keras.Input((64,)), *hidden, QDense(10, kernel_regularizer=decay)])
    fit(floats, images, labels, epochs, 1e-2)
    return floats


def save_floats(floats: keras.Sequential, path: Path) -> None:
    """The float network as a plain Keras model, which anybody's program reads."""
    layers = [keras.layers.Dense(layer.units, activation=layer.activation.__name__) for layer in floats.layers]
    plain = keras.Sequential([keras.Input((64,)), *layers], name="digits")
    for mine, layer in zip(plain.layers, floats.layers, strict=True):
        mine.set_weights(layer.get_weights())
    plain.save(path)


def layer_sizes(text: str) -> list[int]:
    """16,32 -> [16, 32]."""
    parts = text.split(",")
    if not all(part.isdecimal() and int(part) for part in parts):
        raise argparse.ArgumentTypeError(f"{text!r}, expected positive integers separated by commas")
    return [int(part) for part in parts]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("qbitsat/examples"), help="folder of the four files")
    parser.add_argument("--bits", type=int, default=6, choices=range(2, 9), metavar="2..8", help="bits of weights, biases and activations")
    parser.add_argument("--hidden", type=layer_sizes, default=[16], metavar="N,N", help="neurons of each hidden layer")
    parser.add_argument("--seed", type=int, default=0, help="seed of weights and batches; the split is fixed")
    parser.add_argument("--epochs", type=int, default=60, help="epochs on floats; half as many follow on quantized values")
    return parser.parse_args()


def report(floats: keras.Sequential, network: Network) -> None:
    """Print versions and formats."""
    print(f"python {platform.python_version()}, tensorflow {tf.__version__}, keras {keras.__version__}")
    print(f"scikit-learn {sklearn.__version__}, numpy {np.__version__}")
    for layer, dense in zip(floats.layers, network.layers, strict=True):
        form = layer.formats
        fractions = f"{form.weights.fraction} weights, {form.bias.fraction} bias, {form.output.fraction} output"
        print(f"{dense.name}: fractional bits {fractions}; {dense.requantizers[0]}")


def print_accuracy(what: str, classes: np.ndarray, labels: np.ndarray) -> None:
    correct = int((classes == labels).sum())
    print(f"{what}: {correct} of {len(labels)} correct, {100 * correct / len(labels):.2f} %")


def main() -> None:
    args = arguments()
    keras.utils.set_random_seed(args.seed)
    tf.config.experimental.enable_op_determinism()
    x, y, held_x, held_y = split()
    real, held_real = (part.astype(np.float32) * np.float32(2.0**-INPUT_FRACTION) for part in (x, held_x))

    floats = train(real, y, args.hidden, args.epochs)
    args.out.mkdir(parents=True, exist_ok=True)
    save_floats(floats, args.out / "digits.keras")
    float_classes = np.asarray(floats(held_real)).argmax(axis=1)
    choose_formats(floats, real, args.bits)
    fit(floats, real, y, max(1, args.epochs // 2), 2e-3)

    network = integer_network(floats, f"digits-{'-'.join(map(str, [64, *args.hidden, 10]))}-{args.bits}bit")
    outputs = np.asarray(floats(held_real)) * 2.0 ** floats.layers[-1].formats.output.fraction
    if not np.array_equal(outputs, forward(network, held_x)):
        raise SystemExit("train_digits: the integer network differs from the trained one; its sums leave float32")

    report(floats, network)
    print(f"{network.name}, seed {args.seed}: {len(x)} images to train, {len(held_x)} held back")
    classes = classify(network, held_x)
    print_accuracy("float, held-back images", float_classes, held_y)
    print_accuracy("quantized, held-back images", classes, held_y)
    print_accuracy(f"quantized, the first {SHIPPED}", classes[:SHIPPED], held_y[:SHIPPED])

    importers.save(network, args.out / "digits.npz")
    np.save(args.out / "digits_images.npy", held_x[:SHIPPED].reshape(-1, 8, 8))
    np.save(args.out / "digits_labels.npy", held_y[:SHIPPED])


if __name__ == "__main__":
    main()
