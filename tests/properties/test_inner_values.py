"""Inner values and accumulators in formulas: names, checks, exports, engines against enumeration, and certificates that say so."""

import io
import random

import numpy as np
import pytest
from certified import certify
from forge import Parts
from handmade import dense, tensor, whole_box
from inner import check_inner, random_terms, region

from qbitsat.arithmetic import ShiftRequantizer
from qbitsat.certificate.check import check
from qbitsat.encode import dimacs, smtlib
from qbitsat.errors import InputError, UnsupportedError
from qbitsat.network import Network, reference
from qbitsat.options import make_options
from qbitsat.properties import AtMost, Query, Ref, accumulator, at_least
from qbitsat.verify import HOLDS, VIOLATED, verify

CLAMP = ShiftRequantizer(1, "floor", 0, 9)
# Inputs 0 and 1, hidden values 2 and 3, one output, value 4.
NETWORK = Network((dense([[3, -2], [1, 1]], [1, -4], CLAMP, tensor(2)), dense([[1, -1]], None, CLAMP, tensor(2, 0, 9))), "inner")


def value(v: int) -> Ref:
    return Ref(0, "value", v)


def asked(formula) -> Query:
    return Query((NETWORK,), (whole_box(NETWORK),), formula)


@pytest.mark.parametrize("first", range(0, 120, 40))
def test_engines_and_certificates_agree_with_enumeration(first):
    assert 5 < sum(check_inner(seed) for seed in range(first, first + 40)) < 35


def test_accumulators_are_what_the_reference_computes():
    for seed in range(40):
        networks, _, values = region(random.Random(seed), 30)
        for k, (network, rows) in enumerate(zip(networks, values, strict=True)):
            row = rows[-1].tolist()
            for layer, reads in zip(network.layers, network.reads, strict=True):
                number = network.layers.index(layer)
                wanted = reference.accumulators(layer, [row[v] for v in reads.tolist()])
                for i, acc in enumerate(wanted):
                    terms, constant = accumulator(network, number, i, k)
                    assert sum(c * row[ref.element] for c, ref in terms) + constant == acc
                    assert all(ref[:2] == (k, "value") for _, ref in terms)


def test_one_name_for_each_value():
    terms = ((1, value(0)), (2, Ref(0, "input", 0)), (3, value(4)), (4, Ref(0, "output", 0)), (5, value(2)))
    named = asked(AtMost(terms, 0)).named
    assert named.coefficients() == {Ref(0, "input", 0): 3, Ref(0, "output", 0): 7, value(2): 5}


@pytest.mark.parametrize(("v", "said"), [(5, "expected an index below 5"), (-1, "expected an index below 5")])
def test_values_that_are_not_there_are_refused(v, said):
    with pytest.raises(InputError, match=said):
        asked(AtMost(((1, value(v)),), 0))


def test_sums_beyond_the_exact_range_are_refused():
    asked(AtMost((((1 << 60) // 9 - 1, value(2)),), 0))
    with pytest.raises(UnsupportedError, match=r"beyond the exact range of 2\*\*60"):
        asked(AtMost((((1 << 60) // 9 + 1, value(2)),), 0))


@pytest.mark.parametrize(("layer", "i"), [(2, 0), (-1, 0), (0, 2), (1, 1), (0.5, 0)])
def test_accumulators_that_are_not_there_are_refused(layer, i):
    with pytest.raises(InputError):
        accumulator(NETWORK, layer, i)


def test_exports_say_where_inner_values_are():
    query, options = asked(at_least(((1, value(2)), (1, value(4))), 3)), make_options(bounds=False)
    stream = io.BytesIO()
    dimacs.write(query, options, stream)
    lines = stream.getvalue().decode().splitlines()
    assert [line.split(" =")[0] for line in lines if line.startswith(("c value", "c output"))] == ["c output 0 0", "c value 0 2"]
    stream = io.BytesIO()
    smtlib.write(query, options, stream)
    assert "\n; value 0 2 = 0 + h_0_0_0\n" in stream.getvalue().decode()


def test_certificates_say_what_inner_values_are(tmp_path):
    terms, constant = accumulator(NETWORK, 0, 1)
    verdict, path = certify(asked(at_least((*terms, (0, value(3))), 27 - constant)), tmp_path)
    checked = check(path)
    assert (verdict.verdict, checked.accepted) == (HOLDS, True)
    assert "value[0] is an input" in checked.words
    assert "value[3] is output 1 of layer dense" in checked.words


def test_forged_names_of_inner_values_are_refused(tmp_path):
    """A witness of value 2 >= 9 is none of input 1 >= 9, and there is no value 9."""
    verdict, path = certify(asked(at_least(((1, value(2)),), 9)), tmp_path)
    assert verdict.verdict == VIOLATED
    forged = Parts(path)
    forged.header["query"]["violation"]["at_most"] = [[-1, 0, "value", 1]]
    assert check(forged.save(tmp_path / "forged.cert")).reason == "the witness does not make the violation true"
    forged.header["query"]["violation"]["at_most"] = [[-1, 0, "value", 9]]
    with pytest.raises(InputError, match="expected an index below 5"):
        check(forged.save(tmp_path / "forged.cert"))


def test_forged_bounds_of_accumulators_are_refused(tmp_path):
    """HOLDS of what is one more than the accumulator reaches proves nothing of what it reaches."""
    terms, constant = accumulator(NETWORK, 1, 0)
    query = asked(at_least(terms, 9 - constant))
    for engine in ("hybrid", "sat", "enumerate"):
        verdict, path = certify(query, tmp_path, engine=engine, bounds=False)
        assert verdict.verdict == HOLDS
        assert verify(asked(at_least(terms, 8 - constant))).violated
        forged = Parts(path)
        forged.header["query"]["violation"]["bound"] += 1
        assert not check(forged.save(tmp_path / "forged.cert")).accepted


def test_terms_are_of_every_kind():
    rng = random.Random(0)
    networks, _, _ = region(rng)
    assert {ref.tensor for _ in range(50) for _, ref in random_terms(rng, networks)} == {"input", "output", "value"}
    assert np.all([len(network.layers) for network in networks])
