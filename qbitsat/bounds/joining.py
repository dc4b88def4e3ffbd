"""Several networks as one, so that layers of one may stand beside those of another (`differences`).

Values keep their numbers: the inputs of all networks, and then the outputs of all layers, network by network. Nothing is shared. What an
inequality says of two inputs, it says of two inputs of one network.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise

import numpy as np

from ..limits import NO_LIMITS, Limits
from ..network import Network
from ..properties import And, AtMost, Box, Formula, Query, Ref
from ..properties.formula import INPUT, OUTPUT, VALUE, atoms, renamed
from ..properties.replay import Inputs


def side_by_side(query: Query, limits: Limits = NO_LIMITS) -> Query:
    """The same question about one network that computes all of the query's, on the inputs of all of them."""
    networks = query.networks
    inputs, values, _ = _starts(networks)
    reads, results = list[np.ndarray](), list[np.ndarray]()
    for network, first, later in zip(networks, inputs[:-1], values[:-1], strict=True):
        n = network.num_inputs
        *read, result = (np.where(v < n, v + first, v - n + later) for v in (*network.reads, network.outputs))
        reads, results = [*reads, *read], [*results, result]
    joined = Network(
        tuple(layer for network in networks for layer in network.layers),
        " and ".join(dict.fromkeys(network.name for network in networks)),
        inputs=tuple(form for network in networks for form in network.inputs),
        reads=tuple(reads),
        outputs=np.concatenate(results),
    )
    place = placing(networks)
    names = {ref: place(ref) for atom in atoms(query.violation) for _, ref in atom.terms}
    box = Box(*(np.concatenate([getattr(part, end) for part in query.boxes]) for end in ("lo", "hi")))
    return Query((joined,), (box,), renamed(query.violation, names), limits=limits)


def _starts(networks: Sequence[Network]) -> tuple[list[int], list[int], list[int]]:
    """Where inputs, values of layers and outputs of each network begin."""
    inputs = [0, *accumulate(network.num_inputs for network in networks)]
    values = accumulate((network.num_values - network.num_inputs for network in networks), initial=inputs[-1])
    return inputs, list(values), [0, *accumulate(len(network.outputs) for network in networks)]


def placing(networks: Sequence[Network]) -> Callable[[Ref], Ref]:
    """What elements of the networks are in the one network."""
    inputs, values, outputs = _starts(networks)
    starts = {INPUT: inputs, OUTPUT: outputs}

    def place(ref: Ref) -> Ref:
        k, tensor, i = ref
        if tensor == VALUE:
            n = networks[k].num_inputs
            return Ref(0, VALUE, i + inputs[k] if i < n else i - n + values[k])
        return Ref(0, tensor, i + starts[tensor][k])

    return place


def parted(inputs: Inputs, boxes: tuple[Box, ...]) -> Inputs:
    """Inputs of the one network as those of the query's networks, whose boxes are given."""
    ends = [0, *accumulate(len(box.lo) for box in boxes)]
    (x,) = inputs
    return tuple(tuple(x[a:b]) for a, b in pairwise(ends))


def linked(formula: Formula) -> frozenset[tuple[int, int]]:
    """The pairs of inputs (i, j), of the only network, whose difference has an upper and a lower bound wherever the formula is true."""
    found = differences_of(formula)
    return frozenset(pair for pair in found if pair[::-1] in found)


def differences_of(formula: Formula) -> dict[tuple[int, int], int]:
    """What x_i - x_j is at most wherever the formula is true, of inputs i and j of the only network, as its inequalities say."""
    found, parts = dict[tuple[int, int], int](), [formula]
    while parts:
        part = parts.pop()
        if isinstance(part, And):
            parts += part.parts
        elif isinstance(part, AtMost):
            terms = part.coefficients()
            if len(terms) == 2 and all(ref.tensor == INPUT for ref in terms) and sum(terms.values()) == 0:
                (i, c), (j, _) = ((ref.element, c) for ref, c in terms.items())
                pair, bound = ((i, j) if c > 0 else (j, i)), part.bound // abs(c)
                found[pair] = min(bound, found.get(pair, bound))
    return found
