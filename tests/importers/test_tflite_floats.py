"""Floats inside .tflite files that are refused: one line with the place and the reason."""

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from tflite_graphs import Graph

from qbitsat.errors import QbitsatError
from qbitsat.importers import load

SHAPE = (1, 4)


def floats(g: Graph, shape=SHAPE) -> int:
    return g.tensor(shape, dtype=np.float32)


def dequantized(g: Graph, x: int) -> int:
    return g.operator("DEQUANTIZE", [x], [floats(g)], schema.DequantizeOptionsT(), 2)[0]


def of_floats(kind: str, *inputs: int, g: Graph, options=None) -> int:
    return g.operator(kind, list(inputs), [floats(g)], options)[0]


def quantized(g: Graph, x: int, scale: float = 0.1) -> int:
    return g.operator("QUANTIZE", [x], [g.tensor(SHAPE, scale)], schema.QuantizeOptionsT())[0]


def of_two_tensors(g: Graph, x: int) -> int:
    other = dequantized(g, g.operator("ABS", [x], [g.tensor(SHAPE, 0.5)])[0])
    return quantized(g, of_floats("ADD", dequantized(g, x), other, g=g, options=schema.AddOptionsT()))


def from_outside(g: Graph, x: int) -> int:
    outside = g.input(SHAPE, dtype=np.float32)
    return quantized(g, of_floats("NEG", outside, g=g))


def joined(g: Graph, other: int, dtype: type) -> int:
    """An input of some type beside another tensor, made INT8."""
    y = g.operator(
        "CONCATENATION",
        [g.input(SHAPE, 0.5, 131, dtype=dtype), other],
        [g.tensor((1, 8), 0.5, 131, dtype=dtype)],
        schema.ConcatenationOptionsT(axis=1),
    )[0]
    return g.operator("QUANTIZE", [y], [g.tensor((1, 8), 0.5, 3)], schema.QuantizeOptionsT(), 2)[0]


def bytes_and_constants(g: Graph, x: int) -> int:
    return joined(g, g.constant([[1, 2, 3, 4]], 0.5, 131, dtype=np.uint8), np.uint8)


def wide_constants(g: Graph, x: int) -> int:
    y = g.constant([[1, 2, 3, 4]], 0.5, 0, dtype=np.int32)
    return g.operator("QUANTIZE", [y], [g.tensor(SHAPE, 0.5, 3)], schema.QuantizeOptionsT(), 2)[0]


def weights(g: Graph, x: int) -> int:
    return g.operator("FULLY_CONNECTED", [x, dequantized(g, x)], [g.tensor((1, 1), 0.5)], schema.FullyConnectedOptionsT())[0]


def positions(g: Graph, x: int) -> int:
    return g.operator("GATHER", [x, dequantized(g, x)], [g.like(x, SHAPE)], schema.GatherOptionsT(axis=1))[0]


def moved(g: Graph, x: int) -> int:
    return of_floats("REVERSE_V2", dequantized(g, x), g.constant([1]), g=g)


def padded(g: Graph, x: int, *value: int) -> int:
    widths = g.constant([[0, 0], [0, 0]])
    return of_floats("PADV2" if value else "PAD", dequantized(g, x), widths, *value, g=g)


def logarithm(g: Graph, x: int) -> int:
    return quantized(g, of_floats("LOG", dequantized(g, x), g=g))


def tie(g: Graph, x: int) -> int:
    """The cosine of 0 is half a step more than one."""
    return quantized(g, of_floats("COS", dequantized(g, x), g=g), 2 / 3)


def zeros(g: Graph, x: int) -> int:
    return quantized(g, of_floats("ZEROS_LIKE", dequantized(g, x), g=g))


def activation(g: Graph, x: int) -> int:
    y = dequantized(g, x)
    return quantized(g, of_floats("ADD", y, y, g=g, options=schema.AddOptionsT(fusedActivationFunction=4)))


def doubtful(g: Graph, x: int) -> int:
    return quantized(g, of_floats("COS", of_floats("TANH", dequantized(g, x), g=g), g=g))


def compared(g: Graph, x: int, scale: float = 0.5, other: int | None = None) -> int:
    """The input where another tensor is greater, or else a number."""
    g.graph.tensors[x].quantization.scale = np.array([scale], np.float32)
    condition = g.tensor(SHAPE, dtype=np.bool_)
    y = g.constant(3, 0.5, dtype=np.int8) if other is None else other
    g.operator("GREATER", [y, x], [condition], schema.GreaterOptionsT())
    return g.operator("SELECT_V2", [condition, x, g.constant(7, scale, 3, dtype=np.int8)], [g.like(x, SHAPE)], schema.SelectV2OptionsT())[0]


