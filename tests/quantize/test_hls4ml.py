"""ap_fixed as hls4ml computes it: its own layers over AMD's headers, both in its package, compiled and run."""

import importlib.util
import subprocess
from pathlib import Path

import numpy as np
import pytest
from models import chain

from qbitsat.errors import UnsupportedError
from qbitsat.network import forward
from qbitsat.network.float_network import Activation, FloatDense
from qbitsat.quantize import Fixed, parse_format, quantize_with_report
from qbitsat.quantize.numbers import AP_OVERFLOWS, AP_ROUNDINGS

CASES, SAMPLES = 14, 24
HEAD = """
#include <cstdio>
#include "ap_fixed.h"
#include "nnet_utils/nnet_dense_latency.h"
#include "nnet_utils/nnet_activation.h"
"""
# A type of sums that holds all that there are here.
EXACT = "ap_fixed<64,32>"


def ap(rng: np.random.Generator, low: int = 3, high: int = 12, signed: bool = True) -> str:
    bits = int(rng.integers(low, high))
    modes = rng.choice(list(AP_ROUNDINGS)), rng.choice(list(AP_OVERFLOWS))
    return f"ap_{'' if signed else 'u'}fixed<{bits},{rng.integers(0, bits)},{modes[0]},{modes[1]}>"


def in_cpp(text: str) -> str:
    name, _, rest = text.partition("<")
    bits, whole, *modes = rest.strip(">").split(",")
    return f"{name}<{', '.join([bits, whole, *(f'AP_{mode}' for mode in modes)])}>"


def literals(values: np.ndarray, fixed: Fixed) -> str:
    """As hls4ml's WeightVariable writes them."""
    return ", ".join(f"{value:.{max(0, fixed.fraction)}f}" for value in values.ravel())


def program(number: int, model, types: dict[str, str], form, x: np.ndarray, step: float) -> str:
    """A function that prints the outputs of every sample, in steps of the last type."""
    lines = [f"namespace case{number} {{", f"  typedef {types['input']} t0;"]
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
            lines.append(f"  typedef {types['activations']} {result}; {config}")
            call = "relu" if layer.kind == "relu" else "relu_max"
            most = "" if layer.kind == "relu" else f"{int(layer.n)}, "
            steps.append(f"nnet::{call}<{kind}, {result}, {most}c{k}>(v{k}, v{k + 1});")
        steps[-1] = f"    {result} v{k + 1}[{size}]; {steps[-1]}"
        width, kind = size, result
    rows = ", ".join("{" + ", ".join(map(str, row)) + "}" for row in x.tolist())
    lines += [
        "  void run() {",
        f"  const int samples[][{x.shape[1]}] = {{{rows}}};",
        f"  for (auto &row : samples) {{ t0 v0[{x.shape[1]}];",
    ]
    lines += [f"    for (int i = 0; i < {x.shape[1]}; i++) v0[i] = row[i] * {step!r};", *steps]
    unit = 2.0**-form.layer.output.fraction
    value = f"(long)(v{len(model.layers)}[i].to_double() / {unit!r})"
    lines += [f'    for (int i = 0; i < {width}; i++) printf("%ld ", {value});', '    printf("\\n");']
    return "\n".join([*lines, "  }", "  }", "}"])


def random_case(rng: np.random.Generator, number: int):
    """The network and the program of one set of types."""
    types = {name: ap(rng) for name in ("input", "weights", "bias", "output")}
    types["activations"] = ap(rng, signed=rng.random() < 0.5)
    if rng.random() < 0.6:
        types["activations"] = types["output"]
    types["accumulator"] = f"ap_fixed<{int(rng.integers(26, 33))},{rng.integers(1, 6)}>" if rng.random() < 0.5 else EXACT
    text = ",".join([types["output"], *(f"{name}={types[name]}" for name in ("input", "weights", "bias", "activations"))])
    form = parse_format(text + (f",accumulator={types['accumulator']}" if types["accumulator"] != EXACT else ""))
    model = chain(rng)
    layers = [Activation(v.name, v.reads, "relu_n", 1.0) if isinstance(v, Activation) and v.kind == "relu_n" else v for v in model.layers]
    model = type(model)(model.inputs, tuple(layers))
    network = quantize_with_report(model, form).network
    x = rng.integers(network.input.lo, network.input.hi + 1, (SAMPLES, network.input.size))
    cpp = program(number, model, {name: in_cpp(word) for name, word in types.items()}, form, x, network.input.scale)
    return text, forward(network, x), cpp


def test_networks_compute_what_hls4ml_does(tmp_path):
    rng = np.random.default_rng(20)
    cases = []
    while len(cases) < CASES:
        try:
            cases.append(random_case(rng, len(cases)))
        except UnsupportedError as error:
            # An accumulator that is too coarse for the products.
            assert "in an accumulator of" in str(error)  # noqa: PT017
    calls = "\n".join(f"  case{k}::run();" for k in range(CASES))
    source = tmp_path / "cases.cpp"
    source.write_text("\n".join([HEAD, *(cpp for *_, cpp in cases), f"int main() {{\n{calls}\n  return 0;\n}}\n"]))
    folder = Path(importlib.util.find_spec("hls4ml").submodule_search_locations[0]) / "templates" / "vivado"
    command = ["g++", "-std=c++14", "-w", "-O0", f"-I{folder}", f"-I{folder / 'ap_types'}", str(source), "-o", str(tmp_path / "cases")]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    lines = subprocess.run([str(tmp_path / "cases")], check=True, capture_output=True, text=True, timeout=60).stdout.splitlines()
    theirs = [np.array([line.split() for line in lines[k * SAMPLES : (k + 1) * SAMPLES]], np.int64) for k in range(CASES)]
    for (text, mine, _), outputs in zip(cases, theirs, strict=True):
        np.testing.assert_array_equal(mine, outputs, err_msg=text)


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
