"""Networks of two copies of one, with other rounding and other weights here and there, on inputs of which they share some."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
from tiny import busy_network, points_of, random_box, random_formula

from qbitsat.arithmetic import ROUNDINGS
from qbitsat.network import Network, forward
from qbitsat.properties import And, AtMost, Box, Formula, Or, Query, Ref, at_least, joined


def twin(rng: random.Random, a: Network) -> Network:
    """The same layers, some of them rounded otherwise, or with another weight."""
    layers = []
    for layer in a.layers:
        steps = tuple(replace(r, rounding=rng.choice(ROUNDINGS)) if rng.random() < 0.6 else r for r in layer.requantizers)
        weights = layer.weights.copy()
        if rng.random() < 0.4:
            weights.ravel()[rng.randrange(weights.size)] += rng.choice([-1, 1])
        layers.append(type(layer)(layer.name, layer.input, layer.output, steps, weights, layer.bias + (rng.random() < 0.2)))
    return Network(tuple(layers), "twin")


def changed(seed: int) -> tuple[Network, Network]:
    """A network, and the same with another weight in its first or last layer."""
    a = busy_network(random.Random(seed), 3)
    rng, layers = random.Random(seed + 1), list(a.layers)
    k = rng.choice([0, len(layers) - 1])
    layer = layers[k]
    weights = layer.weights + (np.arange(layer.weights.size).reshape(layer.weights.shape) == rng.randrange(layer.weights.size))
    layers[k] = type(layer)(layer.name, layer.input, layer.output, layer.requantizers, weights, layer.bias)
    return a, Network(tuple(layers), "other")


def two(a: Network, b: Network, shared: np.ndarray) -> Network:
    """Both, on inputs of which those in the mask are the same."""
    both, n, own = joined(a, b), a.num_inputs, np.flatnonzero(~shared)
    place = np.arange(n)
    place[own] = n + np.arange(len(own))
    reads = [np.where(values < n, values, values + len(own)) for values in both.reads]
    reads[len(a.layers) :] = [np.where(values < n, place[np.minimum(values, n - 1)], values) for values in reads[len(a.layers) :]]
    forms = (a.input, replace(a.input, shape=(len(own),))) if len(own) else (a.input,)
    return Network(both.layers, "two", inputs=forms, reads=tuple(reads), outputs=both.outputs + len(own))


def apart(steps: list[int]) -> Formula:
    """Some output of the first is more steps from that of the second."""
    count = len(steps)
    pairs = [((1, Ref(0, "output", j)), (-1, Ref(0, "output", count + j))) for j in range(count)]
    return Or(tuple(part for pair, most in zip(pairs, steps, strict=True) for part in (at_least(pair, most + 1), AtMost(pair, -most - 1))))


def random_pair(seed: int) -> Query:
    """A question about two copies that is often about as close as it can be."""
    rng = random.Random(seed)
    a = busy_network(rng, rng.choice([2, 3, 3]))
    net = two(a, twin(rng, a), np.array([rng.random() < 0.7 for _ in range(a.num_inputs)]))
    box, count = random_box(rng, net, rng.choice([30, 300])), len(a.outputs)
    outputs = forward(net, points_of(box))
    largest = np.abs(outputs[:, :count] - outputs[:, count:]).max(axis=0).tolist()
    formula = apart([max(0, most - rng.choice([0, 0, 0, 1])) for most in largest])
    return Query((net,), (box,), formula if rng.random() < 0.7 else And((random_formula(rng, (net,), 2), formula)))


def linked_pair(seed: int) -> Query:
    """The same about two networks on inputs of their own, of which inequalities leave most differences one number or two."""
    rng = random.Random(seed)
    a = busy_network(rng, rng.choice([2, 3]))
    nets = (a, twin(rng, a)) if seed % 3 else (a, a)
    box = random_box(rng, a, 40)
    shift = [rng.choice([0, 0, 0, 1, -1]) for _ in range(a.num_inputs)]
    forms = [ends[: a.num_inputs] for ends in a.value_ranges]
    other = Box(*(np.clip(end + shift, *forms) for end in (box.lo, box.hi)))
    slack = [rng.choice([0, 0, 0, 0, 1, 2]) for _ in range(a.num_inputs)]
    links = []
    for i, (step, more) in enumerate(zip(shift, slack, strict=True)):
        difference = ((1, Ref(1, "input", i)), (-1, Ref(0, "input", i)))
        links += [AtMost(difference, step + more), at_least(difference, step)]
    rng.shuffle(links)
    count = len(a.outputs)
    steps = [rng.choice([0, 1, 1, 2, 3]) for _ in range(count)]
    pairs = [((1, Ref(0, "output", j)), (-1, Ref(1, "output", j))) for j in range(count)]
    parts = [part for pair, most in zip(pairs, steps, strict=True) for part in (at_least(pair, most + 1), AtMost(pair, -most - 1))]
    return Query(nets, (box, other), And((*links, Or(tuple(parts)))))


def equal_copies(seed: int = 12) -> Query:
    """Do two copies of a network differ? No, and pairs alone say so."""
    a = busy_network(random.Random(seed), 3)
    net = two(a, a, np.ones(a.num_inputs, bool))
    lo, hi = (ends[: net.num_inputs] for ends in net.value_ranges)
    return Query((net,), (Box(lo, hi),), apart([0] * len(a.outputs)))
