"""Float .onnx models: what ONNX Runtime computes is what the networks compute; one fault a file."""

from collections.abc import Callable

import numpy as np
import onnx
import onnxruntime
import pytest
from float_onnx_files import MODELS, built, f32, indices, numbers
from onnx import TensorProto
from onnx_files import Model

import qbitsat
from qbitsat.errors import FloatModelError, InputError, QbitsatError, UnsupportedError
from qbitsat.network.float_network import Activation, FloatConvolution, FloatDense, Transpose


def differs(path, samples: int = 4) -> float:
    """The largest difference from ONNX Runtime."""
    network, session = qbitsat.load_float(path), onnxruntime.InferenceSession(str(path))
    rng, largest = np.random.default_rng(1), 0.0
    for _ in range(samples):
        given = {value.name: [n if isinstance(n, int) else 1 for n in value.shape] for value in session.get_inputs()}
        xs = {name: rng.normal(size=shape).astype(f32) for name, shape in given.items()}
        batch = tuple(x.reshape(1, *shape) for x, shape in zip(xs.values(), network.inputs, strict=True))
        for ours, theirs in zip(network.run(batch[0] if len(batch) == 1 else batch), session.run(None, xs), strict=True):
            assert ours.shape[1:] == (theirs.shape[1:] if theirs.shape[0] == 1 and theirs.ndim > 1 else theirs.shape)
            largest = max(largest, float(np.abs(ours.ravel() - theirs.ravel()).max()))
    return largest


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_networks_compute_what_onnx_runtime_does(tmp_path, model):
    path = tmp_path / "net.onnx"
    path.write_bytes(model)
    assert differs(path) < 2e-5
    with pytest.raises(FloatModelError, match="a float network; quantize it first"):
        qbitsat.load(path)


def test_orders_of_axes_cancel(tmp_path):
    path = tmp_path / "net.onnx"
    path.write_bytes(MODELS["channels last"])
    kinds = [type(part) for part in qbitsat.load_float(path).layers]
    assert Transpose not in kinds
    assert kinds.count(FloatConvolution) == kinds.count(FloatDense) == 1


def test_graphs_of_several_inputs(tmp_path):
    path = tmp_path / "net.onnx"
    path.write_bytes(built(lambda m, x: m.node("Concat", m.node("Add", x, "y"), "z", axis=1), ("n", 3), more={"y": (1, 3), "z": (1, 2)}))
    assert differs(path) < 1e-6


def test_floats_of_16_bits_are_remarked(tmp_path):
    path = tmp_path / "net.onnx"
    path.write_bytes(built(lambda m, x: m.node("Relu", m.node("Cast", m.node("Cast", x, to=TensorProto.FLOAT16), to=1)), ("n", 3)))
    assert differs(path) < 1e-2
    assert qbitsat.load_float(path).remarks == ("floats of 16 bits in the file, of 32 or 64 here: n0",)


@pytest.mark.parametrize("opset", [8, 12])
def test_old_softmax_takes_all_axes_that_follow(tmp_path, opset):
    path = tmp_path / "net.onnx"
    path.write_bytes(built(lambda m, x: m.node("Softmax", x), ("n", 1, 5, 1), opset))
    assert differs(path) < 1e-6
    path.write_bytes(built(lambda m, x: m.node("Softmax", m.node("Add", x, numbers(m, 2, 5))), ("n", 2, 5), opset))
    assert differs(path) < 1e-6


def test_published_networks_are_read(bench_data):
    names = ["onnx/ACASXU_experimental_v2a_1_1", "onnx/KJ_TinyTaxiNet", "onnx/fc1", "vnncomp/mnist-net_256x2", "vnncomp/mnist-net_256x4"]
    for name in names:
        path = bench_data / f"{name}.onnx"
        assert differs(path) < 1e-4
        kinds = {type(part) for part in qbitsat.load_float(path).layers}
        assert {FloatDense, Activation} <= kinds
        assert Transpose not in kinds


