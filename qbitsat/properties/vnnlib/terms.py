"""Assertions of VNN-LIB files: from S-expressions to comparisons of linear sums with 0."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from ...errors import UnsupportedError
from .expressions import Expression, List, Source, Word, shown
from .numbers import INTEGERS, constant, is_number
from .records import REAL, Assertion, Comparison, Connective, Element, Variable

# Bits of numerators and denominators of coefficients.
MAX_BITS = 4096
# For each comparison: the sign of the difference left - right, and how it compares with 0.
COMPARED = {"<=": (1, "<="), ">=": (-1, "<="), "<": (1, "<"), ">": (-1, "<"), "==": (1, "=="), "=": (1, "=="), "!=": (1, "!=")}


@dataclass(frozen=True)
class Sum:
    """sum of coefficient * element + constant; `leaves`: an operation in it may leave the integers of the element type."""

    terms: dict[Element, Fraction]
    constant: Fraction
    leaves: bool = False


class Reader(ABC):
    """What both versions of the format share; they differ in how elements are named."""

    def __init__(self, source: Source):
        self.source = source
        self.variables: list[Variable] = []

    @abstractmethod
    def element(self, parts: Sequence[Expression], at: int) -> tuple[Element, int]:
        """The element that is named at this place of some parts, and the place behind its name."""

    # --- assertions ---

    def assertion(self, at: Expression) -> Assertion:
        """and, or, not (of 1.0) and comparisons."""
        if isinstance(at, Word) or at.head not in ("and", "or", *COMPARED, *self.more):
            self.source.refuse(at, f"{shown(at)}, expected and, or, or a comparison")
        if at.head in self.more:
            return self.further(at)
        if at.head in ("and", "or"):
            if len(at.parts) == 1:
                self.source.refuse(at, f"({at.head}) of nothing, expected at least one part")
            return Connective(at.head == "and", tuple(self.assertion(part) for part in at.parts[1:]))
        return self.comparison(at)

    more: tuple[str, ...] = ()

    def further(self, at: List) -> Assertion:
        """What only this version has, of the words in `more`."""
        raise NotImplementedError

    def comparison(self, at: List) -> Comparison:
        groups = self.operands(at, 1)
        if len(groups) != 2:
            self.source.refuse(at, f"{at.head} of {len(groups)} operands, expected 2")
        dtype = self.type_of(at)
        left, right = (self.sum(group, dtype) for group in groups)
        sign, op = COMPARED[at.head]
        whole = added([(left, sign), (right, -sign)])
        terms = tuple((element, c) for element, c in whole.terms.items() if c)
        return Comparison(terms, whole.constant, op, at, left.leaves or right.leaves)

    # --- sums ---

    def operands(self, at: List, first: int) -> list[list[Expression]]:
        """The parts behind the operator, each with the indices that follow it."""
        groups: list[list[Expression]] = []
        place = first
        while place < len(at.parts):
            part = at.parts[place]
            end = place + 1
            if isinstance(part, Word) and not is_number(part.text):
                _, end = self.element(at.parts, place)
            groups.append(list(at.parts[place:end]))
            place = end
        return groups

    def type_of(self, at: List) -> str:
        """The element type of all variables in a comparison; REAL where there is none."""
        found: Variable | None = None
        stack: list[Expression] = [at]
        while stack:
            part = stack.pop()
            if not isinstance(part, List):
                continue
            stack.extend(part.parts)
            for group in self.operands(part, 1):
                first = group[0]
                if isinstance(first, Word) and not is_number(first.text):
                    variable = self.variables[self.element(group, 0)[0][0]]
                    if found is not None and variable.dtype != found.dtype:
                        text = f"{variable.name} of {variable.dtype} and {found.name} of {found.dtype} in one comparison, expected one type"
                        self.source.refuse(first, text)
                    found = variable
        return found.dtype if found else REAL

    def sum(self, group: Sequence[Expression], dtype: str) -> Sum:
        first = group[0]
        if isinstance(first, List):
            return self.operation(first, dtype)
        if is_number(first.text):
            return Sum({}, constant(first, dtype, self.source))
        return Sum({self.element(group, 0)[0]: Fraction(1)}, Fraction(0))

    def operation(self, at: List, dtype: str) -> Sum:
        """+, - and *; products of at most one sum that is no constant."""
        if at.head not in ("+", "-", "*"):
            self.source.refuse(at, f"{shown(at)}, expected a number, an element, or a sum or product of such")
        parts = [self.sum(group, dtype) for group in self.operands(at, 1)]
        if not parts:
            self.source.refuse(at, f"({at.head}) of nothing, expected operands")
        if at.head == "*":
            found = self.product(parts, at)
        elif at.head == "-" and len(parts) > 1:
            found = added([(parts[0], 1), *((part, -1) for part in parts[1:])])
        else:
            found = added([(part, -1 if at.head == "-" else 1) for part in parts])
        numbers = [found.constant, *found.terms.values()]
        if any(max(v.numerator.bit_length(), v.denominator.bit_length()) > MAX_BITS for v in numbers):
            self.source.refuse(at, f"coefficients of more than {MAX_BITS} bits", UnsupportedError)
        return Sum(found.terms, found.constant, found.leaves or self.may_leave(found, dtype))

    def product(self, parts: list[Sum], at: List) -> Sum:
        factor, computed = Fraction(1), None
        for part in parts:
            if any(part.terms.values()):
                if computed is not None:
                    self.source.refuse(at, "a product of two elements, expected linear sums", UnsupportedError)
                computed = part
            else:
                factor *= part.constant
        leaves = any(part.leaves for part in parts)
        whole = computed or Sum({}, Fraction(1))
        return Sum({element: c * factor for element, c in whole.terms.items()}, whole.constant * factor, leaves)

    def may_leave(self, x: Sum, dtype: str) -> bool:
        """Whether a sum of integers may be none of its type, so that it matters that it does not wrap around."""
        if dtype not in INTEGERS or not x.terms:
            return False
        lo, hi = INTEGERS[dtype]
        ends = [sorted((c * lo, c * hi)) for c in x.terms.values()]
        return sum(a for a, _ in ends) + x.constant < lo or sum(b for _, b in ends) + x.constant > hi


def added(parts: Sequence[tuple[Sum, int]]) -> Sum:
    """The parts, each with a sign."""
    terms: dict[Element, Fraction] = {}
    for part, sign in parts:
        for element, c in part.terms.items():
            terms[element] = terms.get(element, Fraction(0)) + sign * c
    return Sum(terms, sum((sign * part.constant for part, sign in parts), Fraction(0)), any(part.leaves for part, _ in parts))


def index_of(numbers: Sequence[int], shape: tuple[int, ...]) -> int:
    """The index in row-major order."""
    strides = [1, *itertools.accumulate(reversed(shape[1:]), int.__mul__)] if shape else []
    return sum(i * stride for i, stride in zip(reversed(numbers), strides, strict=True))
