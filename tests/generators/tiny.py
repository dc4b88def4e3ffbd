"""Random tiny queries whose every input can be tried, and the check of every engine against that enumeration."""

from __future__ import annotations

import functools
import itertools
import random
from collections.abc import Sequence
from dataclasses import replace
from unittest import mock

import numpy as np

from qbitsat.arithmetic import OVERFLOWS, ROUNDINGS, ShiftRequantizer
from qbitsat.attack import propose
from qbitsat.bounds import linear_cut, propagate, simplify
from qbitsat.bounds.reduction import Reduction
from qbitsat.encode import Cnf, encode_disjuncts, encode_query
from qbitsat.limits import LimitReached, Limits
from qbitsat.network import Dense, Network, TensorFormat, forward, forward_all, reference
from qbitsat.options import ENCODINGS, SOLVERS, make_options
from qbitsat.properties import And, AtMost, Box, Not, Or, Query, Ref, replay, robustness
from qbitsat.properties.formula import is_true, without_not
from qbitsat.search import Proof, Search
from qbitsat.solvers import sat
from qbitsat.verify import HOLDS, UNKNOWN, VIOLATED, verify

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
        label = reference.first_maximum(reference.run(network, x)) if rng.random() < 0.8 else 0
        others = [j for j in range(network.output.size) if j != label]
        # Without its origin: a wrong label would be no question for the engines.
        return replace(robustness(network, x, eps, label, rng.choice(others) if kind == "targeted" else None))
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
    return robustness(network, x, rng.randint(1, 2), reference.first_maximum(reference.run(network, x)))


def points_of(box: Box) -> np.ndarray:
    return np.array(list(itertools.product(*(range(a, b + 1) for a, b in zip(box.lo.tolist(), box.hi.tolist(), strict=True)))), np.int64)


def check_query(query: Query, seed: int, timeout: float | None = None) -> bool:
    """Hold attack, bounds, SAT in all encodings, the search and the whole pipeline against enumeration; return the truth.

    With a timeout, in seconds, the search may run out of it.
    """
    bounds = propagate(query)
    simple = simplify(query, bounds)
    tables = []
    for k, (network, box) in enumerate(zip(query.networks, query.boxes, strict=True)):
        points = points_of(box)
        values = forward_all(network, points)
        lo, hi, _, _ = bounds.network(k)
        assert (values >= lo).all()
        assert (values <= hi).all()
        layers = network.by_layer(values)
        slow = [reference.run_all(network, x) for x in points.tolist()]
        for number, layer in enumerate(layers):
            assert layer.tolist() == [parts[number + 1] for parts in slow]
        tables.append([(parts[0], parts[-1]) for parts in slow])
    violated = False
    for combination in itertools.product(*tables):
        inputs, outputs = [c[0] for c in combination], [c[1] for c in combination]
        truth = is_true(query.violation, inputs, outputs)
        assert truth == is_true(simple, inputs, outputs)
        violated |= truth
    options = make_options(seed=seed)
    proposed = propose(query, without_not(query.violation), options, Limits()).inputs
    if proposed is not None:
        assert violated
        assert replay(query, proposed) is not None
    solver = SOLVERS[seed % len(SOLVERS)]
    for encoding in ENCODINGS:
        for formula in (simple, None):
            # Tiny queries have few cuts that are near enough to be kept.
            with mock.patch.object(linear_cut, "NEAR", 1 if seed % 4 else linear_cut.NEAR):
                cnf = encode_query(query, bounds, make_options(encoding=encoding), formula)
            result = sat.run_solver(np.asarray(cnf.clauses), cnf.num_vars, solver, None)
            assert result.satisfiable == violated, (encoding, solver)
            if violated:
                witness = replay(query, cnf.decode(result.assignment))
                assert witness is not None
                for k, words in enumerate(cnf.outputs):
                    for i, word in enumerate(words):
                        assert word is None or word.value(result.assignment) == witness.outputs[k][i]
    for formula in (simple, without_not(query.violation)):
        disjuncts = encode_disjuncts(query, bounds, make_options(tighten=(40, 0)[seed % 2]), formula).disjuncts
        assert disjuncts is None or any(_satisfiable(disjunct, query, solver) for disjunct in disjuncts) == violated
    truth = VIOLATED if violated else HOLDS
    for encoding in dict.fromkeys((ENCODINGS[0], ENCODINGS[seed % len(ENCODINGS)])):
        verdict = verify(query, engine="sat", encoding=encoding, seed=seed, attack=seed % 3 == 0, bounds=seed % 5 > 0, solver=solver)
        assert verdict.verdict == truth
    assert verify(query, engine="enumerate", attack=False, bounds=seed % 5 > 0).verdict == truth
    rules = {"tighten": (40, 0)[seed % 2], "steps": (1, 5, 20)[seed % 3], "batch": (1, 64)[seed % 2], "rounding": seed % 4 > 0}
    allowed = {(truth, ""), *([(UNKNOWN, "timeout")] if timeout else [])}
    for options in ({"engine": "hybrid", "seed": seed, "attack": seed % 3 == 0, "bounds": seed % 5 > 0, **rules}, {"attack": False}):
        verdict = verify(query, timeout=timeout, **options)
        assert (verdict.verdict, verdict.reason) in allowed
    return violated


