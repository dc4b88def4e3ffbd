"""Multipliers from linear programs, for nodes that the ascent leaves open.

An ascent costs a fiftieth of a linear program and closes most of what one would. But where it stops short, all below stays open too: its
search goes dozens of levels deeper than linear programs let it. So a node whose ancestors have seen none for some splits gets one; how many
splits depends on how often that closes a node. Whether a node is closed, integers decide.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from ..bounds.frame import Frame
from ..limits import Limits
from .cases import Cases
from .nodes import Nodes
from .relaxation import MAX_WEIGHTS, PATIENCE, Duals, Relaxation

# Nodes of the search before the first program, and the share of all time that programs may take.
AFTER, SHARE = 1000, 0.8
# Splits between a node with a program and the next below it: to begin with, at least, at most.
SPLITS, FEWEST, MOST = 4, 1, 30


class Programs:
    """Those of one search. `seconds` is the time that they took so far, `splits` how many there are now between two."""

    def __init__(self, frame: Frame, cases: Cases, unit: np.ndarray, is_output: np.ndarray, options: Any, limits: Limits):
        """unit float64[num_neurons]: one output step's share of an accumulator; is_output bool[num_neurons]."""
        self.frame, self.cases, self.unit, self.is_output, self.limits = frame, cases, unit, is_output, limits
        self.able = options.programs and sum(block.layer.affine.matrix.size for block in frame.blocks) <= MAX_WEIGHTS
        self.splits, self.seconds = SPLITS, 0.0
        self.relaxation: Relaxation | None = None

    def due(self, nodes: Nodes, worked: int) -> list[int]:
        """The nodes that should get one, if the search has worked on so many nodes."""
        if not self.able or worked < AFTER:
            return []
        return [row for row in np.flatnonzero(nodes.age >= self.splits).tolist() if not self.cases.table[nodes.case[row]].waiting]

    def solve(self, nodes: Nodes, row: int) -> Duals | None:
        """The multipliers of one node's program, or None."""
        if self.seconds > SHARE * self.limits.seconds():
            return None
        nodes.age[row] = 0
        open_atoms = [atom for atom in nodes.atoms[row].tolist() if atom >= 0]
        goal = None if open_atoms else self._goal(nodes, row)
        if not (open_atoms or goal) or not self.able:
            return None
        self.limits.check()
        if self.relaxation is None:
            self.relaxation = Relaxation(self.frame, self.cases.inequalities, self.unit)
        started = time.monotonic()
        left = min(PATIENCE, self.limits.timeout - self.limits.seconds())
        duals = self.relaxation.duals(nodes.ranges.take(np.array([row])), open_atoms, goal, left)
        taken = time.monotonic() - started
        self.seconds += taken
        self.able = taken < PATIENCE
        return duals

    def _goal(self, nodes: Nodes, row: int) -> tuple[int, float] | None:
        """For a node whose ranges imply its inequalities: the output neuron that its multipliers set most on, and the sign of that one."""
        multipliers = nodes.multipliers[row]
        neuron = int(nodes.held[row])
        if neuron < 0:
            neuron = int(np.where(self.is_output, np.abs(multipliers), 0).argmax())
        sign = float(np.sign(multipliers[neuron]))
        return (neuron, sign) if sign in (-1.0, 1.0) else None

    def learn(self, closed: bool) -> None:
        """More programs where they close nodes, fewer where not."""
        self.splits = max(FEWEST, self.splits - 1) if closed else min(MOST, self.splits + 1)

    def worth_keeping(self, duals: Duals) -> bool:
        """Whether the children of a node that stays open should start from them: they must set something on an output."""
        sizes = np.abs(duals.multipliers)
        return not duals.empty and bool(sizes[self.is_output].max() > 1e-6 * sizes.max())
