"""Witnesses from relaxed points: the attack at the nodes of a search."""

from __future__ import annotations

import numpy as np

from .._ascent import products
from ..attack.margin import margins
from ..bounds.ascent import Suggestion
from ..bounds.frame import Frame
from ..network import forward
from ..properties import Formula, Query


def propose(query: Query, frame: Frame, formula: Formula, suggestion: Suggestion) -> tuple[tuple[int, ...], ...] | None:
    """Inputs in the boxes at which the networks make the formula true, or None.

    Tries every node's mean point, rounded, and the corner of the box that attains its dual value; those that look
    right in float32, where long sums are off by a few units, are run again in integers.
    """
    candidates = np.rint(np.concatenate([suggestion.x, suggestion.x_best]))
    inputs, outputs = [], []
    for k, box in enumerate(query.boxes):
        x = np.fmax(np.fmin(candidates[:, frame.inputs[k]], box.hi), box.lo).astype(np.int64)  # NaN goes to an end
        inputs.append(x)
        for block in frame.blocks:
            if block.network == k:
                affine = block.layer.affine
                acc = products(x.astype(np.float32), affine.matrix)
                x = block.layer.requantize(np.rint(acc).astype(np.int64) + affine.bias)
        outputs.append(x)
    promising = np.flatnonzero(margins(formula, inputs, outputs, [])[0] >= 0)
    if not len(promising):
        return None
    inputs = [x[promising] for x in inputs]
    margin, _ = margins(formula, inputs, [forward(network, x) for network, x in zip(query.networks, inputs, strict=True)], [])
    best = int(margin.argmax())
    return tuple(tuple(x[best].tolist()) for x in inputs) if margin[best] >= 0 else None
