"""Good certificates are accepted, by the library and by the command."""

import pickle
import random
from dataclasses import replace

import numpy as np
import pytest
from certified import certify, check_engines
from deep import deep_query
from forge import RECIPES, Parts, outcome, reason
from handmade import copying
from tiny import random_query

import qbitsat
from qbitsat.certificate.check import REFUSED, check
from qbitsat.certificate.write import Source, write
from qbitsat.errors import InputError
from qbitsat.importers import save
from qbitsat.options import ENCODINGS, ENGINES, SOLVERS
from qbitsat.properties import robustness
from qbitsat.search import shared
from qbitsat.solvers.sat import SatResult
from qbitsat.solvers.smt.base import Answer
from qbitsat.verify import HOLDS, verify


@pytest.mark.parametrize("kind", RECIPES)
def test_good_certificate_is_accepted(goods, kind):
    checked = check(goods[kind])
    assert (checked.accepted, checked.reason) == (True, "")
    assert checked.verdict == ("VIOLATED" if kind == "witness" else "HOLDS")


@pytest.mark.parametrize("block", range(4))
def test_every_engine_certifies_tiny_queries(block):
    for seed in range(40 * block, 40 * block + 40):
        for checked in check_engines(random_query(random.Random(seed)), seed):
            assert checked.accepted, (seed, checked.reason)


@pytest.mark.parametrize("block", range(4))
def test_search_certifies_deep_queries(block):
    for seed in range(25 * block, 25 * block + 25):
        for checked in check_engines(deep_query(seed), seed, ("hybrid",)):
            assert checked.accepted, (seed, checked.reason)


def test_check_gives_the_query_that_is_proved(goods, parts):
    checked, header = check(goods["tree"]), parts("tree").header
    query = deep_query(header["query"]["sample"])
    assert checked.query.violation == query.violation
    assert np.array_equal(checked.query.boxes[0].lo, query.boxes[0].lo)


@pytest.mark.parametrize("solver", [s for s in SOLVERS if not s.startswith("kissat")])
def test_proof_of_every_solver_is_accepted(tmp_path, solver):
    for seed in (198, 4):
        verdict, path = certify(deep_query(seed), tmp_path, engine="sat", encoding="balanced", solver=solver, attack=False)
        assert (verdict.verdict, reason(path)) == (HOLDS, "")


def test_solver_without_proofs_is_unknown():
    verdict = verify(deep_query(198), engine="sat", encoding="balanced", solver="kissat404", certificates=True, attack=False)
    assert (verdict.verdict, verdict.reason) == ("UNKNOWN", "solver: kissat404 gives no proofs")


@pytest.mark.parametrize("engine", ["hybrid", "sat"])
def test_certificates_do_not_change_verdicts(engine):
    for seed in range(30):
        query = random_query(random.Random(seed))
        plain, certified = (verify(query, engine=engine, certificates=wanted) for wanted in (False, True))
        assert (plain.verdict, plain.engine, plain.witness) == (certified.verdict, certified.engine, certified.witness)
        assert plain.proof is None


def test_verdict_without_proof_can_not_be_written(tmp_path):
    query = deep_query(4)
    with pytest.raises(InputError, match="HOLDS without a proof"):
        write(tmp_path / "x.cert", query, verify(query, attack=False))
    assert not list(tmp_path.iterdir())


ASKED = {"HOLDS": robustness(copying(2), [9, 3], 1, 0), "VIOLATED": robustness(copying(2), [9, 3], 6, 0), "deep": deep_query(198)}


@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize("bounds", [True, False])
@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("engine", ENGINES)
def test_what_verify_answers_is_written_with_its_options(tmp_path, asked, bounds, encoding, engine):
    query = ASKED[asked]
    for network in query.networks:
        save(network, tmp_path / "network.npz")
    verdict = verify(query, certificates=True, encoding=encoding, bounds=bounds, engine=engine, attack=False)
    verdict = pickle.loads(pickle.dumps(verdict))
    write(tmp_path / "x.cert", query, verdict, [Source(str(tmp_path / "network.npz"))])
    checked = check(tmp_path / "x.cert", query.networks)
    assert (checked.accepted, checked.reason, checked.verdict) == (True, "", verdict.verdict)
    assert (checked.header["options"]["encoding"], checked.header["options"]["bounds"]) == (encoding, bounds)


def test_verdict_without_options_can_not_be_written(tmp_path):
    query = ASKED["HOLDS"]
    with pytest.raises(InputError, match="without its options"):
        write(tmp_path / "x.cert", query, replace(verify(query, certificates=True), options=None))
    assert not list(tmp_path.iterdir())


def test_results_have_no_truth_value(goods):
    checked = check(goods["tree"])
    for result in (checked, replace(checked, outcome=REFUSED)):
        with pytest.raises(TypeError, match=r"ask for \.accepted"):
            bool(result)
    with pytest.raises(TypeError, match=r"ask for \.satisfiable"):
        bool(SatResult(False))
    with pytest.raises(TypeError, match=r"ask for \.status"):
        bool(Answer("unsat"))


def test_same_verdict_same_bytes(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
    paths = [certify(deep_query(198), tmp_path / name, attack=False)[1] for name in "ab"]
    first, second = (Parts(path) for path in paths)
    first.header["networks"] = second.header["networks"]
    assert first.header == second.header
    assert all(np.array_equal(array, second.arrays[name]) for name, array in first.arrays.items())


# --- networks ---


def test_network_given_wins_over_the_one_named(goods, parts, forged):
    changed, named = parts("tree"), parts("tree").header["networks"][0]["path"]
    changed.header["networks"][0]["path"] = "/nowhere/network.npz"
    path = forged(changed)
    assert "can't be read" in reason(path)
    assert outcome(path, networks=[named]).accepted


def test_network_is_found_beside_the_certificate(parts, tmp_path):
    changed = parts("tree")
    network = qbitsat.load(changed.header["networks"][0]["path"])
    changed.header["networks"][0]["path"] = "elsewhere/network.npz"
    qbitsat.save(network, tmp_path / "network.npz")
    assert outcome(changed.save(tmp_path / "beside.cert")).accepted


def test_certificate_without_a_path_needs_a_network(parts, forged):
    changed = parts("tree")
    changed.header["networks"][0]["path"] = None
    assert "expected --network FILE" in reason(forged(changed))


def test_another_network_is_refused(goods, parts):
    other = parts("sat").header["networks"][0]["path"]
    assert "has hash" in outcome(goods["tree"], networks=[other]).reason


def test_time_limit(goods):
    assert "the time limit" in outcome(goods["tree"], timeout=1e-9).reason


def test_search_of_several_processes_is_certified(tmp_path, monkeypatch):
    """Proofs of SAT leaves go through pipes."""
    monkeypatch.setattr("qbitsat.search.shared.SHARE", 1)
    options = {"engine": "hybrid", "attack": False, "jobs": 2, "batch": 2, "steps": 5, "refine": False}
    for seed in (7, 27):
        verdict, path = certify(deep_query(seed), tmp_path, **options)
        assert max(verdict.proof.nodes) >= shared.IDS
        assert (verdict.verdict, reason(path)) == (HOLDS, "")
