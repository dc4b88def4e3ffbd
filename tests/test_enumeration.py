"""Random tiny queries: every engine against the enumeration of every input."""

import random

import pytest
from tiny import check_query, random_query


@pytest.mark.parametrize("block", range(8))
def test_engines_agree_with_enumeration(block):
    for seed in range(50 * block, 50 * block + 50):
        check_query(random_query(random.Random(seed)), seed)
