"""Wrong and hostile .tflite files: one line with file, place and what was expected, and little memory."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from tflite_graphs import Graph

import qbitsat
from qbitsat.errors import InputError, QbitsatError, UnsupportedError
from qbitsat.importers import load


def dense_graph(shape=(1, 4), **options) -> Graph:
    """A graph with input 0 and one FULLY_CONNECTED: weights 1, bias 2, output 3."""
    g = Graph()
    x = g.input(shape, 0.5, 3)
    g.graph.outputs = [g.dense(x, 2, **options)]
    return g


def scaled(index: int, value: float):
    def change(g: Graph) -> None:
        g.graph.tensors[index].quantization.scale = np.array([value], np.float32)

    return change


def zero_point(index: int, value: int):
    def change(g: Graph) -> None:
        g.graph.tensors[index].quantization.zeroPoint = np.array([value], np.int64)

    return change


def setting(path: str, value):
    """Set an attribute of the model that a path like 'subgraphs.0.operators.0.inputs' names."""

    def change(g: Graph) -> None:
        part = g.model
        *way, last = path.split(".")
        for name in way:
            part = part[int(name)] if name.isdigit() else getattr(part, name)
        setattr(part, last, value)

    return change


TENSOR, OPERATOR = "subgraphs.0.tensors", "subgraphs.0.operators.0"
FAULTS = {
    "scale 0": (scaled(0, 0), r"tensor 0 \('t0'\): scale 0, expected a positive finite number"),
    "scale NaN": (scaled(3, np.nan), r"tensor 3 \('t3'\): scale nan, expected"),
    "scale inf": (scaled(1, np.inf), r"tensor 1 \('t1'\): scale inf, expected"),
    "scale -1": (scaled(1, -1), r"tensor 1 \('t1'\): scale -1, expected"),
    "scale 1e-40": (scaled(3, 1e-40), r"tensor 3 \('t3'\): scale 9.99995e-41, expected"),
    "zero point above": (zero_point(0, 300), r"tensor 0 \('t0'\): zero point 300, expected one in \[-128, 127\]"),
    "zero point below": (zero_point(3, -129), r"tensor 3 \('t3'\): zero point -129, expected"),
    "no scale": (setting(f"{TENSOR}.3.quantization", None), r"tensor 3 \('t3'\): 0 scales and 0 zero points, expected 1 of each"),
    "huge": (setting(f"{TENSOR}.0.shape", [1 << 16, 1 << 15]), r"inputs: so many values"),
    "negative axis": (setting(f"{TENSOR}.0.shape", [1, -4]), r"tensor 0 \('t0'\): shape \(1, -4\), expected at most 8 axes, each of"),
    "nine axes": (setting(f"{TENSOR}.0.shape", [1] * 8 + [4]), r"expected at most 8 axes"),
    "other shape": (setting(f"{TENSOR}.3.shape", [1, 3]), r"operator 0 \(FULLY_CONNECTED\): its tensors do not fit: "),
    "short buffer": (setting("buffers.1.data", np.zeros(7, np.uint8)), r"tensor 1 \('t1'\): 7 bytes, expected 8 for INT8 of"),
    "no such buffer": (setting(f"{TENSOR}.1.buffer", 99), r"tensor 1 \('t1'\): buffer 99, expected one of 3"),
    "no such type": (setting(f"{TENSOR}.1.type", 99), r"tensor 1 \('t1'\): type 99, expected"),
    "variable": (setting(f"{TENSOR}.3.isVariable", True), r"not read: tensor 3 \('t3'\) keeps its value from one run to the next"),
    "outside": (setting("buffers.1.offset", 1 << 40), r"not read: tensor 1 \('t1'\) has its data outside the flatbuffer"),
    "sparse": (setting(f"{TENSOR}.1.sparsity", schema.SparsityParametersT()), r"not read: tensor 1 \('t1'\) is stored sparsely"),
    "cycle": (setting(f"{OPERATOR}.inputs", [3, 1, 2]), r"operator 0 \(FULLY_CONNECTED\): reads tensor 3 \('t3'\), which no operator"),
    "no such tensor": (setting(f"{OPERATOR}.inputs", [9, 1, 2]), r"operator 0 \(FULLY_CONNECTED\): tensor 9, expected one of 4"),
    "missing weights": (setting(f"{OPERATOR}.inputs", [0]), r"operator 0 \(FULLY_CONNECTED\): has 1 inputs, expected one at place 1"),
    "no output": (setting(f"{OPERATOR}.outputs", []), r"outputs: tensor 3 \('t3'\) is given by no operator"),
    "output is input": (setting(f"{OPERATOR}.outputs", [0]), r"outputs: tensor 3 \('t3'\) is given by no operator"),
    "dangling": (setting("subgraphs.0.outputs", [7]), r"outputs: tensor 7, expected one of 4"),
    "two outputs": (setting("subgraphs.0.outputs", [3, 3]), r"2 outputs, expected one of 0"),
    "same input twice": (setting("subgraphs.0.inputs", [0, 0]), r"inputs: tensor 0 \('t0'\): expected an input that is no constant, once"),
    "no operator code": (setting(f"{OPERATOR}.opcodeIndex", 5), r"operator 0: damaged flatbuffer: operator code 5, expected one of 1"),
    "options": (setting(f"{OPERATOR}.builtinOptionsType", 1), r"operator 0: damaged flatbuffer: options are Conv2DOptions, expected Fully"),
    "schema": (setting("version", 4), r"schema version 4, expected 3"),
    "int16": (setting(f"{TENSOR}.0.type", schema.TensorType.INT16), r"FULLY_CONNECTED of INT16, INT8, where INT8 is expected"),
    "float": (setting(f"{TENSOR}.0.type", schema.TensorType.FLOAT32),
              r"weights INT8, activations FLOAT32: dynamic range quantization is no integer network \(operator 0\); convert it to int8"),
    "fused": (setting(f"{OPERATOR}.builtinOptions", schema.FullyConnectedOptionsT(fusedActivationFunction=4)),
              r"fused activation function TANH, expected NONE, RELU, RELU6, RELU_N1_TO_1"),
    "bias": (setting(f"{TENSOR}.2.shape", [2, 1]), r"tensor 2 \('t2'\): shape \(2, 1\), expected \(2,\)"),
}  # fmt: skip


def written(folder: Path, data: bytes) -> Path:
    path = folder / "network.tflite"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("name", FAULTS)
def test_fault_is_one_line_with_its_place(tmp_path, name):
    change, message = FAULTS[name]
    g = dense_graph()
    change(g)
    path = written(tmp_path, g.pack())
    with pytest.raises(QbitsatError, match=message) as error:
        load(path)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


def test_a_network_without_faults_is_read(tmp_path):
    network = load(written(tmp_path, dense_graph().pack()))
    assert [type(layer).__name__ for layer in network.layers] == ["Dense"]
    assert network.runtime == "tflm"


def test_several_subgraphs(tmp_path):
    g = dense_graph()
    g.model.subgraphs.append(g.graph)
    with pytest.raises(UnsupportedError, match="2 subgraphs, expected 1"):
        load(written(tmp_path, g.pack()))


def test_all_that_is_unsupported_is_named_at_once(tmp_path):
    g = Graph()
    x = g.input((1, 4), np.nan)  # which comes later
    a, b, c = (g.tensor((1, 4), 0.5) for _ in range(3))
    g.operator("CUMSUM", [x], [a])
    g.operator("CUSTOM", [a], [b])
    g.model.operatorCodes[-1].customCode = b"my\nown"
    g.operator("CUMSUM", [b], [c])
    g.operator("FULLY_CONNECTED", [c, c], [g.tensor((1, 4), 0.5)], schema.FullyConnectedOptionsT(), version=99)
    with pytest.raises(UnsupportedError) as error:
        load(written(tmp_path, g.pack(4)))
    expected = (
        r"operator CUMSUM (operator 0, 2); operator CUSTOM 'my\\nown' (operator 1);"
        " FULLY_CONNECTED of version 99, of which 1 to 13 are known"
    )
    assert expected in str(error.value)


def test_float_network_is_called_so(tmp_path):
    g = Graph()
    x = g.input((1, 4), dtype=np.float32)
    weights, y = g.constant(np.ones((2, 4)), dtype=np.float32), g.tensor((1, 2), dtype=np.float32)
    g.operator("FULLY_CONNECTED", [x, weights], [y], schema.FullyConnectedOptionsT())
    with pytest.raises(UnsupportedError, match="weights FLOAT32, activations FLOAT32: a float network is no integer network"):
        load(written(tmp_path, g.pack(y)))


def test_softmax_inside(tmp_path):
    g = Graph()
    x = g.input((1, 4), 0.5)
    s, p = g.tensor((1, 4), 1 / 256, -128), g.tensor((1, 4), 0.5)
    g.operator("SOFTMAX", [x], [s], schema.SoftmaxOptionsT(beta=1.0))
    g.operator("MUL", [s, x], [p], schema.MulOptionsT())
    with pytest.raises(UnsupportedError, match=r"not read: SOFTMAX before other operators \(operator 0\)$"):
        load(written(tmp_path, g.pack(p)))


def test_cut_off_says_so(tmp_path):
    data = dense_graph().pack()
    path = written(tmp_path, data[: len(data) // 2])
    with pytest.raises(InputError, match=rf"damaged flatbuffer: an offset leads beyond the file's {len(data) // 2:,} bytes"):
        load(path)


@pytest.mark.parametrize("length", [0, 4, 7, 8, 9, 20, 100])
def test_cut_off_anywhere(tmp_path, length):
    with pytest.raises(InputError):
        load(written(tmp_path, dense_graph().pack()[:length]))


@pytest.mark.parametrize("kind", ["MAX_POOL_2D", "AVERAGE_POOL_2D"])
def test_huge_windows_take_no_memory(tmp_path, kind):
    g = Graph()
    x = g.input((1, 100, 100, 4), 0.5)
    y = g.like(x, (1, 100, 100, 4))
    options = schema.Pool2DOptionsT(padding=0, strideW=1, strideH=1, filterWidth=1 << 30, filterHeight=1 << 30)
    g.operator(kind, [x], [y], options)
    refused_cheaply(written(tmp_path, g.pack(y)))


def test_huge_padding_by_dilation_takes_no_memory(tmp_path):
    g = Graph()
    x = g.input((1, 3, 3, 1), 0.5)
    y = g.conv(x, 1, (1, 3, 3, 1))
    options = g.graph.operators[0].builtinOptions
    options.dilationWFactor = options.dilationHFactor = 1 << 13
    refused_cheaply(written(tmp_path, g.pack(y)))


def test_one_buffer_for_many_tensors_takes_no_memory(tmp_path):
    g = Graph()
    x = g.input((1, 1000), 0.5)
    y = g.dense(x, 1000)
    x = g.graph.operators[0].inputs
    for _ in range(400):
        y = g.operator("FULLY_CONNECTED", [y, *x[1:]], [g.tensor((1, 1000), 0.5)], schema.FullyConnectedOptionsT())[0]
    refused_cheaply(written(tmp_path, g.pack(y)), 1 << 29)


def refused_cheaply(path: Path, most: int = 1 << 27) -> None:
    """Refused, with at most so many bytes."""
    tracemalloc.start()
    try:
        with pytest.raises(QbitsatError, match="so many values"):
            load(path)
        assert tracemalloc.get_traced_memory()[1] < most
    finally:
        tracemalloc.stop()


def test_mutated_files_are_read_or_refused(bench_data, tmp_path):
    """Cut, overwritten, and with parts copied elsewhere; bench/fuzz_tflite.py does it ten thousand times."""
    from mutate_tflite import mutants

    outcomes = set()
    for data in mutants(bench_data / "tflite" / "mnist_arduino_q.tflite", 300, seed=1):
        try:
            outcomes.add(type(load(written(tmp_path, data))).__name__)
        except QbitsatError as error:
            outcomes.add(type(error).__name__)
    assert {"Network", "InputError"} <= outcomes


def test_the_package_is_an_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "tflite", None)
    with pytest.raises(qbitsat.MissingExtraError, match=r"needs the package 'tflite': pip install 'qbitsat\[tflite\]'"):
        load(written(tmp_path, dense_graph().pack()))
