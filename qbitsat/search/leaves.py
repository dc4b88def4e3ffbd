"""Leaves that go to SAT: the query inside one node's ranges, bit by bit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

from ..bounds import propagate
from ..bounds.intervals import node_bounds
from ..bounds.layout import Layout
from ..bounds.ranges import Ranges
from ..encode import Cnf, encode_query
from ..limits import Limits
from ..options import LAYOUTS
from ..properties import And, AtMost, Query
from ..properties.replay import Inputs
from ..solvers import sat
from .proof import Refutation


class Leaf(NamedTuple):
    """The inequalities that must hold inside the ranges of one node."""

    query: Query
    layout: Layout
    root: Ranges
    ranges: Ranges
    row: int
    atoms: list[AtMost]

    def encode(self, options: Any, limits: Limits) -> Cnf:
        """The CNF that is satisfiable iff some inputs inside the ranges make all inequalities true."""
        bounds, enforced = node_bounds(self.layout, self.root, self.ranges, self.row)
        return encode_query(self.query, bounds, options, And(tuple(self.atoms)), limits, enforced)

    def solve(self, options: Any, limits: Limits) -> tuple[sat.SatResult, Inputs | None, Refutation | None]:
        """The solver's answer, the inputs if it found some, and the proof if there are none and certificates are asked for."""
        cnf = self.encode(options, limits)
        result = sat.solve(cnf.clauses, cnf.num_vars, options.solver, limits, options.conflicts, proof=options.certificates)
        inputs = cnf.decode(result.assignment) if result.assignment is not None else None
        return result, inputs, None if result.lrat is None else Refutation(cnf.sha256, result.lrat)

    def solve_without_ranges(self, options: Any, limits: Limits) -> tuple[sat.SatResult, Inputs | None]:
        """The same for the inequalities over all of the query's boxes: more inputs than the node has."""
        cnf = encode_query(self.query, propagate(self.query, limits), replace(options, encoding=LAYOUTS[0]), And(tuple(self.atoms)), limits)
        result = sat.solve(cnf.clauses, cnf.num_vars, options.solver, limits, options.conflicts)
        return result, None if result.assignment is None else cnf.decode(result.assignment)
