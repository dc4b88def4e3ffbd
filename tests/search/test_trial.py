"""Large networks are tried with loose ranges first: the tight ones come where that does not end the search."""

import random

import pytest
from certified import check_engines
from tiny import busy_query, check_search, deep_query

import qbitsat
from qbitsat.search import tree


@pytest.fixture(params=[1, 5])
def trial(request, monkeypatch):
    """Every search is too much for little work, and starts anew after so many nodes."""
    monkeypatch.setattr(tree, "LITTLE", 0)
    monkeypatch.setattr(tree, "TRIAL", request.param)
    anew = []
    restart = tree.Search._restart
    monkeypatch.setattr(tree.Search, "_restart", lambda self: anew.append(restart(self)))
    return anew


def test_search_that_starts_anew_agrees_with_enumeration(trial):
    for seed in range(60):
        check_search((busy_query, deep_query)[seed % 2](random.Random(seed), *((3,) if seed % 2 == 0 else ())), seed)
    assert trial


def test_processes_share_a_search_that_starts_anew(trial, digits):
    network, images, labels = digits
    query = qbitsat.robustness(network, images[7], 1, int(labels[7]))
    assert qbitsat.verify(query, jobs=2, engine="hybrid", attack=False).holds
    assert trial


def test_certificates_of_a_search_that_starts_anew(trial):
    for seed in range(40):
        assert [checked.accepted for checked in check_engines(deep_query(random.Random(seed)), seed, ("hybrid", "sat"))] == [True, True]
    assert trial
