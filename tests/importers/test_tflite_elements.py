"""Operators that move elements, and tables: what is refused, with its place, and for which runtime."""

import re

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from operators import tensor
from oracles import run_tflite
from tflite_builds import SHAPE
from tflite_files import unary
from tflite_graphs import Graph
from tflite_operators import ABSENT, GRAPHS, TABLES, built

from qbitsat.errors import QbitsatError, UnsupportedError
from qbitsat.importers import load, tables
from qbitsat.importers.runtimes import Quantization


def refusal(tmp_path, data: bytes, runtime: str = "tflite-opt") -> QbitsatError:
    """What is said of a file."""
    path = tmp_path / "network.tflite"
    path.write_bytes(data)
    with pytest.raises(QbitsatError) as error:
        load(path, runtime=runtime)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)
    return error.value


def of_one(kind: str, constants: list, options=None, outputs: int = 1, first: bool = False, shape=SHAPE) -> bytes:
    """A file of one operator that reads the input, before its constants or after them."""
    g = Graph()
    x = g.input(SHAPE, 0.047, -9)
    inputs = [g.constant(constant) for constant in constants]
    targets = [g.like(x, shape) for _ in range(outputs)]
    g.operator(kind, [*inputs, x] if first else [x, *inputs], targets, options)
    return g.pack(targets[0])


GATHER, REFLECT, SPLITS = schema.GatherOptionsT, schema.MirrorPadOptionsT(mode=0), schema.SplitVOptionsT(numSplits=2)
FAULTS = {
    "GATHER beyond": (of_one("GATHER", [[0, 6]], GATHER(axis=2)), r"positions from 0 to 6 of an axis of 6, expected some that are there"),
    "GATHER from the end": (of_one("GATHER", [[-1]], GATHER(axis=2)), r"positions from -1 to 0 of an axis of 6"),
    "GATHER, batches": (of_one("GATHER", [[[0]]], GATHER(axis=1, batchDims=1)), r"1 batch dimensions, expected 0"),
    "GATHER, no such axis": (of_one("GATHER", [[0]], GATHER(axis=9)), r"its tensors do not fit: "),
    "GATHER_ND beyond": (of_one("GATHER_ND", [[[0, 8]]]), r"positions from 0 to 8 of an axis of 8"),
    "GATHER_ND, long": (of_one("GATHER_ND", [[[0] * 5]]), r"positions of 5 indices, expected 1 to 4 of \(1, 8, 6, 4\)"),
    "REVERSE_V2 apart": (of_one("REVERSE_V2", [[1, 3]]), r"axes \[1, 3\] of \(1, 8, 6, 4\), expected one or several side by side"),
    "REVERSE_V2, no such axis": (of_one("REVERSE_V2", [[-5]]), r"axes \[-5\] of"),
    "MIRROR_PAD, wide": (of_one("MIRROR_PAD", [[[0, 0], [8, 0], [0, 0], [0, 0]]], REFLECT), r"\[8, 0\], .* around \(1, 8, 6, 4\), "),
    "MIRROR_PAD, mode": (of_one("MIRROR_PAD", [[[0, 0]] * 4], schema.MirrorPadOptionsT(mode=7)), r"mode 7, expected 0 or 1"),
    "BROADCAST_TO less": (of_one("BROADCAST_TO", [[1, -8, 6, 4]]), r"shape \[1, -8, 6, 4\], expected sizes of at least 1"),
    "BROADCAST_TO more": (of_one("BROADCAST_TO", [[1 << 20, 8, 6, 4]]), r"so many values"),
    "BROADCAST_TO other": (of_one("BROADCAST_TO", [[1, 8, 5, 4]]), r"its tensors do not fit: "),
    "FILL huge": (of_one("FILL", [[1 << 30, 1 << 30]], first=True), r"so many values"),
    "FILL with many": (of_one("FILL", [[3]], first=True), r"its tensors do not fit: "),
    "SPLIT_V too long": (of_one("SPLIT_V", [[5, 4], 1], SPLITS, 2), r"2 outputs of sizes \[5, 4\], expected as many, and 8 together"),
    "SPLIT_V twice the rest": (of_one("SPLIT_V", [[-1, -1], 1], SPLITS, 2), r"2 outputs of sizes \[-1, -1\], expected"),
    "UNPACK of others": (of_one("UNPACK", [], schema.UnpackOptionsT(num=7, axis=1), 7), r"7 outputs and 7 of them said, expected those of"),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_fault_is_one_line_with_its_place(tmp_path, name):
    data, message = FAULTS[name]
    assert re.search(rf"operator 0 \({name.split()[0].strip(',')}\): .*{message}", str(refusal(tmp_path, data)))


@pytest.mark.parametrize(("runtime", "name"), [(runtime, name) for runtime in ABSENT for name in ABSENT[runtime]])
def test_what_a_runtime_does_not_have_is_refused(tmp_path, runtime, name):
    assert name in GRAPHS or name in TABLES
    assert runtime in str(refusal(tmp_path, built(name), runtime))


def table(kind: str, s_in: float, z_in: int, s_out: float, options=None) -> bytes:
    """A table, and a layer that reads it."""
    g = Graph()
    y = g.operator(kind, [g.input((1, 8), s_in, z_in)], [g.tensor((1, 8), s_out, 3)], options)[0]
    return g.pack(g.dense(y, 2))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (table("SQRT", 0.05, -9, 0.02), r"tensor 0 \('t0'\): can be -119 steps, below 0, where tflite-opt stops"),
        (table("RSQRT", 0.05, -127, 0.02), r"tensor 0 \('t0'\): can be -1 steps, below 0, where tflite-opt stops"),
        (table("SQRT", 2.0**120, -128, 2.0**-100), r"SQRT from scale .* reaches 2\*\*30 steps, where tflite-opt defines no output"),
        (table("RSQRT", 2.0**-126, -128, 2.0**-126), r"a scale of .*, expected less than 2\*\*30"),
        (table("EXP", 1.0, -128, 0.5), r"EXP from scale 1 to 0\.5 reaches 2\*\*31 steps, where tflite-opt defines no output"),
        (table("GELU", 2.0**127, 0, 1.0, schema.GeluOptionsT()), r"GELU from scale .* to 1 reaches 2\*\*31 steps"),
        (
            table("GELU", 0.5, 0, 1.0, schema.GeluOptionsT()),
            r"GELU of 11 steps of 0\.5 is \d or \d, too near a tie to say what tflite-opt gives",
        ),
    ],
)
def test_tables_without_a_meaning_are_refused(tmp_path, data, message):
    assert re.search(message, str(refusal(tmp_path, data)))


