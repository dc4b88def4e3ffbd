"""The steps that runtimes are said to make, against the runtimes themselves: some hundreds of outputs each, most beside a tie.

`python tests/run_operators.py` does the same for any number.
"""

import numpy as np
import pytest
import tflite_files as files
from operators import CASES, check_operator, tensor
from oracles import TFLITE, run_tflite
from tflite_operators import ABSENT

from qbitsat.arithmetic import Float32Requantizer, Float64Requantizer, MultiplierRequantizer
from qbitsat.errors import InputError, UnsupportedError
from qbitsat.importers.runtimes import RUNTIMES, Quantization, Runtime, quantize_multiplier
from qbitsat.importers.tables import table

INT8 = Quantization(0.5, 3)


@pytest.mark.parametrize(("operator", "name"), [(kind, name) for name in TFLITE for kind in CASES if kind not in ABSENT[name]])
def test_operator_is_exact(operator, name):
    rng = np.random.default_rng(11)
    for _ in range(6):
        outputs, differing = check_operator(operator, name, rng, 100)
        assert outputs > 0
        assert differing == 0


@pytest.mark.parametrize(
    ("scale", "multiplier", "shift"),
    [
        (1.0, 1 << 30, 1),
        (0.5, 1 << 30, 0),
        (0.75, 3 << 29, 0),
        (1 - 2.0**-40, 1 << 30, 1),
        (2.0**-32, 1 << 30, -31),
        (2.0**-33, 0, 0),
        (0.0, 0, 0),
        (2.0**29, 1 << 30, 30),
    ],
)
def test_quantize_multiplier(scale, multiplier, shift):
    assert quantize_multiplier(scale) == (multiplier, shift)


@pytest.mark.parametrize("name", RUNTIMES)
def test_an_eighth_is_rounded_as_each_runtime_does(name):
    ways = {
        "tflm": (-1, -1, 1, 1),
        "tflite-ref": (-1, -1, 0, 1),
        "tflite-opt": (0, 0, 1, 1),
        "xnnpack": (-1, 0, 0, 0),
        "cmsis-single": (-1, 0, 0, 1),
        "onnxruntime": (-1, 0, 0, 0),
        "onnxruntime-int8": (-1, 0, 0, 0),
        "onnxruntime-novnni": (-1, 0, 0, 0),
    }
    (step,) = Runtime(name).dense(0.5, [0.125], Quantization(0.5))
    assert tuple(step.apply(acc) for acc in (-5, -4, 3, 4)) == ways[name]


def test_scales_are_multiplied_as_each_runtime_does():
    s_in, s_weight, out = (float(np.float32(s)) for s in (0.1, 0.3, 0.7))
    exact = s_in * s_weight / out
    single = float(np.float32(s_in) * np.float32(s_weight) / np.float32(out))
    assert exact != single
    form = Quantization(out, 2)
    assert Runtime("tflm").dense(s_in, [s_weight], form) == (MultiplierRequantizer(*quantize_multiplier(exact), "double", -128, 127, 2),)
    assert Runtime("tflite-ref").dense(s_in, [s_weight], form) == (Float64Requantizer(exact, -128, 127, 2),)
    assert Runtime("xnnpack").dense(s_in, [s_weight], form) == (Float32Requantizer(single, -128, 127, 2),)


@pytest.mark.parametrize("name", TFLITE)
def test_hard_swish_divides_scales_as_each_runtime_does(name):
    """float32 rounds this quotient to a tie of its 16-bit multiplier: LiteRT gives one output less than TFLM."""
    x, out = Quantization(0.010067364200949669, 35), Quantization(0.010272545740008354, -92)
    data = files.unary("HARD_SWISH", tensor((1, 256), x), tensor((1, 256), out))
    found = run_tflite(name, data, x.values.astype(np.int8)[None]).ravel()
    assert found[-36 - x.lo] == (-118 if name == "tflm" else -119)
    assert table("HARD_SWISH", name, x, out).tolist() == found.tolist()


def test_vector_kernels_leave_the_last_values_to_scalar_ones():
    steps = Runtime("tflite-opt").depthwise(0.5, [0.125], 11, Quantization(0.5))
    assert [step.apply(-4) for step in steps] == [0] * 8 + [-1] * 3
    weight, steps = Runtime("tflite-opt").quantize(0.125, 18, Quantization(1.0))
    assert weight == 1
    assert [step.apply(-4) for step in steps] == [0] * 16 + [-1] * 2
    assert len(Runtime("tflite-opt").depthwise(0.5, [0.125], 16, Quantization(0.5))) == 1


@pytest.mark.parametrize(
    ("activation", "limits"), [("NONE", (-128, 127)), ("RELU", (3, 127)), ("RELU6", (3, 15)), ("RELU_N1_TO_1", (1, 5))]
)
def test_fused_activations(activation, limits):
    fused = INT8.fused(activation)
    assert (fused.lo, fused.hi) == limits


def test_fused_activation_rounds_halves_away_and_stays_in_range():
    assert Quantization(4.0).fused("RELU6").hi == 2
    assert Quantization(2.0**-10, 100).fused("RELU6").hi == 127
    assert Quantization(2.0**-10, 127).fused("RELU_N1_TO_1").lo == -128


def test_faults():
    with pytest.raises(InputError, match="runtime: 'tflite' is unknown; expected one of tflm"):
        Runtime("tflite")
    with pytest.raises(InputError, match="activation: 'TANH' is unknown"):
        INT8.fused("TANH")
    for scale in (0.0, -1.0, float("nan"), float("inf"), 0.1, 1e39):
        with pytest.raises(InputError, match=r"quantization: scale is .*, expected a positive float32"):
            Quantization(scale)
    with pytest.raises(UnsupportedError, match=r"a scale of 2\.5.*, expected less than 2"):
        Runtime("tflm").dense(2.0**100, [1.0], INT8)
    with pytest.raises(UnsupportedError, match="a float32 scale of inf"):
        Runtime("xnnpack").dense(2.0**100, [2.0**100], INT8)
    with pytest.raises(UnsupportedError, match=r"a scale of .*, in which 6\.0 is no int32"):
        Quantization(2.0**-140).fused("RELU6")
    with pytest.raises(UnsupportedError, match=r"MUL in xnnpack with a scale of 512\.0 from operands"):
        Runtime("xnnpack").multiply(16.0, 16.0, INT8)
    with pytest.raises(UnsupportedError, match="MUL in tflite-opt can reach 65025 steps"):
        Runtime("tflite-opt").multiply(0.5, 0.5, Quantization(0.25))
    with pytest.raises(UnsupportedError, match="ADD in tflite-opt can reach 65280 steps"):
        Runtime("tflite-opt").add(Quantization(64.0), Quantization(1.0), INT8)
    with pytest.raises(UnsupportedError, match="multiply in onnxruntime"):
        Runtime("onnxruntime").multiply(0.5, 0.5, INT8)
