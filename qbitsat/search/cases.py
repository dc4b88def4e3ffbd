"""A formula taken apart as the search goes: conjunctions of inequalities, and the `Or`s that still wait."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..bounds import collect
from ..bounds.ascent import Inequality
from ..bounds.frame import Frame
from ..bounds.ranges import Ranges
from ..properties import And, AtMost, Formula, Or
from ..properties.formula import atoms


class Case(NamedTuple):
    """All of these inequalities (numbers into `Cases.inequalities`) and all of these `Or`s."""

    atoms: tuple[int, ...]
    waiting: tuple[Or, ...]


class Cases:
    """The inequalities of a formula without `Not`, and the cases met so far; case 0 is the formula itself."""

    def __init__(self, frame: Frame, formula: Formula):
        self.formulas = list(dict.fromkeys(atoms(formula)))
        self.numbers = {atom: k for k, atom in enumerate(self.formulas)}
        self.inequalities: list[Inequality] = []
        for atom in self.formulas:
            terms = collect(atom)
            values = np.array([frame.value(ref) for ref in terms], np.int64)
            self.inequalities.append((values, np.array(list(terms.values()), np.int64), atom.bound))
        self.most = max(1, _longest(formula))
        # A cut through outputs that do not grow with their accumulators would say nothing of these.
        self.cuttable = np.ones(frame.num_values, bool)
        for block in frame.blocks:
            self.cuttable[block.target] = len(block.steps) > 0
        self.table: list[Case] = []
        self.known: dict[tuple, int] = {}
        self.number(self._joined(Case((), ()), formula))

    def parts(self, case: int) -> list[int]:
        """The cases that the first waiting `Or` of a case splits it into."""
        atoms_, waiting = self.table[case]
        rest = Case(atoms_, waiting[1:])
        return [self.number(self._joined(rest, part)) for part in waiting[0].parts]

    def _joined(self, case: Case, formula: Formula) -> Case:
        if isinstance(formula, AtMost):
            return Case((*case.atoms, self.numbers[formula]), case.waiting)
        if isinstance(formula, Or):
            return Case(case.atoms, (*case.waiting, formula))
        assert isinstance(formula, And)
        for part in formula.parts:
            case = self._joined(case, part)
        return case

    def number(self, case: Case) -> int:
        """Where the case is in the table, from now on."""
        key = (case.atoms, tuple(map(id, case.waiting)))
        if key not in self.known:
            self.known[key] = len(self.table)
            self.table.append(case)
        return self.known[key]

    def reach(self, atom: int, ranges: Ranges, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The smallest and largest sum of an inequality over the ranges of some nodes, less its bound: int64[len(rows)] each."""
        values, coefficients, bound = self.inequalities[atom]
        ends = coefficients * ranges.lo[np.ix_(rows, values)], coefficients * ranges.hi[np.ix_(rows, values)]
        return np.minimum(*ends).sum(axis=1) - bound, np.maximum(*ends).sum(axis=1) - bound

    def narrow(self, atom: int, ranges: Ranges, rows: np.ndarray) -> None:
        """Cut the ranges of an inequality's values, in some nodes, to what the ranges of its others leave them."""
        values, coefficients, bound = self.inequalities[atom]
        at = np.ix_(rows, values)
        lo, hi = ranges.lo[at], ranges.hi[at]
        smallest = np.minimum(coefficients * lo, coefficients * hi)
        # coefficient * value <= room
        room = bound - smallest.sum(axis=1, keepdims=True) + smallest
        kept = self.cuttable[values]
        ranges.hi[at] = np.where((coefficients > 0) & kept, np.minimum(hi, room // coefficients), hi)
        ranges.lo[at] = np.where((coefficients < 0) & kept, np.maximum(lo, -(room // -coefficients)), lo)


def _longest(formula: Formula) -> int:
    """The largest number of inequalities that hold together in any case."""
    if isinstance(formula, AtMost):
        return 1
    lengths = [_longest(part) for part in formula.parts]  # type: ignore[union-attr]
    return sum(lengths) if isinstance(formula, And) else max(lengths, default=0)
