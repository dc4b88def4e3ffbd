"""Networks that onnxruntime's own quantizer makes of floats: QDQ and QOperator, of bytes of both kinds."""

from __future__ import annotations

import itertools

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from onnx_files import VNNI, differing, f32
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from qbitsat.errors import UnsupportedError
from qbitsat.importers import load

SHAPE = (1, 3, 8, 8)
TYPES = ((QuantType.QUInt8, QuantType.QInt8), (QuantType.QInt8, QuantType.QInt8), (QuantType.QUInt8, QuantType.QUInt8))


class Floats:
    """A float network in the making."""

    def __init__(self):
        self.rng = np.random.default_rng(0)
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []

    def constant(self, *shape: int, spread: float = 0.3) -> str:
        self.initializers.append(numpy_helper.from_array(self.rng.normal(0, spread, shape).astype(f32), f"w{len(self.initializers)}"))
        return self.initializers[-1].name

    def node(self, op: str, *inputs: str, **attributes) -> str:
        self.nodes.append(helper.make_node(op, list(inputs), [f"t{len(self.nodes)}"], f"n{len(self.nodes)}", **attributes))
        return self.nodes[-1].output[0]

    def conv(self, x: str, channels: int, outputs: int, size: int = 3, groups: int = 1, relu: bool = True, **attributes) -> str:
        weights = self.constant(outputs, channels // groups, size, size), self.constant(outputs, spread=0.1)
        y = self.node("Conv", x, *weights, kernel_shape=[size] * 2, pads=[size // 2] * 4, group=groups, **attributes)
        return self.node("Relu", y) if relu else y

    def normed(self, x: str, channels: int) -> str:
        """A batch normalization."""
        constants = [self.constant(channels) for _ in range(3)]
        self.initializers.append(numpy_helper.from_array(self.rng.uniform(0.5, 2, channels).astype(f32), f"w{len(self.initializers)}"))
        return self.node("BatchNormalization", x, *constants, self.initializers[-1].name)

    def finish(self, x: str, size: int) -> onnx.ModelProto:
        y = self.node("Gemm", self.node("Flatten", x), self.constant(10, size), self.constant(10, spread=0.1), transB=1)
        ends = helper.make_tensor_value_info("x", 1, SHAPE), helper.make_tensor_value_info(y, 1, None)
        graph = helper.make_graph(self.nodes, "g", [ends[0]], [ends[1]], self.initializers)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)


def residual() -> onnx.ModelProto:
    f = Floats()
    a = f.node("MaxPool", f.conv("x", 3, 8), kernel_shape=[2, 2], strides=[2, 2])
    b = f.conv(f.conv(a, 8, 8), 8, 8, relu=False)
    return f.finish(f.node("GlobalAveragePool", f.node("Relu", f.node("Add", a, b))), 8)


def mobile() -> onnx.ModelProto:
    f = Floats()
    x = f.conv(f.conv(f.conv("x", 3, 8), 8, 8, groups=8, strides=[2, 2]), 8, 16, size=1)
    return f.finish(f.node("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2]), 64)


def gated() -> onnx.ModelProto:
    """SiLU, HardSwish, batch normalization, a mean, branches that are joined."""
    f = Floats()
    x = f.conv("x", 3, 8, relu=False, strides=[2, 2])
    x = f.node("HardSwish", f.normed(f.conv(f.node("Mul", x, f.node("Sigmoid", x)), 8, 8, relu=False), 8))
    x = f.node("Concat", f.conv(x, 8, 4, size=1), f.conv(x, 8, 4), axis=1)
    return f.finish(f.node("ReduceMean", x, axes=[2, 3], keepdims=1), 8)


class Samples(CalibrationDataReader):
    def __init__(self):
        rng = np.random.default_rng(1)
        self.left = iter([{"x": rng.normal(0, 1, SHAPE).astype(f32)} for _ in range(4)])

    def get_next(self):
        return next(self.left, None)


@pytest.mark.parametrize("make", [residual, mobile, gated])
@pytest.mark.parametrize(("form", "types"), list(itertools.product(QuantFormat, TYPES)), ids=str)
@pytest.mark.filterwarnings("ignore")
def test_quantized_network_is_that_of_the_runtime(tmp_path, make, form, types):
    path, quantized = tmp_path / "float.onnx", tmp_path / "quantized.onnx"
    onnx.save(make(), path)
    activation, weight = types
    settings = {"activation_type": activation, "weight_type": weight, "reduce_range": not VNNI}
    quantize_static(path, quantized, Samples(), form, per_channel=True, **settings)
    if make is not mobile and form == QuantFormat.QDQ and activation == QuantType.QInt8:
        with pytest.raises(UnsupportedError, match=r"computes floats: .* expected one type on both, as --runtime onnxruntime-int8 has it"):
            load(quantized)
    else:
        assert differing(quantized.read_bytes(), load(quantized), 20) == (200, 0)
    assert differing(quantized.read_bytes(), load(quantized, runtime="onnxruntime-int8"), 20) == (200, 0)
