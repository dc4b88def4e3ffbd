"""Random tiny queries about inner values and accumulators, and the check of every engine against enumeration."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from certified import PROVERS, certify
from graphs import graph_box, random_graph
from tiny import all_inputs, busy_network, random_box

from qbitsat.attack import propose
from qbitsat.bounds import propagate, simplify
from qbitsat.certificate.check import check
from qbitsat.encode import encode_query
from qbitsat.limits import Limits
from qbitsat.network import Network, forward_all, reference
from qbitsat.options import ENCODINGS, make_options
from qbitsat.properties import And, AtMost, Formula, Not, Or, Query, Ref, accumulator, replay
from qbitsat.properties.formula import is_true, without_not
from qbitsat.solvers import sat
from qbitsat.verify import HOLDS, VIOLATED

Term = tuple[int, Ref]


def numbers(terms: Sequence[Term], networks: Sequence[Network], values: Sequence[np.ndarray]) -> np.ndarray:
    """The sum of the terms at rows of all values of the networks: int64[rows]."""
    total = np.zeros(len(values[0]), np.int64)
    for coefficient, (k, tensor, e) in terms:
        total += coefficient * values[k][:, networks[k].outputs[e] if tensor == "output" else e]
    return total


def truths(formula: Formula, networks: Sequence[Network], values: Sequence[np.ndarray]) -> np.ndarray:
    """Where the formula is true: bool[rows]."""
    if isinstance(formula, AtMost):
        return numbers(formula.terms, networks, values) <= formula.bound
    if isinstance(formula, Not):
        return ~truths(formula.part, networks, values)
    found = np.full(len(values[0]), isinstance(formula, And))
    for part in formula.parts:
        more = truths(part, networks, values)
        found = found & more if isinstance(formula, And) else found | more
    return found


def random_terms(rng: random.Random, networks: Sequence[Network]) -> list[Term]:
    """An accumulator, less a constant, or a few elements of any kind."""
    k = rng.randrange(len(networks))
    layer = rng.randrange(len(networks[k].layers))
    if rng.random() < 0.4:
        terms, _ = accumulator(networks[k], layer, rng.randrange(networks[k].layers[layer].affine.n_out), k)
        return [(rng.choice([-1, 1]) * c, ref) for c, ref in terms]
    terms = []
    for _ in range(rng.randint(1, 3)):
        k, tensor = rng.randrange(len(networks)), rng.choice(["input", "output", "value", "value", "value"])
        size = {"input": networks[k].num_inputs, "output": len(networks[k].outputs), "value": networks[k].num_values}[tensor]
        terms.append((rng.choice([-2, -1, 1, 1, 3]), Ref(k, tensor, rng.randrange(size))))
    return terms


def tight(rng: random.Random, networks: Sequence[Network], values: Sequence[np.ndarray], depth: int) -> Formula:
    """Nested connectives over inequalities that hold on none, one or few of the rows."""
    if depth and rng.random() < 0.6:
        kind = rng.choice([And, Or, And, Or, Not])
        if kind is Not:
            return Not(tight(rng, networks, values, depth - 1))
        return kind(tuple(tight(rng, networks, values, depth - 1) for _ in range(rng.choice([1, 2, 2, 3]))))
    terms = random_terms(rng, networks)
    ordered = np.sort(numbers(terms, networks, values))
    return AtMost(tuple(terms), int(rng.choice([ordered[0] - 1, ordered[0], ordered[len(ordered) // 4], ordered[-1] - 1])))


def region(rng: random.Random, budget: int = 300) -> tuple[tuple[Network, ...], tuple, list[np.ndarray]]:
    """One network or two, their boxes, and all values at every point of these."""
    networks = tuple(random_graph(rng, most=3) if rng.random() < 0.6 else busy_network(rng, 3, 4) for _ in range(rng.choice([1, 1, 1, 2])))
    budget = budget if len(networks) == 1 else 16
    boxes = tuple((graph_box if len(n.inputs) > 1 else random_box)(rng, n, budget) for n in networks)
    return networks, boxes, [forward_all(n, x) for n, x in zip(networks, all_inputs(boxes), strict=True)]


def inner_query(rng: random.Random) -> tuple[Query, bool]:
    """A query, and whether it is violated."""
    networks, boxes, values = region(rng)
    while any(np.abs(v).max() > 1 << 40 for v in values):
        networks, boxes, values = region(rng)
    query = Query(networks, boxes, tight(rng, networks, values, 2))
    found = truths(query.violation, networks, values)
    for row in (0, len(found) - 1):
        slow = [reference.run_values(n, v[row, : n.num_inputs].tolist()) for n, v in zip(networks, values, strict=True)]
        outputs = [[v[e] for e in n.outputs.tolist()] for n, v in zip(networks, slow, strict=True)]
        assert is_true(query.violation, slow, outputs, slow) == found[row]
    return query, bool(found.any())


def check_inner(seed: int) -> bool:
    """Hold attack, bounds, encodings, every engine and their certificates against enumeration; return the truth."""
    query, violated = inner_query(random.Random(seed))
    bounds = propagate(query)
    formula = simplify(query, bounds)
    proposed = propose(query, without_not(query.named), make_options(seed=seed), Limits()).inputs
    assert proposed is None or (violated and replay(query, proposed) is not None)
    for encoding in ENCODINGS:
        cnf = encode_query(query, bounds, make_options(encoding=encoding), formula if seed % 2 else None)
        result = sat.run_solver(np.asarray(cnf.clauses), cnf.num_vars, "cadical195", None)
        assert result.satisfiable == violated, encoding
        if violated:
            inputs = cnf.decode(result.assignment)
            assert replay(query, inputs) is not None
            for network, x, words in zip(query.networks, inputs, cnf.values, strict=True):
                values = reference.run_values(network, x)
                assert all(word.value(result.assignment) == values[v] for v, word in words.items())
    rules = {"tighten": (40, 0)[seed % 2], "steps": (5, 10, 20)[seed % 3], "batch": (8, 64)[seed % 2], "bounds": seed % 5 > 0}
    rules |= {"solver": PROVERS[seed % len(PROVERS)], "attack": seed % 3 > 0}
    with tempfile.TemporaryDirectory() as folder:
        for engine in ("hybrid", "sat", "enumerate"):
            verdict, path = certify(query, Path(folder), engine=engine, **rules)
            assert verdict.verdict == (VIOLATED if violated else HOLDS), engine
            checked = check(path)
            assert (checked.reason, checked.verdict) == ("", verdict.verdict), engine
    return violated
