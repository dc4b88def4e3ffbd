"""Outputs that never fall when an input grows, against enumeration."""

import itertools

import numpy as np
import pytest
from handmade import copying
from named import check_monotone

from qbitsat.errors import InputError
from qbitsat.properties import monotone
from qbitsat.properties.query import Box
from qbitsat.verify import HOLDS, VIOLATED, verify


@pytest.mark.parametrize("first", range(0, 160, 40))
def test_monotone_means_what_enumeration_says(first):
    assert {True, False} <= {check_monotone(seed) for seed in range(first, first + 40)}


def test_all_outputs_and_inputs_by_default():
    network = copying(2)
    for feature, down in itertools.product(range(2), (False, True)):
        assert verify(monotone(network, feature, falls=down)).verdict == (VIOLATED if down else HOLDS)


def test_what_is_refused():
    network = copying(2)
    with pytest.raises(InputError, match="feature 1 has one value only, 3"):
        monotone(network, 1, box=Box(np.array([0, 3]), np.array([9, 3])))
    for wrong in ({"feature": 2}, {"feature": 0, "outputs": [2]}, {"feature": 0.5}):
        with pytest.raises(InputError):
            monotone(network, **wrong)
