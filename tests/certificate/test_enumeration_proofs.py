"""HOLDS by enumeration: the checker's own run of all points, against the search's and against brute force."""

import random

import numpy as np
import pytest
from certified import certify
from handmade import copying, one_layer, query, tensor, x, y
from raw import raw_query
from tiny import all_values, busy_query, random_query, truths

from qbitsat.arithmetic import ShiftRequantizer
from qbitsat.certificate import enumeration
from qbitsat.certificate.check import check
from qbitsat.certificate.enumeration import check_enumeration
from qbitsat.certificate.reading import Refused
from qbitsat.certificate.write import write
from qbitsat.importers import save
from qbitsat.limits import LimitReached, Limits
from qbitsat.network import Dense, Network
from qbitsat.options import make_options
from qbitsat.properties import And, AtMost, Box, Not, Or, Query, Ref
from qbitsat.properties.formula import INPUT, OUTPUT
from qbitsat.search.proof import Enumerated
from qbitsat.verify import HOLDS, Verdict

KINDS = (random_query, raw_query, busy_query)


def holds(asked: Query) -> bool:
    try:
        check_enumeration(asked, Limits())
    except Refused as refused:
        if "the violation is true at inputs" not in str(refused):
            raise
        return False
    return True


@pytest.mark.parametrize("block", range(6))
def test_checker_agrees_with_brute_force(block, monkeypatch):
    for seed in range(60 * block, 60 * block + 60):
        asked = KINDS[seed % 3](random.Random(seed))
        monkeypatch.setattr(enumeration, "BATCH_NUMBERS", (1, 50, 1 << 21)[seed % 3])
        assert holds(asked) != truths(asked.violation, *all_values(asked.networks, asked.boxes)).any(), seed


@pytest.mark.parametrize("block", range(2))
def test_certificates_by_enumeration_are_accepted(block, tmp_path):
    found = 0
    for seed in range(60 * block, 60 * block + 60):
        verdict, path = certify(KINDS[seed % 3](random.Random(seed)), tmp_path, engine="enumerate", attack=False, bounds=seed % 4 == 0)
        checked = check(path)
        assert (checked.accepted, checked.verdict) == (True, verdict.verdict), checked.reason
        found += verdict.verdict == HOLDS and verdict.engine == "enumerate"
    assert found > 3


def test_certificate_of_a_violated_query_is_refused(tmp_path):
    """Forged: the writer is told that all points were run."""
    network = copying(3)
    asked = query(network, AtMost(((-1, y(0)), (-1, y(1)), (-1, y(2))), -45))
    save(network, tmp_path / "network.npz")
    forged = Verdict(HOLDS, engine="enumerate", proof=Enumerated(), options=make_options(certificates=True))
    write(tmp_path / "forged.cert", asked, forged)
    checked = check(tmp_path / "forged.cert", networks=[network])
    assert (checked.accepted, checked.reason) == (False, "the violation is true at inputs [[15, 15, 15]]")


def tie(a: Ref, b: Ref, d: int) -> And:
    """a = b + d."""
    return And((AtMost(((1, a), (-1, b)), d), AtMost(((1, b), (-1, a)), -d)))


def test_every_violated_point_is_met_through_links():
    """Two copies with inputs tied with offsets, chained, negated, of one value or none: the only violated point is always found."""
    rng = random.Random(5)
    refs = [Ref(k, INPUT, i) for k in range(2) for i in range(3)]
    networks, boxes = (copying(3, -3, 3),) * 2, (Box([-3] * 3, [3] * 3),) * 2
    for _ in range(150):
        point = [rng.randint(-3, 3) for _ in refs]
        parts = []
        for _ in range(rng.randint(0, 7)):
            a, b = rng.sample(range(6), 2)
            parts.append(
                rng.choice(
                    [
                        tie(refs[a], refs[b], point[a] - point[b]),
                        Not(
                            Or((AtMost(((1, refs[a]), (-1, refs[b])), point[a] - point[b] - 1), Not(AtMost(((2, refs[a]),), 2 * point[a]))))
                        ),
                        AtMost(((-3, refs[a]),), -3 * point[a] + rng.randint(0, 2)),
                        AtMost(((2, refs[a]),), 2 * point[a] + rng.randint(0, 1)),
                    ]
                )
            )
        only = [tie(Ref(ref.network, OUTPUT, ref.element), Ref(ref.network, OUTPUT, ref.element), 0) for ref in refs[:1]]
        for ref, value in zip(refs, point, strict=True):
            out = Ref(ref.network, OUTPUT, ref.element)
            only += [AtMost(((1, out),), value), AtMost(((-1, out),), -value)]
        assert not holds(Query(networks, boxes, And((*parts, *only))))
        assert holds(Query(networks, boxes, And((*parts, *only, AtMost(((1, refs[0]),), point[0] - 1)))))


def test_links_keep_the_number_of_points_small():
    networks, boxes = (copying(4),) * 2, (Box([0] * 4, [15] * 4),) * 2
    same = tuple(tie(Ref(0, INPUT, i), Ref(1, INPUT, i), 0) for i in range(1, 4))
    region = enumeration._Region(Query(networks, boxes, And((*same, AtMost(((1, Ref(0, INPUT, 1)),), 3)))))
    assert region.num_points == 16 * 16 * 4 * 16 * 16


def test_too_many_points_are_refused_and_far_zero_points_are_exact():
    with pytest.raises(Refused, match="18446744073709551616 points"):
        check_enumeration(query(copying(16), AtMost(((1, y(0)),), -1)), Limits())
    form = tensor(2, 0, 3, zero_point=(1 << 31) - 1)
    weights, bias = np.array([[1, -1]] * 2) * ((1 << 31) - 1), np.zeros(2, np.int64)
    layer = Dense("far", form, tensor(2, 0, 1), (ShiftRequantizer(0, "floor", 0, 1),), weights, bias)
    check_enumeration(query(Network((layer,)), AtMost(((1, y(0)),), -1)), Limits())
    assert not holds(query(Network((layer,)), AtMost(((-1, y(0)),), -1)))


def test_limits_of_the_checker_hold():
    network = one_layer(np.full((2, 6), 2), None, ShiftRequantizer(0, "floor", 0, 1000), tensor(6))
    asked = query(network, And((AtMost(((1, y(0)),), 71), AtMost(((-1, y(0)),), -71), AtMost(((1, x(0)),), 100))))
    with pytest.raises(LimitReached, match="timeout"):
        check_enumeration(asked, Limits(timeout=0.3))
