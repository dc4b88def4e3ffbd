"""Finished queries of the literature's networks are kept."""

import numpy as np
import pytest
from models import chain

import qbitsat
from bench.literature import setting, taxi
from bench.paper.runs import Runs
from qbitsat.properties import And, Box, Query


@pytest.fixture
def network():
    model = chain(np.random.default_rng(21), n_in=3)
    return qbitsat.quantize(model, "power-of-two:8,input=u8.8", np.random.default_rng(2).integers(60, 200, (8, 3)) / 256)


def test_a_finished_query_is_not_asked_again(network, tmp_path, monkeypatch):
    query = qbitsat.robustness(network, np.full(3, 100), 1, 0)
    with Runs(tmp_path / "runs.jsonl") as runs:
        first = setting.ask(runs, "robust 1", query, 10.0)
    assert set(first) == {"verdict", "engine", "cpu_seconds"}
    asked = []
    monkeypatch.setattr(setting.qbitsat, "verify", lambda query, **_: asked.append(query) or verdict)
    verdict = qbitsat.Verdict("HOLDS", engine="bounds")
    with Runs(tmp_path / "runs.jsonl") as runs:
        assert setting.ask(runs, "robust 1", query, 10.0) == first
        assert not asked
        for about, seconds in (("robust 1", 20.0), ("robust 2", 10.0)):
            setting.ask(runs, about, query, seconds)
        assert asked == [query, query]


def test_ends_of_an_output(network, tmp_path):
    query = Query((network,), (Box(np.full(3, 100), np.full(3, 102)),), And(()))
    found = taxi.ends(query, 0, 10.0)
    points = np.stack(np.meshgrid(*[np.arange(100, 103)] * 3), axis=-1).reshape(-1, 3)
    values = qbitsat.network.forward(network, points)[:, 0] * network.output.scale
    assert found["verdict"] == "OPTIMAL"
    assert found["least"] == [values.min()] * 2
    assert found["most"] == [values.max()] * 2
