"""Affine int8 against the runtimes themselves: the same layers, with scales that are worked out here, one operator after the other."""

import numpy as np
import pytest
import tflite_files as files
from oracles import TFLITE, run_tflite

import qbitsat
from qbitsat.errors import InputError
from qbitsat.network import forward
from qbitsat.network.float_network import (
    Activation,
    Add,
    Concat,
    FloatConvolution,
    FloatDense,
    FloatNetwork,
    GlobalPool,
    Pool,
    Reshape,
)
from qbitsat.quantize import quantize, quantize_with_report
from qbitsat.quantize.int8 import quantization

f32 = np.float32


def round_away(v: np.ndarray) -> np.ndarray:
    return np.sign(v) * np.floor(np.abs(v) + 0.5)


def meaning(values: np.ndarray) -> tuple[float, int]:
    """Scale and zero point of what a tensor holds; these ranges start at 0 or are wide on both sides."""
    lo, hi = min(0.0, values.min()), max(0.0, values.max())
    step = (hi - lo) / 255
    return float(f32(step)), int(np.clip(round_away(np.array(127 - hi / step if lo < 0 else -128)), -128, 127))


def tensor(shape, values) -> files.Tensor:
    scale, zero_point = meaning(values)
    return files.Tensor(shape, scale, zero_point)


def symmetric(weights: np.ndarray, per_channel: bool) -> tuple[np.ndarray, np.ndarray]:
    rows = np.abs(weights.reshape(len(weights), -1))
    scales = (rows.max(axis=1) if per_channel else rows.max(keepdims=True)[0]) / 127
    scales = scales.astype(f32)
    shape = (-1, *[1] * (weights.ndim - 1))
    return round_away(weights / scales.astype(float).reshape(shape)).astype(np.int8), scales


def whole_bias(bias: np.ndarray, x: files.Tensor, scales: np.ndarray) -> np.ndarray:
    return round_away(bias / (float(x.scale) * scales.astype(float))).astype(np.int32)


@pytest.mark.parametrize("per_channel", [True, False])
@pytest.mark.parametrize("name", TFLITE)
def test_dense_layers(name, per_channel):
    rng = np.random.default_rng(1)
    layers = [
        FloatDense("first", (-1,), rng.normal(0, 1, (12, 8)), rng.normal(0, 1, 12)),
        Activation("relu", (0,), "relu"),
        FloatDense("last", (1,), rng.normal(0, 1, (5, 12)), rng.normal(0, 1, 5)),
        Activation("softmax", (2,), "softmax"),
    ]
    model, real = FloatNetwork(((8,),), tuple(layers)), rng.normal(0, 1, (100, 8))
    network = quantize(model, f"int8:{name},per-{'channel' if per_channel else 'tensor'}", real)
    assert network.runtime == name
    seen = model.forward(real)
    x, hidden, last = tensor((1, 8), real), tensor((1, 12), seen[1]), tensor((1, 5), seen[2])
    made = [symmetric(layer.weights, per_channel) for layer in layers[::2]]
    first, second = (
        files.dense(a, *w, whole_bias(layer.bias, a, w[1]), b, fused)
        for a, w, layer, b, fused in ((x, made[0], layers[0], hidden, "RELU"), (hidden, made[1], layers[2], last, None))
    )
    rows = rng.integers(-128, 128, (60, 8)).astype(np.int8)
    expected = [run_tflite(name, second, run_tflite(name, first, row[None]))[0] for row in rows]
    np.testing.assert_array_equal(forward(network, rows.astype(np.int64)), expected)


@pytest.mark.parametrize("name", TFLITE)
def test_images(name):
    """A convolution with RELU6, a depthwise one, an average, and the sum of what it is of with itself."""
    rng = np.random.default_rng(2)
    layers = [
        FloatConvolution("conv", (-1,), rng.normal(0, 1, (8, 3, 3, 2)), rng.normal(0, 1, 8)),
        Activation("relu6", (0,), "relu_n", 6.0),
        FloatConvolution("depthwise", (1,), rng.normal(0, 1, (8, 2, 2, 1)), rng.normal(0, 1, 8), groups=8),
        Pool("mean", (2,), "average", (3, 3)),
        Reshape("flat", (3,), (8,)),
    ]
    model, real = FloatNetwork(((6, 6, 2),), tuple(layers)), rng.normal(0, 1, (60, 6, 6, 2))
    network = quantize(model, f"int8:{name}", real)
    seen = model.forward(real)
    x, conv, depthwise = tensor((1, 6, 6, 2), real), tensor((1, 4, 4, 8), seen[1]), tensor((1, 3, 3, 8), seen[2])
    made = [symmetric(layer.weights, True) for layer in (layers[0], layers[2])]
    mean = files.Tensor((1, 1, 1, 8), depthwise.scale, depthwise.zero_point)
    models = [
        files.convolution(x, *made[0], whole_bias(layers[0].bias, x, made[0][1]), conv, "RELU6"),
        files.depthwise(conv, made[1][0].transpose(3, 1, 2, 0), made[1][1], whole_bias(layers[2].bias, conv, made[1][1]), depthwise),
        files.pool("AVERAGE_POOL_2D", depthwise, mean),
    ]
    for row in rng.integers(-128, 128, (20, 1, 6, 6, 2)).astype(np.int8):
        y = row
        for part in models:
            y = run_tflite(name, part, y)
        np.testing.assert_array_equal(forward(network, row.reshape(1, -1).astype(np.int64))[0], y.ravel())


