"""The violation as the checker reads it: inequalities over values, joined by and and or; and what ranges decide of it."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import numpy as np

from ..properties import And, AtMost, Formula, Not
from .layout import Layout, Ranges


class Atom(NamedTuple):
    """sum of terms[value] * value <= bound; terms in order of first mention, none of them 0."""

    terms: dict[int, int]
    bound: int


class Joint(NamedTuple):
    """All parts hold, or some part holds."""

    every: bool
    parts: tuple[Plain, ...]


Plain: TypeAlias = "Atom | Joint"
Row: TypeAlias = tuple[np.ndarray, np.ndarray, int]
TRUE, FALSE = Joint(True, ()), Joint(False, ())


def plain(formula: Formula, layout: Layout, positive: bool = True) -> Plain:
    """The formula, or its negation, without `Not`: not (s <= b) is -s <= -b - 1."""
    if isinstance(formula, Not):
        return plain(formula.part, layout, not positive)
    if isinstance(formula, AtMost):
        layout.limits.check()
        sign, terms = 1 if positive else -1, dict[int, int]()
        for coefficient, ref in formula.terms:
            terms[layout.index(ref)] = terms.get(layout.index(ref), 0) + sign * coefficient
        return Atom({value: c for value, c in terms.items() if c}, formula.bound if positive else -formula.bound - 1)
    return Joint(isinstance(formula, And) == positive, tuple(plain(part, layout, positive) for part in formula.parts))


def simplified(formula: Plain, layout: Layout, ranges: Ranges) -> Plain:
    """The same over all points in the ranges, without the parts that the ranges decide."""
    if isinstance(formula, Atom):
        layout.limits.check()
        if -layout.smallest({value: -c for value, c in formula.terms.items()}, ranges) <= formula.bound:
            return TRUE
        if layout.smallest(formula.terms, ranges) > formula.bound or ranked_out(formula, layout, ranges):
            return FALSE
        return formula
    parts = [simplified(part, layout, ranges) for part in formula.parts]
    neutral, decisive = (TRUE, FALSE) if formula.every else (FALSE, TRUE)
    if decisive in parts:
        return decisive
    parts = [part for part in parts if part != neutral]
    return parts[0] if len(parts) == 1 else Joint(formula.every, tuple(parts))


def ranked_out(atom: Atom, layout: Layout, ranges: Ranges) -> bool:
    """Whether y_c - y_j <= bound is impossible because acc_j stays below acc_c, for outputs of one network with one requantizer.

    acc_j <= acc_c gives y_j <= y_c, so the atom fails if bound < 0. If acc_j + widest step <= acc_c then y_j < y_c, unless both
    saturate at the same end; then the atom fails if bound <= 0.
    """
    if sorted(atom.terms.values()) != [-1, 1] or atom.bound > 0:
        return False
    c, j = sorted(atom.terms, key=lambda value: -atom.terms[value])
    block, other = layout.block_of(c), layout.block_of(j)
    if block is None or other is None or block.network != other.network:
        return False
    ic, ij = c - block.target.start, j - other.target.start
    requantizer = block.layer.requantizer(ic)
    if requantizer != other.layer.requantizer(ij) or not requantizer.monotone:
        return False
    difference = largest_difference(other.row(ij), block.row(ic), ranges)
    if atom.bound < 0:
        return difference <= 0
    if not (ranges.lo[c] > requantizer.lo and ranges.hi[j] < requantizer.hi):
        return False
    return difference <= -block.widest_step(ic)


def largest_difference(j: Row, c: Row, ranges: Ranges) -> int:
    """The largest acc_j - acc_c; below 2**61, as both sums are below 2**60."""
    (values, weights, bias), (others, less, other_bias) = j, c
    read, places = np.unique(np.concatenate([values, others]), return_inverse=True)
    row = np.zeros(len(read), np.int64)
    np.add.at(row, places, np.concatenate([weights, -less]))
    return int((row * np.where(row > 0, ranges.hi[read], ranges.lo[read])).sum()) + bias - other_bias


def conjuncts(formula: Plain) -> tuple[list[Atom], list[Joint]]:
    """The inequalities and the disjunctions whose conjunction the formula is."""
    if isinstance(formula, Atom):
        return [formula], []
    if not formula.every:
        return [], [formula]
    atoms, ors = list[Atom](), list[Joint]()
    for part in formula.parts:
        more_atoms, more_ors = conjuncts(part)
        atoms.extend(more_atoms)
        ors.extend(more_ors)
    return atoms, ors
