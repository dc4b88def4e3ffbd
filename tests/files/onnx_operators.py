"""Operators of QDQ and QLinear files as small models with random scales: a case makes one with a `Model`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from onnx_files import LIMITS, Model, f32

Case = Callable[[Model], bytes]
MS = "com.microsoft"


def low(m: Model) -> int:
    return LIMITS[m.dtype][0]


def start(m: Model, name: str = "x") -> tuple[str, np.float32]:
    scale = m.random_scale()
    return m.through(name, scale, m.random_point()), scale


def conv(m: Model, relu: bool = False, per_channel: bool = True, **attributes) -> bytes:
    x, scale = start(m)
    scales = [m.random_scale() / 20 for _ in range(6)] if per_channel else m.random_scale() / 20
    groups = attributes.get("group", 1)
    kernel = attributes.get("kernel_shape", [3, 3])
    w = m.stored(m.weights(6, 4 // groups, *kernel), scales)
    bias = m.stored(m.rng.integers(-9000, 9000, 6).astype(np.int32), np.asarray(scales, f32) * scale)
    y = m.node("Conv", x, w, bias, **attributes)
    y = m.node("Relu", y) if relu else y
    y = m.through(y, m.random_scale() * 4, low(m) if relu else m.random_point())
    return m.build({"x": (1, 4, 7, 6)[: 2 + len(kernel)]}, y)


def dense(m: Model, op: str) -> bytes:
    x, scale = start(m)
    scales = np.array([m.random_scale() / 20 for _ in range(5)], f32)
    turned = op == "Gemm"
    w = m.stored(m.weights(*((5, 30) if turned else (30, 5))), scales, axis=0 if turned else 1)
    if turned:
        y = m.node("Gemm", x, w, m.stored(m.rng.integers(-900, 900, 5).astype(np.int32), scales * scale), transB=1)
    else:
        y = m.node("MatMul", x, w)
    return m.build({"x": (1, 30)}, m.through(y, m.random_scale() * 4, m.random_point()))


def pool(m: Model, op: str, same: bool = True, domain: str = "", **attributes) -> bytes:
    scale, point = m.random_scale(), m.random_point() if m.rng.random() < 0.5 else low(m)
    other, other_point = (scale, point) if same else (m.random_scale(), m.random_point())
    if domain:
        x = m.quantize("x", scale, point)
        y = m.node(op, x, *m.meaning(scale, point), *m.meaning(other, other_point), domain=domain, **attributes)
        return m.build({"x": (1, 3, 6, 5)}, m.dequantize(y, other, other_point))
    x = m.through("x", scale, point)
    return m.build({"x": (1, 3, 6, 5)}, m.through(m.node(op, x, **attributes), other, other_point))


def of_few_bits(m: Model, op: str = "Gemm", bits: int = 4) -> bytes:
    """Integers of fewer than 8 bits as Brevitas writes them: a Clip between QuantizeLinear and DequantizeLinear; weights as well."""

    def narrow(x: str, scale: float, dtype: type, make=m.quantize) -> str:
        half = 1 << bits - 1
        ends = (0, 2 * half - 1) if dtype is np.uint8 else (-half, half - 1)
        meaning = m.constant(f32(scale)), m.constant(np.zeros((), dtype))
        x = m.node("QuantizeLinear", x, *meaning) if make else x
        return m.node("DequantizeLinear", m.node("Clip", x, *(m.constant(np.array(end, dtype)) for end in ends)), *meaning)

    shape = (6, 4, 3, 3) if op == "Conv" else (30, 6)
    w = narrow(m.constant(m.weights(*shape)), 0.01, np.int8, None)
    y = narrow(m.node(op, narrow("x", 0.05, m.dtype), w), 0.3, m.dtype)
    y = m.node("Reshape", y, m.constant(np.array([1, -1])))
    w = narrow(m.constant(m.weights(150 if op == "Conv" else 6, 5)), 0.02, np.int8, None)
    return m.build({"x": (1, 4, 7, 7) if op == "Conv" else (1, 30)}, narrow(m.node("Gemm", y, w), 0.1, m.dtype))


def add_constant(m: Model, op: str, swapped: bool = False, shape: tuple[int, ...] = (4, 1, 1)) -> bytes:
    x, _ = start(m)
    y = m.stored(m.weights(*shape, dtype=m.dtype), m.random_scale(), m.random_point())
    return m.build({"x": (1, 4, 3, 5)}, m.through(m.node(op, *((y, x) if swapped else (x, y))), m.random_scale() * 2, m.random_point()))


def qlinear_constant(m: Model, op: str, swapped: bool = False, shape: tuple[int, ...] = (20,)) -> bytes:
    scale, point = m.random_scale(), m.random_point()
    x = [m.quantize("x", scale, point), *m.meaning(scale, point)]
    y = [m.constant(m.weights(*shape, dtype=m.dtype)), *m.meaning(m.random_scale(), m.random_point())]
    scale, point = m.random_scale() * 2, m.random_point()
    z = m.node(op, *([*y, *x] if swapped else [*x, *y]), *m.meaning(scale, point), domain=MS)
    return m.build({"x": (1, 4, 20)}, m.dequantize(z, scale, point))


def add_two(m: Model, op: str = "Add", relu: bool = False) -> bytes:
    x, _ = start(m, "x")
    y, _ = start(m, "y")
    z = m.node(op, x, y)
    z = m.node("Relu", z) if relu else z
    return m.build({"x": (1, 300), "y": (1, 300)}, m.through(z, m.random_scale() * 2, low(m) if relu else m.random_point()))


def gates(m: Model) -> bytes:
    """Channels times a number each."""
    product = m.node("Mul", start(m)[0], start(m, "y")[0])
    return m.build({"x": (1, 6, 4, 5), "y": (1, 6, 1, 1)}, m.through(product, m.random_scale() * 2, m.random_point()))


def qlinear_two(m: Model, op: str = "QLinearAdd") -> bytes:
    parts = []
    for name in "xy":
        scale, point = m.random_scale(), m.random_point()
        parts += [m.quantize(name, scale, point), *m.meaning(scale, point)]
    scale, point = m.random_scale() * 2, m.random_point()
    z = m.node(op, *parts, *m.meaning(scale, point), domain=MS)
    return m.build({"x": (1, 300), "y": (1, 300)}, m.dequantize(z, scale, point))


def single(m: Model, op: str, **attributes) -> bytes:
    x, _ = start(m)
    limits = [m.constant(f32(v)) for v in attributes.pop("limits", ())]
    return m.build({"x": (1, 400)}, m.through(m.node(op, x, *limits, **attributes), m.random_scale(), m.random_point()))


def pair_behind(m: Model, between: tuple[str, ...], same: bool = False) -> bytes:
    """A QuantizeLinear and a DequantizeLinear behind another such pair, and operators between them that change no float."""
    constants = {"Add": f32(0), "Mul": f32(1), "Reshape": np.array([4, 5])}
    meaning = m.random_scale(), m.random_point()
    x = m.through("x", *meaning)
    for op in between:
        x = m.node(op, x, *([m.constant(constants[op])] if op in constants else []), **({"to": 1} if op == "Cast" else {}))
    x = m.through(x, *(meaning if same else (m.random_scale(), m.random_point())))
    return m.build({"x": (1, 20)}, m.through(m.node("Mul", x, m.constant(f32(0.7))), m.random_scale(), m.random_point()))


def chain(m: Model) -> bytes:
    """Floats between integers: with constants, each rounded."""
    x, _ = start(m)
    x = m.node("Mul", x, m.constant(m.rng.normal(0, 1, (3, 1)).astype(f32)))
    x = m.node("Add", x, m.constant(m.rng.normal(0, 1, (3, 1)).astype(f32)))
    x = m.node("Sub", m.constant(f32(0.3)), m.node("Relu", x))
    return m.build({"x": (1, 3, 70)}, m.through(x, m.random_scale(), m.random_point()))


def joined(m: Model) -> bytes:
    parts = [start(m, name)[0] for name in "xy"]
    return m.build({"x": (1, 3, 40), "y": (1, 2, 40)}, m.through(m.node("Concat", *parts, axis=1), m.random_scale(), m.random_point()))


def moving(m: Model) -> bytes:
    """Operators that move elements, and a new scale at the end."""
    x, _ = start(m)
    x = m.node("Transpose", x, perm=[0, 2, 3, 1])
    x = m.node("Slice", x, *(m.constant(np.array(v, np.int64)) for v in ([1, -1], [9, 0], [1, 2], [1, -2])))
    x = m.node("Pad", x, m.constant(np.array([0, 1, 0, 0, 0, 0, 2, 0], np.int64)))
    x = m.node("Squeeze", m.node("Unsqueeze", x, m.constant(np.array([2], np.int64))), m.constant(np.array([2], np.int64)))
    x = m.node("Reshape", x, m.constant(np.array([0, -1], np.int64)))
    x = m.node("Gather", x, m.constant(np.array([3, 0, -1, 3], np.int64)), axis=1)
    return m.build({"x": (1, 4, 5, 6)}, m.through(m.node("Flatten", x), m.random_scale(), m.random_point()))


def mean(m: Model, shape: tuple[int, ...] = (1, 3, 5, 5), axes: tuple[int, ...] = (2, 3), same: bool = False) -> bytes:
    """A mean that is added up in vectors; with one scale many sums are ties."""
    scale, point = m.random_scale(), low(m) if m.rng.random() < 0.5 else m.random_point()
    x = m.node("ReduceMean", m.through("x", scale, point), axes=list(axes), keepdims=1)
    end = (scale, point) if same else (m.random_scale(), m.random_point())
    return m.build({"x": shape}, m.through(m.node("Flatten", x), *end))


def inside(m: Model) -> bytes:
    """A sigmoid that is not on the output."""
    x = m.through(m.node("Sigmoid", start(m)[0]), f32(1 / 250), low(m))
    return m.build({"x": (1, 400)}, m.through(m.node("Neg", x), m.random_scale(), m.random_point()))


def with_channels(m: Model, op: str) -> bytes:
    """A function with constants for each channel."""
    x, _ = start(m)
    if op == "PRelu":
        y = m.node(op, x, m.constant(m.rng.normal(0, 0.5, (3, 1)).astype(f32)))
    else:
        norm = [m.constant((abs if i == 3 else f32)(m.rng.normal(0, 1, 3).astype(f32))) for i in range(4)]
        y = m.node(op, x, *norm, epsilon=1e-3)
    return m.build({"x": (1, 3, 90)}, m.through(y, m.random_scale(), m.random_point()))


def gated(m: Model, gate: str, quantized: bool) -> bytes:
    """x times a function of x: SiLU and the like."""
    x, _ = start(m)
    y = m.node(gate, x, **({"alpha": 0.3} if gate == "HardSigmoid" else {}))
    y = m.through(y, f32(1 / 250), low(m)) if quantized else y
    return m.build({"x": (1, 400)}, m.through(m.node("Mul", x, y), m.random_scale(), m.random_point()))


def qlinear_gated(m: Model) -> bytes:
    x, scale, point = m.quantize("x", 0.05, 3), m.random_scale(), m.random_point()
    y = m.node("QLinearSigmoid", x, *m.meaning(0.05, 3), *m.meaning(1 / 250, low(m)), domain=MS)
    z = m.node("QLinearMul", y, *m.meaning(1 / 250, low(m)), x, *m.meaning(0.05, 3), *m.meaning(scale, point), domain=MS)
    return m.build({"x": (1, 400)}, m.dequantize(z, scale, point))


def padded_outside(m: Model) -> bytes:
    """Zeros around floats that are quantized behind."""
    x = m.node("Pad", "x", m.constant(np.array([0, 0, 1, 2, 0, 0, 1, 0], np.int64)))
    x = m.through(x, scale := m.random_scale(), m.random_point())
    w, bias = m.stored(m.weights(3, 2, 3, 3), f32(0.01)), m.stored(m.rng.integers(-99, 99, 3).astype(np.int32), f32(0.01) * scale)
    return m.build({"x": (1, 2, 5, 4)}, m.through(m.node("Conv", x, w, bias), m.random_scale() * 4, m.random_point()))


def resized(m: Model, by_sizes: bool = False, **attributes) -> bytes:
    x, _ = start(m)
    nothing = m.constant(np.empty(0, f32))
    if by_sizes:
        y = m.node("Resize", x, nothing, nothing, m.constant(np.array([1, 2, 12, 5], np.int64)), mode="nearest", **attributes)
    else:
        y = m.node("Resize", x, nothing, m.constant(f32([1, 1, 2, 3])), mode="nearest", **attributes)
    return m.build({"x": (1, 2, 4, 5)}, m.through(y, m.random_scale(), m.random_point()))


def turned_weights(m: Model) -> bytes:
    """A product with a constant that is transposed behind its DequantizeLinear."""
    x, _ = start(m)
    w = m.node("Transpose", m.stored(m.weights(5, 30), m.random_scale() / 20), perm=[1, 0])
    return m.build({"x": (1, 30)}, m.through(m.node("MatMul", x, w), m.random_scale() * 4, m.random_point()))


CASES: dict[str, Case] = {
    "Conv": conv,
    "Conv, one scale": lambda m: conv(m, per_channel=False),
    "Conv, Relu": lambda m: conv(m, relu=True, pads=[1, 0, 2, 1], strides=[2, 1]),
    "Conv, groups": lambda m: conv(m, group=2, kernel_shape=[2, 2], dilations=[2, 1]),
    "Conv, SAME_UPPER": lambda m: conv(m, auto_pad="SAME_UPPER", strides=[2, 2]),
    "Conv, SAME_LOWER": lambda m: conv(m, auto_pad="SAME_LOWER", strides=[2, 2]),
    "Conv, one axis": lambda m: conv(m, kernel_shape=[3], pads=[1, 2]),
    "Gemm, few bits": of_few_bits,
    "Gemm, 2 bits": lambda m: of_few_bits(m, bits=2),
    "MatMul": lambda m: dense(m, "MatMul"),
    "Gemm": lambda m: dense(m, "Gemm"),
    "MatMul, transposed": turned_weights,
    "MaxPool": lambda m: pool(m, "MaxPool", kernel_shape=[3, 2], pads=[1, 0, 1, 1], strides=[2, 1]),
    "AveragePool": lambda m: pool(m, "AveragePool", kernel_shape=[2, 2], strides=[2, 2]),
    "AveragePool, padded": lambda m: pool(m, "AveragePool", kernel_shape=[2, 3], pads=[1, 1, 0, 1]),
    "AveragePool, padding counts": lambda m: pool(m, "AveragePool", kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1),
    "AveragePool, rescaled": lambda m: pool(m, "AveragePool", same=False, kernel_shape=[3, 2]),
    "AveragePool, whole image": lambda m: pool(m, "AveragePool", kernel_shape=[6, 5], strides=[6, 5]),
    "QLinearAveragePool, whole image": lambda m: pool(m, "QLinearAveragePool", domain=MS, kernel_shape=[6, 5]),
    "QLinearAveragePool": lambda m: pool(m, "QLinearAveragePool", domain=MS, kernel_shape=[2, 2], strides=[2, 2]),
    "GlobalAveragePool": lambda m: pool(m, "GlobalAveragePool"),
    "GlobalAveragePool, rescaled": lambda m: pool(m, "GlobalAveragePool", same=False),
    "QLinearGlobalAveragePool": lambda m: pool(m, "QLinearGlobalAveragePool", domain=MS, same=False),
    "Add, constants": lambda m: add_constant(m, "Add"),
    "Add, constants first": lambda m: add_constant(m, "Add", swapped=True),
    "Add, one constant": lambda m: add_constant(m, "Add", shape=(1,)),
    "Mul, constants": lambda m: add_constant(m, "Mul"),
    "Sub, constants": lambda m: add_constant(m, "Sub", swapped=True),
    "QLinearAdd, constants": lambda m: qlinear_constant(m, "QLinearAdd"),
    "QLinearAdd, constants first": lambda m: qlinear_constant(m, "QLinearAdd", swapped=True),
    "QLinearAdd, one constant": lambda m: qlinear_constant(m, "QLinearAdd", shape=(1,)),
    "QLinearAdd, one constant first": lambda m: qlinear_constant(m, "QLinearAdd", shape=(1,), swapped=True),
    "QLinearMul, constants": lambda m: qlinear_constant(m, "QLinearMul"),
    "QLinearAdd": qlinear_two,
    "Add": add_two,
    "Add, Relu": lambda m: add_two(m, relu=True),
    "Sub": lambda m: add_two(m, "Sub"),
    "Mul": lambda m: add_two(m, "Mul"),
    "Mul, channels": gates,
    "QLinearMul": lambda m: qlinear_two(m, "QLinearMul"),
    "Relu": lambda m: single(m, "Relu"),
    "Clip": lambda m: single(m, "Clip", limits=(-0.7, 1.3)),
    "LeakyRelu": lambda m: single(m, "LeakyRelu", alpha=0.1),
    "Neg": lambda m: single(m, "Neg"),
    "Abs": lambda m: single(m, "Abs"),
    "Identity": lambda m: pair_behind(m, ("Identity", "Reshape")),
    "HardSigmoid": lambda m: single(m, "HardSigmoid", alpha=0.3),
    "HardSwish": lambda m: single(m, "HardSwish"),
    "Sigmoid": inside,
    "Tanh": lambda m: single(m, "Tanh"),
    "PRelu": lambda m: with_channels(m, "PRelu"),
    "BatchNormalization": lambda m: with_channels(m, "BatchNormalization"),
    "x Sigmoid(x)": lambda m: gated(m, "Sigmoid", True),
    "x HardSigmoid(x)": lambda m: gated(m, "HardSigmoid", False),
    "QLinearMul, QLinearSigmoid": qlinear_gated,
    "GlobalMaxPool": lambda m: pool(m, "GlobalMaxPool", same=False),
    "ReduceMean": mean,
    "ReduceMean, same": lambda m: mean(m, (1, 5, 2, 3), same=True),
    "ReduceMean, one axis": lambda m: mean(m, (1, 3, 3, 8), (3,), same=True),
    "Pad, outside": padded_outside,
    "Resize": resized,
    "Resize, sizes": lambda m: resized(m, by_sizes=True, nearest_mode="ceil"),
    "Resize, asymmetric": lambda m: resized(m, coordinate_transformation_mode="asymmetric", nearest_mode="floor"),
    "Resize, corners": lambda m: resized(m, coordinate_transformation_mode="align_corners", nearest_mode="round_prefer_ceil"),
    "chain": chain,
    "Concat": joined,
    "moving": moving,
}
