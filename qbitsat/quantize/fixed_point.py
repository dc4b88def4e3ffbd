"""A float model in fixed point: every tensor has its fractional bits, and all scales are powers of two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..arithmetic import DivisionRequantizer, Requantizer, ShiftRequantizer, TableRequantizer
from ..errors import ArgumentError, UnsupportedError
from ..importers.assembly import Kernel, Wires, combined, convolve, once
from ..network import TensorFormat
from ..network.affine import WEIGHT_LIMIT
from ..network.float_network import Activation, Add, Clip, Concat, FloatConvolution, FloatDense, FloatLayer, FloatNetwork, Pool
from ..network.layers import BIAS_LIMIT
from .calibration import Method, Observed, misfit, observed, resolve
from .casts import First, Make, Sum, cast, kept, meaning
from .formats import FixedPoint, LayerFormat
from .lowering import Lowering, Tensor, apply_function, image_of, is_rectifier, kernel_of, limits_of, loss_of
from .numbers import MAX_FRACTION, Fixed, rounded

# Entries of a table of a function of single values.
MAX_TABLE = 1 << 16


class FixedPointLowering(Lowering):
    def __init__(
        self, model: FloatNetwork, seen: dict[int, Observed] | None, method: Method, form: FixedPoint, shape: tuple[int, ...] | None
    ):
        super().__init__(model, seen, method, shape)
        names = {layer.name for layer in model.layers}
        for name in form.layers:
            if name not in names:
                raise ArgumentError("format", f"layer {name!r} is none of the model's; expected one of {', '.join(sorted(names))}")
        self.form = form

    def of(self, k: int) -> LayerFormat:
        """The format of layer k."""
        return self.form.of(self.model.layers[k].name)

    def resolved(self, fixed: Fixed, k: int) -> Fixed:
        """The format of tensor k."""
        seen = self.seen[k] if self.seen else None
        if fixed.fraction is None and seen is not None and self.says_nothing(k, seen):
            return fixed.with_fraction(0)
        return resolve(fixed, seen, self.method, "input" if k < 0 else "output")

    def input(self) -> Tensor:
        seen = self.seen.get(-1) if self.seen else None
        fixed = self.form.input
        if fixed.fraction is None:
            fixed = self.resolved(replace(fixed, signed=seen is None or seen.lo < 0), -1)
        return replace(self.enter(TensorFormat(self.shape, fixed.lo, fixed.hi, fixed.step)), fixed=fixed)

    def written(self, values: np.ndarray, fixed: Fixed) -> np.ndarray:
        """Weights or biases as they are before they become fixed-point numbers."""
        return values

    # --- sums ---

    def affine(self, k: int, layer: FloatDense | FloatConvolution, x: Tensor) -> Tensor:
        form, end = self.of(k), self.place_now(k)
        weights, fractions, clipped = self.weights(layer, form)
        places = fraction_of(x)
        accs = [places + f for f in fractions]
        bias, finest, loss_bias = self.bias(k, layer, form, accs, end)
        # Sums are as fine as products and biases are.
        finer = [max(0, f - a) for f, a in zip(finest, accs, strict=True)]
        if int(np.abs(weights).max()) << max(finer) >= WEIGHT_LIMIT:
            raise UnsupportedError(
                f"a bias with {max(finer)} fractional bits more than products, expected weights below 2**31 in its units"
            )
        scaled = weights << np.array(finer).reshape(-1, *[1] * (weights.ndim - 1))
        accs = [a + f for a, f in zip(accs, finer, strict=True)]
        offsets = [0] * len(accs)
        biases = [int(q) << (a - f) for q, a, f in zip(bias, accs, finest, strict=True)]
        if self.form.bias_after_shift:
            biases, offsets = offsets, [int(q) for q in bias]
        if any(abs(q) >= BIAS_LIMIT for q in biases):
            raise UnsupportedError("a bias beyond 2**59 in units of the accumulator, expected fewer fractional bits")
        kernel = kernel_of(layer, scaled, np.array(biases, np.int64))
        sums = self.sums(x, kernel, accs, offsets)
        formats, tensor = self.finish(end, layer.name, form, sums, self.layer_of(layer, x, kernel))
        loss = loss_of(layer.weights, weights, clipped, layer.bias, bias, loss_bias)
        formats = f"weights {words(form.weights, fractions)}, bias {form.bias or 'exact'}, {formats}"
        self.note(end, layer.name, formats, tensor.form.scale, loss)
        return tensor

    def weights(self, layer: FloatDense | FloatConvolution, form: LayerFormat) -> tuple[np.ndarray, list[int], int]:
        """Integers of the same shape, the fractional bits of each output's, and how many were clipped."""
        real = self.written(layer.weights, form.weights)
        rows = real.reshape(len(real), -1)
        parts = list(rows) if form.per_channel else [rows]
        formats = [resolve(form.weights, observed(part), self.method, "weights") for part in parts]
        integers = np.concatenate([fixed.integers(part).reshape(-1, rows.shape[1]) for fixed, part in zip(formats, parts, strict=True)])
        clipped = sum(int(fixed.outside(part).sum()) for fixed, part in zip(formats, parts, strict=True))
        fractions = [fixed.places for fixed in formats]
        return integers.reshape(real.shape), fractions if form.per_channel else fractions * len(real), clipped

    def bias(
        self, k: int, layer: FloatDense | FloatConvolution, form: LayerFormat, accs: list[int], end: int
    ) -> tuple[np.ndarray, list[int], int]:
        """Integers, their fractional bits, and how many were clipped; without a format they are as fine as sums."""
        if form.bias is None:
            whole = rounded(np.ldexp(layer.bias, np.array(accs)), form.weights.rounding)
            if not (np.abs(whole) < BIAS_LIMIT).all():
                raise UnsupportedError("a bias beyond 2**59 in units of the accumulator, expected fewer fractional bits")
            return whole.astype(np.int64), accs, 0
        fixed = form.bias
        if self.form.bias_after_shift:
            output = self.output_of(form, end)
            fixed = fixed.with_fraction(output.places)
        elif fixed.fraction is None:
            fixed = resolve(fixed, observed(layer.bias), self.method, "bias", min(*accs, MAX_FRACTION))
        real = self.written(layer.bias, fixed)
        if said := misfit(fixed, real):
            self.misfits.append(f"{layer.place}: biases: {said}")
        return fixed.integers(real), [fixed.places] * len(real), int(fixed.outside(real).sum())

    def sums(self, x: Tensor, kernel: Kernel, accs: Sequence[int], offsets: Sequence[int]) -> list[Sum]:
        """What the accumulators of each output can be, for the range of the input."""
        lo, hi = ends_of(x)
        if any(map(any, kernel.padding)):
            lo, hi = min(lo, 0), max(hi, 0)
        rows = kernel.weights.reshape(len(kernel.weights), -1)
        up, down = (np.where(rows > 0, rows, 0).sum(axis=1).tolist(), np.where(rows < 0, rows, 0).sum(axis=1).tolist())
        return [
            Sum(u * lo + d * hi + int(b), u * hi + d * lo + int(b), acc, offset)
            for u, d, b, acc, offset in zip(up, down, kernel.bias, accs, offsets, strict=True)
        ]

    def layer_of(self, layer: FloatDense | FloatConvolution, x: Tensor, kernel: Kernel) -> Make:
        """What makes the layer of sums with some steps."""

        def make(steps: tuple[Requantizer, ...], added: Sequence[int], form: TensorFormat) -> Wires:
            moved = replace(kernel, bias=kernel.bias + np.array(added, np.int64))
            return convolve(self.b, layer.name, image_of(layer, x.wires), moved, steps, x.form, form)

        return make

    def finish(self, end: int, name: str, form: LayerFormat, sums: list[Sum], make: Make) -> tuple[str, Tensor]:
        """Sums as tensor `end`: through the accumulator, the output's format, and the rectifier's."""
        output = self.output_of(form, end)
        rectifier = self.rectifier(end)
        through = self.resolved(form.output, end) if self.form.two_casts else output

        def made(steps: tuple[Requantizer, ...], added: Sequence[int]) -> Wires:
            return make(steps, added, meaning(through))

        first: First = made
        if form.accumulator is not None:
            first, sums = self.accumulated(name, form.accumulator, sums, first, make, through)
        wires = cast(self.b, name, sums, through, first, limits_in(through, rectifier))
        if through != output:
            wires = self.recast(f"{name}.recast", wires, through, output)
        return f"output {output}", Tensor(wires.reshape(*self.model.shapes[end]), self.form_of(wires, output), output)

    def accumulated(self, name: str, fixed: Fixed, sums: list[Sum], first: First, make: Make, target: Fixed) -> tuple[First, list[Sum]]:
        """Sums that are kept in an accumulator of so many bits: where one can overflow it wraps around, in a layer of its own.

        first makes the layer of sums as numbers of the target, make as those of any format.
        """
        accumulator = resolve(fixed, None, self.method, "accumulator")
        if any(s.fraction > accumulator.places for s in sums):
            finest = max(s.fraction for s in sums)
            raise UnsupportedError(
                f"terms with {finest} fractional bits in an accumulator of {accumulator.places}, which rounds each of them; expected at "
                f"least as many"
            )
        scaled = [2 ** (accumulator.places - s.fraction) for s in sums]
        if not any(s.lo * n < accumulator.lo or s.hi * n > accumulator.hi for s, n in zip(sums, scaled, strict=True)):
            return first, sums
        if accumulator.overflow != "wrap":
            raise UnsupportedError("an accumulator that saturates, and can: its result depends on the order of the sum; expected wrap")
        steps = tuple(ShiftRequantizer(s.fraction - accumulator.places, "floor", accumulator.lo, accumulator.hi, "wrap") for s in sums)
        wires = make(steps, [0] * len(sums), meaning(accumulator))
        kept_in = Sum(accumulator.lo, accumulator.hi, accumulator.places)
        if any(s.offset for s in sums):
            raise UnsupportedError("an accumulator that wraps around with a bias after the shift")

        def again(steps: tuple[Requantizer, ...], added: Sequence[int]) -> Wires:
            return once(self.b, f"{name}.cast", wires, 1, added[0], steps[0], meaning(target))

        return again, [kept_in]

    def recast(self, name: str, wires: Wires, source: Fixed, target: Fixed) -> Wires:
        """Numbers of one format as those of another."""
        lo, hi = self.range(wires)
        if source.places == target.places and target.lo <= lo and hi <= target.hi:
            return wires

        def first(steps: tuple[Requantizer, ...], added: Sequence[int]) -> Wires:
            return once(self.b, name, wires, 1, added[0], steps[0], meaning(target))

        return cast(self.b, name, [Sum(lo, hi, source.places)], target, first)

    def rectified(self, layer: FloatLayer, x: Tensor, source: Fixed) -> Wires:
        """Numbers within the limits of a rectifier, in their own format."""
        limits, ends = limits_in(source, layer), self.range(x.wires)
        assert limits is not None
        lo, hi = (min(max(end, limits[0]), limits[1]) for end in ends)
        return x.wires if (lo, hi) == ends else once(self.b, layer.name, x.wires, 1, 0, kept(lo, hi), x.form)

    # --- other layers ---

    def add(self, k: int, layer: Add, *reads: Tensor) -> Tensor:
        end = self.place_now(k)
        finest = max(map(fraction_of, reads))
        factors = [1 << (finest - fraction_of(t)) for t in reads]
        ends = [ends_of(t) for t in reads]
        lo, hi = (sum(f * pair[i] for f, pair in zip(factors, ends, strict=True)) for i in (0, 1))
        total = Sum(lo, hi, finest)

        def make(steps: tuple[Requantizer, ...], added: Sequence[int], form: TensorFormat) -> Wires:
            terms = [(t.wires.map(np.ravel), factor) for t, factor in zip(reads, factors, strict=True)]
            return combined(self.b, layer.name, terms, added[0], steps[0], form)

        formats, tensor = self.finish(end, layer.name, replace(self.of(k), accumulator=None), [total], make)
        self.note(end, layer.name, formats, tensor.form.scale)
        return tensor

    def activation(self, k: int, layer: Activation | Clip, x: Tensor) -> Tensor:
        form, source = self.of(k), fixed_of(x)
        if is_rectifier(layer):
            output = self.output_of(form, k)
            wires = self.recast(f"{layer.name}.recast", self.rectified(layer, x, source), source, output)
        else:
            assert isinstance(layer, Activation)
            signed = layer.kind != "sigmoid"
            output = self.resolved(form.output if signed else form.rectified, k)
            wires = self.table(layer, x, output, form)
        tensor = Tensor(wires, self.form_of(wires, output), output)
        self.note(k, layer.name, f"output {output}", output.step)
        return tensor

    def table(self, layer: Activation, x: Tensor, output: Fixed, form: LayerFormat) -> Wires:
        """A function of single values, by a table of all of them."""
        lo, hi = ends_of(x)
        if hi - lo >= MAX_TABLE:
            raise UnsupportedError(f"{layer.kind} of values from {lo} to {hi}, expected at most 16 bits")
        values = output.integers(apply_function(layer, np.arange(lo, hi + 1) * x.form.scale))
        step = TableRequantizer(lo, tuple(values.tolist()))
        return once(self.b, layer.name, x.wires, 1, 0, step, meaning(output))

    def average(self, layer: Pool, x: Tensor) -> Wires:
        """Sums by their count: a shift where that is a power of two, else to the nearest, ties away from zero."""
        lo, hi = min(x.form.lo, 0), max(x.form.hi, 0)
        counts = layer.counts(x.wires.shape).ravel().tolist()
        rounding = self.of(layer_index(self.model, layer)).rectified.rounding
        steps = {n: self.divider(n, lo, hi, rounding) for n in set(counts)}
        channels = x.wires.shape[2]
        chosen = (steps[counts[0]],) if len(steps) == 1 else tuple(steps[n] for n in counts for _ in range(channels))
        return convolve(self.b, layer.name, x.wires, self.kernel_of_sums(layer, channels), chosen, x.form, x.form)

    @staticmethod
    def divider(count: int, lo: int, hi: int, rounding: str) -> Requantizer:
        if count & (count - 1) or rounding in ("half_down", "half_zero"):
            return DivisionRequantizer(count, lo, hi)
        return ShiftRequantizer(count.bit_length() - 1, rounding, lo, hi)

    def alike(self, k: int, layer: Concat, reads: tuple[Tensor, ...]) -> list[Tensor]:
        if len({fraction_of(t) for t in reads}) == 1:
            lo, hi = min(t.form.lo for t in reads), max(t.form.hi for t in reads)
            widest = max(map(fixed_of, reads), key=lambda fixed: (fixed.signed, fixed.bits))
            return [replace(t, form=replace(t.form, lo=lo, hi=hi), fixed=widest) for t in reads]
        form = self.of(k)
        signed = any(t.form.lo < 0 for t in reads)
        output = self.resolved(form.output if signed else form.rectified, k)
        wires = [self.recast(layer.name, t.wires, fixed_of(t), output) for t in reads]
        return [Tensor(w, meaning(output), output) for w in wires]

    # --- formats ---

    def rectifier(self, end: int) -> FloatLayer | None:
        layer = self.model.layers[end]
        return layer if is_rectifier(layer) else None

    def output_of(self, form: LayerFormat, end: int) -> Fixed:
        """What tensor `end` has: that of rectified values where none is negative."""
        rectifier = self.rectifier(end)
        positive = rectifier is not None and limits_of(rectifier)[0] >= 0
        return self.resolved(form.rectified if positive else form.output, end)

    def range(self, wires: Wires) -> tuple[int, int]:
        """The least and the largest that the wires can be."""
        ends = [int(v) for v in wires.constants[wires.fixed]]
        if not wires.fixed.all():
            ends += self.b.range_of(wires.values[~wires.fixed].ravel())
        return min(ends), max(ends)

    def form_of(self, wires: Wires, output: Fixed) -> TensorFormat:
        lo, hi = self.range(wires)
        return TensorFormat((1,), lo, hi, output.step)


def fraction_of(x: Tensor) -> int:
    return fixed_of(x).places


def fixed_of(x: Tensor) -> Fixed:
    assert x.fixed is not None
    return x.fixed


def ends_of(x: Tensor) -> tuple[int, int]:
    return x.form.lo, x.form.hi


def limits_in(output: Fixed, layer: FloatLayer | None) -> tuple[int, int] | None:
    """Between which integers a rectifier keeps numbers of a format: its limits, rounded as the format rounds."""
    if layer is None:
        return None
    lo, hi = limits_of(layer)
    least = output.lo if lo == -np.inf else int(np.clip(output.whole(np.array(lo)), output.lo, output.hi))
    most = output.hi if hi == np.inf else int(np.clip(output.whole(np.array(hi)), output.lo, output.hi))
    return least, most


def layer_index(model: FloatNetwork, layer: FloatLayer) -> int:
    return next(k for k, other in enumerate(model.layers) if other.name == layer.name)


def words(fixed: Fixed, fractions: list[int]) -> str:
    """The format of weights; of several fractional bits their range."""
    if min(fractions) == max(fractions):
        return str(fixed.with_fraction(fractions[0]))
    return f"s{fixed.bits}.{min(fractions)}-{max(fractions)}"
