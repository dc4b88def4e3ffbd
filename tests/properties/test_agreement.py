"""Two networks on the same inputs: the joined network computes both, and queries agree with enumeration."""

import random

import numpy as np
import pytest
from certified import certify
from graphs import random_graph
from handmade import copying, one_layer, tensor
from named import check_agree
from pairs import changed
from tiny import points_of

from qbitsat.arithmetic import ShiftRequantizer
from qbitsat.certificate.check import check
from qbitsat.errors import InputError
from qbitsat.network import Network, forward
from qbitsat.properties import agreement, joined
from qbitsat.verify import VIOLATED, verify


def test_joined_networks_compute_both():
    for seed in range(60):
        a = random_graph(random.Random(seed))
        b = Network(a.layers, "reversed", inputs=a.inputs, reads=a.reads, outputs=a.outputs[::-1].copy())
        both, rng = joined(a, b), np.random.default_rng(seed)
        lo, hi = (ends[: a.num_inputs] for ends in a.value_ranges)
        x = rng.integers(lo, hi + 1, (8, a.num_inputs))
        assert (forward(both, x) == np.concatenate([forward(a, x), forward(b, x)], axis=1)).all()


@pytest.mark.parametrize("first", range(0, 90, 30))
def test_queries_agree_with_enumeration(first):
    assert {True, False} <= {check_agree(seed) for seed in range(first, first + 30)}


def test_all_inputs_agree_with_enumeration():
    """Without a sample; some agree everywhere, some do not."""
    violated = 0
    for seed in range(40):
        (a, b), steps = changed(seed), seed % 4
        query = agreement(a, b, steps=steps)
        points = points_of(query.boxes[0])
        assert len(points) == (a.input.hi - a.input.lo + 1) ** a.num_inputs
        truth = bool((np.abs(forward(a, points) - forward(b, points)).max(axis=1) > steps).any())
        for engine in ("hybrid", "auto"):
            assert (verify(query, engine=engine, seed=seed, attack=seed % 2 > 0).verdict == VIOLATED) == truth
        violated += truth
    assert 3 < violated < 37


def test_runtimes_of_one_network_and_a_certificate(tmp_path):
    """Ties go up in one and to even in the other: 1 step apart at most, and never another class here."""
    up, even = (one_layer([[1, 0], [0, 1]], None, ShiftRequantizer(1, way, 0, 15), tensor(2)) for way in ("half_up", "half_even"))
    for steps, word in ((0, "VIOLATED"), (1, "HOLDS"), (None, "VIOLATED")):
        verdict, path = certify(agreement(up, even, [5, 5], 2, steps), tmp_path)
        assert (verdict.verdict, check(path).reason) == (word, "")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((copying(2), copying(3), [1, 1], 1), "expected the same integers"),
        ((copying(2), copying(2, 0, 14), [1, 1], 1), "expected the same integers"),
        ((copying(2), one_layer([[1, 1]]), [1, 1], 1), "2 outputs and 1"),
        ((copying(1), copying(1), [1], 1), r"has one output, .*; ask about outputs instead: --within 0 \(from Python steps=0"),
        ((copying(2), copying(2), [1, 1], 1, -1), "steps"),
        ((copying(2), 3, [1, 1], 1), "expected a Network"),
        ((copying(2), copying(2), None, 1), "around nothing"),
        ((copying(2), copying(2), None, None, -1), "steps"),
    ],
)
def test_what_is_refused(arguments, said):
    with pytest.raises(InputError, match=said):
        agreement(*arguments)
