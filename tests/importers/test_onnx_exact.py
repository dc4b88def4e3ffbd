"""Files whose operators are exact: QONNX and integers with RequantShift, against their definition in numpy's float64, where powers of two
and short integers are exact.
"""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from onnx_files import f32

from qbitsat.errors import InputError, UnsupportedError
from qbitsat.importers import load
from qbitsat.network import Network, forward


class Exact:
    """A graph in the making, and the same in float64."""

    def __init__(self, seed: int):
        self.rng = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []

    def constant(self, array) -> str:
        name = f"c{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(np.asarray(array, f32), name))
        return name

    def node(self, op: str, *inputs: str, domain: str = "", **attributes) -> str:
        self.nodes.append(helper.make_node(op, list(inputs), [f"t{len(self.nodes)}"], domain=domain, **attributes))
        return f"t{len(self.nodes) - 1}"

    def quant(self, x: str, scale: float, bits: int, zero_point: float = 0, **attributes) -> str:
        more = {"signed": 1, "narrow": 0, "rounding_mode": "ROUND", **attributes}
        operands = [self.constant(v) for v in (scale, zero_point, bits)]
        return self.node("Quant", x, *operands, domain="qonnx.custom_op.general", **more)

    def build(self, shape: tuple[int, ...], output: str) -> onnx.ModelProto:
        value, out = helper.make_tensor_value_info("x", 1, shape), helper.make_tensor_value_info(output, 1, None)
        graph = helper.make_graph(self.nodes, "g", [value], [out], self.initializers)
        domains = ("qonnx.custom_op.general", "PACTOps")
        opsets = [helper.make_opsetid("", 13), *(helper.make_opsetid(domain, 1) for domain in domains)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=8)


ROUND = {"ROUND": np.rint, "FLOOR": np.floor, "CEIL": np.ceil, "ROUND_TO_ZERO": np.trunc}


def convolved(x, w, attributes):
    groups, (top, left, bottom, right) = attributes.get("group", 1), attributes.get("pads", [0] * 4)
    x = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))
    (_, _, kh, kw), n = w.shape, len(w) // groups
    height, width = x.shape[2] - kh + 1, x.shape[3] - kw + 1
    out = np.zeros((len(x), len(w), height, width))
    for o in range(len(w)):
        first = o // n * w.shape[1]
        for dy in range(kh):
            for dx in range(kw):
                part = x[:, first : first + w.shape[1], dy : dy + height, dx : dx + width]
                out[:, o] += np.einsum("nchw,c->nhw", part, w[o, :, dy, dx])
    return out


SIMPLE = {
    "MatMul": lambda i, a: i[0] @ i[1],
    "Gemm": lambda i, a: i[0] @ (i[1].T if a.get("transB") else i[1]) + i[2],
    "Conv": lambda i, a: convolved(i[0], i[1], a),
    "Add": lambda i, a: i[0] + i[1],
    "Sub": lambda i, a: i[0] - i[1],
    "Mul": lambda i, a: i[0] * i[1],
    "Div": lambda i, a: i[0] / i[1],
    "Relu": lambda i, a: np.maximum(i[0], 0),
    "Clip": lambda i, a: np.clip(i[0], *i[1:]),
    "BipolarQuant": lambda i, a: np.where(i[0] >= 0, i[1], -i[1]),
    "GlobalAveragePool": lambda i, a: i[0].mean(axis=(2, 3), keepdims=True),
    "Flatten": lambda i, a: i[0].reshape(len(i[0]), -1),
}


