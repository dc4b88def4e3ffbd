"""What decides how a runtime rounds beside the operator: shapes, extreme scales, ends of ranges, types at the rims; bit for bit."""

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from oracles import TFLITE, differing, run_tflite
from tflite_graphs import Graph

from qbitsat.importers import load
from qbitsat.network import forward

# Operators whose vectors round otherwise in LiteRT: shapes of both operands, beyond whole blocks.
SUMS = [
    ((1, 5, 3, 7), (1, 5, 3, 7)),
    ((1, 3, 3, 37), (37,)),
    ((1, 3, 3, 37), (1, 1, 3, 37)),
    ((1, 3, 5, 7), (1,)),
    ((1, 3, 2, 21), (1, 3, 2, 1)),
    ((1, 2, 1, 21), (1, 1, 5, 1)),
    ((1, 1, 4, 5), (1, 3, 4, 1)),
]


@pytest.mark.parametrize("runtime", TFLITE)
@pytest.mark.parametrize("shapes", SUMS)
@pytest.mark.parametrize("kind", ["ADD", "SUB", "MUL"])
def test_sums_of_all_shapes_are_exact(tmp_path, kind, shapes, runtime):
    rng, g = np.random.default_rng(9), Graph()
    x, y = g.input(shapes[0], 0.031, 17), g.constant(rng.integers(-128, 128, shapes[1]), 0.0217, -70, dtype=np.int8)
    out = np.broadcast_shapes(*shapes)
    options = getattr(schema, f"{kind.title()}OptionsT")()
    data = g.pack(g.operator(kind, [x, y], [g.tensor(out, 0.045, -20)], options, 2)[0])
    assert differing(tmp_path, data, runtime, rng.integers(-128, 128, (300, 1, *shapes[0]))) == 0


@pytest.mark.parametrize("runtime", TFLITE)
@pytest.mark.parametrize("keep", [True, False])
def test_means_of_many_channels_are_exact(tmp_path, keep, runtime):
    rng = np.random.default_rng(10)
    for scale, zero_point in ((0.021, 30), (0.05, -128), (0.05, 7)):
        g = Graph()
        x, y = g.input((1, 5, 3, 37), 0.05, 7), g.tensor((1, 1, 1, 37) if keep else (1, 37), scale, zero_point)
        data = g.pack(g.operator("MEAN", [x, g.constant([1, 2])], [y], schema.ReducerOptionsT(keepDims=keep), 2)[0])
        assert differing(tmp_path, data, runtime, rng.integers(-128, 128, (100, 1, 1, 5, 3, 37))) == 0


@pytest.mark.parametrize("runtime", TFLITE)
def test_two_inputs_of_different_scales(tmp_path, runtime):
    path, rng, g = tmp_path / "network.tflite", np.random.default_rng(13), Graph()
    x, y = g.input((1, 4, 5), 0.05, 3), g.input((1, 4, 5), 0.02, -100)
    path.write_bytes(g.pack(g.operator("SUB", [y, x], [g.tensor((1, 4, 5), 0.06, 1)], schema.SubOptionsT(), 2)[0]))
    network = load(path, runtime=runtime)
    assert [(form.shape, form.zero_point) for form in network.inputs] == [((4, 5), 3), ((4, 5), -100)]
    assert differing(tmp_path, path.read_bytes(), runtime, rng.integers(-128, 128, (50, 2, 1, 4, 5))) == 0


@pytest.mark.parametrize("runtime", TFLITE)
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_rims_of_other_types(tmp_path, dtype, runtime):
    """Floats or unsigned bytes at both ends: the network has the integers between them."""
    path, rng, g = tmp_path / "network.tflite", np.random.default_rng(14), Graph()
    unsigned = dtype == np.uint8
    x = g.input((1, 3, 3, 2), 0.03 if unsigned else None, 20 + 128, dtype)
    q = g.operator("QUANTIZE", [x], [g.tensor((1, 3, 3, 2), 0.03, 20)], schema.QuantizeOptionsT(), 2)[0]
    y = g.dense(q, 4)
    last = g.tensor((1, 4), 0.05 if unsigned else None, -3 + 128, dtype)
    path.write_bytes(g.pack(g.operator("QUANTIZE" if unsigned else "DEQUANTIZE", [y], [last], None, 2)[0]))
    network = load(path, runtime=runtime)
    samples = rng.integers(-128, 128, (50, 18))
    given = samples + 128 if unsigned else (samples - 20) * np.float32(0.03)
    expected = np.stack([run_tflite(runtime, path.read_bytes(), sample.reshape(1, 3, 3, 2).astype(dtype)).ravel() for sample in given])
    found = forward(network, samples)
    assert (found + 128 if unsigned else np.float32(0.05) * (found + 3)).astype(dtype).tolist() == expected.tolist()


