"""Does some accumulator of a layer leave so many bits? Formulas about accumulators, each a sum over values."""

from __future__ import annotations

from ..network import Network
from .formula import AtMost, Formula, Or, Ref, accumulator, at_least

# Terms of one formula.
MOST_TERMS = 1 << 17


def reaches(terms: tuple[tuple[int, Ref], ...], constant: int, side: int, value: int) -> AtMost:
    """The sum and the constant are at least `value` (side 1), or at most that (side -1)."""
    return at_least(tuple((side * c, ref) for c, ref in terms), side * (value - constant))


def shares(network: Network, layer: int) -> list[range]:
    """The accumulators of a layer in parts, each of which one formula of `leaving` can be about."""
    found, start, size = list[range](), 0, 0
    for i, length in enumerate(network.layers[layer].affine.lengths().tolist()):
        if i > start and size + 2 * length > MOST_TERMS:
            found.append(range(start, i))
            start, size = i, 0
        size += 2 * length
    return [*found, range(start, network.layers[layer].affine.n_out)]


def leaving(network: Network, layer: int, bits: int, outputs: range) -> Formula:
    """Some of these accumulators of the layer do not fit into so many bits of two's complement."""
    most, parts = 1 << (bits - 1), list[Formula]()
    for i in outputs:
        terms, constant = accumulator(network, layer, i)
        parts += [reaches(terms, constant, -1, -most - 1), reaches(terms, constant, 1, most)]
    return Or(tuple(parts))