def bad(*args, **more) -> Callable[[Model, str], str]:
    return lambda m, x: m.node(args[0], x, *(arg(m) if callable(arg) else arg for arg in args[1:]), **more)


def matrix(m: Model) -> str:
    return numbers(m, 3, 4)


FAULTS = {
    "operators": (
        lambda m, x: m.node("Erf", m.node("LSTM", m.node("Erf", x))), UnsupportedError,
        r"not read: operator Erf \(node 0 'n0', 2 'n2'\); operator LSTM \(node 1 'n1'\)",
    ),
    "custom": (bad("Foo", domain="my.own"), UnsupportedError, r"operator my.own.Foo \(node 0 'n0'\)"),
    "product": (lambda m, x: m.node("Mul", x, x), UnsupportedError, r"node 0 \('n0', Mul\): Mul of two tensors that are computed"),
    "matrix": (bad("MatMul", matrix), InputError, r"node 0 \('n0', MatMul\): weights of 3 inputs on a tensor of shape \(1, 2, 3, 4\)"),
    "broadcast": (bad("Add", lambda m: numbers(m, 2, 2, 3, 4)), UnsupportedError, "expected one that is broadcast"),
    "nan": (bad("Conv", lambda m: m.constant(np.full((1, 2, 1, 1), np.nan, f32))), InputError, "weights: element .* is nan, expected"),
    "by zero": (bad("Div", lambda m: m.constant(f32(0))), InputError, "scale: element .* is inf"),
    "ceil": (bad("MaxPool", kernel_shape=[2, 2], strides=[2, 3], ceil_mode=1), UnsupportedError, "ceil_mode 1"),
    "batch": (bad("Transpose", perm=[1, 0, 2, 3]), UnsupportedError, "expected the batch to stay first"),
    "kernel": (bad("Conv", lambda m: numbers(m, 1, 2, 9, 9)), InputError, "a kernel that spans 9 of 3"),
    "reshape": (bad("Reshape", lambda m: indices(m, 1, 23)), InputError, r"\(1, 2, 3, 4\) as \(1, 23\)"),
    "constant": (lambda m, x: m.node("Add", numbers(m, 2), numbers(m, 2)), UnsupportedError, "is a constant, expected what is computed"),
    "cast": (bad("Cast", to=TensorProto.INT32), UnsupportedError, "a cast of what is computed to type 6, expected one to floats"),
    "pads": (bad("Pad", lambda m: indices(m, 1, 0, 0, 0, 0, 0, 0, 0)), UnsupportedError, "along the batch"),
    "huge": (bad("Pad", lambda m: indices(m, 0, 0, 0, 0, 0, 0, 1 << 19, 1 << 19)), UnsupportedError, "computes more than"),
}  # fmt: skip


@pytest.mark.parametrize(("make", "error", "message"), FAULTS.values(), ids=FAULTS)
def test_faults_name_file_and_node(tmp_path, make, error, message):
    path = tmp_path / "net.onnx"
    path.write_bytes(built(make, (1, 2, 3, 4)))
    with pytest.raises(error, match=message) as caught:
        qbitsat.load_float(path)
    assert str(caught.value).count(str(path)) == 1
    assert "\n" not in str(caught.value)


def test_quantized_and_damaged_files_are_told(tmp_path, bench_data):
    with pytest.raises(UnsupportedError, match=r"a quantized network; qbitsat\.load reads it"):
        qbitsat.load_float(bench_data / "onnx" / "micro_kws_m_static_qdq.onnx")
    path = tmp_path / "net.onnx"
    for cut in (60, 300):
        path.write_bytes(MODELS["lenet"][:-cut])
        with pytest.raises(QbitsatError, match=r"net\.onnx: "):
            qbitsat.load_float(path)
    model = onnx.load_from_string(MODELS["folded"])
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.INT8
    path.write_bytes(model.SerializeToString())
    with pytest.raises(UnsupportedError, match="input 'x': int8, expected floats"):
        qbitsat.load_float(path)
