"""How far can outputs move? For networks without classes: autoencoders, regression."""

import numpy as np

import qbitsat
from qbitsat.network import forward
from qbitsat.properties import AtMost, Box, Or, Query, Ref, at_least

network = qbitsat.load("score.npz")
x = np.array([70, 15, 10, 0])
y = forward(network, x[None])[0].tolist()
box = Box(np.maximum(x - 2, network.input.lo), np.minimum(x + 2, network.input.hi))

for drift in (3, 5):
    parts = []
    for j, value in enumerate(y):
        output = ((1, Ref(0, "output", j)),)
        parts += [at_least(output, value + drift), AtMost(output, value - drift)]
    verdict = qbitsat.verify(Query((network,), (box,), Or(parts)), timeout=60)
    print(f"some output moves by {drift} or more: {verdict.verdict}")
