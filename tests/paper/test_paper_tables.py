"""The tables on a small model: what they count, and that nothing is asked twice."""

import json
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pytest
from test_real_network import chain

from bench.paper import __main__ as command
from bench.paper import marabou, tables
from bench.paper.runs import Runs
from bench.paper.setting import Setting
from qbitsat.verify import HOLDS, MISCLASSIFIED, VIOLATED


@dataclass(frozen=True)
class Small(Setting):
    """Three pixels instead of 784."""

    @cached_property
    def model(self):
        return chain(np.random.default_rng(6), (3, 5, 4), 1.0)

    @cached_property
    def images(self):
        """Those of many whose outputs are next to a tie."""
        x = np.random.default_rng(0).integers(0, 256, (20_000, 3))
        outputs = self.model.run(x / 256)[0]
        ranked = np.sort(outputs, axis=1)
        near = np.argsort(ranked[:, -1] - ranked[:, -2])[:1000]
        labels = outputs[near].argmax(axis=1)
        labels[::17] = (labels[::17] + 1) % 4
        return x[near], labels


@pytest.fixture
def small(tmp_path, monkeypatch):
    monkeypatch.setattr(marabou, "INSTALLED", False)
    setting = Small(tmp_path, bits=(6, 8), samples=60, smt_samples=3, backends="sat:balanced,bitwuzla")
    monkeypatch.setattr(command, "DEFAULT", setting)
    return setting


def test_samples_are_spread_over_the_protocol(small):
    assert len(small.chosen) == 60
    assert {eps for _, eps in small.chosen} == {1, 2}
    assert Small(small.cache).chosen == [(k, 1 if k < 200 else 2) for k in range(300)]
    assert len(small.tasks(small.network(6), 3)) == 3


def test_all_tables(small, tmp_path, capsys):
    out, asked = tmp_path / "paper.json", ["table1", "table2", "fig2", "fig4", "variants"]
    options = ["--samples", "60", "--bits", "6,8", "--smt-samples", "3", "--backends", small.backends, "--cache", str(tmp_path)]
    command.main([*asked, *options, "--out", str(out), "--plot", str(tmp_path / "times.png")])
    assert (tmp_path / "times.png").read_bytes().startswith(b"\x89PNG")
    content = json.loads(out.read_text())
    assert list(content) == asked
    table1, table2 = content["table1"]["found"], content["table2"]["found"]
    for bits in (6, 8):
        entries = tables.exact(small, small.network(bits))
        words = [entry["verdict"] for entry in entries]
        figure = table1[str(bits)]["verify"]
        assert (figure["holds"], figure["violated"], figure["open"]) == (words.count(HOLDS), words.count(VIOLATED), [])
        assert figure["asked"] == 60 - words.count(MISCLASSIFIED)
        for name in ("sat:balanced", "bitwuzla"):
            assert table1[str(bits)][name]["asked"] == sum(task.settled is None for task in small.tasks(small.network(bits), 3))
            assert table1[str(bits)][name]["open"] == []
        counts = content["fig4"]["found"][str(bits)]
        assert sum(counts["counts"]) + counts["open"] == figure["asked"]
        compared = table2["widths"][str(bits)]
        kinds = ("both_robust", "only_real_robust", "only_quantized_robust", "both_vulnerable")
        assert sum(compared[kind] for kind in kinds) == compared["compared"] <= figure["asked"]
        assert 0 <= compared["invalid_attacks"] <= compared["only_quantized_robust"] + compared["both_vulnerable"]
    assert table2["marabou"] is None
    assert sum(table2["real"].values()) == 60
    assert len(content["variants"]["found"]) == 8
    said = capsys.readouterr().out
    command.main([*asked, *options, "--out", str(out)])
    assert capsys.readouterr().out == said  # times, too: nothing is run again


def test_real_attacks_are_replayed(small):
    """A witness over real numbers is rounded to pixels, and may then be none."""
    network = small.network(8)
    real = tables.real_verdicts(small)
    tasks = {task.sample: task for task in small.tasks(network)}
    attacked = [sample for sample, entry in real.items() if entry["verdict"] == VIOLATED]
    assert attacked
    for sample in attacked:
        task, witness = tasks[sample], real[sample]["witness"]
        assert np.abs(np.array(witness) - task.x).max() <= task.eps
        assert tables.breaks(network, task, task.x.tolist()) == (task.settled is not None)


def test_a_killed_run_loses_nothing(tmp_path):
    path = tmp_path / "some" / "runs.jsonl"
    with Runs(path) as runs:
        runs.add("a", verdict=HOLDS, timeout=1.0)
        runs.add("b", verdict="UNKNOWN", timeout=1.0)
    path.write_bytes(path.read_bytes() + b'{"key":"c","verd')
    with Runs(path) as runs:
        assert runs.get("a", 100.0)["verdict"] == HOLDS
        assert runs.get("b", 1.0)["verdict"] == "UNKNOWN"
        assert runs.get("b", 2.0) is None
        assert runs.get("c", 1.0) is None
        runs.add("c", verdict=VIOLATED, timeout=1.0)
    with Runs(path) as runs:
        assert [runs.get(key, 1.0)["verdict"] for key in "abc"] == [HOLDS, "UNKNOWN", VIOLATED]


@pytest.mark.parametrize("given", [["table9"], ["--samples", "0"], ["--ties", "first"]])
def test_bad_usage(given, small, capsys):
    with pytest.raises(SystemExit):
        command.main(given)
