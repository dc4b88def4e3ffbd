"""Queries whose every input can be tried, but that bounds seldom decide: robustness of networks of three narrow layers."""

from __future__ import annotations

import numpy as np

from qbitsat.arithmetic import ShiftRequantizer
from qbitsat.network import Dense, Network, TensorFormat, reference
from qbitsat.properties import Query, robustness

EPS = 2


def deep_query(seed: int) -> Query:
    """At most 625 inputs, 6 + 6 + 3 neurons, saturating at both ends."""
    rng = np.random.default_rng(seed)
    form, layers = TensorFormat((4,), 0, 15), []
    for k, (n, hi) in enumerate(((6, 15), (6, 15), (3, 31))):
        output = TensorFormat((n,), 0, hi)
        weights, bias = rng.integers(-7, 8, (n, form.size)), rng.integers(-20, 40, n)
        layers.append(Dense(f"dense{k}", form, output, (ShiftRequantizer(3, "half_up", 0, hi),), weights, bias))
        form = output
    network = Network(tuple(layers), "deep")
    x = rng.integers(2, 13, 4)
    label = reference.first_maximum(reference.run(network, x.tolist()))
    return robustness(network, x, EPS, label, sample=seed)
