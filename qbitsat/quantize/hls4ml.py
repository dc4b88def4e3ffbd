"""A float model in the types of ap_fixed, as hls4ml computes it: its weights, its tables and its averages.

Sources are nnet_activation.h and nnet_pooling.h of its Vivado backend. Tables of sigmoid and tanh have `table_size` entries, filled with
the C library's functions of float32; an index is cut off toward 0. An average is divided in the type of its accumulator, toward 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np

from ..arithmetic import INT32, Requantizer, ThresholdRequantizer
from ..errors import UnsupportedError
from ..importers.assembly import Wires, convolve, mapped, once
from ..network import TensorFormat
from ..network.float_network import Activation, GlobalPool, Pool
from .casts import MAX_LEVELS, First, Make, Sum, cast, meaning, quotient
from .fixed_point import MAX_TABLE, FixedPointLowering, fixed_of, limits_in
from .formats import LayerFormat
from .lowering import Tensor
from .numbers import MAX_BITS, Fixed, fits_int32

f32 = np.float32
# Between which real numbers a table spreads, for both sides of 0 together.
SPANS = {"sigmoid": 16, "tanh": 8}
# Steps of float32 that the C libraries' functions may differ by.
DOUBT = 2
# Integers that float64 tells apart.
EXACT = 1 << 53
# int64 -> int64, of each element.
Step = Callable[[np.ndarray], np.ndarray]


class HlsLowering(FixedPointLowering):
    """FixedPointLowering where hls4ml differs."""

    @property
    def default(self) -> Fixed:
        """What hls4ml calls the model's default type."""
        assert self.form.hls is not None
        return self.form.hls

    def written(self, values: np.ndarray, fixed: Fixed) -> np.ndarray:
        """As hls4ml writes numbers into its files: with as many decimal places as there are fractional bits."""
        digits = max(0, fixed.places)
        return np.array([float(f"{value:.{digits}f}") for value in values.ravel().tolist()]).reshape(values.shape)

    # --- sums ---

    def finish(self, end: int, name: str, form: LayerFormat, sums: list[Sum], make: Make) -> tuple[str, Tensor]:
        """Exact sums are as fine as they come, and rectified before they become anything else."""
        if not form.exact:
            return super().finish(end, name, form, sums, make)
        rectifier = self.rectifier(end)
        output = self.output_of(form, end) if rectifier else Fixed(MAX_BITS, max(s.fraction for s in sums))
        wide = replace(output, bits=MAX_BITS, signed=True, overflow="saturate")

        def made(steps: tuple[Requantizer, ...], added: Sequence[int]) -> Wires:
            return make(steps, added, meaning(wide))

        first: First = made
        if form.accumulator is not None:
            first, sums = self.accumulated(name, form.accumulator, sums, first, make, wide)
        ends = [quotient(end, s, wide) for s in sums for end in (s.lo, s.hi)]
        lo, hi = min(ends), max(ends)
        if rectifier:
            least, most = limits_in(wide, rectifier) or (lo, hi)
            lo, hi = max(min(lo, most), least), max(min(hi, most), least)
        if not fits_int32(lo, hi):
            raise UnsupportedError(
                f"exact sums from {lo} to {hi} steps of {wide.step:g}, expected 32 bits: give an output, or fewer bits before"
            )
        wires = self.recast(f"{name}.cast", cast(self.b, name, sums, wide, first, (lo, hi)), wide, output)
        return f"output {output if rectifier else 'exact'}", Tensor(
            wires.reshape(*self.model.shapes[end]), self.form_of(wires, output), output
        )

    # --- tables ---

    def table(self, layer: Activation, x: Tensor, output: Fixed, form: LayerFormat) -> Wires:
        if layer.kind == "leaky_relu":
            return self.leaky(layer, x, output, form.slope or type_of(layer.alpha))
        lo, hi = x.form.lo, x.form.hi
        size, span, places = form.table_size, SPANS[layer.kind], fixed_of(x).places
        if max(abs(lo), abs(hi)) * 2.0**-places / span * size + size > INT32[1]:
            raise UnsupportedError(f"{layer.kind} of values from {lo} to {hi} steps of {x.form.scale:g}, whose indices leave 32 bits")

        def index(q: np.ndarray) -> np.ndarray:
            return index_of(q, places, size, span)

        values, doubtful = entries(layer.kind, size, form.table, output)
        first, last = index(np.array([lo, hi])).tolist()
        if doubtful[first : last + 1].any():
            entry = first + int(doubtful[first : last + 1].argmax())
            what = f"{layer.kind}: entry {entry} of {size} is too near a step of {form.table} to say what a C library gives"
            raise UnsupportedError(f"{what}; expected another table or table-size")
        return self.looked_up(layer, x, output, lambda q: values[index(q)], bool((np.diff(values[first : last + 1]) >= 0).all()))

    def leaky(self, layer: Activation, x: Tensor, output: Fixed, slope: Fixed) -> Wires:
        """x where it is above 0, else the exact product of x and a slope of a type of its own; both as numbers of the output."""
        if layer.alpha < 0:
            raise UnsupportedError(f"an alpha of {layer.alpha}, expected at least 0")
        lo, hi, source = x.form.lo, x.form.hi, fixed_of(x)
        (alpha,) = slope.integers(np.array([layer.alpha])).tolist()
        if max(abs(lo), abs(hi)) * max(1, abs(alpha)) >= EXACT:
            raise UnsupportedError(f"values from {lo} to {hi} times {alpha}, expected 53 bits")

        def real(q: np.ndarray) -> np.ndarray:
            return np.where(q > 0, q * source.step, q * alpha * (source.step * slope.step))

        # A slope that its type makes negative turns the order around, and so does what wraps, or becomes 0.
        rises = alpha >= 0 and (output.overflow in ("saturate", "symmetric") or not output.outside(real(np.array([lo, hi]))).any())
        return self.looked_up(layer, x, output, lambda q: output.integers(real(q)), rises)

    def looked_up(self, layer: Activation, x: Tensor, output: Fixed, function: Step, rises: bool) -> Wires:
        """A function of single values, which never falls or has few of them."""
        lo, hi = x.form.lo, x.form.hi
        if rises:
            return once(self.b, layer.name, x.wires, 1, 0, thresholds(function, lo, hi), meaning(output))
        if hi - lo >= MAX_TABLE:
            raise UnsupportedError(f"{layer.kind} that overflows, of values from {lo} to {hi}, expected at most 16 bits")
        every = function(np.arange(lo, hi + 1))
        return mapped(self.b, layer.name, x.wires, lo, every[None], np.zeros(x.wires.shape, np.int64), meaning(output))

    # --- pools ---

    def pool(self, k: int, layer: Pool | GlobalPool, x: Tensor) -> Tensor:
        """Pools keep the type that they read; pools of a whole image have the layer's, through an accumulator of the default type."""
        source, form, is_global = fixed_of(x), self.of(k), isinstance(layer, GlobalPool)
        accumulator = form.accumulator or (self.default if is_global else None)
        output = self.resolved(form.output, k) if is_global else source
        if layer.kind == "max":
            tensor = super().pool(k, layer, x)
            if not is_global:
                return tensor
            assert accumulator is not None
            lo, hi = self.range(tensor.wires)
            if accumulator.places < source.places or lo < accumulator.lo or hi > accumulator.hi:
                raise UnsupportedError(f"the largest of {source} in an accumulator of {accumulator}, expected one that holds them all")
            wires = self.recast(layer.name, tensor.wires, source, output)
        else:
            if isinstance(layer, GlobalPool):
                layer = self.as_pool(layer, x)
            wires = self.averaged(layer, x, accumulator, output).reshape(*self.model.shapes[k])
        self.note(k, layer.name, f"output {output}" if accumulator is None else f"accumulator {accumulator}, output {output}", output.step)
        return Tensor(wires, self.form_of(wires, output), output)

    def averaged(self, layer: Pool, x: Tensor, accumulator: Fixed | None, output: Fixed) -> Wires:
        """Sums of windows in the accumulator, by their counts, and then as numbers of the output."""
        lo, hi, source, size = x.form.lo, x.form.hi, fixed_of(x), layer.window[0] * layer.window[1]
        if any(map(any, layer.padding)):
            lo, hi = min(lo, 0), max(hi, 0)
        channels = x.wires.shape[2]
        counts = layer.counts(x.wires.shape).ravel().tolist()

        def make(steps: tuple[Requantizer, ...], added: Sequence[int], form: TensorFormat) -> Wires:
            kernel = self.kernel_of_sums(layer, channels)
            kernel = replace(kernel, bias=kernel.bias + added[0])
            return convolve(self.b, layer.name, x.wires, kernel, steps, x.form, form)

        def made(steps: tuple[Requantizer, ...], added: Sequence[int]) -> Wires:
            return make(steps, added, meaning(output))

        first: First = made
        sums = [Sum(size * lo, size * hi, source.places)]
        # Without one, sums have as many bits more on either side of the point as the count has.
        places = source.places + (size - 1).bit_length()
        if accumulator is not None:
            first, sums = self.accumulated(layer.name, accumulator, sums, first, make, output)
            places = accumulator.places
        (total,) = sums
        several = len(set(counts)) > 1
        if several and first is not made:
            raise UnsupportedError(f"an average of different counts at the border in an accumulator of {accumulator} that can overflow")
        shift = counts[0].bit_length() - 1
        exact = places >= total.fraction + shift
        if not several and counts[0] == 1 << shift and (exact or places == output.places):
            # Nothing is cut off, or only once.
            rounded = output if exact else replace(output, rounding="toward_zero")
            return cast(self.b, layer.name, [replace(total, fraction=total.fraction + shift)], rounded, first)
        # At the border there are fewer terms.
        ends = {n: (n * lo, n * hi) if several else (total.lo, total.hi) for n in set(counts)}
        steps = {n: thresholds(divided(n, total, places, output), *ends[n]) for n in set(counts)}
        chosen = (steps[counts[0]],) if not several else tuple(steps[n] for n in counts for _ in range(channels))
        return self.recast(f"{layer.name}.cast", first(chosen, [0]), replace(output, bits=MAX_BITS, signed=True), output)


