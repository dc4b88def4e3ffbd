"""Models with QKeras's quantizers: each against its formula in fractions, and networks against the model that computes with them."""

from dataclasses import replace
from fractions import Fraction

import fake
import numpy as np
import pytest
from keras_files import layer, row, write_h5

import qbitsat
from qbitsat.errors import InputError, UnsupportedError
from qbitsat.network import forward
from qbitsat.network.float_network import (
    Activation,
    Add,
    Concat,
    FloatConvolution,
    FloatDense,
    FloatNetwork,
    GlobalPool,
    Pool,
    Reshape,
    Scale,
)
from qbitsat.quantize import integers_of, quantize, quantize_with_report
from qbitsat.quantize.qkeras import Quantizer, auto_scaled, trained_model

VALUES = np.concatenate([np.arange(-80, 81) / 16, np.random.default_rng(1).normal(0, 2, 200)]).astype(np.float32).astype(np.float64)


def bits_in_fractions(v, bits, integer, symmetric=0, keep_negative=1, alpha=1):
    m, m_i = Fraction(2) ** (bits - keep_negative), Fraction(2) ** integer
    q = fake.whole(Fraction(v) * m / m_i, "half_even")
    return alpha * m_i * min(max(q, keep_negative * (symmetric - m)), m - 1) / m


@pytest.mark.parametrize("alpha", [1, Fraction(1, 4), 2])
@pytest.mark.parametrize(
    ("bits", "integer", "symmetric", "keep_negative"), [(4, 0, 0, 1), (4, 1, 1, 1), (5, 2, 0, 0), (2, 0, 1, 1), (1, 1, 0, 0), (6, -1, 0, 1)]
)
def test_bits(bits, integer, symmetric, keep_negative, alpha):
    text = f"quantized_bits({bits},{integer},{symmetric},keep_negative={bool(keep_negative)},alpha={float(alpha)})"
    found = Quantizer(text, "layer").numbers(VALUES).tolist()
    assert found == [bits_in_fractions(v, bits, integer, symmetric, keep_negative, alpha) for v in VALUES]


@pytest.mark.parametrize(("bits", "integer"), [(4, 0), (3, 2), (1, 0), (8, 3)])
def test_relu(bits, integer):
    expected = [bits_in_fractions(v, bits, integer, keep_negative=0) for v in VALUES]
    assert Quantizer(f"quantized_relu({bits},{integer})", "layer").numbers(VALUES).tolist() == expected


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("binary(alpha=1)", lambda v: 1 if v >= 0 else -1),
        ("binary(alpha=0.5,use_01=True)", lambda v: 0.5 if v >= 0 else 0),
        ("quantized_bits(1,0,alpha=2.0)", lambda v: 2 if v >= 0 else -2),
        ("ternary(alpha=1)", lambda v: np.sign(v) if abs(v) >= np.float32(0.33) else 0),
        ("ternary(alpha=0.25,threshold=0.5)", lambda v: 0.25 * np.sign(v) if abs(v) >= 0.5 else 0),
    ],
)
def test_signs(text, value):
    assert Quantizer(text, "layer").numbers(VALUES).tolist() == [value(v) for v in VALUES]


def test_scales_of_its_own_are_the_best_powers_of_two():
    rng = np.random.default_rng(4)
    quantizer = Quantizer("quantized_bits(4,1,alpha='auto_po2')", "layer")
    for size in rng.uniform(-6, 6, 40):
        x = (rng.normal(0, 1, 50) * 2.0**size).astype(np.float32).astype(np.float64)
        found = auto_scaled(quantizer, x)
        errors = []
        for k in range(-24, 12):
            z = np.clip(np.sign(x) * np.floor(np.abs(x) / 2.0**k + 0.5), -7, 7)
            errors.append(np.square(z * 2.0**k - x).sum())
        # The iteration ends in a local optimum: at most a step beside the best.
        assert np.square(found - x).sum() <= 2.5 * min(errors)
        step = np.abs(found[found != 0]).min()
        assert np.log2(step) % 1 in (0, *np.log2([3, 5, 7]) % 1)
    assert not auto_scaled(quantizer, np.zeros(3)).any()


