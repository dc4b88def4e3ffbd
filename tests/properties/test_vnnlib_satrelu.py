"""Float networks that compute exactly: what their integers say is what floats give, and their queries have the answers of their names."""

import numpy as np
import pytest
from float_onnx_files import f32
from onnx import TensorProto, helper, numpy_helper

from qbitsat.errors import UnsupportedError
from qbitsat.importers.float_models import load_float
from qbitsat.network import forward
from qbitsat.network.float_network import Activation, Clip, FloatConvolution, FloatNetwork, Pad, Pool
from qbitsat.properties.vnnlib import Question, bind, read
from qbitsat.quantize.exact import exact
from qbitsat.verify import verify


@pytest.mark.parametrize("name", ["sat_v3_c9", "sat_v12_c43", "sat_v50_c79", "unsat_v2_c4", "unsat_v24_c59", "unsat_v36_c128"])
def test_names_say_the_answers(bench_data, name):
    path = bench_data / "satrelu" / name
    question = Question(bind(read(f"{path}.vnnlib"), {"": f"{path}.onnx"}, grid=1))
    verdict = verify(question.query, timeout=120)
    assert (verdict.violated, verdict.holds) == (name.startswith("sat"), name.startswith("unsat"))
    if verdict.violated:
        question.assignment(verdict.witness)
    if name == "unsat_v36_c128":
        assert verdict.engine == "sat"


@pytest.mark.parametrize("grid", [1, 8, 256])
def test_integers_are_what_floats_give(bench_data, grid):
    model = load_float(bench_data / "satrelu" / "sat_v22_c103.onnx")
    network, (form,) = exact(model, grid, -grid, 3 * grid)
    x = np.random.default_rng(grid).integers(-grid, 3 * grid, (40, network.num_inputs), endpoint=True)
    assert np.array_equal(forward(network, x) * form.scale, model.run(x / grid, dtype=f32)[0])


def small(weights, bias, folder):
    """Two layers with ReLU between them, and a sum of both."""
    w, b = np.array(weights, f32), np.array(bias, f32)
    nodes = [helper.make_node("Gemm", ["x", "w", "b"], ["a"]), helper.make_node("Relu", ["a"], ["r"])]
    nodes += [helper.make_node("MatMul", ["r", "w"], ["m"]), helper.make_node("Add", ["m", "a"], ["y"])]
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 2]) for name in "xy")
    graph = helper.make_graph(nodes, "g", [x], [y], [numpy_helper.from_array(w, "w"), numpy_helper.from_array(b, "b")])
    path = folder / "m.onnx"
    path.write_bytes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8).SerializeToString())
    return load_float(path)


def test_units_of_layers(tmp_path):
    model = small([[0.5, -3], [2**-6, 8]], [0.125, -1], tmp_path)
    network, (form,) = exact(model, 4, 0, 20)
    x = np.stack(np.meshgrid(np.arange(21), np.arange(21)), axis=-1).reshape(-1, 2)
    assert np.array_equal(forward(network, x) * form.scale, model.run(x / 4, dtype=f32)[0])


@pytest.mark.parametrize(("weights", "grid", "message"), [
    ([[0.1, 1], [1, 1]], 1, "sums can reach"),
    ([[2.0**12, 1], [1, 2.0**12]], 1, "sums can reach"),
    ([[1, 1], [1, 1]], 3, "a grid of 3, expected a power of two"),
    ([[1, 1], [1, 1]], 1 << 25, "units, expected less than 2\\*\\*24"),
    ([[2.0**-130, 0], [0, 0]], 1, "a unit of"),
])  # fmt: skip
def test_rounding_is_refused(weights, grid, message, tmp_path):
    with pytest.raises(UnsupportedError, match=message):
        exact(small(weights, [0, 0], tmp_path), grid, 0, 2 * grid)


def convolution(*rest):
    """A convolution of 3 x 3 pixels, and what reads it."""
    weights = np.array([[[[1.0], [-2.0]], [[0.5], [1.0]]]])
    return FloatNetwork(((3, 3, 1),), (FloatConvolution("c", (-1,), weights, np.array([-0.25]), padding=((1, 0), (0, 0))), *rest))


@pytest.mark.parametrize("value", [0.0, -1.0])
def test_rectified_and_padded(value):
    layers = Activation("r", (0,), "relu"), Pad("p", (1 if value == 0 else 0,), ((0, 1), (1, 0), (0, 0)), value)
    model = convolution(*layers, Pool("m", (2,), "max", (2, 2), (1, 1)))
    network, (form,) = exact(model, 2, 3, 9)
    x = np.random.default_rng(0).integers(3, 9, (200, 9), endpoint=True)
    assert np.array_equal(forward(network, x) * form.scale, model.run(x.reshape(-1, 3, 3, 1) / 2)[0].reshape(200, -1))


@pytest.mark.parametrize(("layer", "message"), [
    (Activation("r", (0,), "relu_n", 6.0), "the limits of 'r'"),
    (Clip("r", (0,), -1.0, 2.0), "the limits of 'r'"),
    (Pad("p", (0,), ((0, 1), (0, 0), (0, 0)), 0.3), "padding of 0.3"),
    (Pad("p", (0,), ((0, 1), (0, 0), (0, 0)), 100.0), "padding of 100"),
    (Pool("m", (0,), "average", (2, 2), (1, 1)), "averages"),
])  # fmt: skip
def test_other_layers_are_refused(layer, message):
    with pytest.raises(UnsupportedError, match=message):
        exact(convolution(layer), 2, -3, 3)
