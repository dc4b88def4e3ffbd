"""The checker's products, where sums come to the end of what float64 and int64 hold."""

import random

import numpy as np
import pytest

from qbitsat.certificate.products import products
from qbitsat.network import Patches


def patches(rng: random.Random, heaviest: int) -> Patches:
    """Positions that overlap, of one group or of two."""
    groups, channels, cells = rng.choice([1, 2]), rng.randint(1, 3), rng.randint(1, 4)
    start, stride = np.array([0, 1, 3]), rng.choice([1, cells])
    rows = np.array([rng.choice([heaviest, -heaviest, rng.randint(-heaviest, heaviest)]) for _ in range(groups * channels * cells)])
    n_in = 4 + stride * groups + cells
    return Patches(n_in, start, np.arange(cells), stride, rows.reshape(groups, channels, cells), np.zeros((groups, channels), np.int64))


def matrix_of(affine: Patches) -> np.ndarray:
    """W in Python's integers."""
    matrix = np.zeros((affine.n_out, affine.n_in), object)
    for i in range(affine.n_out):
        for cell, weight in zip(*(array.tolist() for array in affine.row(i)), strict=True):
            matrix[i, cell] = weight
    return matrix


@pytest.mark.parametrize("seed", range(60))
def test_sums_around_the_end_of_float64_are_exact(seed):
    rng = random.Random(seed)
    heavy = rng.choice([1, 7, 31])
    affine = patches(rng, (1 << heavy) - 1)
    made, matrix = products(affine), matrix_of(affine)
    for bits in {*range(46, 58), 61} if heavy < 31 else range(46, 60):
        most = (1 << bits - heavy) - 1
        x, m = (
            [[rng.choice([most, -most, most - 1, rng.randint(-most, most)]) for _ in range(n)] for _ in range(2)]
            for n in matrix.shape[::-1]
        )
        assert made.apply(np.array(x)).tolist() == (np.array(x, object) @ matrix.T).tolist()
        assert made.apply(np.array(x), True).tolist() == (np.array(x, object) @ abs(matrix).T).tolist()
        lines = np.array(sorted(rng.sample(range(3), 2)))
        some = (lines[:, None] * made.width + np.arange(made.width)).ravel()
        assert made.apply(np.array(x), False, lines).tolist() == (np.array(x, object) @ matrix.T)[:, some].tolist()
        for kind in (np.int64, object):
            total = np.zeros((2, affine.n_in), object)
            for part in made.spread(np.array(m, kind)):
                cases, cells, sums = np.broadcast_arrays(*part)
                np.add.at(total, (cases.ravel(), cells.ravel()), sums.astype(object).ravel())
            assert total.tolist() == (np.array(m, object) @ matrix).tolist()
