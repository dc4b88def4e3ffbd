"""`verify --certificates` and `check`: exit codes, lines, folders."""

import json
import re
import shutil

import numpy as np
import pytest
from forge import Parts

from qbitsat.certificate.check import check
from qbitsat.cli.main import main
from qbitsat.verify import UNKNOWN, Verdict

LINE = re.compile(r"accepted    \S+\.cert  (HOLDS|VIOLATED) +\S+ +\d+\.\d{3} s  sample \d  eps 1  label \d  network [0-9a-f]{16}")


@pytest.fixture
def results(files, tmp_path, capsys):
    """The folder of a run with certificates: samples 0 and 2 hold, 1 is violated."""
    assert main(files.arguments("--out", str(tmp_path / "results"), "--certificates")) == 10
    capsys.readouterr()
    return tmp_path / "results"


def entries(results) -> list[dict]:
    return [json.loads(line) for line in (results / "results.jsonl").read_text().splitlines()]


def rewrite(results, change) -> None:
    """Change each line of results.jsonl in place."""
    lines = entries(results)
    for entry in lines:
        change(entry)
    (results / "results.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in lines))


# --- verify --certificates ---


def test_certificates_are_named_in_the_results(results):
    named = {entry["sample"]: entry["certificate"] for entry in entries(results)}
    assert named == {3: None, **{k: f"certificates/sample{k}_eps1.cert" for k in range(3)}}
    assert sorted(path.name for path in (results / "certificates").iterdir()) == [f"sample{k}_eps1.cert" for k in range(3)]


def test_certificates_from_several_processes(files, tmp_path):
    assert main(files.arguments("--out", str(tmp_path / "two"), "--certificates", "--jobs", "2")) == 10
    assert main(["check", str(tmp_path / "two"), "--jobs", "2"]) == 0


def test_certificates_need_a_folder(files, capsys):
    assert main(files.arguments("--certificates")) == 2
    assert "--certificates: needs --out DIR" in capsys.readouterr().err


def test_certificates_of_targets_have_names_of_their_own(files, tmp_path):
    main(files.arguments("--out", str(tmp_path / "target"), "--certificates", "--target", "1", samples="0"))
    assert (tmp_path / "target" / "certificates" / "sample0_eps1_target1.cert").exists()
    assert main(["check", str(tmp_path / "target")]) == 0


def test_no_certificates_unless_asked(files, tmp_path):
    main(files.arguments("--out", str(tmp_path / "none")))
    assert not (tmp_path / "none" / "certificates").exists()


def test_unknown_has_no_certificate(files, tmp_path, monkeypatch):
    monkeypatch.setattr("qbitsat.campaign.queries.verify", lambda query, **_: Verdict(UNKNOWN, "timeout"))
    assert main(files.arguments("--out", str(tmp_path / "unknown"), "--certificates", samples="0")) == 5
    assert entries(tmp_path / "unknown")[0]["certificate"] is None
    assert not list((tmp_path / "unknown" / "certificates").iterdir())


def test_overwrite_replaces_certificates(files, results):
    assert main(files.arguments("--out", str(results), "--certificates", "--overwrite")) == 10
    assert main(["check", str(results)]) == 0


# --- check ---


def test_folder_of_results(results, capsys):
    assert main(["check", str(results)]) == 0
    network, *lines, last = capsys.readouterr().out.splitlines()
    assert re.match(
        r"network     as a certificate names it: \S+network.npz \(inputs of 4 bits, outputs of 4 bits, sha256 [0-9a-f]{64}\)", network
    )
    assert len(lines) == 3
    assert all(LINE.fullmatch(line) for line in lines)
    assert re.fullmatch(r"3 certificates in \d+\.\d{3} s: 3 accepted, 0 refused, 0 unreadable", last)


def test_files_and_folders_without_results(results, capsys):
    assert main(["check", str(results / "certificates"), str(results / "certificates" / "sample0_eps1.cert")]) == 0
    assert "4 certificates" in capsys.readouterr().out


def test_quiet_prints_the_summary_only(results, capsys):
    assert main(["check", str(results), "--quiet"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["network", "3"]


def test_refused_certificate(results, capsys):
    path = results / "certificates" / "sample1_eps1.cert"
    changed = Parts(path)
    changed.arrays["outputs.0"] = np.array([0, 0])
    changed.save(path)
    assert main(["check", str(results)]) == 20
    assert re.search(rf"^refused     {path}: output 0 of network 0 is \d+, the certificate says 0$", capsys.readouterr().out, re.MULTILINE)


def test_unreadable_certificate(results, capsys):
    (results / "certificates" / "sample0_eps1.cert").write_bytes(b"x")
    assert main(["check", str(results)]) == 2
    assert "2 accepted, 0 refused, 1 unreadable" in capsys.readouterr().out


def test_refused_counts_more_than_unreadable(results):
    (results / "certificates" / "sample0_eps1.cert").write_bytes(b"x")
    rewrite(results, lambda entry: entry.update(eps=entry["eps"] + 1))
    assert main(["check", str(results)]) == 20


def test_verdict_without_a_certificate_is_refused(results, capsys):
    rewrite(results, lambda entry: entry.update(certificate=None))
    assert main(["check", str(results)]) == 20
    assert "line 2: the verdict has no certificate" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("key", "value"), [("eps", 2), ("label", 1), ("sample", 9), ("target", 1), ("verdict", "VIOLATED"), ("network_sha256", "0" * 8)]
)
def test_results_that_say_something_else(results, capsys, key, value):
    rewrite(results, lambda entry: entry.update({key: value} if entry["verdict"] == "HOLDS" else {}))
    assert main(["check", str(results)]) == 20
    assert f"says {key} {value!r}, the certificate " in capsys.readouterr().out


@pytest.mark.parametrize("name", ["/etc/passwd", "../x.cert", 3, "certificates/../../x", "\x1b[2J", [[]]])
def test_certificate_outside_the_folder(results, capsys, name):
    rewrite(results, lambda entry: entry.update(certificate=name))
    assert main(["check", str(results)]) == 2
    assert "line 2: certificate" in capsys.readouterr().err


@pytest.mark.parametrize("line", ["{", "3", "[" * 9999, '{"verdict": NaN', '{"verdict": "HOLDS", "verdict": ""}'])
def test_damaged_results(results, capsys, line):
    (results / "results.jsonl").write_text(line + "\n")
    assert main(["check", str(results)]) == 2
    assert "results.jsonl: line 1: " in capsys.readouterr().err


def test_empty_folder(tmp_path, capsys):
    assert main(["check", str(tmp_path)]) == 2
    assert "expected certificates" in capsys.readouterr().err


def test_network_elsewhere(files, results, tmp_path, capsys):
    moved = tmp_path / "moved.npz"
    shutil.move(files.network, moved)
    assert main(["check", str(results)]) == 2
    assert main(["check", str(results), "--network", str(files.inputs), "--network", str(moved)]) == 2
    assert main(["check", str(results), "--network", str(moved)]) == 0


def test_results_of_another_network_are_not_proved_by_one_that_a_certificate_brings(results, capsys):
    """The network that a certificate names is its own choice; that of the results is not."""
    rewrite(results, lambda entry: entry.update(network_sha256="f" * 64, sample=entry["sample"]))
    assert main(["check", str(results)]) == 20
    assert "0 accepted, 3 refused" in capsys.readouterr().out


def test_deep_results_are_told_in_short(results, capsys):
    deep = json.loads("[" * 400 + "]" * 400)
    rewrite(results, lambda entry: entry.update(label=deep))
    assert main(["check", str(results), "--jobs", "2"]) == 20
    assert "says label a list, the certificate" in capsys.readouterr().out


def test_limit_of_time(results, capsys):
    assert main(["check", str(results), "--timeout", "0.001"]) in (0, 20)


def test_python_and_command_agree(results):
    assert all(check(path).accepted for path in (results / "certificates").iterdir())
