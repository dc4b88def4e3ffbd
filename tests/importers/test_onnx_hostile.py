"""Wrong and hostile .onnx files: one line with file, node or tensor and what was expected, and little memory."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from contextlib import suppress

import numpy as np
import onnx
import pytest
from mutate_onnx import changed
from mutate_tflite import mutants
from onnx import helper, numpy_helper
from onnx_files import MODELS, Model, differing, f32, read, small

from qbitsat.arithmetic import ShiftRequantizer
from qbitsat.errors import InputError, QbitsatError, UnsupportedError
from qbitsat.importers import load
from qbitsat.importers.assembly.builder import A_LAYER, Builder
from qbitsat.network import TensorFormat

Change = Callable[[onnx.ModelProto], None]


def held(model: onnx.ModelProto, op: str, which: int) -> onnx.TensorProto:
    """The constant that the first node of a kind reads."""
    name = next(node for node in model.graph.node if node.op_type == op).input[which]
    return next(tensor for tensor in model.graph.initializer if tensor.name == name)


def valued(op: str, which: int, value) -> Change:
    def change(model: onnx.ModelProto) -> None:
        tensor = held(model, op, which)
        tensor.CopyFrom(numpy_helper.from_array(np.asarray(value), tensor.name))

    return change


def external(model: onnx.ModelProto) -> None:
    tensor = model.graph.initializer[0]
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")


def sized(*dims: int) -> Change:
    def change(model: onnx.ModelProto) -> None:
        tensor = model.graph.initializer[4]
        del tensor.dims[:]
        tensor.dims.extend(dims)

    return change


def cycle(model: onnx.ModelProto) -> None:
    model.graph.node[0].input[0] = model.graph.node[-1].output[0]


def renamed(op: str) -> Change:
    def change(model: onnx.ModelProto) -> None:
        for node in model.graph.node[3:5]:
            node.op_type = op

    return change


def output_twice(model: onnx.ModelProto) -> None:
    model.graph.output.append(helper.make_tensor_value_info("t0", 2, None))


def of_opset(version: int) -> Change:
    def change(model: onnx.ModelProto) -> None:
        model.opset_import[0].version = version

    return change


def with_attribute(op: str, **attributes) -> Change:
    def change(model: onnx.ModelProto) -> None:
        node = next(node for node in model.graph.node if node.op_type == op)
        kept = [attribute for attribute in node.attribute if attribute.name not in attributes]
        del node.attribute[:]
        node.attribute.extend([*kept, *(helper.make_attribute(name, value) for name, value in attributes.items())])

    return change


def with_input(*dims) -> Change:
    def change(model: onnx.ModelProto) -> None:
        model.graph.input[0].CopyFrom(helper.make_tensor_value_info("x", 1, dims))

    return change


FAULTS: dict[str, tuple[Change, str]] = {
    "external data": (external, r"initializer 0 \('c0'\): external data, outside the file"),
    "a shape of more than there is": (sized(3, 5), r"initializer 4 \('c4'\): shape \(3, 5\) of int8 takes 15 bytes, the file has 72"),
    "2**31 elements": (sized(1 << 31), r"initializer 4 .*: shape \(2147483648,\), expected at most 8 axes, each from 0 to 2\*\*31 - 1"),
    "2**60 elements": (sized(1 << 30, 1 << 30), r"initializer 4 .*: shape .* takes 1152921504606846976 bytes, the file has 72"),
    "a cycle": (cycle, r"node 0 \('n0', QuantizeLinear\): reads 't.*', which no node before it gives"),
    "operators that nobody knows": (renamed("Frobnicate"), r"not read: operator Frobnicate \(node 3 'n3', 4 'n4'\)"),
    "an operator of others": (renamed("Erf"), r"not read: operator Erf \(node 3 'n3', 4 'n4'\)"),
    "two outputs": (output_twice, "2 outputs, expected one of 0"),
    "no opset": (lambda model: model.ClearField("opset_import"), "says no version of ONNX's operators; .* cut off"),
    "opset 3": (of_opset(3), r"versions \[3\] of ONNX's operators, expected one from 7"),
    "opset 900": (of_opset(900), r"versions \[900\] of ONNX's operators"),
    "scale 0": (valued("QuantizeLinear", 1, f32(0)), r"input 1 'c\d+' of node 0 \(.*QuantizeLinear\): scale 0, expected a positive"),
    "scale NaN": (valued("QuantizeLinear", 1, f32(np.nan)), "scale nan, expected"),
    "scale inf": (valued("QuantizeLinear", 1, f32(np.inf)), "scale inf, expected"),
    "scale -1": (valued("QuantizeLinear", 1, f32(-1)), "scale -1, expected"),
    "scale 1e-40": (valued("QuantizeLinear", 1, f32(1e-40)), "scale 9.99995e-41, expected"),
    "a zero point of 16 bits": (
        valued("QuantizeLinear", 2, np.int16(3)),
        r"node 0 .*, the zero point: int16 .*: activations of 16 bits are",
    ),
    "groups": (with_attribute("Conv", group=3), "3 groups of 2 channels, but the input has 2, and there are 4 outputs"),
    "strides of 0": (with_attribute("Conv", strides=[0, 1]), "strides .0, 1., expected 2 integers from 1"),
    "a kernel beyond the image": (with_attribute("MaxPool", kernel_shape=[9, 9]), "a kernel that spans 9 of 6 cells"),
    "pads of 2**40": (with_attribute("Conv", pads=[1 << 40] * 4), "pads .*, expected 4 integers from 0 to 65536"),
    "pads beyond all sizes": (with_attribute("Conv", pads=[1 << 15] * 4), "so many values that the network is beyond"),
    "an input of any size": (with_input(1, "n", 6, 5), r"input 'x': shape \(1, None, 6, 5\), expected one whose sizes are known"),
    "a huge input": (with_input(1, 1 << 20, 1 << 20), "so many values"),
    "a batch of 2": (with_input(2, 2, 6, 5), r"an input of shape \(2, 2, 6, 5\), expected \(1, channels, height, width\)"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_fault(tmp_path, fault):
    change, message = FAULTS[fault]
    model = onnx.load_from_string(small())
    change(model)
    path = tmp_path / "model.onnx"
    path.write_bytes(model.SerializeToString())
    tracemalloc.start()
    with pytest.raises(QbitsatError, match=f"^{path}: .*{message}"):
        load(path)
    assert tracemalloc.get_traced_memory()[1] < 100 << 20
    tracemalloc.stop()


@pytest.mark.parametrize("name", MODELS)
def test_small_models_are_read(tmp_path, name):
    path = tmp_path / "model.onnx"
    path.write_bytes(MODELS[name]())
    load(path)


@pytest.mark.parametrize("name", MODELS)
def test_mutants_are_networks_or_refused(tmp_path, name):
    path, rng = tmp_path / "model.onnx", np.random.default_rng(1)
    path.write_bytes(MODELS[name]())
    good = path.read_bytes()
    for mutant in [*mutants(path, 40, 3), *(changed(good, rng) for _ in range(40))]:
        path.write_bytes(mutant)
        with suppress(QbitsatError):
            load(path)


@pytest.mark.parametrize("data", [b"\x08\x07", b"\x08\x07\x12", b"\x08\x07" + b"\xff" * 99, b"\x3a\x80\x80\x80\x80\x08"])
def test_cut_off(tmp_path, data):
    path = tmp_path / "model.onnx"
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"model.onnx: .*(damaged protocol buffer|has no graph)"):
        load(path)


def test_what_the_runtime_computes_in_floats_is_refused(tmp_path):
    m = Model(np.int8, 3)
    x = m.through("x", 0.1, 3)
    w = m.stored(m.weights(2, 2, 1, 1), f32(0.01))
    shared = m.through(m.node("Conv", x, w), 0.1, 3)
    total = m.node("Add", shared, m.through(m.node("Conv", shared, w), 0.1, 3))
    with pytest.raises(UnsupportedError, match=r"node 3 .*: computes floats: the runtime has uint8 on one side and int8 on the other"):
        read(m.build({"x": (1, 2, 3, 3)}, m.through(total, 0.1, 3)), tmp_path)
    m = Model(np.uint8, 3)
    y = m.node("Relu", m.node("Conv", m.through("x", 0.1, 3), m.stored(m.weights(2, 2, 1, 1), f32(0.01))))
    with pytest.raises(UnsupportedError, match=r"computes floats: node 4 .* clamps more than the QuantizeLinear behind it"):
        read(m.build({"x": (1, 2, 3, 3)}, m.through(y, 0.1, 7)), tmp_path)


@pytest.mark.parametrize("largest", [64, 65])
def test_without_vnni_nothing_may_saturate(tmp_path, largest):
    m = Model(np.uint8, 4)
    w = m.rng.integers(-64, 64, (9, 5)).astype(np.int8)
    w[2:4, 3] = largest
    model = m.build({"x": (1, 9)}, m.through(m.node("MatMul", m.through("x", 0.1, 3), m.stored(w, f32(0.01))), 0.1, 3))
    if largest > 64:
        with pytest.raises(UnsupportedError, match=r"onnxruntime-novnni: sums of two products can saturate to 16 bits.* 130 together"):
            read(model, tmp_path, "onnxruntime-novnni")
        return
    network = read(model, tmp_path, "onnxruntime-novnni")
    assert differing(model, network, 50) == (250, 0)
    assert network.runtime == "onnxruntime-novnni"


def test_runtimes_are_known(tmp_path):
    with pytest.raises(InputError, match="'tflm' is unknown; expected one of onnxruntime, onnxruntime-int8, "):
        read(small(), tmp_path, "tflm")


def test_small_layers_count():
    """Means in floats, one rounding a layer, were a hundred thousand layers of one value, and each was made in the time of all before."""
    b, step = Builder("x", 0), ShiftRequantizer(0, "floor", 0, 1)
    x, b.left = b.enter(TensorFormat((1,), 0, 1))[:, None], 10 * A_LAYER
    for _ in range(9):
        b.sums("s", x, [1], 0, (step,), TensorFormat((1,), 0, 1))
    with pytest.raises(UnsupportedError, match="so many values"):
        b.sums("s", x, [1], 0, (step,), TensorFormat((1,), 0, 1))


def test_dynamic_quantization_is_called_that(tmp_path):
    m = Model()
    y = m.node("DynamicQuantizeLinear", "x")
    with pytest.raises(
        UnsupportedError, match=r"dynamic quantization .DynamicQuantizeLinear, node 0. is no integer network: its scales are"
    ):
        read(m.build({"x": (1, 4)}, y), tmp_path)
    m = Model()
    y = m.node("DynamicQuantizeMatMul", "x", m.constant(np.ones((4, 2), np.int8)), m.constant(f32(0.1)), domain="com.microsoft")
    with pytest.raises(UnsupportedError, match=r"dynamic quantization .DynamicQuantizeMatMul, node 0. is no integer network"):
        read(m.build({"x": (1, 4)}, y), tmp_path)


@pytest.mark.parametrize("op", ["MatMulInteger", "ConvInteger"])
def test_sums_that_floats_scale_are_refused_with_their_place(tmp_path, op):
    """As exporters write them that quantize statically: QuantizeLinear, sums, a bias, Cast, one scale, QuantizeLinear."""
    m = Model()
    q = m.node("QuantizeLinear", "x", m.constant(f32(0.1)), m.constant(np.uint8(3)))
    shape, bias = ((4, 2), (2,)) if op == "MatMulInteger" else ((2, 1, 2, 2), (1, 2, 1, 1))
    total = m.node(op, q, m.constant(np.ones(shape, np.int8)), m.constant(np.uint8(3)), m.constant(np.int8(0)))
    real = m.node("Mul", m.node("Cast", m.node("Add", total, m.constant(np.ones(bias, np.int32))), to=1), m.constant(f32(0.01)))
    model = m.build({"x": (1, 4) if op == "MatMulInteger" else (1, 1, 4, 4)}, m.through(real, 0.1, 3))
    with pytest.raises(
        UnsupportedError, match=rf"not read: operator {op} .node 1.*; sums of {op} are scaled as floats: expected QLinearMatMul"
    ):
        read(model, tmp_path)
