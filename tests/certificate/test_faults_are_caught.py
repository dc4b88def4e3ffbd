"""Faults put into the search and the encoder on purpose: whatever verdicts they lead to, none of their certificates is accepted."""

import sys
from dataclasses import replace

import numpy as np
import pytest
from certified import certify
from deep import deep_query
from forge import outcome
from forge_proofs import packed

from qbitsat._kernels.cnf.layers import Encoder
from qbitsat.arithmetic import ShiftRequantizer
from qbitsat.arithmetic.steps import NOWHERE, TABLE, Steps, breakpoints
from qbitsat.bounds import dual
from qbitsat.bounds.dual_descent import DualDescent
from qbitsat.bounds.layout import Layout
from qbitsat.certificate.steps import Shifts, Tables, table
from qbitsat.encode import cnf
from qbitsat.limits import NO_LIMITS
from qbitsat.properties.formula import FALSE
from qbitsat.search import tree
from qbitsat.search.proof import Split
from qbitsat.solvers import sat
from qbitsat.verify import HOLDS, verify

SEEDS = range(40)
TRUTH = {seed: verify(deep_query(seed)).verdict for seed in SEEDS}


def certificates(folder, **options):
    """(seed, verdict, certificate) of the queries that hold, with the fault at work."""
    for seed in SEEDS:
        try:
            verdict, path = certify(deep_query(seed), folder, attack=False, **options)
        except AssertionError:
            continue  # a witness that did not replay, or no verdict
        if verdict.verdict == HOLDS and verdict.engine != "bounds":
            yield seed, verdict, path


def refusals(folder, **options) -> tuple[int, int]:
    """How many certificates are refused, and how many of those are of wrong verdicts; no wrong one may be accepted."""
    refused = wrong = 0
    for seed, _, path in certificates(folder, **options):
        accepted = outcome(path).accepted
        assert TRUTH[seed] == HOLDS or not accepted, seed
        refused += not accepted
        wrong += TRUTH[seed] != HOLDS
    return refused, wrong


@pytest.mark.parametrize("place", ["search", "facts"])
def test_bound_too_tight(tmp_path, monkeypatch, place):
    """What multipliers prove, less one for every output named, as a line too tight by one would give."""
    run = DualDescent.run

    class Tight(dual.Dual):
        def prove(self, ranges, rows, atoms, *rest):
            proved = super().prove(ranges, rows, atoms, *rest)
            for k, row in enumerate(rows.tolist()):
                named = [int(np.abs(self.inequalities[atom][1]).sum()) if atom >= 0 else 0 for atom in atoms[row].tolist()]
                proved.values[k] -= sum(n * share for n, share in zip(named, proved.shares[k].tolist(), strict=True))
            return proved

    if place == "search":
        monkeypatch.setattr(DualDescent, "run", lambda *arguments, **named: (s := run(*arguments, **named))._replace(dual=s.dual - 2))
    monkeypatch.setattr("qbitsat.search.tree.Dual" if place == "search" else "qbitsat.bounds.tighten.Dual", Tight)
    refused, wrong = refusals(tmp_path, engine="hybrid")
    assert refused > 3
    assert wrong > 0 or place == "facts"


def test_steps_that_begin_one_too_late(tmp_path, monkeypatch):
    """A table of steps off by one accumulator, as a wrong rounding would make it."""

    right = Layout._block

    def late(*arguments):
        block = right(*arguments)
        return replace(block, steps=tuple(map(one_late, block.layer.requantizers)))

    def one_late(requantizer):
        table = np.concatenate([[-NOWHERE], requantizer.thresholds(NOWHERE) + 1, [NOWHERE]])
        return Steps(TABLE, requantizer.lo, requantizer.hi, table=table, breakpoints=breakpoints(table))

    monkeypatch.setattr(Layout, "_block", late)
    refused, _ = refusals(tmp_path, engine="hybrid")
    assert refused > 3


