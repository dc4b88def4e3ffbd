"""The checker's intervals and multipliers on graphs: every layer, view and requantizer, against every point of small boxes."""

import itertools
import random

import numpy as np
import pytest
from graphs import KINDS, WIDE, graph_query
from tiny import points_of

from qbitsat.arithmetic import ShiftRequantizer
from qbitsat.bounds import propagate
from qbitsat.certificate.formula import Atom, plain, ranked_out, simplified
from qbitsat.certificate.layout import FAR, Layout, Ranges
from qbitsat.certificate.products import products
from qbitsat.network import Linear, Network, Patches, TensorFormat, reference
from qbitsat.network.layers import PADDING
from qbitsat.properties import AtMost, Box, Query, Ref


def any_query(seed: int, kinds=KINDS) -> Query:
    return graph_query(random.Random(seed), kinds, tops=WIDE)


def table(query: Query) -> tuple[np.ndarray, np.ndarray]:
    """Values and accumulators at every point of the boxes, a row each, by the definition of each layer."""
    rows = []
    for inputs in itertools.product(*(points_of(box).tolist() for box in query.boxes)):
        runs = [reference.run_all(network, x) for network, x in zip(query.networks, inputs, strict=True)]
        accs = []
        for network, run in zip(query.networks, runs, strict=True):
            values = [v for part in run for v in part]
            for layer, reads in zip(network.layers, network.reads, strict=True):
                accs += reference.accumulators(layer, [values[v] for v in reads.tolist()])
        rows.append(([v for run in runs for v in run[0]] + [v for run in runs for part in run[1:] for v in part], accs))
    values, accs = zip(*rows, strict=True)
    return np.array(values), np.array(accs)


def hold(ranges: Ranges | None, values: np.ndarray, accs: np.ndarray) -> bool:
    if ranges is None:
        return not len(values)
    pairs = ((ranges.lo, values), (values, ranges.hi), (ranges.acc_lo, accs), (accs, ranges.acc_hi))
    return all((a <= b).all() for a, b in pairs)


@pytest.mark.parametrize("seed", range(120))
def test_ranges_and_rows_hold_every_point(seed):
    asked = any_query(seed)
    layout, (values, accs), bounds = Layout(asked), table(asked), propagate(asked)
    whole = layout.whole
    assert hold(whole, values, accs)
    assert all(np.array_equal(getattr(whole, name), getattr(bounds, name)[0]) for name in ("lo", "hi", "acc_lo", "acc_hi"))
    rows = [block.row(i) for block in layout.blocks for i in range(len(block.bias))]
    for neuron, (read, weights, bias) in enumerate(rows):
        assert (values[:, read] @ weights + bias == accs[:, neuron]).all()
    for k, network in enumerate(asked.networks):
        for e in range(len(network.outputs)):
            expected = [reference.run(network, row[layout.inputs[k]].tolist())[e] for row in values[:3]]
            assert values[:3, layout.index(Ref(k, "output", e))].tolist() == expected


@pytest.mark.parametrize("seed", range(120))
def test_cuts_and_sums_lose_no_point(seed):
    rng = random.Random(seed)
    asked = any_query(seed)
    layout, (values, accs) = Layout(asked), table(asked)
    ranges = layout.whole
    for _ in range(5):
        value = rng.randrange(layout.num_values)
        at = int(rng.choice([values[rng.randrange(len(values)), value], rng.randint(int(ranges.lo[value]), int(ranges.hi[value]))]))
        lo, hi = rng.choice([(-FAR, at - 1), (at, FAR)])
        inside = (lo <= values[:, value]) & (values[:, value] <= hi)
        cut = layout.cut(ranges, value, lo, hi)
        assert hold(cut, values[inside], accs[inside])
        if cut is None or not inside.any():
            return
        ranges, values, accs = cut, values[inside], accs[inside]
        terms = {v: rng.choice([-5, -1, 1, 3]) for v in rng.sample(range(layout.num_values), min(3, layout.num_values))}
        sums = sum(c * values[:, v] for v, c in terms.items())
        bound = int(sums[rng.randrange(len(sums))]) + rng.randint(-3, 3)
        assert hold(layout.narrowed(ranges, [(terms, bound)]), values[sums <= bound], accs[sums <= bound])


