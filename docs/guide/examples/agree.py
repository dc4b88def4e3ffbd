"""Do two networks agree? The shipped one, and a copy without its smallest weights, on all images within eps 1 of one image."""

import numpy as np

import qbitsat
from qbitsat.network import Dense
from qbitsat.properties import agreement

network = qbitsat.load(qbitsat.examples.network_path())
x = qbitsat.examples.sample(1)[0]

# Weights of -1 and 1 become 0.
layers = [Dense(a.name, a.input, a.output, a.requantizers, np.where(abs(a.weights) < 2, 0, a.weights), a.bias) for a in network.layers]
pruned = qbitsat.Network(tuple(layers), "pruned")

for allowed in (0, 6):
    verdict = qbitsat.verify(agreement(network, pruned, x, eps=1, steps=allowed), timeout=60)
    print(f"some output differs by more than {allowed}: {verdict.verdict}")
print(f"some image has another class: {qbitsat.verify(agreement(network, pruned, x, eps=1)).verdict}")