def _satisfiable(cnf: Cnf, query: Query, solver: str) -> bool:
    """Whether an assignment exists; if so, it is a witness."""
    result = sat.run_solver(np.asarray(cnf.clauses), cnf.num_vars, solver, None)
    assert not result.satisfiable or replay(query, cnf.decode(result.assignment)) is not None
    return bool(result.satisfiable)


def truths(formula, inputs: list[np.ndarray], outputs: list[np.ndarray]) -> np.ndarray:
    """`is_true` on rows of values of every network: bool[rows]."""
    if isinstance(formula, AtMost):
        tensors = {"input": inputs, "output": outputs}
        total = np.zeros(len(inputs[0]), np.int64)
        for coefficient, ref in formula.terms:
            total += coefficient * tensors[ref.tensor][ref.network][:, ref.element]
        return total <= formula.bound
    if isinstance(formula, Not):
        return ~truths(formula.part, inputs, outputs)
    start = np.full(len(inputs[0]), isinstance(formula, And))
    join = np.logical_and if isinstance(formula, And) else np.logical_or
    return functools.reduce(join, (truths(part, inputs, outputs) for part in formula.parts), start)


def all_inputs(boxes: Sequence[Box]) -> list[np.ndarray]:
    """For every network int64[points, n_in], a row for each combination of points of the boxes."""
    points = [points_of(box) for box in boxes]
    rows = np.indices([len(p) for p in points]).reshape(len(points), -1)
    return [p[r] for p, r in zip(points, rows, strict=True)]


