"""The checker's own inference: layer by layer over many points at once, in numpy's integers, off the definition of the network."""

from __future__ import annotations

import numpy as np

from ..errors import UnsupportedError
from ..limits import NO_LIMITS, Limits
from ..network import Convolution, Dense, Linear, Network
from ..network.layers import PADDING
from .products import products

# Bytes of a number while its layer is at work.
NUMBER = 32.0


class Inference:
    """A network to be run. Sums stay below 2**60 on the way, whatever the order of addition: layers have checked that."""

    def __init__(self, network: Network, limits: Limits = NO_LIMITS):
        self.network, self.limits = network, limits
        for layer in network.layers:
            if type(layer) not in (Dense, Convolution, Linear):  # a subclass may mean something else
                raise UnsupportedError(f"layer {layer.name!r}: no inference of a layer of kind {type(layer).__name__}")
        made = {id(layer): products(layer.affine, limits) for layer in network.layers}
        self.products = [made[id(layer)] for layer in network.layers]

    def values(self, x: np.ndarray) -> np.ndarray:
        """All that the network computes of inputs of its format: int64[points, num_inputs] -> int64[points, num_values]."""
        network = self.network
        self.limits.require(8.0 * len(x) * network.num_values)
        values = np.empty((len(x), network.num_values), np.int64)
        values[:, : network.num_inputs] = x
        for k, (layer, view) in enumerate(zip(network.layers, network.views, strict=True)):
            self.limits.require(NUMBER * len(x) * (len(view) + layer.affine.n_out))
            cells = values[:, view]
            cells[:, view == PADDING] = layer.input.zero_point
            values[:, network.target(k)] = layer.requantize(self.products[k].apply(cells) + layer.affine.biases)
        return values

    def outputs(self, x: np.ndarray) -> list[int]:
        """The outputs for one point, int64[num_inputs]."""
        return self.values(x[None])[0, self.network.outputs].tolist()
