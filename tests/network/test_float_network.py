"""Float networks: each layer against a program of plain loops, and one fault of a record each."""

import copy
import itertools
import pickle

import numpy as np
import pytest

from qbitsat.errors import InputError, UnsupportedError
from qbitsat.network.float_network import (
    Activation,
    Add,
    Clip,
    Concat,
    FloatConvolution,
    FloatDense,
    FloatNetwork,
    GlobalPool,
    Pad,
    Pool,
    Reshape,
    Scale,
    Transpose,
)

LAST = (-1,)


def network(*layers, inputs=((4, 5, 2),), **more) -> FloatNetwork:
    return FloatNetwork(inputs, layers, **more)


def one(layer, x, **more) -> np.ndarray:
    return network(layer, inputs=(x.shape[1:],)).forward(x, **more)[0]


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize(
    "geometry", [((1, 1), ((0, 0), (0, 0)), (1, 1)), ((2, 1), ((1, 0), (2, 1)), (1, 2)), ((1, 3), ((0, 2), (0, 0)), (2, 1))]
)
def test_convolution_is_the_formula(groups, geometry):
    rng = np.random.default_rng(groups)
    strides, padding, dilation = geometry
    x, weights, bias = rng.normal(size=(2, 6, 7, 4)), rng.normal(size=(8, 3, 2, 4 // groups)), rng.normal(size=8)
    found = one(FloatConvolution("c", LAST, weights, bias, strides, padding, dilation, groups), x)
    (top, _), (left, _) = padding
    for n, y, z, o in np.ndindex(found.shape):
        total = bias[o]
        for ky, kx, c in np.ndindex(weights.shape[1:]):
            row, column = y * strides[0] + ky * dilation[0] - top, z * strides[1] + kx * dilation[1] - left
            if 0 <= row < 6 and 0 <= column < 7:
                total += weights[o, ky, kx, c] * x[n, row, column, o // (8 // groups) * (4 // groups) + c]
        assert found[n, y, z, o] == pytest.approx(total, abs=1e-12)


@pytest.mark.parametrize("count_padding", [False, True])
@pytest.mark.parametrize("kind", ["max", "average"])
def test_pools_are_the_formula(kind, count_padding):
    rng = np.random.default_rng(1)
    x = rng.normal(size=(2, 5, 4, 3))
    found = one(Pool("p", LAST, kind, (3, 2), (2, 1), ((1, 1), (0, 1)), count_padding), x)
    assert found.shape == (2, 3, 4, 3)
    for n, y, z, c in np.ndindex(found.shape):
        cells = [x[n, i, j, c] for i in range(2 * y - 1, 2 * y + 2) for j in (z, z + 1) if 0 <= i < 5 and j < 4]
        expected = max(cells) if kind == "max" else sum(cells) / (6 if count_padding else len(cells))
        assert found[n, y, z, c] == pytest.approx(expected, abs=1e-12)
    assert np.allclose(one(GlobalPool("g", LAST, kind), x), x.max(axis=(1, 2)) if kind == "max" else x.mean(axis=(1, 2)), atol=1e-12)


@pytest.mark.parametrize(
    ("layer", "function"),
    [
        (Activation("a", LAST, "linear"), lambda v: v),
        (Activation("a", LAST, "relu"), lambda v: max(v, 0)),
        (Activation("a", LAST, "relu_n", n=1.5), lambda v: min(max(v, 0), 1.5)),
        (Activation("a", LAST, "leaky_relu", alpha=0.25), lambda v: v if v > 0 else v / 4),
        (Activation("a", LAST, "sigmoid"), lambda v: 1 / (1 + np.exp(-v))),
        (Activation("a", LAST, "tanh"), np.tanh),
        (Clip("a", LAST, -1, float("inf")), lambda v: max(v, -1)),
        (Scale("a", LAST, np.array([2.0]), np.array([-1.0])), lambda v: 2 * v - 1),
    ],
    ids=lambda part: getattr(part, "kind", type(part).__name__),
)
def test_functions_of_one_number(layer, function):
    x = np.array([[-3.0, -1.0, -0.5, 0.0, 0.25, 1.5, 40.0]])
    assert np.allclose(one(layer, x)[0], [function(v) for v in x[0]], atol=1e-12)
    assert one(layer, x, dtype=np.float32).dtype == np.float32


def test_softmax_sums_to_one_along_the_last_axis_and_holds_large_numbers():
    found = one(Activation("s", LAST, "softmax"), np.array([[[1000.0, 1000.0], [-5.0, -5.0]]]))
    assert (found == 0.5).all()


def test_graphs_join_what_layers_and_inputs_give():
    rng = np.random.default_rng(2)
    a, b = rng.normal(size=(3, 4)), rng.normal(size=(3, 4))
    weights, bias = rng.normal(size=(4, 4)), rng.normal(size=4)
    joined = Concat("both", (1, -2), 0), Scale("s", (2,), np.arange(8.0), np.ones(8))
    net = FloatNetwork(
        ((4,), (4,)),
        (FloatDense("d", (-1,), weights, bias), Add("sum", (0, -2, -1)), *joined),
        outputs=(3, 1, -2),
    )  # fmt: skip
    assert net.shapes == ((4,), (4,), (8,), (8,))
    assert net.readers == {-1: (0, 1), 0: (1,), -2: (1, 2), 1: (2,), 2: (3,)}
    summed = a @ weights.T + bias + b + a
    found = net.run((a, b))
    for left, right in zip(found, (np.concatenate([summed, b], 1) * np.arange(8) + 1, summed, b), strict=True):
        assert np.allclose(left, right, atol=1e-12)
    assert len(net.forward((a, b), up_to=1)) == 2


def test_moves_say_which_number_stands_where():
    x = np.arange(2 * 24.0).reshape(2, 2, 3, 4)
    assert (one(Transpose("t", LAST, (2, 0, 1)), x) == x.transpose(0, 3, 1, 2)).all()
    assert (one(Reshape("r", LAST, (24,)), x) == x.reshape(2, 24)).all()
    assert (one(Reshape("r", LAST, (24,)), x.reshape(2, 24)) == x.reshape(2, 24)).all()
    padded = one(Pad("p", LAST, ((1, 0), (0, 2), (0, 0)), value=7), x)
    assert padded.shape == (2, 3, 5, 4)
    assert (padded[:, 1:, :3] == x).all()
    assert padded.sum() == x.sum() + 7 * (padded.size - x.size)


def test_records_are_copied_frozen():
    net = network(FloatDense("d", LAST, np.eye(2), np.zeros(2), quantizers=(("kernel", "quantized_bits(6,0)"),)), inputs=((2,),), name="n")
    for twin in (pickle.loads(pickle.dumps(net)), copy.deepcopy(net)):
        assert (twin.name, twin.layers[0].quantizers, twin.num_parameters) == ("n", (("kernel", "quantized_bits(6,0)"),), 6)
        with pytest.raises(ValueError, match="WRITEABLE"):
            twin.layers[0].weights.flags.writeable = True
    assert repr(net) == "<FloatNetwork 'n': 1 layer on 2>"


BAD = {
    "names": (lambda: network(Add("a", (-1, -1)), Add("a", (0, 0))), "two layers are named 'a'"),
    "later": (lambda: network(Add("a", (0, -1))), r"layer 'a': a tensor is 0, expected an integer in \[-1, -1\]"),
    "no input": (lambda: network(Add("a", (-1, -2))), "a tensor is -2"),
    "no reads": (lambda: Add("a", ()), "reads a tuple of nothing"),
    "one": (lambda: network(Add("a", (-1,))), "adds tensors of shapes .* two or more"),
    "outputs": (lambda: network(Add("a", (-1, -1)), outputs=(1,)), "outputs: a tensor is 1"),
    "empty": (lambda: network(inputs=((4,),)), "1 inputs and 0 layers"),
    "nan": (lambda: FloatDense("d", LAST, np.full((1, 2), np.nan), np.zeros(1)), r"layer 'd': weights: element \[0, 0\] is nan"),
    "inf": (lambda: Scale("s", LAST, np.array([np.inf]), np.zeros(1)), "scale: element .* is inf"),
    "strings": (lambda: FloatDense("d", LAST, np.array([["a"]]), np.zeros(1)), "dtype <U1, expected numbers"),
    "bias": (lambda: FloatDense("d", LAST, np.eye(2), np.zeros(1)), r"bias of shape \(1,\), expected \(2,\)"),
    "vector": (lambda: network(FloatDense("d", LAST, np.eye(40), np.zeros(40))), r"a tensor of shape \(4, 5, 2\), expected \(40,\)"),
    "groups": (lambda: network(FloatConvolution("c", LAST, np.ones((3, 1, 1, 1)), np.zeros(3), groups=2)), "groups that divide"),
    "kernel": (lambda: network(FloatConvolution("c", LAST, np.ones((1, 5, 1, 2)), np.zeros(1))), "layer 'c': a kernel that spans 5 of 4"),
    "strides": (lambda: Pool("p", LAST, "max", (2, 2), (0, 1)), "strides is 0"),
    "padding": (lambda: Pool("p", LAST, "max", (2, 2), padding=((2, 0), (0, 0))), "windows that reach"),
    "pool": (lambda: Pool("p", LAST, "min", (2, 2)), "pool 'min' is unknown"),
    "kind": (lambda: Activation("a", LAST, "rellu"), "did you mean 'relu'"),
    "n": (lambda: Activation("a", LAST, "relu_n"), "n is 0.0, expected a positive"),
    "clip": (lambda: Clip("c", LAST, 1, 0), "lo 1.0 is above hi 0.0"),
    "reshape": (lambda: network(Reshape("r", LAST, (39,))), "expected as many elements"),
    "axes": (lambda: Transpose("t", LAST, (0, 2)), "expected each axis once"),
    "concat": (lambda: network(Concat("c", (-1, -2), 2), inputs=((1, 2, 3), (1, 3, 3))), "differ along axis 2"),
    "scale": (lambda: network(Scale("s", LAST, np.ones(5), np.ones(1))), r"scale of shape \(5,\)"),
}  # fmt: skip


@pytest.mark.parametrize(("make", "message"), BAD.values(), ids=BAD)
def test_faults_name_their_place(make, message):
    with pytest.raises(InputError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_tensors_are_bounded():
    pads = [Pad(f"p{k}", (k - 1,), ((0, 1 << 19), (0, 1 << 19))) for k in range(2)]
    with pytest.raises(UnsupportedError, match="layer 'p0': gives a tensor of shape"):
        network(*pads, inputs=((1, 1),))


@pytest.mark.parametrize("x", [np.zeros((2, 3)), np.zeros(4), np.array([["a"] * 4])])
def test_samples_of_another_shape_are_refused(x):
    with pytest.raises(InputError, match=r"input 0: .*expected numbers of shape"):
        network(Reshape("r", LAST, (2, 2)), inputs=((4,),)).forward(x)


def test_samples_may_be_flat():
    net = network(Reshape("r", LAST, (40,)))
    assert all((net.run(np.arange(40)[None].reshape(1, *s))[0] == np.arange(40)).all() for s in itertools.chain([(40,), (4, 5, 2)]))
