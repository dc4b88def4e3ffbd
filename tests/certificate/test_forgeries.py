"""Certificates that do not prove what they say: all refused, with the place and the reason."""

import numpy as np
import pytest
from certified import certify
from deep import deep_query
from forge import Parts, outcome, reason
from forge_proofs import packed
from handmade import copying

from qbitsat.certificate.check import Checked
from qbitsat.network import reference
from qbitsat.properties import AtMost, Box, Query, Ref, robustness
from qbitsat.properties.formula import OUTPUT
from qbitsat.verify import verify

SPLIT, DISJUNCTION, MULTIPLIERS, INFEASIBLE, REFUTATION = range(5)


def refused(path, why: str) -> bool:
    """Read, and refused for this reason."""
    said = outcome(path)
    assert isinstance(said, Checked), said
    assert why in said.reason, said.reason
    return not said.accepted


def position(parts: Parts, kind: int, number: int = 0) -> int:
    """The node that is the number-th of its kind."""
    return int(np.flatnonzero(parts.arrays["kinds"] == kind)[number])


def without(array: np.ndarray, i: int) -> np.ndarray:
    return np.delete(array, i, axis=0)


# --- the query ---


def test_larger_eps_under_the_same_proof(parts, forged):
    for kind, why in (("tree", "node"), ("sat", "CNF has hash"), ("bounds", "a disjunction is split, but none waits"), ("leaf", "")):
        changed = parts(kind)
        changed.header["query"]["eps"] += 3
        assert reason(forged(changed)) != "", why


def test_another_sample_under_the_same_proof(parts, forged):
    changed = parts("sat")
    changed.arrays["x"] = (changed.arrays["x"] + 1) % 14
    assert refused(forged(changed), "CNF has hash")


def test_another_label_under_the_same_proof(parts, forged):
    for kind in ("tree", "sat", "bounds"):
        changed = parts(kind)
        changed.header["query"]["label"] = (changed.header["query"]["label"] + 1) % 3
        assert reason(forged(changed)) != ""


def test_another_formula_under_the_same_proof(parts, forged):
    changed = parts("formula")
    changed.header["query"]["violation"] = {"not": changed.header["query"]["violation"]}
    assert refused(forged(changed), "CNF has hash")


def test_another_hash_of_the_network(parts, forged):
    changed = parts("tree")
    changed.header["networks"][0]["sha256"] = "0" * 64
    assert refused(forged(changed), "network 0 has hash 0000000000000000...")


@pytest.mark.parametrize(("kind", "verdict"), [("tree", "VIOLATED"), ("sat", "VIOLATED"), ("witness", "HOLDS"), ("tree", "UNKNOWN")])
def test_another_verdict(parts, forged, kind, verdict):
    changed = parts(kind)
    changed.header["verdict"] = verdict
    assert refused(forged(changed), f"the verdict is '{verdict}', the proof is one of")


# --- witnesses ---


def test_witness_outside_the_region(parts, forged):
    changed = parts("witness")
    changed.arrays["inputs.0"] = changed.arrays["inputs.0"].astype(np.int64)
    changed.arrays["inputs.0"][2] = changed.arrays["x"][2] + changed.header["query"]["eps"] + 1
    assert refused(forged(changed), "input 2 of network 0 is")


def test_witness_with_other_outputs(parts, forged):
    changed = parts("witness")
    changed.arrays["outputs.0"][1] ^= 1
    assert refused(forged(changed), "output 1 of network 0 is")


def test_witness_that_breaks_nothing(parts, forged):
    changed = parts("witness")
    query = deep_query(changed.header["query"]["sample"])
    changed.arrays["inputs.0"] = query.origin.x
    changed.arrays["outputs.0"] = np.array(reference.run(query.networks[0], query.origin.x.tolist()))
    assert refused(forged(changed), "does not make the violation true")


def test_witness_that_ties_the_wrong_way(tmp_path):
    """Outputs that tie are class 0; a witness of class 1 must be strictly above."""
    network, x = copying(2), np.array([5, 5])
    _, path = certify(robustness(network, x, 1, 0), tmp_path)
    tied = Parts(path)
    tied.arrays["inputs.0"] = tied.arrays["outputs.0"] = np.array([6, 6])
    assert refused(tied.save(path), "does not make the violation true")


