"""From samples to tasks and records."""

import hashlib
import json

import numpy as np
import pytest
from larger import INPUTS, LABELS, MISCLASSIFIED, VIOLATED, larger_network

from qbitsat.campaign import Store, Verifier, plan, record, verdicts
from qbitsat.errors import InputError


def test_plan_samples_outermost():
    tasks = plan(larger_network(), INPUTS, LABELS, [2, 0], [1, 3])
    assert [(task.index, task.sample, task.eps) for task in tasks] == [(0, 2, 1), (1, 2, 3), (2, 0, 1), (3, 0, 3)]


def test_plan_settles_misclassified():
    settled = [task.settled for task in plan(larger_network(), INPUTS, LABELS, range(4), [1])]
    assert [verdict if verdict is None else verdict.verdict for verdict in settled] == [None, None, None, "MISCLASSIFIED"]


def test_plan_without_labels_misses_nothing():
    tasks = plan(larger_network(), INPUTS, None, range(4), [1])
    assert [task.label for task in tasks] == [0, 0, 1, 1]
    assert all(task.settled is None for task in tasks)


def test_plan_skips_labels_that_are_the_target():
    tasks = plan(larger_network(), INPUTS, None, range(4), [1], target=1)
    assert [task.settled if task.settled is None else task.settled.verdict for task in tasks] == [None, None, "SKIPPED", "SKIPPED"]


def test_plan_label_no_class():
    with pytest.raises(InputError, match="sample 1 has label 5"):
        plan(larger_network(), INPUTS, np.array([0, 5, 0, 0]), range(4), [1])


def test_verdicts_settled_come_first():
    tasks = plan(larger_network(), INPUTS, LABELS, range(4), [1])
    found = [task.sample for task, _ in verdicts(Verifier(larger_network(), {}), tasks, 1)]
    assert found == [MISCLASSIFIED, 0, 1, 2]


def test_record_is_json(tmp_path):
    network = larger_network()
    (task,) = plan(network, INPUTS, LABELS, [VIOLATED], [1])
    verifier = Verifier(network, {"timeout": 5.0})
    with Store(tmp_path) as store:
        store.write(record(task, verifier(task), network, verifier.options))
    entry = json.loads((tmp_path / "results.jsonl").read_text())
    assert entry["options"]["timeout"] == 5.0
    assert entry["verdict"] == "VIOLATED"


def test_record_names_the_input_by_its_hash():
    network = larger_network()
    tasks = plan(network, np.array([[10, 2], [10, 2], [2, 10]], np.uint8), None, range(3), [1, 2])
    hashes = [record(task, Verifier(network, {})(task), network, {})["input_sha256"] for task in tasks]
    assert hashes[0] == hashlib.sha256(bytes([10, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0])).hexdigest()
    assert hashes[:4] == [hashes[0]] * 4
    assert hashes[4] != hashes[0]


def test_jobs_of_a_query_are_its_part_of_all():
    tasks = plan(larger_network(), INPUTS, LABELS, range(3), [1])
    seen = []

    class Remembering(Verifier):
        def __call__(self, task):
            seen.append(self.options["jobs"])
            return super().__call__(task)

    for jobs, count in ((1, 3), (7, 1), (1, 0)):
        assert len(list(verdicts(Remembering(larger_network(), {"timeout": 60}), tasks[:count], jobs))) == count
    assert seen == [1, 1, 1, 7]


def test_store_full_disk_is_bad_input(tmp_path):
    (tmp_path / "results.jsonl").symlink_to("/dev/full")
    with pytest.raises(InputError, match="can't be written"), Store(tmp_path, overwrite=True) as store:
        store.write({})
