"""The inputs of a question: boxes in integer or real units, distances around a sample, and what single elements may be."""

from __future__ import annotations

import os
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np

from ...errors import QbitsatError, unknown
from ...importers import load_inputs
from ...network import Network
from ..balls import L1, LINF, NORMS, distance
from ..formula import INPUT, And, AtMost, Formula, Ref
from ..query import Box
from ..region import distances
from .document import Field
from .linear import Linear, every, some

KEYS = ("networks", "lo", "hi", "centre", "file", "sample", "header", "scale", "eps", "norm", "region", "unit", "elements")
ELEMENTS = ("at", "lo", "hi", "value", "among", "one_hot")
UNITS = ("integer", "real")


class Region:
    """The input of some networks as its table says: a box, and formulas about it."""

    def __init__(self, field: Field, network: Network, number: int):
        self.field, self.network, self.number = field, network, number
        lo, hi = (ends[: network.num_inputs] for ends in network.value_ranges)
        self.lo, self.hi = lo.copy(), hi.copy()
        self.facts: list[tuple[Formula, Field]] = []
        sizes = [form.size for form in network.inputs]
        self.scales = np.repeat(np.array([form.scale for form in network.inputs]), sizes)
        self.zeros = np.repeat(np.array([form.zero_point for form in network.inputs], np.int64), sizes)
        unit = field.get("unit", str, default="integer")
        if unit not in UNITS:
            field["unit"].refuse(f"unit {unit!r} is unknown; expected one of {', '.join(UNITS)}")
        self.real = unit == "real"
        for key, narrow in (("lo", self._raise), ("hi", self._lower)):
            if key in field:
                narrow(self._numbers(field[key], None, self._steps), slice(None), field[key])
        self._around()
        if "elements" in field:
            field["elements"].of_kind(list)
            for part in field["elements"].each():
                self._elements(part.table(ELEMENTS))

    def box(self) -> Box:
        return Box(self.lo, self.hi)

    # --- numbers ---

    def _steps(self, value: float, i: int, field: Field) -> int:
        """An integer of element i, of real units the one that they become: round(x / scale) + zero point, ties to even."""
        if not self.real:
            return value  # type: ignore[return-value]
        steps = round(_exact(value, field) / Fraction(float(self.scales[i]))) + int(self.zeros[i])
        return steps

    def _distance(self, value: float, i: int, field: Field) -> int:
        """Whole steps within a distance, which is not negative."""
        if value < 0:
            field.refuse(f"eps {value}, expected 0 or more")
        return int(_exact(value, field) // Fraction(float(self.scales[i]))) if self.real else int(value)

    def _numbers(self, field: Field, places: np.ndarray | None, convert: Callable[[float, int, Field], int]) -> np.ndarray:
        """Of one number for all of some elements (None: all), or a list with one for each, flat or nested as the input's shape: int64."""
        kinds = (int, float) if self.real else (int,)
        at = np.arange(len(self.lo)) if places is None else places
        found = list[int]()

        def read(part: Field) -> None:
            if isinstance(part.value, list):
                for inner in part.each():
                    read(inner)
                return
            if len(found) == len(at):
                part.refuse(f"more than {len(at)} numbers, expected one for each element, or one for all")
            value = convert(part.of_kind(*kinds), int(at[len(found)]), part)
            if abs(value) > 1 << 40:
                part.refuse(f"{value!r:.40} is out of range")
            found.append(value)

        if not isinstance(field.value, list):
            value = field.of_kind(*kinds, list)
            found = [convert(value, int(i), field) for i in at] if self.real else [convert(value, 0, field)] * len(at)
            if any(abs(v) > 1 << 40 for v in found):
                field.refuse(f"{value!r:.40} is out of range")
        else:
            read(field)
        if len(found) != len(at):
            field.refuse(f"{len(found)} numbers, expected {len(at)}, one for each element, or one for all")
        return np.array(found, np.int64)

    # --- narrowing ---

    def _raise(self, values: np.ndarray, at: Any, field: Field) -> None:
        self._inside(values, at, field)
        self.lo[at] = np.maximum(self.lo[at], values)
        self._check(field)

    def _lower(self, values: np.ndarray, at: Any, field: Field) -> None:
        self._inside(values, at, field)
        self.hi[at] = np.minimum(self.hi[at], values)
        self._check(field)

    def _inside(self, values: np.ndarray, at: Any, field: Field) -> None:
        """Refuse what the network's format does not have."""
        lo, hi = (ends[: self.network.num_inputs][at] for ends in self.network.value_ranges)
        wrong = np.flatnonzero((values < lo) | (values > hi))
        if len(wrong):
            i = int(wrong[0])
            real = " (as an integer)" if self.real else ""
            field.refuse(f"{field.path[-1]}: {values[i]}{real}, expected one in the input's range [{lo[i]}, {hi[i]}]")

    def _check(self, field: Field) -> None:
        empty = np.flatnonzero(self.lo > self.hi)
        if len(empty):
            i = int(empty[0])
            field.refuse(f"nothing is left of input element {i}: at least {self.lo[i]} and at most {self.hi[i]}")

    def _around(self) -> None:
        """Within eps of a sample or a centre."""
        field = self.field
        if "file" not in field and "centre" not in field:
            for key in ("sample", "header", "scale", "eps", "norm", "region"):
                if key in field:
                    field[key].refuse(f'{key} needs a centre = [...], or a file = "..." and a sample')
            return
        if "eps" not in field:
            field["file" if "file" in field else "centre"].refuse("needs eps, the distance to it; 0 for the input as it is")
        x, eps = self._centre(), field["eps"]
        if "norm" in field and self._ball(x, eps):
            return
        steps = self._numbers(eps, None, self._distance)
        if "region" in field:
            try:
                one = isinstance(eps.value, int) and not self.real
                moved = distances(field.get("region", str), self.network.input.shape, eps.value if one else 1)
                steps = moved if one else np.where(moved > 0, steps, 0)
            except QbitsatError as error:
                field["region"].refuse(error)
        self.lo, self.hi = np.maximum(self.lo, x - steps), np.minimum(self.hi, x + steps)
        self._check(eps)

    def _ball(self, x: np.ndarray, eps: Field) -> bool:
        """Within a distance in L1, or with so many elements changed, of the elements that the region names; False for L-infinity."""
        field = self.field
        norm = field.get("norm", str)
        if norm not in NORMS:
            field["norm"].refuse(unknown("norm", norm, NORMS))
        if norm == LINF:
            return False
        radius, counted = eps.of_kind(int), np.arange(len(x))
        if radius < 0 or radius > 1 << 40 or (self.real and norm == L1):
            eps.refuse(f"eps {radius}, expected a whole number from 0" + (', and unit = "integer" with L1' if self.real else ""))
        if "region" in field:
            counted = self._named(field["region"])
        lo, hi = self.lo.copy(), self.hi.copy()
        lo[counted], hi[counted] = np.maximum(lo, x - radius)[counted], np.minimum(hi, x + radius)[counted]
        if norm == L1 or not radius:
            self.lo[counted], self.hi[counted] = lo[counted], hi[counted]
        still = np.setdiff1d(np.arange(len(x)), counted)
        self.lo[still], self.hi[still] = np.maximum(self.lo, x)[still], np.minimum(self.hi, x)[still]
        self._check(eps)
        measured = distance(self.network, x, norm, counted.tolist(), self.number)
        self.network = measured.network
        self.facts.append((measured.at_most(radius), eps))
        return True

    def _named(self, field: Field) -> np.ndarray:
        """The elements that a region names."""
        try:
            return np.flatnonzero(distances(field.of_kind(str), self.network.input.shape, 1))
        except QbitsatError as error:
            field.refuse(error)

    def _centre(self) -> np.ndarray:
        field = self.field
        if "centre" in field:
            for key in ("file", "sample"):
                if key in field:
                    field[key].refuse(f"{key} beside a centre, expected one of them")
            x = self._numbers(field["centre"], None, self._steps)
            self._inside(x, slice(None), field["centre"])
            return x
        if "sample" not in field:
            field["file"].refuse("needs sample = NUMBER, which one of it")
        sample, scale = field.get("sample", int), field.get("scale", float, int, str)
        try:
            path = os.path.join(os.path.dirname(field.document.path), field.get("file", str))
            inputs = load_inputs(path, self.network.inputs, header=field.get("header", bool), scale=scale)
        except QbitsatError as error:
            field["file"].refuse(error)
        if not 0 <= sample < len(inputs):
            field["sample"].refuse(f"sample {sample}, expected one in [0, {len(inputs) - 1}]")
        return inputs[sample]

    # --- elements ---

    def _elements(self, field: Field) -> None:
        if "at" not in field:
            field.refuse('needs at, the elements that it is about, as in "[3:6, 0]" or "5:9"')
        at = self._named(field["at"])
        for key, ends in (("lo", (self._raise,)), ("hi", (self._lower,)), ("value", (self._raise, self._lower))):
            if key in field:
                values = self._numbers(field[key], at, self._steps)
                for narrow in ends:
                    narrow(values, at, field[key])
        if "among" in field:
            self._among(field["among"], at)
        if "one_hot" in field:
            self._one_hot(field["one_hot"], at)

    def _x(self, i: int) -> Linear:
        return Linear({Ref(self.number, INPUT, i): 1})

    def _in(self, i: int, first: int, last: int) -> Formula:
        """first <= x_i <= last."""
        ref = Ref(self.number, INPUT, i)
        return And((AtMost(((1, ref),), last), AtMost(((-1, ref),), -first)))

    def _among(self, field: Field, at: np.ndarray) -> None:
        if not field.of_kind(list):
            field.refuse("among no numbers, expected at least one")
        for i in at.tolist():
            values = sorted({self._steps(part.of_kind(int, float) if self.real else part.of_kind(int), i, part) for part in field.each()})
            self._inside(np.array([v if abs(v) < 1 << 40 else 1 << 40 for v in values]), np.full(len(values), i), field)
            self._raise(np.array(values[:1]), np.array([i]), field)
            self._lower(np.array(values[-1:]), np.array([i]), field)
            starts = [v for v in values if v - 1 not in values]
            ends = [v for v in values if v + 1 not in values]
            if len(starts) > 1:
                self.facts.append((some([self._in(i, a, b) for a, b in zip(starts, ends, strict=True)]), field))

    def _one_hot(self, field: Field, at: np.ndarray) -> None:
        """Exactly one is `on`, the others are `off`: 1 and 0, or as given."""
        if isinstance(field.of_kind(bool, list), bool):
            if not field.value:
                field.refuse("one_hot is false, expected true or [off, on]")
            offs, ons = (self._filled(number, at, field) for number in (0, 1))
        else:
            if len(field.value) != 2:
                field.refuse(f"one_hot of {len(field.value)} numbers, expected [off, on]")
            offs, ons = (self._numbers(field[k], at, self._steps) for k in (0, 1))
        if (offs == ons).any():
            field.refuse("one_hot: off and on are the same integer")
        for values in (offs, ons):
            self._inside(values, at, field)
        self._raise(np.minimum(offs, ons), at, field)
        self._lower(np.maximum(offs, ons), at, field)
        if (abs(ons - offs) == 1).all():
            total = Linear(None, -1)
            for i, off, on in zip(at.tolist(), offs.tolist(), ons.tolist(), strict=True):
                total.add((self._x(i) - Linear(None, off)).scaled(on - off))
            self.facts.append((And((total.at_most(), (-total).at_most())), field))
            return
        rows = list(zip(at.tolist(), offs.tolist(), ons.tolist(), strict=True))
        ways = [
            every([self._in(i, on, on) if k == j else self._in(i, off, off) for k, (i, off, on) in enumerate(rows)])
            for j in range(len(rows))
        ]
        self.facts.append((some(ways), field))

    def _filled(self, value: int, at: np.ndarray, field: Field) -> np.ndarray:
        return np.array([self._steps(value, i, field) for i in at.tolist()], np.int64)


def _exact(value: float, field: Field) -> Fraction:
    try:
        return Fraction(value)
    except (ValueError, OverflowError):
        field.refuse(f"{value}, expected a finite number")
