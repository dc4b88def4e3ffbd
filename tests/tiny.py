"""Random tiny queries whose every input can be tried, and the check of every engine against that enumeration."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace
from unittest import mock

import numpy as np

from qbitsat.arithmetic import OVERFLOWS, ROUNDINGS, ShiftRequantizer
from qbitsat.attack import propose
from qbitsat.bounds import propagate, simplify
from qbitsat.encode import encode_query, substitution
from qbitsat.limits import Limits
from qbitsat.network import Dense, Network, TensorFormat, forward_all, reference
from qbitsat.options import ENCODINGS, SOLVERS, make_options
from qbitsat.properties import And, AtMost, Box, Not, Or, Query, Ref, robustness
from qbitsat.properties.formula import is_true, without_not
from qbitsat.solvers import sat
from qbitsat.verify import HOLDS, VIOLATED, replay, verify

MAX_INPUTS = 400


def random_requantizers(rng: random.Random, n: int) -> tuple[ShiftRequantizer, ...]:
    """One for all outputs, or one each with its own offset (the bias after the shift) and sometimes its own shift."""
    overflow = rng.choice((*OVERFLOWS, "saturate"))
    lo = rng.choice([0, 0, -1, -2, -4, -8, 3])
    hi = lo + (2 ** rng.randint(1, 4) - 1 if overflow == "wrap" else rng.randint(0, 15))
    first = ShiftRequantizer(rng.randint(-1, 5), rng.choice(ROUNDINGS), lo, hi, overflow, rng.choice([0, 0, rng.randint(-5, 5)]))
    if rng.random() < 0.5:
        return (first,)
    return tuple(replace(first, offset=rng.randint(-5, 5), shift=max(-1, first.shift - rng.choice([0, 0, 1]))) for _ in range(n))


def random_network(rng: random.Random, form: TensorFormat | None = None) -> Network:
    if form is None:
        lo, width = rng.choice([0, 0, -3, -8, 5]), rng.choice([1, 2, 3, 4, 7, 15])
        form = TensorFormat((rng.randint(1, 4),), lo, lo + width, 0.5, rng.choice([0, 0, lo, lo + 1, -2]))
    layers: list[Dense] = []
    for k in range(rng.randint(1, 3)):
        n = rng.randint(1, 4)
        requantizers = random_requantizers(rng, n)
        lo, hi = min(r.lo for r in requantizers), max(r.hi for r in requantizers)
        output = TensorFormat((n,), lo, hi, 1.0, rng.choice([0, 0, lo, -1]))
        weight = rng.choice([1, 3, 8, 31])
        weights = np.array([[rng.choice([0, rng.randint(-weight, weight)]) for _ in range(form.size)] for _ in range(n)], np.int64)
        bias = np.array([rng.randint(-2 * weight, 2 * weight) for _ in range(n)], np.int64)
        layers.append(Dense(f"dense{k}", form, output, requantizers, weights, bias))
        form = output
    return Network(tuple(layers), "tiny")


def random_box(rng: random.Random, network: Network, budget: int) -> Box:
    """A box with at most `budget` points."""
    form, los, his = network.input, [], []
    for _ in range(form.size):
        a, b = sorted(rng.randint(form.lo, form.hi) for _ in range(2))
        b = min(b, a + budget - 1)
        budget //= b - a + 1
        los.append(a)
        his.append(b)
    return Box(np.array(los), np.array(his))


def random_formula(rng: random.Random, networks: tuple[Network, ...], depth: int):
    kind = rng.choice(["atom", "atom", "and", "or", "not"]) if depth else "atom"
    if kind == "not":
        return Not(random_formula(rng, networks, depth - 1))
    if kind != "atom":
        parts = tuple(random_formula(rng, networks, depth - 1) for _ in range(rng.choice([0, 1, 2, 2, 3])))
        return And(parts) if kind == "and" else Or(parts)
    terms = []
    for _ in range(rng.randint(0, 4)):
        k = rng.randrange(len(networks))
        tensor = rng.choice(["input", "output", "output"])
        size = getattr(networks[k], tensor).size
        terms.append((rng.randint(-3, 3), Ref(k, tensor, rng.randrange(size))))
    return AtMost(tuple(terms), rng.randint(-20, 20))


def random_query(rng: random.Random) -> Query:
    network = random_network(rng)
    kind = rng.choice(["robust", "robust", "targeted", "formula", "formula", "two"])
    if kind in ("robust", "targeted") and network.output.size > 1:
        form = network.input
        while True:
            eps = rng.randint(0, form.hi - form.lo)
            query_box = [min(form.hi, form.lo + eps) for _ in range(form.size)]
            if (2 * eps + 1) ** len(query_box) <= MAX_INPUTS or eps == 0:
                break
        x = np.array([rng.randint(form.lo, form.hi) for _ in range(form.size)])
        label = reference.first_maximum(reference.run(network, x)[-1]) if rng.random() < 0.8 else 0
        others = [j for j in range(network.output.size) if j != label]
        return robustness(network, x, eps, label, rng.choice(others) if kind == "targeted" else None)
    networks: tuple[Network, ...] = (network,)
    if kind == "two":
        networks = (network, random_network(rng, network.input if rng.random() < 0.5 else None))
    budget = MAX_INPUTS if len(networks) == 1 else 20
    boxes = tuple(random_box(rng, n, budget) for n in networks)
    return Query(networks, boxes, random_formula(rng, networks, 2))


def gentle_query(rng: random.Random) -> Query:
    """Robustness of a network that saturates little: here back-substitution says more than intervals."""
    form, layers = TensorFormat((3,), 0, 7), []
    for k, n in enumerate(rng.choice([(3, 2), (3, 3, 2)])):
        shift, rounding = rng.randint(0, 2), rng.choice(ROUNDINGS)
        output = TensorFormat((n,), -8, 15)
        weights = np.array([[rng.randint(-3, 3) for _ in range(3)] for _ in range(n)], np.int64)
        bias = np.array([rng.randint(-4, 12) for _ in range(n)], np.int64)
        layers.append(Dense(f"dense{k}", form, output, (ShiftRequantizer(shift, rounding, -8, 15),), weights, bias))
        form = output
    network = Network(tuple(layers), "gentle")
    x = np.array([rng.randint(0, 7) for _ in range(3)])
    return robustness(network, x, rng.randint(1, 2), reference.first_maximum(reference.run(network, x)[-1]))


def points_of(box: Box) -> np.ndarray:
    return np.array(list(itertools.product(*(range(a, b + 1) for a, b in zip(box.lo.tolist(), box.hi.tolist(), strict=True)))), np.int64)


def check_query(query: Query, seed: int) -> bool:
    """Hold attack, bounds, SAT in both encodings, the search and the whole pipeline against enumeration; return the truth."""
    bounds = propagate(query)
    simple = simplify(query, bounds)
    tables = []
    for network, box, network_bounds in zip(query.networks, query.boxes, bounds.networks, strict=True):
        points = points_of(box)
        layers = forward_all(network, points)
        for layer, layer_bounds in zip(layers, network_bounds.layers, strict=True):
            assert (layer >= layer_bounds.lo).all()
            assert (layer <= layer_bounds.hi).all()
        slow = [reference.run(network, x) for x in points.tolist()]
        for k, layer in enumerate(layers):
            assert layer.tolist() == [values[k + 1] for values in slow]
        tables.append([(values[0], values[-1]) for values in slow])
    violated = False
    for combination in itertools.product(*tables):
        inputs, outputs = [c[0] for c in combination], [c[1] for c in combination]
        truth = is_true(query.violation, inputs, outputs)
        assert truth == is_true(simple, inputs, outputs)
        violated |= truth
    options = make_options(seed=seed)
    proposed = propose(query, without_not(query.violation), options, Limits())
    if proposed is not None:
        assert violated
        assert replay(query, proposed) is not None
    solver = SOLVERS[seed % len(SOLVERS)]
    for encoding in ENCODINGS:
        for formula in (simple, None):
            # Tiny queries have few facts that are near enough to be kept.
            with mock.patch.object(substitution, "NEAR", 1 if seed % 4 else substitution.NEAR):
                cnf = encode_query(query, bounds, make_options(encoding=encoding), formula)
            result = sat.run_solver(np.asarray(cnf.clauses), cnf.num_vars, solver, None)
            assert result.satisfiable == violated, (encoding, solver)
            if violated:
                witness = replay(query, cnf.decode(result.assignment))
                assert witness is not None
                for k, words in enumerate(cnf.outputs):
                    for i, word in enumerate(words):
                        assert word is None or word.value(result.assignment) == witness.outputs[k][i]
    truth = VIOLATED if violated else HOLDS
    assert verify(query, engine="sat", seed=seed, attack=seed % 3 > 0, bounds=seed % 5 > 0, solver=solver).verdict == truth
    rules = {"tighten": (40, 0)[seed % 2], "steps": (1, 5, 20)[seed % 3], "batch": (1, 64)[seed % 2], "points": seed % 4 > 0}
    assert verify(query, engine="hybrid", seed=seed, attack=seed % 3 == 0, bounds=seed % 5 > 0, **rules).verdict == truth
    assert verify(query, attack=False).verdict == truth
    return violated
