"""Outputs of two quantizations, compared by what they mean, agree with exact fractions."""

import random

import numpy as np
import pytest
from named import check_equal, scaled
from tiny import busy_network

from qbitsat.arithmetic import ShiftRequantizer
from qbitsat.errors import InputError, UnsupportedError
from qbitsat.network import Linear, Network, SparseRows, TensorFormat
from qbitsat.properties import equality
from qbitsat.verify import HOLDS, VIOLATED, verify


@pytest.mark.parametrize("first", range(0, 60, 20))
def test_verdicts_agree_with_fractions(first):
    assert True in {check_equal(seed) for seed in range(first, first + 20)}


@pytest.mark.parametrize(
    ("scale", "within", "said"), [(0.001, 1, HOLDS), (0.001, "0.019", VIOLATED), (100.0, 1, VIOLATED), (100.0, 2000, HOLDS)]
)
def test_each_output_has_the_scale_of_its_tensor(scale, within, said):
    form, step = TensorFormat((1,), 0, 20), ShiftRequantizer(0, "floor", 0, 100)
    networks = []
    for weight in (1, 2):
        rows = [SparseRows.of_matrix(np.array([[w]]), np.array([0])) for w in (1, weight)]
        layers = [
            Linear("l", form, TensorFormat((1,), 0, 100, unit, 0), (step,), row) for unit, row in zip((0.5, scale), rows, strict=True)
        ]
        networks.append(Network(tuple(layers), inputs=(form,), reads=([0], [0]), outputs=[1, 2]))
    assert verify(equality(*networks, [0], 20, within)).verdict == said


@pytest.mark.parametrize("within", [-1, "-1/3", "many", float("nan"), float("inf"), "1/0", [1]])
def test_distances_that_are_refused(within):
    a = busy_network(random.Random(0), 3)
    with pytest.raises(InputError, match="within"):
        equality(a, a, [a.input.lo] * 3, 1, within)


def test_scales_without_a_common_word_are_refused():
    a = busy_network(random.Random(0), 3)
    with pytest.raises(UnsupportedError, match="exact range"):
        equality(scaled(a, 1e-9, 0), scaled(a, 1e9 + 0.1, 0), [a.input.lo] * 3, 1, 1)
