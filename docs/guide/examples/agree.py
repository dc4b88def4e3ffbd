"""Do two networks agree? The shipped one, and a copy without its smallest weights, on all images within eps 1 of one image."""

import numpy as np

import qbitsat
from qbitsat.network import Dense
from qbitsat.properties import And, AtMost, Box, Or, Query, Ref, at_least

network = qbitsat.load(qbitsat.examples.network_path())
x = qbitsat.examples.sample(1)[0].reshape(-1)

# Weights of -1 and 1 become 0.
layers = [Dense(a.name, a.input, a.output, a.requantizers, np.where(abs(a.weights) < 2, 0, a.weights), a.bias) for a in network.layers]
pruned = qbitsat.Network(tuple(layers), "pruned")


def difference(tensor, i):
    """Element i of network 0 less that of network 1."""
    return ((1, Ref(0, tensor, i)), (-1, Ref(1, tensor, i)))


box = Box(np.maximum(x - 1, network.input.lo), np.minimum(x + 1, network.input.hi))
same_image = [part for i in range(64) for part in (AtMost(difference("input", i), 0), at_least(difference("input", i), 0))]
for allowed in (0, 6):
    more = [at_least(difference("output", j), allowed + 1) for j in range(10)]
    less = [AtMost(difference("output", j), -allowed - 1) for j in range(10)]
    apart = And((*same_image, Or((*more, *less))))
    verdict = qbitsat.verify(Query((network, pruned), (box, box), apart), timeout=60)
    print(f"some output differs by more than {allowed}: {verdict.verdict}")
