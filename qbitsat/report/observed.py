"""How often two networks differ on samples, and in which layers, counted and in lines."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..network import Network
from ..network.inference import forward_all
from ..network.names import printable

# Samples whose values are in memory at the same time.
BATCH = 64


class Observed(NamedTuple):
    """samples: how many; differing: those of which some output differs.

    classes: for each class of the first network how many samples have it, and to how many of them the second gives another; empty for
    networks of one output. outputs: for each output of how many samples it differs, and by how many steps at most. layers: those that
    both have, by name and shape, and that differ: for how many samples, in how many values of how many in all, and by how many steps at
    most.
    """

    samples: int
    differing: int
    classes: list[tuple[int, int]]
    outputs: list[tuple[int, int]]
    layers: list[dict[str, Any]]


def observed(a: Network, b: Network, inputs: np.ndarray) -> Observed:
    """inputs int64[n, *shape], on which both are run."""
    flat, shared = inputs.reshape(len(inputs), -1), _shared_layers(a, b)
    first, second = (np.empty((len(flat), len(network.outputs)), np.int64) for network in (a, b))
    # Samples, values and steps of each layer.
    counts = np.zeros((len(shared), 3), np.int64)
    for start in range(0, len(flat), BATCH):
        part = slice(start, start + BATCH)
        one, other = (forward_all(network, flat[part]) for network in (a, b))
        first[part], second[part] = one[:, a.outputs], other[:, b.outputs]
        for count, (k, i) in zip(counts, shared, strict=True):
            apart = np.abs(one[:, a.target(k)] - other[:, b.target(i)])
            count[:2] += apart.any(axis=1).sum(), (apart > 0).sum()
            count[2] = max(count[2], apart.max(initial=0))
    layers = list[dict[str, Any]]()
    for (k, _), (samples, values, most) in zip(shared, counts.tolist(), strict=True):
        if samples:
            about = {"name": a.layers[k].name, "samples": samples, "values": values}
            layers.append({**about, "of": a.layers[k].output.size * len(flat), "most": most})
    return Observed(len(flat), int((first != second).any(axis=1).sum()), _classes(first, second), _outputs(first, second), layers)


def _shared_layers(a: Network, b: Network) -> list[tuple[int, int]]:
    """Numbers of layers of the same name and shape, those of a ascending."""
    places = dict[tuple[str, tuple[int, ...]], list[int]]()
    for i, layer in enumerate(b.layers):
        places.setdefault((layer.name, layer.output.shape), []).append(i)
    named = ((k, places.get((layer.name, layer.output.shape))) for k, layer in enumerate(a.layers))
    return [(k, found.pop(0)) for k, found in named if found]


def _classes(first: np.ndarray, second: np.ndarray) -> list[tuple[int, int]]:
    if first.shape[1] == 1:
        return []
    one, other = first.argmax(axis=1), second.argmax(axis=1)
    return [(int((one == c).sum()), int(((one == c) & (other != c)).sum())) for c in range(first.shape[1])]


def _outputs(first: np.ndarray, second: np.ndarray) -> list[tuple[int, int]]:
    return [(int((column > 0).sum()), int(column.max(initial=0))) for column in np.abs(first - second).T]


def observed_lines(found: Observed, short: bool = False) -> list[str]:
    """The counts, one line a layer, a class and an output that differs; a summary comes last."""
    lines = list[str]()
    if not short:
        lines += layer_lines(found)
        lines += [f"class {c}  another one for {other} of {count}" for c, (count, other) in enumerate(found.classes) if other]
        lines += [f"output {j}  differs for {count}, by {most} at most" for j, (count, most) in enumerate(found.outputs) if count]
    others = f", another class for {sum(other for _, other in found.classes)}" if found.classes else ""
    return [*lines, f"{found.samples} samples: some output differs for {found.differing}{others}"]


def layer_lines(found: Observed) -> list[str]:
    """A line a layer that differs, in their order: the first one is where it starts."""
    lines = list[str]()
    for layer in found.layers:
        samples = f" for {layer['samples']}," if found.samples > 1 else ""
        values = f"in {layer['values']} of {layer['of']} values"
        lines.append(f"layer {printable(layer['name'])}  differs{samples} {values}, by {layer['most']} at most")
    return lines
