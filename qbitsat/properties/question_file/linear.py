"""What expressions of a question file are: sums of elements, arrays of them, and words that a comparison gives a meaning."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb
from typing import Any

import numpy as np

from ...errors import InputError, UnsupportedError
from ...network.layers import ACC_LIMIT
from ..formula import MAX_PARTS, And, AtMost, Formula, Not, Or, Ref

# Elements of one array that is computed with.
MAX_ITEMS = 1 << 20


class Linear:
    """sum of coefficient * element + constant, in Python ints, none of them beyond 2**60."""

    __slots__ = ("constant", "terms")

    def __init__(self, terms: dict[Ref, int] | None = None, constant: int = 0):
        self.terms, self.constant = terms or {}, constant

    def scaled(self, factor: int) -> Linear:
        return Linear({ref: _small(c * factor) for ref, c in self.terms.items()} if factor else {}, _small(self.constant * factor))

    def add(self, other: Linear, sign: int = 1) -> None:
        """In place, so that a long sum takes no longer than its terms."""
        terms = self.terms
        for ref, c in other.terms.items():
            total = _small(terms.get(ref, 0) + sign * c)
            if total:
                terms[ref] = total
            else:
                terms.pop(ref, None)
        self.constant = _small(self.constant + sign * other.constant)

    def __add__(self, other: Linear) -> Linear:
        total = Linear(dict(self.terms), self.constant)
        total.add(other)
        return total

    def __sub__(self, other: Linear) -> Linear:
        total = Linear(dict(self.terms), self.constant)
        total.add(other, -1)
        return total

    def __neg__(self) -> Linear:
        return self.scaled(-1)

    def __mul__(self, other: Linear) -> Linear:
        if self.terms and other.terms:
            raise InputError("a product of two elements of tensors, expected one factor to be a number")
        return self.scaled(other.constant) if self.terms else other.scaled(self.constant)

    def at_most(self, bound: int = 0) -> Formula:
        """self <= bound."""
        if not self.terms:
            return And(()) if self.constant <= bound else Or(())
        return AtMost(tuple((c, ref) for ref, c in self.terms.items()), bound - self.constant)


def _small(number: int) -> int:
    if abs(number) > ACC_LIMIT:
        raise UnsupportedError(f"a number of {number.bit_length()} bits, expected at most 2**60 in magnitude")
    return number


@dataclass(frozen=True)
class Tensor:
    """Elements of something by their numbers: an array of any shape whose elements are made when they are needed."""

    numbers: np.ndarray
    make: Callable[[int], Linear]

    def values(self) -> np.ndarray:
        """An array of `Linear`, of the same shape."""
        return filled([self.make(i) for i in self.numbers.reshape(-1).tolist()], self.numbers.shape)


@dataclass(frozen=True)
class Magnitude:
    """abs(values): only comparisons give it a meaning."""

    values: np.ndarray


@dataclass(frozen=True)
class Extreme:
    """max(values), or min(values), which is -max(-values)."""

    values: np.ndarray
    sign: int


@dataclass(frozen=True)
class First:
    """argmax(values): the number of the first maximum."""

    values: list[Linear]


@dataclass(frozen=True)
class Rank:
    """rank(values, c): how many of the others `argmax` would rather choose than c."""

    values: list[Linear]
    c: int


@dataclass(frozen=True)
class Each:
    """A condition for each element of arrays that were compared: all are meant, but where `!=` says that the arrays are not the same."""

    parts: list[Formula]
    differ: bool = False


Value = np.ndarray | Tensor | Magnitude | Extreme | First | Rank | Each | And | Or | Not | AtMost
KINDS = {np.ndarray: "numbers", Tensor: "a tensor", Magnitude: "abs(...)", Extreme: "max or min", First: "argmax(...)", Rank: "rank(...)"}


def kind(value: Any) -> str:
    return KINDS.get(type(value), "a condition" if isinstance(value, Each | And | Or | Not | AtMost) else "a network")


def filled(items: Sequence[Linear], shape: tuple[int, ...]) -> np.ndarray:
    """An array of objects."""
    if len(items) > MAX_ITEMS:
        raise UnsupportedError(f"an array of {len(items)} elements, expected at most {MAX_ITEMS}")
    array = np.empty(len(items), object)
    array[:] = items
    return array.reshape(shape)


def array_of(value: Any) -> np.ndarray:
    """What numpy makes of an operation, which of arrays without axes is the bare element."""
    return value if isinstance(value, np.ndarray) else filled([value], ())


def number(value: int) -> np.ndarray:
    return filled([Linear(None, _small(value))], ())


def numbers(value: Value) -> np.ndarray:
    """Its elements, of what can be computed with."""
    if isinstance(value, Tensor):
        return value.values()
    if isinstance(value, np.ndarray):
        return value
    raise InputError(f"{kind(value)}, expected numbers or elements of a tensor")


def condition(value: Value) -> Formula:
    if isinstance(value, And | Or | Not | AtMost):
        return value
    if isinstance(value, Each):
        return some(value.parts) if value.differ else every(value.parts)
    raise InputError(f"{kind(value)}, expected a condition, as in output[0] <= 5")


def both(a: Value, b: Value) -> Value:
    """Two comparisons in a row, as in 3 <= t <= 5, element by element."""
    if isinstance(a, Each) and isinstance(b, Each) and len(a.parts) == len(b.parts) and not (a.differ or b.differ):
        return Each([And(pair) for pair in zip(a.parts, b.parts, strict=True)])
    return And((condition(a), condition(b)))


def items(value: Value) -> list[Linear]:
    return numbers(value).reshape(-1).tolist()


def constant(value: Value, what: str) -> int:
    """The number that it is."""
    array = numbers(value)
    if array.size != 1 or items(array)[0].terms:
        raise InputError(f"{what} is no number, expected one, as in 3")
    return items(array)[0].constant


def paired(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both of one shape, a single number standing for as many as are needed."""
    if a.shape == b.shape:
        return a, b
    if not a.shape or not b.shape:
        size = a.shape or b.shape
        return np.broadcast_to(a, size), np.broadcast_to(b, size)
    if a.size == b.size and 1 in (a.ndim, b.ndim):
        return a.reshape(-1), b.reshape(-1)
    raise InputError(f"arrays of shapes {list(a.shape)} and {list(b.shape)}, expected the same shape, or one number")


