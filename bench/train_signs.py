"""Train a network of weights +1 and -1 on MNIST, 784-100-100-10: python -m bench.train_signs --out signs.npz

Inputs have 2 bits: a pixel's two highest. Hidden neurons are 1 where their sum reaches a threshold, else 0; the class is the largest
sum of the last layer. The weights are signs of floats that Adam trains, with gradients that pass through signs as if these were the
identity between -1 and 1 (Hubara et al., Binarized Neural Networks, NIPS 2016). MNIST test images 1000 to 9999 train it; 0 to 999 say
how good it is.
"""

from __future__ import annotations

import argparse
from itertools import pairwise
from pathlib import Path

import numpy as np

from bench.suite import DATA
from qbitsat import importers
from qbitsat.arithmetic import ShiftRequantizer
from qbitsat.network import Dense, Network, TensorFormat, classify

HIDDEN, CLASSES, HELD_OUT, LEVELS, BATCH = (100, 100), 10, 1000, 4, 100
RATE, DECAYS = 2e-3, (0.9, 0.999)


def data() -> tuple[np.ndarray, np.ndarray]:
    """Inputs int64[10000, 784] of 0 to 3, and labels int64[10000]."""
    folder = DATA / "mnist"
    pixels = importers.load_inputs(folder / "t10k-images-idx3-ubyte.gz", TensorFormat((28, 28), 0, 255))
    return pixels * LEVELS // 256, importers.load_labels(folder / "t10k-labels-idx1-ubyte.gz")


def signs(values: np.ndarray) -> np.ndarray:
    return np.where(values >= 0, 1.0, -1.0)


def forward(parameters: list[np.ndarray], x: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Values that layers read, of -1 to 1, and sums, in units of the square root of how many are added up."""
    values, sums = [x], []
    for k in range(0, len(parameters), 2):
        sums.append(values[-1] @ signs(parameters[k]) / np.sqrt(len(parameters[k])) + parameters[k + 1])
        values.append(signs(sums[-1]))
    return values, sums


def gradients(parameters: list[np.ndarray], x: np.ndarray, labels: np.ndarray) -> list[np.ndarray]:
    """Of the mean cross-entropy."""
    values, sums = forward(parameters, x)
    logits = 2 * sums[-1]
    chances = np.exp(logits - logits.max(axis=1, keepdims=True))
    back = chances / chances.sum(axis=1, keepdims=True)
    back[np.arange(len(x)), labels] -= 1
    back *= 2 / len(x)
    found: list[np.ndarray] = []
    for k in reversed(range(len(sums))):
        weights = parameters[2 * k]
        found = [values[k].T @ back / np.sqrt(len(weights)) * (np.abs(weights) <= 1), back.sum(axis=0), *found]
        if k:
            back = back @ signs(weights).T / np.sqrt(len(weights)) * (np.abs(sums[k - 1]) <= 1)
    return found


def train(x: np.ndarray, labels: np.ndarray, epochs: int, seed: int) -> list[np.ndarray]:
    """Weights and biases of each layer, floats whose signs count, and sums' shifts."""
    rng, sizes = np.random.default_rng(seed), (x.shape[1], *HIDDEN, CLASSES)
    parameters = [part for a, b in pairwise(sizes) for part in (rng.uniform(-0.1, 0.1, (a, b)), np.zeros(b))]
    moments = [[np.zeros_like(part) for part in parameters] for _ in DECAYS]
    inputs, step, steps = 2 * x / (LEVELS - 1) - 1, 0, epochs * (len(x) // BATCH)
    for _ in range(epochs):
        order = rng.permutation(len(x))
        for start in range(0, len(x) - BATCH + 1, BATCH):
            rows, step = order[start : start + BATCH], step + 1
            rate = RATE * 0.5 * (1 + np.cos(np.pi * step / steps))
            for k, gradient in enumerate(gradients(parameters, inputs[rows], labels[rows])):
                for moment, decay, part in zip(moments, DECAYS, (gradient, gradient**2), strict=True):
                    moment[k] = decay * moment[k] + (1 - decay) * part
                first, second = (moment[k] / (1 - decay**step) for moment, decay in zip(moments, DECAYS, strict=True))
                parameters[k] = parameters[k] - rate * first / (np.sqrt(second) + 1e-8)
                if k % 2 == 0:
                    parameters[k] = np.clip(parameters[k], -1, 1)
    return parameters


def network(parameters: list[np.ndarray]) -> Network:
    """In integers: with inputs v = (top x - 1) a sum w v / sqrt(n) + b >= 0 is sum w x >= (sum w - sqrt(n) b) / top."""
    layers, form = [], TensorFormat((len(parameters[0]),), 0, LEVELS - 1)
    for k in range(0, len(parameters), 2):
        weights, last = signs(parameters[k]).astype(np.int64).T, k + 2 == len(parameters)
        top = 2 / form.hi
        least = (weights.sum(axis=1) - np.sqrt(len(parameters[k])) * parameters[k + 1]) / top
        bias = np.rint(-least).astype(np.int64) if last else 1 - np.ceil(least).astype(np.int64)
        most = int(np.abs(weights).sum(axis=1).max()) * form.hi + int(np.abs(bias).max())
        output = TensorFormat((len(weights),), -most, most) if last else TensorFormat((len(weights),), 0, 1)
        layers.append(Dense(f"signs{k // 2}", form, output, ShiftRequantizer(0, "floor", output.lo, output.hi), weights, bias))
        form = output
    return Network(tuple(layers), "signs-784-100-100-10")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, metavar="FILE")
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    x, labels = data()
    found = network(train(x[HELD_OUT:], labels[HELD_OUT:], args.epochs, args.seed))
    importers.save(found, args.out)
    right = int((classify(found, x[:HELD_OUT]) == labels[:HELD_OUT]).sum())
    np.savez(args.out.with_suffix(".samples.npz"), inputs=x[:HELD_OUT], labels=labels[:HELD_OUT])
    print(f"{args.out}: {right} of {HELD_OUT} images right that it was not trained on; these are in {args.out.with_suffix('.samples.npz')}")


if __name__ == "__main__":
    main()