@pytest.mark.parametrize(("what", "scales"), [("kernel", [0.25, 1, 4, 16]), ("depthwise kernel", [4, 16, 4, 16])])
def test_filters_of_groups_have_scales_of_their_own_and_multipliers_of_a_depthwise_kernel_share_theirs(what, scales):
    weights = np.array([0.25, 1, 4, 16]).reshape(4, 1, 1, 1) * 3 * np.ones((4, 2, 2, 1))
    layer = FloatConvolution("c", (-1,), weights, np.zeros(4), groups=2, quantizers=((what, "quantized_bits(3,0)"),))
    (found,) = trained_model(FloatNetwork(((2, 2, 2),), (layer,))).layers
    np.testing.assert_array_equal(
        found.weights, np.floor(weights / np.reshape(scales, (4, 1, 1, 1)) + 0.5) * np.reshape(scales, (4, 1, 1, 1))
    )


def kinds() -> FloatNetwork:
    """Everything that is exact between quantizers."""
    rng = np.random.default_rng(7)
    words = (("kernel", "quantized_bits(4,1,alpha=1)"), ("bias", "quantized_bits(5,1)"))
    auto = (("depthwise kernel", "quantized_bits(4,0)"), words[1])

    def rounded(name, reads, text="quantized_relu(4,1)"):
        return Activation(name, (reads,), "linear", quantizers=(("output", text),))

    def weights(*shape):
        return rng.normal(0, 0.7, shape).astype(np.float32)

    layers = (
        rounded("in", -1, "quantized_bits(6,0,alpha=1)"),
        FloatConvolution("conv", (0,), weights(2, 3, 3, 1), weights(2), padding=((1, 1), (1, 1)), quantizers=words),
        rounded("relu", 1),
        FloatConvolution("depthwise", (2,), weights(4, 1, 1, 1), weights(4), groups=2, quantizers=auto),
        Activation("plain", (3,), "relu"),
        Pool("mean", (4,), "average", (2, 2), (2, 2)),
        Pool("largest", (4,), "max", (2, 2), (2, 2)),
        Concat("both", (5, 6), 2),
        rounded("both.bits", 7, "quantized_bits(5,2,1,alpha=0.5)"),
        GlobalPool("means", (8,), "average"),
        FloatDense("dense", (9,), weights(4, 8), weights(4), quantizers=words),
        FloatDense("beside", (9,), weights(4, 8), np.zeros(4), quantizers=(("kernel", "binary(alpha=0.25)"),)),
        Add("add", (10, 11)),
        rounded("add.bits", 12, "quantized_bits(7,3)"),
        FloatDense("last", (13,), weights(3, 4), weights(3), quantizers=(("kernel", "ternary(alpha=1)"), words[1])),
        rounded("last.bits", 14, "quantized_bits(6,2,alpha=0.25)"),
        Activation("softmax", (15,), "softmax"),
    )  # fmt: skip
    return FloatNetwork(((4, 4, 1),), layers, name="kinds")


def test_networks_compute_what_the_quantized_model_does():
    model = kinds()
    real = np.random.default_rng(3).integers(-40, 40, (60, 4, 4, 1)) / 32 + 1e-4
    made = quantize_with_report(model, "qkeras", real)
    assert [r.max_error for r in made.report.layers] == [0.0] * len(made.report.layers)
    assert made.network.remarks[0] == "quantized to qkeras"
    assert (made.network.input.lo, made.network.input.hi, made.network.input.scale) == (-32, 31, 1 / 32)
    trained = trained_model(model)
    logits = trained.forward(real, up_to=15)[15]
    np.testing.assert_array_equal(forward(made.network, integers_of(made.network, real)) * made.network.output_forms[0].scale, logits)
    scales = {layer.name: layer.output.scale for layer in made.network.layers}
    assert (scales["both.bits"], scales["last"], made.network.output_forms[0].scale) == (1 / 8, 1 / 32, 1 / 32)
    assert made.report.layers[0].formats == "kernel quantized_bits(4,1,alpha=1), bias quantized_bits(5,1), output quantized_relu(4,1)"


