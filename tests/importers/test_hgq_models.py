"""Files as HGQ 2 writes them: types of every weight, and of what layers read."""

from fractions import Fraction

import fake
import numpy as np
import pytest
from keras_files import layer, row, write_archive

import qbitsat
from qbitsat.errors import QbitsatError, UnsupportedError
from qbitsat.network import forward
from qbitsat.network.float_network import FloatDense, FloatNetwork, Scale
from qbitsat.quantize import Fixed, quantize

ROUNDINGS = {"RND": "half_up", "TRN": "floor", "RND_CONV": "half_even"}
OVERFLOWS = {"SAT": "saturate", "SAT_SYM": "symmetric", "WRAP": "wrap"}


def config(kind="kif", rounding="RND", overflow="SAT", **more):
    return {"module": "hgq.quantizer.config", "config": {"q_type": kind, "round_mode": rounding, "overflow_mode": overflow, **more}}


def dense(units=2, **more):
    parts = {"kq_conf": config("kbi"), "bq_conf": config("kbi"), "iq_conf": config(), "enable_iq": True, "enable_oq": False}
    found = layer("QDense", "a", units=units, activation="relu", **{**parts, **more})
    return found | {"module": "hgq.layers.core.dense", "registered_name": "hgq>QDense"}


def groups(kernel, bias, kq, bq, iq):
    place = "layers/q_dense"
    parts = {f"{place}/{part}/quantizer": arrays for part, arrays in (("kq", kq), ("bq", bq), ("iq", iq))}
    return {place: [kernel, bias], **parts}


KERNEL, BIAS = np.array([[0.3, -1.7], [0.2501, 0.9]]), np.array([0.26, -0.3])
SAME = [np.full((2, 2), 4.0), np.full((2, 2), 1.0), np.ones((2, 2))], [np.full(2, 4.0), np.full(2, 1.0), np.ones(2)]
INPUT = [np.full((1, 2), 1.0), np.full((1, 2), 3.0), np.zeros((1, 2))]


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("overflow", OVERFLOWS)
def test_weights_are_numbers_of_their_own_types(tmp_path, rounding, overflow):
    rng = np.random.default_rng(3)
    kernel = np.where(rng.random((2, 40)) < 0.5, rng.normal(0, 1.5, (2, 40)), rng.integers(-40, 40, (2, 40)) / 16).astype(np.float32)
    b, i, k = rng.uniform(-0.4, 6.4, (2, 40)), rng.uniform(-2.4, 3.4, (2, 40)), rng.integers(0, 2, (2, 40))
    order = [b, k, i] if overflow == "WRAP" else [b, i, k]
    types = groups(kernel, np.zeros(40), order, [np.full(40, 4.0), np.zeros(40), np.zeros(40)], INPUT)
    model = row(dense(40, kq_conf=config("kbi", rounding, overflow, is_weight=False)), shape=(2,))
    write_archive(tmp_path / "h.keras", model, types)
    found = qbitsat.load_float(tmp_path / "h.keras").layers[1].weights.T
    for at in np.ndindex(kernel.shape):
        bits, whole, sign = int(np.rint(b[at])), int(np.rint(i[at])), int(k[at])
        if bits + sign <= 0:
            expected = 0
        elif bits == 0 and overflow == "SAT_SYM":
            expected = 0  # as -0 alone is left
        else:
            fixed = Fixed(bits + sign, bits - whole, bool(sign), ROUNDINGS[rounding], OVERFLOWS[overflow])
            expected = fake.number(Fraction(float(kernel[at])), fixed)
        assert found[at] == expected


def test_networks_are_of_the_types_of_the_file(tmp_path):
    write_archive(tmp_path / "h.keras", row(dense(), shape=(2,)), groups(KERNEL, BIAS, *SAME, INPUT))
    model = qbitsat.load_float(tmp_path / "h.keras")
    assert model.layers[0].quantizers == (("output", "ap_ufixed<4,1,RND,SAT>"),)
    network = quantize(model, "hgq")
    assert (network.input.lo, network.input.hi, network.input.scale) == (0, 15, 1 / 8)
    x = np.random.default_rng(1).integers(0, 16, (30, 2))
    weights, bias = np.array([[2, -14], [2, 7]]) / 8, np.array([2, -2]) / 8
    np.testing.assert_array_equal(forward(network, x) / 64, np.maximum(x / 8 @ weights + bias, 0))


