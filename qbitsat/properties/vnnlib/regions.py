"""What a specification says of inputs alone: which of them are one, and how far each may go."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from ...errors import UnsupportedError
from ...importers.onnx_file.borders import Border
from .binding import Bound, same_numbers, unequal
from .cells import LARGEST, Cells, ordinal_of, value_of
from .meaning import Meaning, meaning_of
from .records import INPUT, Assertion, Comparison, Element, conjuncts


@dataclass
class Input:
    """One input of the query, or several that are one. first and last are the ends of what it may be: of integers, or, with cells, of
    ordinals of floats.
    """

    border: Border
    meaning: Meaning
    cells: Cells | None
    first: int
    last: int

    def integer(self, end: int) -> int:
        """The integer of the query that an end is."""
        return end if self.cells is None else self.cells.integer(end)

    def last_below(self, edge: Fraction, strict: bool) -> int:
        """The last end whose number is at most the edge, or less than that."""
        if self.cells is None:
            steps = edge / self.meaning.unit
            return (math.ceil(steps) - 1 if strict else math.floor(steps)) + self.meaning.zero_point
        ordinal = ordinal_of(edge)
        return ordinal - 1 if strict and abs(ordinal) <= LARGEST and value_of(ordinal) == edge else ordinal

    def ends_of(self, coefficient: Fraction, constant: Fraction, op: str) -> tuple[int, int]:
        """The first and the last end with coefficient * number + constant <= 0, < 0 or == 0; none if the last is before the first."""
        edge, strict = -constant / coefficient, op == "<"
        if op == "==":
            return self.last_below(edge, True) + 1, self.last_below(edge, False)
        if coefficient > 0:
            return self.first, self.last_below(edge, strict)
        return self.last_below(edge, not strict) + 1, self.last


class Inputs:
    """The inputs of all networks, numbered one after the other.

    classes int64[inputs]: the number of the first input that is the same one. found has the input of each class.
    """

    def __init__(self, bound: Bound):
        self.bound = bound
        self.kinds = [variable.kind for _, variable in bound.spec.variables]
        self.firsts = np.cumsum([0, *(model.network.num_inputs for model in bound.models)]).tolist()
        self.borders = [border for model in bound.models for border in model.inputs for _ in range(border.size)]
        self.classes = np.arange(self.firsts[-1])
        self.found: dict[int, Input] = {}
        self.cells: dict[tuple[float, int, int, int], Cells] = {}

    def number(self, element: Element) -> int | None:
        """The number of an element among inputs; None for what is no input."""
        variable, index = element
        if self.kinds[variable] != INPUT:
            return None
        tensor = next(t for t in reversed(self.bound.tensors[variable]) if t.start <= index)
        return self.firsts[tensor.network] + tensor.border.first + index - tensor.start

    def of(self, element: Element) -> tuple[int, Input] | None:
        """The class of an element and its input; None for what is no input."""
        number = self.number(element)
        if number is None:
            return None
        root = int(self.classes[number])
        return root, self.found[root]

    def settle(self, assertions: Sequence[Assertion]) -> list[Assertion]:
        """Find classes and ends; the assertions that are left, which hold together."""
        rest = self.unite(list(conjuncts(assertions)))
        for root in np.unique(self.classes).tolist():
            self.found[root] = self.input_of(self.borders[root])
        return [part for part in rest if not self.bounded(part)]

    # --- classes ---

    def unite(self, parts: list[Assertion]) -> list[Assertion]:
        """Equal inputs become one; the assertions without those that say so."""
        parents = list(range(len(self.classes)))

        def root(number: int) -> int:
            while parents[number] != number:
                parents[number] = number = parents[parents[number]]
            return number

        rest = []
        for part in parts:
            pair = self.pair(part)
            if pair is None:
                rest.append(part)
                continue
            a, b = sorted(map(root, pair))
            assert isinstance(part, Comparison)
            if not same_numbers(self.borders[a], self.borders[b]):
                self.bound.spec.source.refuse(part.at, unequal(self.borders[a], self.borders[b]), UnsupportedError)
            parents[b] = a
        self.classes = np.array([root(number) for number in range(len(parents))], np.int64)
        return rest

    def pair(self, part: Assertion) -> tuple[int, int] | None:
        """The two inputs that an assertion says are equal."""
        if not isinstance(part, Comparison) or part.op != "==" or part.constant or len(part.terms) != 2:
            return None
        numbers = [self.number(element) for element, _ in part.terms]
        if None in numbers or part.terms[0][1] != -part.terms[1][1]:
            return None
        return numbers[0], numbers[1]  # type: ignore[return-value]

    # --- ends ---

    def input_of(self, border: Border) -> Input:
        form = border.form
        if border.floats is None:
            return Input(border, meaning_of(border), None, form.lo, form.hi)
        key = form.scale, form.zero_point, form.lo, form.hi
        if key not in self.cells:
            self.cells[key] = Cells.of(border)
        return Input(border, meaning_of(border), self.cells[key], -LARGEST, LARGEST)

    def bounded(self, part: Assertion) -> bool:
        """Whether an assertion is about one input alone, whose ends then say it."""
        if not isinstance(part, Comparison) or len(part.terms) != 1 or part.op == "!=":
            return False
        (element, coefficient), *_ = part.terms
        found = self.of(element)
        if found is None:
            return False
        first, last = found[1].ends_of(coefficient, part.constant, part.op)
        found[1].first, found[1].last = max(found[1].first, first), min(found[1].last, last)
        return True
