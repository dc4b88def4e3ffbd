"""Inequalities of which every case of a formula has one: where each of them alone is refuted, the formula is.

That two networks give some input different classes is an `Or` of 90 cases, of ten inequalities each. But where both keep the class of the
middle of the box, eighteen inequalities are refuted, each about one network: another class beats that one in the first network, or in
the second. Those that rest on the same layers are searched together, without the others. Where they are not all refuted, they say nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce
from typing import NamedTuple

import numpy as np

from ..bounds.dual import Sparse
from ..bounds.layout import Layout
from ..bounds.reduction import Reduction, reduced
from ..bounds.tighten import ProvedBound
from ..limits import Limits
from ..network import forward_all
from ..properties import And, AtMost, Formula, Or, Query
from .disjuncts import Disjuncts
from .proof import Disjunction, Multipliers, Proof, Refutation, Split


class Choice(NamedTuple):
    """Inequalities that no point near the middle meets, the first of each once, and the largest of their margins there, below 0."""

    margin: float
    atoms: dict[AtMost, None]


class Part(NamedTuple):
    """Inequalities of a cover that rest on the same layers, and what is left of the question whether some input meets one of them."""

    atoms: tuple[AtMost, ...]
    left: Reduction


def covered(left: Reduction, limits: Limits) -> list[Part]:
    """Inequalities that are false in the middle of the box, of which every case of the formula has one; none if it has no more cases."""
    query = left.query
    middle = [((box.lo + box.hi) // 2)[None] for box in query.boxes]
    values = [forward_all(network, x, limits)[0] for network, x in zip(query.networks, middle, strict=True)]
    found = _choice(left.formula, query, values, limits)
    if found is None or _cases(left.formula, len(found.atoms), limits) <= len(found.atoms):
        return []
    groups = dict[tuple[int, ...], list[AtMost]]()
    layout, whole = left.bounds.layout, left.whole or left
    for atom in found.atoms:
        limits.check()
        layers = {_layer(layout, layout.value(ref)) for ref in atom.coefficients()}
        groups.setdefault(tuple(sorted(layers)), []).append(atom)
    parts = []
    for atoms in groups.values():
        formula = Or(tuple([left.widened(atom) for atom in atoms]))
        asked = Query(whole.query.networks, whole.query.boxes, formula, limits=limits)
        parts.append(Part(tuple(atoms), reduced(asked, whole.bounds, formula, limits)))
    return parts


def _layer(layout: Layout, value: int) -> int:
    """The first value of the layer that gives a value, -1 of an input."""
    return -1 if value < layout.num_inputs else layout.place(value)[0].target.start


def _choice(formula: Formula, query: Query, values: list[np.ndarray], limits: Limits) -> Choice | None:
    """Of an `And` the part that is furthest from true, of an `Or` all; None for what is true, or has a case that is."""
    limits.check()
    if isinstance(formula, AtMost):
        total = sum(c * int(values[ref.network][ref.value_of(query.networks[ref.network])]) for c, ref in formula.terms)
        return Choice(formula.bound - total, {formula: None}) if total > formula.bound else None
    found = [_choice(part, query, values, limits) for part in formula.parts]  # type: ignore[union-attr]
    false = [choice for choice in found if choice is not None]
    if isinstance(formula, And):
        return min(false, key=lambda choice: choice.margin, default=None)
    if len(false) < len(found):
        return None
    return Choice(max((choice.margin for choice in false), default=-math.inf), {a: None for choice in false for a in choice.atoms})


def _cases(formula: Formula, most: int, limits: Limits) -> int:
    """Conjunctions of inequalities that the formula is an `Or` of, were it multiplied out; of more than `most`, one more than these."""
    limits.check()
    if isinstance(formula, AtMost):
        return 1
    counts = [_cases(part, most, limits) for part in formula.parts]  # type: ignore[union-attr]
    if isinstance(formula, Or):
        return min(sum(counts), most + 1)
    return reduce(lambda product, count: min(product * count, most + 1), counts, 1)


def grafted(proofs: Sequence[tuple[Part, Proof]], disjuncts: Disjuncts, pairs: tuple[tuple[int, int], ...]) -> Proof | None:
    """The proof of a formula from those of the parts of its cover; disjuncts are the formula's. None if SAT closed a node.

    The formula's cases are split until one has an inequality of the cover. What refutes that inequality alone refutes the case: its other
    inequalities get no share, and narrow ranges further. A CNF has all inequalities of a node, so its refutation is of that node alone.
    Numbers are those of the whole query.
    """
    if any(isinstance(node, Refutation) for _, proof in proofs for node in proof.nodes.values()):
        return None
    made, start = Proof(pairs=pairs), dict[AtMost, tuple[Proof, int]]()
    for part, proof in proofs:
        made.facts += [_whole_fact(fact, proof) for fact in proof.facts]
        root = proof.nodes[0]
        starts = root.parts if isinstance(root, Disjunction) else (0,) * len(part.atoms)
        start |= {atom: (proof, number) for atom, number in zip(part.atoms, starts, strict=True)}
    count, todo = 1, [(0, 0)]
    while todo:
        number, branch = todo.pop()
        formulas = [disjuncts.formulas[atom] for atom in disjuncts.table[branch].atoms]
        slot = next((slot for slot, formula in enumerate(formulas) if formula in start), None)
        if slot is None:
            parts = disjuncts.parts(branch)
            numbers = range(count, count + len(parts))
            made.nodes[number] = Disjunction(tuple(numbers))
            todo += zip(numbers, parts, strict=True)
            count += len(parts)
        else:
            count = _copy(*start[formulas[slot]], made, number, count, slot, len(formulas))
    return made


def _whole_fact(fact: ProvedBound, proof: Proof) -> ProvedBound:
    """With numbers of the whole query."""
    neuron = fact.neuron if proof.places is None else int(proof.places.neurons[fact.neuron])
    return fact._replace(neuron=neuron, multipliers=fact.multipliers and _whole_row(fact.multipliers, proof))


def _whole_row(row: Sparse, proof: Proof) -> Sparse:
    return row if proof.places is None else row._replace(neurons=proof.places.neurons[row.neurons].astype(np.int32))


def _copy(proof: Proof, source: int, made: Proof, target: int, count: int, slot: int, width: int) -> int:
    """A subtree, its nodes numbered from `count` on; its one inequality is now number `slot` of `width`. The next number."""
    todo = [(source, target)]
    while todo:
        number, place = todo.pop()
        node = proof.nodes[number]
        if isinstance(node, Split):
            todo += [(node.below, count), (node.above, count + 1)]
            value = node.value if proof.places is None else int(proof.places.values[node.value])
            node, count = node._replace(value=value, below=count, above=count + 1), count + 2
        elif isinstance(node, Multipliers):
            shares = np.zeros(width, object)
            shares[slot] = node.shares[0] if len(node.shares) else 0
            node = Multipliers(shares, _whole_row(node.multipliers, proof))
        made.nodes[place] = node
    return count
