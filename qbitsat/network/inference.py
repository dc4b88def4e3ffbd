"""Fast exact inference: the `forward` kernel for accumulators and steps, numpy for requantizers without steps."""

from __future__ import annotations

import math

import numpy as np

from .._kernels.exact import forward as _forward
from .._kernels.exact.layers import Layers
from ..errors import InputError
from ..limits import NO_LIMITS, Limits
from .layers import Layer
from .network import Network


def forward_all(network: Network, x: np.ndarray, limits: Limits = NO_LIMITS) -> np.ndarray:
    """All values for a batch of inputs: int[batch, num_inputs] -> int64[batch, num_values], numbered as in `Network`.

    The plain Python equivalent is `[[v for part in reference.run_all(network, row) for v in part] for row in x]`.
    """
    x = np.asarray(x)
    check_inputs(network, x)
    values = np.empty((len(x), network.num_values), np.int64)
    values[:, : network.num_inputs] = x
    work = sum(layer.affine.num_products for layer in network.layers)
    limits.spread(lambda mine: _go_forward(network, values[mine], limits), limits.shares(len(x), work))
    return values


def _go_forward(network: Network, values: np.ndarray, limits: Limits) -> None:
    """The same in place, behind the inputs."""
    for k, layer in enumerate(network.layers):
        acc = np.empty((len(values), layer.affine.n_out), np.int64)
        for part in limits.slices(len(values), layer.affine.num_products):
            _forward.accumulate(network.kernel, k, values[part], acc[part])
            values[part, network.target(k)] = requantize(network.kernel, k, layer, acc[part])


def requantize(kernel: Layers, k: int, layer: Layer, acc: np.ndarray) -> np.ndarray:
    """What the layer's requantizers make of accumulators, int64[batch, n_out]; it is layer k of the kernel, which is fast at steps."""
    return _forward.requantize(kernel, k, acc) if kernel.stepped(k) else layer.requantize(acc)


def check_inputs(network: Network, x: np.ndarray) -> None:
    """Refuse what is no batch of inputs of the network."""
    if x.dtype.kind not in "iu":
        raise InputError(f"inference: inputs have dtype {x.dtype}, expected integers")
    if x.ndim != 2 or x.shape[1] != network.num_inputs:
        hint = "; x.reshape(len(x), -1) is that" if x.ndim > 2 and math.prod(x.shape[1:]) == network.num_inputs else ""
        raise InputError(f"inference: inputs have shape {x.shape}, expected (batch, {network.num_inputs}){hint}")
    start = 0
    for form in network.inputs:
        part = x[:, start : start + form.size]
        if part.size and (int(part.min()) < form.lo or int(part.max()) > form.hi):
            raise InputError(f"inference: inputs from {part.min()} to {part.max()}, expected values in [{form.lo}, {form.hi}]")
        start += form.size


def forward(network: Network, x: np.ndarray, limits: Limits = NO_LIMITS) -> np.ndarray:
    """The network's outputs for a batch: int[batch, num_inputs] -> int64[batch, outputs]."""
    return forward_all(network, x, limits)[:, network.outputs]


def classify(network: Network, x: np.ndarray, batch: int = 1000, limits: Limits = NO_LIMITS) -> np.ndarray:
    """First maximum of the outputs: int[n, num_inputs] -> int64[n], a batch at a time to bound memory."""
    parts = [classes_of(forward(network, x[start : start + batch], limits)) for start in range(0, len(x), batch)]
    return np.concatenate(parts) if parts else np.empty(0, np.int64)


def classes_of(outputs: np.ndarray, kept: np.ndarray | int | None = None) -> np.ndarray:
    """The first maximum of each row of outputs, int[n, classes]; but `kept`, a class for all or one a row, where it is a maximum, too."""
    found = outputs.argmax(axis=1)
    if kept is None:
        return found
    own = outputs[np.arange(len(outputs)), kept]
    return np.where(own == outputs.max(axis=1), kept, found)
