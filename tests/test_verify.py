"""The pipeline as a whole: stages, limits, replay, and what must never become a verdict."""

import random
import time

import numpy as np
import pytest
from tiny import random_query

import qbitsat
from qbitsat.attack import Attack
from qbitsat.campaign import plan
from qbitsat.certificate.write import write
from qbitsat.errors import InputError
from qbitsat.processes import call_in_child
from qbitsat.properties import And, Box, Or, Query, replay
from qbitsat.search import portfolio
from qbitsat.solvers import sat
from qbitsat.verify import verify


def test_each_stage_decides_some_of_the_example(digits):
    network, images, labels = digits
    engines = {i: verify(qbitsat.robustness(network, images[i], 1, int(labels[i])), timeout=60).engine for i in (0, 2, 26, 40)}
    assert engines == {0: "attack", 2: "bounds", 26: "attack", 40: "hybrid"}


def test_encodings_and_switches_give_the_same_verdict(digits):
    network, images, labels = digits
    query = qbitsat.robustness(network, images[40], 1, int(labels[40]))
    for switch in (
        {"encoding": "balanced"},
        {"encoding": "linear"},
        {"attack": False},
        {"bounds": False},
        {"solver": "cadical195"},
        {"engine": "hybrid"},
    ):
        assert verify(query, **{"engine": "sat", "timeout": 60, **switch}).verdict == qbitsat.HOLDS, switch


def test_witness_of_sat_is_replayed(digits):
    network, images, labels = digits
    query = qbitsat.robustness(network, images[26], 1, int(labels[26]))
    verdict = verify(query, engine="sat", attack=False, timeout=100, encoding="balanced", solver="cadical195")
    assert (verdict.verdict, verdict.engine) == (qbitsat.VIOLATED, "sat")
    assert replay(query, verdict.witness.inputs) == verdict.witness


def test_timeout_and_conflicts_are_unknown(digits):
    network, images, labels = digits
    query = qbitsat.robustness(network, images[3], 3, int(labels[3]))
    for options, reason in (({"timeout": 1.0}, "timeout"), ({"conflicts": 10}, "conflicts")):
        verdict = verify(query, engine="sat", encoding="balanced", attack=False, bounds=False, **options)
        assert (verdict.verdict, verdict.reason, verdict.witness) == (qbitsat.UNKNOWN, reason, None)


def lying(solve, times: int):
    """A solver whose first `times` answers are assignments of nothing but false."""
    left = iter(range(times))

    def answer(clauses, num_vars, *rest, **options):
        lie = next(left, None) is not None
        return sat.SatResult(True, "", np.zeros(num_vars + 1, bool)) if lie else solve(clauses, num_vars, *rest, **options)

    return answer


@pytest.mark.parametrize("times", [1, 2, 100])
def test_assignment_that_does_not_replay_is_dropped_and_the_query_goes_on(digits, monkeypatch, times):
    network, images, labels = digits
    query = qbitsat.robustness(network, images[40], 1, int(labels[40]))
    monkeypatch.setattr(sat, "solve", lying(sat.solve, times))
    with pytest.warns(RuntimeWarning, match="does not confirm"):
        verdict = verify(query, engine="sat", encoding="substituted")
    assert verdict.statistics["unconfirmed"] == min(times, 3)
    expected = (qbitsat.UNKNOWN, "no assignment of the solver replays") if times > 2 else (qbitsat.HOLDS, "")
    assert (verdict.verdict, verdict.reason) == expected


@pytest.mark.parametrize(("encoding", "used"), [("linear", "balanced"), ("substituted", "balanced"), ("balanced", "linear")])
def test_certificate_names_the_encoding_that_was_really_used(digits, monkeypatch, tmp_path, encoding, used):
    network, images, labels = digits
    query = qbitsat.robustness(network, images[40], 1, int(labels[40]))
    monkeypatch.setattr(sat, "solve", lying(sat.solve, 1))
    with pytest.warns(RuntimeWarning, match="does not confirm"):
        verdict = verify(query, engine="sat", encoding=encoding, certificates=True)
    assert (verdict.verdict, verdict.options.encoding) == (qbitsat.HOLDS, used)
    write(tmp_path / "c.cert", query, verdict)
    assert qbitsat.check(tmp_path / "c.cert", network).accepted


def test_way_that_does_not_replay_is_dropped_and_the_query_goes_on(digits, monkeypatch):
    network, images, labels = digits
    query = qbitsat.robustness(network, images[40], 1, int(labels[40]))
    lie = lambda teams, *_: sat.SatResult(True, "", np.zeros(teams[1][0].num_vars + 1, bool), found=(1, 0))  # noqa: E731
    monkeypatch.setattr(portfolio, "_solve_teams", lie)
    with pytest.warns(RuntimeWarning, match="encoding narrowed"):
        verdict = verify(query, engine="sat")
    assert (verdict.verdict, verdict.statistics["unconfirmed"]) == (qbitsat.HOLDS, 1)


