"""Questions with a name about tiny networks, and the check of each against enumeration; see also `measured` for radii.

Every check returns whether the truth is that something is violated, differs, falls or moves; None where the seed makes no question.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from functools import partial

import numpy as np
from inner import region
from measured import check_radius
from pairs import changed, linked_pair, twin
from tiny import busy_network, points_of, random_box, random_network

from qbitsat.network import Layer, Network, classify, forward, reference
from qbitsat.optimize import OPTIMAL, maximize
from qbitsat.properties import Box, Query, agreement, equality, gap, monotone, replay
from qbitsat.properties.balls import NORMS
from qbitsat.properties.gap import apart
from qbitsat.reach import LayerWidth, output_ranges, overflow
from qbitsat.reach.extremes import width
from qbitsat.verify import HOLDS, VIOLATED, verify


def held(query: Query, truth: bool, seed: int, *engines: str) -> bool:
    """Hold the verdicts of engines against the truth, and witnesses against the reference."""
    for engine in engines:
        verdict = verify(query, engine=engine, seed=seed, attack=seed % 2 > 0)
        assert verdict.verdict == (VIOLATED if truth else HOLDS), engine
        assert verdict.witness is None or replay(query, verdict.witness.inputs) == verdict.witness
    return truth


# --- two networks ---


def check_agree(seed: int) -> bool | None:
    (a, b), rng = changed(seed), random.Random(seed)
    x = np.array([rng.randint(a.input.lo, a.input.hi) for _ in range(3)])
    steps = rng.choice([None, 0, 1, 2])
    if steps is None and a.output.size == 1:
        return None
    query = agreement(a, b, x, rng.randint(0, 2), steps)
    points = points_of(query.boxes[0])
    far = np.abs(forward(a, points) - forward(b, points)).max(axis=1) > (steps or 0)
    truth = bool((classify(a, points) != classify(b, points)).any() if steps is None else far.any())
    return held(query, truth, seed, "hybrid", "sat", "auto")


def scaled(network: Network, scale: float, zero_point: int) -> Network:
    """The same network, whose outputs mean something else."""
    last = network.layers[-1]
    layers = (*network.layers[:-1], replace(last, output=replace(last.output, scale=scale, zero_point=zero_point)))
    return Network(layers, network.name)


def check_equal(seed: int) -> bool | None:
    """In fractions."""
    rng = random.Random(seed)
    a = busy_network(rng, 3)
    b = twin(rng, a)
    a, b = scaled(a, rng.choice([0.1, 0.5, 1.0]), rng.choice([0, 1])), scaled(b, rng.choice([0.1, 0.25, 1 / 3]), rng.choice([0, -1]))
    x = np.array([rng.randint(a.input.lo, a.input.hi) for _ in range(3)])
    within = rng.choice([None, 0, "1/3", 0.1, "0.5", 2, Fraction(7, 3)])
    if within is None and a.output.size == 1:
        return None
    query = equality(a, b, x, rng.randint(0, 2), within)
    points = points_of(query.boxes[0])
    if within is None:
        return held(query, bool((classify(a, points) != classify(b, points)).any()), seed, "hybrid")
    real = [[[Fraction(n.output.scale) * (int(q) - n.output.zero_point) for q in row] for row in forward(n, points)] for n in (a, b)]
    far = any(abs(p - q) > Fraction(within) for one, other in zip(*real, strict=True) for p, q in zip(one, other, strict=True))
    return held(query, far, seed, "hybrid")


def check_linked(seed: int) -> bool:
    """Copies on inputs of their own whose differences inequalities bound."""
    query = linked_pair(seed)
    truth = verify(query, engine="enumerate", attack=False, bounds=False).violated
    for pairs in (True, False):
        verdict = verify(query, engine="hybrid", attack=False, seed=seed, pairs=pairs, tighten=(40, 0)[seed % 2], cover=seed % 4 > 0)
        assert verdict.verdict == (VIOLATED if truth else HOLDS)
        assert verdict.witness is None or replay(query, verdict.witness.inputs) == verdict.witness
    return truth


# --- two inputs of one network ---


def allowed(box: Box, groups: list[list[int]]) -> np.ndarray:
    """All inputs of a box with one element of each group set, int64[n, inputs]."""
    axes = [range(lo, hi + 1) for lo, hi in zip(box.lo.tolist(), box.hi.tolist(), strict=True)]
    for group in groups:
        for i in group:
            axes[i] = (int(box.lo[i]), int(box.hi[i]))
    points = np.array(list(itertools.product(*axes)))
    for group in groups:
        points = points[(points[:, group] == box.hi[list(group)]).sum(axis=1) == 1]
    return points


def gap_question(seed: int) -> tuple[Network, Box, list[list[int]], list[int], int]:
    """Network, box, groups, protected features, and an output."""
    rng = random.Random(seed)
    network = busy_network(rng, rng.choice([3, 4]))
    n, form = network.num_inputs, network.input
    lo = np.array([rng.randint(form.lo, form.hi - 1) for _ in range(n)])
    hi = np.array([rng.randint(a + 1, min(form.hi, a + 3)) for a in lo.tolist()])
    groups = rng.choice([[], [[0, 1]], [[n - 1, 1]], [[0, 1, 2]]])
    protected = rng.sample(range(n), rng.choice([1, 1, 2]))
    return network, Box(lo, hi), groups, protected, rng.randrange(len(network.outputs))


def check_gap(seed: int) -> bool:
    network, box, groups, protected, output = gap_question(seed)
    points = allowed(box, groups)
    outputs = forward(network, points)[:, output]
    moved = {i for group in groups if {*group} & {*protected} for i in group} | {*protected}
    rest = points[:, [i for i in range(points.shape[1]) if i not in moved]]
    same = (rest[:, None] == rest[None]).all(axis=2)
    truth = int((outputs[:, None] - outputs[None])[same].max())
    asked = gap(network, protected, output, groups=groups, box=box)
    found = maximize(asked.query, asked.objective, engine=("auto", "hybrid")[seed % 2], attack=seed % 3 > 0, pairs=seed % 4 > 0)
    assert (found.verdict, found.value) == (OPTIMAL, truth)
    x, y = (np.array(one) for one in asked.inputs(found.witness.inputs))
    a, b = forward(network, np.stack([x, y]))[:, output].tolist()
    assert a - b == truth
    assert (points == x).all(axis=1).any()
    assert (points == y).all(axis=1).any()
    assert {*np.flatnonzero(x != y).tolist()} <= moved
    query, objectives = apart(network, protected, groups=groups, box=box)
    assert maximize(query, objectives[output], engine=("enumerate", "hybrid")[seed % 4 == 0]).value == truth
    return truth > 0


def falls(network: Network, box: Box, feature: int, outputs: list[int], sign: int) -> bool:
    """Whether some output is less (sign 1) at the larger one of two inputs of the box that differ in one element."""
    points = points_of(box)
    values = dict(zip(map(tuple, points.tolist()), forward(network, points).tolist(), strict=True))
    for x, y in values.items():
        for more in range(x[feature] + 1, int(box.hi[feature]) + 1):
            other = values[(*x[:feature], more, *x[feature + 1 :])]
            if any(sign * other[j] < sign * y[j] for j in outputs):
                return True
    return False


def check_monotone(seed: int) -> bool | None:
    rng = random.Random(seed)
    network = busy_network(rng, rng.randint(1, 4)) if seed % 2 else random_network(rng)
    box = random_box(rng, network, 60)
    free = np.flatnonzero(box.lo < box.hi).tolist()
    if not free:
        return None
    feature, down = rng.choice(free), rng.random() < 0.5
    outputs = sorted(rng.sample(range(network.output.size), rng.randint(1, network.output.size)))
    query = monotone(network, feature, outputs, box, falls=down)
    verdict = verify(query, seed=seed)
    truth = falls(network, box, feature, outputs, -1 if down else 1)
    assert verdict.verdict == (VIOLATED if truth else HOLDS)
    if verdict.witness is not None:
        x, y = verdict.witness.inputs
        assert [b - a for a, b in zip(x, y, strict=True)] == [int(i == feature) for i in range(len(x))]
        assert replay(query, verdict.witness.inputs) == verdict.witness
    return truth


# --- how far values reach ---


def accumulators(network: Network, values: np.ndarray) -> list[np.ndarray]:
    """Of every layer, int64[points, outputs], by rows."""
    rows = [[network.row(k, i) for i in range(layer.affine.n_out)] for k, layer in enumerate(network.layers)]
    return [np.stack([values[:, v] @ w + bias for v, w, bias in layer], axis=1) for layer in rows]


def regions(first: int, count: int) -> Iterator[tuple[int, Network, Box, np.ndarray]]:
    """Seeds, networks, boxes and all values at all points of these; seeds of huge numbers are left out."""
    for seed in range(first, first + count):
        networks, boxes, values = region(random.Random(seed), 200)
        if all(np.abs(v).max() < 1 << 40 for v in values):
            yield seed, networks[0], boxes[0], values[0]


def check_overflow(seed: int) -> bool | None:
    """Widths and exact ranges of the accumulators of all layers; whether some accumulator moves."""
    moves = None
    for _, network, box, values in regions(seed, 1):
        accs = accumulators(network, values)
        moves = any((acc.min(axis=0) < acc.max(axis=0)).any() for acc in accs)
        for exact in (False, True):
            rules = {"exact": exact, "seed": seed, "tighten": (40, 0)[seed % 2], "attack": seed % 3 > 0}
            for found in overflow(network, box, layers=range(len(network.layers)), **rules):
                acc, outputs = accs[found.layer], values[:, network.target(found.layer)]
                ends = int(acc.min()), int(acc.max())
                assert found.needed == found.enough == width(*ends), found
                assert found.bounds[0] <= ends[0] <= found.reached[0] <= found.reached[1] <= ends[1] <= found.bounds[1]
                assert not exact or found.reached == found.bounds == ends
                assert found.value == reference_accumulator(network, found)
                check_outputs(network.layers[found.layer], outputs, found)
    return moves


def check_outputs(layer: Layer, values: np.ndarray, found: LayerWidth) -> list[bool]:
    """What is said of each output is so; whether all is said, of each kind."""
    lo, hi = (np.resize([getattr(r, end) for r in layer.requantizers], values.shape[1]) for end in ("lo", "hi"))
    truths = (values.min(axis=0) == values.max(axis=0), (values == lo).all(axis=0), (values == lo).any(axis=0), (values == hi).any(axis=0))
    for truth, sure, maybe in zip(truths, found.outputs[:4], found.outputs.maybe, strict=True):
        true = set(np.flatnonzero(truth).tolist())
        assert set(sure) <= true <= set(sure) | set(maybe)
        assert not set(sure) & set(maybe)
    return [not maybe for maybe in found.outputs.maybe]


def reference_accumulator(network: Network, found: LayerWidth) -> int:
    values = reference.run_values(network, found.inputs)
    return reference.accumulators(network.layers[found.layer], [values[v] for v in network.reads[found.layer].tolist()])[found.end[0]]


def check_range(seed: int) -> bool | None:
    """The ranges of all outputs; whether some output moves."""
    moves = None
    for _, network, box, values in regions(seed, 1):
        outputs = values[:, network.outputs]
        moves = bool((outputs.min(axis=0) < outputs.max(axis=0)).any())
        for found in output_ranges(network, box, engine=("auto", "sat")[seed % 2], seed=seed):
            column = outputs[:, found.output]
            assert found.exact
            assert (found.least[0], found.most[0]) == (column.min(), column.max())
            for inputs, (end, _) in zip(found.inputs, (found.least, found.most), strict=True):
                assert reference.run(network, inputs)[found.output] == end
    return moves


CHECKS: dict[str, Callable[[int], bool | None]] = {
    **{f"radius-{norm}": partial(check_radius, norm=norm) for norm in NORMS},
    "agree": check_agree,
    "equal": check_equal,
    "linked": check_linked,
    "gap": check_gap,
    "monotone": check_monotone,
    "overflow": check_overflow,
    "range": check_range,
}
