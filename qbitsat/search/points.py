"""Witnesses from relaxed points: the attack at the nodes of a search."""

from __future__ import annotations

import numpy as np

from .._ascent import products
from ..attack.margin import margins
from ..bounds.ascent import Suggestion
from ..bounds.frame import Frame
from ..properties import Formula, Query


def propose(query: Query, frame: Frame, formula: Formula, suggestion: Suggestion) -> tuple[tuple[int, ...], ...] | None:
    """Inputs at which the networks seem to make the formula true, or None; the caller replays them.

    Tries every node's mean point, rounded, and the corner of the box that attains its dual value.
    """
    candidates = np.rint(np.concatenate([suggestion.x, suggestion.x_best]))
    inputs, outputs = [], []
    for k, box in enumerate(query.boxes):
        x = np.clip(candidates[:, frame.inputs[k]].astype(np.int64), box.lo, box.hi)
        inputs.append(x)
        for block in frame.blocks:
            if block.network == k:
                affine = block.layer.affine
                acc = products(x.astype(np.float32), affine.matrix)
                x = block.layer.requantize(np.rint(acc).astype(np.int64) + affine.bias)
        outputs.append(x)
    margin, _ = margins(formula, inputs, outputs, [])
    best = int(margin.argmax())
    return tuple(tuple(x[best].tolist()) for x in inputs) if margin[best] >= 0 else None
