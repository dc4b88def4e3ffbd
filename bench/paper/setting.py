"""The networks, the samples, and what is asked of them: 784-64-32-10 with ReLU-7, quantized after training, MNIST's images 0 to 299."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

import qbitsat
from bench.suite import DATA
from qbitsat.campaign import Task, plan
from qbitsat.importers import load_inputs, load_labels
from qbitsat.network import Network, TensorFormat
from qbitsat.network.float_network import FloatNetwork

from .runs import Runs

# (samples, distance in pixel steps) of the paper.
PROTOCOL = ((range(200), 1), (range(200, 300), 2))
NUM_SAMPLES = 300
# Images that no network is trained on: accuracies are of these.
HELD_OUT = 1000


@dataclass(frozen=True)
class Setting:
    """What a run of the tables is given."""

    cache: Path
    bits: tuple[int, ...] = (6, 7, 8, 9, 10)
    samples: int = NUM_SAMPLES
    timeout: float = 20.0
    ties: str = "kept"
    truncation: str = "floor"
    seed: int = 0
    smt_samples: int = 5
    smt_timeout: float = 15.0
    backends: str = (
        "boolector,boolector:linear,bitwuzla,bitwuzla:linear,z3,z3:linear,cvc5,cvc5:linear,yices,yices:linear,sat,sat:balanced,sat:linear"
    )
    marabou_samples: int = 60

    @property
    def name(self) -> str:
        """The tie rule and the truncation."""
        return f"ties {self.ties}, truncation {self.truncation}"

    @cached_property
    def chosen(self) -> list[tuple[int, int]]:
        """(sample, eps), evenly spread over the protocol if not all of it."""
        everything = [(sample, eps) for samples, eps in PROTOCOL for sample in samples]
        count = min(self.samples, len(everything))
        return [everything[k * len(everything) // count] for k in range(count)]

    @cached_property
    def images(self) -> tuple[np.ndarray, np.ndarray]:
        """Pixels int64[HELD_OUT, 784] and labels int64[HELD_OUT]."""
        folder = DATA / "mnist"
        pixels = load_inputs(folder / "t10k-images-idx3-ubyte.gz", TensorFormat((28, 28), 0, 255))
        return pixels[:HELD_OUT], load_labels(folder / "t10k-labels-idx1-ubyte.gz")[:HELD_OUT]

    @cached_property
    def model(self) -> FloatNetwork:
        """The float network, trained once."""
        path = self.cache / f"mnist-{self.seed}.keras"
        if not path.exists():
            trained("bench.train_mnist", "--out", str(path), "--seed", str(self.seed))
        return qbitsat.load_float(path)

    @cached_property
    def students(self) -> FloatNetwork:
        """The predictor of scores, trained once."""
        path = self.cache / f"students-{self.seed}.keras"
        if not path.exists():
            trained("bench.train_students", "--out", str(path), "--seed", str(self.seed))
        return qbitsat.load_float(path)

    def format(self, bits: int) -> str:
        """Of the paper: bits - 4 are fractional."""
        return f"paper:{bits}" + ("" if self.truncation == "floor" else f",rounding={self.truncation}")

    def network(self, bits: int) -> Network:
        """The float network, quantized."""
        return qbitsat.quantize(self.model, self.format(bits))

    def convolution(self, bits: int) -> Network:
        """A convolutional network of the paper's size, trained for its width."""
        folder = self.cache / f"convolution-{self.seed}"
        if not (folder / f"{bits}.npz").exists():
            trained("bench.train_convolution", "--out", str(folder), "--bits", str(bits), "--seed", str(self.seed))
        return qbitsat.load(folder / f"{bits}.npz")

    def tasks(self, network: Network, count: int | None = None) -> list[Task]:
        """A question for each sample, or for so many, evenly spread."""
        x, labels = self.images
        chosen = self.chosen if count is None else [self.chosen[k * len(self.chosen) // count] for k in range(min(count, len(self.chosen)))]
        tasks = []
        for sample, eps in chosen:
            tasks += plan(network, x, labels, [sample], [eps], ties=self.ties)
        return tasks

    def runs(self, name: str) -> Runs:
        """What has been run of a table."""
        return Runs(self.cache / f"{name}.jsonl")


def trained(module: str, *arguments: str) -> None:
    """A script of bench/, in a process of its own: TensorFlow's settings are read when it is imported."""
    print(f"training: python -m {module} {' '.join(arguments)}", flush=True)
    subprocess.run([sys.executable, "-m", module, *arguments], check=True)
