"""Maps in float32 against single rows, forth and back, and what does not fit together."""

import random

import numpy as np
import pytest
from graphs import random_graph

from qbitsat._kernels.exact.layers import Layers
from qbitsat._kernels.suggest.floats import Floats
from qbitsat.network import Convolution, Network, Patches
from qbitsat.network.layers import PADDING


def matrix(network: Network, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Row i of layer k over the values before, and its constant: what padding gives."""
    affine = network.layers[k].affine
    rows, constants = np.zeros((affine.n_out, network.first_value(k))), np.zeros(affine.n_out)
    for i in range(affine.n_out):
        values, weights, bias = network.row(k, i)
        rows[i, values], constants[i] = weights, bias - affine.biases[i]
    return rows, constants


def test_maps_are_their_rows():
    kinds = set()
    for seed in range(200):
        rng, numbers = random.Random(seed), np.random.default_rng(seed)
        network = random_graph(rng)
        floats = Floats(network.kernel)
        for k, layer in enumerate(network.layers):
            rows, constants = matrix(network, k)
            values = numbers.integers(-9, 9, (3, network.num_values)).astype(np.float32)
            np.testing.assert_array_equal(floats.apply(k, values), values[:, : rows.shape[1]] @ rows.T + constants)
            outputs = numbers.integers(-2, 3, (3, layer.affine.n_out)).astype(np.float32)
            expected = values.copy()
            expected[:, : rows.shape[1]] += outputs @ rows
            floats.back(k, outputs, values)
            np.testing.assert_array_equal(values, expected)
            kinds.add((type(layer), bool((network.views[k] == PADDING).any())))
    assert (Convolution, True) in kinds
    assert len(kinds) >= 5


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 5, 7), (2, 4, 16), (2, 9, 33), (64, 10, 33), (0, 3, 2)])
def test_maps_of_one_matrix(shape):
    batch, n_out, n_in = shape
    rng = np.random.default_rng(0)
    x, y, weights = (rng.integers(-9, 9, s).astype(np.float32) for s in ((batch, n_in), (batch, n_out), (n_out, n_in)))
    floats = Floats(Layers(n_in, [(Patches.dense(weights.astype(int), np.zeros(n_out, int)), np.arange(n_in, dtype=np.int32), 0, ())]))
    before = x.copy()
    assert (floats.apply(0, x) == x @ weights.T).all()
    floats.back(0, y, x)
    assert (x == before + y @ weights).all()


def test_batches_that_do_not_fit():
    floats, ones = Floats(random_graph(random.Random(0)).kernel), np.ones((2, 99), np.float32)
    for wrong in (ones[:, :1].copy(), ones.astype(float), np.asfortranarray(ones)):
        with pytest.raises(ValueError, match=r"rows of 1|mismatch|contiguous"):
            floats.apply(0, wrong)
    for outputs in (ones.copy(), floats.apply(0, ones)[:1]):
        with pytest.raises(ValueError, match="rows of"):
            floats.back(0, outputs, ones)
    for k in (-1, 99):
        with pytest.raises(IndexError, match="layer"):
            floats.apply(k, ones)
