"""Random tiny queries: every engine against the enumeration of every input."""

import random

import pytest
from tiny import check_query, gentle_query, random_query


@pytest.mark.parametrize("block", range(8))
def test_engines_agree_with_enumeration(block):
    for seed in range(50 * block, 50 * block + 50):
        check_query(random_query(random.Random(seed)), seed)


@pytest.mark.parametrize("block", range(4))
def test_engines_agree_with_enumeration_on_gentle_networks(block):
    for seed in range(25 * block, 25 * block + 25):
        check_query(gentle_query(random.Random(seed)), seed)
