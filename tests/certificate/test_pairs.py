"""Certificates with differences of paired layers: accepted as they are, refused where pairs are left out or others."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from certified import certify
from pairs import apart, equal_copies, linked_pair, random_pair, two
from tiny import points_of

from qbitsat.arithmetic import INT32, MultiplierRequantizer, ShiftRequantizer
from qbitsat.bounds.differences import paired
from qbitsat.bounds.intervals import propagate_paired
from qbitsat.certificate.archive import write_npz
from qbitsat.certificate.check import check
from qbitsat.certificate.differences import with_differences
from qbitsat.certificate.layout import Layout
from qbitsat.certificate.write import write
from qbitsat.errors import InputError
from qbitsat.limits import NO_LIMITS
from qbitsat.network import Linear, Network, SparseRows, TensorFormat, forward_all
from qbitsat.properties import Box, Query
from qbitsat.search.proof import Disjunction, Infeasible, Proof


def test_both_sides_make_the_same_layers_and_ranges():
    seen = 0
    for seed in range(100):
        query = random_pair(seed)
        found = paired(query)
        if found is None:
            continue
        other, differences = with_differences(query, found.pairs, NO_LIMITS)
        points = points_of(query.boxes[0])
        assert (forward_all(other.networks[0], points) == forward_all(found.query.networks[0], points)).all()
        assert [list(link) for link in differences.links] == (found.links + query.networks[0].num_inputs).tolist()
        ranges, layout = propagate_paired(found), Layout(other, NO_LIMITS, differences.links)
        assert (layout.whole.lo == ranges.lo[0]).all()
        assert (layout.whole.hi == ranges.hi[0]).all()
        seen += 1
    assert seen > 60


def test_a_value_that_a_layer_reads_twice_is_bounded_alike_on_both_sides():
    rows = SparseRows.of_matrix(np.array([[3, 1, -2]]), np.array([1]))
    steps = [(ShiftRequantizer(1, rounding, -100, 100),) for rounding in ("floor", "half_up")]
    forms = TensorFormat((3,), -9, 9), TensorFormat((1,), -100, 100)
    layers = tuple(Linear("l", *forms, step, rows) for step in steps)
    net = Network(layers, inputs=(TensorFormat((3,), -9, 9),), reads=[[0, 1, 0], [2, 1, 2]], outputs=[3, 4])
    query = Query((net,), (Box([-9] * 3, [9] * 3),), apart([1]))
    found = paired(query)
    other, differences = with_differences(query, found.pairs, NO_LIMITS)
    ranges, layout = propagate_paired(found), Layout(other, NO_LIMITS, differences.links)
    for one, twin in zip(ranges.arrays, (layout.whole.lo, layout.whole.hi, layout.whole.acc_lo, layout.whole.acc_hi), strict=True):
        assert (one[0] == twin).all()


@pytest.mark.parametrize("first", range(0, 90, 30))
def test_certificates_are_accepted(first, tmp_path):
    with_pairs = 0
    for seed in range(first, first + 30):
        options = {"tighten": (40, 0)[seed % 3 > 0], "steps": (5, 30)[seed % 2], "leaf": 16.0 if seed % 4 else 0.0, "attack": False}
        verdict, path = certify(random_pair(seed), tmp_path, engine="hybrid", seed=seed, **options)
        checked = check(path)
        assert (checked.outcome, checked.reason, checked.verdict) == ("accepted", "", verdict.verdict)
        with_pairs += bool(checked.header["proof"].get("pairs"))
    assert with_pairs > 3


@pytest.mark.parametrize("first", range(0, 60, 30))
def test_certificates_of_networks_on_linked_inputs_are_accepted(first, tmp_path):
    with_pairs = 0
    for seed in range(first, first + 30):
        query = linked_pair(seed)
        found = paired(query)
        if found is not None:
            other, differences = with_differences(query, found.pairs, NO_LIMITS)
            ranges, layout = propagate_paired(found), Layout(other, NO_LIMITS, differences.links)
            assert (layout.whole.lo == ranges.lo[0]).all()
            assert (layout.whole.acc_hi == ranges.acc_hi[0]).all()
        options = {"tighten": (40, 0)[seed % 3 > 0], "steps": (5, 30)[seed % 2], "leaf": 16.0 if seed % 4 else 0.0, "attack": False}
        verdict, path = certify(query, tmp_path, engine="hybrid", seed=seed, **options)
        checked = check(path)
        assert (checked.outcome, checked.reason, checked.verdict) == ("accepted", "", verdict.verdict), seed
        with_pairs += bool(checked.header["proof"].get("pairs"))
    assert with_pairs > 1


def single(weight, shift, output, reads):
    """A layer of one output that reads some inputs, each with the same weight."""
    step, rows = ShiftRequantizer(shift, "floor", *output), SparseRows.of_matrix(np.full((1, len(reads)), weight), np.zeros(1, np.int64))
    return Linear("l", TensorFormat((len(reads),), -4096, 4095), TensorFormat((1,), *output), (step,), rows)


@pytest.mark.parametrize("large", [(1 << 20, 28, (-100, 100)), (1, 0, INT32)])
def test_layers_whose_differences_are_too_large_are_left_out_on_both_sides(large):
    reads = [[0, 1, 2], [3, 4, 5], [1, 2], [4, 5]]
    layers = [single(*(large if len(part) == 3 else (1, 0, (-100, 100))), part) for part in reads]
    net = Network(tuple(layers), inputs=(TensorFormat((6,), -4096, 4095),), reads=reads, outputs=[6, 8, 7, 9])
    query = Query((net,), (Box([-9] * 6, [9] * 6),), apart([1, 1]))
    found = paired(query)
    assert found.pairs == ((2, 3),)
    other, differences = with_differences(query, found.pairs, NO_LIMITS)
    points = np.random.default_rng(0).integers(-9, 10, (50, 6))
    assert (forward_all(other.networks[0], points) == forward_all(found.query.networks[0], points)).all()
    assert [list(link) for link in differences.links] == (found.links + 6).tolist()


def rewritten(path, pairs):
    """The certificate with other pairs in its header."""
    with np.load(path) as archive:
        members = {name: archive[name] for name in archive.files}
    header = json.loads(members["header"].tobytes())
    header["proof"]["pairs"] = pairs
    members["header"] = np.frombuffer(json.dumps(header).encode(), np.uint8)
    with open(path, "wb") as stream:
        write_npz(stream, members)


@pytest.fixture(scope="module")
def certified(tmp_path_factory):
    """A certificate that needs its pairs, and these: they decide what no interval does."""
    verdict, path = certify(equal_copies(), tmp_path_factory.mktemp("pairs"), engine="hybrid", attack=False)
    pairs = check(path).header["proof"]["pairs"]
    assert verdict.engine == "bounds"
    assert len(pairs) > 1
    return path, pairs


@pytest.fixture
def proof(certified, tmp_path):
    """A copy of it."""
    path, pairs = certified
    for file in path.parent.iterdir():
        shutil.copy(file, tmp_path)
    return tmp_path / path.name, pairs


@pytest.mark.parametrize("forged", [[], [[0, 0]], [[0, 99]], [[-1, 2]], [[1, 0]], "swapped", "twice", "shorter"])
def test_other_pairs_are_refused(proof, forged):
    path, pairs = proof
    others = {"swapped": pairs[::-1], "twice": [*pairs, pairs[0]], "shorter": pairs[:-1]}
    rewritten(path, others[forged] if isinstance(forged, str) else forged)
    assert check(path).outcome == "refused"


@pytest.mark.parametrize("forged", ["none", 3, [[0, 1, 2]], [[0, 1.5]], [["0", 1]], {"0": 1}])
def test_what_is_no_pairs_is_no_certificate(proof, forged):
    path, _ = proof
    rewritten(path, forged)
    with pytest.raises(InputError, match="pairs"):
        check(path)


@pytest.mark.parametrize(
    ("step", "most"), [(ShiftRequantizer(0, "floor", 0, 7, "wrap", 0), 1), (MultiplierRequantizer(1 << 30, 1, "double", -40, 70000), 0)]
)
def test_pairs_of_outputs_without_steps_prove_nothing(step, most, tmp_path):
    forms, weights = (TensorFormat((1,), 0, 20), TensorFormat((1,), step.lo, step.hi)), np.array([[3]])
    copies = [Network((Linear("l", *forms, (step,), SparseRows.of_matrix(weights, np.array([bias]))),)) for bias in (0, 1)]
    query = Query((two(*copies, np.ones(1, bool)),), (Box([0], [20]),), apart([most]))
    verdict, path = certify(query, tmp_path, bounds=False)
    assert verdict.verdict == "VIOLATED"
    proof = Proof([], {0: Disjunction((1, 2)), 1: Infeasible(), 2: Infeasible()}, pairs=((0, 1),))
    write(path, query, replace(verdict, verdict="HOLDS", engine="hybrid", witness=None, proof=proof))
    checked = check(path, networks=query.networks)
    assert (checked.outcome, checked.reason) == ("refused", "node 1: the ranges are not empty and can reach every inequality")