def test_attack_that_does_not_replay_is_ignored(digits, monkeypatch):
    network, images, labels = digits
    query = qbitsat.robustness(network, images[40], 1, int(labels[40]))
    module = __import__("sys").modules["qbitsat.verify"]
    monkeypatch.setattr(module, "propose", lambda *_: Attack((tuple(images[40].reshape(-1).tolist()),)))
    with pytest.warns(RuntimeWarning, match="attack"):
        assert verify(query, timeout=60).verdict == qbitsat.HOLDS


def test_bounds_that_do_not_replay_are_ignored(digits, monkeypatch):
    network, images, labels = digits
    query = qbitsat.robustness(network, images[40], 1, int(labels[40]))
    module = __import__("sys").modules["qbitsat.verify"]
    monkeypatch.setattr(module, "simplify", lambda *_: And(()))
    with pytest.warns(RuntimeWarning, match="bounds"):
        assert verify(query, timeout=60).verdict == qbitsat.HOLDS


def test_replay_refuses_inputs_outside_the_box(digits):
    network, images, _ = digits
    x = images[0].reshape(-1).astype(np.int64)
    query = Query((network,), (Box(x, x),), And(()))
    assert replay(query, (tuple(x.tolist()),)) is not None
    assert replay(query, (tuple((x + (np.arange(64) == 3)).tolist()),)) is None
    assert replay(query, (tuple(x.tolist())[:-1],)) is None


def test_formula_that_is_always_true_or_false(digits):
    network, images, _ = digits
    x = images[0].reshape(-1)
    for bounds in (True, False):
        assert verify(Query((network,), (Box(x, x),), And(())), bounds=bounds).verdict == qbitsat.VIOLATED
        assert verify(Query((network,), (Box(x, x),), Or(())), bounds=bounds).verdict == qbitsat.HOLDS


def test_same_seed_same_witness():
    for seed in range(30):
        query = random_query(random.Random(seed))
        assert verify(query, seed=7).witness == verify(query, seed=7).witness


def test_unknown_options_are_refused(digits):
    network, images, _ = digits
    query = qbitsat.robustness(network, images[0], 1, 2)
    for options in ({"solver": "minisat99"}, {"encodings": "linear"}, {"timeout": -1}, {"engine": "magic"}):
        with pytest.raises(InputError, match="expected"):
            verify(query, **options)


def burn(seconds: float) -> sat.SatResult:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass
    return sat.SatResult(None, "conflicts")


def test_cpu_seconds_count_this_process_and_its_children(digits, monkeypatch):
    network, images, labels = digits

    def busy(encoding, options, limits):
        burn(0.3)
        return call_in_child(limits, burn, 0.4), None

    monkeypatch.setattr(portfolio, "solve_encoding", busy)
    verdict = verify(qbitsat.robustness(network, images[40], 1, int(labels[40])), engine="sat", attack=False)
    assert (verdict.verdict, verdict.reason) == (qbitsat.UNKNOWN, "conflicts")
    assert verdict.cpu_seconds >= 0.69


# --- the words of a verdict ---


def test_wrong_label_is_misclassified_as_on_the_command_line(digits):
    network, images, labels = digits
    right = int(labels[2])
    verdict = verify(qbitsat.robustness(network, images[2], 1, right + 1))
    assert (verdict.verdict, verdict.reason) == (qbitsat.MISCLASSIFIED, f"the network says {right}, the label is {right + 1}")
    assert (verdict.witness, verdict.holds, verdict.violated, verdict.unknown) == (None, False, False, False)


def test_target_that_is_the_label_is_skipped(digits):
    network, images, labels = digits
    right = int(labels[2])
    verdict = verify(qbitsat.robustness(network, images[2], 1, right, right))
    assert (verdict.verdict, verdict.reason) == (qbitsat.SKIPPED, "the label is the target")
    assert verify(qbitsat.robustness(network, images[2], 1, right + 1, right)).verdict == qbitsat.MISCLASSIFIED


def test_same_words_in_python_and_in_a_campaign(digits):
    network, images, labels = digits
    wrong = (labels + (np.arange(len(labels)) % 3 == 0)) % 10
    for target in (None, 3):
        for task in plan(network, images.reshape(50, 64).astype(np.int64), wrong, range(50), [0], target):
            verdict = verify(qbitsat.robustness(network, task.x, task.eps, task.label, task.target))
            if task.settled is None:
                assert verdict.verdict not in (qbitsat.MISCLASSIFIED, qbitsat.SKIPPED)
            else:
                assert (verdict.verdict, verdict.reason) == (task.settled.verdict, task.settled.reason)


def test_verdict_has_no_truth_value():
    for word in (qbitsat.HOLDS, qbitsat.VIOLATED, qbitsat.UNKNOWN):
        verdict = qbitsat.Verdict(word)
        with pytest.raises(TypeError, match=r"\.holds, \.violated or \.unknown"):
            bool(verdict)
        assert (verdict.holds, verdict.violated, verdict.unknown) == tuple(word == other for other in ("HOLDS", "VIOLATED", "UNKNOWN"))
