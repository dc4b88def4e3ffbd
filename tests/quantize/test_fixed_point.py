"""Networks in fixed point against the same in fractions, and what is refused."""

import re
from dataclasses import replace
from fractions import Fraction

import fake
import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from models import chain, graph

import qbitsat
from qbitsat.errors import InputError, UnsupportedError
from qbitsat.network import Network, forward
from qbitsat.network.float_network import Activation, Concat, FloatConvolution, FloatDense, FloatNetwork, Pad, Pool, Reshape, Scale
from qbitsat.properties import Box
from qbitsat.quantize import Fixed, parse_format, quantize, quantize_with_report
from qbitsat.quantize.numbers import OVERFLOWS, ROUNDINGS, rounded

seeds = st.integers(0, 2**32 - 1)


def outputs_in_fractions(model: FloatNetwork, form, network: Network, x: np.ndarray, unit: float) -> np.ndarray:
    """What the network should give, as its integers."""
    step = Fraction(network.input.scale)
    tensors = fake.run(model, form, fake.arrays(x.reshape(model.inputs[0]), lambda q: Fraction(q) * step))
    return np.array([int(v / Fraction(unit)) for v in tensors[-1].ravel()])


def check(model: FloatNetwork, form, seed: int, samples: int = 4) -> Network:
    rng = np.random.default_rng(seed)
    real = rng.random((5, *model.inputs[0]))
    made = quantize_with_report(model, form, real, lossy=True)
    network, unit = made.network, made.report.layers[-1].step
    x = rng.integers(network.input.lo, network.input.hi + 1, (samples, network.input.size))
    x[0] = rng.choice([network.input.lo, network.input.hi], network.input.size)
    for row, outputs in zip(x, forward(network, x), strict=True):
        np.testing.assert_array_equal(outputs, outputs_in_fractions(model, form, network, row, unit))
    return network


@settings(max_examples=60, deadline=None, derandomize=True)
@given(seeds)
def test_paper_format_is_what_fractions_give(seed):
    rng = np.random.default_rng(seed)
    bits = int(rng.integers(3, 11))
    rounding, weights = rng.choice(["floor", "toward_zero"]), rng.choice(["half_away", "half_even", "floor"])
    form = parse_format(f"paper:{bits},{rng.integers(0, bits + 1)},rounding={rounding},weight-rounding={weights}")
    check(chain(rng) if rng.random() < 0.7 else graph(rng), form, seed)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(seeds)
def test_benchmark_format_is_what_fractions_give(seed):
    rng = np.random.default_rng(seed)
    check(chain(rng) if rng.random() < 0.7 else graph(rng), parse_format(f"benchmark:{rng.integers(3, 9)}"), seed)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(seeds)
def test_every_mode_of_ap_fixed_is_what_fractions_give(seed):
    rng = np.random.default_rng(seed)

    def ap(signed: bool = True) -> str:
        bits, modes = int(rng.integers(3, 10)), (rng.choice(MODES), rng.choice(["WRAP", "SAT", "SAT_SYM", "SAT_ZERO"]))
        return f"ap_{'' if signed else 'u'}fixed<{bits},{rng.integers(-1, bits)},{modes[0]},{modes[1]}>"

    text = f"{ap()},weights=ap_fixed<{rng.integers(4, 9)},2,RND_CONV,SAT>,bias={ap()},activations={ap(rng.random() < 0.5)}"
    wide = rng.random() < 0.4
    form = parse_format(text + (f",accumulator=ap_fixed<{rng.integers(26, 32)},{rng.integers(2, 6)}>" if wide else ""))
    form = replace(form, hls=False)
    try:
        check(chain(rng), form, seed)
    except UnsupportedError as error:
        assert "in an accumulator of" in str(error)  # noqa: PT017


MODES = ["TRN", "TRN_ZERO", "RND", "RND_ZERO", "RND_INF", "RND_MIN_INF", "RND_CONV"]


