"""Small float .onnx models."""

from collections.abc import Callable

import numpy as np
from onnx import TensorProto, helper
from onnx_files import Model

f32 = np.float32


def built(make: Callable[[Model, str], str], shape, opset: int = 17, seed: int = 0, more: dict | None = None) -> bytes:
    """A model of the input "x", and of others, whose output is what `make` gives."""
    m = Model(f32, seed)
    out = make(m, "x")
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, sizes) for name, sizes in {"x": shape, **(more or {})}.items()]
    ends = [helper.make_tensor_value_info(out, TensorProto.FLOAT, None)]
    graph = helper.make_graph(m.nodes, "g", values, ends, m.initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8).SerializeToString()


def numbers(m: Model, *shape: int) -> str:
    return m.constant(m.rng.normal(size=shape).astype(f32))


def indices(m: Model, *values: int) -> str:
    return m.constant(np.array(values, np.int64))


def bn(m: Model, x: str, c: int) -> str:
    return m.node(
        "BatchNormalization", x, *(numbers(m, c) for _ in range(3)), m.constant(m.rng.uniform(0.5, 2, c).astype(f32)), epsilon=0.01
    )


def lenet(m: Model, x: str) -> str:
    x = m.node("Conv", x, numbers(m, 4, 2, 3, 3), numbers(m, 4), pads=[1, 1, 1, 1], strides=[2, 1])
    x = m.node("MaxPool", m.node("Relu", bn(m, x, 4)), kernel_shape=[2, 2], strides=[2, 2])
    x = m.node("Conv", x, numbers(m, 6, 2, 2, 2), auto_pad="SAME_UPPER", group=2)
    x = m.node("AveragePool", x, kernel_shape=[2, 2], pads=[0, 1, 0, 1], count_include_pad=1)
    x = m.node("Flatten", m.node("Clip", x, m.constant(f32(0)), m.constant(f32(6))))
    x = m.node("Gemm", x, numbers(m, 5, 18), numbers(m, 5), transB=1, alpha=0.5, beta=2.0)
    return m.node("Softmax", x)


def residual(m: Model, x: str) -> str:
    y = m.node("LeakyRelu", m.node("Conv", x, numbers(m, 2, 2, 1, 1), numbers(m, 2)), alpha=0.2)
    y = m.node("Concat", m.node("Add", x, y), m.node("Sub", y, x), axis=1)
    y = m.node("Mul", m.node("Sub", y, numbers(m, 1, 4, 1, 1)), numbers(m, 4, 1, 1))
    return m.node("Tanh", m.node("Reshape", m.node("GlobalAveragePool", y), indices(m, 0, -1)))


def channels_last(m: Model, x: str) -> str:
    """As tf2onnx writes a network of TensorFlow."""
    x = m.node("Transpose", x, perm=[0, 3, 1, 2])
    x = m.node("Transpose", m.node("Conv", x, numbers(m, 3, 2, 2, 2)), perm=[0, 2, 3, 1])
    x = m.node("Relu", m.node("Add", x, numbers(m, 3)))
    shape = m.node("Concat", m.node("Slice", m.node("Shape", x), indices(m, 0), indices(m, 1)), indices(m, -1), axis=0)
    return m.node("Add", m.node("MatMul", m.node("Reshape", x, shape), numbers(m, 36, 4)), numbers(m, 4))


def sequence(m: Model, x: str) -> str:
    x = bn(m, m.node("Conv", x, numbers(m, 3, 2, 3), pads=[2, 0]), 3)
    x = m.node("MaxPool", m.node("Relu", x), kernel_shape=[2], strides=[2])
    return m.node("Sigmoid", m.node("Squeeze", m.node("ReduceMean", x, axes=[2], keepdims=1), indices(m, 2)))


def padded(m: Model, x: str) -> str:
    x = m.node("Pad", x, indices(m, 0, 0, 1, 2, 0, 0, 0, 1), m.constant(f32(0)))
    x = m.node("Conv", x, numbers(m, 2, 2, 2, 2))
    return m.node("Pad", m.node("HardSigmoid", x), indices(m, 0, 1, 0, 0, 0, 0, 0, 1), m.constant(f32(0.25)))


def columns(m: Model, x: str) -> str:
    """Matrices on the left, and along the last axis of several."""
    x = m.node("Add", m.node("MatMul", numbers(m, 6, 5), x), numbers(m, 6, 1))
    x = m.node("Div", m.node("Max", x, m.constant(f32(-0.5))), numbers(m, 6, 1))
    x = m.node("MatMul", m.node("Reshape", x, indices(m, 1, 2, 3)), numbers(m, 3, 4))
    return m.node("Neg", m.node("Unsqueeze", m.node("Min", x, m.constant(f32(0.7))), indices(m, 1)))


def folded(m: Model, x: str) -> str:
    """Constants that are computed."""
    weights = m.node("Transpose", m.node("Mul", numbers(m, 3, 5), m.constant(f32(2))), perm=[1, 0])
    x = m.node("Sub", m.constant(np.ones(3, f32)), m.node("MatMul", x, m.node("Cast", weights, to=1)))
    return m.node("Sum", x, m.node("Dropout", x), m.node("Identity", x))


MODELS = {
    "lenet": built(lenet, ("n", 2, 8, 5)), "residual": built(residual, (1, 2, 3, 4)),
    "channels last": built(channels_last, ("n", 5, 4, 2), 13),
    "sequence": built(sequence, (1, 2, 7), 13), "padded": built(padded, (1, 2, 3, 4)), "columns": built(columns, (1, 5, 1)),
    "folded": built(folded, ("n", 5)),
}  # fmt: skip
