"""What a search writes down of a query that holds, for a checker that shares nothing with it.

The tree is over ranges. Its root has the ranges of interval propagation from the boxes, narrowed by the facts in their order. A
child of a split has its parent's ranges with one value or accumulator cut, propagated forward once: accumulators from the values they
read, outputs from accumulators, accumulators from outputs. Beside its ranges a node has pending formulas: the violation without `Not`,
with every `And` taken apart; the inequalities among them are its atoms, in order, the `Or`s wait. In every node, each atom in turn cuts the
ranges of its values to what the others' ranges leave them, all values of one atom at once, outputs of layers without steps excepted;
then ranges are propagated forward once more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from ..bounds.dual import Sparse
from ..bounds.reduction import Places
from ..bounds.tighten import ProvedBound


class Split(NamedTuple):
    """value < at in the node `below`, value >= at in the node `above`; of value -1 - i the accumulator of neuron i."""

    value: int
    at: int
    below: int
    above: int


class Disjunction(NamedTuple):
    """The first pending `Or`: one node for each of its parts, whose formulas come after the node's other pending ones."""

    parts: tuple[int, ...]


class Multipliers(NamedTuple):
    """Closed: shares >= 0 of the atoms and multipliers of the accumulators give a bound below 0 (see bounds/dual.py)."""

    shares: np.ndarray
    multipliers: Sparse

    @classmethod
    def of_some(cls, atoms: int, slots: np.ndarray, shares: np.ndarray, multipliers: Sparse) -> Multipliers:
        """Of as many atoms those at these places have shares; places without a share may be anywhere."""
        all_ = np.zeros(atoms, object)
        for slot, share in zip(slots.tolist(), shares.tolist(), strict=True):
            if share:
                all_[slot] = share
        return cls(all_, multipliers)


class Infeasible(NamedTuple):
    """Closed: propagation leaves some range empty, or some atom out of reach of the ranges."""


class Refutation(NamedTuple):
    """Closed: the CNF with this hash (see certificate/cnf.py) is refuted by a packed proof in LRAT (see solvers/proofs.py)."""

    cnf_sha256: str
    lrat: bytes


class Enumerated(NamedTuple):
    """Of a whole query, and no node: every point of the region was run, and none makes the violation true."""


Node = Split | Disjunction | Multipliers | Infeasible | Refutation


@dataclass
class Proof:
    """The facts about the root and the tree: nodes[0] is its root.

    places say what values and neurons are in the query that all this proves something of; None: the same numbers. pairs are the layers
    whose differences that query has (`bounds.differences`), numbered as in its one network.
    """

    facts: list[ProvedBound] = field(default_factory=list)
    nodes: dict[int, Node] = field(default_factory=dict)
    places: Places | None = None
    pairs: tuple[tuple[int, int], ...] = ()

    def go_on(self, first: int, end: int, notes: Mapping[int, Node]) -> None:
        """What was at the number `first` comes to be at `end`, behind new nodes that begin at `first`."""
        if first in self.nodes:
            self.nodes[end] = self.nodes.pop(first)
        self.nodes.update(notes)