def of_numbers(g: Graph, x: int) -> int:
    condition = g.tensor(SHAPE, dtype=np.bool_)
    y = g.constant(3, 0.5, dtype=np.int8)
    g.operator("GREATER", [y, y], [condition], schema.GreaterOptionsT())
    return g.operator("SELECT_V2", [condition, x, x], [g.like(x, SHAPE)], schema.SelectV2OptionsT())[0]


def many(g: Graph, x: int) -> int:
    constants = g.constant(np.arange(1 << 16).reshape(1, -1), dtype=np.float32)
    y = g.operator("CONCATENATION", [dequantized(g, x), constants], [floats(g, (1, 65540))], schema.ConcatenationOptionsT(axis=1))[0]
    return g.operator("QUANTIZE", [y], [g.tensor((1, 65540), 0.1)], schema.QuantizeOptionsT())[0]


FAULTS = {
    "the result": (lambda g, x: of_floats("NEG", dequantized(g, x), g=g), r"not read: NEG of floats as the result \(operator 1\)"),
    "moved, the result": (moved, "REVERSE_V2 of floats as the result"),
    "padded, the result": (padded, "PAD of floats as the result"),
    "padded with a computed one": (lambda g, x: quantized(g, padded(g, x, dequantized(g, x))), "is computed, expected a constant"),
    "padded with an integer": (lambda g, x: quantized(g, padded(g, x, x)), "PADV2 of FLOAT32, where INT8 is expected"),
    "padded without inputs": (lambda g, x: quantized(g, g.operator("PAD", [], [floats(g)])[0]), "not read: PAD of FLOAT32, where INT8"),
    "of integers": (lambda g, x: g.operator("NEG", [x], [g.like(x, SHAPE)])[0], "not read: NEG of INT8, where FLOAT32 is expected"),
    "integers to floats": (lambda g, x: quantized(g, of_floats("NEG", x, g=g)), "NEG of INT8 to floats, where FLOAT32 is expected"),
    "two tensors": (of_two_tensors, r"operator 3 \(ADD\): of floats that depend on two integers"),
    "from outside": (from_outside, r"operator 0 \(NEG\): tensor 1 \('t1'\): floats from outside, expected a QUANTIZE"),
    "bytes and constants": (bytes_and_constants, r"\(QUANTIZE\): tensor \d \('t\d'\): UINT8, some of it constant, expected inputs alone"),
    "wide constants": (wide_constants, r"\(QUANTIZE\): tensor 1 \('t1'\): INT32, expected INT8, FLOAT32 or UINT8"),
    "logarithm of 0": (logarithm, r"\(QUANTIZE\): floats of 2\*\*30 steps of 0.1"),
    "tie": (tie, r"operator 2 \(QUANTIZE\): \S+ in steps of 0.666667 is too near a tie to say what tflm gives"),
    "weights": (weights, "FULLY_CONNECTED of FLOAT32, INT8, where INT8 is expected"),
    "positions": (positions, r"tensor 1 \('t1'\): FLOAT32, expected integers"),
    "zeros": (zeros, "not read: ZEROS_LIKE of floats"),
    "fused": (activation, "fused activation function TANH, expected NONE, RELU, RELU6, RELU_N1_TO_1"),
    "doubtful": (doubtful, r"COS of floats that depend on a mathematical library, of which it is not known what tflm gives"),
    "many": (many, "so many values"),
    "scale 1": (lambda g, x: compared(g, x, 1.0), r"tensor 0 \('t0'\): scale 1 of what is compared, expected less than 1"),
    "two compared": (lambda g, x: compared(g, x, other=g.input(SHAPE, 0.5)), r"\(GREATER\): of operands that are functions of 2 tensors"),
    "numbers": (of_numbers, r"\(GREATER\): of operands that are functions of 0 tensors, expected one, and numbers"),
    "selected by integers": (lambda g, x: g.operator("SELECT_V2", [x, x, x], [g.like(x, SHAPE)])[0], "SELECT_V2 of INT8, INT8, INT8"),
    "absent": (lambda g, x: quantized(g, of_floats("SIGN", dequantized(g, x), g=g)), "SIGN of floats, which tflm does not have"),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_fault_is_one_line_with_its_place(tmp_path, name):
    build, message = FAULTS[name]
    g = Graph()
    path = tmp_path / "network.tflite"
    path.write_bytes(g.pack(build(g, g.input(SHAPE, 0.5, 3))))
    with pytest.raises(QbitsatError, match=message) as error:
        load(path)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)