def type_of(alpha: float) -> Fixed:
    """What hls4ml infers for a constant of at least 0: as many of its bits, from the first one on, as 8 hold, and none beyond 2**-32."""
    if alpha == 0:
        return Fixed(1, 0, False, "floor", "wrap")
    numerator, denominator = alpha.as_integer_ratio()
    places = min(denominator.bit_length() - 1 or 1 - (numerator & -numerator).bit_length(), 32)
    count = math.ceil(Fraction(alpha) * Fraction(2) ** places).bit_length()
    bits = min(count, 8)
    return Fixed(bits, bits + places - count, False, "floor", "wrap")


def entries(kind: str, size: int, table: Fixed, output: Fixed) -> tuple[np.ndarray, np.ndarray]:
    """The integers int64[size] that a table gives for its indices, in steps of the output, and for which a C library may give others."""
    found = [output.integers(table.integers(filled(kind, size, off)) * table.step) for off in range(-DOUBT, DOUBT + 1)]
    return found[DOUBT], np.any(np.array(found) != found[DOUBT], axis=0)


def filled(kind: str, size: int, off: int) -> np.ndarray:
    """What a table is filled with, float32[size], where the C library's function is so many steps off the nearest number; 0 is exact."""
    x = (SPANS[kind] * (np.arange(size) - size / 2) / size).astype(f32)
    if kind == "tanh":
        return moved(np.tanh(x.astype(np.float64)), np.where(x == 0, 0, off))
    power = moved(np.exp(-x.astype(np.float64)), np.where(x == 0, 0, off))
    return (1.0 / (f32(1) + power).astype(np.float64)).astype(f32)


