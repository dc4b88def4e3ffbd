"""Small .onnx models, what ONNX Runtime computes for them, and what the networks that are read from them do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from qbitsat.importers import onnx_file
from qbitsat.network import Network, forward

f32 = np.float32
TYPES = {np.int8: TensorProto.INT8, np.uint8: TensorProto.UINT8, f32: TensorProto.FLOAT}
LIMITS = {np.int8: (-128, 127), np.uint8: (0, 255)}
# Without VNNI ONNX Runtime saturates sums of two products of uint8 and int8 to 16 bits, but for weights of 7 bits.
CPU = Path("/proc/cpuinfo")
VNNI = CPU.exists() and any(name in CPU.read_text().split() for name in ("avx512_vnni", "avx_vnni"))
WEIGHTS = {**LIMITS, np.int8: LIMITS[np.int8] if VNNI else (-64, 63)}


class Model:
    """A graph in the making: each method gives the name of a tensor."""

    def __init__(self, dtype: type = np.int8, seed: int = 0):
        self.dtype, self.rng = dtype, np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []

    def constant(self, array) -> str:
        name = f"c{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def node(self, op: str, *inputs: str, domain: str = "", **attributes) -> str:
        output = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [output], f"n{len(self.nodes)}", domain=domain, **attributes))
        return output

    def meaning(self, scale, zero_point) -> tuple[str, str]:
        return self.constant(f32(scale)), self.constant(np.array(zero_point, self.dtype))

    def quantize(self, x: str, scale, zero_point) -> str:
        return self.node("QuantizeLinear", x, *self.meaning(scale, zero_point))

    def dequantize(self, x: str, scale, zero_point) -> str:
        return self.node("DequantizeLinear", x, *self.meaning(scale, zero_point))

    def through(self, x: str, scale, zero_point) -> str:
        """Quantized and dequantized."""
        return self.dequantize(self.quantize(x, scale, zero_point), scale, zero_point)

    def stored(self, array, scale, zero_point=None, axis: int = 0) -> str:
        """A constant that is dequantized."""
        array, scale = np.asarray(array), np.asarray(scale, f32)
        point = np.zeros(scale.shape, array.dtype) if zero_point is None else np.array(zero_point, array.dtype)
        return self.node("DequantizeLinear", self.constant(array), self.constant(scale), self.constant(point), axis=axis)

    def random_scale(self) -> np.float32:
        return f32(self.rng.uniform(0.005, 0.1))

    def random_point(self) -> int:
        return int(self.rng.integers(*LIMITS[self.dtype]))

    def weights(self, *shape: int, dtype: type = np.int8) -> np.ndarray:
        return self.rng.integers(*WEIGHTS[dtype], shape, endpoint=True).astype(dtype)

    def build(self, inputs: dict[str, tuple[int, ...]], output: str, input_dtype: type = f32, opset: int = 15) -> bytes:
        values = [helper.make_tensor_value_info(name, TYPES[input_dtype], shape) for name, shape in inputs.items()]
        out = helper.make_tensor_value_info(output, self.dtype_of(output), None)
        graph = helper.make_graph(self.nodes, "g", values, [out], self.initializers)
        opsets = [helper.make_opsetid(domain, version) for domain, version in (("", opset), ("com.microsoft", 1), ("qonnx", 1))]
        return helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()

    def dtype_of(self, output: str) -> int:
        op = next(node.op_type for node in self.nodes if node.output[0] == output)
        return TYPES[f32] if op in ("DequantizeLinear", "Softmax", "Gemm", "MatMul", "Add") else TYPES[self.dtype]


def halves(weights: list[list[int]], floats: bool) -> bytes:
    """y = W x / 2 of uint8, ties to even; with floats on both sides, scale 1/2, or without."""
    m = Model(np.uint8)
    x = m.quantize("x", 0.5, 0) if floats else "x"
    matrix = m.constant(np.array(weights, np.int8)), m.constant(f32(1)), m.constant(np.int8(0))
    y = m.node("QLinearMatMul", x, *m.meaning(0.5, 0), *matrix, *m.meaning(1.0, 0))
    y = m.dequantize(y, 1.0, 0) if floats else y
    return m.build({"x": (1, 2)}, y, f32 if floats else np.uint8)


def session(model: bytes, optimize: bool = True, runtime: str = "onnxruntime", precise: bool = False) -> onnxruntime.InferenceSession:
    """precise: without VNNI weights of type int8 become uint8, which activations of type uint8 ask for."""
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.x64quantprecision", str(int(precise)))
    options.add_session_config_entry("session.qdqisint8allowed", str(int(runtime == "onnxruntime-int8")))
    options.log_severity_level, options.intra_op_num_threads = 3, 1
    if not optimize:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def read(model: bytes, folder, runtime: str | None = None) -> Network:
    path = folder / "model.onnx"
    path.write_bytes(model)
    return onnx_file.read(path, runtime)


def samples(network: Network, rng: np.random.Generator, count: int) -> np.ndarray:
    """Inputs of all kinds: any integers, few different ones, and the ends: int64[count, inputs]."""
    parts = []
    for form in network.inputs:
        x = rng.integers(form.lo, form.hi, (count, form.size), endpoint=True)
        few = rng.integers(form.lo, form.hi, (count, 3), endpoint=True)
        x[1::3] = np.take_along_axis(few, rng.integers(0, 3, x.shape), axis=1)[1::3]
        x[2::9] = np.where(rng.random(x.shape) < 0.5, form.lo, form.hi)[2::9]
        parts.append(x)
    return np.concatenate(parts, axis=1)


def feeds(network: Network, runner: onnxruntime.InferenceSession, x: np.ndarray) -> dict[str, np.ndarray]:
    """One sample as the runtime takes it."""
    fed, first = {}, 0
    for form, value in zip(network.inputs, runner.get_inputs(), strict=True):
        part = x[first : first + form.size]
        first += form.size
        shape = [n if isinstance(n, int) else 1 for n in value.shape]
        if value.type == "tensor(float)":
            fed[value.name] = (f32(form.scale) * (part - form.zero_point).astype(f32)).reshape(shape)
        else:
            fed[value.name] = part.astype(np.int8 if form.lo else np.uint8).reshape(shape)
    return fed


def last_meaning(model: bytes) -> tuple[float, int]:
    """Scale and zero point of the last node's input."""
    graph = onnx.load_from_string(model).graph
    held = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    held |= {node.output[0]: numpy_helper.to_array(node.attribute[0].t) for node in graph.node if node.op_type == "Constant"}
    return (1.0, 0) if len(graph.node[-1].input) < 3 else tuple(held[name].item() for name in graph.node[-1].input[1:3])


