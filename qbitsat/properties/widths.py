"""Does some accumulator of a layer leave so many bits? Formulas about accumulators, each a sum over values."""

from __future__ import annotations

from ..network import Network
from .formula import AtMost, Formula, Or, Ref, accumulator, at_least

# Terms of one formula.
MOST_TERMS = 1 << 17


def reaches(terms: tuple[tuple[int, Ref], ...], constant: int, side: int, value: int) -> AtMost:
    """The sum and the constant are at least `value` (side 1), or at most that (side -1)."""
    return at_least(tuple((side * c, ref) for c, ref in terms), side * (value - constant))


def leaving(network: Network, layer: int, bits: int) -> list[Formula]:
    """Some accumulator of the layer does not fit into so many bits of two's complement: the first of them, then others, each few terms."""
    most, found, part, size = 1 << (bits - 1), list[Formula](), list[Formula](), 0
    for i in range(network.layers[layer].affine.n_out):
        terms, constant = accumulator(network, layer, i)
        if part and size + 2 * len(terms) > MOST_TERMS:
            found.append(Or(tuple(part)))
            part, size = [], 0
        part += [reaches(terms, constant, -1, -most - 1), reaches(terms, constant, 1, most)]
        size += 2 * len(terms)
    return [*found, Or(tuple(part))]
