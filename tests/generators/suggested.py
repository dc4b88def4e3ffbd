"""What floats might suggest of nodes, at random."""

import numpy as np

from qbitsat.bounds.dual import Sparse
from qbitsat.bounds.dual_descent import Suggestion
from qbitsat.bounds.layout import Layout


def all_of(multipliers: Sparse, num_neurons: int) -> np.ndarray:
    """A number for each neuron."""
    every = np.zeros(num_neurons, np.int64)
    every[multipliers.neurons] = multipliers.values
    return every


def suggestion(layout: Layout, n: int, rng, **change) -> Suggestion:
    """Points of any size, anywhere."""
    inputs, neurons = layout.num_inputs, layout.num_neurons
    widths = {
        "multipliers": neurons,
        "shares": 1,
        "coefficients": inputs + neurons,
        "x_best": inputs,
        "x": inputs,
        "acc": neurons,
        "y": neurons,
    }
    arrays = {name: rng.normal(0, 10.0 ** rng.integers(-2, 6), (n, width)).astype(np.float32) for name, width in widths.items()}
    return Suggestion(np.zeros(n, np.float32), **{**arrays, **change})
