"""Whole published .onnx files against what runs them: ONNX Runtime, the outputs that come with them, and their definition."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from onnx_files import differing, read
from test_onnx_exact import defined

from qbitsat.errors import UnsupportedError
from qbitsat.importers import load
from qbitsat.network import forward

# Files of one network, and their last tensor before softmax.
KEYWORDS = {"micro_kws_m_static_qdq": "Add__25:0_DequantizeLinear_Output", "micro_kws_m_static_qoperator": "Add__25:0_quantized"}


def without_softmax(model: onnx.ModelProto, last: str) -> bytes:
    """The model up to a tensor."""
    nodes = []
    for node in model.graph.node:
        nodes.append(node)
        if last in node.output:
            break
    del model.graph.node[:], model.graph.output[:]
    model.graph.node.extend(nodes)
    model.graph.output.append(onnx.helper.make_tensor_value_info(last, 1 if nodes[-1].op_type == "DequantizeLinear" else 3, None))
    return model.SerializeToString()


@pytest.mark.parametrize(("name", "last"), KEYWORDS.items())
def test_a_keyword_network_is_that_of_the_runtime(bench_data, tmp_path, name, last):
    path = bench_data / "onnx" / f"{name}.onnx"
    network = load(path)
    cut = without_softmax(onnx.load(path), last)
    assert read(cut, tmp_path).sha256 == network.sha256
    assert differing(cut, network, 12, precise=name.endswith("qdq")) == (120, 0)
    assert network.runtime == "onnxruntime"
    assert "oftmax on the output" in network.remarks[0]


@pytest.mark.parametrize("name", ["AnomalyDetection", "CNN_Linear1"])
def test_integers_with_requant_shift(bench_data, name):
    network = load(bench_data / "onnx" / f"deeploy_{name}_network.onnx")
    x, y = (next(iter(np.load(bench_data / "onnx" / f"deeploy_{name}_{end}.npz").values())) for end in ("inputs", "outputs"))
    assert (forward(network, x.reshape(1, -1)).ravel() == y.ravel()).all()


def test_jet_tagging(bench_data):
    path = bench_data / "onnx" / "qkeras_jettagging.onnx"
    network, model = load(path), onnx.load(path)
    q = np.random.default_rng(1).integers(-4000, 4000, (500, 16))
    model.graph.input[0].name = "x"
    model.graph.node[8].input[0] = "x"
    model.graph.output[0].name = model.graph.node[-1].input[0]
    del model.graph.node[-1]
    assert (forward(network, q) * network.output.scale == defined(model, q * 2.0**-10)).all()
    assert "does not quantize its inputs" in network.remarks[0]


def test_two_bits(bench_data):
    """Sums of small integers are exact in float64; batch normalizations are not, but never that close to a step."""
    path = bench_data / "onnx" / "TFC_2W2A.onnx"
    network, graph = load(path), onnx.load(path).graph
    held = {tensor.name: numpy_helper.to_array(tensor).astype(float) for tensor in graph.initializer}
    q = np.random.default_rng(2).integers(-1, 2, (300, 784))
    x, norms = q.astype(float), [node for node in graph.node if node.op_type == "BatchNormalization"]
    for k, weights in enumerate(("41", "53", "65", "77")):
        x = x @ np.clip(np.rint(held[weights]), -1, 1).T
        if k < 3:
            gamma, beta, mean, variance = (held[name] for name in norms[k].input[1:])
            x = np.clip(np.rint((x - mean) / np.sqrt(variance + 1e-5) * gamma + beta), -1, 1)
    assert (forward(network, q) == x).all()


@pytest.mark.parametrize("name", ["fc1", "KJ_TinyTaxiNet", "ACASXU_experimental_v2a_1_1"])
def test_float_networks_are_called_that(bench_data, name):
    with pytest.raises(UnsupportedError, match=rf"{name}.onnx: a float network; quantize it first, with qbitsat quantize, or statically"):
        load(bench_data / "onnx" / f"{name}.onnx")
