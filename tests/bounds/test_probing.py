"""What narrowing says of ranges, held against every point of tiny queries."""

import itertools
import random

import numpy as np
import pytest
from enumerated import space
from handmade import dense, query, tensor, y
from tiny import all_inputs, gentle_query, random_query, truths

import qbitsat
from qbitsat.arithmetic import ShiftRequantizer
from qbitsat.bounds import probing, propagate, simplify
from qbitsat.bounds.probing import narrow
from qbitsat.bounds.view import views
from qbitsat.encode import encode_disjuncts, encode_query
from qbitsat.network import Network, forward
from qbitsat.options import ENCODINGS, make_options
from qbitsat.properties import AtMost, Or
from qbitsat.properties.formula import FALSE, without_not
from qbitsat.verify import verify


def query_of(seed):
    return (random_query, gentle_query)[seed % 2](random.Random(seed))


def disjuncts_of(formula):
    return formula.parts if isinstance(formula, Or) else (formula,)


def outside(points, disjunct):
    """Values or accumulators of some points that a narrowed disjunct does not allow."""
    bad = (points.values < disjunct.bounds.lo).any() or (points.values > disjunct.bounds.hi).any()
    least, most = (np.concatenate(ends) for ends in zip(*disjunct.enforced, strict=True))
    return bad or (points.accs < least).any() or (points.accs > most).any()


@pytest.mark.parametrize("block", range(4))
def test_narrowed_ranges_keep_every_violation(block):
    for seed in range(40 * block, 40 * block + 40):
        query = query_of(seed)
        formula = without_not(query.violation)
        narrowed = narrow(query, propagate(query), formula, make_options(tighten=(40, 0)[seed % 3 == 0]))
        if narrowed is None:
            continue
        everything, inputs = space(query), all_inputs(query.boxes)
        outputs = [forward(network, x) for network, x in zip(query.networks, inputs, strict=True)]
        left = {disjunct.formula: disjunct for disjunct in narrowed}
        for part in disjuncts_of(formula):
            rows = truths(part, inputs, outputs)
            if rows.any():
                violating = everything._replace(values=everything.values[rows], accs=everything.accs[rows])
                assert not outside(violating, left[part]), seed


def test_narrowing_narrows_and_refutes():
    """The test above is not empty."""
    gone = cuts = 0
    for seed in range(160):
        query = query_of(seed)
        bounds = propagate(query)
        formula = simplify(query, bounds)
        narrowed = narrow(query, bounds, formula, make_options())
        if formula != FALSE and narrowed is not None:
            gone += len(disjuncts_of(formula)) - len(narrowed)
            cuts += sum(
                own[0].sum() > view.acc_lo.sum()
                for disjunct in narrowed
                for own, view in zip(disjunct.enforced, views(query, disjunct.bounds), strict=True)
            )
    assert gone > 10
    assert cuts > 20


def test_wrap_around_is_not_narrowed():
    kinds = [narrow(q, propagate(q), without_not(q.violation), make_options()) is None for q in map(query_of, range(100))]
    assert any(kinds)
    assert not all(kinds)


def test_probes_find_what_the_way_itself_does_not(digits, monkeypatch):
    """Fewer variables with probes than without, for a query that is not refuted at once."""
    network, images, labels = digits
    query = qbitsat.robustness(network, images[4], 1, int(labels[4]))
    bounds = propagate(query)
    sizes = []
    for rounds in (probing.ROUNDS, 0):
        monkeypatch.setattr(probing, "ROUNDS", rounds)
        sizes.append(encode_disjuncts(query, bounds, make_options()).sizes["variables"])
    assert 0 < sizes[0] < sizes[1]


def test_certificates_are_of_the_plain_formula(digits):
    network, images, labels = digits
    query = qbitsat.robustness(network, images[4], 1, int(labels[4]))
    bounds = propagate(query)
    encoding = encode_disjuncts(query, bounds, make_options(certificates=True))
    assert encoding.disjuncts is None
    assert encoding.whole.sha256 == encode_query(query, bounds, make_options(encoding="balanced")).sha256


def test_dives_hold_ends_of_inputs():
    """Every dive is a part of the one before, of inputs of the network, and fewer than all."""
    found = 0
    for seed in range(100):
        query = query_of(seed)
        encoding = encode_disjuncts(query, propagate(query), make_options())
        for cnf, dives in zip(encoding.disjuncts or (), encoding.dives, strict=True):
            own = {abs(lit) for words in cnf.inputs for word in words for lit in word.bits}
            for wide, narrow_ in itertools.pairwise(dives):
                assert {abs(lit) for lit in wide} <= own
                assert narrow_ == wide[: len(narrow_)]
            assert all(dives)
            found += len(dives)
    assert found > 10


@pytest.mark.parametrize("depth", range(1, 5))
def test_ranges_that_decide_their_own_disjunct(depth):
    """h = clamp(1 - 2 x), copied `depth` times; y <= 0 makes each of the copies 0 and with them itself true: h <= 0 must still be said."""
    bit = ShiftRequantizer(0, "floor", 0, 1)
    copies = [dense([[1]], None, bit, tensor(1, 0, 1)) for _ in range(depth)]
    asked = query(Network((dense([[-2]], [1], bit, tensor(1, 0, 1)), *copies)), AtMost(((1, y(0)),), 0))
    for encoding in ENCODINGS:
        verdict = verify(asked, engine="sat", encoding=encoding, attack=False)
        assert verdict.witness.inputs == ((1,),)