@pytest.mark.parametrize("runtime", TFLITE)
@pytest.mark.parametrize("constants", [0, 5])
def test_floats_from_outside_beside_computed_ones(tmp_path, constants, runtime):
    """One QUANTIZE of what comes from outside, of functions of it, and of constants."""
    path, rng, g = tmp_path / "network.tflite", np.random.default_rng(18), Graph()
    x = g.input((1, 7), dtype=np.float32)
    q = g.operator("QUANTIZE", [x], [g.tensor((1, 7), 0.03, 20)], schema.QuantizeOptionsT(), 2)[0]
    y = g.operator("DEQUANTIZE", [q], [g.tensor((1, 7), dtype=np.float32)], schema.DequantizeOptionsT(), 2)[0]
    y = g.operator("ABS", [y], [g.tensor((1, 7), dtype=np.float32)])[0]
    parts = [y, x, *([g.constant(rng.normal(size=(1, constants)), dtype=np.float32)] if constants else [])]
    joined = g.tensor((1, 14 + constants), dtype=np.float32)
    g.operator("CONCATENATION", parts, [joined], schema.ConcatenationOptionsT(axis=1))
    y = g.operator("QUANTIZE", [joined], [g.tensor((1, 14 + constants), 0.03, 20)], schema.QuantizeOptionsT(), 2)[0]
    path.write_bytes(g.pack(g.dense(y, 4)))
    network = load(path, runtime=runtime)
    samples = rng.integers(-128, 128, (50, 7))
    given = ((samples - 20) * np.float32(0.03)).astype(np.float32)
    expected = np.stack([run_tflite(runtime, path.read_bytes(), sample[None]).ravel() for sample in given])
    assert forward(network, samples).tolist() == expected.tolist()


@pytest.mark.parametrize("runtime", TFLITE)
def test_a_sum_that_xnnpack_leaves_to_others(tmp_path, runtime):
    rng, g = np.random.default_rng(15), Graph()
    x, y = g.input((1, 4, 5), 0.05, 3), g.input((1, 4, 5), 0.000031, -100)
    data = g.pack(g.operator("ADD", [y, x], [g.tensor((1, 4, 5), 0.037, 1)], schema.AddOptionsT(), 2)[0])
    assert differing(tmp_path, data, runtime, rng.integers(-128, 128, (300, 2, 1, 4, 5))) == 0


@pytest.mark.parametrize("runtime", TFLITE)
@pytest.mark.parametrize("kind", ["FULLY_CONNECTED", "CONV_2D", "ADD", "SUB", "MUL", "MAX_POOL_2D", "AVERAGE_POOL_2D"])
@pytest.mark.parametrize("zero_point", [-128, -127])
def test_ends_of_relu6_halfway_between_integers(tmp_path, kind, runtime, zero_point):
    """6 is 30.5 and 31.5 steps of the output: runtimes round it to different integers."""
    for halfway in (30.5, 31.5):
        g, scale = Graph(), np.float32(6 / halfway)
        assert np.float32(6) / scale == halfway
        pooled = "POOL" in kind
        x = g.input((1, 4, 4, 4), scale if pooled else 0.3, zero_point if pooled else 0)
        y = relu6(g, kind, x, float(scale), zero_point)
        samples = np.random.default_rng(16).integers(-128, 128, (20, 1, 1, 4, 4, 4))
        assert differing(tmp_path, g.pack(y), runtime, samples, least=1) == 0


def relu6(g: Graph, kind: str, x: int, scale: float, zero_point: int) -> int:
    """An operator with a fused RELU6, whose outputs reach its ends."""
    fused = schema.ActivationFunctionType.RELU6
    if kind == "FULLY_CONNECTED":
        return g.dense(x, 8, scale=scale, zero_point=zero_point, fused=fused)
    if kind == "CONV_2D":
        y = g.conv(x, 3, (1, 4, 4, 3))
        g.graph.operators[-1].builtinOptions.fusedActivationFunction = fused
        g.graph.tensors[y].quantization.scale, g.graph.tensors[y].quantization.zeroPoint = [scale], [zero_point]
        return y
    if "POOL" in kind:
        options = schema.Pool2DOptionsT(padding=1, strideW=1, strideH=1, filterWidth=2, filterHeight=2, fusedActivationFunction=fused)
        return g.operator(kind, [x], [g.tensor((1, 3, 3, 4), scale, zero_point)], options, 2)[0]
    other = g.constant(np.random.default_rng(17).integers(-128, 128, (1, 4, 4, 4)), 0.25, dtype=np.int8)
    options = getattr(schema, f"{kind.title()}OptionsT")(fusedActivationFunction=fused)
    return g.operator(kind, [x, other], [g.tensor((1, 4, 4, 4), scale, zero_point)], options, 2)[0]