@settings(max_examples=40, deadline=None, derandomize=True)
@given(seeds)
def test_power_of_two_is_what_fractions_give(seed):
    """With the fractional bits that it says it chose."""
    rng = np.random.default_rng(seed)
    model = chain(rng)
    form = parse_format(f"power-of-two:{rng.integers(3, 9)}")
    found = quantize_with_report(model, form, rng.random((20, 4)) * 2 - rng.random(), method=str(rng.choice(["range", "mse"])))
    layers, places = {}, -int(np.log2(found.network.input.scale))
    for entry in found.report.layers:
        weights, output = (int(n) for n in re.findall(r"[us]\d+\.(-?\d+)", entry.formats))
        own = {name: getattr(form.layer, name).with_fraction(output) for name in ("output", "rectified")}
        bias = Fixed(32, places + weights)
        layers[entry.name] = replace(form.layer, weights=form.layer.weights.with_fraction(weights), bias=bias, **own)
        places = output
    x = rng.integers(found.network.input.lo, found.network.input.hi + 1, (3, 4))
    known, unit = replace(form, layers=layers), found.report.layers[-1].step
    for row, outputs in zip(x, forward(found.network, x), strict=True):
        np.testing.assert_array_equal(outputs, outputs_in_fractions(model, known, found.network, row, unit))


@pytest.mark.parametrize("method", ["range", "percentile:90", "mse"])
def test_channels_have_their_own_fractional_bits(method):
    """Each output is as that of a network which has no other."""
    rng = np.random.default_rng(8)
    weights, bias = rng.normal(0, 1, (5, 4)) * 2.0 ** np.arange(-3, 2)[:, None], rng.normal(0, 1, 5)
    text, x = "power-of-two:6,input=u8.8,output=s8.4", rng.integers(0, 256, (30, 4))
    outputs = forward(quantize(FloatNetwork(((4,),), (FloatDense("all", (-1,), weights, bias),)), f"{text},per-channel", method=method), x)
    for i in range(5):
        alone = quantize(FloatNetwork(((4,),), (FloatDense("one", (-1,), weights[i : i + 1], bias[i : i + 1]),)), text, method=method)
        np.testing.assert_array_equal(outputs[:, i], forward(alone, x)[:, 0])


@pytest.mark.parametrize(("method", "fraction"), [("range", 5), ("percentile:90", 7), ("mse", 6)])
def test_fractional_bits_by_method(method, fraction):
    """98 values below 1, 1.5 and 2, in 7 bits: the last one fits with 5, and with 6 misses by little."""
    values = np.array([*np.linspace(0, 0.99, 98), 1.5, 2.0])
    layer = FloatDense("identity", (-1,), np.eye(1), np.zeros(1))
    model = FloatNetwork(((1,),), (layer, Activation("relu", (0,), "relu")))
    found = quantize_with_report(model, "power-of-two:7,input=u20.14", values[:, None], method=method)
    assert found.report.layers[0].formats.endswith(f"u7.{fraction}")


@pytest.mark.parametrize("bits", [6, 8])
def test_benchmark_files_agree_to_the_bit(bench_data, bits):
    """The importer of these files quantizes by itself."""
    path = bench_data / "qvip" / f"qu_mnist_2blk_64_32_in_8_qu_{bits}.h5"
    with h5py.File(path, "r") as file:
        groups = [group for group in (file[name] for name in file.attrs["layer_names"]) if len(group.attrs["weight_names"])]
        weights = [(group.name[1:], *(np.array(group[name], float) for name in group.attrs["weight_names"])) for group in groups]
    layers = []
    for name, kernel, bias in weights:
        layers.append(FloatDense(name, (len(layers) - 1,), kernel.T, bias))
        if name != weights[-1][0]:
            layers.append(Activation(f"{name}.relu", (len(layers) - 1,), "relu"))
    network, theirs = quantize(FloatNetwork(((784,),), tuple(layers)), f"benchmark:{bits}"), qbitsat.load(path)
    x = np.random.default_rng(0).integers(0, 256, (200, 784))
    np.testing.assert_array_equal(forward(network, x), forward(theirs, x))
    for mine, other in zip(network.layers, theirs.layers, strict=True):
        assert mine.requantizers == other.requantizers
        np.testing.assert_array_equal(np.sort(mine.weights[mine.weights != 0]), np.sort(other.weights[other.weights != 0]))


