"""The recorder: one entry a node, children that exist, and leaves that are closed by what they say."""

import random

import numpy as np
import pytest
from enumerated import space
from handmade import copying, query, x, y
from suggested import all_of
from test_search import LIES
from tiny import busy_query, deep_query, run_search

from qbitsat.bounds import propagate
from qbitsat.bounds.dual import upper_bound
from qbitsat.bounds.dual_descent import DualDescent
from qbitsat.bounds.tighten import tighten
from qbitsat.properties import And, AtMost, Or
from qbitsat.properties.formula import FALSE
from qbitsat.search import Proof, Search
from qbitsat.search.proof import Disjunction, Infeasible, Multipliers, Refutation, Split


class Recorder(dict):
    """Nodes that may be written once."""

    def __setitem__(self, name, node):
        assert name not in self, f"node {name} is written twice"
        super().__setitem__(name, node)


def recorded(asked, **rules) -> tuple[Search, Proof, bool]:
    proof = Proof(nodes=Recorder())
    search, found = run_search(asked, proof, **rules)
    return search, proof, found is None


class Walk:
    """Goes down a proof from the query alone, and holds every entry against its meaning; counts entries and what has none."""

    def __init__(self, search: Search, proof: Proof):
        self.search, self.proof, self.layout = search, proof, search.layout
        self.points = space(search.reduction.query)
        self.met, self.missing = set(), 0
        ranges = propagate(search.reduction.query)
        steps = search.options.tighten
        assert [fact[:4] for fact in (tighten(self.layout, ranges, steps) if steps else [])] == [fact[:4] for fact in proof.facts]
        self.node(0, ranges, *self.pending([search.reduction.formula]))

    def pending(self, formulas):
        """Inequalities and waiting `Or`s of formulas whose `And`s are taken apart."""
        inequalities, waiting = [], []
        for formula in formulas:
            if isinstance(formula, And):
                more = self.pending(formula.parts)
                inequalities, waiting = inequalities + more[0], waiting + more[1]
            elif isinstance(formula, Or):
                waiting.append(formula)
            else:
                inequalities.append(formula)
        return inequalities, waiting

    def sums(self, atom: AtMost) -> tuple[np.ndarray, int]:
        """Coefficients over all values, and the bound."""
        c = np.zeros(self.layout.num_values, np.int64)
        for coefficient, ref in atom.terms:
            c[self.layout.value(ref)] += coefficient
        return c, atom.bound

    def node(self, name, ranges, inequalities, waiting, left=True):
        """Ranges are those before the node's own inequalities cut them."""
        entry, before = self.proof.nodes.get(name), ranges
        self.met.add(name)
        ranges, left = self.narrowed(ranges, inequalities) if left else (ranges, left)
        if isinstance(entry, Split):
            assert left
            assert ranges.lo[0, entry.value] < entry.at <= ranges.hi[0, entry.value]
            for child, side, end in ((entry.below, "hi", entry.at - 1), (entry.above, "lo", entry.at)):
                part = ranges.take(np.array([0]))
                getattr(part, side)[0, entry.value] = end
                rest = bool(part.propagate(self.layout, entry.value < self.layout.num_inputs).all())
                self.node(child, part, inequalities, waiting, rest)
        elif isinstance(entry, Disjunction):
            assert left
            assert len(entry.parts) == len(waiting[0].parts)
            for child, part in zip(entry.parts, waiting[0].parts, strict=True):
                more = self.pending([part])
                self.node(child, ranges, inequalities + more[0], waiting[1:] + more[1])
        elif isinstance(entry, Multipliers):
            self.refuted(entry, ranges, inequalities)
        elif isinstance(entry, Infeasible):
            assert not left
            inside = self.points.inside(before, 0)
            for atom in inequalities:
                c, bound = self.sums(atom)
                inside &= self.points.values @ c <= bound
            assert not inside.any()
        else:
            self.missing += 1

    def narrowed(self, ranges, inequalities):
        """Ranges cut by each inequality in turn, then carried forward, and whether something is left."""
        ranges = ranges.take(np.array([0]))
        for atom in inequalities:
            c, bound = self.sums(atom)
            ends = np.minimum(c * ranges.lo[0], c * ranges.hi[0])
            if ends.sum() > bound:
                return ranges, False
            for v in np.flatnonzero(c).tolist():
                if any(
                    block.target.start <= v < block.target.stop and not block.stepped[v - block.target.start]
                    for block in self.layout.blocks
                ):
                    continue
                # The largest c * v that the others leave.
                room = bound - int(ends.sum()) + int(ends[v])
                kept = [u for u in range(int(ranges.lo[0, v]), int(ranges.hi[0, v]) + 1) if int(c[v]) * u <= room]
                ranges.lo[0, v], ranges.hi[0, v] = kept[0], kept[-1]
        return ranges, bool(ranges.propagate(self.layout, True).all())

    def refuted(self, entry, ranges, inequalities):
        objective, bound = np.zeros(self.layout.num_values, np.int64), 0
        for share, atom in zip(entry.shares.tolist(), inequalities, strict=True):
            c, most = self.sums(atom)
            assert share >= 0
            objective, bound = objective - share * c, bound + share * most
        value = upper_bound(self.layout, ranges, 0, objective.astype(np.int64), all_of(entry.multipliers, self.layout.num_neurons))
        assert value is None or value + bound < 0


