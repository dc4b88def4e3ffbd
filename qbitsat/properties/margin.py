"""How far a batch of points is from making a formula true, and which inequality decides that.

    margin(sum <= bound) = bound - sum,    margin(and) = min of the parts,    margin(or) = max of the parts

A formula is true exactly where its margin is not negative.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..limits import NO_LIMITS, Limits
from ..network import Network
from .formula import INPUT, OUTPUT, VALUE, And, AtMost, Formula

Batch = list[np.ndarray]

# Terms of an inequality between two looks at the limits.
TICK = 256
FAR = 1 << 61  # margin of true and false; inequalities stay below 2**60


def margins(
    formula: Formula, inputs: Batch, outputs: Batch, found: list[AtMost], limits: Limits = NO_LIMITS, values: Batch | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Margins int64[batch] and, for each point, the index in `found` of the inequality that gives it.

    inputs[k], outputs[k] are int64[batch, n] of network k, and values[k] all its values, whole floats or integers, which are needed only
    where the formula names some. Inequalities are appended to `found` as they are met.
    """
    limits.check()
    tensors: dict[str, Any] = {INPUT: inputs, OUTPUT: outputs, VALUE: values}
    if isinstance(formula, AtMost):
        total = np.full(len(inputs[0]), formula.bound, np.int64)
        for number, (coefficient, ref) in enumerate(formula.terms):
            if number % TICK == 0:
                limits.check()
            total -= coefficient * tensors[ref.tensor][ref.network][:, ref.element].astype(np.int64, copy=False)
        found.append(formula)
        return total, np.full(len(total), len(found) - 1)
    if not formula.parts:  # type: ignore[union-attr]
        found.append(AtMost((), 0))
        return np.full(len(inputs[0]), FAR if isinstance(formula, And) else -FAR), np.full(len(inputs[0]), len(found) - 1)
    margin, atom = margins(formula.parts[0], inputs, outputs, found, limits, values)  # type: ignore[union-attr]
    for part in formula.parts[1:]:  # type: ignore[union-attr]
        other, mine = margins(part, inputs, outputs, found, limits, values)
        better = other < margin if isinstance(formula, And) else other > margin
        np.copyto(margin, other, where=better)
        np.copyto(atom, mine, where=better)
    return margin, atom


def gradients(found: list[AtMost], deciding: np.ndarray, networks: Sequence[Network], limits: Limits = NO_LIMITS) -> Batch:
    """Gradient of each point's deciding inequality with respect to the values of each network, float32[batch, num_values] each."""
    by_value = [np.zeros((len(deciding), network.num_values), np.float32) for network in networks]
    for index in np.unique(deciding).tolist():
        rows = np.flatnonzero(deciding == index)
        for number, (coefficient, ref) in enumerate(found[index].terms):
            if number % TICK == 0:
                limits.check()
            by_value[ref.network][rows, ref.value_of(networks[ref.network])] -= coefficient
    return by_value