@pytest.mark.parametrize("text", ["paper:5,3", "benchmark:4", "ap_fixed<5,3>,input=u3.2", "ap_fixed<5,2,RND_ZERO,SAT_ZERO>,input=u3.2"])
def test_verdicts_are_those_of_enumeration(text):
    rng = np.random.default_rng(3)
    model = chain(rng, n_in=2)
    network = quantize(model, text)
    span = network.input.hi - network.input.lo
    for _ in range(6):
        x = rng.integers(network.input.lo, network.input.hi + 1, 2)
        eps = int(rng.integers(1, min(6, span)))
        box = Box(np.maximum(x - eps, network.input.lo), np.minimum(x + eps, network.input.hi))
        points = np.stack(np.meshgrid(*(np.arange(a, b + 1) for a, b in zip(box.lo, box.hi, strict=True))), axis=-1).reshape(-1, 2)
        label = int(forward(network, x[None])[0].argmax())
        kept = (forward(network, points).argmax(axis=1) == label).all()
        for engine in ("auto", "sat"):
            verdict = qbitsat.verify(qbitsat.robustness(network, x, eps, label), engine=engine)
            assert verdict.holds == kept
            assert verdict.violated != kept


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_roundings_of_floats(rounding):
    below = 0.49999999999999994
    values = np.array([-2.5, -2.0, -1.75, -1.5, -1.25, -0.5, 0.0, 0.5, 0.75, 1.5, 2.5, 2.0**52 + 1, below, -below])
    assert rounded(values, rounding).tolist() == [fake.whole(Fraction(v), rounding) for v in values]


@pytest.mark.parametrize("overflow", OVERFLOWS)
@pytest.mark.parametrize("signed", [True, False])
def test_overflows_of_floats(overflow, signed):
    fixed = Fixed(4, 1, signed, "half_even", overflow)
    values = np.array([-1e300, -1e18 - 4, -9.0, -8.5, -8.25, -4.25, -4.0, -0.25, 0.0, 3.5, 3.75, 4.0, 7.25, 7.75, 8.0, 1e18 + 4, 1e300])
    assert fixed.integers(values).tolist() == [fake.fitted(fake.whole(Fraction(v) * 2, "half_even"), fixed) for v in values]


def test_scales_are_folded_and_softmax_is_left_out():
    rng = np.random.default_rng(5)
    plain = chain(rng)
    first = plain.layers[0]
    factor, shift = np.full(len(first.bias), 2.0), np.full(len(first.bias), 0.25)
    halved = replace(first, weights=first.weights / 2, bias=(first.bias - 0.25) / 2)
    layers = [halved, Scale("bn", (0,), factor, shift)]
    layers += [replace(layer, reads=(layer.reads[0] + 1,)) for layer in plain.layers[1:]]
    layers.append(Activation("softmax", (len(layers) - 1,), "softmax"))
    network = quantize(FloatNetwork(plain.inputs, tuple(layers)), "paper:8,5")
    x = rng.integers(0, 256, (20, 4))
    np.testing.assert_array_equal(forward(network, x), forward(quantize(plain, "paper:8,5"), x))
    assert "layer softmax: softmax was left out, classes are those of what it reads" in network.remarks


def test_scales_of_nothing_leave_no_layer():
    """As of a mean image of zeros, subtracted from the input."""
    plain = chain(np.random.default_rng(6))
    one, zero = np.ones(1), np.zeros(plain.inputs[0])
    layers = (Scale("mean", (-1,), one, zero), *(replace(layer, reads=(max(layer.reads[0], -1) + 1,)) for layer in plain.layers))
    network = quantize(FloatNetwork(plain.inputs, layers), "paper:8,5")
    assert network.sha256 == quantize(plain, "paper:8,5").sha256


