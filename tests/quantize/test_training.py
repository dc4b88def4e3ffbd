"""What is trained is what is verified, to the bit: the format in floats against the integer network."""

from dataclasses import replace
from fractions import Fraction

import fake as fractions
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from models import AP, chain, reals, residual

from qbitsat.errors import InputError, UnsupportedError
from qbitsat.network import forward
from qbitsat.network.float_network import Activation, Concat, FloatConvolution, FloatDense, FloatNetwork, Pool, Reshape
from qbitsat.quantize import Fixed, parse_format, quantize_with_report
from qbitsat.quantize.numbers import OVERFLOWS, ROUNDINGS
from qbitsat.quantize.training import Trainable, fake

seeds = st.integers(0, 2**32 - 1)
FORMATS = (
    "paper:8,5", "paper:6", "paper:5,4,rounding=toward_zero,weight-rounding=floor", "benchmark:6", "benchmark:4", AP,
    "ap_fixed<6,2>,input=u8.8", "ap_fixed<7,2,RND,SAT_ZERO>,input=u8.8",
    "power-of-two:6,weights=s6.4,bias=s8.6,activations=u6.3,output=s6.3,input=u8.8",
)  # fmt: skip


def images(rng: np.random.Generator) -> FloatNetwork:
    layers = [
        FloatConvolution("conv", (-1,), reals(rng, 2, 3, 3, 1), reals(rng, 2), (2, 1), ((1, 0), (1, 1))),
        Activation("relu", (0,), "relu"),
        Reshape("flat", (1,), (16,)),
        FloatDense("last", (2,), reals(rng, 3, 16), reals(rng, 3)),
        Activation("softmax", (3,), "softmax"),
    ]
    return FloatNetwork(((4, 4, 1),), tuple(layers))


@settings(max_examples=20, deadline=None, derandomize=True)
@given(seeds)
def test_graphs_are_trained_as_they_are_computed(seed):
    rng = np.random.default_rng(seed)
    text = str(rng.choice([f for f in FORMATS if "ap_" not in f]))
    check(
        rng, residual(rng), text + str(rng.choice(["", ",per-channel", ",rounding=half_zero", ",activations=u5.3,depthwise.weights=s4.3"]))
    )


@settings(max_examples=60, deadline=None, derandomize=True)
@given(seeds)
def test_the_trained_function_is_the_integer_network(seed):
    rng = np.random.default_rng(seed)
    text = str(rng.choice(FORMATS))
    check(rng, chain(rng) if rng.random() < 0.7 else images(rng), text)


def check(rng: np.random.Generator, model: FloatNetwork, text: str) -> None:
    form = parse_format(text)
    trainable = Trainable(model, text)
    assert trainable.form == form
    parameters = [(w + rng.normal(0, 0.05, w.shape), b + rng.normal(0, 0.05, b.shape)) for w, b in trainable.parameters]
    made = quantize_with_report(trainable.trained(parameters), form, lossy=True)
    form_in = made.network.input
    x = rng.integers(form_in.lo, form_in.hi + 1, (20, form_in.size))
    floats = trainable.apply(np, parameters, (x * form_in.scale).reshape(20, *trainable.model.inputs[0]))
    np.testing.assert_array_equal(floats / made.report.layers[-1].step, forward(made.network, x))


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("overflow", OVERFLOWS)
def test_numbers_are_those_of_the_format(rounding, overflow):
    values = np.concatenate([np.arange(-80, 81) / 16, [0.49999999999999994, -0.49999999999999994, 1e9 + 0.5, -1e9 - 0.5]])
    fixed = Fixed(4, 1, True, rounding, overflow)
    expected = [float(fractions.number(Fraction(v), fixed)) for v in values]
    np.testing.assert_array_equal(fake(np, values, fixed), expected)
    np.testing.assert_array_equal(fixed.integers(values) * fixed.step, expected)


@pytest.mark.parametrize(
    ("text", "layers", "error", "message"),
    [
        ("int8", (), UnsupportedError, "training in 'int8': expected a fixed-point format"),
        ("power-of-two:8", (), InputError, "expected a format with all fractional bits"),
        ("paper:8,5", (Concat("both", (1, 1), 2),), UnsupportedError, "layer 'both': training of a layer of kind Concat"),
        ("ap_fixed<8,3>", (Pool("pool", (1,), "average", (2, 2)),), UnsupportedError, "layer 'pool': training of a pool of ap_fixed"),
        ("ap_fixed<8,3>,accumulator=ap_fixed<24,9>", (), UnsupportedError, "training with an accumulator"),
    ],
)
def test_what_can_not_be_trained_is_told(text, layers, error, message):
    model = images(np.random.default_rng(1))
    model = replace(model, layers=(*model.layers[:2], *layers), outputs=(1,))
    with pytest.raises(error, match=message):
        Trainable(model, parse_format(text))