def test_an_input_of_a_scaled_quantizer_is_rounded_before_it_is_scaled():
    layers = (Activation("in", (-1,), "linear", quantizers=(("output", "quantized_bits(4,0,alpha=4.0)"),)),)
    model = FloatNetwork(((len(VALUES),),), layers)
    network = quantize(model, "qkeras")
    outputs = forward(network, integers_of(network, VALUES[None])) * network.output_forms[0].scale
    assert outputs[0].tolist() == [bits_in_fractions(v, 4, 0, alpha=4) for v in VALUES]


def test_the_input_is_what_is_said_where_no_quantizer_reads_it():
    model = kinds()
    layers = tuple(replace(part, reads=tuple(k - 1 for k in part.reads)) for part in model.layers[1:3])
    bare = replace(model, layers=layers, outputs=(1,))
    with pytest.raises(UnsupportedError, match=r"input: no one quantizer says what it holds, expected .* as in qkeras,input=u8.8"):
        quantize(bare, "qkeras")
    network = quantize(bare, "qkeras,input=s4.2")
    assert (network.input.lo, network.input.hi, network.input.scale) == (-8, 7, 0.25)


def test_sums_that_float32_rounds_are_remarked():
    wide = (("kernel", "quantized_bits(16,0,alpha=1)"), ("bias", "quantized_bits(16,0)"))
    model = FloatNetwork(((2,),), (FloatDense("wide", (-1,), np.full((1, 2), 0.4), np.array([0.1]), quantizers=wide),))
    network = quantize(model, "qkeras,input=u12.12")
    assert any(
        "layer wide: sums can reach" in remark and "which float32 rounds; here they are exact" in remark for remark in network.remarks
    )


BITS = "quantized_bits(4,0,alpha=1)"


