"""Convolutions and graphs of layers: structured maps against the definition in reference.py, and what is refused."""

import random

import numpy as np
import pytest

from qbitsat.arithmetic import MultiplierRequantizer, ShiftRequantizer
from qbitsat.errors import InputError, UnsupportedError
from qbitsat.network import Convolution, Dense, Linear, Network, Patches, SparseRows, TensorFormat, forward_all, reference
from qbitsat.network.layers import PADDING


def random_convolution(rng: random.Random, name: str = "conv", source: TensorFormat | None = None) -> Convolution:
    """Any strides, padding, dilation and groups that fit a small input."""
    while True:
        groups, depth, multiplier = rng.choice([(1, 2, 3), (1, 1, 2), (2, 1, 1), (3, 1, 2), (2, 2, 1)])
        height, width = rng.randint(1, 5), rng.randint(1, 5)
        form = source or TensorFormat((height, width, groups * depth), -4, 3, zero_point=rng.choice([-4, 0, 1]))
        (height, width, channels), kernel = form.shape, (rng.randint(1, 3), rng.randint(1, 3))
        if channels != groups * depth:
            continue
        strides, dilation = ((rng.randint(1, 2), rng.randint(1, 2)) for _ in range(2))
        padding = tuple((rng.randint(0, 1), rng.randint(0, 2)) for _ in range(2))
        spans = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
        room = [n + sum(p) - s for n, p, s in zip((height, width), padding, spans, strict=True)]
        if min(room) >= 0:
            break
    n_out = groups * multiplier
    shape = (*(r // s + 1 for r, s in zip(room, strides, strict=True)), n_out)
    weights = [[[[rng.randint(-3, 3) for _ in range(depth)] for _ in range(kernel[1])] for _ in range(kernel[0])] for _ in range(n_out)]
    shifts = [ShiftRequantizer(rng.randint(0, 2), "half_up", -4, 3, offset=rng.randint(-1, 1)) for _ in range(n_out)]
    bias = [rng.randint(-9, 9) for _ in range(n_out)]
    return Convolution(name, form, TensorFormat(shape, -4, 3), tuple(shifts), weights, bias, strides, padding, dilation, groups)


def random_inputs(rng: random.Random, network: Network, n: int = 3) -> np.ndarray:
    return np.array([[rng.randint(network.input.lo, network.input.hi) for _ in range(network.num_inputs)] for _ in range(n)])


def check(network: Network, x: np.ndarray) -> None:
    assert forward_all(network, x).tolist() == [[v for part in reference.run_all(network, row) for v in part] for row in x.tolist()]


@pytest.mark.parametrize("seed", range(40))
def test_convolution_is_as_defined(seed):
    rng = random.Random(seed)
    network = Network((random_convolution(rng),))
    check(network, random_inputs(rng, network))


@pytest.mark.parametrize("seed", range(20))
def test_rows_of_a_network_name_values_and_fold_padding(seed):
    rng = random.Random(seed)
    network = Network((random_convolution(rng),))
    x = random_inputs(rng, network, 1)[0].tolist()
    layer = network.layers[0]
    accs = reference.accumulators(layer, x)
    for i, acc in enumerate(accs):
        values, weights, bias = network.row(0, i)
        assert acc == bias + sum(w * x[v] for v, w in zip(values.tolist(), weights.tolist(), strict=True))
        assert layer.affine.sources(np.arange(len(accs)) == i).sum() == len(layer.affine.row(i)[0])
    assert layer.affine.magnitudes().tolist() == [int(np.abs(layer.affine.row(i)[1]).sum()) for i in range(len(accs))]


def residual() -> Network:
    """y = clamp(x + conv(x)) on 2 x 2 pixels, of which the result is the last three and, again, the first."""
    form = TensorFormat((2, 2, 1), -4, 3)
    shift = ShiftRequantizer(0, "floor", -4, 3)
    conv = Convolution("conv", form, form, (shift,), np.full((1, 2, 2, 1), 1), [1], padding=((1, 0), (0, 1)))
    both = TensorFormat((8,), -4, 3)
    add = Linear("add", both, form, (shift,), Patches(8, np.arange(4), np.array([0, 4]), 0, np.ones((1, 1, 2), int), np.zeros((1, 1), int)))
    reads = (np.arange(4), np.arange(8))
    return Network((conv, add), "residual", reads=reads, outputs=np.array([9, 10, 11, 8]))


def test_graph_with_a_residual():
    network = residual()
    x = random_inputs(random.Random(0), network, 20)
    check(network, x)
    assert reference.run(network, [1, 1, -1, 0]) == [3, 1, 2, 3]
    assert (network.output.size, network.output.lo, network.is_chain) == (4, -4, False)
    assert network.sha256 != Network(network.layers, "residual", reads=network.reads).sha256


def test_a_row_that_reads_a_value_twice_names_it_once():
    form, shift = TensorFormat((2,), 0, 3), ShiftRequantizer(0, "floor", -9, 9)
    rows = SparseRows(3, np.array([0, 3]), np.array([0, 1, 2]), np.array([2, 1, -2]), np.array([5]))
    layer = Linear("twice", TensorFormat((3,), 0, 3), TensorFormat((1,), -9, 9), (shift,), rows)
    network = Network((layer,), inputs=(form,), reads=(np.array([1, 0, 1]),))
    values, weights, bias = network.row(0, 0)
    assert (values.tolist(), weights.tolist(), bias) == ([0], [1], 5)


def test_several_inputs_are_one_after_the_other():
    a, b = TensorFormat((2,), 0, 3), TensorFormat((1,), -1, 1)
    shift = ShiftRequantizer(0, "floor", -9, 9)
    layer = Dense("sum", TensorFormat((3,), -1, 3), TensorFormat((1,), -9, 9), (shift,), [[1, 1, 1]], [0])
    network = Network((layer,), inputs=(a, b), reads=(np.array([2, 0, 1]),))
    assert (network.num_inputs, network.input.lo, network.input.hi) == (3, -1, 3)
    check(network, np.array([[3, 1, -1]]))
    with pytest.raises(InputError, match=r"expected values in \[-1, 1\]"):
        forward_all(network, np.array([[0, 0, 2]]))


FORM = TensorFormat((2, 2, 1), -4, 3)
SHIFT = ShiftRequantizer(0, "floor", -4, 3)
MISTAKES = {
    "output height 2, but strides, padding and kernel give 1": {"weights": np.ones((1, 2, 1, 1), int)},
    r"weights of shape \(1, 2\), expected \(outputs, height, width, channels\)": {"weights": [[1, 2]]},
    "3 groups do not divide 1 channels": {"weights": np.ones((1, 1, 1, 1), int), "groups": 3},
    r"strides is 0, expected an integer in \[1,": {"weights": np.ones((1, 1, 1, 1), int), "strides": (0, 1)},
    "strides 2, expected two integers": {"weights": np.ones((1, 1, 1, 1), int), "strides": 2},
    r"padding 1, expected \(\(top, bottom\), \(left, right\)\)": {"weights": np.ones((1, 1, 1, 1), int), "padding": 1},
}


@pytest.mark.parametrize("message", MISTAKES)
def test_convolutions_that_are_refused(message):
    with pytest.raises(InputError, match=message):
        Convolution("conv", FORM, FORM, (SHIFT,), **{"bias": [0], **MISTAKES[message]})


def test_padding_beyond_all_memory_is_refused():
    huge = 1 << 20
    with pytest.raises(UnsupportedError, match="a padded input of"):
        Convolution("c", FORM, TensorFormat((3, 3, 1), -4, 3), (SHIFT,), [[[[1]]]], [0], (huge, huge), ((huge, huge), (huge, huge)))


@pytest.mark.parametrize("reads", [[0, 1, 4], [-1, 0, 1], [0, 1], [[0, 1, 2]]], ids=["own output", "negative", "few", "two axes"])
def test_reads_that_are_refused(reads):
    layer = Dense("d", TensorFormat((3,), 0, 3), TensorFormat((1,), -4, 3), (SHIFT,), [[1, 1, 1]], [0])
    with pytest.raises(InputError, match="network 'network': what layer 'd' reads"):
        Network((layer,), inputs=(TensorFormat((4,), 0, 3),), reads=(np.array(reads),))


def test_values_outside_what_a_layer_reads_are_refused():
    layer = Dense("d", TensorFormat((1,), 0, 3), TensorFormat((1,), -4, 3), (SHIFT,), [[1]], [0])
    with pytest.raises(InputError, match=r"layer 'd' reads .*, but is given values in \[0, 4\]"):
        Network((layer,), inputs=(TensorFormat((1,), 0, 4),), reads=(np.array([0]),))


def test_padding_is_the_zero_point():
    form = TensorFormat((1,), 0, 3, zero_point=2)
    layer = Linear("pad", form, TensorFormat((2,), -9, 9), (ShiftRequantizer(0, "floor", -9, 9),), identity(2), np.array([PADDING, 0]))
    assert reference.run(Network((layer,)), [1]) == [2, 1]
    check(Network((layer,)), np.array([[3]]))


def identity(n: int) -> Patches:
    return Patches(n, np.arange(n), np.zeros(1, int), 0, np.ones((1, 1, 1), int), np.zeros((1, 1), int))


def test_accumulators_beyond_what_a_runtime_computes_are_refused():
    form, top = TensorFormat((2,), -128, 127), (1 << 31) - 1
    requantizer = MultiplierRequantizer(1 << 30, -10, "double", -128, 127)
    bias = requantizer.acc_limit - 255 * 3
    inside = Dense("d", form, TensorFormat((1,), -128, 127), (requantizer,), [[3, 3]], [bias - 127 * 3 + 128 * 3 - 3])
    assert max(reference.accumulators(inside, [127, 127])) <= requantizer.acc_limit
    with pytest.raises(UnsupportedError, match=r"accumulator of output 0 can reach \d+, expected at most \d+, as far as MultiplierReq"):
        Dense("d", form, TensorFormat((1,), -128, 127), (requantizer,), [[3, 3]], [top])


def test_sources_of_some_outputs_are_those_of_each():
    """Of random masks, with rows that hold zeros: the cells that some row reads."""
    rng = np.random.default_rng(5)
    for groups, channels in ((1, 3), (4, 1), (2, 2)):
        rows = rng.integers(-1, 2, (groups, channels, 3))
        affine = Patches(groups * 9, np.array([0, 2, 5]), np.array([0, 1, 3]), 9, rows, np.zeros((groups, channels), int))
        for _ in range(20):
            outputs = rng.random(affine.n_out) < 0.3
            read = np.zeros(affine.n_in, bool)
            for i in np.flatnonzero(outputs):
                read[affine.row(i)[0]] = True
            assert affine.sources(outputs).tolist() == read.tolist()