def differing(model: bytes, network: Network, count: int, seed: int = 1, precise: bool = False) -> tuple[int, int]:
    """How many outputs there were, and how many were not those of the runtime."""
    runner, (scale, zero_point) = session(model, runtime=network.runtime, precise=precise), last_meaning(model)
    x = samples(network, np.random.default_rng(seed), count)
    ours, wrong = forward(network, x), 0
    for sample, y in zip(x, ours, strict=True):
        (theirs,) = runner.run(None, feeds(network, runner, sample))
        if theirs.dtype == f32:
            theirs = np.rint(theirs.astype(np.float64) / scale) + zero_point
        wrong += int((theirs.ravel() != y).sum())
    return ours.size, wrong


def small(dtype: type = np.uint8) -> bytes:
    """Operators of QDQ files in a row: convolution, pools, a constant sum, a product, softmax."""
    m = Model(dtype, 7)
    x = m.through("x", 0.05, 3)
    w, bias = m.stored(m.weights(4, 2, 3, 3), f32(0.01)), m.stored(m.rng.integers(-99, 99, 4).astype(np.int32), f32(0.0005))
    x = m.through(m.node("Relu", m.node("Conv", x, w, bias, pads=[1, 1, 1, 1])), 0.1, LIMITS[dtype][0])
    x = m.through(m.node("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2]), 0.1, LIMITS[dtype][0])
    x = m.through(m.node("AveragePool", x, kernel_shape=[2, 1]), 0.1, LIMITS[dtype][0])
    x = m.through(m.node("Reshape", m.node("Transpose", x, perm=[0, 2, 3, 1]), m.constant(np.array([1, -1], np.int64))), 0.1, 0)
    x = m.through(m.node("MatMul", x, m.stored(m.weights(16, 3), f32(0.02))), 0.2, 1)
    x = m.through(m.node("Add", x, m.stored(m.weights(3, dtype=dtype), f32(0.03))), 0.25, 2)
    return m.build({"x": (1, 2, 6, 5)}, m.node("Softmax", x))


def small_qlinear() -> bytes:
    """QLinear operators, of which one joins two tensors."""
    m = Model(np.int8, 8)
    a, b = (m.quantize(name, 0.05, 3) for name in "xy")
    total = m.node("QLinearAdd", a, *m.meaning(0.05, 3), b, *m.meaning(0.05, 3), *m.meaning(0.07, 1), domain="com.microsoft")
    w = m.constant(m.weights(12, 5))
    y = m.node("QLinearMatMul", total, *m.meaning(0.07, 1), w, *m.meaning(0.01, 0), *m.meaning(0.2, -5))
    return m.build({"x": (1, 12), "y": (1, 12)}, m.dequantize(y, 0.2, -5))


def small_functions() -> bytes:
    """What the quantizer leaves between integers: functions with constants for each channel, gates, a mean, neighbours, a padding."""
    m = Model(np.uint8, 10)
    x = m.node("Pad", "x", m.constant(np.array([0, 0, 1, 0, 0, 0, 0, 1], np.int64)))
    norm = [m.constant(np.abs(m.rng.normal(1, 0.3, 3)).astype(f32)) for _ in range(4)]
    x = m.node("PRelu", m.node("BatchNormalization", m.through(x, 0.05, 99), *norm), m.constant(f32([[[0.1]], [[-0.2]], [[0.3]]])))
    x = m.through(m.node("HardSwish", x), 0.04, 80)
    x = m.node("Mul", x, m.through(m.node("Sigmoid", x), 1 / 250, 0))
    x = m.node("Resize", m.through(x, 0.03, 50), m.constant(np.empty(0, f32)), m.constant(f32([1, 1, 2, 1])), mode="nearest")
    parts = [m.node("Flatten", m.node("GlobalMaxPool", x)), m.node("Flatten", m.through(m.node("ReduceMean", x, axes=[2, 3]), 0.03, 50))]
    x = m.through(m.node("Concat", *parts, axis=1), 0.03, 50)
    w, bias = m.stored(m.weights(4, 6), f32(0.01)), m.stored(m.rng.integers(-99, 99, 4).astype(np.int32), f32(0.01) * f32(0.03))
    return m.build({"x": (1, 3, 3, 2)}, m.through(m.node("Gemm", x, w, bias, transB=1), 0.05, 128))


def small_exact() -> bytes:
    """QONNX: quantizers, a batch normalization, a product."""
    m, domain = Model(np.int8, 9), "qonnx.custom_op.general"
    kinds = {"signed": 1, "narrow": 0, "rounding_mode": "ROUND"}

    def quant(x: str, scale: float, bits: int) -> str:
        return m.node("Quant", x, *(m.constant(f32(v)) for v in (scale, 0, bits)), domain=domain, **kinds)

    y = m.node("MatMul", quant("x", 0.25, 4), quant(m.constant(m.rng.normal(0, 1, (6, 4)).astype(f32)), 0.125, 3))
    norm = [m.constant(np.abs(m.rng.normal(0, 1, 4)).astype(f32)) for _ in range(4)]
    y = m.node("Relu", m.node("BatchNormalization", y, *norm, epsilon=1e-3))
    y = m.node("MatMul", quant(y, 0.5, 3), quant(m.constant(m.rng.normal(0, 1, (4, 3)).astype(f32)), 0.125, 3))
    return m.build({"x": (1, 6)}, m.node("Add", y, m.constant(f32([1, 2, 3]))))


MODELS = {"QDQ": small, "QDQ, int8": lambda: small(np.int8), "QLinear": small_qlinear, "functions": small_functions, "QONNX": small_exact}
