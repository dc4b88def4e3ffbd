"""The formats that a float model is quantized to, and what they are called.

paper:B,F           TACAS 2020: B bits, F of them fractional, everywhere (F is B - 4 if it is left out); shifts truncate, and the bias is
                    added after the shift, in units of the activations
benchmark:B         AAAI 2021 and QVIP: weights B - 1 fractional bits, biases and activations B - 2; half up; activations unsigned
power-of-two:B      fractional bits of every tensor by calibration (per-channel: of the weights of every output); biases are as wide as sums
ap_fixed<W,I,Q,O>   what hls4ml generates; sums are exact unless `accumulator` says otherwise
int8                as TensorFlow Lite's converter, computed by a runtime: int8:tflm, int8:xnnpack, ...
qkeras, hgq         what the quantizers of a file of QKeras or HGQ say; input=u8.8 where none says what the input holds

What differs follows, separated by commas: input=u8.8, weights=6, bias=8, activations=u8.6, output=s8.4, accumulator=s16.10 (ap_fixed<W,I>),
rounding=floor (of shifts), weight-rounding=half_even, overflow=wrap, per-channel; of ap_fixed also output=exact,
table=ap_fixed<18,8> and table-size=1024 (sigmoid and tanh), slope=ap_fixed<8,1> (leaky ReLU); for one layer only as in dense_1.weights=4.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from ..arithmetic import integer
from ..errors import InputError, argument, none_of, unknown
from ..importers.files import placed
from ..importers.runtimes import RUNTIMES
from .numbers import OVERFLOWS, ROUNDINGS, Fixed, parse_ap, parse_fixed

NAMES = ("paper", "benchmark", "power-of-two", "int8", "ap_fixed<W,I,Q,O>", "qkeras", "hgq")
TRAINED = ("qkeras", "hgq")
# Those of TensorFlow Lite: what `int8` can be computed by.
INT8_RUNTIMES = tuple(name for name in RUNTIMES if not name.startswith("onnx"))
PIXEL = Fixed(8, 8, False)
MAX_TABLE_SIZE = 1 << 16
# hls4ml's ap_fixed<18, 8>.
HLS_TABLE = Fixed(18, 10, rounding="floor", overflow="wrap")


@dataclass(frozen=True)
class LayerFormat:
    """How a layer of a fixed-point format computes.

    output       what its sums become, where no rectifier follows
    rectified    what they become with one, clamped at 0
    accumulator  what sums are kept in, None for exact ones
    exact        sums are kept as they are, instead of output, until what follows; of hls4ml alone, as those below
    table        the entries of its tables of sigmoid and tanh, and how many there are
    slope        of leaky ReLU; None for what hls4ml infers
    """

    weights: Fixed
    bias: Fixed | None
    output: Fixed
    rectified: Fixed
    accumulator: Fixed | None = None
    per_channel: bool = False
    exact: bool = False
    table: Fixed = HLS_TABLE
    table_size: int = 1024
    slope: Fixed | None = None


@dataclass(frozen=True)
class FixedPoint:
    """A fixed-point format: of the input, of layers, and of those that differ, by name.

    bias_after_shift  the bias is added to the shifted sum, in units of the output, and has its fractional bits
    two_casts         sums become `output`, and then `rectified`; else that at once
    hls               hls4ml's default type, where weights, tables and pools are hls4ml's
    """

    name: str
    input: Fixed
    layer: LayerFormat
    layers: Mapping[str, LayerFormat] = field(default_factory=dict)
    bias_after_shift: bool = False
    two_casts: bool = False
    hls: Fixed | None = None

    def of(self, name: str) -> LayerFormat:
        """The format of the layer with that name."""
        return self.layers.get(name, self.layer)


@dataclass(frozen=True)
class Int8:
    """Affine int8: scales and zero points from ranges, as TensorFlow Lite's converter chooses them, and a runtime's rounding."""

    name: str
    runtime: str = RUNTIMES[0]
    per_channel: bool = True


@dataclass(frozen=True)
class Trained:
    """What the file itself says: quantizers of the layers, which `kind` of them; input is its type, where they don't say it."""

    name: str
    kind: str = "qkeras"
    input: Fixed | None = None


Format = FixedPoint | Int8 | Trained


def paper(bits: int, fraction: int | None = None) -> FixedPoint:
    """Giacobbe, Henzinger and Lechner (TACAS 2020)."""
    weights = Fixed(bits, bits - 4 if fraction is None else fraction)
    output = replace(weights, rounding="floor")
    return FixedPoint(f"paper:{bits},{weights.fraction}", PIXEL, LayerFormat(weights, weights, output, output), bias_after_shift=True)


def benchmark(bits: int) -> FixedPoint:
    """Henzinger, Lechner and Zikelic (AAAI 2021); Zhang et al. (ASE 2022)."""
    bias, output = Fixed(bits, bits - 2), Fixed(bits, bits - 2, rounding="half_up")
    layer = LayerFormat(Fixed(bits, bits - 1), bias, output, replace(output, signed=False))
    return FixedPoint(f"benchmark:{bits}", PIXEL, layer)


def power_of_two(bits: int) -> FixedPoint:
    """Shifts, and whatever fractional bits suit each tensor."""
    weights, output = Fixed(bits, None), Fixed(bits, None, rounding="half_up")
    layer = LayerFormat(weights, None, output, replace(output, signed=False))
    return FixedPoint(f"power-of-two:{bits}", Fixed(8, None, rounding="half_even"), layer)


