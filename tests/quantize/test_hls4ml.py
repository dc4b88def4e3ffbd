"""ap_fixed as hls4ml computes it: its own layers over AMD's headers, both in its package, compiled and run."""

import re

import numpy as np
import pytest
from hls import ap, in_cpp, outputs, samples
from models import chain

from qbitsat.errors import UnsupportedError
from qbitsat.network import forward
from qbitsat.network.float_network import Activation, FloatDense
from qbitsat.quantize import Fixed, parse_format, quantize_with_report

CASES, SAMPLES = 24, 24
# A type of sums that holds all that there are here.
EXACT = "ap_fixed<64,32>"


def literals(values: np.ndarray, fixed: Fixed) -> str:
    """As hls4ml's WeightVariable writes them."""
    return ", ".join(f"{value:.{max(0, fixed.fraction)}f}" for value in values.ravel())


def program(model, types: dict[str, str], form, x: np.ndarray, network) -> str:
    """A case that prints the outputs of every sample, in steps of the output."""
    lines = [f"  typedef {types['input']} t0;"]
    steps, width, kind = [], x.shape[1], "t0"
    for k, layer in enumerate(model.layers):
        size = len(layer.bias) if isinstance(layer, FloatDense) else width
        result = f"t{k + 1}"
        if isinstance(layer, FloatDense):
            lines += [
                f"  typedef {types['output']} {result}; typedef {types['weights']} w{k}; typedef {types['bias']} b{k};",
                f"  struct c{k} {{ static const unsigned n_in = {width}, n_out = {size}, reuse_factor = 1, multiplier_limit = 99;",
                f"    typedef w{k} weight_t; typedef b{k} bias_t; typedef {types['accumulator']} accum_t;",
                "    template <class A, class B> using product = nnet::product::mult<A, B>; };",
                f"  w{k} weights{k}[] = {{{literals(layer.weights.T, form.layer.weights)}}};",
                f"  b{k} bias{k}[] = {{{literals(layer.bias, form.layer.bias)}}};",
            ]
            steps.append(f"nnet::dense_latency<{kind}, {result}, c{k}>(v{k}, v{k + 1}, weights{k}, bias{k});")
        else:
            config = f"struct c{k} : nnet::activ_config {{ static const unsigned n_in = {size}; }};"
            lines.append(f"  typedef {types['tanh' if layer.kind == 'tanh' else 'activations']} {result}; {config}")
            call = "relu_max" if layer.kind == "relu_n" else layer.kind
            most = f"{int(layer.n)}, " if layer.kind == "relu_n" else ""
            steps.append(f"nnet::{call}<{kind}, {result}, {most}c{k}>(v{k}, v{k + 1});")
        steps[-1] = f"    {result} v{k + 1}[{size}]; {steps[-1]}"
        width, kind = size, result
    return "\n".join([*lines, samples(x, network.input.scale, "\n".join(steps), f"v{len(model.layers)}", width, network.output.scale)])


def random_case(rng: np.random.Generator):
    """The network and the program of one set of types."""
    types = {name: ap(rng) for name in ("input", "weights", "bias", "output")}
    types["activations"] = ap(rng, signed=rng.random() < 0.5)
    if rng.random() < 0.6:
        types["activations"] = types["output"]
    is_exact = rng.random() < 0.4
    types["tanh"] = "ap_fixed<16,6>" if is_exact else types["output"]
    if is_exact:
        types["output"] = EXACT
    types["accumulator"] = f"ap_fixed<{int(rng.integers(26, 33))},{rng.integers(1, 6)}>" if rng.random() < 0.5 else EXACT
    head = "ap_fixed<16,6>,output=exact" if is_exact else types["output"]
    text = ",".join([head, *(f"{name}={types[name]}" for name in ("input", "weights", "bias", "activations"))])
    form = parse_format(text + (f",accumulator={types['accumulator']}" if types["accumulator"] != EXACT else ""))
    model = chain(rng)
    curve = str(rng.choice(["relu_n", "sigmoid", "tanh"]))
    layers = [Activation(v.name, v.reads, curve, 1.0) if isinstance(v, Activation) and v.kind == "relu_n" else v for v in model.layers]
    model = type(model)(model.inputs, tuple(layers))
    network = quantize_with_report(model, form, lossy=True).network
    x = rng.integers(network.input.lo, network.input.hi + 1, (SAMPLES, network.input.size))
    cpp = program(model, {name: in_cpp(word) for name, word in types.items()}, form, x, network)
    return text, forward(network, x), cpp


def test_networks_compute_what_hls4ml_does(tmp_path):
    rng = np.random.default_rng(20)
    cases = []
    while len(cases) < CASES:
        try:
            cases.append(random_case(rng))
        except UnsupportedError as error:
            # An accumulator that is too coarse for the products, or sums that are too wide.
            assert re.search("in an accumulator of|exact sums|half_zero", str(error))  # noqa: PT017
    for (text, mine, _), theirs in zip(cases, outputs(tmp_path, [cpp for *_, cpp in cases]), strict=True):
        np.testing.assert_array_equal(mine, theirs, err_msg=text)


@pytest.mark.parametrize(
    ("text", "fixed"),
    [
        ("ap_fixed<16,6>", Fixed(16, 10, True, "floor", "wrap")),
        ("ap_ufixed<8, 0, AP_RND_CONV, AP_SAT>", Fixed(8, 8, False, "half_even", "saturate")),
        ("ap_fixed<8,12,TRN_ZERO,SAT_SYM>", Fixed(8, -4, True, "toward_zero", "symmetric")),
    ],
)
def test_types_in_words(text, fixed):
    assert parse_format(text).layer.weights == fixed
