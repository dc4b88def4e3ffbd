"""Layers of 13 and 16 bits whose multipliers are no powers of two: searched, certified, and as enumeration has them."""

import numpy as np
import pytest
from certified import check_engines
from handmade import dense, query, tensor, y

from qbitsat.arithmetic import Float32Requantizer, MultiplierRequantizer
from qbitsat.arithmetic.steps import NONE, steps_of
from qbitsat.certificate.check import ACCEPTED
from qbitsat.network import Dense, Network
from qbitsat.properties import AtMost, Box
from qbitsat.verify import verify


def wide(rng: np.random.Generator, bits: int, form: str) -> Network:
    """3-5-2: a hidden layer of so many bits, outputs that are raw sums."""
    top = (1 << bits) - 1
    if form == "float32":
        step = Float32Requantizer(float(np.float32(0.61)), 0, top)
    else:
        step = MultiplierRequantizer(int(rng.integers(1 << 30, (1 << 31) - 1)), 0, form, 0, top)
    hidden = dense(rng.integers(-120, 121, (5, 3)), rng.integers(-500, 501, 5), step, tensor(3, 0, 255))
    return Network((hidden, dense(rng.integers(-7, 8, (2, 5)), rng.integers(-9, 10, 2), form=tensor(5, 0, top))))


@pytest.mark.parametrize("bits", [13, 16])
@pytest.mark.parametrize("form", ["double", "half_up", "float32"])
def test_many_levels_keep_the_search(bits, form):
    rng = np.random.default_rng(bits)
    for seed in range(6):
        network = wide(rng, bits, form)
        assert all(steps_of(r).kind != NONE for layer in network.layers for r in layer.requantizers)
        lo = rng.integers(0, 249, 3)
        asked = query(network, AtMost(((1, y(0)), (-1, y(1))), int(rng.integers(-3000, 3000))), Box(lo, lo + 6))
        words = {engine: verify(asked, engine=engine, timeout=20).verdict for engine in ("hybrid", "enumerate")}
        assert len(set(words.values())) == 1, words
        assert all(found.outcome == ACCEPTED for found in check_engines(asked, seed, ("hybrid",)))


def test_tables_are_found_within_the_timeout(monkeypatch):
    """One of 16 bits for each of 60 channels takes some milliseconds."""
    found, top = [], (1 << 16) - 1
    monkeypatch.setattr("qbitsat.network.layers.steps_of", lambda step: found.append(step) or steps_of(step))
    steps = tuple(Float32Requantizer(float(np.float32(0.31 + i / 64)), 0, top) for i in range(60))
    hidden = Dense("wide", tensor(1, 0, 255), tensor(60, 0, top), steps, np.ones((60, 1), int), np.zeros(60, int))
    network = Network((hidden, dense(np.ones((1, 60), int), None, form=tensor(60, 0, top))))
    verdict = verify(query(network, AtMost(((1, y(0)),), 9), Box([1], [200])), timeout=0.02, attack=False)
    assert (verdict.verdict, verdict.reason) == ("UNKNOWN", "timeout")
    assert len(found) < 60
