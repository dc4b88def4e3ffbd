"""Do two networks agree? Two files, or one file as two runtimes compute it, on the same inputs.

Both become one network on one input. Two copies whose inputs inequalities link would say the same, but bounds would see two inputs.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..arithmetic import integer
from ..errors import InputError, expect_kind
from ..limits import NO_LIMITS, Limits
from ..network import Network
from .formula import OUTPUT, And, AtMost, Formula, Not, Or, Ref, at_least
from .query import Box, Query
from .region import region_of
from .robustness import centre, count_classes, linf_box

# What may be asked of two networks without classes.
OUTPUTS = "ask about outputs instead: --within 0 (from Python steps=0 of agreement, within=0 of equality) holds if they are the same"


def joined(*networks: Network) -> Network:
    """One network that computes all of them on the same inputs: values and outputs of the first, then those of the next.

    Raises `InputError` unless all take the same integers, element by element.
    """
    for network in networks:
        expect_kind(network, Network, "agreement: network", "a Network, as of load(path)")
    a = networks[0]
    for b in networks[1:]:
        shapes = [[(form.size, form.lo, form.hi) for form in network.inputs] for network in (a, b)]
        if shapes[0] != shapes[1]:
            mine, theirs = (
                " and ".join(f"{size} integer{'' if size == 1 else 's'} in [{lo}, {hi}]" for size, lo, hi in shape) for shape in shapes
            )
            raise InputError(f"agreement: {a.name!r} reads {mine}, {b.name!r} reads {theirs}, expected the same integers")
    n, more, reads, outputs = a.num_inputs, 0, list[np.ndarray](), list[np.ndarray]()
    for network in networks:
        moved = [np.where(values < n, values, values + more) for values in (*network.reads, network.outputs)]
        reads, outputs, more = [*reads, *moved[:-1]], [*outputs, moved[-1]], more + network.num_values - n
    layers = tuple(layer for network in networks for layer in network.layers)
    name = " and ".join(dict.fromkeys(network.name for network in networks))
    return Network(layers, name, inputs=a.inputs, reads=tuple(reads), outputs=np.concatenate(outputs), parts=networks)


def agreement(
    a: Network,
    b: Network,
    x: Any = None,
    eps: Any = None,
    steps: int | None = None,
    *,
    region: str | None = None,
    limits: Limits = NO_LIMITS,
) -> Query:
    """Do both networks give every input within eps (integer input steps, L-infinity; 0 by default) of x the same class?

    Without x: every input that their formats have. With `steps`: are their outputs, as integers, never more than so many apart? x, eps
    and region are as of `robustness`. The query is about one network, `joined(a, b)`, whose outputs are those of a and then those of b;
    witnesses have both.
    """
    both, box = compared(a, b, x, eps, region)
    count = count_classes(a, OUTPUTS) if steps is None else len(a.outputs)
    violation = _other_class(count) if steps is None else _apart(count, integer(steps, "steps", 0))
    return Query((both,), (box,), violation, limits=limits)


def compared(a: Network, b: Network, x: Any, eps: Any, region: str | None) -> tuple[Network, Box]:
    """Both as one network, of as many outputs each, and the inputs around x; without x, all inputs."""
    both = joined(a, b)
    if len(a.outputs) != len(b.outputs):
        raise InputError(f"agreement: {len(a.outputs)} outputs and {len(b.outputs)}, expected as many")
    if x is None:
        if eps is not None or region is not None:
            raise InputError("agreement: a distance or a region around nothing, expected x as well")
        return both, Box(*(ends[: both.num_inputs] for ends in both.value_ranges))
    eps, region = region_of(0 if eps is None else eps, both.input, region)
    return both, linf_box(both, centre(both, x), eps, region)


def _apart(count: int, steps: int) -> Formula:
    parts: list[Formula] = []
    for j in range(count):
        difference = ((1, Ref(0, OUTPUT, j)), (-1, Ref(0, OUTPUT, count + j)))
        parts += [at_least(difference, steps + 1), AtMost(difference, -steps - 1)]
    return Or(tuple(parts))


def _other_class(count: int) -> Formula:
    """Some class c is the first one's, and another class beats it in the second."""

    def beats(j: int, c: int, first: int) -> AtMost:
        """See `robustness.beats`."""
        return AtMost(((1, Ref(0, OUTPUT, first + c)), (-1, Ref(0, OUTPUT, first + j))), 0 if j < c else -1)

    parts = []
    for c in range(count):
        others = [j for j in range(count) if j != c]
        parts.append(And((*(Not(beats(j, c, 0)) for j in others), Or(tuple(beats(j, c, count) for j in others)))))
    return Or(tuple(parts))