# --- comparisons ---

# With the sides exchanged.
FLIPPED = {"<=": ">=", ">=": "<=", "<": ">", ">": "<", "==": "==", "!=": "!="}


def every(parts: Sequence[Formula]) -> Formula:
    return parts[0] if len(parts) == 1 else And(tuple(parts))


def some(parts: Sequence[Formula]) -> Formula:
    return parts[0] if len(parts) == 1 else Or(tuple(parts))


def compared(left: Value, sign: str, right: Value) -> Value:
    """left sign right, element by element."""
    if isinstance(right, Magnitude | Extreme | First | Rank) and not isinstance(left, First):
        left, sign, right = right, FLIPPED[sign], left
    if isinstance(left, First):
        return _first(left, sign, right)
    if isinstance(left, Rank):
        return _rank(left, sign, constant(right, "what a rank is compared with"))
    if isinstance(left, Extreme):
        return _extreme(left, sign, right)
    one = _magnitude if isinstance(left, Magnitude) else _atom
    pairs = _pairs(left.values if isinstance(left, Magnitude) else numbers(left), numbers(right))
    return Each([one(a, sign, b) for a, b in pairs], sign == "!=")


def _pairs(a: np.ndarray, b: np.ndarray) -> list[tuple[Linear, Linear]]:
    a, b = paired(a, b)
    return list(zip(a.reshape(-1).tolist(), b.reshape(-1).tolist(), strict=True))


def _atom(a: Linear, sign: str, b: Linear) -> Formula:
    if sign in ("<=", "<"):
        return (a - b).at_most(0 if sign == "<=" else -1)
    if sign in (">=", ">"):
        return (b - a).at_most(0 if sign == ">=" else -1)
    same = And(((a - b).at_most(), (b - a).at_most()))
    return same if sign == "==" else Not(same)