def moved(exact: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """The nearest float32, and so many steps of its size away from 0."""
    near = exact.astype(f32)
    return near + steps.astype(f32) * np.spacing(near)


def index_of(q: np.ndarray, places: int, size: int, span: int) -> np.ndarray:
    """The entry of a table for numbers q * 2**-places: multiplied, divided and made an int one after the other, each toward 0."""
    whole = np.abs(q) * size // span
    whole = whole >> places if places >= 0 else whole << -places
    return np.clip(np.sign(q) * whole + size // 2, 0, size - 1)


def divided(count: int, total: Sum, places: int, output: Fixed) -> Step:
    """From a sum to its average in the output's steps, before overflow: cut off at the accumulator's places, and rounded."""
    finer = places - total.fraction
    if max(abs(total.lo), abs(total.hi)) << finer >= EXACT:
        raise UnsupportedError(f"an average of sums from {total.lo} to {total.hi} with {finer} more fractional bits, expected 53 bits")

    def step(acc: np.ndarray) -> np.ndarray:
        quotient = np.sign(acc) * ((np.abs(acc) << finer) // count)
        return output.whole(quotient * 2.0**-places).astype(np.int64)

    return step


def thresholds(step: Step, lo: int, hi: int) -> ThresholdRequantizer:
    """A function of the integers from lo to hi that never decreases."""
    least, most = step(np.array([lo, hi])).tolist()
    if most - least > MAX_LEVELS or not fits_int32(least, most):
        raise UnsupportedError(f"values from {least} to {most}, expected at most 16 bits")
    levels = np.arange(least + 1, most + 1)
    # step(below) < level <= step(reached)
    below, reached = np.full(len(levels), lo), np.full(len(levels), hi)
    while (reached - below > 1).any():
        middle = (below + reached) // 2
        above = step(middle) >= levels
        reached, below = np.where(above, middle, reached), np.where(above, below, middle)
    return ThresholdRequantizer(least, tuple(reached.tolist()))