def test_report_counts_and_measures():
    layer = FloatDense("dense", (-1,), np.array([[100.0, 0.001], [1.0, 0.0]]), np.array([0.0, -50.0]))
    real = np.array([[0.5, 0.25], [0.25, 1.0]])
    found = quantize_with_report(FloatNetwork(((2,),), (layer,)), "paper:8,4", real, labels=[0, 1])
    (entry,) = found.report.layers
    assert (entry.name, entry.formats, entry.step) == ("dense", "weights s8.4, bias s8.4, output s8.4", 1 / 16)
    assert tuple(vars(entry.loss).values()) == (4, 1, 1, 2, 1, 0)
    assert "of 4 weights and 2 biases 1 and 1 were clipped" in found.network.remarks
    # 100 is clipped to 127 / 16, times a half is 63.5 steps, and truncated 63.
    assert entry.max_error == pytest.approx(50.00025 - 63 / 16)
    # Outputs are 50 and -49.5, and 25.001 and -49.75.
    assert (found.report.samples, found.report.float_accuracy, found.report.accuracy) == (2, 0.5, 0.5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("paper", "expected paper:BITS or paper:BITS,FRACTION, as in paper:8,5"),
        ("paper:8,5,6", "expected paper:BITS or paper:BITS,FRACTION, as in paper:8,5"),
        ("papier:8", "did you mean 'paper'"),
        ("paper:40", "format: bits with a sign is 40"),
        ("paper:8,5,input=9q", "expected bits as in 6"),
        ("paper:8,5,rounding=up", "'up' is unknown"),
        ("paper:8,5,wieghts=4", "did you mean 'weights'"),
        ("ap_fixed<8>", "expected ap_fixed<W,I>"),
        ("ap_fixed<8,3,RAND>", "'RAND' is unknown"),
        ("ap_fixed<8,3,AP_RND,AP_WRAP_SM>", "AP_WRAP_SM, whose sign comes from bits before the rounding; expected WRAP, SAT, SAT_SYM"),
        ("int8:tensorrt", "int8: runtime 'tensorrt' is unknown"),
        ("benchmark:8,nobody.weights=4", "layer 'nobody' is none of the model's"),
        ("power-of-two:8", "expected calibration data"),
        ("power-of-two:8,input=u8.8", "layer 'dense0': output: its range is not known, expected calibration data"),
        ("int8", "expected some"),
        ("paper:8,-5", "expected bits as in 6|expected paper|is unknown"),
        ("ap_fixed<12,20>,bias=ap_fixed<12,-20>", "fractional bits more than products"),
        ("ap_fixed<16,6>,accumulator=ap_fixed<16,6>", "in an accumulator of 10"),
        ("ap_fixed<8,1>,accumulator=ap_fixed<16,1,TRN,SAT>", "an accumulator that saturates, and can"),
    ],
)
def test_what_is_no_format_is_refused(text, message):
    model = chain(np.random.default_rng(1))
    with pytest.raises((InputError, UnsupportedError), match=message) as caught:
        quantize(model, text)
    assert "\n" not in str(caught.value)
    assert str(caught.value).count("layer ") <= 1


@pytest.mark.parametrize(
    ("bias", "overflow", "said"),
    [
        ([9.0, 9.0, 0.0], "saturate", "2 of 3 from 0 to 9 do not fit s6.3, -4 to 3.875; expected 8 bits"),
        ([9.0, 3.0, 0.0], "saturate", ""),
        # A step too many is as good as rounding, unless it wraps around.
        ([4.0, -4.125, 4.0], "saturate", ""),
        ([4.0, -4.125, 4.0], "wrap", "3 of 3 from -4.125 to 4 do not fit s6.3, -4 to 3.875; expected 7 bits"),
        ([1e12, 1e12, 0.0], "saturate", "2 of 3 from 0 to 1e+12 do not fit s6.3, -4 to 3.875; expected fewer fractional bits"),
        ([-3.0, -2.0, 0.0], "saturate", "2 of 3 from -3 to 0 do not fit u6.3, 0 to 7.875; expected a sign"),
    ],
)
def test_biases_that_mostly_do_not_fit_are_refused(bias, overflow, said):
    model = FloatNetwork(((2,),), (FloatDense("dense", (-1,), np.ones((3, 2)), np.array(bias)),), name="n")
    form = parse_format("paper:8,3")
    form = replace(form, layer=replace(form.layer, bias=replace(form.layer.bias, bits=6, signed="u6.3" not in said, overflow=overflow)))
    if not said:
        assert quantize_with_report(model, form).report.doubts == ()
        return
    with pytest.raises(InputError, match=re.escape(f"network 'n': layer 'dense': biases: {said}")):
        quantize(model, form)
    made = quantize_with_report(model, form, lossy=True)
    assert made.report.doubts == (f"layer 'dense': biases: {said}",)
    assert set(made.report.doubts) < set(made.network.remarks)