def test_witness_with_other_true_inequalities(parts, forged):
    changed = parts("witness")
    changed.header["proof"]["true_atoms"] = [0, 1, 2, 3]
    assert refused(forged(changed), "not those that the certificate lists")


# --- trees ---


def test_dropped_leaf(parts, forged):
    changed = parts("tree")
    changed.arrays["kinds"] = without(changed.arrays["kinds"], position(changed, INFEASIBLE))
    assert refused(forged(changed), "node")


def test_last_leaf_dropped(parts, forged):
    changed = parts("bounds")
    changed.arrays["kinds"] = changed.arrays["kinds"][:0]
    assert refused(forged(changed), "the tree ends with 1 open nodes")


def test_node_behind_the_end(parts, forged):
    changed = parts("tree")
    changed.arrays["kinds"] = np.append(changed.arrays["kinds"], np.uint8(INFEASIBLE))
    assert refused(forged(changed), "stands behind the end of the tree")


def test_leaf_that_closes_nothing(parts, forged):
    for kind, number in (("tree", MULTIPLIERS), ("leaf", REFUTATION)):
        changed = parts(kind)
        changed.arrays["kinds"][position(changed, number)] = INFEASIBLE
        assert refused(forged(changed), "can reach every inequality")


def test_split_elsewhere(parts, forged):
    """No split leaves a gap, because both halves are made from it; but leaves prove nothing about other halves."""
    refusals = 0
    for shift in (-3, -2, -1, 1, 2, 3):
        changed = parts("leaf")
        changed.arrays["split_at"] = changed.arrays["split_at"].astype(np.int64) + shift
        refusals += reason(forged(changed)) != ""
    assert refusals == 6


def test_split_of_a_value_that_is_not_there(parts, forged):
    for value in (-(10**6), 10**6):
        changed = parts("tree")
        changed.arrays["split_value"] = np.full(len(changed.arrays["split_value"]), value)
        assert refused(forged(changed), f"splits value {value}")


def test_multipliers_off_by_much(parts, forged):
    changed = parts("tree")
    changed.arrays["rows.values"] = -changed.arrays["rows.values"]
    assert refused(forged(changed), "the multipliers give a bound of")


def test_multipliers_off_by_one_where_one_decides(tmp_path):
    """x0 + x1 <= 9 with y_i = x_i in [5, 15]: share 1 and multipliers of 1 give 9 - 10 = -1, nothing less does."""
    network = copying(2)
    query = Query((network,), (Box(np.array([5, 5]), np.array([15, 15])),), AtMost(((1, Ref(0, OUTPUT, 0)), (1, Ref(0, OUTPUT, 1))), 9))
    assert verify(query).verdict == "HOLDS"
    _, path = certify(query, tmp_path, engine="hybrid", bounds=False)
    changed = Parts(path)
    changed.header["options"]["bounds"] = False
    changed.arrays.update(kinds=np.array([MULTIPLIERS], np.uint8), shares=np.array([1]))
    changed.arrays |= {"rows.starts": np.array([0, 2]), "rows.neurons": np.array([0, 1]), "rows.values": np.array([-1, -1])}
    assert outcome(changed.save(path)).accepted
    changed.header["query"]["violation"]["bound"] += 1
    assert refused(changed.save(path), "a bound of 0, expected one below 0")


def test_no_multipliers_prove_nothing(parts, forged):
    changed = parts("tree")
    changed.arrays["shares"] = np.zeros_like(changed.arrays["shares"])
    changed.arrays["rows.values"] = np.zeros_like(changed.arrays["rows.values"])
    assert refused(forged(changed), "a bound of 0, expected one below 0")


def test_negative_share(parts, forged):
    changed = parts("tree")
    changed.arrays["shares"] = -1 - changed.arrays["shares"].astype(np.int64)
    assert refused(forged(changed), "a share of an inequality is negative")


def test_multipliers_beyond_64_bits_of_sums(parts, forged):
    changed = parts("tree")
    changed.arrays["rows.values"] = np.full(changed.arrays["rows.values"].shape, np.iinfo(np.int64).min)
    assert refused(forged(changed), "the multipliers give a bound of")


def test_fact_too_tight(parts, forged):
    for name, value in (("fact_bound", -1), ("fact_bound", -50)):
        changed = parts("leaf")
        changed.arrays[name] = changed.arrays[name].astype(np.int64) + value
        assert refused(forged(changed), "is claimed, the multipliers prove")