EVERY = Quantization(1.0).values.astype(np.int8)[None]


@pytest.mark.parametrize("name", ["tflm", "tflite-opt", "xnnpack"])
@pytest.mark.parametrize(("ratio", "z_in", "z_out"), [(0.5, 0, 3), (1.5, -20, -128), (2.5, 7, 100)])
def test_ties_of_elu_are_rounded_as_each_runtime_does(name, ratio, z_in, z_out):
    x, out = Quantization(0.25 * ratio, z_in), Quantization(0.25, z_out)
    found = run_tflite(name, unary("ELU", tensor((1, 256), x), tensor((1, 256), out)), EVERY)
    assert tables.table("ELU", name, x, out).tolist() == found.ravel().tolist()


@pytest.mark.parametrize(
    ("kind", "scale", "zero_point"),
    [
        ("LOGISTIC", 0.059938590973615646, -82),
        ("LOGISTIC", 0.034992970526218414, 105),
        ("LOGISTIC", 0.05568186193704605, 84),
        ("LOGISTIC", 0.017953481525182724, 121),
        ("TANH", 0.061694033443927765, 107),
    ],
)
def test_xnnpack_rounds_with_the_zero_point_in_float32(kind, scale, zero_point):
    """Near a tie that makes one: at the second scale 2.5000028 becomes 2, ten float32 steps from it. Else what is doubtful is refused."""
    x, out = Quantization(scale, zero_point), Quantization(*tables.FIXED[kind])
    for name in ("tflite-ref", "tflite-opt", "xnnpack"):
        found = run_tflite(name, unary(kind, tensor((1, 256), x), tensor((1, 256), out)), EVERY)
        try:
            assert tables.table(kind, name, x, out).tolist() == found.ravel().tolist()
        except UnsupportedError:
            assert kind == "TANH"


def test_sums_beyond_integers_are_refused(tmp_path):
    g = Graph()
    y = g.operator("SUM", [g.input(SHAPE, 2.0**20), g.constant([1, 2])], [g.tensor((1, 4), 2.0**-10)], schema.ReducerOptionsT())[0]
    assert "SUM in tflite-opt that reaches 2**31 steps" in str(refusal(tmp_path, g.pack(y)))
