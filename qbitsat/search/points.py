"""Witnesses from relaxed points: the attack at the nodes of a search."""

from __future__ import annotations

import numpy as np

from .._kernels.suggest.ascent import products
from ..attack.margin import margins
from ..bounds.ascent import Suggestion
from ..bounds.frame import Frame
from ..bounds.ranges import PASS_WORK
from ..network import forward
from ..properties import Box, Formula, Query
from ..properties.formula import INPUT, atoms

# Integers below this are exact in float32.
EXACT = 1 << 24


def propose(query: Query, frame: Frame, formula: Formula, suggestion: Suggestion) -> tuple[tuple[int, ...], ...] | None:
    """Inputs in the boxes at which the networks make the formula true, or None.

    Tries every node's mean point, rounded, and the corner of the box that attains its dual value; those that look
    right in float32, where long sums are off by a few units, are run again in integers.
    """
    n, limits = len(suggestion.x), frame.limits
    candidates = np.empty((2 * n, frame.num_inputs), np.float32)
    np.rint(suggestion.x, out=candidates[:n])
    np.rint(suggestion.x_best, out=candidates[n:])
    inputs, outputs = [], []
    for k, box in enumerate(query.boxes):
        inputs.append(_within(candidates[:, frame.inputs[k]], box))
        x = inputs[-1].astype(np.float32, copy=False)
        for block in frame.blocks:
            if block.network == k:
                affine = block.layer.affine
                y = np.empty((len(x), affine.n_out), np.int64)
                for rows in limits.slices(len(x), PASS_WORK * affine.n_out * affine.n_in, 24 * affine.n_out):
                    y[rows] = block.layer.requantize(np.rint(products(x[rows], affine.matrix)).astype(np.int64) + affine.biases)
                x = y.astype(np.float32)
        outputs.append(y)
    if any(ref.tensor == INPUT for atom in atoms(formula) for _, ref in atom.terms):
        inputs = [x.astype(np.int64) for x in inputs]
    promising = np.flatnonzero(margins(formula, inputs, outputs, [], limits)[0] >= 0)
    if not len(promising):
        return None
    inputs = [x[promising].astype(np.int64) for x in inputs]
    outputs = [forward(network, x, limits) for network, x in zip(query.networks, inputs, strict=True)]
    margin, _ = margins(formula, inputs, outputs, [], limits)
    best = int(margin.argmax())
    return tuple(tuple(x[best].tolist()) for x in inputs) if margin[best] >= 0 else None


def _within(x: np.ndarray, box: Box) -> np.ndarray:
    """The nearest points of a box, as whole floats: of 32 bits where these are exact, and fast."""
    exact = np.abs(box.lo).max(initial=0) < EXACT and np.abs(box.hi).max(initial=0) < EXACT
    lo, hi = (end.astype(np.float32 if exact else np.float64) for end in (box.lo, box.hi))
    x = np.fmin(x, hi)  # NaN goes to an end
    return np.fmax(x, lo, out=x)
