"""Cuts by back-substitution, held against every input of tiny queries."""

import itertools
import random

import numpy as np
import pytest
from tiny import gentle_query, points_of, random_query

import qbitsat
from qbitsat.arithmetic import ShiftRequantizer
from qbitsat.bounds import propagate
from qbitsat.bounds.linear_cut import Slack, Substitution
from qbitsat.bounds.view import views
from qbitsat.encode import encode_query
from qbitsat.network import Dense, Network, TensorFormat, reference
from qbitsat.options import make_options
from qbitsat.properties import And, AtMost, Box, Or, Query, Ref
from qbitsat.properties.formula import FALSE, INPUT, atoms, is_true, without_not


def trace(network, x):
    """The input and, for each layer, (accumulators, outputs)."""
    values = reference.run_all(network, x)
    pairs = []
    for layer, before, after in zip(network.layers, values, values[1:], strict=False):
        rows = [layer.affine.row(i) for i in range(layer.affine.n_out)]
        sums = [int(weights @ np.array(before)[indices]) for indices, weights in rows]
        pairs.append(([total + int(bias) for total, bias in zip(sums, layer.affine.biases, strict=True)], after))
    return x, pairs


def distance(what, weight, query, bounds, traces):
    if isinstance(what, Ref):
        box, x = query.boxes[what.network], traces[what.network][0][what.element]
        return x - int(box.lo[what.element]) if weight > 0 else int(box.hi[what.element]) - x
    accs, outputs = traces[what.network][1][what.layer]
    b = bounds.layer(what.network, what.layer)
    acc, y = accs[what.neuron] - int(b.acc_lo[what.neuron]), outputs[what.neuron] - int(b.lo[what.neuron])
    return what.sign * (what.slope * acc - (y << what.scale)) + what.constant


def traces_of(query):
    return itertools.product(*([trace(n, x) for x in points_of(box).tolist()] for n, box in zip(query.networks, query.boxes, strict=True)))


@pytest.fixture(autouse=True)
def _all_facts(monkeypatch):
    """Tiny queries have few cuts that are near enough to be kept."""
    monkeypatch.setattr("qbitsat.bounds.linear_cut.NEAR", 1)


@pytest.mark.parametrize("block", range(6))
def test_facts_follow_from_their_inequalities(block):
    for seed in range(30 * block, 30 * block + 30):
        query = (random_query, gentle_query)[seed % 2](random.Random(seed))
        bounds = propagate(query)
        cuts = {atom: Substitution(query, views(query, bounds)).cut(atom) for atom in atoms(without_not(query.violation))}
        for traces in traces_of(query):
            for atom, cut in cuts.items():
                if cut is None:
                    continue
                distances = [distance(what, weight, query, bounds, traces) for weight, what in cut.terms]
                assert all(d >= 0 for d in distances)
                assert all(d <= what.span for d, (_, what) in zip(distances, cut.terms, strict=True) if isinstance(what, Slack))
                if is_true(atom, [t[0] for t in traces], [t[1][-1][1] for t in traces]):
                    assert sum(abs(w) * d for d, (w, _) in zip(distances, cut.terms, strict=True)) <= cut.budget


def test_facts_exist_and_refute():
    """The tests above are not empty."""
    cuts = []
    for seed in range(120):
        query = (random_query, gentle_query)[seed % 2](random.Random(seed))
        substitution = Substitution(query, views(query, propagate(query)))
        cuts += [substitution.cut(atom) for atom in atoms(without_not(query.violation))]
    kept = [cut for cut in cuts if cut is not None]
    assert sum(cut.budget < 0 for cut in kept) > 20
    assert sum(cut.budget >= 0 and any(isinstance(what, Slack) and what.slope for _, what in cut.terms) for cut in kept) > 5
    assert None in cuts


def shipped(digits, sample):
    network, images, labels = digits
    return qbitsat.robustness(network, images[sample], 1, int(labels[sample]))


def test_simplify_drops_refuted_inequalities(digits):
    query = shipped(digits, 40)
    substitution = Substitution(query, views(query, propagate(query)))
    refuted = next(atoms(without_not(query.violation)))
    possible = AtMost(((1, Ref(0, INPUT, 0)),), 16)
    assert substitution.simplify(Or((refuted, possible))) == Or((possible,))
    assert substitution.simplify(And((refuted, possible))) == FALSE
    assert substitution.simplify(refuted) == FALSE


def test_query_that_facts_refute_has_an_empty_clause(digits):
    query = shipped(digits, 40)
    cnf = encode_query(query, propagate(query), make_options(encoding="substituted"))
    assert np.asarray(cnf.clauses).tolist() == [0]


def test_facts_follow_the_core(digits):
    query = shipped(digits, 4)
    bounds = propagate(query)
    formula = Substitution(query, views(query, bounds)).simplify(without_not(query.violation))
    cnf = encode_query(query, bounds, make_options(encoding="substituted"))
    plain = encode_query(query, bounds, make_options(encoding="balanced"), formula)
    clauses = np.asarray(cnf.clauses)
    assert cnf.core < len(clauses)
    assert np.array_equal(clauses[: cnf.core], np.asarray(plain.clauses))
    assert plain.core == len(plain.clauses)


@pytest.mark.parametrize("coefficients", [(1, 1), (1, -1), (3, 1), (-1, 3)])
def test_levels_that_only_a_value_read_twice_puts_out_of_reach(coefficients):
    """A large weight and its opposite for one value: ranges of outputs do not see that they cancel, and steps lie far out."""
    large = (1 << 31) - 2
    shifts = ShiftRequantizer(4, "floor", 0, 15, offset=8 - (1 << 31)), ShiftRequantizer(45, "floor", 0, 15)
    layer = Dense("twice", TensorFormat((2,), 0, 255), TensorFormat((2,), 0, 15), shifts, [[large + 1, -large], [large, 1 - large]], [0, 0])
    network = Network((layer,), inputs=(TensorFormat((1,), 0, 255),), reads=([0, 0],))
    terms = tuple((c, Ref(0, "output", i)) for i, c in enumerate(coefficients))
    for bound in range(-20, 20):
        query = Query((network,), (Box([0], [255]),), AtMost(terms, bound))
        found = qbitsat.verify(query, engine="sat", encoding="substituted", attack=False, bounds=False)
        assert found.violated == (bound >= 0)  # all outputs are 0
