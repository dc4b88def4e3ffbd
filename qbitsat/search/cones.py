"""What single values of a network need of it: values that other inputs move are run apart.

Two copies side by side, as for a gap, have as many points together as what is left to move either of them, and each has few by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from ..network import Network


class Cone(NamedTuple):
    """network gives values[i] of the whole one, ascending, as its value places[i], from the whole one's inputs `inputs`."""

    network: Network
    inputs: np.ndarray
    values: list[int]
    places: list[int]


def cones(network: Network, named: Sequence[int], moved: np.ndarray) -> list[Cone]:
    """For each set of axes that moves some of the named values, a cone of all those; moved[i] is input i's axis, -1 for none.

    A network of which a named value is an input stays whole.
    """
    ends = [network.first_value(k) for k in range(len(network.layers))]
    own = dict(zip(named, (np.searchsorted(ends, named, side="right") - 1).tolist(), strict=True))
    needed = {k: _layers(network, ends, k) for k in {*own.values()}}
    whole = [Cone(network, np.arange(network.num_inputs), list(named), list(named))]
    if -1 in needed:
        return whole
    axes = {k: frozenset(moved[_inputs(network, layers)].tolist()) - {-1} for k, layers in needed.items()}
    groups: dict[frozenset[int], list[int]] = {}
    for value, k in own.items():
        groups.setdefault(axes[k], []).append(value)
    if len(groups) == 1:
        return whole
    return [_cone(network, values, sorted(set().union(*(needed[own[value]] for value in values)))) for values in groups.values()]


def _layers(network: Network, ends: Sequence[int], last: int) -> set[int]:
    """Layer `last`, and those that it needs; none for -1, an input. ends are the first values of layers."""
    found, waiting = set[int](), [last]
    while waiting:
        k = waiting.pop()
        if k >= 0 and k not in found:
            found.add(k)
            waiting += np.unique(np.searchsorted(ends, network.reads[k], side="right") - 1).tolist()
    return found


def _inputs(network: Network, layers: Iterable[int]) -> np.ndarray:
    """The inputs that layers read, ascending."""
    read = np.unique(np.concatenate([network.reads[k] for k in layers]))
    return read[read < network.num_inputs]


def _cone(network: Network, values: list[int], layers: list[int]) -> Cone:
    inputs = _inputs(network, layers)
    kept = [inputs, *(np.arange(network.target(k).start, network.target(k).stop) for k in layers)]
    place = np.full(network.num_values, -1, np.int32)
    place[np.concatenate(kept)] = np.arange(sum(map(len, kept)))
    ends = np.cumsum([0, *(form.size for form in network.inputs)])
    counts = np.diff(np.searchsorted(inputs, ends)).tolist()
    forms = tuple(replace(form, shape=(count,)) for form, count in zip(network.inputs, counts, strict=True) if count)
    reads = tuple(place[network.reads[k]] for k in layers)
    places = place[values].tolist()
    made = Network(tuple(network.layers[k] for k in layers), network.name, inputs=forms, reads=reads, outputs=np.array(places))
    return Cone(made, inputs, values, places)
