"""Several networks as one whose outputs are theirs, one after the other; inputs that must be equal are one input."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...network import Layer, Network, TensorFormat


def joined(networks: Sequence[Network], same: Sequence[np.ndarray]) -> tuple[Network, list[np.ndarray]]:
    """The network, and for each of those given int32[inputs]: its input that each of theirs is.

    same[k] int64[inputs] is the class of each input of network k, equal numbers for those that are one; they have one format.
    """
    if len(networks) == 1 and len(np.unique(same[0])) == len(same[0]):
        return networks[0], [np.arange(networks[0].num_inputs, dtype=np.int32)]
    places: dict[int, int] = {}
    forms: list[TensorFormat] = []
    for network, classes in zip(networks, same, strict=True):
        first = 0
        for form in network.inputs:
            new = [c for c in dict.fromkeys(classes[first : first + form.size].tolist()) if c not in places]
            places.update(zip(new, range(len(places), len(places) + len(new)), strict=True))
            first += form.size
            if new:
                shape = form.shape if len(new) == form.size else (len(new),)
                forms.append(TensorFormat(shape, form.lo, form.hi, form.scale, form.zero_point))
    inputs = [np.array([places[c] for c in classes.tolist()], np.int32) for classes in same]
    layers: list[Layer] = []
    reads: list[np.ndarray] = []
    outputs: list[np.ndarray] = []
    start = len(places)
    for network, mine in zip(networks, inputs, strict=True):
        numbers = np.concatenate([mine, np.arange(start, start + network.num_values - network.num_inputs, dtype=np.int32)])
        start += network.num_values - network.num_inputs
        layers += network.layers
        reads += [numbers[values] for values in network.reads]
        outputs.append(numbers[network.outputs])
    name = " and ".join(dict.fromkeys(network.name for network in networks))
    runtime = next((network.runtime for network in networks if network.runtime), "")
    made = Network(tuple(layers), name, inputs=tuple(forms), reads=tuple(reads), outputs=np.concatenate(outputs), runtime=runtime)
    return made, inputs
