"""Fast exact inference: the `_forward` kernel for accumulators, numpy for the requantizers."""

from __future__ import annotations

import numpy as np

from .. import _forward
from ..errors import InputError
from ..limits import NO_LIMITS, Limits
from .network import Network


def forward_all(network: Network, x: np.ndarray, limits: Limits = NO_LIMITS) -> list[np.ndarray]:
    """Every layer's outputs for a batch: int[batch, n_in] -> list of int64[batch, n_out].

    The plain Python equivalent is `[reference.run(network, row)[1:] for row in x]`.
    """
    values, form = np.asarray(x), network.input
    if values.dtype.kind not in "iu":
        raise InputError(f"inference: inputs have dtype {values.dtype}, expected integers")
    if values.ndim != 2 or values.shape[1] != form.size:
        raise InputError(f"inference: inputs have shape {values.shape}, expected (batch, {form.size})")
    if values.size and (int(values.min()) < form.lo or int(values.max()) > form.hi):
        raise InputError(f"inference: inputs from {values.min()} to {values.max()}, expected values in [{form.lo}, {form.hi}]")
    values = np.ascontiguousarray(values, np.int64)
    outputs = []
    for layer in network.layers:
        affine = layer.affine
        acc = np.empty((len(values), affine.n_out), np.int64)
        for rows in limits.slices(len(values), len(affine.weights)):
            _forward.affine(affine.indptr, affine.indices, affine.weights, affine.bias, values[rows], acc[rows])
        values = np.ascontiguousarray(layer.requantize(acc))
        outputs.append(values)
    return outputs


def forward(network: Network, x: np.ndarray, limits: Limits = NO_LIMITS) -> np.ndarray:
    """The network's outputs for a batch: int[batch, n_in] -> int64[batch, n_out]."""
    return forward_all(network, x, limits)[-1]


def classify(network: Network, x: np.ndarray, batch: int = 1000) -> np.ndarray:
    """First maximum of the outputs: int[n, n_in] -> int64[n], a batch at a time to bound memory."""
    parts = [forward(network, x[start : start + batch]).argmax(axis=1) for start in range(0, len(x), batch)]
    return np.concatenate(parts) if parts else np.empty(0, np.int64)