@pytest.mark.parametrize("text", ["int8", "power-of-two:8"])
def test_tensors_of_nothing_have_no_scale(text):
    model = chain(np.random.default_rng(1))
    with pytest.raises(InputError, match="input: is 0 in all calibration data, expected samples that say its range"):
        quantize(model, text, np.zeros((3, 4)))
    first, *rest = model.layers
    dead = replace(model, layers=(replace(first, bias=np.full_like(first.bias, -100.0)), *rest))
    made = quantize_with_report(dead, text, np.ones((3, 4)))
    assert "layer relu0: gives 0 for all calibration data, which say nothing of its range; its step is 1" in made.network.remarks
    assert made.report.layers[0].step == 1


def test_sums_that_wrap_around_mean_what_the_accumulator_does():
    """Their step is the accumulator's, not that of what they become."""
    network = quantize(chain(np.random.default_rng(1)), "ap_fixed<16,6>,accumulator=ap_fixed<24,3>")
    sums = [layer for layer in network.layers if (layer.output.lo, layer.output.hi) == (-(1 << 23), (1 << 23) - 1)]
    assert sums
    assert {layer.output.scale for layer in sums} == {2.0**-21}


def test_an_accumulator_that_is_wide_enough_changes_nothing():
    """The example of docs/reference/files.md."""
    model = chain(np.random.default_rng(1))
    assert quantize(model, "paper:8,5,accumulator=s24.13").sha256 == quantize(model, "paper:8,5").sha256
    with pytest.raises(UnsupportedError, match="13 fractional bits in an accumulator of 12"):
        quantize(model, "paper:8,5,accumulator=s24.12")


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (np.full((2, 4), np.nan), "sample 0 holds a number that is not finite"),
        (np.zeros((0, 4)), "expected at least one sample"),
        (np.zeros((2, 5)), r"expected \(n, 4\)"),
        (np.array([["a"] * 4]), "expected numbers"),
    ],
)
def test_what_is_no_calibration_data_is_refused(samples, message):
    with pytest.raises(InputError, match=message):
        quantize(chain(np.random.default_rng(1)), "power-of-two:8", samples)


def test_samples_of_another_shape_are_calibration_data_of_flat_inputs_alone():
    assert quantize(chain(np.random.default_rng(1)), "power-of-two:8", np.ones((5, 2, 2))).input.shape == (2, 2)
    image = FloatNetwork(((2, 3, 1),), (Reshape("flat", (-1,), (6,)), FloatDense("last", (0,), np.eye(6), np.zeros(6))))
    assert quantize(image, "power-of-two:8", np.ones((5, 6))).num_inputs == 6
    with pytest.raises(InputError, match=r"shape \(5, 3, 2\), expected \(n, 2, 3, 1\)"):
        quantize(image, "power-of-two:8", np.ones((5, 3, 2)))


def test_padding_is_0_around_values_that_never_are():
    layers = (
        FloatConvolution("conv", (-1,), np.ones((1, 1, 1, 1)), np.array([2.0])), Pad("pad", (0,), ((1, 0), (0, 0), (0, 0))),
        Pool("mean", (0,), "average", (2, 1), padding=((1, 0), (0, 0)), count_padding=True), Concat("both", (1, 2), 0),
        Reshape("flat", (3,), (5,)), FloatDense("last", (4,), np.eye(5), np.zeros(5)),
    )  # fmt: skip
    network = quantize(FloatNetwork(((2, 1, 1),), layers), "paper:8,4,input=u4.4")
    x = np.array([[0, 0], [9, 4]])
    np.testing.assert_array_equal(forward(network, x), [[0, 32, 32, 16, 32], [0, 41, 36, 20, 38]])
