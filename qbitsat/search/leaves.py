"""Leaves that go to SAT: the query inside one node's ranges, bit by bit."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from ..bounds import propagate
from ..bounds.intervals import node_bounds
from ..bounds.layout import Layout
from ..bounds.ranges import Ranges
from ..bounds.reduction import Reduction
from ..encode import Cnf, encode_query
from ..limits import Limits
from ..options import LAYOUTS, Options
from ..properties import And, AtMost
from ..properties.replay import Inputs
from ..solvers import sat
from .proof import Infeasible, Refutation


class Leaf(NamedTuple):
    """The inequalities that must hold inside the ranges of one node, of a reduction's smaller query."""

    reduction: Reduction
    layout: Layout
    root: Ranges
    ranges: Ranges
    row: int
    atoms: list[AtMost]

    def encode(self, options: Options, limits: Limits) -> Cnf:
        """The CNF that is satisfiable iff some inputs inside the ranges make all inequalities true."""
        bounds, enforced = node_bounds(self.layout, self.root, self.ranges, self.row)
        return encode_query(self.reduction.query, bounds, options, And(tuple(self.atoms)), limits, enforced)

    def whole(self, limits: Limits) -> Leaf | None:
        """The same leaf of the whole query, whose clauses a certificate means; None if its ranges leave nothing."""
        reduction = self.reduction
        root, ranges = (reduction.spread(part, row, limits) for part, row in ((self.root, 0), (self.ranges, self.row)))
        if root is None or ranges is None:
            return None
        atoms, whole = [reduction.widened(atom) for atom in self.atoms], reduction.whole or reduction
        return Leaf(whole, whole.bounds.layout.under(limits), root, ranges, 0, atoms)

    def solve(self, options: Options, limits: Limits) -> tuple[sat.SatResult, Inputs | None, Refutation | Infeasible | None]:
        """The solver's answer, the inputs if it found some, and the proof if there are none and certificates are asked for."""
        leaf = self.whole(limits) if options.certificates else self
        if leaf is None:
            return sat.SatResult(False), None, Infeasible()
        cnf = leaf.encode(options, limits)
        result = sat.solve(cnf.clauses, cnf.num_vars, options.solver, limits, options.conflicts, proof=options.certificates)
        inputs = cnf.decode(result.assignment) if result.assignment is not None else None
        if inputs is not None and leaf is not self:
            inputs = self.reduction.restrict(inputs)
        return result, inputs, None if result.lrat is None else Refutation(cnf.sha256, result.lrat)

    def solve_without_ranges(self, options: Options, limits: Limits) -> tuple[sat.SatResult, Inputs | None]:
        """The same for the inequalities over all of the query's boxes: more inputs than the node has."""
        query = self.reduction.query
        cnf = encode_query(query, propagate(query, limits), replace(options, encoding=LAYOUTS[0]), And(tuple(self.atoms)), limits)
        result = sat.solve(cnf.clauses, cnf.num_vars, options.solver, limits, options.conflicts)
        return result, None if result.assignment is None else cnf.decode(result.assignment)
