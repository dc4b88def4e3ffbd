"""Rows of many accumulators at once: what each row is by itself."""

import random

import numpy as np
import pytest
from graphs import random_graph

from qbitsat.network import Network
from qbitsat.network.affine import SparseRows, matrix_map
from qbitsat.network.layers import PADDING


def compare(network: Network, k: int, outputs: np.ndarray) -> None:
    starts, values, weights, biases = network.rows(k, outputs)
    assert len(starts) == len(outputs) + 1
    assert starts[-1] == len(values) == len(weights)
    for j, i in enumerate(outputs.tolist()):
        part = slice(starts[j], starts[j + 1])
        wanted = network.row(k, i)
        assert (values[part].tolist(), weights[part].tolist(), biases[j]) == (wanted[0].tolist(), wanted[1].tolist(), wanted[2])


@pytest.mark.parametrize("seed", range(150))
def test_rows_of_graphs(seed):
    """Convolutions with padding, values that are read twice, with weights that cancel, and rows without weights."""
    rng = np.random.default_rng(seed)
    network = random_graph(random.Random(seed))
    for k, layer in enumerate(network.layers):
        compare(network, k, np.arange(layer.affine.n_out))
        compare(network, k, rng.integers(0, layer.affine.n_out, 5))
        compare(network, k, np.zeros(0, np.int64))


def test_graphs_have_what_rows_are_tested_for():
    seen = set()
    for seed in range(150):
        network = random_graph(random.Random(seed))
        for view, layer in zip(network.views, network.layers, strict=True):
            cells = view[view != PADDING]
            seen |= {type(layer.affine).__name__, ("padding", len(cells) < len(view)), ("twice", len(set(cells.tolist())) < len(cells))}
    assert {("padding", True), ("padding", False), ("twice", True), ("twice", False)} <= seen


def test_rows_of_sparse_matrices():
    rng = np.random.default_rng(0)
    matrix = rng.integers(-5, 6, (12, 40)) * (rng.random((12, 40)) < 0.08)
    matrix[3] = 0
    affine = matrix_map(matrix, np.arange(12))
    assert isinstance(affine, SparseRows)
    starts, cells, weights = affine.rows_of(np.array([3, 11, 0, 3]))
    for j, i in enumerate((3, 11, 0, 3)):
        wanted = affine.row(i)
        part = slice(starts[j], starts[j + 1])
        assert (cells[part].tolist(), weights[part].tolist()) == (wanted[0].tolist(), wanted[1].tolist())
    assert len(affine.rows_of(np.zeros(0, np.int64))[1]) == 0