def all_values(networks: Sequence[Network], boxes: Sequence[Box]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Inputs and outputs of every network, a row for each combination of points of the boxes."""
    inputs = all_inputs(boxes)
    return inputs, [forward(network, x) for network, x in zip(networks, inputs, strict=True)]


def busy_network(rng: random.Random, n_in: int, most: int = 6) -> Network:
    """Up to three layers of up to `most` neurons, centred so that outputs use much of their range; some wrap around."""
    form = TensorFormat((n_in,), 0, rng.choice([1, 2, 3, 7]), 1.0, rng.choice([0, 0, 1]))
    layers: list[Dense] = []
    for k in range(rng.randint(1, 3)):
        n, top = rng.randint(1, most), rng.choice([1, 3, 7, 15])
        weight = rng.choice([1, 3, 8, 31])
        weights = np.array([[rng.choice([0, *[rng.randint(-weight, weight)] * 3]) for _ in range(form.size)] for _ in range(n)], np.int64)
        spread = int(np.abs(weights).sum(axis=1).max()) * max(1, form.hi - form.lo)
        lo, shift = rng.choice([0, 0, -(top + 1) // 2]), max(-1, (spread // (top + 1)).bit_length() - rng.randint(1, 2))
        overflow = "wrap" if rng.random() < 0.1 else "saturate"
        channels: tuple[ShiftRequantizer, ...] = (
            ShiftRequantizer(shift, rng.choice(ROUNDINGS), lo, lo + top, overflow, rng.randint(-3, 3)),
        )
        if rng.random() < 0.3:
            last = lo + top - (rng.randint(0, top) if overflow == "saturate" else 0)
            channels = tuple(replace(channels[0], offset=rng.randint(-3, 3), hi=rng.choice([lo + top, last])) for _ in range(n))
        middle = weights.sum(axis=1) * (form.lo + form.hi - 2 * form.zero_point) // 2
        wanted = [(lo + top // 2 - channels[i % len(channels)].offset) * (1 << max(0, shift)) for i in range(n)]
        bias = np.array(wanted) - middle + np.array([rng.randint(-spread // 4, spread // 4) for _ in range(n)])
        output = TensorFormat((n,), lo, max(r.hi for r in channels), 1.0, rng.choice([0, 0, lo]))
        layers.append(Dense(f"dense{k}", form, output, channels, weights, bias))
        form = output
    return Network(tuple(layers), "busy")


def equal(a: Ref, b: Ref) -> And:
    """a = b as two inequalities."""
    return And((AtMost(((1, a), (-1, b)), 0), AtMost(((1, b), (-1, a)), 0)))


def tight_formula(rng: random.Random, networks: Sequence[Network], inputs: list[np.ndarray], outputs: list[np.ndarray], depth: int):
    """Nested connectives over inequalities that hold on none, one or few of the rows."""
    if depth and rng.random() < 0.7:
        kind = rng.choice([And, Or, And, Or, Not])
        if kind is Not:
            return Not(tight_formula(rng, networks, inputs, outputs, depth - 1))
        return kind(tuple(tight_formula(rng, networks, inputs, outputs, depth - 1) for _ in range(rng.choice([0, 1, 2, 2, 3, 3]))))
    terms, total = [], np.zeros(len(inputs[0]), np.int64)
    for _ in range(rng.randint(1, 4)):
        k, tensor = rng.randrange(len(networks)), rng.choice(["input", "output", "output", "output"])
        ref, coefficient = Ref(k, tensor, rng.randrange(getattr(networks[k], tensor).size)), rng.choice([-3, -2, -1, 1, 1, 2, 3])
        terms.append((coefficient, ref))
        total += coefficient * (inputs if tensor == "input" else outputs)[k][:, ref.element]
    ordered = np.sort(total)
    return AtMost(tuple(terms), int(rng.choice([ordered[0] - 1, ordered[0], *(ordered[min(len(ordered) - 1, 1 << b)] for b in range(8))])))


def twins_formula(rng: random.Random, networks: Sequence[Network], outputs: list[np.ndarray]):
    """Inputs equal but for a protected one, outputs far apart or ranked differently."""
    n, protected = networks[0].input.size, rng.randrange(networks[0].input.size)
    same = tuple(equal(Ref(0, "input", i), Ref(1, "input", i)) for i in range(n) if i != protected)
    i, j = rng.randrange(networks[0].output.size), rng.randrange(networks[1].output.size)
    ranked = And(
        (
            AtMost(((1, Ref(0, "output", j)), (-1, Ref(0, "output", i))), 0),
            AtMost(((1, Ref(1, "output", i)), (-1, Ref(1, "output", j))), -1),
        )
    )
    gap = np.sort(np.abs(outputs[0][:, i] - outputs[1][:, i]))
    far = int(rng.choice([gap[-1], gap[-1] + 1, gap[len(gap) * 3 // 4]]))
    a, b = Ref(0, "output", i), Ref(1, "output", i)
    apart = Or((AtMost(((1, a), (-1, b)), -far), AtMost(((1, b), (-1, a)), -far)))
    return And((*same, rng.choice([ranked, apart])))


def deep_network(rng: random.Random, n_in: int, most: int = 6) -> Network:
    """Two or three layers, each neuron's output of use."""
    while True:
        network = busy_network(rng, n_in, most)
        if len(network.layers) > 1 and network.output.size > 1 and all(r.monotone for k in network.layers for r in k.requantizers):
            return network


def least_formula(rng: random.Random, outputs: np.ndarray):
    """A sum of outputs is at most the smallest that it ever is, or less; alone or with a second sum beside it."""
    parts = []
    for _ in range(rng.choice([1, 1, 2])):
        refs = rng.sample(range(outputs.shape[1]), rng.randint(2, min(4, outputs.shape[1])))
        terms = tuple((rng.choice([-3, -2, -1, 1, 2, 3]), Ref(0, "output", i)) for i in refs)
        total = sum(c * outputs[:, ref.element] for c, ref in terms)
        parts.append(AtMost(terms, int(total.min()) - rng.choice([0, 1, 1, 2, 4, 8])))
    parts[-1] = rng.choice([parts[-1], AtMost(parts[-1].terms, parts[-1].bound + rng.randint(0, 6))])
    return rng.choice([And, Or])(tuple(parts))


def deep_query(rng: random.Random, most: int = 6) -> Query:
    """Intervals know little of the outputs; the violation is just out of reach, or at few points."""
    network = deep_network(rng, 6, most)
    form = network.input
    whole = Box(np.full(6, form.lo), np.full(6, form.hi))
    box = whole if (form.hi - form.lo + 1) ** 6 <= 1000 else random_box(rng, network, 1000)
    _, (outputs,) = all_values([network], [box])
    return Query((network,), (box,), least_formula(rng, outputs))


def busy_query(rng: random.Random, most: int = 6) -> Query:
    """A query whose verdict hangs on few points: one network, two, or one network twice; layers of up to `most` neurons."""
    kind, n_in = rng.choice(["one", "two", "twins", "deep", "deep"]), rng.randint(1, 6)
    if kind == "deep":
        return deep_query(rng, most)
    networks: tuple[Network, ...] = (busy_network(rng, n_in, most),)
    if kind != "one":
        networks = (networks[0], networks[0] if kind == "twins" else busy_network(rng, rng.randint(1, 3), most))
    boxes = tuple(random_box(rng, network, 600 if kind == "one" else 24) for network in networks)
    inputs, outputs = all_values(networks, boxes)
    formula = twins_formula(rng, networks, outputs) if kind == "twins" else tight_formula(rng, networks, inputs, outputs, rng.randint(0, 4))
    return Query(networks, boxes, formula)


SEARCH_RULES = {
    "tighten": (40, 0, 3),
    "steps": (20, 1, 5),
    "batch": (64, 1, 3),
    "leaf": (16.0, 6.0, 3.0),
    "rounding": (True, False),
    "bounds": (True, False),
}


def run_search(query: Query, proof: Proof | None = None, **rules) -> tuple[Search, tuple | None]:
    """The search alone, wrap-around or not, and what it finds; a witness must replay."""
    options, bounds = make_options(**rules), propagate(query)
    formula = simplify(query, bounds) if options.bounds else without_not(query.violation)
    search = Search(Reduction(query, bounds, formula), options, Limits(options.timeout), proof)
    found = search.run()
    assert found is None or replay(query, found) is not None
    return search, found


def check_search(query: Query, seed: int, timeout: float | None = None) -> bool | None:
    """Hold the search, under options that the seed draws, against enumeration; the truth, or None where time ran out."""
    violated = bool(truths(query.violation, *all_values(query.networks, query.boxes)).any())
    rng = random.Random(seed)
    rules = {name: rng.choice(values) for name, values in SEARCH_RULES.items()}
    if not all(r.monotone for network in query.networks for layer in network.layers for r in layer.requantizers):
        rules["leaf"] = 16.0  # nothing but SAT refutes behind wrap-around: no thousands of leaves
    try:
        _, found = run_search(query, solver=rng.choice(SOLVERS), timeout=timeout, **rules)
    except LimitReached:
        return None
    assert (found is not None) == violated, rules
    return violated
