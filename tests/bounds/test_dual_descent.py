"""The search for multipliers: its kernel against a plain twin, and its values against the integers."""

import random

import numpy as np
import pytest
from descent_nodes import alone, flat, floats, graph_layers, in_order, random_layers, random_node, weights
from descent_twin import Node, Twin
from handmade import query, tensor
from tiny import busy_network

from qbitsat._kernels.exact.layers import Layers
from qbitsat._kernels.suggest.descent import Descent
from qbitsat._kernels.suggest.floats import Floats
from qbitsat.arithmetic import ShiftRequantizer
from qbitsat.bounds import propagate
from qbitsat.bounds.dual import Dual
from qbitsat.bounds.dual_descent import DECAY, RATE, DualDescent
from qbitsat.bounds.layout import Layout
from qbitsat.limits import LimitReached
from qbitsat.network import Convolution, Dense, Network, Patches, TensorFormat
from qbitsat.properties.formula import TRUE


def run_kernel(layers, inequalities, node, multipliers, shares, cold, steps, atoms=(0, 1, 2), anchor=-1, polish=0, wide=False):
    """The kernel's answer for one node, without the axis of nodes, in the order of `descent_twin.Result`."""
    kernel = Descent(Floats(layers[0]), flat(inequalities), None, wide)
    multipliers, shares = multipliers[None].copy(), shares[None].copy()
    one = [np.ascontiguousarray(part[None]) for part in node]
    numbers = np.array([anchor], np.int32), np.array([cold], np.uint8)
    answer = kernel.run(np.array([atoms], np.int32), *one, *numbers, multipliers, shares, steps, RATE, DECAY, polish)
    value, coefficients, x_best, x, acc, y, taken = answer
    return value[0], multipliers[0], shares[0], coefficients[0], x_best[0], x[0], acc[0], y[0], taken


