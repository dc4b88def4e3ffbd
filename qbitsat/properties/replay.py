"""Whether inputs are a witness, as the reference says: no stage's word for it is enough."""

from __future__ import annotations

import logging
import warnings

from ..limits import NO_LIMITS, Limits
from ..network import reference
from .formula import is_true
from .query import Query, Witness

LOG = logging.getLogger(__name__)

Inputs = tuple[tuple[int, ...], ...]


def replay(query: Query, inputs: Inputs, limits: Limits = NO_LIMITS) -> Witness | None:
    """The witness if these inputs lie in the boxes and make the violation true in the reference; else None."""
    for x, box in zip(inputs, query.boxes, strict=True):
        if len(x) != len(box.lo) or any(not lo <= v <= hi for v, lo, hi in zip(x, box.lo.tolist(), box.hi.tolist(), strict=True)):
            return None
    values = [reference.run_values(network, x, limits) for network, x in zip(query.networks, inputs, strict=True)]
    outputs = tuple(tuple(v[e] for e in n.outputs.tolist()) for n, v in zip(query.networks, values, strict=True))
    return Witness(inputs, outputs) if is_true(query.violation, inputs, outputs, values, limits) else None


def confirm(query: Query, inputs: Inputs, stage: str, counts: dict, limits: Limits = NO_LIMITS) -> Witness | None:
    """Like `replay`. Inputs that do not replay are our own mistake: they are counted under `unconfirmed`, and warned of, in the log too."""
    witness = replay(query, inputs, limits)
    if witness is None:
        counts["unconfirmed"] = counts.get("unconfirmed", 0) + 1
        message = f"{stage}: inputs that the reference does not confirm are dropped, and the query goes on; please report this"
        LOG.warning("%s", message)
        warnings.warn(message, RuntimeWarning, stacklevel=2)
    return witness
