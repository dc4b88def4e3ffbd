"""Random tiny queries: every engine against the enumeration of every input."""

import random

import pytest
from raw import RAW_SECONDS, raw_query
from tiny import check_query, gentle_query, random_query


@pytest.mark.parametrize("block", range(8))
def test_engines_agree_with_enumeration(block):
    for seed in range(50 * block, 50 * block + 50):
        check_query(random_query(random.Random(seed)), seed)


@pytest.mark.parametrize("block", range(4))
def test_engines_agree_with_enumeration_on_gentle_networks(block):
    for seed in range(25 * block, 25 * block + 25):
        check_query(gentle_query(random.Random(seed)), seed)


@pytest.mark.parametrize("block", range(8))
def test_engines_agree_with_enumeration_on_raw_outputs(block):
    for seed in range(50 * block, 50 * block + 50):
        check_query(raw_query(random.Random(seed)), seed, RAW_SECONDS)


def test_raw_outputs_are_of_many_kinds():
    queries = [raw_query(random.Random(seed)) for seed in range(400)]
    levels = [query.networks[0].output.hi - query.networks[0].output.lo for query in queries]
    assert min(sum(most < n for n in levels) for most in (1000, 1 << 12)) > 20
    assert sum(len(query.networks) > 1 for query in queries) > 100
    assert max(len(query.networks[0].layers) for query in queries) == 6
