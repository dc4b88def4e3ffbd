"""Models with several outputs, of which the path chooses one; and outputs behind the last integers."""

import numpy as np
import onnx
import pytest
from ai_edge_litert import schema_py_generated as schema
from onnx import helper
from onnx_files import Model, f32
from oracles import TFLITE, run_tflite
from tflite_graphs import Graph

from qbitsat.errors import InputError
from qbitsat.importers import load, save
from qbitsat.network import forward


def two_heads() -> tuple[bytes, bytes, bytes]:
    """A file with two outputs, and one for each of them; only the second head has an operator that is not read, and an input."""
    models = []
    for chosen in ((0, 1), (0,), (1,)):
        g = Graph()
        x = g.conv(g.input((1, 4, 4, 2), 0.05, 3), 3, (1, 4, 4, 3))
        y = g.input((1, 4, 4, 3), 0.04, -1)
        heads = [g.conv(x, 2, (1, 4, 4, 2)), g.conv(x, 4, (1, 4, 4, 4), seed=5)]
        if chosen == (0, 1):
            heads[1] = g.operator("MUL", [x, y], [g.tensor((1, 4, 4, 3), 0.1)], schema.MulOptionsT(), 2)[0]
        models.append(g.pack(*(heads[k] for k in chosen)))
    return models[0], models[1], models[2]


def test_a_path_chooses_an_output(tmp_path):
    both, first, _ = two_heads()
    path, alone = tmp_path / "two.tflite", tmp_path / "one.tflite"
    path.write_bytes(both)
    alone.write_bytes(first)
    network = load(f"{path}:0")
    assert network.name == "two"
    assert network.source == f"{path}:0"
    # The file with one output keeps the input that nobody reads.
    assert (network.num_inputs, load(alone).num_inputs) == (32, 80)
    x = np.random.default_rng(0).integers(-128, 128, (5, 32))
    assert (forward(network, x) == forward(load(alone), np.hstack([x, x, x])[:, :80])).all()
    graph = schema.ModelT.InitFromObj(schema.Model.GetRootAs(both, 0)).subgraphs[0]
    name = graph.tensors[graph.outputs[0]].name.decode()
    assert load(f"{path}:{name}").sha256 == network.sha256


@pytest.mark.parametrize(
    ("suffix", "message"),
    [
        ("", "2 outputs, expected one of 0 't"),
        (":2", "has no output '2', expected one of"),
        (":logits", "has no output 'logits'"),
        (":0000000001", "has no output '0000000001'"),
    ],
)
def test_an_output_must_be_there(tmp_path, suffix, message):
    path = tmp_path / "two.tflite"
    path.write_bytes(two_heads()[0])
    with pytest.raises(InputError, match=message):
        load(f"{path}{suffix}")


def test_only_models_have_outputs(tmp_path):
    path = tmp_path / "one.tflite"
    path.write_bytes(two_heads()[1])
    save(load(path), tmp_path / "saved.npz")
    with pytest.raises(InputError, match=r"saved.npz is no .tflite or .onnx, expected one before ':0'"):
        load(f"{tmp_path / 'saved.npz'}:0")


def test_outputs_of_onnx(tmp_path):
    """What the runtime computes for one output depends on the other: a tensor that both read stays INT8."""
    m = Model(np.int8, 3)
    x = m.through("x", 0.05, 3)
    heads = [m.through(m.node(op, x, m.constant(f32(0.3))), 0.04, 1) for op in ("Mul", "Add")]
    model = m.build({"x": (1, 9)}, heads[0])
    graph = onnx.load_from_string(model)
    graph.graph.output.append(helper.make_tensor_value_info(heads[1], 1, None))
    path = tmp_path / "two.onnx"
    path.write_bytes(graph.SerializeToString())
    with pytest.raises(InputError, match="2 outputs, expected one of 0 't"):
        load(path)
    first, second = load(f"{path}:0"), load(f"{path}:{heads[1]}")
    assert first.sha256 != second.sha256
    assert second.source.endswith(f"two.onnx:{heads[1]}")


@pytest.mark.parametrize("runtime", [name for name in TFLITE if name != "tflm"])
def test_argmax_is_decided_on_what_it_reads(tmp_path, runtime):
    g = Graph()
    x = g.dense(g.input((1, 12), 0.05, 3), 5)
    y = g.tensor((1,), dtype=np.int32)
    options = schema.ArgMaxOptionsT(outputType=schema.TensorType.INT32)
    data = g.pack(g.operator("ARG_MAX", [x, g.constant(-1)], [y], options, 1)[0])
    path = tmp_path / "class.tflite"
    path.write_bytes(data)
    network = load(path, runtime=runtime)
    assert "ARG_MAX on the output (operator 1) is left out" in network.remarks[0]
    samples = np.random.default_rng(1).integers(-128, 128, (30, 12))
    found = [run_tflite(runtime, data, q[None].astype(np.int8)).item() for q in samples]
    assert found == forward(network, samples).argmax(axis=1).tolist()


def test_remarks_are_saved(tmp_path):
    g = Graph()
    x = g.dense(g.input((1, 12), 0.05, 3), 5)
    y = g.operator("SOFTMAX", [x], [g.tensor((1, 5), 1 / 256, -128)], schema.SoftmaxOptionsT(beta=1.0))[0]
    path = tmp_path / "class.tflite"
    path.write_bytes(g.pack(y))
    network = load(path)
    save(network, tmp_path / "saved.npz")
    saved = load(tmp_path / "saved.npz")
    assert saved.remarks == network.remarks != ()
    assert saved.sha256 == network.sha256
