"""What quantizing does to weights and biases, and how far the quantized network is from the float model, layer by layer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..limits import NO_LIMITS, Limits
from ..network import Network, forward
from ..network.float_network import FloatNetwork

# Samples at a time.
BATCH = 500


@dataclass(frozen=True)
class Loss:
    """Of one layer's weights and biases how many there are, were clipped, and became 0 without being it."""

    weights: int
    weights_clipped: int
    weights_zeroed: int
    biases: int
    biases_clipped: int
    biases_zeroed: int


@dataclass(frozen=True)
class LayerReport:
    """One tensor of the quantized network beside the float model's.

    formats in words; step is the real value of one step. Errors are |quantized - float| in real units, over samples and elements, None
    without samples; loss is None where there are no weights.
    """

    name: str
    formats: str
    step: float
    loss: Loss | None = None
    max_error: float | None = None
    mean_error: float | None = None


@dataclass(frozen=True)
class Report:
    """layers in order; samples that errors were measured on; accuracies on those with labels, None without; doubts are what may have gone
    wrong: biases that do not fit, and layers that calibration data say nothing of.
    """

    layers: tuple[LayerReport, ...]
    samples: int = 0
    float_accuracy: float | None = None
    accuracy: float | None = None
    doubts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Tap:
    """Where a tensor of the float model, by its index, stands among the outputs of a network that gives all of them."""

    index: int
    part: slice
    step: float
    zero_point: int


@dataclass(frozen=True)
class Probe:
    """A network whose outputs are all tensors, and which of them are whose."""

    network: Network
    taps: tuple[Tap, ...]

    def errors(self, model: FloatNetwork, inputs: np.ndarray, real: np.ndarray, limits: Limits) -> dict[int, tuple[float, float]]:
        """The largest and the mean error of each tensor for samples, as integers [n, size] and as real numbers [n, *shape]."""
        largest, sums = dict.fromkeys((tap.index for tap in self.taps), 0.0), dict.fromkeys((tap.index for tap in self.taps), 0.0)
        rows = slice(0)
        limits.begin("errors", lambda: {"samples": rows.start or 0})
        for rows in batches(len(inputs)):
            outputs, floats = forward(self.network, inputs[rows], limits), model.forward(real[rows], limits=limits)
            for tap in self.taps:
                mine = (outputs[:, tap.part] - tap.zero_point) * tap.step
                error = np.abs(mine - floats[tap.index].reshape(len(mine), -1))
                largest[tap.index] = max(largest[tap.index], float(error.max()))
                sums[tap.index] += float(error.mean()) * len(mine)
        return {index: (largest[index], sums[index] / len(inputs)) for index in largest}


def batches(count: int) -> Iterator[slice]:
    for start in range(0, count, BATCH):
        yield slice(start, min(start + BATCH, count))


def float_classes(model: FloatNetwork, real: np.ndarray, limits: Limits = NO_LIMITS) -> np.ndarray:
    """The first maximum of a float model's output: int64[n]."""
    parts = [model.run(real[rows], limits=limits)[0] for rows in batches(len(real))]
    return np.concatenate([part.reshape(len(part), -1).argmax(axis=1) for part in parts])
