"""Leaves that go to SAT: the query inside one node's ranges, bit by bit."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..bounds import Bounds, LayerBounds, NetworkBounds
from ..bounds.frame import Frame
from ..bounds.intervals import propagate_layer
from ..bounds.ranges import Ranges
from ..encode import Cnf, encode_query
from ..limits import Limits
from ..properties import And, AtMost, Box, Query
from ..solvers import sat
from .proof import Sat

Inputs = tuple[tuple[int, ...], ...]


class Leaf(NamedTuple):
    """The inequalities that must hold inside the ranges of one node."""

    query: Query
    frame: Frame
    root: Ranges
    ranges: Ranges
    row: int
    atoms: list[AtMost]

    def encode(self, options: Any, limits: Limits) -> Cnf:
        """The CNF that is satisfiable iff some inputs inside the ranges make all inequalities true."""
        bounds, within = node_bounds(self.query, self.frame, self.root, self.ranges, self.row)
        return encode_query(self.query, bounds, options, And(tuple(self.atoms)), limits.check, within)

    def solve(self, options: Any, limits: Limits) -> tuple[sat.SatResult, Inputs | None, Sat | None]:
        """The solver's answer, the inputs if it found some, and the proof if there are none and certificates are asked for."""
        cnf = self.encode(options, limits)
        result = sat.solve(cnf.clauses, cnf.num_vars, options.solver, limits, options.conflicts, proof=options.certificates)
        inputs = cnf.decode(result.assignment) if result.assignment is not None else None
        return result, inputs, None if result.drat is None else Sat(cnf.sha256, result.drat)


def node_bounds(query: Query, frame: Frame, root: Ranges, ranges: Ranges, row: int) -> tuple[Bounds, list[list[LayerBounds | None]]]:
    """Bounds whose accumulators are those that the narrowed values give, and, where splits say more, what they must stay within.

    `within` has an entry for each network and layer, None where splits add nothing.
    """
    networks, within = [], []
    for k in range(len(query.networks)):
        box = Box(ranges.lo[row, frame.inputs[k]], ranges.hi[row, frame.inputs[k]])
        lo, hi, layers, cuts = box.lo, box.hi, [], []
        for block in (b for b in frame.blocks if b.network == k):
            free = propagate_layer(block.layer, lo, hi)
            lo, hi = (np.ascontiguousarray(a[row, block.target]) for a in (ranges.lo, ranges.hi))
            layers.append(LayerBounds(free.acc_lo, free.acc_hi, lo, hi))
            acc_lo, acc_hi = (a[row, block.neurons] for a in (ranges.acc_lo, ranges.acc_hi))
            # What the facts about the root say holds anyway.
            least = np.where(acc_lo > np.maximum(free.acc_lo, root.acc_lo[0, block.neurons]), acc_lo, free.acc_lo)
            most = np.where(acc_hi < np.minimum(free.acc_hi, root.acc_hi[0, block.neurons]), acc_hi, free.acc_hi)
            narrower = bool(((least > free.acc_lo) | (most < free.acc_hi)).any())
            cuts.append(LayerBounds(least, most, lo, hi) if narrower else None)
        networks.append(NetworkBounds(box, tuple(layers)))
        within.append(cuts)
    return Bounds(tuple(networks)), within
