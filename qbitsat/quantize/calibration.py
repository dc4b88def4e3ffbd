"""Which fractional bits fit what a tensor holds: by range, by percentile or by least squares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..errors import ArgumentError, InputError, UnsupportedError
from ..limits import Limits
from ..network.float_network import FloatNetwork
from .numbers import MAX_BITS, MAX_FRACTION, Fixed

METHODS = ("range", "percentile", "mse")
# Numbers of each tensor that are kept, and numbers of all tensors at a time.
KEPT, AT_ONCE = 1 << 16, 1 << 24
# Fractional bits beyond those of the range that least squares try.
FINER = 12


@dataclass(frozen=True)
class Method:
    """How ranges are chosen: "range" (all values fit), "percentile" (so many percent of them do) or "mse" (least squared error)."""

    name: str
    percent: float = 100.0

    @classmethod
    def parse(cls, text: str) -> Method:
        name, colon, number = text.partition(":")
        if name not in METHODS or (colon and name != "percentile"):
            raise ArgumentError("method", f"{text!r}, expected range, percentile:P or mse")
        if name != "percentile":
            return cls(name)
        try:
            percent = float(number or 99.9)
        except ValueError:
            percent = -1.0
        if not 50 <= percent <= 100:
            raise ArgumentError("method", f"{text!r}, expected a percentile from 50 to 100, as in percentile:99.9")
        return cls(name, percent)


@dataclass(frozen=True)
class Observed:
    """What a tensor held for the calibration data: its ends, and some of its numbers, spread evenly."""

    lo: float
    hi: float
    values: np.ndarray

    def ends(self, method: Method) -> tuple[float, float]:
        """The ends that have to fit."""
        if method.name != "percentile" or method.percent == 100:
            return self.lo, self.hi
        lo, hi = np.percentile(self.values, [100 - method.percent, method.percent])
        return float(lo), float(hi)


def observe(model: FloatNetwork, x: np.ndarray, limits: Limits) -> dict[int, Observed]:
    """What each tensor of a model holds for samples x [n, *shape], by its index (-1 is the input)."""
    start = 0
    limits.begin("calibration", lambda: {"samples": start})
    numbers = sum(int(np.prod(shape)) for shape in model.shapes)
    batch = max(1, AT_ONCE // numbers)
    share = max(1, KEPT * batch // len(x)) if len(x) > batch else KEPT
    parts: dict[int, list[Observed]] = {}
    for start in range(0, len(x), batch):
        rows = x[start : start + batch]
        for k, values in zip(range(-1, len(model.layers)), [rows, *model.forward(rows, limits=limits)], strict=True):
            if not np.isfinite(values).all():
                place = "the calibration data" if k < 0 else f"layer {model.layers[k].name!r}, for the calibration data"
                raise InputError(f"{place}: holds a number that is not finite, expected finite numbers")
            parts.setdefault(k, []).append(Observed(float(values.min()), float(values.max()), spread(values.ravel(), share)))
    return {k: joined(found) for k, found in parts.items()}


def spread(values: np.ndarray, most: int) -> np.ndarray:
    """At most so many of the values, evenly spread."""
    return values[:: -(-len(values) // most)].copy()


def joined(parts: Sequence[Observed]) -> Observed:
    return Observed(min(p.lo for p in parts), max(p.hi for p in parts), np.concatenate([p.values for p in parts]))


def observed(values: np.ndarray) -> Observed:
    """What a tensor of weights holds."""
    return Observed(float(values.min()), float(values.max()), spread(values.ravel(), KEPT))


def misfit(fixed: Fixed, values: np.ndarray) -> str:
    """What to say of a format that loses most of the values: they overflow it, by more than a step where it saturates; else nothing."""
    slack = fixed.overflow in ("saturate", "symmetric")
    whole = fixed.whole(values)
    lost = int(((whole < fixed.lo - slack) | (whole > fixed.hi + slack)).sum())
    if 2 * lost <= values.size:
        return ""
    wide = range(fixed.bits + 1, MAX_BITS + fixed.signed)
    enough = next((bits for bits in wide if not replace(fixed, bits=bits).outside(values).any()), None)
    needed = "a sign" if not fixed.signed and (whole < 0).any() else "fewer fractional bits"
    expected = needed if enough is None else f"{enough} bits"
    ends, held = f"{values.min():g} to {values.max():g}", f"{fixed.lo * fixed.step:g} to {fixed.hi * fixed.step:g}"
    return f"{lost} of {values.size} from {ends} do not fit {fixed}, {held}; expected {expected}"


def resolve(fixed: Fixed, tensor: Observed | None, method: Method, what: str, most: int = MAX_FRACTION) -> Fixed:
    """The format with its fractional bits: its own, or those that suit the tensor best, at most `most`."""
    if fixed.fraction is not None:
        return fixed
    if tensor is None:
        raise InputError(f"{what}: its range is not known, expected calibration data (--calibration FILE)")
    first = widest(fixed, tensor.ends(method), min(most, MAX_FRACTION), what)
    if method.name != "mse":
        return fixed.with_fraction(first)
    choices = [fixed.with_fraction(fraction) for fraction in range(first, min(first + FINER, most, MAX_FRACTION) + 1)]
    return min(choices, key=lambda choice: squared_error(choice, tensor.values))


def widest(fixed: Fixed, ends: tuple[float, float], most: int, what: str) -> int:
    """The most fractional bits with which both ends fit."""
    for fraction in range(most, -MAX_FRACTION - 1, -1):
        # Below an unsigned format there is nothing to choose.
        held = np.array(ends) if fixed.signed else np.maximum(ends, 0)
        if not fixed.with_fraction(fraction).outside(held).any():
            return fraction
    values = f"values from {ends[0]:g} to {ends[1]:g}"
    raise UnsupportedError(f"{what}: {values} in {fixed.bits} bits, expected magnitudes below 2**{MAX_FRACTION}")


def squared_error(fixed: Fixed, values: np.ndarray) -> float:
    return float(np.square(fixed.integers(values) * fixed.step - values).mean())