def check_proof(asked, **rules) -> Search | None:
    """Hold the record of a query that holds against its meaning; None if it does not hold."""
    search, proof, holds = recorded(asked, **rules)
    if not holds:
        return None
    walk = Walk(search, proof)
    assert walk.met >= set(proof.nodes)
    assert walk.met == set(range(search.ids))
    assert walk.missing == search.counts["leaves"]
    return search


@pytest.mark.parametrize("rules", [{}, {"tighten": 0, "steps": 3, "bounds": False}, {"batch": 1, "leaf": 2.0, "bounds": False}])
def test_proofs_are_whole_and_mean_what_they_say(rules):
    searches = [search for seed in range(100) if (search := check_proof(deep_query(random.Random(seed), 4), rounding=False, **rules))]
    assert sum(search.counts["refuted"] for search in searches) > 3
    assert sum(search.ids > 1 for search in searches) >= 2


def test_proofs_of_any_formula():
    for seed in range(80):
        check_proof(busy_query(random.Random(seed), 4), rounding=False, bounds=False)


def test_proofs_of_leaves_are_kept_for_certificates():
    leaves = 0
    for seed in range(60):
        search, proof, holds = recorded(busy_query(random.Random(seed), 3), rounding=False, bounds=False, certificates=True)
        if holds:
            leaves += search.counts["leaves"]
            assert set(proof.nodes) == set(range(search.ids))
            assert sum(isinstance(node, Refutation) for node in proof.nodes.values()) == search.counts["leaves"]
    assert leaves > 0


def test_proofs_of_random_multipliers(monkeypatch):
    run, rng = DualDescent.run, np.random.default_rng(0)
    monkeypatch.setattr(DualDescent, "run", lambda self, *arguments, **named: LIES["random"](rng, run(self, *arguments, **named)))
    for seed in range(60):
        check_proof(busy_query(random.Random(seed), 3), rounding=False, tighten=0)


def test_proof_of_one_node():
    _, proof, holds = recorded(query(copying(2), AtMost(((1, y(0)), (-1, x(0))), -1)))
    assert holds
    assert [type(node) for node in proof.nodes.values()] == [Multipliers]


def test_proof_of_disjunctions():
    below = AtMost(((1, y(0)), (-1, x(0))), -1), AtMost(((1, y(1)), (-1, x(1))), -1)
    _, proof, _ = recorded(query(copying(2), Or((*below, FALSE))), bounds=False)
    assert proof.nodes[0] == Disjunction((1, 2, 3))
    assert [type(proof.nodes[k]) for k in (1, 2, 3)] == [Multipliers, Multipliers, Disjunction]


def test_proof_of_nothing_in_reach():
    _, proof, _ = recorded(query(copying(2), AtMost(((1, y(0)),), -1)), bounds=False)
    assert proof.nodes == {0: Infeasible()}


def test_search_without_a_proof_writes_none():
    search, _ = run_search(query(copying(2), AtMost(((1, y(0)), (-1, x(0))), -1)))
    assert search.proof is None
