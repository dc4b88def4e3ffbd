"""QKeras's quantizers: weights as numbers of theirs, and `Rounded` layers where they round values.

With m = 2**(bits - keep_negative) and m_i = 2**integer, rint for the nearest integer, ties to even, and alpha a power of two, 1 by default:

quantized_bits   alpha * m_i * clip(rint(x * m / m_i), keep_negative * (symmetric - m), m - 1) / m, or of one bit alpha * sign(x), 1 at 0
quantized_relu   m_i * clip(rint(x * m / m_i), 0, m - 1) / m with m = 2**bits
binary           alpha * sign(x), 1 at 0; with use_01 alpha * (x >= 0)
ternary          alpha * sign(x) where |x| >= threshold, else 0; both of weights alone

alpha="auto_po2" of quantized_bits, which QKeras takes for weights without an alpha, makes them s * z * m_i for each entry of the
kernel's last axis: of x / m_i, most = 2**(bits - 1) - 1 and z = sign(x) min(floor(|x| / s + 1/2), most) it begins with
s = 2**rint(log2(max |x| / most)), and five times takes s = 2**rint(log2(sum(x z) / sum(z z))).
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NoReturn

import numpy as np

from ..errors import InputError, UnsupportedError
from ..network.float_layers import DEPTHWISE
from ..network.float_network import Activation, FloatConvolution, FloatDense, FloatLayer, FloatNetwork, Scale
from .numbers import MAX_BITS, MAX_FRACTION, Fixed
from .trained import Rounded, refuse_scale

f32 = np.float32
# QKeras's own constant, its iterations, and how near to a half a logarithm of base 2 may be that floats of 32 bits could round either way.
EPSILON, ROUNDS, DOUBT = 1e-7, 5, 2.0**-15

COMMON = {"use_stochastic_rounding": False, "qnoise_factor": 1.0}
SCALES = {"scale_axis": None, "elements_per_scale": None, "min_po2_exponent": None, "max_po2_exponent": None}
# What each takes, in order, and what is left out.
QUANTIZERS: dict[str, dict[str, Any]] = {
    "quantized_bits": {"bits": 8, "integer": 0, "symmetric": 0, "keep_negative": True, "alpha": None, **COMMON, **SCALES,
                       "post_training_scale": None},
    "quantized_relu": {"bits": 8, "integer": 0, "use_sigmoid": 0, "negative_slope": 0.0, **COMMON, "relu_upper_bound": None,
                       "is_quantized_clip": True},
    "binary": {"use_01": False, "alpha": None, **COMMON, **SCALES},
    "ternary": {"alpha": None, "threshold": None, **COMMON, "number_of_unrolls": ROUNDS},
}  # fmt: skip
# Of no meaning for what is computed.
IDLE = ("var_name", "use_ste", "use_variables", "training", "name", "dtype", "trainable", "number_of_unrolls")


def trained_model(model: FloatNetwork) -> FloatNetwork:
    """The model with the weights that QKeras computes with, and its quantizers of values as layers."""
    if not any(layer.quantizers for layer in model.layers):
        raise UnsupportedError(f"{model.place}: has no quantizers, expected a model of QKeras; other models need another --format")
    return replace(model, layers=tuple(trained_layer(layer) for layer in model.layers))


def trained_layer(layer: FloatLayer) -> FloatLayer:
    said = dict(layer.quantizers)
    if isinstance(layer, FloatDense | FloatConvolution):
        kernel = next((what for what in ("kernel", DEPTHWISE) if what in said), None)
        if kernel is None or ("bias" not in said and layer.bias.any()):
            missing = "kernel" if kernel is None else "bias"
            raise UnsupportedError(f"{layer.place}: its {missing} has no quantizer, expected one: floats are not exact")
        found = {what: Quantizer(how, f"{layer.place}: {what}") for what, how in layer.quantizers}
        bias = found["bias"].numbers(layer.bias) if "bias" in found else layer.bias
        short = tuple((what, quantizer.short) for what, quantizer in found.items())
        return replace(layer, weights=weights_of(found[kernel], layer, kernel == DEPTHWISE), bias=bias, quantizers=short)
    if isinstance(layer, Activation) and "output" in said:
        return rounded_of(Quantizer(said["output"], layer.place), layer)
    if isinstance(layer, Scale):
        refuse_scale(layer)
    return layer


class Quantizer:
    """A quantizer in QKeras's words, as in quantized_bits(6,0,alpha=1); place says whose it is."""

    def __init__(self, text: str, place: str):
        self.text, self.place = text, place
        found = re.fullmatch(r"(\w+)(?:\((.*)\))?", text, re.DOTALL)
        if not found or found[1] not in QUANTIZERS:
            self.refuse(f"expected {', '.join(QUANTIZERS)}")
        self.name = found[1]
        self.values = {**QUANTIZERS[self.name], **self.arguments(found[2] or "")}
        if self.values["use_stochastic_rounding"] or self.values["qnoise_factor"] != 1:
            self.refuse("rounds at random, or in part")
        for key in (*SCALES, "post_training_scale", "relu_upper_bound"):
            if self.values.get(key) is not None and not (key == "relu_upper_bound" and self.values["is_quantized_clip"]):
                self.refuse(f"{key}, which is not read")

    @property
    def short(self) -> str:
        """What differs from QKeras's defaults, and bits and integer."""
        usual = QUANTIZERS[self.name]
        said = [f"{self.values[key]}" for key in ("bits", "integer") if key in usual]
        said += [f"{key}={value}" for key, value in self.values.items() if key not in ("bits", "integer", *IDLE) and value != usual[key]]
        return f"{self.name}({','.join(said)})"

    def refuse(self, why: str) -> NoReturn:
        raise UnsupportedError(f"{self.place}: {self.text}: {why}")

    def arguments(self, text: str) -> Mapping[str, Any]:
        """By name, those without one in their order."""
        names, found = list(QUANTIZERS[self.name]), dict[str, Any]()
        try:
            call = ast.parse(f"f({text})", mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            call = None
        if not isinstance(call, ast.Call) or len(call.args) > len(names):
            self.refuse("not understood, expected numbers")
        for name, value in [*zip(names, call.args, strict=False), *((str(word.arg), word.value) for word in call.keywords)]:
            if name not in names and name not in IDLE:
                self.refuse(f"{name}, which is not known")
            try:
                # A word is text without its quotes.
                found[name] = value.id if isinstance(value, ast.Name) else ast.literal_eval(value)
            except (ValueError, TypeError, RecursionError, MemoryError):
                self.refuse(f"{name}, which is not understood")
        return found

    def whole(self, key: str, least: int, most: int) -> int:
        value = self.values[key]
        if not isinstance(value, bool | int | float) or not least <= value <= most or value != int(value):
            self.refuse(f"expected {key} from {least} to {most}, whole")
        return int(value)

    @property
    def alpha(self) -> float:
        """A power of two; refused where the file has another."""
        value = self.values.get("alpha")
        value = 1.0 if value is None else value
        if (
            not isinstance(value, int | float)
            or value <= 0
            or abs(exponent := math.log2(value)) > MAX_FRACTION
            or exponent != int(exponent)
        ):
            self.refuse("expected an alpha that is a power of two")
        return float(value)

    @property
    def fixed(self) -> Fixed:
        """The type that values are rounded to, before alpha."""
        if self.name not in ("quantized_bits", "quantized_relu"):
            self.refuse("of values, expected quantized_bits or quantized_relu")
        negative = self.name == "quantized_bits" and bool(self.whole("keep_negative", 0, 1))
        bits, integer = self.whole("bits", 1, MAX_BITS - 1), self.whole("integer", -MAX_FRACTION, MAX_FRACTION)
        if self.name == "quantized_relu" and (self.values["use_sigmoid"] or self.values["negative_slope"]):
            self.refuse("with a sigmoid or a slope, expected neither")
        if bits == negative:
            self.refuse("of one bit, expected at least two")
        symmetric = negative and bool(self.whole("symmetric", 0, 1))
        try:
            return Fixed(bits, bits - negative - integer, negative, "half_even", "symmetric" if symmetric else "saturate")
        except InputError as error:
            self.refuse(str(error))

    @property
    def is_sign(self) -> bool:
        """Whether it gives signs alone."""
        return self.name == "binary" or (self.name == "quantized_bits" and self.values["bits"] == 1 == self.whole("keep_negative", 0, 1))

    def numbers(self, values: np.ndarray) -> np.ndarray:
        """What real numbers of float32 become."""
        if self.is_sign:
            least = 0.0 if self.values.get("use_01") else -1.0
            return self.alpha * np.where(values >= 0, 1.0, least)
        if self.name == "ternary":
            threshold = 0.33 if self.values["threshold"] is None else self.values["threshold"]
            if not isinstance(threshold, int | float) or not threshold > 0:
                self.refuse("expected a threshold that is a positive number")
            return self.alpha * np.sign(values) * (np.abs(values) >= float(f32(threshold)))
        return self.alpha * self.fixed.integers(values) * self.fixed.step


def rounded_of(quantizer: Quantizer, layer: Activation) -> Rounded:
    return Rounded(layer.name, layer.reads, quantizer.fixed, quantizer.alpha, quantizers=(("output", quantizer.short),))


def weights_of(quantizer: Quantizer, layer: FloatDense | FloatConvolution, depthwise: bool) -> np.ndarray:
    """The weights that a layer computes with; without an alpha QKeras chooses one for them."""
    alpha = quantizer.values.get("alpha")
    if alpha not in (None, "auto_po2") or quantizer.name == "quantized_relu":
        return quantizer.numbers(layer.weights)
    if quantizer.name != "quantized_bits" or quantizer.is_sign or not quantizer.whole("keep_negative", 0, 1):
        quantizer.refuse("an alpha that QKeras chooses for it, expected alpha=1")
    # A depthwise kernel's last axis is its multiplier, and every entry of it has outputs of all channels.
    share = len(layer.weights) // layer.groups if depthwise and isinstance(layer, FloatConvolution) else len(layer.weights)
    rows = layer.weights.reshape(-1, share, layer.weights[0].size)
    found = [auto_scaled(quantizer, rows[:, i]) for i in range(share)]
    return np.stack(found, axis=1).reshape(layer.weights.shape)


def auto_scaled(quantizer: Quantizer, x: np.ndarray) -> np.ndarray:
    """Numbers of one scale, which is the power of two that QKeras finds for them."""
    bits, integer = quantizer.whole("bits", 2, MAX_BITS - 1), quantizer.whole("integer", -MAX_FRACTION, MAX_FRACTION)
    most = 2.0 ** (bits - 1) - 1
    small = (x * 2.0**-integer).astype(f32)
    scale = nearest_power(quantizer, 2 * float(np.abs(small).max()) / (2 * most))
    for _ in range(ROUNDS):
        z = whole_of(small, scale, most).astype(np.float64)
        qx, qq = (small * z).mean(), (z * z).mean()
        scale = nearest_power(quantizer, float(qx / (qq + EPSILON)))
    return whole_of(small, scale, most).astype(np.float64) * scale * 2.0**integer


def whole_of(x: np.ndarray, scale: float, most: float) -> np.ndarray:
    """sign(x) min(floor(|x| / scale + 1/2), most), in float32."""
    return np.sign(x) * np.minimum(np.floor(np.abs(x) / f32(scale) + f32(0.5)), f32(most))


def nearest_power(quantizer: Quantizer, value: float) -> float:
    """The power of two whose logarithm is nearest."""
    exponent = math.log2(value + EPSILON)
    if abs(exponent - math.floor(exponent) - 0.5) < DOUBT:
        quantizer.refuse(
            f"a scale of {value:g}, too near to two powers of two to say which one floats of 32 bits choose; expected an alpha"
        )
    return 2.0 ** round(exponent)
