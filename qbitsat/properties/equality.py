"""Do two quantizations of one network mean the same? The same class, or outputs that are real numbers at most so far apart.

An output q means scale * (q - zero_point). Both scales are floats, which are fractions: in a common denominator the question is one about
integers, exactly.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

from ..errors import ArgumentError
from ..limits import NO_LIMITS, Limits
from ..network import Network
from .agreement import agreement, compared
from .formula import OUTPUT, AtMost, Formula, Or, Ref, at_least
from .query import Query


def equality(
    a: Network,
    b: Network,
    x: Any = None,
    eps: Any = None,
    within: Any = None,
    *,
    region: str | None = None,
    limits: Limits = NO_LIMITS,
) -> Query:
    """Do both networks give every input within eps of x the same class? With `within`: outputs at most so far apart, in real units?

    within is an exact number of at least 0: an int, a Fraction, a float as it is, or text as in "0.1" or "1/3". Both networks take the same
    integers. x, eps, region and the query are as of `agreement`.
    """
    if within is None:
        return agreement(a, b, x, eps, region=region, limits=limits)
    both, box = compared(a, b, x, eps, region)
    return Query((both,), (box,), _further(a, b, real(within)), limits=limits)


def real(value: Any) -> Fraction:
    """A number of at least 0, exactly."""
    try:
        number = Fraction(value)
    except (TypeError, ValueError, ZeroDivisionError, OverflowError) as error:
        raise ArgumentError("within", f"{value!r}, expected a number such as 0.1 or 1/3") from error
    if number < 0:
        raise ArgumentError("within", f"{value!r}, expected a number of at least 0")
    return number


def meanings(network: Network) -> list[tuple[Fraction, int]]:
    """The scale and the zero point of each output."""
    return [(Fraction(form.scale), form.zero_point) for form in network.output_forms]


def _further(a: Network, b: Network, within: Fraction) -> Formula:
    """Some output of a lies further from that of b: with factor f for whole numbers p and q, |p (y - z) - q (y' - z')| > within * f."""
    parts: list[Formula] = []
    count = len(a.outputs)
    for j, ((first, zero), (second, other)) in enumerate(zip(meanings(a), meanings(b), strict=True)):
        # Makes whole numbers of both scales that share no divisor.
        factor = Fraction(math.lcm(first.denominator, second.denominator), math.gcd(first.numerator, second.numerator))
        p, q, most = int(first * factor), int(second * factor), math.floor(within * factor)
        difference, shift = ((p, Ref(0, OUTPUT, j)), (-q, Ref(0, OUTPUT, count + j))), p * zero - q * other
        parts += [at_least(difference, most + 1 + shift), AtMost(difference, shift - most - 1)]
    return Or(tuple(parts))
