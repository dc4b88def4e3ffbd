"""Formats of all 32 bits, both ends included: every engine, with certificates, against the enumeration of small regions at their ends."""

import random

import numpy as np
import pytest
from certified import check_engines
from tiny import all_values, check_query, check_search, truths

from qbitsat.arithmetic import INT32, ROUNDINGS, ShiftRequantizer
from qbitsat.bounds import propagate
from qbitsat.encode import encode_smtlib
from qbitsat.errors import UnsupportedError
from qbitsat.importers import load, load_inputs, save
from qbitsat.limits import Limits
from qbitsat.network import Dense, Network, TensorFormat, forward, reference
from qbitsat.options import make_options
from qbitsat.properties import And, AtMost, Box, Or, Query, Ref, replay, robustness
from qbitsat.solvers import smt
from qbitsat.verify import HOLDS, VIOLATED, verify

LO, HI = INT32
ENDS = [(LO, HI), (LO, LO + 3), (HI - 3, HI), (LO, 0), (0, HI), (LO, LO)]


def end_network(rng: random.Random) -> Network:
    """One or two layers whose formats, zero points and offsets are at the ends of 32 bits."""
    lo, hi = rng.choice(ENDS)
    form = TensorFormat((rng.randint(1, 2),), lo, hi, 1.0, rng.choice([0, 0, LO, HI, lo]))
    layers: list[Dense] = []
    for k in range(rng.randint(1, 2)):
        n = rng.randint(1, 2) if k else 2
        weight = rng.choice([1, 1, 3, 1 << 20])
        shift, (lo, hi) = rng.choice([0, 0, 1, 2, 20, -1]), rng.choice([*ENDS, (0, 7), (-8, 7)])
        overflow = rng.choice(["saturate", "saturate", "wrap" if (hi - lo + 1) & (hi - lo) == 0 else "saturate"])
        requantizer = ShiftRequantizer(shift, rng.choice(ROUNDINGS), lo, hi, overflow, rng.choice([0, 0, LO, HI, rng.randint(-9, 9)]))
        output = TensorFormat((n,), lo, hi, 1.0, rng.choice([0, lo]))
        weights = np.array([[rng.choice([-weight, -1, 1, weight]) for _ in range(form.size)] for _ in range(n)])
        layers.append(
            Dense(f"layer{k}", form, output, (requantizer,), weights, np.array([rng.choice([0, LO, HI, 1 << 40]) for _ in range(n)]))
        )
        form = output
    return Network(tuple(layers), "ends")


def end_query(rng: random.Random) -> Query:
    """A small box at an end of the inputs, or about the middle, and inequalities that hold at few of its points."""
    while True:
        try:
            network = end_network(rng)
            break
        except UnsupportedError:  # accumulators beyond 2**60
            pass
    form, n = network.input, network.input.size
    lo = np.array([rng.choice([form.lo, max(form.lo, form.hi - 3), min(form.hi, max(form.lo, -2))]) for _ in range(n)])
    box = Box(lo, np.minimum(lo + rng.randint(0, 4), form.hi))
    inputs, (outputs,) = all_values([network], [box])
    parts = []
    for _ in range(rng.randint(1, 2)):
        terms = [(rng.choice([-2, -1, 1, 2]), Ref(0, "output", i)) for i in range(network.output.size)]
        terms += [(rng.choice([-1, 1]), Ref(0, "input", 0))] if rng.random() < 0.3 else []
        total = sum(c * (outputs if ref.tensor == "output" else inputs[0])[:, ref.element] for c, ref in terms)
        parts.append(AtMost(tuple(terms), int(rng.choice([total.min(), total.min() - 1, np.sort(total)[len(total) // 2]]))))
    return Query((network,), (box,), rng.choice([And, Or])(tuple(parts)))


@pytest.mark.parametrize("block", range(6))
def test_engines_agree_with_enumeration_at_the_ends_of_32_bits(block):
    truth = [check_query(end_query(random.Random(seed)), seed) for seed in range(20 * block, 20 * block + 20)]
    assert {True, False} == set(truth)


@pytest.mark.parametrize("block", range(3))
def test_search_agrees_with_enumeration_at_the_ends_of_32_bits(block):
    for seed in range(1000 + 40 * block, 1040 + 40 * block):
        query = end_query(random.Random(seed))
        violated = check_search(query, seed)
        assert verify(query, engine="enumerate", attack=False).verdict == (VIOLATED if violated else HOLDS)


@pytest.mark.parametrize("block", range(3))
def test_certificates_at_the_ends_of_32_bits_are_accepted(block):
    for seed in range(2000 + 10 * block, 2010 + 10 * block):
        query = end_query(random.Random(seed))
        violated = bool(truths(query.violation, *all_values(query.networks, query.boxes)).any())
        for checked in check_engines(query, seed):
            assert (checked.accepted, checked.reason, checked.verdict) == (True, "", VIOLATED if violated else HOLDS)


def whole_network(size: int = 2) -> Network:
    """Outputs are the inputs, of all 32 bits."""
    form = TensorFormat((size,), LO, HI)
    return Network((Dense("copy", form, form, (ShiftRequantizer(0, "floor", LO, HI),), np.eye(size, dtype=int), np.zeros(size, int)),))


@pytest.mark.parametrize("engine", ["sat", "hybrid", "auto"])
@pytest.mark.parametrize("eps", [0, 1, (1 << 32) - 1])
def test_the_whole_of_32_bits_is_a_region(engine, eps):
    network, x = whole_network(), np.array([HI, HI - 2], np.int32)
    verdict = verify(robustness(network, x, eps, 0), engine=engine)
    assert verdict.verdict == (VIOLATED if eps > 1 else HOLDS)
    targeted = verify(robustness(network, [LO, HI], eps, 1, 0), engine=engine)
    assert targeted.verdict == (VIOLATED if eps > 1 else HOLDS)


def test_files_and_inference_at_the_ends_of_32_bits(tmp_path):
    network = whole_network()
    save(network, tmp_path / "n.npz")
    loaded = load(tmp_path / "n.npz")
    assert (loaded.sha256, loaded.input.lo, loaded.input.hi) == (network.sha256, LO, HI)
    x = np.array([[LO, HI], [HI, LO]])
    assert forward(loaded, x).tolist() == [reference.run(loaded, row) for row in x.tolist()] == x.tolist()
    for dtype in (np.int32, np.float64):
        np.save(tmp_path / "x.npy", x.astype(dtype))
        assert load_inputs(tmp_path / "x.npy", loaded.input).tolist() == x.tolist()


def test_bit_vectors_agree_with_enumeration_at_the_ends_of_32_bits():
    for seed in range(3000, 3040):
        query = end_query(random.Random(seed))
        violated = bool(truths(query.violation, *all_values(query.networks, query.boxes)).any())
        text = encode_smtlib(query, propagate(query), make_options())
        answer = smt.solve("bitwuzla", text, Limits())
        assert answer.status == ("sat" if violated else "unsat"), seed
        assert not violated or replay(query, text.decode(answer.values)) is not None
