"""A float model that computes exactly: its numbers are whole multiples of powers of two, so few that no float32 is ever rounded.

Each tensor has its unit. Sums whose terms together stay below 2**24 units are exact in float32 in any order, so integers say what every
runtime computes, without any loss. Models that are no such ones are refused.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import NoReturn

import numpy as np

from ..arithmetic import Requantizer, ShiftRequantizer
from ..errors import UnsupportedError
from ..importers.assembly import Wires, combined, convolve, once
from ..limits import NO_LIMITS
from ..network import Network, TensorFormat
from ..network.affine import WEIGHT_LIMIT
from ..network.float_network import Activation, Add, Clip, Concat, FloatConvolution, FloatDense, FloatLayer, FloatNetwork, Pad, Pool, Scale
from .calibration import Method
from .casts import Make
from .lowering import Lowering, Tensor, image_of, kernel_of
from .prepare import prepared

# Numbers of so many units are exact in float32, units themselves from the smallest normal one to where sums stay finite.
MOST_UNITS = 1 << 24
UNITS = Fraction(1, 1 << 126), Fraction(1 << 100)


def exact(model: FloatNetwork, grid: int, lo: int, hi: int) -> tuple[Network, list[TensorFormat]]:
    """The network of a model on inputs k / grid, k from lo to hi, with the formats of its outputs; grid is a power of two.

    Raises `UnsupportedError` that names the layer where a float32 could be rounded.
    """
    if grid < 1 or grid & (grid - 1):
        raise UnsupportedError(f"a grid of {grid}, expected a power of two, so that inputs are exact in float32")
    for layer in model.layers:
        before = model.layers[layer.reads[0]] if layer.reads[0] >= 0 else None
        biased = isinstance(before, FloatDense | FloatConvolution) and before.bias.any()
        if isinstance(layer, Scale) and (biased or (layer.scale != 1).any()):
            raise UnsupportedError(f"{layer.place}: factors, expected weights and biases alone, so that nothing is rounded")
    lowering = ExactLowering(prepared(model)[0], TensorFormat(model.inputs[0], lo, hi, 1 / grid))
    network, _, _ = lowering.run("", NO_LIMITS)
    return network, [lowering.tensors[k].form for k in lowering.model.outputs]


class ExactLowering(Lowering):
    def __init__(self, model: FloatNetwork, form: TensorFormat):
        super().__init__(model, None, Method("range"))
        self.form = form

    def input(self) -> Tensor:
        self.check(max(abs(self.form.lo), abs(self.form.hi), round(1 / self.form.scale)), "inputs")
        return self.enter(self.form)

    def check(self, most: int, what: str) -> None:
        if most >= MOST_UNITS:
            raise UnsupportedError(f"{what} can reach {most} units, expected less than 2**24, so that no float32 is rounded")

    # --- sums ---

    def affine(self, k: int, layer: FloatDense | FloatConvolution, x: Tensor) -> Tensor:
        unit = Fraction(x.form.scale)
        weights, biases = units(layer.weights), units(layer.bias)
        acc = min(unit * weights, biases)
        if not UNITS[0] <= acc <= UNITS[1]:
            raise UnsupportedError(f"a unit of {float(acc):g}, expected one from 2**-126 to 2**100")
        factor = acc / unit
        whole = multiples(layer.weights, factor)
        kernel = kernel_of(layer, whole, multiples(layer.bias, acc))
        rows = [sum(map(abs, row)) for row in whole.reshape(len(whole), -1).tolist()]
        largest = max(abs(x.form.lo), abs(x.form.hi))
        most = max(row * largest + abs(b) for row, b in zip(rows, kernel.bias.tolist(), strict=True))
        self.check(most, "sums")

        def make(steps: tuple[Requantizer, ...], added: Sequence[int], form: TensorFormat) -> Wires:
            moved = replace(kernel, bias=kernel.bias + np.array(added, np.int64))
            return convolve(self.b, layer.name, image_of(layer, x.wires), moved, steps, x.form, form)

        return self.summed(k, layer, most, float(acc), make)

    def summed(self, k: int, layer: FloatLayer, most: int, unit: float, make: Make) -> Tensor:
        """Sums of magnitudes up to `most` units, as they are, from 0 where a rectifier is fused."""
        end = self.place_now(k)
        form = TensorFormat((1,), 0 if end != k else -most, most, unit)
        made = make((ShiftRequantizer(0, "floor", form.lo, form.hi),), [0], form)
        return Tensor(made.reshape(*self.model.shapes[end]), form)

    def add(self, k: int, layer: Add, *reads: Tensor) -> Tensor:
        unit = min(Fraction(x.form.scale) for x in reads)
        factors = [int(Fraction(x.form.scale) / unit) for x in reads]
        most = sum(f * max(abs(x.form.lo), abs(x.form.hi)) for f, x in zip(factors, reads, strict=True))
        self.check(most, "sums")

        def make(steps: tuple[Requantizer, ...], added: Sequence[int], form: TensorFormat) -> Wires:
            terms = [(x.wires, f) for x, f in zip(reads, factors, strict=True)]
            return combined(self.b, layer.name, terms, added[0], steps[0], form)

        return self.summed(k, layer, most, float(unit), make)

    # --- the rest ---

    def place(self, k: int, layer: FloatLayer) -> int:
        place = super().place(k, layer)
        # A fused rectifier is not lowered by itself.
        if place != k and not is_relu(self.model.layers[place]):
            self.refuse(f"the limits of {self.model.layers[place].name!r}")
        return place

    def pad(self, k: int, layer: Pad, x: Tensor) -> Tensor:
        padding = Fraction(layer.value) / Fraction(x.form.scale)
        if padding.denominator != 1 or not x.form.lo <= padding <= x.form.hi:
            self.refuse(f"padding of {layer.value}, which is no value of its tensor")
        return super().pad(k, layer, x)

    def activation(self, k: int, layer: Activation | Clip, x: Tensor) -> Tensor:
        if not is_relu(layer):
            self.refuse(getattr(layer, "kind", "clip"))
        form = TensorFormat((1,), 0, max(x.form.hi, 1), x.form.scale)
        return Tensor(once(self.b, layer.name, x.wires, 1, 0, ShiftRequantizer(0, "floor", 0, form.hi), form), form)

    def average(self, layer: Pool, x: Tensor) -> Wires:
        self.refuse("averages")

    def alike(self, k: int, layer: Concat, reads: tuple[Tensor, ...]) -> list[Tensor]:
        if len({x.form.scale for x in reads}) > 1:
            self.refuse("tensors of different units")
        lo, hi = min(x.form.lo for x in reads), max(x.form.hi for x in reads)
        return [replace(x, form=replace(x.form, lo=lo, hi=hi)) for x in reads]

    def refuse(self, what: str) -> NoReturn:
        raise UnsupportedError(f"{what}, expected sums, relu and max pooling alone, so that nothing is rounded")


def is_relu(layer: FloatLayer) -> bool:
    return isinstance(layer, Activation) and layer.kind == "relu"


def units(x: np.ndarray) -> Fraction:
    """The largest power of two that all numbers are multiples of; 1 where all are 0."""
    found = [v.as_integer_ratio() for v in np.unique(x[x != 0]).tolist()]
    if not found:
        return Fraction(1)
    return min(Fraction((n & -n), d) for n, d in found)


def multiples(x: np.ndarray, unit: Fraction) -> np.ndarray:
    """The numbers in units that they are multiples of, int64; raises `UnsupportedError` where they are too many."""
    with np.errstate(over="ignore"):
        found = np.ldexp(x.astype(np.float64), 1 - math.frexp(float(unit))[1])
    if not (np.abs(found) < WEIGHT_LIMIT).all():
        raise UnsupportedError("weights and biases that differ too much, expected less than 2**31 units of each")
    return found.astype(np.int64)