def as_kernel(layers, make, wide):
    """The layers of a twin as nodes take them that descend one by one, or side by side."""
    return alone(layers, make) if wide else layers


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("anchor", [-1, 6])
@pytest.mark.parametrize("cold", [True, False])
@pytest.mark.parametrize("steps", [1, 2, 5, 20])
@pytest.mark.parametrize("make", [random_layers, graph_layers])
def test_descent_kernel_equals_its_twin(make, cold, steps, anchor, wide):
    for seed in range(20):
        layers, inequalities, node, multipliers, shares = random_node(seed, make)
        got = run_kernel(layers, inequalities, node, multipliers, shares, cold, steps, anchor=anchor, wide=wide)
        expected = Twin(as_kernel(layers[1], make, wide), inequalities, node, anchor).descend(
            multipliers.astype(float), shares.astype(float), cold, steps, RATE, DECAY
        )
        for a, b in zip(got, expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("anchor", [-1, 6])
@pytest.mark.parametrize("bare", [True, False])
def test_descent_polish_equals_its_twin(bare, anchor, wide):
    for seed in range(20):
        layers, inequalities, node, multipliers, shares = random_node(seed)
        cold, atoms = not bare, (-1, -1, -1) if bare else (0, 1, 2)
        got = run_kernel(layers, inequalities, node, multipliers, shares, cold, 3, atoms, anchor, polish=5, wide=wide)
        mine = [] if bare else inequalities
        twin = Twin(as_kernel(layers[1], random_layers, wide), mine, node, anchor)
        expected = twin.descend(multipliers.astype(float), shares[: len(mine)].astype(float), cold, 3, RATE, DECAY, 5)
        for k, (a, b) in enumerate(zip(got, expected, strict=True)):
            np.testing.assert_allclose(a[: len(mine)] if k == 2 else a, b, rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("wide", [False, True])
def test_descent_polish_only_lowers_the_value(wide):
    for seed in range(20):
        layers, inequalities, node, multipliers, shares = random_node(seed)
        values = [run_kernel(layers, inequalities, node, multipliers, shares, True, 5, polish=n, wide=wide)[0] for n in (0, 3, 30)]
        assert values == sorted(values, reverse=True)


@pytest.mark.parametrize("wide", [False, True])
def test_descent_rounding_is_not_below_zero(wide):
    """Terms of 1e6 that cancel but for their float32 rounding prove nothing, and the descent goes on."""
    layers = (one_layer(np.ones((1, 1), int)),)
    acc = np.full((6, 1), 1e6, np.float32)
    node = Node(np.full(1, 1e6, np.float32), np.full(1, 1e6, np.float32), acc, np.zeros((6, 1), np.float32), np.ones(1, np.float32))
    multipliers, none = np.ones(1, np.float32), np.zeros(1, np.float32)
    value, *_, taken = run_kernel(layers, [], node._replace(vertex_acc=acc + 0.0625), multipliers, none, False, 4, (-1,), wide=wide)
    assert -1 < value < 0
    assert taken == 4


@pytest.mark.parametrize("wide", [False, True])
def test_descent_value_is_that_of_its_multipliers(wide):
    for seed in range(20):
        layers, inequalities, node, multipliers, shares = random_node(seed)
        found = run_kernel(layers, inequalities, node, multipliers, shares, True, 50, wide=wide)
        value, multipliers, shares, coefficients, x_best, *_ = found
        total, c, _, _, (x, _, _) = Twin(layers[1], inequalities, node).evaluate(multipliers.astype(float), shares.astype(float), True)
        for a, b in ((value, total), (coefficients, c), (x_best, x)):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("wide", [False, True])
def test_descent_single_inequality_keeps_its_share(wide):
    layers, inequalities, node, multipliers, shares = random_node(1)
    _, _, after, *_ = run_kernel(layers, inequalities, node, multipliers, shares, True, 9, (1, -1, -1), wide=wide)
    assert after.tolist() == shares.tolist()


@pytest.mark.parametrize("wide", [False, True])
def test_descent_stops_below_zero(wide):
    layers, inequalities, node, multipliers, shares = random_node(2)
    inequalities = [(values, factors, -1000.0) for values, factors, _ in inequalities]
    value, *_, taken = run_kernel(layers, inequalities, node, multipliers, shares, True, 9, wide=wide)
    assert value < 0
    assert taken == 1


@pytest.mark.parametrize("wide", [False, True])
def test_descent_useless_neurons_have_no_multiplier(wide):
    layers, inequalities, node, multipliers, shares = random_node(3)
    for cold in (True, False):
        _, after, *_ = run_kernel(layers, inequalities, node, multipliers, shares, cold, 9, wide=wide)
        assert ((after == 0) == (node.slopes < 0)).all()


@pytest.mark.parametrize("cold", [True, False])
@pytest.mark.parametrize("wide", [False, True])
def test_descent_anchor_multiplier_stays(cold, wide):
    layers, inequalities, node, multipliers, shares = random_node(5)
    anchor = int(np.flatnonzero(node.slopes >= 0)[2])
    _, after, *_ = run_kernel(layers, inequalities, node, multipliers, shares, cold, 9, anchor=anchor, wide=wide)
    assert np.flatnonzero(after == multipliers).tolist() == [anchor]


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("make", [random_layers, graph_layers])
def test_descent_nodes_do_not_mix(make, wide):
    """A batch gives what its nodes give one by one: more than go side by side, some with the same ranges, that end at all times."""
    (kernel_layers, _), inequalities, *_ = random_node(0, make)
    # The second inequality ends descents early, where it does.
    inequalities = [(values, factors, bound - 20.0 * (k == 1)) for k, (values, factors, bound) in enumerate(inequalities)]
    nodes = [random_node(seed % 11, make)[2:] for seed in range(45)]
    kernel = Descent(Floats(kernel_layers), flat(inequalities), None, wide)
    atoms = np.array([[0, 1, 2], [2, -1, -1], [-1, -1, -1], [1, 0, -1], [0, 0, 1]], np.int32)[np.arange(45) % 5]
    cold, anchor = (np.arange(45) % 3 > 0).astype(np.uint8), np.where(np.arange(45) % 7, -1, 6).astype(np.int32)

    def run(rows):
        parts = [np.stack([nodes[r][0][k] for r in rows]) for k in range(5)]
        multipliers, shares = (np.stack([nodes[r][k] for r in rows]) for k in (1, 2))
        found = kernel.run(atoms[rows], *parts, anchor[rows], cold[rows], multipliers, shares, 7, RATE, DECAY, 5)
        return *found[:-1], multipliers, shares, np.array([found[-1]])

    together, alone_ = run(list(range(45))), [run([r]) for r in range(45)]
    assert together[-1] == sum(one[-1] for one in alone_)
    assert len({int(one[-1][0]) for one in alone_}) > 2
    for k, part in enumerate(together[:-1]):
        for row, one in zip(part, alone_, strict=True):
            np.testing.assert_allclose(row, one[k][0], rtol=1e-3, atol=1e-3 if wide else 0)


@pytest.mark.parametrize("rounding", ["floor", "half_up"])
def test_descent_value_is_what_integers_prove(rounding):
    """Where steps are equally long, six vertices are enough for the exact dual value."""
    for seed in range(30):
        rng = random.Random(seed)
        layers, form = [], None
        for layer in busy_network(rng, 3).layers:
            requantizer = ShiftRequantizer(max(0, layer.requantizers[0].shift), rounding, 0, 7)
            output = tensor(layer.output.size, 0, 7)
            layers.append(Dense("layer", form or layer.input, output, (requantizer,), layer.weights, layer.bias))
            form = output
        asked = query(Network(tuple(layers)), TRUE)
        layout, ranges = Layout(asked.networks), propagate(asked)
        outputs = layout.results[0]
        inequality = outputs, np.array([rng.choice([-2, -1, 1, 3]) for _ in outputs]), -1000
        found = DualDescent(layout, layout.blocks, [inequality], ranges).run(
            ranges, np.zeros((1, 1), np.int32), np.ones(1), np.zeros((1, layout.num_neurons)), np.ones((1, 1)), 10
        )
        said = Dual(layout, [inequality]).prove(ranges, np.zeros(1, np.int64), np.zeros((1, 1), np.int32), found.shares, found.multipliers)
        assert said.values[0] / said.shares[0, 0] * found.shares[0, 0] == pytest.approx(found.dual[0], abs=0.05)


def one_layer(matrix: np.ndarray) -> Layers:
    n_out, n_in = matrix.shape
    return Layers(n_in, [(Patches.dense(matrix, np.zeros(n_out, int)), np.arange(n_in, dtype=np.int32), 0, ())])


SMALL = Floats(one_layer(np.zeros((2, 3), int)))


@pytest.mark.parametrize(("value", "coefficients"), [(5, 1), (-1, 1), (1, 2)])
def test_descent_inequalities_that_do_not_fit(value, coefficients):
    with pytest.raises(ValueError, match=r"names|coefficients"):
        Descent(SMALL, flat([(np.array([value], np.int32), floats(coefficients), 0.0)]))


NODES = {
    "x_lo": floats(2, 4), "x_hi": floats(1, 3), "vertex_acc": floats(2, 5, 2), "vertex_y": floats(2, 6, 3), "slopes": floats(2, 3),
    "cold": np.zeros(3, np.uint8), "multipliers": floats(2, 1), "shares": floats(2, 2), "atoms": np.full((2, 1), 1, np.int32),
}  # fmt: skip
TYPES = {"x_lo": np.zeros((2, 3)), "atoms": np.zeros((2, 1), np.int64), "shares": np.zeros((2, 1))}


@pytest.mark.parametrize(
    ("name", "array"),
    [
        *NODES.items(),
        *TYPES.items(),
        ("atoms", np.full((2, 1), -2, np.int32)),
        ("anchor", np.array([0, 2], np.int32)),
        ("anchor", np.array([0], np.int32)),
    ],
)
@pytest.mark.parametrize("wide", [False, True])
def test_descent_nodes_that_do_not_fit(name, array, wide):
    kernel = Descent(SMALL, flat([(np.array([1], np.int32), floats(1), 0.0)]), None, wide)
    arguments = {"atoms": np.zeros((2, 1), np.int32), "x_lo": floats(2, 3), "x_hi": floats(2, 3), "vertex_acc": floats(2, 6, 2)}
    arguments |= {"vertex_y": floats(2, 6, 2), "slopes": floats(2, 2), "multipliers": floats(2, 2)}
    arguments |= {"anchor": np.full(2, -1, np.int32), "cold": np.zeros(2, np.uint8)}
    arguments |= {"shares": floats(2, 1), "steps": 1, "rate": RATE, "decay": DECAY}
    kernel.run(**arguments)
    with pytest.raises(ValueError, match=r"expected|does not exist|mismatch"):
        kernel.run(**{**arguments, name: array})


@pytest.mark.parametrize("wide", [False, True])
def test_ticks_come_while_one_node_descends_and_can_end_it(wide):
    ticks = []

    def tick():
        ticks.append(None)
        if len(ticks) == 3:
            raise LimitReached("timeout")

    kernel = Descent(SMALL, flat([(np.array([1], np.int32), floats(1), 0.0)]), tick, wide)
    before, one = len(ticks), np.zeros(1, np.int32)
    nodes = one[:, None], floats(1, 3), floats(1, 3), floats(1, 6, 2), floats(1, 6, 2), floats(1, 2), one - 1, np.zeros(1, np.uint8)
    with pytest.raises(LimitReached):
        kernel.run(*nodes, floats(1, 2), floats(1, 1), 2**31 - 1, RATE, DECAY)
    assert len(ticks) == 3 > before


@pytest.mark.parametrize("wide", [False, True])
def test_only_what_an_inequality_rests_on_moves(wide):
    """One output of a convolution behind a convolution: the positions that it does not see keep multipliers of 0."""
    rng = np.random.default_rng(3)
    form = TensorFormat((8, 8, 1), -9, 9)
    step = (ShiftRequantizer(0, "floor", -9, 9),)
    layers = [Convolution(f"c{k}", form, form, step, weights(rng, 1, 3, 3, 1), [1], padding=((1, 1), (1, 1))) for k in range(2)]
    parts = [
        (layer.affine, np.where(layer.cells < 0, -1, layer.cells + first).astype(np.int32), 0, ())
        for layer, first in zip(layers, (0, 64), strict=True)
    ]
    inputs, neurons = 64, 128
    kernel, twins = Layers(inputs, parts), in_order(parts)
    vertices = [rng.normal(0, 1, (6, neurons)).astype(np.float32) for _ in range(2)]
    low = rng.normal(0, 1, inputs).astype(np.float32)
    node = Node(low, low + 1, *vertices, np.full(neurons, 0.5, np.float32))
    inequalities = [(np.array([inputs + 64 + 9], np.int32), np.ones(1, np.float32), 0.0)]
    start = np.zeros(neurons, np.float32), np.ones(1, np.float32)
    found = run_kernel((kernel, twins), inequalities, node, *start, True, 8, (0,), wide=wide)
    expected = Twin(twins, inequalities, node).descend(start[0].astype(float), start[1].astype(float), True, 8, RATE, DECAY)
    assert found[0] == pytest.approx(expected.value, rel=1e-4)
    assert np.flatnonzero(found[1]).tolist() == [0, 1, 2, 8, 9, 10, 16, 17, 18, 64 + 9]
