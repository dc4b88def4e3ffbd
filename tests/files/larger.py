"""A network that can be verified by eye, and files of samples for it: its class is 0 where x0 >= x1, else 1."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from qbitsat.arithmetic import ShiftRequantizer
from qbitsat.importers import save
from qbitsat.network import Dense, Network, TensorFormat

# At eps 1 samples 0 and 2 hold.
VIOLATED, MISCLASSIFIED = 1, 3
INPUTS = np.array([[10, 2], [5, 5], [2, 10], [3, 9]])
LABELS = np.array([0, 0, 1, 0])


def larger_network() -> Network:
    """Outputs are the two inputs, integers 0 to 15 that stand for halves."""
    form = TensorFormat((2,), 0, 15, 0.5)
    return Network((Dense("copy", form, form, (ShiftRequantizer(0, "floor", 0, 15),), np.eye(2, dtype=np.int64), np.zeros(2, np.int64)),))


class Files(NamedTuple):
    """Paths of a network, its samples and their labels."""

    network: Path
    inputs: Path
    labels: Path

    def arguments(self, *more: str, samples: str = ":", eps: str = "1", command: str = "verify") -> list[str]:
        """The words of a command line."""
        words = [command, str(self.network), "--inputs", str(self.inputs), "--labels", str(self.labels)]
        return [*words, "--samples", samples, "--eps", eps, *more]

    def data(self, network: bool = False) -> list[str]:
        """The words that tell `check` what the results are of."""
        words = ["--inputs", str(self.inputs), "--labels", str(self.labels)]
        return [*words, "--network", str(self.network)] if network else words


def write_files(folder: Path) -> Files:
    files = Files(folder / "network.npz", folder / "inputs.npy", folder / "labels.npy")
    save(larger_network(), files.network)
    np.save(files.inputs, INPUTS)
    np.save(files.labels, LABELS)
    return files
