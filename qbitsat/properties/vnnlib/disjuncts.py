"""Assertions as formulas over the integers of a query.

What is said of a float that becomes an integer may be true for some floats of an integer and not for others. Such a part holds for an
integer if there is a float for it, and for several such parts of one float it must be the same one: so disjunctions about them are taken
apart into disjuncts, each with one interval for each such float.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from ...errors import UnsupportedError
from ...limits import Limits
from ..formula import FALSE, INPUT, TRUE, And, AtMost, Formula, Or, Ref, at_least
from .meaning import Term, compared
from .records import Assertion, Comparison
from .regions import Input

if TYPE_CHECKING:
    from .question import Question

MAX_DISJUNCTS = 1 << 12


@dataclass(frozen=True)
class Half:
    """An input is from one end to another, which is true for a part only of what becomes some integer."""

    root: int
    first: int
    last: int


@dataclass(frozen=True)
class Branch:
    """A connective with a Half somewhere in it."""

    is_and: bool
    parts: tuple[Tree, ...]


Tree = Formula | Half | Branch


@dataclass(frozen=True)
class Disjunct:
    """One of several disjuncts of a file: the formula, and the ends of inputs that are narrower than their own."""

    formula: Formula
    ends: dict[int, tuple[int, int]]

    @staticmethod
    def formula_of(disjuncts: Sequence[Disjunct]) -> Formula:
        return disjuncts[0].formula if len(disjuncts) == 1 else Or(tuple(disjunct.formula for disjunct in disjuncts))


def disjuncts(question: Question, assertions: Sequence[Assertion], limits: Limits) -> list[Disjunct]:
    """The disjuncts of assertions that hold together, with what is known of the inputs; none where none of them can be."""
    translator = Translator(question, limits)
    trees = [translator.tree(part) for part in assertions]
    gaps = [
        apart(Ref(0, INPUT, question.places[root]), q)
        for root, one in question.inputs.found.items()
        if one.cells is not None
        for q in one.cells.unreached(one.integer(one.first), one.integer(one.last))
    ]
    found = []
    for disjunct in translator.open([*trees, *gaps]):
        limits.check()
        found.append(disjunct)
        if len(found) > MAX_DISJUNCTS:
            raise UnsupportedError(
                f"{question.bound.spec.source.path}: more than {MAX_DISJUNCTS} disjuncts of what is said about floats, expected fewer"
            )
    return found


def apart(ref: Ref, q: int) -> Formula:
    """The element is another integer."""
    return Or((AtMost(((1, ref),), q - 1), at_least(((1, ref),), q + 1)))


class Translator:
    def __init__(self, question: Question, limits: Limits):
        self.question, self.limits, self.source = question, limits, question.bound.spec.source

    # --- trees ---

    def tree(self, assertion: Assertion) -> Tree:
        self.limits.check()
        if isinstance(assertion, Comparison):
            return self.comparison(assertion)
        return connected(assertion.is_and, tuple(self.tree(part) for part in assertion.parts))

    def comparison(self, x: Comparison) -> Tree:
        inputs = [self.question.inputs.of(element) for element, _ in x.terms]
        floats = [found for found in inputs if found is not None and found[1].cells is not None]
        if not floats:
            terms: list[Term] = []
            for element, c in x.terms:
                ref, meaning = self.question.reference(element)
                terms.append((c, ref, meaning))
            return self.placed(x, terms)
        merged: dict[int, Fraction] = {}
        for found, (_, c) in zip(inputs, x.terms, strict=True):
            key = -1 if found is None else found[0]
            merged[key] = merged.get(key, Fraction(0)) + c
        (root, coefficient), *more = merged.items()
        if more or root < 0:
            self.source.refuse(x.at, "a sum with floats from outside that are quantized, expected each of them alone", UnsupportedError)
        return self.of_float(root, floats[0][1], coefficient, x)

    def placed(self, x: Comparison, terms: list[Term]) -> Formula:
        try:
            return compared(terms, x.constant, x.op)
        except UnsupportedError as error:
            self.source.refuse(x.at, str(error), UnsupportedError)

    def of_float(self, root: int, one: Input, coefficient: Fraction, x: Comparison) -> Tree:
        """A comparison of one float from outside."""
        if not coefficient:
            return self.placed(x, [])
        if x.op == "!=":
            sides = (Comparison((), sign * x.constant, "<", x.at) for sign in (1, -1))
            return connected(False, tuple(self.of_float(root, one, s * coefficient, y) for s, y in zip((1, -1), sides, strict=True)))
        first, last = one.ends_of(coefficient, x.constant, x.op)
        first, last = max(first, one.first), min(last, one.last)
        if first > last:
            return FALSE
        return connected(True, (self.from_end(root, one, first), self.to_end(root, one, last)))

    def from_end(self, root: int, one: Input, first: int) -> Tree:
        """The input is at least there."""
        if first == one.first:
            return TRUE
        q = one.integer(first)
        if one.integer(first - 1) == q:
            return Half(root, first, one.last)
        return at_least(((1, Ref(0, INPUT, self.question.places[root])),), q)

    def to_end(self, root: int, one: Input, last: int) -> Tree:
        """The input is at most there."""
        if last == one.last:
            return TRUE
        q = one.integer(last)
        if one.integer(last + 1) == q:
            return Half(root, one.first, last)
        return AtMost(((1, Ref(0, INPUT, self.question.places[root])),), q)

    # --- disjuncts ---

    def open(self, trees: Sequence[Tree]) -> Iterator[Disjunct]:
        """Those that make all trees true."""
        stack: list[tuple[list[Tree], dict[int, tuple[int, int]], list[Formula]]] = [(list(trees), {}, [])]
        while stack:
            self.limits.check()
            pending, ends, kept = stack.pop()
            possible = True
            while pending and possible:
                tree = pending.pop()
                if isinstance(tree, Half):
                    one = self.question.inputs.found[tree.root]
                    lo, hi = ends.get(tree.root, (one.first, one.last))
                    ends[tree.root] = max(lo, tree.first), min(hi, tree.last)
                    possible = ends[tree.root][0] <= ends[tree.root][1]
                elif not isinstance(tree, Branch):
                    kept.append(tree)
                elif tree.is_and:
                    pending.extend(tree.parts)
                else:
                    stack.extend(([*pending, part], dict(ends), list(kept)) for part in tree.parts)
                    possible = False
            if possible:
                yield self.disjunct(ends, kept)

    def disjunct(self, ends: dict[int, tuple[int, int]], kept: Sequence[Formula]) -> Disjunct:
        parts = list(kept)
        for root, (first, last) in ends.items():
            one, ref = self.question.inputs.found[root], Ref(0, INPUT, self.question.places[root])
            parts += [at_least(((1, ref),), one.integer(first)), AtMost(((1, ref),), one.integer(last))]
        return Disjunct(parts[0] if len(parts) == 1 else And(tuple(parts)), ends)


def connected(is_and: bool, parts: tuple[Tree, ...]) -> Tree:
    """and or or, of what has no Half in it as a formula."""
    if any(isinstance(part, Half | Branch) for part in parts):
        return Branch(is_and, parts)
    formulas = tuple(part for part in parts if not isinstance(part, Half | Branch))
    return And(formulas) if is_and else Or(formulas)
