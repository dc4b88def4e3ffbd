"""Operators of QDQ and QLinear files, each as ONNX Runtime computes it: some hundreds of inputs, many beside a tie."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import numpy_helper
from onnx_files import Model, differing, f32, feeds, read, samples, session
from onnx_operators import CASES, of_few_bits, pair_behind, start

from qbitsat.errors import InputError, UnsupportedError
from qbitsat.network import forward

every_type = pytest.mark.parametrize("dtype", [np.int8, np.uint8], ids=["int8", "uint8"])


@pytest.mark.parametrize(("dtype", "runtime"), [(np.int8, None), (np.int8, "onnxruntime-int8"), (np.uint8, None)])
@pytest.mark.parametrize("case", CASES)
def test_operator_is_that_of_the_runtime(case, dtype, runtime, tmp_path):
    for seed in range(3):
        model = CASES[case](Model(dtype, seed))
        outputs, wrong = differing(model, read(model, tmp_path, runtime), 60)
        assert wrong == 0, f"seed {seed}: {wrong} of {outputs} differ"


@pytest.mark.parametrize(("dtype", "runtime"), [(np.int8, "onnxruntime-int8"), (np.uint8, None)])
@pytest.mark.parametrize("op", ["Conv", "MatMul"])
def test_integers_of_few_bits_take_no_layer_of_their_own(op, dtype, runtime, tmp_path):
    model = of_few_bits(Model(dtype, 2), op)
    network = read(model, tmp_path, runtime)
    assert differing(model, network, 60)[1] == 0
    least, most = (0, 15) if dtype is np.uint8 else (-8, 7)
    assert [(form.lo, form.hi) for form in (network.input, *(layer.output for layer in network.layers))] == [(least, most)] * 3


@pytest.mark.parametrize("op", ["Conv", "MatMul"])
def test_int8_that_stays_int8_is_computed_in_floats(op, tmp_path):
    """Unless the runtime is told otherwise: of these scales, where ties are common, its integers differ from sums of integers."""
    model = of_few_bits(Model(np.int8), op)
    with pytest.raises(UnsupportedError, match=rf"computes floats: by default the runtime leaves {op} of int8 in floats"):
        read(model, tmp_path)


@pytest.mark.parametrize(("ends", "fault"), [((3, 2), "limits 3 and 2"), ((-200, 2), "limits -200 and 2")])
def test_limits_of_integers_that_do_not_fit(ends, fault, tmp_path):
    m = Model(np.int8)
    x = m.node("Clip", m.quantize("x", 0.1, 0), *(m.constant(np.array(end, np.int64)) for end in ends))
    with pytest.raises(InputError, match=fault):
        read(m.build({"x": (1, 5)}, m.node("Neg", m.dequantize(x, 0.1, 0))), tmp_path)


@every_type
@pytest.mark.parametrize("case", ["Conv", "Gemm", "Add, constants", "Clip"])
def test_constant_nodes_are_initializers(case, dtype, tmp_path):
    class Nodes(Model):
        def constant(self, array) -> str:
            return self.node("Constant", value=numpy_helper.from_array(np.asarray(array), ""))

    model = CASES[case](Nodes(dtype, 4))
    assert differing(model, read(model, tmp_path), 60)[1] == 0


@pytest.mark.parametrize(
    ("attributes", "fault"),
    [({}, "has no value that is an array or numbers"), ({"value": 3}, "has no value"), ({"value_int": 1 << 62}, "expected int8 or uint8")],
)
def test_constant_nodes_without_a_value_are_refused(attributes, fault, tmp_path):
    m = Model(np.int8)
    point = m.node("Constant", **attributes)
    model = m.build({"x": (1, 4)}, m.node("QuantizeLinear", "x", m.constant(f32(0.1)), point))
    with pytest.raises((InputError, UnsupportedError), match=fault):
        read(model, tmp_path)


@every_type
def test_integers_that_others_read_are_clamped_in_a_layer(dtype, tmp_path):
    m = Model(dtype, 3)
    x = m.quantize(m.dequantize(m.quantize("x", 0.1, 7), 0.1, 7), 0.1, 7)
    few = m.node("Clip", x, m.constant(np.array(2, dtype)), m.constant(np.array(9, dtype)))
    parts = m.dequantize(x, 0.1, 7), m.dequantize(few, 0.1, 7)
    y = m.node("Concat", *parts, axis=1)
    model = m.build({"x": (1, 40)}, m.through(y, 0.1, 7))
    assert differing(model, read(model, tmp_path), 60)[1] == 0


@pytest.mark.parametrize("again", ["reshaped", "requantized", "input"])
def test_integers_that_others_read_later_by_another_name_are_clamped_in_a_layer(again, tmp_path):
    m = Model(np.uint8, 3)
    x = m.node("MatMul", m.through("x", 0.1, 7), m.stored(m.weights(20, 8), f32(0.01)))
    q = m.quantize("x" if again == "input" else x, 0.1, 7)
    other = q
    if again == "reshaped":
        other = m.node("Reshape", q, m.constant(np.array([1, -1])))
    elif again == "requantized":
        other = m.quantize(m.dequantize(q, 0.1, 7), 0.1, 7)
    elif again == "input":
        other = m.quantize("x", 0.1, 7)
    few = m.node("Clip", other, m.constant(np.uint8(2)), m.constant(np.uint8(9)))
    y = m.node("Concat", m.dequantize(few, 0.1, 7), m.dequantize(q, 0.1, 7), axis=1)
    model = m.build({"x": (1, 20)}, m.through(y, 0.1, 7))
    network = read(model, tmp_path)
    assert (network.input.lo, network.input.hi) == (0, 255)
    assert differing(model, network, 60)[1] == 0


@pytest.mark.parametrize("between", [None, "Abs"])
@pytest.mark.parametrize("shared", [True, False])
def test_int8_of_two_equal_quantizers_is_read_twice(shared, between, tmp_path):
    """Those with the same constants, by their names, are one for the runtime."""
    m = Model(np.int8, 3)
    meaning = [m.meaning(0.05, 3) for _ in range(2)]
    source = m.node("Neg", m.through("x", 0.05, 3)) if between else "x"
    ends = []
    for size, names in zip((1, 2), meaning[:1] * 2 if shared else meaning, strict=True):
        floats = m.node(between, source) if between else source
        x = m.node("DequantizeLinear", m.node("QuantizeLinear", floats, *names), *names)
        ends.append(m.node("Flatten", m.through(m.node("AveragePool", x, kernel_shape=[2, size]), 0.05, 3)))
    model = m.build({"x": (1, 2, 4, 4)}, m.through(m.node("Concat", *ends, axis=1), 0.1, 1))
    if shared:
        with pytest.raises(UnsupportedError, match="uint8 on one side and int8 on the other"):
            read(model, tmp_path)
    network = read(model, tmp_path, "onnxruntime-int8" if shared else None)
    assert differing(model, network, 60)[1] == 0


@pytest.mark.parametrize("before", ["Clip", "Reshape", "reader", "input", "Relu"])
def test_a_pair_that_is_taken_away_leaves_the_type_before_it(before, tmp_path):
    """A DequantizeLinear with a QuantizeLinear of the same meaning behind: what reads the latter reads INT8 that is no output of one
    QuantizeLinear with one reader.
    """
    m, meaning = Model(np.int8, 3), (0.05, -128)
    integers = "x" if before == "input" else m.quantize("x", *meaning)
    if before == "Clip":
        integers = m.node("Clip", integers, m.constant(np.int8(-100)), m.constant(np.int8(100)))
    elif before == "Reshape":
        integers = m.node("Reshape", integers, m.constant(np.array([1, 2, 4, 4])))
    ends = [m.dequantize(integers, *meaning) for _ in range(2 if before in ("reader", "Relu") else 1)]
    ends[0] = m.through(m.node("Relu", ends[0]) if before == "Relu" else ends[0], *meaning)
    means = [m.node("Flatten", m.through(m.node("AveragePool", x, kernel_shape=[2, 2]), *meaning)) for x in ends]
    y = m.node("Concat", *means, axis=1) if len(means) > 1 else means[0]
    model = m.build({"x": (1, 2, 4, 4)}, m.through(y, 0.1, 1), np.int8 if before == "input" else f32)
    with pytest.raises(UnsupportedError, match="uint8 on one side and int8 on the other"):
        read(model, tmp_path)
    assert differing(model, read(model, tmp_path, "onnxruntime-int8"), 60)[1] == 0


@every_type
def test_what_is_padded_is_no_function_of_what_it_was(dtype, tmp_path):
    m = Model(dtype, 3)
    x = m.through(m.node("Relu", m.through("x", 0.05, 3)), 0.04, 9)
    x = m.through(m.node("Pad", x, m.constant(np.array([0, 1, 0, 2]))), 0.04, 9)
    model = m.build({"x": (1, 30)}, m.through(m.node("Mul", x, m.node("Neg", x)), 0.1, 1))
    assert differing(model, read(model, tmp_path), 60)[1] == 0


@every_type
@pytest.mark.parametrize("between", [(), ("Identity",), ("Add", "Mul", "Cast"), ("Transpose", "Transpose")])
def test_a_pair_behind_a_pair_is_refused(between, dtype, tmp_path):
    """ONNX Runtime makes one pair of them, whose scale neither of them has."""
    with pytest.raises(UnsupportedError, match="quantizes again what a QuantizeLinear and a DequantizeLinear give"):
        read(pair_behind(Model(dtype), between), tmp_path)


@every_type
@pytest.mark.parametrize("between", [(), ("Identity",)])
def test_a_pair_behind_the_same_pair_changes_nothing(between, dtype, tmp_path):
    for seed in range(3):
        model = pair_behind(Model(dtype, seed), between, same=True)
        assert differing(model, read(model, tmp_path), 60)[1] == 0


@every_type
@pytest.mark.parametrize(("factor", "read_at_all"), [(1, True), (1 + 2e-7, True), (1.02, False), (0.5, False)])
def test_biases_of_other_scales_are_refused(factor, read_at_all, dtype, tmp_path):
    """Then ONNX Runtime computes floats."""
    m = Model(dtype, 7)
    x, scale = start(m)
    bias = m.stored(m.rng.integers(-9000, 9000, 5).astype(np.int32), f32(0.01 * factor) * scale)
    model = m.build({"x": (1, 30)}, m.through(m.node("Gemm", x, m.stored(m.weights(5, 30), f32(0.01)), bias, transB=1), f32(0.3), 9))
    if read_at_all:
        assert differing(model, read(model, tmp_path), 60)[1] == 0
    else:
        with pytest.raises(UnsupportedError, match="computes floats: the bias's scales"):
            read(model, tmp_path)


@every_type
def test_a_product_without_a_quantizer_gives_its_sums(dtype, tmp_path):
    m = Model(dtype, 5)
    x, scale = start(m)
    w, bias = m.stored(m.weights(5, 30), f32(0.01)), m.stored(m.rng.integers(-900, 900, 5).astype(np.int32), f32(0.01) * scale)
    y = m.node("Gemm", x, w, bias, transB=1)
    model = m.build({"x": (1, 30)}, y)
    network, runner = read(model, tmp_path), session(model)
    q = samples(network, m.rng, 50)
    for sample, sums in zip(q, forward(network, q), strict=True):
        (floats,) = runner.run(None, feeds(network, runner, sample))
        assert (floats.ravel() == sums.astype(f32) * f32(network.output.scale)).all()
    assert "outputs are its sums of integers" in network.remarks[0]
