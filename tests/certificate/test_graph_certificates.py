"""Certificates of graphs: every engine's are accepted, and forged ones are refused with a word on what differs."""

import random
from dataclasses import replace

import numpy as np
import pytest
from certified import certify
from forge import Parts
from graphs import TOPS, WIDE, graph_box, graph_query, random_graph
from tiny import all_values, least_formula, truths

from qbitsat.arithmetic import MultiplierRequantizer, TableRequantizer
from qbitsat.certificate.check import Checked, check
from qbitsat.certificate.enumeration import check_enumeration
from qbitsat.certificate.reading import Refused
from qbitsat.errors import UnsupportedError
from qbitsat.limits import NO_LIMITS
from qbitsat.network import Convolution, Dense, Layer, Linear, Network, Patches, TensorFormat
from qbitsat.properties import Box, Or, Query
from qbitsat.verify import HOLDS


def tight_query(seed: int) -> Query:
    """A sum of outputs that is just out of reach, or reached at few points."""
    rng = random.Random(seed)
    network = random_graph(rng, tops=WIDE if seed % 2 else TOPS)
    box = graph_box(rng, network, 100)
    _, (outputs,) = all_values([network], [box])
    if outputs.shape[1] < 2 or np.abs(outputs).max() > 1 << 40:
        return tight_query(seed + 1000)
    return Query((network,), (box,), least_formula(rng, outputs))


def holds(query: Query) -> bool:
    return not truths(query.violation, *all_values(query.networks, query.boxes)).any()


@pytest.mark.parametrize("seed", range(0, 60, 6))
def test_certificates_of_every_engine_are_accepted(seed, tmp_path):
    for k in range(seed, seed + 6):
        query = tight_query(k) if k % 3 else graph_query(random.Random(k))
        for engine in ("hybrid", "sat", "enumerate"):
            verdict, path = certify(query, tmp_path, engine=engine, attack=k % 2 > 0, bounds=k % 5 > 0, steps=5)
            checked = check(path, query.networks)
            assert (checked.reason, checked.verdict) == ("", verdict.verdict)
            assert (verdict.verdict == HOLDS) == holds(query)


@pytest.mark.parametrize("seed", range(0, 60, 12))
def test_enumeration_of_graphs_agrees_with_brute_force(seed):
    for k in range(seed, seed + 12):
        query = tight_query(k) if k % 2 else graph_query(random.Random(k))
        if holds(query):
            check_enumeration(query, NO_LIMITS)
        else:
            with pytest.raises(Refused, match="the violation is true at inputs"):
                check_enumeration(query, NO_LIMITS)


# --- forgeries: the certificate is of one network, and another one is said to be it ---


def shapes() -> tuple[TensorFormat, TensorFormat]:
    return TensorFormat((3, 3, 1), -4, 3, zero_point=-1), TensorFormat((3, 3, 1), -8, 7)


def network(form: str = "double", first: int = 0, top: int = 1, entry: int = 2, turned: bool = False) -> Network:
    """A convolution, a table over its outputs, and sums of shifted pairs."""
    source, middle = shapes()
    rows, columns = (top, 2 - top), (1, 1)
    kernel = np.arange(-4, 5).reshape(1, 3, 3, 1)
    conv = Convolution("conv", source, middle, (MultiplierRequantizer(3 << 28, -1, form, -8, 7),), kernel, [1], padding=(rows, columns))
    table = TableRequantizer(-8, (-5, *[-2] * 6, *[0] * 3, *[entry] * 4, 4, 6))
    ones = Patches(9, np.arange(9), np.zeros(1, int), 0, np.ones((1, 1, 1), int), np.zeros((1, 1), int))
    step = Linear("table", middle, TensorFormat((9,), -5, 6), (table,), ones)
    pairs = Patches(9, np.array([first, 3]), np.array([0, 2, 4]), 0, np.array([[[1, -2, 1]]]), np.array([[0]]))
    last = Linear(
        "pairs", TensorFormat((9,), -5, 6), TensorFormat((2,), -99, 99), (MultiplierRequantizer(1 << 30, 1, "half_up", -99, 99),), pairs
    )
    order = np.arange(18, 27)
    reads = (np.arange(9), np.arange(9, 18), order[::-1].copy() if turned else order)
    return Network((conv, step, last), "forged", reads=reads, inputs=(source,))


CHANGES = {
    "runtime": {"form": "half_up_twice"},
    "patch": {"first": 1},
    "padding": {"top": 0},
    "table": {"entry": 3},
    "reads": {"turned": True},
}


@pytest.fixture(scope="module", params=["tree", "enumeration"])
def good(request, tmp_path_factory):
    """A certificate of a HOLDS of the network, and its query."""
    asked, box = network(), np.zeros(9, np.int64)
    wide = Box(np.where(np.arange(9) % 4 == 0, -2, box), np.where(np.arange(9) % 4 == 0, 2, box))
    _, (outputs,) = all_values([asked], [wide])
    rng = random.Random(3)
    query = Query((asked,), (wide,), least_formula(rng, outputs))
    while not (holds(query) and any(not holds(replace(query, networks=(network(**change),))) for change in CHANGES.values())):
        query = Query((asked,), (wide,), least_formula(rng, outputs))
    engine = {"tree": "hybrid", "enumeration": "enumerate"}[request.param]
    verdict, path = certify(query, tmp_path_factory.mktemp("good"), engine=engine, attack=False)
    assert verdict.verdict == HOLDS
    return query, path


@pytest.mark.parametrize("change", CHANGES)
def test_another_network_under_the_same_certificate_is_refused(good, change):
    query, path = good
    assert check(path, query.networks).accepted
    other = network(**CHANGES[change])
    said = check(path, [other])
    assert (said.accepted, said.reason.split(",")[0]) == (False, f"network 0 has hash {query.networks[0].sha256[:16]}...")


@pytest.mark.parametrize("change", CHANGES)
def test_a_certificate_with_the_hash_of_another_network_proves_nothing_wrong(good, change, tmp_path):
    """With the other's hash in its header it is accepted only if what it says is true, too."""
    query, path = good
    other, forged = network(**CHANGES[change]), Parts(path)
    forged.header["networks"][0]["sha256"] = other.sha256
    said = check(forged.save(tmp_path / "forged.cert"), [other])
    assert isinstance(said, Checked)
    assert not said.accepted or holds(replace(query, networks=(other,)))


def test_hashes_tell_all_changes_apart():
    assert len({network(**change).sha256 for change in ({}, *CHANGES.values())}) == 6


def test_enumeration_refuses_a_layer_of_ones_own_kind():
    class Mine(Dense):
        pass

    form = TensorFormat((1,), 0, 1)
    layer: Layer = Mine("mine", form, form, (TableRequantizer(0, (0, 1)),), [[1]], [0])
    with pytest.raises(UnsupportedError, match="layer 'mine': no inference of a layer of kind Mine"):
        check_enumeration(Query((Network((layer,)),), (Box([0], [1]),), Or(())), NO_LIMITS)
