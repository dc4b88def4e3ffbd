"""Maps in float32 against single rows, forth and back, and what does not fit together."""

import random

import numpy as np
import pytest
from graphs import random_graph

from qbitsat._kernels.suggest.floats import Floats
from qbitsat.network import Convolution, Network, Patches, SparseRows
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
        for k, layer in enumerate(network.layers):
            rows, constants = matrix(network, k)
            padding = layer.input.zero_point
            floats = Floats(layer.affine, network.views[k], network.first_value(k), padding)
            values = numbers.integers(-9, 9, (3, network.num_values)).astype(np.float32)
            np.testing.assert_array_equal(floats.apply(values), values[:, : rows.shape[1]] @ rows.T + constants)
            outputs = numbers.integers(-2, 3, (3, floats.n_out)).astype(np.float32)
            expected = values.copy()
            expected[:, : rows.shape[1]] += outputs @ rows
            floats.back(outputs, values)
            np.testing.assert_array_equal(values, expected)
            kinds.add((type(layer), bool((network.views[k] == PADDING).any())))
    assert (Convolution, True) in kinds
    assert len(kinds) >= 5


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 5, 7), (2, 4, 16), (2, 9, 33), (64, 10, 33), (0, 3, 2)])
def test_maps_of_one_matrix(shape):
    batch, n_out, n_in = shape
    rng = np.random.default_rng(0)
    x, y, weights = (rng.integers(-9, 9, s).astype(np.float32) for s in ((batch, n_in), (batch, n_out), (n_out, n_in)))
    floats = Floats(Patches.dense(weights.astype(np.int64), np.zeros(n_out)), np.arange(n_in), n_in)
    before = x.copy()
    assert (floats.apply(x) == x @ weights.T).all()
    floats.back(y, x)
    assert (x == before + y @ weights).all()


PATCHES = Patches(4, np.array([0, 2]), np.array([0, 1]), 0, np.ones((1, 1, 2)), np.zeros((1, 1)))
ROWS = SparseRows(4, np.array([0, 2, 3]), np.array([0, 3, 1]), np.ones(3), np.zeros(2))


@pytest.mark.parametrize(
    ("affine", "view", "num_values"),
    [
        (PATCHES, np.arange(3), 4),
        (PATCHES, np.arange(4), 3),
        (PATCHES, np.arange(4) - 2, 4),
        (Patches(3, *(getattr(PATCHES, name) for name in ("start", "offset", "stride", "rows", "bias"))), np.arange(3), 4),
        (Patches(4, PATCHES.start - 1, *(getattr(PATCHES, name) for name in ("offset", "stride", "rows", "bias"))), np.arange(4), 4),
        (SparseRows(4, ROWS.indptr, ROWS.indices + 1, ROWS.weights, ROWS.bias), np.arange(4), 4),
        (SparseRows(4, ROWS.indptr + 1, ROWS.indices, ROWS.weights, ROWS.bias), np.arange(4), 4),
        (SparseRows(4, ROWS.indptr, ROWS.indices, ROWS.weights[:2], ROWS.bias), np.arange(4), 4),
    ],
)
def test_maps_that_do_not_fit(affine, view, num_values):
    for right in (PATCHES, ROWS):
        Floats(right, np.arange(4), 4)
    with pytest.raises(ValueError, match=r"view|patches|rows"):
        Floats(affine, view, num_values)


def test_batches_that_do_not_fit():
    floats, ones = Floats(PATCHES, np.arange(4), 4), np.ones((2, 4), np.float32)
    for wrong in (ones[:, :3].copy(), ones.astype(float), np.asfortranarray(ones)):
        with pytest.raises(ValueError, match=r"rows of 3|mismatch|contiguous"):
            floats.apply(wrong)
    for outputs in (ones[:, :3].copy(), ones[:1, :2].copy()):
        with pytest.raises(ValueError, match="rows of"):
            floats.back(outputs, ones)