@pytest.mark.parametrize("seed", range(120))
def test_multipliers_bound_every_point_in_int64_and_beyond(seed, monkeypatch):
    rng = random.Random(seed)
    asked = any_query(seed)
    layout, (values, _) = Layout(asked), table(asked)
    cases, largest, whole = [], [], layout.whole
    for bits in (0, 3, 20, 40, 61):
        size = 1 << bits
        objective = {rng.randrange(layout.num_values): rng.randint(-size, size) for _ in range(3)}
        cases.append((whole, objective, np.array([rng.choice([0, rng.randint(-size, size)]) for _ in range(layout.num_neurons)])))
        largest.append(max(sum(c * int(row[v]) for v, c in objective.items()) for row in values))
    bounds = [layout.largest([case])[0] for case in cases]
    assert all(bound >= most for bound, most in zip(bounds, largest, strict=True))
    monkeypatch.setattr(Layout, "_fits", lambda *_: False)
    assert layout.largest(cases) == bounds


@pytest.mark.parametrize("seed", range(60))
def test_multipliers_of_zero_are_the_sum_of_ends(seed):
    """With no multipliers every value is on its own: the bound is the sum of what each can be."""
    rng = random.Random(seed)
    layout = Layout(any_query(seed))
    whole = layout.whole
    objective = {v: rng.randint(-9, 9) for v in rng.sample(range(layout.num_values), min(4, layout.num_values))}
    ends = sum(c * int((whole.hi if c > 0 else whole.lo)[v]) for v, c in objective.items())
    assert layout.largest([(whole, objective, np.zeros(layout.num_neurons, np.int64))]) == [ends]


@pytest.mark.parametrize("seed", range(80))
def test_simplified_formulas_of_graphs_mean_the_same(seed):
    asked = any_query(seed)
    layout, (values, _) = Layout(asked), table(asked)
    formula = plain(asked.violation, layout)
    simple = simplified(formula, layout, layout.whole)
    assert all(truth(formula, row) == truth(simple, row) for row in values)


def truth(formula, row) -> bool:
    if isinstance(formula, Atom):
        return sum(c * int(row[value]) for value, c in formula.terms.items()) <= formula.bound
    parts = [truth(part, row) for part in formula.parts]
    return all(parts) if formula.every else any(parts)


def test_ranks_of_outputs_that_read_padding_and_a_value_twice():
    """acc_0 = 2 x - z + 3 and acc_1 = x + z: 0 is ahead by x + 3 - 2 z, that is by 5 or more."""
    form, shift = TensorFormat((1,), 0, 7, zero_point=-1), ShiftRequantizer(0, "floor", -99, 99)
    shared = Patches(3, np.zeros(1, int), np.arange(3), 0, np.array([[[1, 1, -1], [1, 0, 1]]]), np.array([[3, 0]]))
    layer = Linear("twice", form, TensorFormat((2,), -99, 99), (shift,), shared, np.array([0, 0, PADDING]))
    network = Network((layer,), outputs=np.array([1, 2]))
    terms = ((1, Ref(0, "output", 0)), (-1, Ref(0, "output", 1)))
    for sign, bound, expected in ((1, -1, True), (1, 0, True), (-1, -1, False)):
        asked = Query((network,), (Box([0], [7]),), AtMost(tuple((sign * c, ref) for c, ref in terms), bound))
        layout = Layout(asked)
        assert ranked_out(plain(asked.violation, layout), layout, layout.whole) == expected


@pytest.mark.parametrize("seed", range(30))
def test_products_of_all_kinds_are_those_of_rows(seed):
    rng = random.Random(seed)
    for network in any_query(seed).networks:
        for layer in network.layers:
            affine, made = layer.affine, products(layer.affine)
            matrix = np.zeros((affine.n_out, affine.n_in), np.int64)
            for i in range(affine.n_out):
                cells, weights = affine.row(i)
                matrix[i, cells] = weights
            x = np.array([[rng.randint(-9, 9) for _ in range(affine.n_in)] for _ in range(3)])
            m = np.array([[rng.randint(-9, 9) for _ in range(affine.n_out)] for _ in range(2)])
            assert (made.apply(x) == x @ matrix.T).all()
            assert (made.apply(x, True) == x @ abs(matrix).T).all()
            for kind, times in ((np.int64, 1), (np.int64, 1 << 48), (object, 1), (object, 1 << 80)):
                total = np.zeros((2, affine.n_in), kind)
                for part in made.spread(m.astype(kind) * times):
                    cases, cells, sums = np.broadcast_arrays(*part)
                    np.add.at(total, (cases.ravel(), cells.ravel()), sums.ravel())
                assert (total == (m @ matrix).astype(kind) * times).all()