@pytest.mark.parametrize("name", [name for name in TFLITE if name != "tflite-opt"])
@pytest.mark.parametrize("fused", [None, "RELU"])
def test_sums(name, fused):
    rng = np.random.default_rng(3)
    layers = [FloatDense("dense", (-1,), rng.normal(0, 1, (6, 6)), rng.normal(0, 1, 6)), Add("add", (0, -1))]
    layers += [Activation("relu", (1,), "relu")] if fused else []
    model, real = FloatNetwork(((6,),), tuple(layers)), rng.normal(0, 1, (80, 6))
    network, seen = quantize(model, f"int8:{name}", real), model.forward(real)
    x, dense, total = tensor((1, 6), real), tensor((1, 6), seen[0]), tensor((1, 6), seen[-1])
    weights, scales = symmetric(layers[0].weights, True)
    first = files.dense(x, weights, scales, whole_bias(layers[0].bias, x, scales), dense)
    second = files.binary("ADD", dense, x, total, fused)
    rows = rng.integers(-128, 128, (60, 6)).astype(np.int8)
    expected = [run_tflite(name, second, run_tflite(name, first, row[None]), row[None])[0] for row in rows]
    np.testing.assert_array_equal(forward(network, rows.astype(np.int64)), expected)


@pytest.mark.parametrize("kind", ["sigmoid", "tanh", "leaky_relu"])
def test_tables(kind):
    rng = np.random.default_rng(4)
    operator = {"sigmoid": "LOGISTIC", "tanh": "TANH", "leaky_relu": "LEAKY_RELU"}[kind]
    model, real = FloatNetwork(((6,),), (Activation("f", (-1,), kind, alpha=0.25),)), rng.normal(0, 2, (80, 6))
    network = quantize(model, "int8:tflm", real)
    x = tensor((1, 6), real)
    y = {"sigmoid": files.Tensor((1, 6), 1 / 256, -128), "tanh": files.Tensor((1, 6), 1 / 128, 0)}.get(kind)
    part = files.unary(operator, x, y or tensor((1, 6), model.forward(real)[0]), 0.25)
    rows = rng.integers(-128, 128, (40, 6)).astype(np.int8)
    np.testing.assert_array_equal(forward(network, rows.astype(np.int64)), [run_tflite("tflm", part, row[None])[0] for row in rows])


def test_joins_and_global_means_are_near_the_float_model():
    rng = np.random.default_rng(6)
    layers = [
        FloatConvolution("a", (-1,), rng.normal(0, 1, (3, 1, 1, 2)), rng.normal(0, 1, 3)),
        FloatConvolution("b", (-1,), rng.normal(0, 3, (2, 1, 1, 2)), rng.normal(0, 1, 2)),
        Concat("concat", (0, 1), 2),
        Pool("largest", (2,), "max", (2, 2), (2, 2)),
        GlobalPool("mean", (3,), "average"),
        FloatDense("last", (4,), rng.normal(0, 1, (4, 5)), rng.normal(0, 1, 4)),
    ]
    found = quantize_with_report(FloatNetwork(((4, 4, 2),), tuple(layers)), "int8", rng.normal(0, 1, (200, 4, 4, 2)))
    for entry in found.report.layers:
        assert entry.max_error < 4 * max(other.step for other in found.report.layers), entry


@pytest.mark.parametrize(
    ("ends", "expected"),
    [
        ((0, 6), (6 / 255, -128)),
        ((-1, 1), (2 / 255, -1)),
        ((-2, -1), (2 / 255, 127)),
        ((0.5, 1.5), (1.5 / 255, -128)),
        ((0, 0), (1.0, 0)),
        ((0, 1e-44), (float(np.finfo(f32).tiny), 0)),
    ],
)
def test_scales_of_ranges(ends, expected):
    """[-1, 1] has zero point -1, as inputs of so many published models."""
    made = quantization(*ends)
    assert (made.scale, made.zero_point) == (float(f32(expected[0])), expected[1])


def test_scales_of_tiny_weights_follow_the_bias():
    """Which would be no int32 otherwise."""
    layer = FloatDense("dense", (-1,), np.array([[1e-30], [1.0]]), np.array([1.0, 0.25]))
    network = quantize(FloatNetwork(((1,),), (layer,)), "int8", np.array([[0.0], [1.0]]))
    outputs = forward(network, np.array([[-128], [127]])) - network.output.zero_point
    assert np.abs(outputs * 1.25 / 255 - [[1.0, 0.25], [1.0, 1.25]]).max() < 0.01


def test_verdicts_of_quantized_int8():
    rng = np.random.default_rng(7)
    layers = [
        FloatDense("first", (-1,), rng.normal(0, 1, (4, 2)), rng.normal(0, 1, 4)),
        Activation("relu", (0,), "relu"),
        FloatDense("last", (1,), rng.normal(0, 1, (3, 4)), rng.normal(0, 1, 3)),
    ]
    network = quantize(FloatNetwork(((2,),), tuple(layers)), "int8", rng.normal(0, 1, (50, 2)))
    for _ in range(6):
        x = rng.integers(-120, 120, 2)
        points = np.stack(np.meshgrid(*(np.arange(v - 6, v + 7) for v in x)), axis=-1).reshape(-1, 2)
        label = int(forward(network, x[None])[0].argmax())
        verdict = qbitsat.verify(qbitsat.robustness(network, x, 6, label))
        assert verdict.holds == (forward(network, points).argmax(axis=1) == label).all()


def test_no_calibration_data_is_refused():
    with pytest.raises(InputError, match="int8: scales come from calibration data"):
        quantize(FloatNetwork(((1,),), (FloatDense("dense", (-1,), np.ones((1, 1)), np.ones(1)),)), "int8")
