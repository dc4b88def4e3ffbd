"""A query that is watched, cancelled and logged."""

import gc
import logging
import sys
import threading
import time
from dataclasses import FrozenInstanceError

import pytest

import qbitsat
from qbitsat.attack import Attack
from qbitsat.search import Search
from qbitsat.verify import verify

# The search of the example's sample 3 at eps 4 takes longer than any test.
OPEN = {"attack": False, "anneal": False, "rounding": False}


@pytest.fixture(scope="module")
def long_query():
    network, (x, label) = qbitsat.load(qbitsat.examples.network_path()), qbitsat.examples.sample(3)
    return qbitsat.robustness(network, x, 4, label)


# Options under which each stage works for long.
BY_SAT = {"engine": "sat", "encoding": "balanced", "attack": False, "bounds": False}
LONG = {
    "hybrid": {"engine": "hybrid", **OPEN},
    "shared": {"engine": "hybrid", "jobs": 2, **OPEN},
    "sat": BY_SAT,
    "sat-certificates": {"certificates": True, **BY_SAT},
}


@pytest.mark.parametrize("options", LONG.values(), ids=LONG)
def test_cancel_from_another_thread_ends_the_query(long_query, options):
    cancel = threading.Event()
    at: list[float] = []
    timer = threading.Timer(0.2, lambda: (at.append(time.monotonic()), cancel.set()))
    timer.start()
    verdict = verify(long_query, cancel=cancel, timeout=60, **options)
    taken = time.monotonic() - at[0]
    assert (verdict.verdict, verdict.reason) == (qbitsat.UNKNOWN, "cancelled")
    assert taken < 5  # some 0.1 s on an idle machine


def test_cancelled_before_it_begins(long_query):
    cancel = threading.Event()
    cancel.set()
    verdict = verify(long_query, cancel=cancel)
    assert (verdict.verdict, verdict.reason) == (qbitsat.UNKNOWN, "cancelled")


def test_two_queries_of_two_threads_are_cancelled_each_by_its_own(long_query):
    events, verdicts = [threading.Event() for _ in range(2)], {}
    work = [
        threading.Thread(target=lambda k=k: verdicts.update({k: verify(long_query, cancel=events[k], timeout=60, **OPEN)}))
        for k in range(2)
    ]
    for thread in work:
        thread.start()
    events[1].set()
    work[1].join(30)
    assert (list(verdicts), work[0].is_alive()) == ([1], True)
    events[0].set()
    work[0].join(30)
    assert [verdicts[k].reason for k in range(2)] == ["cancelled"] * 2


def test_progress_says_the_stage_the_time_and_what_is_counted(long_query, monkeypatch):
    seen: list[qbitsat.Progress] = []
    monkeypatch.setattr(sys.modules["qbitsat.verify"], "propose", lambda *_: Attack(None))
    verify(long_query, progress=seen.append, timeout=2, **{**OPEN, "attack": True})
    assert list(dict.fromkeys(one.stage for one in seen)) == ["bounds", "attack", "search"]
    assert [one.seconds for one in seen] == sorted(one.seconds for one in seen)
    assert 3 < len(seen) < 30
    assert seen[-1].counts["nodes"] > 0
    with pytest.raises(FrozenInstanceError):
        seen[0].stage = "sat"


def test_counts_of_progress_do_not_change_later(long_query):
    seen: list[qbitsat.Progress] = []
    verify(long_query, progress=seen.append, timeout=2, **OPEN)
    counts = [one.counts["nodes"] for one in seen if one.stage == "search"]
    assert counts == sorted(counts)
    assert counts[0] < counts[-1]


def test_progress_in_a_search_of_several_processes(long_query):
    seen: list[qbitsat.Progress] = []
    verify(long_query, progress=seen.append, timeout=2, jobs=2, **OPEN)
    assert {"bounds", "search"} == {one.stage for one in seen}


def test_what_progress_raises_ends_the_query(long_query):
    def stop(progress: qbitsat.Progress) -> None:
        if progress.stage == "search":
            raise KeyError("enough")

    with pytest.raises(KeyError, match="enough"):
        verify(long_query, progress=stop, timeout=60, **OPEN)


def test_stages_are_logged_under_the_packages_name(caplog):
    network, (x, label) = qbitsat.load(qbitsat.examples.network_path()), qbitsat.examples.sample(40)
    with caplog.at_level(logging.DEBUG, "qbitsat"):
        verify(qbitsat.robustness(network, x, 1, label, sample=40))
    assert all(record.name.startswith("qbitsat") for record in caplog.records)
    at = {level: [r.getMessage() for r in caplog.records if r.levelname == level] for level in ("DEBUG", "INFO")}
    assert [text.split()[0] for text in at["DEBUG"]] == ["bounds", "attack", "search"]
    assert at["INFO"][0] == f"robustness: eps 1, label {label}, sample 40 of {network.name}"
    assert at["INFO"][1].startswith("HOLDS by hybrid in ")


def test_library_prints_nothing_by_itself(capfd, long_query):
    verify(long_query, timeout=0.2, **OPEN)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_query_s_memory_is_free_as_soon_as_it_ends(long_query, jobs):
    """No search waits for the collector of cycles, which comes late: it counts objects, and these are few and large."""
    network, (x, label) = long_query.networks[0], qbitsat.examples.sample(3)
    gc.collect()
    gc.disable()
    try:
        assert verify(long_query, timeout=0.3, jobs=jobs, progress=lambda _: None, **OPEN).unknown
        for norm in ("linf", "l1"):
            qbitsat.radius(network, x, label, norm=norm, timeout=0.3)
        left = [type(item) for item in gc.get_objects() if isinstance(item, Search)]
    finally:
        gc.enable()
    assert left == []
