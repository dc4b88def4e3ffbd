"""`verify --certificates` and `check`: exit codes, lines, folders."""

import re
import shutil

import numpy as np
from campaigned import entries, rewrite
from forge import Parts

from qbitsat.certificate.check import check
from qbitsat.cli.main import main
from qbitsat.verify import UNKNOWN, Verdict

LINE = re.compile(r"accepted     \S+\.cert  (HOLDS|VIOLATED) +\S+ +\d+\.\d{3} s  sample \d  eps 1  label \d  network [0-9a-f]{16}")
SUMMARY = re.compile(r"4 results in \d+\.\d{3} s: 4 accepted \(2 HOLDS, 1 VIOLATED, 1 MISCLASSIFIED\), 0 refused, 0 unreadable")


# --- verify --certificates ---


def test_certificates_are_named_in_the_results(results):
    named = {entry["sample"]: entry["certificate"] for entry in entries(results)}
    assert named == {3: None, **{k: f"certificates/sample{k}_eps1.cert" for k in range(3)}}
    assert sorted(path.name for path in (results / "certificates").iterdir()) == [f"sample{k}_eps1.cert" for k in range(3)]


def test_certificates_from_several_processes(files, tmp_path):
    assert main(files.arguments("--out", str(tmp_path / "two"), "--certificates", "--jobs", "2")) == 10
    assert main(["check", str(tmp_path / "two"), *files.data(), "--jobs", "2"]) == 0


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
    assert main(["check", str(results), *files.data()]) == 0


# --- check ---


def test_folder_of_results(results, files, capsys):
    assert main(["check", str(results), *files.data()]) == 0
    network, *lines, misclassified, covers, last = capsys.readouterr().out.splitlines()
    assert re.match(
        r"network      as a certificate names it: \S+network.npz \(inputs of 4 bits, outputs of 4 bits, sha256 [0-9a-f]{64}\)", network
    )
    assert len(lines) == 3
    assert all(LINE.fullmatch(line) for line in lines)
    assert re.match(
        r"accepted     \S+: line 1  MISCLASSIFIED  .*  sample 3  eps 1  label 0 .* the network says 1, the label is 0$", misclassified
    )
    assert covers == f"{results}: eps 1: samples 0:4"
    assert SUMMARY.fullmatch(last)


def test_files_and_folders_without_results(results, capsys):
    assert main(["check", str(results / "certificates"), str(results / "certificates" / "sample0_eps1.cert")]) == 0
    assert "4 results" in capsys.readouterr().out


def test_quiet_prints_the_networks_and_the_summary_only(results, files, capsys):
    assert main(["check", str(results), *files.data(), "--quiet"]) == 0
    network, covers, last = capsys.readouterr().out.splitlines()
    assert (network.split()[0], covers) == ("network", f"{results}: eps 1: samples 0:4")
    assert SUMMARY.fullmatch(last)


def test_refused_certificate(results, capsys):
    path = results / "certificates" / "sample1_eps1.cert"
    changed = Parts(path)
    changed.arrays["outputs.0"] = np.array([0, 0])
    changed.save(path)
    assert main(["check", str(results)]) == 20
    assert re.search(rf"^refused      {path}: output 0 of network 0 is \d+, the certificate says 0$", capsys.readouterr().out, re.MULTILINE)


def test_unreadable_certificate_costs_its_line_only(results, files, capsys):
    (results / "certificates" / "sample0_eps1.cert").write_bytes(b"x")
    assert main(["check", str(results), *files.data(network=True)]) == 2
    assert "3 accepted (1 HOLDS, 1 VIOLATED, 1 MISCLASSIFIED), 0 refused, 1 unreadable" in capsys.readouterr().out


def test_refused_counts_more_than_unreadable(results):
    (results / "certificates" / "sample0_eps1.cert").write_bytes(b"x")
    rewrite(results, lambda entry: entry.update(eps=entry["eps"] + 1))
    assert main(["check", str(results)]) == 20


def test_network_elsewhere(files, results, tmp_path, capsys):
    moved = tmp_path / "moved.npz"
    shutil.move(files.network, moved)
    assert main(["check", str(results), *files.data()]) == 2
    assert main(["check", str(results), "--network", str(files.inputs), "--network", str(moved)]) == 2
    assert main(["check", str(results), *files.data(), "--network", str(moved)]) == 0


def test_limit_of_memory_is_no_refusal(results, files, capsys):
    assert main(["check", str(results), *files.data(), "--memory", "0.001"]) == 5
    out = capsys.readouterr().out
    assert "not checked: 4 needs more than 0.001 GiB, the memory limit" in out
    assert "0 accepted, 0 refused, 0 unreadable, 4 not checked" in out


def test_python_and_command_agree(results):
    assert all(check(path).accepted for path in (results / "certificates").iterdir())