@pytest.mark.parametrize(
    ("kernel", "message"),
    [
        (None, "layer 'd': its kernel has no quantizer"),
        ("quantized_po2(4)", "layer 'd': kernel: quantized_po2.4.: expected quantized_bits"),
        ("quantized_bits(4,0,alpha='auto')", "expected an alpha that is a power of two"),
        ("quantized_bits(4,0,alpha=0.3)", "expected an alpha that is a power of two"),
        ("quantized_bits(4,0,alpha=[1.0, 2.0])", "expected an alpha that is a power of two"),
        ("quantized_bits(4.5,0,alpha=1)", "expected bits from 1 to 31, whole"),
        ("quantized_bits(bits,0,alpha=1)", "expected bits from 1 to 31, whole"),
        ("quantized_bits(1e999,0)", "expected bits from 2 to 31, whole"),
        ("quantized_bits(4,-40,alpha=1)", "layer 'd': kernel: quantized_bits.4,-40,alpha=1.: fractional bits is 43, expected"),
        ("quantized_bits(4,0,alpha=1,use_stochastic_rounding=True)", "rounds at random"),
        ("quantized_bits(4,0,alpha=1,qnoise_factor=0.5)", "rounds at random, or in part"),
        ("quantized_bits(4,0,alpha=1,scale_axis=1)", "scale_axis, which is not read"),
        ("quantized_bits(4,0,alpha=1,colour=1)", "colour, which is not known"),
        ("quantized_bits(4,0,alpha=f(1))", "alpha, which is not understood"),
        ("quantized_bits(4,(0", "expected quantized_bits"),
        ("quantized_bits(4,0,)x)", "not understood"),
        ("binary()", "an alpha that QKeras chooses for it"),
        ("quantized_bits(1,0)", "an alpha that QKeras chooses for it"),
    ],
)
def test_what_is_not_exact_is_refused(kernel, message):
    words = (*([("kernel", kernel)] if kernel else []), ("bias", "quantized_bits(4,0)"))
    model = FloatNetwork(((2,),), (FloatDense("d", (-1,), np.ones((2, 2)), np.zeros(2), quantizers=words),))
    with pytest.raises(UnsupportedError, match=message) as caught:
        quantize(model, "qkeras,input=u4.4")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (
            Activation("a", (0,), "linear", quantizers=(("output", "binary(alpha=1)"),)),
            "of values, expected quantized_bits or quantized_relu",
        ),
        (Activation("a", (0,), "linear", quantizers=(("output", "quantized_relu(4,0,1)"),)), "with a sigmoid or a slope"),
        (Activation("a", (0,), "linear", quantizers=(("output", "quantized_bits(1,0)"),)), "of one bit"),
        (Activation("a", (0,), "tanh"), "tanh, expected sums, relu"),
        (Scale("bn", (0,), np.array([0.3]), np.zeros(1)), "layer 'bn': factors of floats, as of batch normalization"),
    ],
)
def test_what_rounds_in_another_way_is_refused(part, message):
    words = (("kernel", BITS), ("bias", BITS))
    dense = FloatDense("d", (-1,), np.ones((2, 2)), np.ones(2), quantizers=words)
    with pytest.raises(UnsupportedError, match=message):
        quantize(FloatNetwork(((2,),), (dense, part)), "qkeras,input=u4.4")


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [("qkeras,weights=4", InputError, "expected one of input=..."), ("qkeras", UnsupportedError, "has no quantizers")],
)
def test_other_models_and_options_are_refused(text, error, message):
    model = FloatNetwork(((2,),), (FloatDense("d", (-1,), np.ones((2, 2)), np.zeros(2)), Reshape("r", (0,), (2, 1))))
    with pytest.raises(error, match=message):
        quantize(model, text)


def test_files_say_it(tmp_path):
    rng = np.random.default_rng(2)
    bits = {
        "module": "qkeras.quantizers",
        "class_name": "quantized_bits",
        "config": {"bits": 4, "integer": 0, "alpha": 1.0, "scale_axis": None},
    }
    dense = layer("QDense", "a", units=3, kernel_quantizer=bits, bias_quantizer="quantized_bits(4,0)", activation="quantized_relu(3,1)")
    dense |= {"module": "qkeras.qlayers", "registered_name": "qkeras>QDense"}
    kernel, bias = rng.normal(0, 0.6, (4, 3)), rng.normal(0, 0.6, 3)
    write_h5(tmp_path / "q.h5", row(dense), {"a": {"kernel": kernel, "bias": bias}})
    network = quantize(qbitsat.load_float(tmp_path / "q.h5"), "qkeras,input=u3.3")
    x = rng.integers(0, 8, (20, 4))
    weights, shifts = (
        np.array([[bits_in_fractions(float(np.float32(v)), 4, 0) for v in part] for part in parts]) for parts in (kernel, [bias])
    )
    sums = np.array([[Fraction(int(v), 8) for v in part] for part in x]) @ weights + shifts[0]
    expected = [[bits_in_fractions(v, 3, 1, keep_negative=0) * 4 for v in part] for part in sums]
    np.testing.assert_array_equal(forward(network, x), np.array(expected, float))
    bits["config"]["alpha"] = [0.3, 0.2, 0.1]
    write_h5(tmp_path / "q.h5", row(dense), {"a": {"kernel": kernel, "bias": bias}})
    with pytest.raises(UnsupportedError, match="expected an alpha that is a power of two"):
        quantize(qbitsat.load_float(tmp_path / "q.h5"), "qkeras,input=u3.3")
