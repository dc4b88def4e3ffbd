"""Sigmoid, tanh and averages as hls4ml computes them: its own functions, compiled and run on the same integers."""

import numpy as np
import pytest
from hls import ap, in_cpp, outputs, samples

from qbitsat.errors import InputError, UnsupportedError
from qbitsat.network import forward
from qbitsat.network.float_network import Activation, FloatConvolution, FloatDense, FloatNetwork, GlobalPool, Pool
from qbitsat.quantize import parse_format, quantize
from qbitsat.quantize.hls4ml import entries, index_of, thresholds, type_of
from qbitsat.quantize.numbers import Fixed, parse_ap

TABLES, POOLS, SAMPLES = 24, 30, 40


def alone(layer, shape, text):
    return quantize(FloatNetwork((shape,), (layer,)), text)


def table_case(rng, number):
    """A table and everything that its type of input can be, or some of it where that is much."""
    kind, size = ("sigmoid", "tanh")[number % 2], int(rng.choice([1024, 1024, 16, 100, 4096]))
    source = ap(rng, 3, 11, signed=rng.random() < 0.7) if number % 6 else "ap_fixed<20,8>"
    table, result = ap(rng, 4, 16), ap(rng, 3, 14)
    if rng.random() < 0.4:
        table = "ap_fixed<18,8>"
    text = f"{result},input={source},table={table},table-size={size}"
    network = alone(Activation("table", (-1,), kind), (1,), text)
    lo, hi = network.input.lo, network.input.hi
    x = np.arange(lo, hi + 1) if hi - lo < 1 << 12 else np.unique(np.concatenate([rng.integers(lo, hi + 1, 2000), [lo, -1, 0, 1, hi]]))
    body = (
        f"  typedef {in_cpp(source)} t0; typedef {in_cpp(result)} t1;\n"
        f"  struct config : nnet::activ_config {{ static const unsigned n_in = 1, table_size = {size}; typedef {in_cpp(table)} table_t; }};"
    )
    call = f"t1 v1[1]; nnet::{kind}<t0, t1, config>(v0, v1);"
    run = samples(x[:, None], network.input.scale, call, "v1", 1, parse_ap(result).step)
    return text, forward(network, x[:, None]), body + run


def test_tables_hold_what_hls4mls_do(tmp_path):
    rng, cases, refused = np.random.default_rng(18), [], 0
    while len(cases) < TABLES:
        try:
            cases.append(table_case(rng, len(cases)))
        except UnsupportedError as error:
            assert "too near a step" in str(error)  # noqa: PT017
            refused += 1
    assert refused < TABLES
    for (text, mine, _), theirs in zip(cases, outputs(tmp_path, [body for *_, body in cases]), strict=True):
        np.testing.assert_array_equal(mine, theirs, err_msg=text)


def test_the_default_table_depends_on_no_library():
    for kind in ("sigmoid", "tanh"):
        assert not entries(kind, 1024, Fixed(18, 10, rounding="floor", overflow="wrap"), Fixed(16, 10, rounding="floor"))[1].any()


def test_an_index_is_cut_off_toward_0():
    q = np.arange(-40, 40)
    np.testing.assert_array_equal(index_of(q, 4, 10, 16), np.clip(np.trunc(q / 16 * 10 / 16) + 5, 0, 9))
    np.testing.assert_array_equal(index_of(q, -1, 10, 16), np.clip(np.trunc(q * 10 / 16) * 2 + 5, 0, 9))


def test_tables_that_depend_on_a_library_are_refused():
    model = FloatNetwork(((1,),), (Activation("curve", (-1,), "tanh"),))
    with pytest.raises(UnsupportedError, match=r"layer 'curve': tanh: entry .* is too near a step of s24.22 to say"):
        quantize(model, "ap_fixed<24,2>,table=ap_fixed<24,2>")
    # Few of its entries are reached by inputs of 4 bits.
    quantize(model, "ap_fixed<4,3>,table=ap_fixed<24,2>")


def test_an_index_beyond_32_bits_is_refused():
    with pytest.raises(UnsupportedError, match="whose indices leave 32 bits"):
        alone(Activation("curve", (-1,), "sigmoid"), (1,), "ap_fixed<16,6>,input=ap_fixed<30,28>")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("paper:8,table-size=4", "expected it of ap_fixed alone"),
        ("ap_fixed<8,3>,table-size=1", "table-size is 1, expected an integer in"),
        ("ap_fixed<8,3>,table-size=many", "table-size is 'many', expected an integer in"),
        ("ap_fixed<8,3>,table=8.3", "expected bits as in 6"),
    ],
)
def test_tables_in_words(text, words):
    with pytest.raises(InputError, match=words):
        parse_format(text)


