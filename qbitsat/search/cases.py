"""A formula taken apart as the search goes: conjunctions of inequalities, and the `Or`s that still wait."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .. import _ranges
from ..bounds import collect
from ..bounds.frame import Frame, Inequality
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
        self.frame, self.kernel = frame, frame.inequalities(self.inequalities)
        self.most = max(1, _longest(formula))
        self.padded = np.empty((0, self.most), np.int32)
        # A cut through outputs that do not grow with their accumulators would say nothing of these.
        self.cuttable = np.ones(frame.num_values, np.uint8)
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

    def atoms_of(self, case: np.ndarray) -> np.ndarray:
        """The inequalities of cases, then -1s: int32[len(case), most]."""
        if len(self.padded) < len(self.table):
            self.padded = np.array([(*c.atoms, *[-1] * (self.most - len(c.atoms))) for c in self.table], np.int32)
        return self.padded[case]

    def narrow(self, case: np.ndarray, ranges: Ranges) -> np.ndarray:
        """Cut the ranges of nodes by each inequality of their cases in turn; bool[nodes]: whether all are within reach."""
        return _ranges.narrow(self.frame.kernel, *ranges.arrays, self.kernel, self.atoms_of(case), self.cuttable).astype(bool)

    def undecided(self, case: np.ndarray, ranges: Ranges) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The inequalities that ranges leave open, where in the case they stand (int32[nodes, most] each, then -1s), and how many."""
        return _ranges.undecided(self.frame.kernel, *ranges.arrays, self.kernel, self.atoms_of(case))

    def name_inputs(self, case: np.ndarray) -> bool:
        """Whether some inequality of some of the cases does."""
        named = np.unique(self.atoms_of(case)).tolist()
        return any(bool((self.inequalities[atom][0] < self.frame.num_inputs).any()) for atom in named if atom >= 0)


def _longest(formula: Formula) -> int:
    """The largest number of inequalities that hold together in any case."""
    if isinstance(formula, AtMost):
        return 1
    lengths = [_longest(part) for part in formula.parts]  # type: ignore[union-attr]
    return sum(lengths) if isinstance(formula, And) else max(lengths, default=0)
