"""The data set that verdicts are about: inputs and labels, read as `verify` reads them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from ..arithmetic import smallest
from ..errors import InputError
from ..importers import load_inputs, load_labels
from ..importers.files import Path
from ..limits import Limits
from ..network import Network, TensorFormat
from ..network.reference import first_maximum
from ..properties.robustness import KEPT
from .inference import Inference
from .networks import stamp

MISCLASSIFIED, SKIPPED = "MISCLASSIFIED", "SKIPPED"


@dataclass(frozen=True)
class Samples:
    """Files of inputs and of their labels; without labels a network's own classes are the labels. For the others see `load_inputs`."""

    inputs: Path
    labels: Path | None = None
    header: bool | None = None
    scale: float | str | None = None

    def count(self, forms: tuple[TensorFormat, ...]) -> int:
        """How many samples there are."""
        return len(self._load(forms)[0])

    def sample(self, forms: tuple[TensorFormat, ...], number: int) -> tuple[np.ndarray, int | None] | None:
        """Input and label of a sample; the label is None without labels, and all is None where there is no such sample."""
        inputs, labels = self._load(forms)
        if not 0 <= number < len(inputs):
            return None
        return inputs[number].astype(np.int64), None if labels is None else int(labels[number])

    def _load(self, forms: tuple[TensorFormat, ...]) -> tuple[np.ndarray, np.ndarray | None]:
        return _load(self, forms, *(stamp(file) for file in (self.inputs, self.labels) if file is not None))


@lru_cache(maxsize=1)
def _load(samples: Samples, forms: tuple[TensorFormat, ...], *stamps: Any) -> tuple[np.ndarray, np.ndarray | None]:
    inputs = smallest(load_inputs(samples.inputs, forms, header=samples.header, scale=samples.scale))
    labels = load_labels(samples.labels, header=samples.header) if samples.labels is not None else None
    if labels is not None and len(labels) != len(inputs):
        raise InputError(f"{samples.labels}: {len(labels)} labels, expected {len(inputs)}, one for each sample of {samples.inputs}")
    return inputs, labels


def hash_of(x: np.ndarray) -> str:
    """Of the elements in order, each as eight bytes, little-endian."""
    return hashlib.sha256(np.ascontiguousarray(x, "<i8").tobytes()).hexdigest()


def settled(network: Network, x: np.ndarray, label: int, target: int | None, ties: str | None, limits: Limits) -> tuple[str, str] | None:
    """Verdict and reason of a sample about which there is nothing to verify; else None."""
    outputs = Inference(network, limits).outputs(x)
    found = first_maximum(outputs)
    is_kept = ties == KEPT and 0 <= label < len(outputs) and outputs[label] == outputs[found]
    if found != label and not is_kept:
        return MISCLASSIFIED, f"the network says {found}, the label is {label}"
    return (SKIPPED, "the label is the target") if label == target else None
