"""Models that say themselves which numbers they are made of: weights are numbers of their types, and sums of them are exact.

`Rounded` layers stand where a file's quantizers round values. Everything else is as in `exact`, but for sums of 2**24 units and
more: floats of 32 bits round them, integers do not, and a remark says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NoReturn

import numpy as np

from ..arithmetic import Requantizer, ShiftRequantizer
from ..errors import UnsupportedError
from ..importers.assembly import Wires, convolve, once
from ..network import TensorFormat
from ..network.float_layers import Shape
from ..network.float_network import Add, Concat, FloatConvolution, FloatDense, FloatLayer, FloatNetwork, GlobalPool, Pool, Reshape, Scale
from .casts import Make, Sum, cast
from .exact import MOST_UNITS, ExactLowering
from .lowering import Tensor
from .numbers import Fixed


@dataclass(frozen=True, eq=False)
class Rounded(FloatLayer):
    """Each number as one of a type, and then times a power of two."""

    fixed: Fixed
    factor: float = 1.0

    @property
    def step(self) -> float:
        """The real value of one step of what it gives."""
        return self.fixed.step * self.factor

    def shape(self, *shapes: Shape) -> Shape:
        return self.only(shapes)

    def apply(self, *x: np.ndarray) -> np.ndarray:
        return (self.fixed.integers(x[0]) * self.step).astype(x[0].dtype)


def input_of(model: FloatNetwork, name: str) -> Fixed:
    """The type of the one quantizer that reads the input, before it scales its numbers."""
    k = -1
    while len(readers := model.readers.get(k, ())) == 1 and isinstance(model.layers[readers[0]], Reshape):
        k = readers[0]
    fixed = {layer.fixed if isinstance(layer, Rounded) else None for layer in map(model.layers.__getitem__, readers)}
    first = fixed.pop() if len(fixed) == 1 else None
    if first is None:
        raise UnsupportedError(
            f"input: no one quantizer says what it holds, expected its bits and fractional bits, as in {name},input=u8.8"
        )
    return first


class TrainedLowering(ExactLowering):
    def __init__(self, model: FloatNetwork, given: Fixed | None, name: str, shape: Shape):
        """given is the type of the input, where the file does not say it; shape is the network's input's."""
        fixed = input_of(model, name) if given is None or given.fraction is None else given
        super().__init__(model, TensorFormat(shape, fixed.lo, fixed.hi, fixed.step))
        if fixed is not given and (fixed.rounding != "half_even" or fixed.overflow == "wrap"):
            self.remarks[-1] = (
                f"input: real samples become the nearest of its numbers, ties to even, within their range; the file's quantizer has "
                f"{fixed.rounding} and {fixed.overflow}, which the network computes where its input is finer, as in {name},input=s16.12"
            )

    def input(self) -> Tensor:
        return self.enter(self.form)

    def check(self, most: int, what: str) -> None:
        if most >= MOST_UNITS:
            name = self.model.layers[self.now].name
            self.remarks[self.now] = f"layer {name}: {what} can reach {most} units, which float32 rounds; here they are exact"

    def lower(self, k: int, layer: FloatLayer) -> Tensor:
        self.now = k
        if isinstance(layer, Rounded):
            return self.rounded(k, layer, self.tensors[layer.reads[0]])
        return super().lower(k, layer)

    def place(self, k: int, layer: FloatLayer) -> int:
        readers = self.model.readers.get(k, ())
        sums = isinstance(layer, FloatDense | FloatConvolution | Add) and k not in self.model.outputs
        if sums and len(readers) == 1 and isinstance(self.model.layers[readers[0]], Rounded):
            self.fused.add(readers[0])
            return readers[0]
        return super().place(k, layer)

    # --- numbers ---

    def summed(self, k: int, layer: FloatLayer, most: int, unit: float, make: Make) -> Tensor:
        end = self.place_now(k)
        what = ", ".join(f"{name} {how}" for name, how in (*layer.quantizers, *(self.model.layers[end].quantizers if end != k else ())))
        after = self.model.layers[end]
        if not isinstance(after, Rounded):
            tensor = super().summed(k, layer, most, unit, make)
        else:

            def first(steps: tuple[Requantizer, ...], added: Sequence[int]) -> Wires:
                return make(steps, added, form_of(after))

            wires = cast(self.b, layer.name, [Sum(-most, most, places_of(unit))], after.fixed, first)
            tensor = Tensor(wires.reshape(*self.model.shapes[end]), form_of(after))
        self.note(end, layer.name, what or "exact", tensor.form.scale)
        return tensor

    def rounded(self, k: int, layer: Rounded, x: Tensor) -> Tensor:
        """Values of another type; those that it has already stay as they are."""
        form, lo, hi = form_of(layer), x.form.lo, x.form.hi
        if x.form.scale == layer.fixed.step == layer.step and form.lo <= lo and hi <= form.hi:
            return x

        def first(steps: tuple[Requantizer, ...], added: Sequence[int]) -> Wires:
            return once(self.b, layer.name, x.wires, 1, added[0], steps[0], form)

        wires = cast(self.b, layer.name, [Sum(lo, hi, places_of(x.form.scale))], layer.fixed, first)
        self.note(k, layer.name, ", ".join(how for _, how in layer.quantizers), form.scale)
        return Tensor(wires, form)

    # --- what floats compute without rounding ---

    def pool(self, k: int, layer: Pool | GlobalPool, x: Tensor) -> Tensor:
        """Averages of a power of two of numbers are their sums in a smaller unit."""
        if layer.kind == "max":
            return super().pool(k, layer, x)
        layer = self.as_pool(layer, x) if isinstance(layer, GlobalPool) else layer
        counts = set(layer.counts(x.wires.shape).ravel().tolist())
        count = max(counts)
        if len(counts) > 1 or count & (count - 1):
            self.refuse(f"averages of {' or '.join(map(str, sorted(counts)))} numbers, expected one power of two")
        ends = [count * end for end in (x.form.lo, x.form.hi)]
        if any(map(any, layer.padding)):
            ends = [min(ends[0], 0), max(ends[1], 0)]
        self.check(max(map(abs, ends)), "sums")
        form = TensorFormat((1,), ends[0], ends[1], x.form.scale / count)
        step = (ShiftRequantizer(0, "floor", form.lo, form.hi),)
        wires = convolve(self.b, layer.name, x.wires, self.kernel_of_sums(layer, x.wires.shape[2]), step, x.form, form)
        return Tensor(wires.reshape(*self.model.shapes[k]), form)

    def alike(self, k: int, layer: Concat, reads: tuple[Tensor, ...]) -> list[Tensor]:
        unit = min(x.form.scale for x in reads)
        return super().alike(k, layer, tuple(self.finer(f"{layer.name}.{i}", x, unit) for i, x in enumerate(reads)))

    def finer(self, name: str, x: Tensor, unit: float) -> Tensor:
        """The same numbers in a smaller unit."""
        factor = int(x.form.scale / unit)
        if factor == 1:
            return x
        form = replace(x.form, lo=x.form.lo * factor, hi=x.form.hi * factor, scale=unit)
        return Tensor(once(self.b, name, x.wires, factor, 0, ShiftRequantizer(0, "floor", form.lo, form.hi), form), form)


def refuse_scale(layer: Scale) -> NoReturn:
    raise UnsupportedError(f"{layer.place}: factors of floats, as of batch normalization; expected them folded into quantized weights")


def form_of(layer: Rounded) -> TensorFormat:
    return TensorFormat((1,), layer.fixed.lo, layer.fixed.hi, layer.step)


def places_of(unit: float) -> int:
    """The fractional bits of a power of two."""
    return 1 - int(np.frexp(unit)[1])