def test_dropped_leaf(tmp_path, monkeypatch):
    """The half above every tenth cut is forgotten."""
    right = tree.Search._note
    cuts = []

    def forget(self, name, node):
        if isinstance(node, Split):
            cuts.append(node)
            if len(cuts) % 10 == 0:
                self.dropped = getattr(self, "dropped", set()) | {node.above}
        right(self, name, node)

    def push(self, nodes):
        kept = np.flatnonzero([number not in getattr(self, "dropped", set()) for number in nodes.id.tolist()])
        if len(kept):
            right_push(self, nodes.take(kept))

    right_push = tree.Search._push
    monkeypatch.setattr(tree.Search, "_note", forget)
    monkeypatch.setattr(tree.Search, "_push", push)
    verdict = verify(deep_query(7), engine="hybrid", attack=False, certificates=True, steps=5)
    assert verdict.verdict == HOLDS
    dropped = [
        name for node in verdict.proof.nodes.values() if isinstance(node, Split) for name in node[2:] if name not in verdict.proof.nodes
    ]
    assert dropped
    with pytest.raises(KeyError):
        certify(deep_query(7), tmp_path, engine="hybrid", attack=False, steps=5)


class Narrow:
    """An encoder whose third requantizer writes words of one bit less than the values need."""

    def __init__(self, *more):
        self.right, self.count = Encoder(*more), 0

    def __getattr__(self, name):
        return getattr(self.right, name)

    def requantize(self, target, i, base, shift, rounding, delta, levels, low, high):
        self.count += 1
        levels = levels >> 1 if self.count == 3 and levels > 3 else levels
        self.right.requantize(target, i, base, shift, rounding, delta, levels, low, high)


@pytest.mark.filterwarnings("ignore:.*inputs that the reference does not confirm:RuntimeWarning")
def test_width_of_a_word_in_the_encoder(tmp_path, monkeypatch):
    monkeypatch.setattr(cnf, "Encoder", Narrow)
    refused, wrong = refusals(tmp_path, engine="sat", encoding="balanced")
    assert refused > 5
    assert wrong > 0


def test_requantizer_of_the_encoder(tmp_path, monkeypatch):
    """Thresholds off by one."""
    right = cnf.reaches
    monkeypatch.setattr(cnf, "reaches", lambda neuron: (right(neuron)[0], right(neuron)[1] + (right(neuron)[1] > 0)))
    refused, _ = refusals(tmp_path, engine="sat", encoding="balanced")
    assert refused > 5


def test_solver_that_says_unsatisfiable(tmp_path, monkeypatch):
    def lie(flat, num_vars, name, conflicts, path):
        return sat.SatResult(False, lrat=packed([([], [0])]))

    monkeypatch.setattr(sat, "run_prover", lie)
    refused, wrong = refusals(tmp_path, engine="sat", encoding="balanced")
    assert refused > 5
    assert wrong > 5


def test_bounds_that_claim_too_much(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules["qbitsat.verify"], "simplify", lambda *_: FALSE)
    refused = 0
    for seed in SEEDS:
        _, path = certify(deep_query(seed), tmp_path)
        assert TRUTH[seed] == HOLDS or not outcome(path).accepted
        refused += not outcome(path).accepted
    assert refused > 10


def test_steps_of_the_checker_are_the_definition():
    """Closed forms and tables are made from `thresholds` and the like, which tests hold against `apply` exhaustively."""
    for rounding in ("floor", "half_even"):
        r = ShiftRequantizer(3, rounding, -4, 9, "saturate", 2)
        _, starts = table(r)
        assert all(r.apply(int(starts[k])) == -4 + k and r.apply(int(starts[k]) - 1) == -5 + k for k in range(1, 14))
        for steps in (Shifts(np.zeros(1, int), [r]), Tables(np.zeros(1, int), [r], NO_LIMITS)):
            assert [int(steps.first(np.array([0]), np.array([v]))[0]) for v in range(-4, 11)] == starts.tolist()
