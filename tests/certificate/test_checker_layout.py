"""The checker's intervals and multipliers against every point of tiny queries."""

import itertools
import random

import numpy as np
import pytest
from handmade import one_layer, query, tensor, y
from tiny import points_of, random_query

from qbitsat.arithmetic import ShiftRequantizer
from qbitsat.bounds import propagate
from qbitsat.certificate.formula import Atom, plain, ranked_out, simplified
from qbitsat.certificate.layout import Layout, Ranges
from qbitsat.network import reference
from qbitsat.properties import And, AtMost
from qbitsat.properties.formula import is_true


def values_of(query, inputs) -> list[int]:
    """All values at one combination of inputs, in the checker's order."""
    runs = [reference.run_all(network, x) for network, x in zip(query.networks, inputs, strict=True)]
    return [v for run in runs for v in run[0]] + [v for run in runs for layer in run[1:] for v in layer]


def table(query) -> np.ndarray:
    """Values at every point of the boxes, a row each."""
    points = [points_of(box).tolist() for box in query.boxes]
    return np.array([values_of(query, inputs) for inputs in itertools.product(*points)])


def accumulators(layout: Layout, values: np.ndarray) -> np.ndarray:
    rows = [block.row(i) for block in layout.blocks for i in range(len(block.bias))]
    return np.array([values[:, read] @ weights + bias for read, weights, bias in rows]).T.reshape(len(values), -1)


def holds(atom: Atom, row) -> bool:
    return sum(c * int(row[value]) for value, c in atom.terms.items()) <= atom.bound


def holds_plain(formula, row) -> bool:
    if isinstance(formula, Atom):
        return holds(formula, row)
    parts = [holds_plain(part, row) for part in formula.parts]
    return all(parts) if formula.every else any(parts)


@pytest.mark.parametrize("seed", range(60))
def test_ranges_hold_every_point_and_are_those_of_the_bounds(seed):
    asked = random_query(random.Random(seed))
    layout, values = Layout(asked), table(asked)
    ranges, accs = layout.whole, accumulators(layout, values)
    assert (ranges.lo <= values).all()
    assert (values <= ranges.hi).all()
    assert (ranges.acc_lo <= accs).all()
    assert (accs <= ranges.acc_hi).all()
    bounds = propagate(asked)
    assert all(np.array_equal(getattr(ranges, name), getattr(bounds, name)[0]) for name in ("lo", "hi", "acc_lo", "acc_hi"))


@pytest.mark.parametrize("seed", range(60))
def test_cuts_lose_no_point(seed):
    rng = random.Random(seed)
    asked = random_query(rng)
    layout, values = Layout(asked), table(asked)
    ranges, accs = layout.whole, accumulators(layout, values)
    for _ in range(4):
        value = rng.randrange(layout.num_values)
        at = rng.randint(int(ranges.lo[value]), int(ranges.hi[value]) + 1)
        lo, hi = rng.choice([(-(10**9), at - 1), (at, 10**9)])
        inside = (lo <= values[:, value]) & (values[:, value] <= hi)
        values, accs = values[inside], accs[inside]
        cut = layout.cut(ranges, value, lo, hi)
        if cut is None:
            assert not len(values)
            return
        ranges = cut
        assert not ranges.empty()
        assert (ranges.lo <= values).all()
        assert (values <= ranges.hi).all()
        assert (ranges.acc_lo <= accs).all()
        assert (accs <= ranges.acc_hi).all()


@pytest.mark.parametrize("seed", range(60))
def test_multipliers_bound_every_point(seed):
    rng = np.random.default_rng(seed)
    asked = random_query(random.Random(seed))
    layout, values = Layout(asked), table(asked)
    whole, cases, largest = layout.whole, [], []
    for size in (1, 7, 1 << 20, 1 << 40):
        objective = {int(v): int(rng.integers(-size, size + 1)) for v in rng.integers(0, layout.num_values, 3)}
        multipliers = rng.integers(-size, size + 1, layout.num_neurons)
        cases.append((whole, objective, multipliers))
        largest.append(max(sum(c * int(row[v]) for v, c in objective.items()) for row in values))
    bounds = layout.largest(cases)
    assert all(bound >= most for bound, most in zip(bounds, largest, strict=True))


def test_bound_of_one_neuron_is_its_best_step():
    """y = floor(acc / 4) in [0, 3], acc = x in [0, 15]: the largest 4 y - acc is 0, at the first acc of each step."""
    network = one_layer([[1]], None, ShiftRequantizer(2, "floor", 0, 3), tensor(1))
    layout = Layout(query(network, AtMost(((1, y(0)),), 0)))
    for c, m, best in ((4, 1, 0), (4, 0, 12), (-4, -1, 3), (8, 1, 12)):
        case = (layout.whole, {1: c}, np.array([m]))
        # m (x - acc) is added, so the input's own maximum counts too.
        assert layout.largest([case]) == [best + max(0, 15 * m)]


