"""What an integer of a query stands for, and comparisons of such numbers as inequalities of the integers, exactly."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from ...errors import UnsupportedError
from ...importers.onnx_file.borders import Border
from ..formula import FALSE, TRUE, And, AtMost, Formula, Or, Ref, at_least
from .numbers import INTEGERS


@dataclass(frozen=True)
class Meaning:
    """The integer q in [lo, hi] stands for unit * (q - zero_point), or, with floats, for floats[q - lo], float32, never falling."""

    lo: int
    hi: int
    unit: Fraction = Fraction(1)
    zero_point: int = 0
    floats: tuple[float, ...] | None = None

    def value(self, q: int) -> Fraction:
        return self.unit * (q - self.zero_point) if self.floats is None else Fraction(self.floats[q - self.lo])

    @property
    def error(self) -> Fraction:
        """How far a float is from unit * (q - zero_point), at most."""
        if self.floats is None:
            return Fraction(0)
        return max(abs(self.value(q) - self.unit * (q - self.zero_point)) for q in range(self.lo, self.hi + 1))


def meaning_of(border: Border) -> Meaning:
    """That of the integers of a border: themselves, exact multiples of the scale, or floats."""
    form = border.form
    if border.dtype in INTEGERS:
        return Meaning(form.lo, form.hi)
    unit = Fraction(form.scale)
    values = None if border.floats is None else tuple(border.floats.tolist())
    exact = values is None or all(Fraction(v) == unit * (form.lo + i - form.zero_point) for i, v in enumerate(values))
    return Meaning(form.lo, form.hi, unit, form.zero_point, None if exact else values)


Term = tuple[Fraction, Ref, Meaning]
# Sums near a tie that are looked at one by one; coefficients beyond which inequalities leave the exact range; levels of a staircase.
MOST_TIES, WIDEST, MOST_LEVELS = 16, 1 << 40, 1 << 12


def compared(terms: Sequence[Term], constant: Fraction, op: str) -> Formula:
    """sum of coefficient * number + constant, compared with 0 as `op` says, as a formula over integers."""
    if op in ("==", "!="):
        flipped = [(-c, ref, meaning) for c, ref, meaning in terms]
        strict = op == "!="
        sides = (compared(terms, constant, "<" if strict else "<="), compared(flipped, -constant, "<" if strict else "<="))
        return Or(sides) if strict else And(sides)
    strict = op == "<"
    if not terms:
        return TRUE if constant < 0 or (constant == 0 and not strict) else FALSE
    if len(terms) == 1:
        return single(terms[0], -constant, strict)
    return several(terms, constant, strict)


def single(term: Term, bound: Fraction, strict: bool) -> Formula:
    """coefficient * number <= bound, or <."""
    c, ref, meaning = term
    edge, below = bound / c, c > 0
    if meaning.floats is None:
        # number <= edge or number >= edge: q - zero_point within edge / unit.
        steps = edge / meaning.unit
        if below:
            return AtMost(((1, ref),), (math.ceil(steps) - 1 if strict else math.floor(steps)) + meaning.zero_point)
        return at_least(((1, ref),), (math.floor(steps) + 1 if strict else math.ceil(steps)) + meaning.zero_point)

    def fits(q: int) -> bool:
        v = meaning.value(q)
        return (v < edge if strict else v <= edge) if below else (v > edge if strict else v >= edge)

    count = sum(map(fits, range(meaning.lo, meaning.hi + 1)))
    if below:
        return AtMost(((1, ref),), meaning.lo + count - 1)
    return at_least(((1, ref),), meaning.hi - count + 1)


def several(terms: Sequence[Term], constant: Fraction, strict: bool) -> Formula:
    """Several numbers: coefficients of the integers are whole, with no common divisor.

    Where floats are rounded, their sum is at most `slack` from that of exact multiples; integers for which that matters are looked at.
    """
    factors = [c * meaning.unit for c, _, meaning in terms]
    rest = constant - sum((f * m.zero_point for f, (_, _, m) in zip(factors, terms, strict=True)), Fraction(0))
    common = math.lcm(*(f.denominator for f in factors))
    scale = Fraction(common, math.gcd(*(int(f * common) for f in factors)))
    whole, bound = [int(f * scale) for f in factors], -rest * scale
    slack = scale * sum((abs(c) * meaning.error for c, _, meaning in terms), Fraction(0))
    # n = sum of whole * q: true up to sure, false above never.
    sure = math.ceil(bound - slack) - 1 if strict or slack else math.floor(bound)
    never = math.floor(bound + slack)
    last = sure
    for n in range(sure + 1, min(never, sure + MOST_TIES + 1) + 1) if slack else ():
        held = decided(terms, whole, n, constant, strict)
        if held is None or (held and last != n - 1) or n > sure + MOST_TIES:
            return staircase(terms, constant, strict)
        last = n if held else last
    if max(map(abs, whole)) >= WIDEST:
        return staircase(terms, constant, strict)
    return AtMost(tuple(zip(whole, (ref for _, ref, _ in terms), strict=True)), last)


def staircase(terms: Sequence[Term], constant: Fraction, strict: bool) -> Formula:
    """Two numbers: for each step of the first, how far the second may go."""
    if len(terms) != 2 or terms[0][2].hi - terms[0][2].lo >= MOST_LEVELS:
        raise UnsupportedError(
            "a sum of more than two floats that are rounded and near to a tie, or of scales that differ too much; expected a comparison of"
            " two numbers, or scales that are powers of two"
        )
    (c, ref, first), second = terms
    parts: list[Formula] = []
    before: Formula | None = None
    for p in range(first.lo, first.hi + 1) if c > 0 else range(first.hi, first.lo - 1, -1):
        allowed = single(second, -constant - c * first.value(p), strict)
        if allowed != before:
            short = AtMost(((1, ref),), p - 1) if c > 0 else at_least(((1, ref),), p + 1)
            parts.append(Or((short, allowed)))
        before = allowed
    return And(tuple(parts))


def decided(terms: Sequence[Term], whole: Sequence[int], n: int, constant: Fraction, strict: bool) -> bool | None:
    """Whether the comparison is true wherever the sum of whole * q is n (True), nowhere (False), or neither; of two numbers."""
    if len(terms) != 2 or terms[0][2].hi - terms[0][2].lo >= MOST_LEVELS:
        return None
    (c, _, first), (d, _, second) = terms
    answers = set()
    for p in range(first.lo, first.hi + 1):
        q, left = divmod(n - whole[0] * p, whole[1])
        if not left and second.lo <= q <= second.hi:
            total = c * first.value(p) + d * second.value(q) + constant
            answers.add(total < 0 if strict else total <= 0)
    return None if len(answers) > 1 else answers.pop() if answers else True
