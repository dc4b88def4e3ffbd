"""One search over several processes: the same verdicts, the same proof's worth of nodes, and limits that are kept."""

import random

import numpy as np
import pytest
from tiny import random_query

import qbitsat
from qbitsat.bounds import propagate
from qbitsat.examples import images_path, labels_path, network_path
from qbitsat.limits import LimitReached, Limits
from qbitsat.options import make_options
from qbitsat.properties.formula import without_not
from qbitsat.search import Proof, Search, shared
from qbitsat.verify import replay, verify


def digits_query(sample: int, eps: int = 1):
    network = qbitsat.load(network_path())
    return qbitsat.robustness(network, np.load(images_path())[sample], eps, int(np.load(labels_path())[sample]))


def make_search(query, proof=None, **options) -> Search:
    values = make_options(**options)
    return Search(query, propagate(query), without_not(query.violation), values, Limits(values.timeout), proof)


def test_shared_search_holds_with_a_whole_proof():
    query, proof = digits_query(14), Proof()
    search = make_search(query, proof)
    assert shared.run(search, 3) is None
    children = [
        child for node in proof.nodes.values() for child in getattr(node, "parts", (getattr(node, "below", 0), getattr(node, "above", 0)))
    ]
    assert {0, *children} - {0} == set(proof.nodes) - {0}


def test_shared_search_finds_a_witness():
    query = digits_query(9)
    inputs = shared.run(make_search(query), 2)
    assert replay(query, inputs) is not None


@pytest.mark.parametrize("seed", range(12))
def test_shared_search_agrees_on_tiny_queries(seed, monkeypatch):
    monkeypatch.setattr(shared, "SHARE", 1)
    query = random_query(random.Random(seed + 500))
    assert verify(query, attack=False, processes=3, batch=1).verdict == verify(query, engine="sat").verdict


def test_shared_search_keeps_its_timeout():
    with pytest.raises(LimitReached, match="timeout"):
        shared.run(make_search(digits_query(14), timeout=0.2), 2)


def test_shared_search_reports_a_process_that_fails(monkeypatch):
    search = make_search(digits_query(14))
    monkeypatch.setattr(shared, "_steps", lambda *_: 1 // 0)
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        shared.run(search, 2)
