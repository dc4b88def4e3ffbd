"""Inequalities of which every case of a formula has one: where each of them alone is refuted, the formula is.

That two networks give some input different classes is an `Or` of 90 cases, of ten inequalities each. But where both keep the class of the
middle of the box, eighteen inequalities are refuted, each about one network: another class beats that one in the first network, or in
the second. A search for these splits neurons of the network that the inequality is about, and of no other. Where they are not all
refuted, they say nothing.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from ..bounds.reduction import Reduction
from ..network import forward_all
from ..properties import And, AtMost, Formula, Or, Query
from ..properties.formula import renamed
from .disjuncts import Disjuncts
from .proof import Disjunction, Multipliers, Proof, Refutation, Split


class Choice(NamedTuple):
    """Inequalities that no point near the middle meets, the first of each once, and the largest of their margins there, below 0."""

    margin: float
    atoms: dict[AtMost, None]


def covered(left: Reduction) -> Reduction | None:
    """The same region, and an `Or` of inequalities that are false in the middle of the box; None if the formula has no more cases."""
    query = left.query
    middle = [((box.lo + box.hi) // 2)[None] for box in query.boxes]
    values = [forward_all(network, x)[0] for network, x in zip(query.networks, middle, strict=True)]
    found = _choice(left.formula, query, values)
    if found is None or _cases(left.formula) <= len(found.atoms):
        return None
    formula = Or(tuple(found.atoms))
    names = left.refs if left.whole is not None else {}
    whole = left.whole and _asking(left.whole, renamed(formula, names))
    return replace(_asking(left, formula), whole=whole)


def _asking(of: Reduction, formula: Formula) -> Reduction:
    """Another formula about the same."""
    return replace(of, query=Query(of.query.networks, of.query.boxes, formula), formula=formula)


def _choice(formula: Formula, query: Query, values: list[np.ndarray]) -> Choice | None:
    """Of an `And` the part that is furthest from true, of an `Or` all; None for what is true, or has a case that is."""
    if isinstance(formula, AtMost):
        total = sum(c * int(values[ref.network][ref.value_of(query.networks[ref.network])]) for c, ref in formula.terms)
        return Choice(formula.bound - total, {formula: None}) if total > formula.bound else None
    found = [_choice(part, query, values) for part in formula.parts]  # type: ignore[union-attr]
    false = [choice for choice in found if choice is not None]
    if isinstance(formula, And):
        return min(false, key=lambda choice: choice.margin, default=None)
    if len(false) < len(found):
        return None
    return Choice(max((choice.margin for choice in false), default=-math.inf), {a: None for choice in false for a in choice.atoms})


def _cases(formula: Formula) -> int:
    """Conjunctions of inequalities that the formula is an `Or` of, were it multiplied out."""
    if isinstance(formula, AtMost):
        return 1
    counts = [_cases(part) for part in formula.parts]  # type: ignore[union-attr]
    return math.prod(counts) if isinstance(formula, And) else sum(counts)


def grafted(proof: Proof, cover: Formula, disjuncts: Disjuncts) -> Proof | None:
    """The proof of a formula from that of inequalities which cover it; disjuncts are the formula's. None if SAT closed a node.

    The formula's cases are split until one has an inequality of the cover. What refutes that inequality alone refutes the case: its other
    inequalities get no share, and narrow ranges further. A CNF has all inequalities of a node, so its refutation is of that node alone.
    """
    if any(isinstance(node, Refutation) for node in proof.nodes.values()):
        return None
    assert isinstance(cover, Or)
    root = proof.nodes[0]
    starts = root.parts if isinstance(root, Disjunction) else (0,) * len(cover.parts)
    start = dict(zip(cover.parts, starts, strict=True))
    made, count, todo = replace(proof, nodes={}), 1, [(0, 0)]
    while todo:
        number, branch = todo.pop()
        formulas = [disjuncts.formulas[atom] for atom in disjuncts.table[branch].atoms]
        slot = next((slot for slot, formula in enumerate(formulas) if formula in start), None)
        if slot is None:
            parts = disjuncts.parts(branch)
            made.nodes[number] = Disjunction(tuple(range(count, count + len(parts))))
            todo += zip(made.nodes[number].parts, parts, strict=True)
            count += len(parts)
        else:
            count = _copy(proof, start[formulas[slot]], made, number, count, slot, len(formulas))
    return made


def _copy(proof: Proof, source: int, made: Proof, target: int, count: int, slot: int, width: int) -> int:
    """A subtree, its nodes numbered from `count` on; its one inequality is now number `slot` of `width`. The next number."""
    todo = [(source, target)]
    while todo:
        number, place = todo.pop()
        node = proof.nodes[number]
        if isinstance(node, Split):
            todo += [(node.below, count), (node.above, count + 1)]
            node, count = node._replace(below=count, above=count + 1), count + 2
        elif isinstance(node, Multipliers):
            shares = np.zeros(width, object)
            shares[slot] = node.shares[0] if len(node.shares) else 0
            node = node._replace(shares=shares)
        made.nodes[place] = node
    return count