def test_fact_too_tight_by_one(parts, forged):
    """Each by itself: what a fact claims is the best that its multipliers prove."""
    for k in range(len(parts("leaf").arrays["fact_bound"])):
        changed = parts("leaf")
        changed.arrays["fact_bound"] = changed.arrays["fact_bound"].astype(np.int64)
        changed.arrays["fact_bound"][k] -= 1
        assert refused(forged(changed), f"fact {k}: ")


def test_fact_of_odd_kinds(parts, forged):
    for name, value, why in (("fact_side", 2, "side 2"), ("fact_scale", 0, "scale 0"), ("fact_neuron", -1, "neuron -1")):
        changed = parts("leaf")
        changed.arrays[name] = np.full(len(changed.arrays[name]), value)
        assert refused(forged(changed), why)


def test_unused_entries(parts, forged):
    for name in ("split_value", "shares"):
        changed = parts("tree")
        for each in ("split_value", "split_at") if name == "split_value" else (name,):
            changed.arrays[each] = np.append(changed.arrays[each], 1)
        assert refused(forged(changed), "the tree uses")


def test_missing_entries(parts, forged):
    for name in ("shares", "rows"):
        changed = parts("tree")
        if name == "rows":
            last = changed.arrays["rows.starts"][-2]
            changed.arrays |= {f"rows.{part}": changed.arrays[f"rows.{part}"][:last] for part in ("neurons", "values")}
            name = "rows.starts"
        changed.arrays[name] = changed.arrays[name][:-1]
        assert refused(forged(changed), "the file has only")


def test_tree_that_goes_down_forever(parts, forged):
    changed = parts("leaf")
    n = 6000
    changed.arrays["kinds"] = np.zeros(n, np.uint8)
    changed.arrays["split_value"], changed.arrays["split_at"] = np.full(n, 4), np.full(n, 10)
    assert refused(forged(changed), "deeper than 5000")


# --- SAT ---


def test_hash_of_another_cnf(parts, forged):
    changed = parts("sat")
    changed.header["proof"]["cnf_sha256"] = "00" * 32
    assert refused(forged(changed), "the proof is of 0000000000000000...")


def test_proof_of_another_cnf(parts, forged):
    changed = parts("sat")
    changed.arrays["lrat.0"] = parts("wrap").arrays["lrat.0"]
    assert refused(forged(changed), "LRAT proof")


def test_other_encoding_than_the_proof_is_of(parts, forged):
    changed = parts("sat")
    changed.header["options"]["encoding"] = "linear"
    assert refused(forged(changed), "CNF has hash")


def test_unknown_encoding(parts, forged):
    changed = parts("sat")
    changed.header["options"]["encoding"] = "magic"
    assert refused(forged(changed), "encoding 'magic' is unknown here")


@pytest.mark.parametrize("kind", ["sat", "leaf"])
def test_truncated_proof(parts, forged, kind):
    changed = parts(kind)
    name = max((n for n in changed.arrays if n.startswith("lrat")), key=lambda n: len(changed.arrays[n]))
    changed.arrays[name] = changed.arrays[name][: len(changed.arrays[name]) // 2]
    assert reason(forged(changed)) != ""


def test_empty_proof(parts, forged):
    changed = parts("sat")
    changed.arrays["lrat.0"] = changed.arrays["lrat.0"][:0]
    assert refused(forged(changed), "cut off")
    changed.arrays["lrat.0"] = np.frombuffer(packed([]), np.uint8)
    assert refused(forged(changed), "never derives the empty clause")


def test_proof_that_only_claims_the_empty_clause(parts, forged):
    changed = parts("sat")
    changed.arrays["lrat.0"] = np.frombuffer(packed([([], [0])]), np.uint8)
    assert refused(forged(changed), "is not false, as that of the last hint must be")


def test_sat_leaf_without_its_proof(parts, forged):
    changed = parts("leaf")
    changed.header["proof"]["cnf_sha256"] = []
    del changed.arrays["lrat.0"]
    for name in [n for n in changed.arrays if n.startswith("lrat")]:
        del changed.arrays[name]
    assert refused(forged(changed), "the file has only 0 sats")