def pool_case(rng):
    """An average of random shape and types."""
    height, width, channels = (int(n) for n in rng.integers([2, 2, 1], [6, 6, 3]))
    is_global, source = rng.random() < 0.3, ap(rng, 3, 10, signed=rng.random() < 0.6)
    default, result = ap(rng, 8, 20), ap(rng, 3, 12) if rng.random() < 0.5 else source
    accumulator = ap(rng, 8, 24) if rng.random() < 0.5 else None
    text = f"{default},input={source},output={result}" + (f",accumulator={accumulator}" if accumulator else "")
    fixed = parse_ap(source)
    if is_global:
        layer, window, strides, padding, result = GlobalPool("pool", (-1,), "average"), (height, width), (height, width), 4 * [0], result
        accumulator = accumulator or default
    else:
        window = tuple(int(rng.integers(1, n + 1)) for n in (height, width))
        strides = tuple(int(n) for n in rng.integers(1, 4, 2))
        padding = [int(rng.integers(0, window[k // 2])) if rng.random() < 0.3 else 0 for k in range(4)]
        layer = Pool("pool", (-1,), "average", window, strides, (tuple(padding[:2]), tuple(padding[2:])), bool(rng.random() < 0.3))
        more, result = int(np.ceil(np.log2(window[0] * window[1]))), source
        bits = f"<{fixed.bits + 2 * more}, {fixed.bits - fixed.fraction + more}>"
        accumulator = accumulator or f"ap_{'' if fixed.signed else 'u'}fixed{bits}".replace(" ", "")
    network = alone(layer, (height, width, channels), text)
    x = rng.integers(network.input.lo, network.input.hi + 1, (SAMPLES, network.input.size))
    x[0], x[1] = network.input.lo, network.input.hi
    out_height, out_width = (1, 1) if is_global else layer.shape((height, width, channels))[:2]
    numbers = {
        "in_height": height, "in_width": width, "n_filt": channels, "stride_height": strides[0], "stride_width": strides[1],
        "pool_height": window[0], "pool_width": window[1], "out_height": out_height, "out_width": out_width, "pad_top": padding[0],
        "pad_bottom": padding[1], "pad_left": padding[2], "pad_right": padding[3], "reuse_factor": 1,
    }  # fmt: skip
    body = (
        f"  typedef {in_cpp(source)} t0; typedef {in_cpp(result)} t1;\n  struct config : nnet::pooling2d_config {{\n"
        f"    static const unsigned {', '.join(f'{name} = {value}' for name, value in numbers.items())};\n"
        f"    static const bool count_pad = {str(getattr(layer, 'count_padding', False)).lower()};\n"
        f"    static const nnet::Pool_Op pool_op = nnet::Average; typedef {in_cpp(accumulator)} accum_t; }};"
    )
    size = network.output.size
    call = f"t1 v1[{size}]; nnet::{'global_' if is_global else ''}pooling2d_cl<t0, t1, config>(v0, v1);"
    run = samples(x, network.input.scale, call, "v1", size, parse_ap(result).step)
    return f"{text} {layer}", forward(network, x), body + run


def test_averages_are_hls4mls(tmp_path):
    rng, cases, refused = np.random.default_rng(19), [], 0
    while len(cases) < POOLS:
        try:
            cases.append(pool_case(rng))
        except UnsupportedError as error:
            # An accumulator that is too coarse, or saturates.
            assert "accumulator" in str(error)  # noqa: PT017
            refused += 1
    assert refused < 3 * POOLS
    for (text, mine, _), theirs in zip(cases, outputs(tmp_path, [body for *_, body in cases]), strict=True):
        np.testing.assert_array_equal(mine, theirs, err_msg=text)


def leaky_case(rng, number):
    """Everything that its type of input can be, or some of it where that is much; every third slope has the type that is inferred."""
    source, result, slope = ap(rng, 3, 12, signed=rng.random() < 0.9), ap(rng, 3, 14), ap(rng, 2, 12, signed=rng.random() < 0.5)
    alpha = float(rng.choice([0.3, 0.2, 0.01, 0.125, 1.0, 1.5, 0.0, round(rng.uniform(0, 2), 4)]))
    if number % 3 == 0:
        found = type_of(alpha)
        slope = f"ap_ufixed<{found.bits},{found.bits - found.fraction}>"
    text = f"ap_fixed<16,6>,input={source},output={result}" + (f",slope={slope}" if number % 3 else "")
    network = alone(Activation("leaky", (-1,), "leaky_relu", alpha=alpha), (1,), text)
    x = np.arange(network.input.lo, network.input.hi + 1)
    body = (
        f"  typedef {in_cpp(source)} t0; typedef {in_cpp(result)} t1; typedef {in_cpp(slope)} t2;\n"
        "  struct config : nnet::activ_config { static const unsigned n_in = 1; };"
    )
    call = f"t1 v1[1]; nnet::leaky_relu<t0, t2, t1, config>(v0, {alpha!r}, v1);"
    run = samples(x[:, None], network.input.scale, call, "v1", 1, parse_ap(result).step)
    return f"{text} {alpha}", forward(network, x[:, None]), body + run


def test_leaky_relu_is_hls4mls(tmp_path):
    rng = np.random.default_rng(21)
    cases = [leaky_case(rng, number) for number in range(TABLES)]
    for (text, mine, _), theirs in zip(cases, outputs(tmp_path, [body for *_, body in cases]), strict=True):
        np.testing.assert_array_equal(mine, theirs, err_msg=text)


@pytest.mark.parametrize("alpha", [0.0, 0.3, 0.2, 0.01, 0.125, 1.0, 1.5, 2.0, 6.0, 255.0, 257.0, 1e-9, 0.5 - 1e-12, 0.5 - 1e-9, 1 / 3])
def test_types_of_slopes_are_those_that_hls4ml_infers(alpha):
    from hls4ml.model.optimizer.passes.infer_precision import _get_precision_from_constant

    theirs = _get_precision_from_constant(alpha)
    assert type_of(alpha) == Fixed(theirs.width, theirs.width - theirs.integer, bool(theirs.signed), "floor", "wrap")


def test_leaky_relu_that_falls_or_is_too_wide_is_refused():
    with pytest.raises(UnsupportedError, match=r"an alpha of -0\.5"):
        alone(Activation("leaky", (-1,), "leaky_relu", alpha=-0.5), (1,), "ap_fixed<8,3>")
    with pytest.raises(UnsupportedError, match="expected 53 bits"):
        alone(Activation("leaky", (-1,), "leaky_relu", alpha=0.3), (1,), "ap_fixed<30,8>,slope=ap_fixed<30,1>")


def test_thresholds_are_those_of_the_step():
    for lo, hi in ((-20, 25), (3, 3), (-7, -2)):
        acc = np.arange(lo, hi + 1)
        made = thresholds(lambda v: np.sign(v) * (np.abs(v) // 3), lo, hi)
        np.testing.assert_array_equal(made.apply(acc), np.trunc(acc / 3))


def test_pools_round_as_the_type_that_they_read():
    """The type of rectified values says how, through pools of the largest, however narrow their range is."""
    one, rng = np.ones((1, 1, 1, 1)), np.random.default_rng(3)
    layers = (
        FloatConvolution("conv", (-1,), one, np.array([0.25])), Activation("relu", (0,), "relu"), Pool("largest", (1,), "max", (1, 2)),
        Pool("mean", (2,), "average", (2, 2), (2, 2)),
    )  # fmt: skip
    model = FloatNetwork(((4, 5, 1),), layers)
    x = rng.integers(0, 16, (20, 20))
    largest = np.lib.stride_tricks.sliding_window_view(x.reshape(20, 4, 5) + 4, 2, axis=2).max(axis=3)
    sums = largest.reshape(20, 2, 2, 2, 2).sum(axis=(2, 4)).reshape(20, 4)
    for mode, mean in (("TRN", sums // 4), ("RND", (sums + 2) // 4), ("RND_MIN_INF", -((2 - sums) // 4))):
        network = quantize(model, f"ap_fixed<12,6>,input=ap_ufixed<4,0>,activations=ap_ufixed<6,2,{mode}>")
        np.testing.assert_array_equal(forward(network, x), mean, err_msg=mode)


def test_the_largest_of_an_image_goes_through_the_accumulator():
    network = alone(GlobalPool("pool", (-1,), "max"), (2, 2, 1), "ap_fixed<8,4>,output=ap_fixed<4,3,TRN,SAT>")
    x = np.random.default_rng(4).integers(-128, 128, (50, 4))
    np.testing.assert_array_equal(forward(network, x)[:, 0], np.clip(x.max(axis=1) >> 3, -8, 7))
    with pytest.raises(UnsupportedError, match="expected one that holds them all"):
        alone(GlobalPool("pool", (-1,), "max"), (2, 2, 1), "ap_fixed<8,4>,input=ap_fixed<9,4>")


def test_exact_sums_fit_into_32_bits():
    rows = FloatDense("last", (-1,), np.array([[0.5, -0.25]]), np.zeros(1))
    network = alone(rows, (2,), "ap_fixed<8,4>,output=exact")
    np.testing.assert_array_equal(forward(network, [[3, 4], [-128, 127]]), [[3 * 8 - 4 * 4], [-128 * 8 - 127 * 4]])
    with pytest.raises(UnsupportedError, match=r"exact sums from .* expected 32 bits"):
        alone(rows, (2,), "ap_fixed<24,4>,output=exact")
    with pytest.raises(InputError, match="output=exact: expected it of ap_fixed alone"):
        parse_format("paper:8,output=exact")