def _magnitude(a: Linear, sign: str, b: Linear) -> Formula:
    """|a| <= b is a <= b and -a <= b; |a| == b is |a| <= b and not |a| <= b - 1."""
    within, less = (And(((a - b).at_most(bound), (-a - b).at_most(bound))) for bound in (0, -1))
    same = And((within, Not(less)))
    meanings: dict[str, Formula] = {"<=": within, "<": less, ">": Not(within), ">=": Not(less), "==": same, "!=": Not(same)}
    return meanings[sign]


def _extreme(left: Extreme, sign: str, right: Value) -> Formula:
    """max(a) <= b: all of them; max(a) >= b: some of them; min(a) is -max(-a)."""
    values, bound = left.values, numbers(right)
    if left.sign < 0:
        values, bound, sign = array_of(-values), array_of(-bound), FLIPPED[sign]
    if bound.size != 1:
        raise InputError(f"max or min compared with {bound.size} numbers, expected one")
    pairs = _pairs(values, bound.reshape(()))
    if sign in ("<=", "<"):
        return every([_atom(a, sign, b) for a, b in pairs])
    if sign in (">=", ">"):
        return some([_atom(a, sign, b) for a, b in pairs])
    same = And((every([_atom(a, "<=", b) for a, b in pairs]), some([_atom(a, ">=", b) for a, b in pairs])))
    return same if sign == "==" else Not(same)


def beats(values: list[Linear], j: int, c: int) -> Formula:
    """argmax would choose j rather than c: y_j > y_c, or y_j = y_c and j < c."""
    return (values[c] - values[j]).at_most(0 if j < c else -1)


def first_is(values: list[Linear], c: int) -> Formula:
    """argmax(values) == c: no other beats it."""
    return Not(some([beats(values, j, c) for j in range(len(values)) if j != c])) if len(values) > 1 else And(())


def _first(left: First, sign: str, right: Value) -> Formula:
    if sign not in ("==", "!="):
        raise InputError(f"argmax(...) {sign}, expected == or !=")
    if isinstance(right, First):
        if len(left.values) != len(right.values):
            raise InputError(f"argmax of {len(left.values)} and of {len(right.values)} values, expected as many")
        count = range(len(left.values))
        same = some([And((first_is(left.values, c), first_is(right.values, c))) for c in count])
        if sign == "==":
            return same
        # Which class it is that another one beats says more, and is as long.
        return some([And((first_is(left.values, c), Not(first_is(right.values, c)))) for c in count])
    c = constant(right, "what argmax(...) is compared with")
    if not 0 <= c < len(left.values):
        raise InputError(f"class {c}, expected one in [0, {len(left.values) - 1}]")
    return first_is(left.values, c) if sign == "==" else Not(first_is(left.values, c))


def _rank(rank: Rank, sign: str, bound: int) -> Formula:
    """How many others beat c, compared with a number."""
    others = [beats(rank.values, j, rank.c) for j in range(len(rank.values)) if j != rank.c]
    if sign in ("==", "!="):
        same = And((_at_least(others, bound), Not(_at_least(others, bound + 1))))
        return same if sign == "==" else Not(same)
    least = _at_least(others, bound + (sign in ("<=", ">")))
    return least if sign in (">=", ">") else Not(least)


def _at_least(parts: list[Formula], k: int) -> Formula:
    """At least k of them: some k are all true; or what is the same, of any n - k + 1 some is true. The shorter one."""
    n = len(parts)
    if k <= 0 or k > n:
        return And(()) if k <= 0 else Or(())
    if min(comb(n, k), comb(n, k - 1)) * max(k, n - k + 1) > MAX_PARTS:
        raise UnsupportedError(f"rank: {k} of {n} others, which is too long a formula")
    if comb(n, k) <= comb(n, k - 1):
        return some([every(chosen) for chosen in combinations(parts, k)])
    return every([some(chosen) for chosen in combinations(parts, n - k + 1)])