def defined(model: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    """The output for a batch of inputs."""
    held = {tensor.name: numpy_helper.to_array(tensor).astype(np.float64) for tensor in model.graph.initializer}
    held["x"] = x
    for node in model.graph.node:
        a = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
        i = [held[name] for name in node.input]
        if node.op_type == "Quant":
            _, scale, point, bits = i
            top = 2**bits
            lo, hi = (-top / 2 + a["narrow"], top / 2 - 1) if a["signed"] else (0, top - 1 - a["narrow"])
            y = (np.clip(ROUND[a["rounding_mode"].decode()](i[0] / scale + point), lo, hi) - point) * scale
        elif node.op_type == "RequantShift":
            div, levels, signed = (float(numpy_helper.to_array(a[name]).item()) for name in ("div", "n_levels_out", "signed"))
            lo = -levels / 2 if signed else 0
            y = np.clip(np.floor((i[0] * i[1] + i[2] + div / 2) / div), lo, lo + levels - 1)
        elif node.op_type == "BatchNormalization":
            g, b, m, v = (part.reshape(-1, *[1] * (i[0].ndim - 2)) for part in i[1:])
            y = (i[0] - m) / np.sqrt(v + a["epsilon"]) * g + b
        else:
            y = SIMPLE[node.op_type](i, a)
        held[node.output[0]] = y
    return held[model.graph.output[0].name]


def check(model: onnx.ModelProto, tmp_path, count: int = 200) -> Network:
    path = tmp_path / "model.onnx"
    path.write_bytes(model.SerializeToString())
    network = load(path)
    (form,) = network.inputs
    q = np.random.default_rng(5).integers(form.lo, form.hi, (count, form.size), endpoint=True)
    shape = [dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim]
    expected = defined(model, ((q - form.zero_point) * form.scale).reshape(count, *shape[1:])).reshape(count, -1)
    found = (forward(network, q) - network.output.zero_point) * network.output.scale
    assert (found == expected).all()
    return network


@pytest.mark.parametrize("rounding", ROUND)
@pytest.mark.parametrize(("signed", "narrow", "point"), [(1, 0, 0), (1, 1, 3), (0, 0, 0), (0, 1, 5)])
def test_dense_layers(tmp_path, rounding, signed, narrow, point):
    m = Exact(1)
    x = m.quant("x", 0.25, 5)
    w = m.quant(m.constant(m.rng.normal(0, 1, (12, 8))), 0.125, 4)
    y = m.node("Add", m.node("MatMul", x, w), m.constant(m.rng.integers(-40, 40, 8) / 64))
    y = m.quant(m.node("Relu", y), 0.5, 4, point, signed=signed, narrow=narrow, rounding_mode=rounding)
    w = m.quant(m.constant(m.rng.normal(0, 1, (8, 3))), 0.25, 3, narrow=1)
    network = check(m.build((1, 12), m.quant(m.node("MatMul", y, w), 2.0, 6, rounding_mode=rounding)), tmp_path)
    assert network.runtime == ""


def test_convolutions_batch_norms_and_sums(tmp_path):
    m = Exact(2)
    x = m.quant("x", 0.5, 4)
    w = m.quant(m.constant(m.rng.normal(0, 1, (6, 2, 2, 3))), 0.25, 4)
    y = m.node("Conv", x, w, group=2, pads=[1, 0, 0, 1], kernel_shape=[2, 3])
    norm = [m.constant(v) for v in (m.rng.normal(0, 1, 6), m.rng.normal(0, 1, 6), m.rng.normal(0, 2, 6), m.rng.uniform(0.1, 9, 6))]
    y = m.quant(m.node("Relu", m.node("BatchNormalization", y, *norm, epsilon=1e-3)), 0.125, 6, signed=0)
    w = m.quant(m.constant(m.rng.normal(0, 1, (6, 6, 1, 1))), 0.5, 3)
    z = m.quant(m.node("Conv", y, w, kernel_shape=[1, 1]), 0.375, 5)
    total = m.quant(m.node("Clip", m.node("Sub", y, z), m.constant(-2.0), m.constant(3.3)), 0.25, 5)
    y = m.quant(m.node("GlobalAveragePool", total), 0.0625, 6)
    check(m.build((1, 4, 5, 4), m.node("Flatten", y)), tmp_path)


def test_signs_and_scaled_inputs(tmp_path):
    m = Exact(3)
    x = m.quant(m.node("Sub", m.node("Mul", "x", m.constant(2.0)), m.constant(1.0)), 1.0, 2, narrow=1)
    w = m.node("BipolarQuant", m.constant(m.rng.normal(0, 1, (15, 9))), m.constant(1.0), domain="qonnx.custom_op.general")
    y = m.node("Add", m.node("MatMul", x, w), m.constant(m.rng.normal(0, 1, 9)))
    y = m.node("BipolarQuant", y, m.constant(0.5), domain="qonnx.custom_op.general")
    w = m.node("BipolarQuant", m.constant(m.rng.normal(0, 1, (9, 4))), m.constant(0.25), domain="qonnx.custom_op.general")
    network = check(m.build((1, 15), m.node("MatMul", y, w)), tmp_path)
    assert (network.inputs[0].scale, network.inputs[0].zero_point) == (0.5, -1)


def tensor(value: float) -> onnx.TensorProto:
    return numpy_helper.from_array(np.array([value], f32))


@pytest.mark.parametrize("signed", [0, 1])
def test_requant_shift(tmp_path, signed):
    m = Exact(4)
    w, bias = m.rng.integers(-9, 10, (8, 20)), m.rng.integers(-99, 99, 8)
    y = m.node("Gemm", "x", m.constant(w), m.constant(bias), transB=1)
    attributes = {"div": tensor(2.0**12), "n_levels_out": tensor(64), "signed": tensor(signed)}
    mul, add = m.constant(m.rng.integers(20, 90, 8)), m.constant(m.rng.integers(-9999, 9999, 8))
    y = m.node("RequantShift", y, mul, add, domain="PACTOps", **attributes)
    network = check(m.build((1, 20), y), tmp_path)
    assert "does not say which integers" in network.remarks[0]


FAULTS = {
    "a scale of 0": ({"scale": 0.0}, InputError, "a scale of 0, expected positive"),
    "a scale that is no number": ({"scale": np.nan}, UnsupportedError, "not finite"),
    "half a bit": ({"bits": 2.5}, UnsupportedError, r"\[2.5\] bits"),
    "40 bits": ({"bits": 40}, UnsupportedError, r"\[40.0\] bits"),
    "an unknown rounding": ({"rounding_mode": "STOCHASTIC"}, UnsupportedError, "rounding_mode STOCHASTIC, expected one of"),
    "a scale for each element": ({"scale": [0.5] * 8}, UnsupportedError, "8 scales of a tensor that is computed"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_fault(tmp_path, fault):
    change, error, message = FAULTS[fault]
    m = Exact(5)
    x = m.quant("x", 0.25, 5)
    y = m.node("MatMul", x, m.quant(m.constant(m.rng.normal(0, 1, (12, 8))), 0.125, 4))
    path = tmp_path / "model.onnx"
    path.write_bytes(m.build((1, 12), m.quant(y, **{"scale": 0.5, "bits": 4, **change})).SerializeToString())
    with pytest.raises(error, match=f"model.onnx: node .*: {message}|model.onnx: node .*{message}"):
        load(path)


def test_a_runtime_is_refused(tmp_path):
    m = Exact(6)
    path = tmp_path / "model.onnx"
    path.write_bytes(m.build((1, 4), m.quant(m.quant("x", 0.25, 5), 0.5, 4)).SerializeToString())
    with pytest.raises(InputError, match=r"runtime: onnxruntime, but .* is exact by its operators"):
        load(path, runtime="onnxruntime")
