"""Scales so far apart that runtimes stop, or leave their integers: what is not exact is refused, with its place."""

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from onnx_files import Model, differing, read
from onnx_operators import CASES
from oracles import TFLITE
from oracles import differing as tflite_differing
from tflite_graphs import Graph

from qbitsat.arithmetic import Float64Requantizer
from qbitsat.errors import UnsupportedError
from qbitsat.importers import load

SHAPE = (1, 2, 3, 4)


def sum_or_difference(kind: str):
    """Of which the output's multiplier is 1 or more: runtimes stop, or divide by 2**-1."""

    def build(g: Graph, x: int) -> int:
        y = g.operator("ABS", [x], [g.tensor(SHAPE, 0.0071, -100)])[0]
        return g.operator(kind, [x, y], [g.tensor(SHAPE, 1.2e-8, 5)], getattr(schema, f"{kind.title()}OptionsT")(), 2)[0]

    return build


def of_itself(g: Graph, x: int) -> int:
    y = g.operator("ABS", [x], [g.tensor(SHAPE, 0.0071, -100)])[0]
    return g.operator("MUL", [x, y], [g.tensor(SHAPE, 1e-9, 5)], schema.MulOptionsT(), 2)[0]


def hard_swish(g: Graph, x: int) -> int:
    g.graph.tensors[x].quantization.scale = np.array([1e-7], np.float32)
    return g.conv(g.operator("HARD_SWISH", [x], [g.tensor(SHAPE, 0.04, -119)])[0], 3, (1, 2, 3, 3))


def leaky(g: Graph, x: int) -> int:
    y = g.operator("LEAKY_RELU", [x], [g.tensor(SHAPE, 1e-12, -60)], schema.LeakyReluOptionsT(alpha=0.2))[0]
    return g.conv(y, 3, (1, 2, 3, 3))


def padded_only(g: Graph, x: int) -> int:
    """A constant that is scaled beyond int32."""
    g.graph.tensors[x].quantization.scale = np.array([1e6], np.float32)
    y = g.constant(np.full(SHAPE, 100), 1e6, -9, dtype=np.int8)
    y = g.operator("QUANTIZE", [y], [g.tensor(SHAPE, 1e-3, 5)], schema.QuantizeOptionsT(), 2)[0]
    return g.operator("SUB", [x, y], [g.tensor(SHAPE, 3e6, 5)], schema.SubOptionsT(), 2)[0]


BUILDS = {
    "sum": sum_or_difference("ADD"),
    "difference": sum_or_difference("SUB"),
    "product with a function of itself": of_itself,
    "HARD_SWISH": hard_swish,
    "LEAKY_RELU": leaky,
    "constant": padded_only,
}


@pytest.mark.parametrize("runtime", TFLITE)
@pytest.mark.parametrize("name", BUILDS)
def test_tflite_file_is_refused_where_its_runtime_leaves_int32(tmp_path, name, runtime):
    g, path = Graph(), tmp_path / "network.tflite"
    path.write_bytes(g.pack(BUILDS[name](g, g.input(SHAPE, 0.0077, -128))))
    with pytest.raises(UnsupportedError, match=r"operator \d \([A-Z_]+\): ") as error:
        load(path, runtime=runtime)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


def of_reference_kernels(scale: float) -> bytes:
    """FULLY_CONNECTED, in LiteRT's reference kernels a product in float64."""
    g, rng = Graph(), np.random.default_rng(3)
    x = g.input((1, 30), 0.05, 4)
    weights = g.constant(rng.integers(-127, 128, (4, 30)), [scale, 0.002, 0.003, 0.004], [0] * 4, dtype=np.int8)
    return g.pack(g.operator("FULLY_CONNECTED", [x, weights], [g.tensor((1, 4), scale * 1e-4, 3)], schema.FullyConnectedOptionsT())[0])


def test_products_of_reference_kernels_stay_int32(tmp_path):
    inputs = np.random.default_rng(4).integers(-128, 128, (50, 1, 1, 30))
    assert tflite_differing(tmp_path, of_reference_kernels(3e-3), "tflite-ref", inputs, 2) == 0
    path = tmp_path / "far.tflite"
    path.write_bytes(of_reference_kernels(1e-5))
    with pytest.raises(UnsupportedError, match="as far as Float64Requantizer"):
        load(path, runtime="tflite-ref")


def test_float64_requantizers_have_products_of_int32():
    assert Float64Requantizer(0.001, -128, 127).acc_limit == 2**31 - 1
    assert Float64Requantizer(4.0, -128, 127, 5).acc_limit == (2**31 - 1 - 5 - 1) // 4


class WildModel(Model):
    """Some of its scales are far from the others."""

    def random_scale(self) -> np.float32:
        scale = super().random_scale()
        return np.float32(scale * 10.0 ** self.rng.uniform(-9, 9)) if self.rng.random() < 0.4 else scale


# Kinds whose kernels convert floats to int32 before they saturate, with seeds that showed it.
FOUND = [
    ("AveragePool, rescaled", np.uint8, 151573924),
    ("Add, constants first", np.uint8, 551192165),
    ("Mul, constants", np.uint8, 438301082),
    ("QLinearAdd, constants", np.uint8, 907550352),
    ("QLinearAdd, one constant first", np.int8, 322535283),
    ("QLinearMul", np.uint8, 628026250),
    ("Mul, channels", np.uint8, 376993733),
    ("x Sigmoid(x)", np.uint8, 1001885828),
]


@pytest.mark.parametrize(("name", "dtype", "seed"), FOUND)
def test_onnx_operator_is_refused_beyond_int32(tmp_path, name, dtype, seed):
    with pytest.raises(UnsupportedError, match=r"scales that differ too much, expected ratios of at most 2\*\*1[56]"):
        read(CASES[name](WildModel(dtype, seed)), tmp_path, "onnxruntime")


@pytest.mark.parametrize("name", sorted({name for name, _, _ in FOUND}))
def test_onnx_operator_of_any_scales_is_exact_or_refused(tmp_path, name):
    rng, read_ones = np.random.default_rng(5), 0
    for _ in range(6):
        with np.errstate(over="ignore", under="ignore"):
            model = CASES[name](WildModel(np.uint8, int(rng.integers(1 << 30))))
        try:
            network = read(model, tmp_path, "onnxruntime")
        except UnsupportedError:
            continue
        read_ones += 1
        assert differing(model, network, 12)[1] == 0
    assert read_ones
