"""VNN-COMP's MNIST networks with two and four hidden layers of 256 neurons, 784 pixels and 10 classes."""

from __future__ import annotations

import numpy as np

import qbitsat
from bench.paper.runs import Runs
from bench.suite import DATA
from qbitsat.importers import load_inputs, load_labels
from qbitsat.network import TensorFormat, classify

from .setting import Record, ask, model

NAMES = {"mnist-256x2": "vnncomp/mnist-net_256x2.onnx", "mnist-256x4": "vnncomp/mnist-net_256x4.onnx"}
# Pixels are what the device has, 8 bits, whatever the width of weights and activations. A pixel p stands for p / 256.
FORMAT = "power-of-two:{bits},input=u8.8"
# Images that say which fractional bits fit; none of them is asked about.
CALIBRATION = slice(5000, 6000)
# Distances in pixel steps: 8 and 13 are VNN-COMP's 0.03 and 0.05, rounded up.
DISTANCES = (1, 2, 4, 8, 13)


def run(finished: Runs, name: str, bits: int, seconds: float, samples: int) -> Record:
    floats, folder = model(NAMES[name]), DATA / "mnist"
    pixels = load_inputs(folder / "t10k-images-idx3-ubyte.gz", TensorFormat((28, 28), 0, 255))
    labels = load_labels(folder / "t10k-labels-idx1-ubyte.gz")
    real = (pixels / 256).reshape(-1, 784, 1)
    network = qbitsat.quantize(floats, FORMAT.format(bits=bits), real[CALIBRATION])
    classes, theirs = classify(network, pixels), np.argmax(floats.run(real)[0].reshape(len(real), -1), axis=1)
    about = {
        "format": FORMAT.format(bits=bits),
        "accuracy": float((classes == labels).mean()),
        "float_accuracy": float((theirs == labels).mean()),
        "same_choice": float((classes == theirs).mean()),
    }
    runs = []
    for eps in DISTANCES:
        for sample in range(samples):
            query = qbitsat.robustness(network, pixels[sample], eps, int(labels[sample]), sample=sample)
            runs.append({"eps": eps, "sample": sample, **ask(finished, f"robust {eps} {sample}", query, seconds)})
    return {**about, "runs": runs}
