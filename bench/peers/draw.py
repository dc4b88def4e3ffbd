"""Queries drawn from the protocols of the AAAI 2021 and TACAS 2020 papers and from larger distances on the same networks."""

from __future__ import annotations

import os
import random
from dataclasses import dataclass, replace
from pathlib import Path

import qbitsat
from qbitsat.campaign import Task, plan
from qbitsat.importers import load_inputs, load_labels
from qbitsat.network import Network

DATA = Path(os.environ.get("QBITSAT_BENCH_DATA") or Path(__file__).resolve().parents[3] / "shared" / "benchmarks")

# Name of the network, its file, its bits.
NETWORKS = {
    "aaai21": (Path("aaai21", "mnist_mlp.h5"), 6),
    "qvip6": (Path("qvip", "qu_mnist_2blk_64_32_in_8_qu_6.h5"), 6),
    "qvip8": (Path("qvip", "qu_mnist_2blk_64_32_in_8_qu_8.h5"), 8),
}

# Network, eps, first sample, end of the samples.
PROTOCOLS = (
    *(("aaai21", eps, 100 * (eps - 1), 100 * eps) for eps in (1, 2, 3, 4)),
    *(("aaai21", eps, 0, 100) for eps in (6, 8, 12)),
    *(row for name in ("qvip6", "qvip8") for row in ((name, 1, 0, 200), (name, 2, 200, 300))),
    *((name, eps, 0, 100) for name in ("qvip6", "qvip8") for eps in (2, 3, 4)),
)


@dataclass(frozen=True, eq=False)
class Drawn:
    """A task and the network that it is about, with the name that `NETWORKS` gives it."""

    name: str
    network: Network
    task: Task

    @property
    def query(self) -> qbitsat.Query:
        return qbitsat.robustness(self.network, self.task.x, self.task.eps, self.task.label)


def order(seed: int) -> list[tuple[str, int, int]]:
    """Every (network, sample, eps) of the protocols once, in an order that the seed alone decides."""
    pool = [(name, sample, eps) for name, eps, first, end in PROTOCOLS for sample in range(first, end)]
    random.Random(seed).shuffle(pool)
    return pool


def draw(seed: int, count: int) -> list[Drawn]:
    """The first `count` of the order, without samples that the network misses; fewer are the first of more."""
    networks = {name: qbitsat.load(DATA / file, bits=bits) for name, (file, bits) in NETWORKS.items()}
    images = load_inputs(DATA / "mnist" / "t10k-images-idx3-ubyte.gz", networks["aaai21"].input)
    labels = load_labels(DATA / "mnist" / "t10k-labels-idx1-ubyte.gz")
    drawn: list[Drawn] = []
    for name, sample, eps in order(seed):
        if len(drawn) == count:
            break
        (task,) = plan(networks[name], images, labels, [sample], [eps])
        if task.settled is None:
            drawn.append(Drawn(name, networks[name], replace(task, index=len(drawn))))
    return drawn
