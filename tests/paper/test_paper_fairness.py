"""Table 4 on a few students, and networks of others in steps."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pytest
from models import chain

from bench import fairness as others
from bench import train_students as students
from bench.paper import fairness
from bench.paper.setting import Setting
from bench.paper.tables import table4
from qbitsat.network import forward
from qbitsat.network.float_network import FloatDense, FloatNetwork
from qbitsat.properties import Box


@dataclass(frozen=True)
class Few(Setting):
    """Two groups, and scores of at most 3."""

    @cached_property
    def students(self) -> FloatNetwork:
        return chain(np.random.default_rng(5), n_in=7, n_out=1)


@pytest.fixture
def few(monkeypatch, tmp_path):
    groups = {"gender": ("a", "b"), "lunch": ("c", "d", "e")}
    for module in (students, fairness):
        monkeypatch.setattr(module, "GROUPS", groups)
        monkeypatch.setattr(module, "POINTS", 3)
    monkeypatch.setattr(fairness, "error_of", lambda network: 0.0)
    return Few(tmp_path, bits=(8, 10))


def test_gaps_are_those_of_the_table(few, monkeypatch):
    found, text = table4(few)
    assert text.splitlines()[0].startswith("| bits | points of a step | mean error | gender: steps | gender | lunch |")
    for row in found.values():
        assert {name: entry["value"] for name, entry in row["gaps"].items()} == {n: e["by_table"] for n, e in row["gaps"].items()}
    assert max(entry["value"] for row in found.values() for entry in row["gaps"].values()) > 0
    monkeypatch.setattr(fairness.qbitsat, "maximize", None)  # nothing is asked twice
    assert table4(few)[1] == text
    # A table that says something else stops the run.
    path = few.cache / "fairness.jsonl"
    path.write_text(path.read_text().replace('"gaps":{"gender":', '"gaps":{"gender":9'))
    with pytest.raises(RuntimeError, match="a table of all students"):
        table4(few)


def test_steps_are_taken_up_by_the_first_layer():
    rng = np.random.default_rng(0)
    model = chain(rng, n_in=3, n_out=1)
    model = replace(model, layers=(*model.layers, FloatDense("end", (len(model.layers) - 1,), np.ones((1, 1)), np.zeros(1))))
    unit, offset, steps = np.array([1, 20, 4]), np.array([-3, 0, 0]), rng.integers(0, 9, (50, 3))
    logit = others.in_steps(model, unit, offset)
    assert np.allclose(logit.run(steps.astype(float))[0], model.run((steps * unit + offset).astype(float))[0])


def test_a_part_leaves_the_protected_feature_free():
    domain = Box(np.zeros(8, np.int64), np.full(8, 31))
    for protected in (0, 7):
        some = others.part(domain, protected)
        assert (some.lo[protected], some.hi[protected]) == (0, 31)
        assert np.log2(some.hi - some.lo + 1).sum() + 5 <= others.POINTS


def test_points_are_those_of_a_step(few):
    network = students.network_at(few.students, 8)
    assert students.points_of(network) == 1
    assert network.num_inputs == students.domain().lo.size == 7
    assert np.abs(forward(network, students.domain().hi[None])).max() <= 127