def ap_fixed(text: str) -> FixedPoint:
    """hls4ml: results, weights, biases and the input of one type."""
    fixed = parse_ap(text)
    return FixedPoint(text.replace(" ", ""), fixed, LayerFormat(fixed, fixed, fixed, fixed), two_casts=True, hls=fixed)


@argument("format")
def parse_format(text: str) -> Format:
    """The format of a name, as in "paper:8,5" or "ap_fixed<16,6>,input=u8.8" (docs/reference/files.md); raises `InputError`."""
    head, *options = re.split(r",(?![^<]*>)", text.strip())
    name, colon, first = head.partition(":")
    numbers = [first] if colon else []
    while options and re.fullmatch(r"\d{1,9}", options[0]):
        numbers.append(options.pop(0))
    if name == "int8":
        return parse_int8(text, numbers, options)
    if name in TRAINED:
        return parse_trained(text, name, numbers, options)
    if name.startswith("ap_"):
        if numbers:
            raise InputError(f"{text!r}, expected {name} and options, as in weights=ap_fixed<8,2>")
        base = ap_fixed(name)
    else:
        builders = {"paper": (paper, 2), "benchmark": (benchmark, 1), "power-of-two": (power_of_two, 1)}
        if name not in builders:
            raise InputError(none_of(name, NAMES))
        build, most = builders[name]
        if not 1 <= len(numbers) <= most or not all(re.fullmatch(r"\d{1,3}", number) for number in numbers):
            more, example = ("", "") if most == 1 else (f" or {name}:BITS,FRACTION", ",5")
            raise InputError(f"{text!r}, expected {name}:BITS{more}, as in {name}:8{example}")
        base = build(*map(int, numbers))
    for option in options:
        base = with_option(base, option.strip())
    return replace(base, name=text.strip())


def parse_int8(text: str, numbers: list[str], options: list[str]) -> Int8:
    made = Int8(text, ":".join(numbers) or RUNTIMES[0])
    if made.runtime not in INT8_RUNTIMES:
        raise unknown("int8: runtime", made.runtime, INT8_RUNTIMES)
    for option in options:
        if option not in ("per-tensor", "per-channel"):
            raise unknown("int8:", option, ("per-tensor", "per-channel"))
        made = replace(made, per_channel=option == "per-channel")
    return made


def parse_trained(text: str, kind: str, numbers: list[str], options: list[str]) -> Trained:
    made = Trained(text.strip(), kind)
    for option in [*numbers, *options]:
        key, equals, value = option.strip().partition("=")
        if key != "input" or not equals:
            raise unknown(f"{kind}: all else is what the file says:", key, ("input=...",))
        with placed(option.strip()):
            made = replace(made, input=parse_fixed(value, PIXEL))
    return made


def with_option(form: FixedPoint, text: str) -> FixedPoint:
    """The format with KEY=VALUE, or with LAYER.KEY=VALUE for one layer."""
    key, equals, value = text.partition("=")
    layer, dot, key = key.rpartition(".")
    with placed(text):
        if key == "input" and not dot and equals:
            return replace(form, input=parse_fixed(value, form.input))
        if form.hls is None and (key in HLS_KEYS or (key, value) == EXACT):
            raise InputError("expected it of ap_fixed alone, as hls4ml has it")
        changed = changed_layer(form.of(layer), key, value if equals else None)
    if dot:
        return replace(form, layers={**form.layers, layer: changed})
    return replace(form, layer=changed)


def changed_layer(layer: LayerFormat, key: str, value: str | None) -> LayerFormat:
    if key == "per-channel" and value is None:
        return replace(layer, per_channel=True)
    if value is None:
        raise InputError(none_of(key, ("per-channel", *(f"{word}=..." for word in KEYS))))
    if key == "weights":
        return replace(layer, weights=parse_fixed(value, layer.weights))
    if key == "bias":
        return replace(layer, bias=parse_fixed(value, layer.bias or layer.weights))
    if key == "accumulator":
        return replace(layer, accumulator=parse_fixed(value, layer.accumulator or layer.output))
    if (key, value) == EXACT:
        return replace(layer, exact=True)
    if key == "output":
        return replace(layer, exact=False, output=parse_fixed(value, layer.output))
    if key == "activations":
        return replace(layer, rectified=parse_fixed(value, layer.rectified))
    if key == "rounding":
        return replace(layer, output=checked(layer.output, rounding=value), rectified=checked(layer.rectified, rounding=value))
    if key == "overflow":
        return replace(layer, output=checked(layer.output, overflow=value), rectified=checked(layer.rectified, overflow=value))
    if key == "table":
        return replace(layer, table=parse_fixed(value, layer.table))
    if key == "slope":
        return replace(layer, slope=parse_fixed(value, layer.slope or layer.output))
    if key == "table-size":
        size = int(value) if re.fullmatch(r"\d{1,9}", value) else value
        return replace(layer, table_size=integer(size, key, 2, MAX_TABLE_SIZE))
    if key == "weight-rounding":
        bias = layer.bias and checked(layer.bias, rounding=value)
        return replace(layer, weights=checked(layer.weights, rounding=value), bias=bias)
    raise InputError(none_of(key, ("input", "per-channel", *KEYS)))


EXACT = ("output", "exact")
HLS_KEYS = ("table", "table-size", "slope")
KEYS = ("weights", "bias", "activations", "output", "accumulator", "rounding", "weight-rounding", "overflow", *HLS_KEYS)


def checked(fixed: Fixed, **change: str) -> Fixed:
    for name, word in change.items():
        words = ROUNDINGS if name == "rounding" else OVERFLOWS
        if word not in words:
            raise InputError(none_of(word, words))
    return replace(fixed, **change)  # type: ignore[arg-type]