@pytest.mark.parametrize("seed", range(30))
def test_int64_and_python_integers_agree(seed, monkeypatch):
    rng = np.random.default_rng(seed)
    layout = Layout(random_query(random.Random(seed)))
    cases = []
    for _ in range(5):
        objective = {int(v): int(rng.integers(-99, 100)) for v in rng.integers(0, layout.num_values, 3)}
        cases.append((layout.whole, objective, rng.integers(-99, 100, layout.num_neurons)))
    fast = layout.largest(cases)
    monkeypatch.setattr(Layout, "_fits", lambda *_: False)
    assert layout.largest(cases) == fast


@pytest.mark.parametrize("seed", range(40))
def test_sums_near_the_end_of_64_bits_are_exact(seed, monkeypatch):
    """Of every magnitude up to 63 bits; where int64 is chosen, nothing wraps around."""
    rng = np.random.default_rng(seed)
    layout = Layout(random_query(random.Random(seed)))
    cases, chosen = [], []
    for bits in range(20, 63):
        big = 1 << bits
        objective = {int(v): int(rng.integers(-big, big)) for v in rng.integers(0, layout.num_values, 3)}
        cases.append((layout.whole, objective, rng.integers(-big, big, layout.num_neurons)))
    fits = Layout._fits
    monkeypatch.setattr(Layout, "_fits", lambda *args: chosen.append(fits(*args)) or chosen[-1])
    one_by_one = [layout.largest([case])[0] for case in cases]
    assert set(chosen) == {True, False}
    monkeypatch.setattr(Layout, "_fits", lambda *_: False)
    assert one_by_one == layout.largest(cases)


def test_sums_beyond_64_bits_are_exact():
    layout = Layout(random_query(random.Random(3)))
    huge = np.full(layout.num_neurons, (1 << 62) + 1)
    (bound,) = layout.largest([(layout.whole, {0: 1 << 80}, huge)])
    (once,) = layout.largest([(layout.whole, {0: 0}, np.ones(layout.num_neurons, np.int64))])
    (most,) = layout.largest([(layout.whole, {0: 1}, np.zeros(layout.num_neurons, np.int64))])
    assert bound <= once * ((1 << 62) + 1) + (most << 80)
    assert bound > 1 << 64 or most <= 0


def test_ranges_without_a_step_have_no_point():
    """y = 2 acc: no accumulator gives an odd output."""
    network = one_layer([[1]], None, ShiftRequantizer(-1, "floor", 0, 30), tensor(1))
    layout = Layout(query(network, And(())))
    one = np.array([3], np.int64)
    ranges = Ranges.at_rest(np.array([0, 3]), np.array([15, 3]), one, one - 1)
    assert ranges.empty()
    assert layout.cut(layout.whole, 1, 3, 3) is None or layout.largest([(layout.cut(layout.whole, 1, 3, 3), {}, one * 0)]) == [None]


@pytest.mark.parametrize("seed", range(80))
def test_simplified_formula_means_the_same(seed):
    asked = random_query(random.Random(seed))
    layout, values = Layout(asked), table(asked)
    formula = plain(asked.violation, layout)
    simple = simplified(formula, layout, layout.whole)
    for row in values:
        inputs = [row[part].tolist() for part in layout.inputs]
        outputs = [row[places].tolist() for places in layout.outputs]
        assert holds_plain(formula, row) == holds_plain(simple, row) == is_true(asked.violation, inputs, outputs)


def test_ranks_are_believed_only_where_every_point_agrees():
    """y_0 - y_1 <= 0 or -1 for two outputs of one layer; some are refuted although both reach the same outputs."""
    ranked = 0
    for seed in range(400):
        rng = np.random.default_rng(seed)
        requantizer = ShiftRequantizer(int(rng.integers(0, 4)), "half_up", -4, 4)
        network = one_layer(rng.integers(-3, 4, (2, 2)), rng.integers(-9, 10, 2), requantizer, tensor(2, 0, 3))
        asked = query(network, AtMost(((1, y(0)), (-1, y(1))), int(rng.integers(-1, 1))))
        layout = Layout(asked)
        atom = plain(asked.violation, layout)
        if ranked_out(atom, layout, layout.whole):
            assert not any(holds(atom, row) for row in table(asked))
            ranked += layout.smallest(atom.terms, layout.whole) <= atom.bound
    assert ranked > 20
