"""Formulas: and, or, not over linear integer inequalities in inputs, outputs and inner values of the networks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..arithmetic import integer
from ..errors import InputError, expect_kind, kind_of
from ..limits import NO_LIMITS, Limits
from ..network import Network

INPUT, OUTPUT, VALUE = TENSORS = "input", "output", "value"


class _Element(NamedTuple):
    network: int
    tensor: str
    element: int


class Ref(_Element):
    """One element: network number, tensor, index. Raises `InputError` for other types.

    The tensor is "input" or "output", flattened, or "value": all that the network computes, numbered as in `Network`, so that output i of
    layer k is `Ref(n, "value", network.first_value(k) + i)`.
    """

    __slots__ = ()

    def __new__(cls, network: int, tensor: str, element: int) -> Ref:
        if not isinstance(tensor, str) or tensor not in TENSORS:
            raise InputError(f"query: the tensor of an element is {kind_of(tensor)}, expected {INPUT!r}, {OUTPUT!r} or {VALUE!r}")
        return super().__new__(
            cls, integer(network, "query: the network of an element"), tensor, integer(element, "query: the index of an element")
        )

    @classmethod
    def _make(cls, iterable: Iterable[Any]) -> Ref:  # type: ignore[override]
        """As for any other: `_replace` rests on it."""
        return cls(*iterable)

    def value_of(self, network: Network) -> int:
        """The number of the element among the values of its network."""
        return int(network.outputs[self.element]) if self.tensor == OUTPUT else self.element


@dataclass(frozen=True, slots=True)
class AtMost:
    """sum of coefficient * element <= bound; terms are (coefficient, Ref). All numbers are kept as Python ints.

    Raises `InputError` for fractions: `Not` counts on s > b being s >= b + 1.
    """

    terms: tuple[tuple[int, Ref], ...]
    bound: int

    def __post_init__(self):
        try:
            terms = [(integer(c, "coefficient"), ref, None if type(ref) is Ref else ref[:3]) for c, ref in self.terms]
            object.__setattr__(self, "bound", integer(self.bound, "bound"))
        except (TypeError, ValueError, AttributeError, InputError) as error:
            raise InputError(
                f"query: inequality with terms {self.terms!r} and bound {self.bound!r}, expected an integer everywhere"
            ) from error
        object.__setattr__(self, "terms", tuple((c, ref if parts is None else Ref(*parts)) for c, ref, parts in terms))

    def coefficients(self) -> dict[Ref, int]:
        """Coefficients by element, equal elements added up, zeros dropped; in order of first mention."""
        terms: dict[Ref, int] = {}
        for coefficient, ref in self.terms:
            terms[ref] = terms.get(ref, 0) + coefficient
        return {ref: coefficient for ref, coefficient in terms.items() if coefficient}


@dataclass(frozen=True, init=False, slots=True)
class _Parts:
    """Parts as a tuple of their own: a list could change, and an iterator would be empty the second time."""

    parts: tuple[Formula, ...]

    def __init__(self, parts: Iterable[Formula], *more: Formula):
        name = type(self).__name__
        if more:
            raise InputError(f"query: {name} of {1 + len(more)} arguments, expected one tuple of formulas, as in {name}((a, b))")
        try:
            object.__setattr__(self, "parts", tuple(parts))
        except TypeError as error:
            raise InputError(f"query: parts of {name} are {kind_of(parts)}, expected a tuple of formulas") from error
        for part in self.parts:
            expect_kind(part, KINDS, f"query: a part of {name}", FORMULA)


@dataclass(frozen=True, init=False, slots=True)
class And(_Parts):
    """All parts hold; true when there are none."""


@dataclass(frozen=True, init=False, slots=True)
class Or(_Parts):
    """Some part holds; false when there are none."""


@dataclass(frozen=True, slots=True)
class Not:
    part: Formula

    def __post_init__(self):
        expect_kind(self.part, KINDS, "query: the part of Not", FORMULA)


Formula = AtMost | And | Or | Not
KINDS, FORMULA = (AtMost, And, Or, Not), "AtMost, And, Or or Not"
TRUE, FALSE = And(()), Or(())
MAX_PARTS = 1 << 20
Values = Sequence[Sequence[int]]


def at_least(terms: tuple[tuple[int, Ref], ...], bound: int) -> AtMost:
    """sum of coefficient * element >= bound."""
    same = AtMost(terms, bound)
    return AtMost(tuple((-c, ref) for c, ref in same.terms), -same.bound)


def reaching(assumption: Formula, objective: tuple[tuple[int, Ref], ...], bound: int) -> And:
    """The assumption is true, and the objective is at least `bound`."""
    return And((assumption, at_least(objective, bound)))


def accumulator(network: Network, layer: int, i: int, number: int = 0) -> tuple[tuple[tuple[int, Ref], ...], int]:
    """Accumulator i of a layer, as terms and a constant: the sum of coefficient * element, plus the constant.

    number is that of the network in the query. Padding counts in the constant. Raises `InputError` for what is not there.
    """
    expect_kind(network, Network, "accumulator: network", "a Network, as of load(path)")
    layer = integer(layer, "accumulator: layer", 0, len(network.layers) - 1)
    i = integer(i, "accumulator: the index", 0, network.layers[layer].affine.n_out - 1)
    values, weights, bias = network.row(layer, i)
    return tuple((w, Ref(number, VALUE, v)) for v, w in zip(values.tolist(), weights.tolist(), strict=True)), bias


def without_not(formula: Formula, negated: bool = False, limits: Limits = NO_LIMITS) -> Formula:
    """The same formula without `Not`: pushed inwards, not (s <= b) is -s <= -b - 1."""
    limits.check()
    if isinstance(formula, Not):
        return without_not(formula.part, not negated, limits)
    if isinstance(formula, AtMost):
        return at_least(formula.terms, formula.bound + 1) if negated else formula
    parts = tuple(without_not(part, negated, limits) for part in formula.parts)
    return And(parts) if isinstance(formula, And) != negated else Or(parts)


def renamed(formula: Formula, names: Mapping[Ref, Ref]) -> Formula:
    """The same formula about other elements: those that have a new name in `names`."""
    if isinstance(formula, AtMost):
        return AtMost(tuple([(c, names.get(ref, ref)) for c, ref in formula.terms]), formula.bound)
    if isinstance(formula, Not):
        return Not(renamed(formula.part, names))
    return type(formula)(tuple([renamed(part, names) for part in formula.parts]))


def atoms(formula: Formula) -> Iterator[AtMost]:
    """Every inequality, left to right."""
    if isinstance(formula, AtMost):
        yield formula
    else:
        for part in (formula.part,) if isinstance(formula, Not) else formula.parts:
            yield from atoms(part)


def measure(formula: Formula, limits: Limits = NO_LIMITS) -> tuple[int, int]:
    """Nesting levels and parts, counted without recursion, so that it is safe on anything.

    Raises `InputError` for what is no formula and for one of more than MAX_PARTS parts; a shared one counts each time and is measured once.
    """
    known = dict[int, tuple[int, int]]()
    begun, stack = set[int](), [formula]
    while stack:
        node, number = stack[-1], id(stack[-1])
        if number in known:
            stack.pop()
            continue
        limits.check()
        if not isinstance(node, KINDS):
            raise InputError(f"query: the formula has a part {kind_of(node)}, expected {FORMULA}")
        inner = () if isinstance(node, AtMost) else (node.part,) if isinstance(node, Not) else node.parts
        deeper = [part for part in inner if not isinstance(part, AtMost)]
        left = [part for part in deeper if id(part) not in known]
        if left and number in begun:
            raise InputError("query: the formula is a part of itself")
        if left:
            begun.add(number)
            stack.extend(left)
            continue
        sizes = [known[id(part)] for part in deeper]
        levels = [level for level, _ in sizes] + [1] * (len(deeper) < len(inner))
        known[number] = 1 + max(levels, default=0), 1 + len(inner) + sum(count - 1 for _, count in sizes)
        if known[number][1] > MAX_PARTS:
            raise InputError(f"query: the formula has more than {MAX_PARTS} parts")
    return known[id(formula)]


def names_values(formula: Formula) -> bool:
    """Whether it names elements of the tensor "value"."""
    return any(ref.tensor == VALUE for atom in atoms(formula) for _, ref in atom.terms)


def is_true(formula: Formula, inputs: Values, outputs: Values, values: Values = (), limits: Limits = NO_LIMITS) -> bool:
    """Evaluate on exact numbers: inputs[k][i] and outputs[k][i] of network k, and all its values where the formula names some."""
    limits.check()
    if isinstance(formula, AtMost):
        tensors = {INPUT: inputs, OUTPUT: outputs, VALUE: values}
        return sum(c * int(tensors[ref.tensor][ref.network][ref.element]) for c, ref in formula.terms) <= formula.bound
    if isinstance(formula, Not):
        return not is_true(formula.part, inputs, outputs, values, limits)
    results = (is_true(part, inputs, outputs, values, limits) for part in formula.parts)
    return all(results) if isinstance(formula, And) else any(results)