def test_weights_that_their_bits_follow_are_rounded_alone(tmp_path):
    """HGQ moves i to where a weight fits while it is trained, and does not wrap it around."""
    kq = [np.full((2, 2), 2.0), np.ones((2, 2)), np.zeros((2, 2))]
    model = row(dense(kq_conf=config("kbi", "RND", "WRAP", is_weight=True)), shape=(2,))
    write_archive(tmp_path / "h.keras", model, groups(KERNEL * 8, BIAS, kq, SAME[1], INPUT))
    found = qbitsat.load_float(tmp_path / "h.keras").layers[1].weights.T
    np.testing.assert_array_equal(found, np.floor((KERNEL * 8).astype(np.float32) * 4 + 0.5) / 4)


@pytest.mark.parametrize(
    ("change", "iq", "message"),
    [
        ({"kq_conf": config("float")}, INPUT, "kq is 'float', 'RND', 'SAT'; expected kbi or kif"),
        ({"kq_conf": config("kbi", "S_RND")}, INPUT, "kq is 'kbi', 'S_RND', 'SAT'"),
        ({"kq_conf": config("kbi", overflow="WRAP_SM")}, INPUT, "'WRAP_SM'"),
        ({"kq_conf": None}, INPUT, "kq_conf: config is None, expected an object"),
        ({"kq_conf": config("kbi", affine=[1, 0])}, INPUT, "kq that is not trained, scaled, or mapped"),
        ({"trainable": False}, INPUT, "that is not trained"),
        ({}, [np.array([[1.0, 2.0]]), *INPUT[1:]], "layer 'a.iq': values of several types, expected one type"),
        ({}, [np.full((1, 2), 40.0), *INPUT[1:]], "more than 32 bits"),
        ({}, [np.full((1, 2), -3.0), *INPUT[1:]], "values of ap_ufixed<0,-3,RND,SAT>, expected one type of 1 to 32 bits"),
        ({}, INPUT[:2], "has no '2'"),
    ],
)
def test_other_types_are_refused(tmp_path, change, iq, message):
    write_archive(tmp_path / "h.keras", row(dense(**change), shape=(2,)), groups(KERNEL, BIAS, *SAME, iq))
    with pytest.raises(QbitsatError) as caught:
        quantize(qbitsat.load_float(tmp_path / "h.keras"), "hgq")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_input_that_is_finer_is_rounded_as_the_file_says(tmp_path):
    model = row(dense(iq_conf=config(rounding="TRN", overflow="WRAP")), shape=(2,))
    types = [np.full((1, 2), 1.0), np.full((1, 2), 3.0), np.ones((1, 2))]
    write_archive(tmp_path / "h.keras", model, groups(KERNEL, BIAS, *SAME, [types[1], types[2], types[0]]))
    model = qbitsat.load_float(tmp_path / "h.keras")
    assert any(remark.startswith("input: real samples become the nearest") for remark in quantize(model, "hgq").remarks)
    network = quantize(model, "hgq,input=s10.5")
    assert not any(remark.startswith("input: ") for remark in network.remarks)
    x = np.random.default_rng(1).integers(-512, 512, (60, 2))
    read = np.floor(x / 4)
    read = (read + 16) % 32 - 16
    weights, bias = np.array([[2, -14], [2, 7]]) / 8, np.array([2, -2]) / 8
    np.testing.assert_array_equal(forward(network, x) / 64, np.maximum(read / 8 @ weights + bias, 0))


def test_layers_beside_those_of_hgq_are_refused(tmp_path):
    write_archive(tmp_path / "h.keras", row(dense(), shape=(2,)), groups(KERNEL, BIAS, *SAME, INPUT))
    read, first, relu = qbitsat.load_float(tmp_path / "h.keras").layers
    bits = (("kernel", "quantized_bits(4,0,alpha=1)"), ("bias", "quantized_bits(4,0)"))
    for other, message in (
        (FloatDense("b", (2,), np.full((2, 2), 0.3), np.zeros(2), quantizers=bits), "layer 'b': its weights have no types"),
        (Scale("bn", (2,), np.array([0.5]), np.zeros(1)), "layer 'bn': factors of floats"),
    ):
        with pytest.raises(UnsupportedError, match=message):
            quantize(FloatNetwork(((2,),), (read, first, relu, other)), "hgq")


def test_other_layers_of_hgq_are_named(tmp_path):
    other = layer("QSoftmax", "s") | {"module": "hgq.layers.softmax", "registered_name": "hgq>QSoftmax"}
    write_archive(tmp_path / "h.keras", row(dense(), other, shape=(2,)), groups(KERNEL, BIAS, *SAME, INPUT))
    with pytest.raises(QbitsatError, match=r"layer 's' .hgq>QSoftmax.: of HGQ, whose QDense, QConv1D, QConv2D are read"):
        qbitsat.load_float(tmp_path / "h.keras")
