"""A formula taken apart as the search goes: conjunctions of inequalities, and the `Or`s that still wait."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .._kernels.exact import ranges as _ranges
from ..bounds.layout import Inequalities, Layout
from ..bounds.ranges import Ranges
from ..limits import Limits
from ..properties import And, AtMost, Formula, Or
from ..properties.formula import atoms


class Branch(NamedTuple):
    """All of these inequalities (numbers into `Disjuncts.inequalities`) and all of these `Or`s."""

    atoms: tuple[int, ...]
    waiting: tuple[Or, ...]


class Disjuncts:
    """The inequalities of a formula without `Not`, and the branches met so far; branch 0 is the formula itself."""

    def __init__(self, layout: Layout, formula: Formula):
        limits = self.limits = layout.limits
        self.numbers: dict[AtMost, int] = {}
        for atom in atoms(formula):
            limits.check()
            self.numbers.setdefault(atom, len(self.numbers))
        self.formulas = list(self.numbers)
        self.inequalities = Inequalities.stated(layout, self.formulas)
        starts, values = self.inequalities.starts, self.inequalities.values
        self.layout, self.kernel = layout, self.inequalities.kernel(layout.num_values)
        self.most = max(1, _longest(formula, limits))
        # Terms of the inequalities of one node, at most.
        self.work = min(len(values), self.most * int(np.diff(starts).max(initial=0)))
        # A cut through outputs that do not grow with their accumulators would say nothing of these.
        self.cuttable = np.ones(layout.num_values, np.uint8)
        for block in layout.blocks:
            self.cuttable[block.target] = block.stepped
        # bool[num_neurons]: those whose outputs some inequality names.
        self.named = np.isin(np.arange(layout.num_inputs, layout.num_values), values)
        # The first output that some inequality names, or the last one of all.
        self.first_named = int(values[values >= layout.num_inputs].min(initial=layout.num_values - 1))
        self.names_inputs = np.zeros(len(self.formulas), bool)
        self.names_inputs[np.repeat(np.arange(len(self.formulas)), np.diff(starts))[values < layout.num_inputs]] = True
        # The branches, and the inequalities of each once more, int32.
        self.table: list[Branch] = []
        self.arrays: list[np.ndarray] = []
        self.known: dict[tuple, int] = {}
        self.number(self._joined(Branch((), ()), formula))

    def restate(self, number: int, formula: AtMost) -> None:
        """An inequality is this one from now on: the same sum, another bound."""
        self.formulas[number], self.inequalities.bounds[number] = formula, formula.bound
        self.kernel = self.inequalities.kernel(self.layout.num_values)

    def parts(self, branch: int) -> list[int]:
        """The branches that the first waiting `Or` of a branch splits it into."""
        atoms_, waiting = self.table[branch]
        rest = Branch(atoms_, waiting[1:])
        return [self.number(self._joined(rest, part)) for part in waiting[0].parts]

    def _joined(self, branch: Branch, formula: Formula) -> Branch:
        """The branch with all that a formula asks for."""
        atoms_, waiting, todo = list(branch.atoms), list(branch.waiting), [formula]
        while todo:
            self.limits.check()
            part = todo.pop()
            if isinstance(part, AtMost):
                atoms_.append(self.numbers[part])
            elif isinstance(part, Or):
                waiting.append(part)
            else:
                assert isinstance(part, And)
                todo += reversed(part.parts)
        return Branch(tuple(atoms_), tuple(waiting))

    def number(self, branch: Branch) -> int:
        """Where the branch is in the table, from now on."""
        key = (branch.atoms, tuple(map(id, branch.waiting)))
        if key not in self.known:
            self.known[key] = len(self.table)
            self.table.append(branch)
            self.arrays.append(np.array(branch.atoms, np.int32))
        return self.known[key]

    def atoms_of(self, branch: np.ndarray) -> np.ndarray:
        """The inequalities of branches, then -1s: int32[len(branch), most]."""
        mine = [self.arrays[number] for number in branch.tolist()]
        atoms_ = np.full((len(branch), self.most), -1, np.int32)
        if mine:
            atoms_[np.arange(self.most) < np.array([len(part) for part in mine])[:, None]] = np.concatenate(mine)
        return atoms_

    def narrow(self, branch: np.ndarray, ranges: Ranges) -> np.ndarray:
        """Cut the ranges of nodes by each inequality of their branches in turn; bool[nodes]: whether all are within reach."""
        possible = np.zeros(len(branch), bool)
        for rows in self.limits.slices(len(branch), self.work, 4 * self.most):
            cut = self.layout.kernel, *ranges.take(rows).arrays, self.kernel, self.atoms_of(branch[rows]), self.cuttable
            possible[rows] = _ranges.narrow(*cut)
        return possible

    def undecided(self, branch: np.ndarray, ranges: Ranges) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The inequalities that ranges leave open, where in the branch they stand (int32[nodes, most] each, then -1s), and how many."""
        self.limits.check()
        return _ranges.undecided(self.layout.kernel, *ranges.arrays, self.kernel, self.atoms_of(branch))

    def name_inputs(self, branch: np.ndarray) -> bool:
        """Whether some inequality of some of the branches does."""
        named = np.unique(self.atoms_of(branch))
        return bool(self.names_inputs[named[named >= 0]].any())


def _longest(formula: Formula, limits: Limits) -> int:
    """The largest number of inequalities that hold together in any branch."""
    limits.check()
    if isinstance(formula, AtMost):
        return 1
    lengths = [_longest(part, limits) for part in formula.parts]  # type: ignore[union-attr]
    return sum(lengths) if isinstance(formula, And) else max(lengths, default=0)
