"""`check` of a folder of results as an auditor needs it: whatever is changed, the exit code is not 0, and a line says what is wrong."""

import json
import os
import re
import shutil

import numpy as np
import pytest
from campaigned import certificate, change_line, entries, put, rewrite
from forge import Parts

from qbitsat.cli.main import main

HOLDS_0, VIOLATED_1, HOLDS_2, MISCLASSIFIED_3 = range(4)
NO_WITNESS = {"witness": None, "witness_outputs": None, "witness_class": None, "certificate": None}


# --- an honest folder ---


def test_honest_folder(audit):
    assert audit()[0] == 0
    code, out = audit(data=False)
    assert code == 5
    assert "not checked: 1 needs --inputs FILE, --labels FILE" in out
    assert "3 accepted (2 HOLDS, 1 VIOLATED), 0 refused, 0 unreadable, 1 not checked" in out


def test_misclassified_need_labels(audit, files, results, capsys):
    assert main(["check", str(results), "--inputs", str(files.inputs)]) == 5
    assert "line 1: needs --labels FILE" in capsys.readouterr().out


def test_skipped_and_targets(files, tmp_path, capsys):
    out = tmp_path / "target"
    main(files.arguments("--out", str(out), "--certificates", "--target", "1"))
    capsys.readouterr()
    data = files.data(network=True)
    assert main(["check", str(out), *data]) == 0
    assert "(1 HOLDS, 1 VIOLATED, 1 MISCLASSIFIED, 1 SKIPPED)" in capsys.readouterr().out
    assert main(["check", str(out), *data, "--eps", "1", "--target", "1"]) == 0
    assert main(["check", str(out), *data, "--eps", "1"]) == 20
    rewrite(out, lambda entry: entry.update(verdict="SKIPPED" if entry["verdict"] == "MISCLASSIFIED" else entry["verdict"]))
    assert main(["check", str(out), *data]) == 20


def test_network_is_found_through_a_certificate(audit, files, results, capsys):
    assert main(["check", str(results), *files.data()]) == 0


# --- results.jsonl ---


def test_violated_turned_into_misclassified(audit, results):
    reason = "the network says 1, the label is 0"
    change_line(results, VIOLATED_1, verdict="MISCLASSIFIED", reason=reason)
    assert audit(data=False)[0] == 20
    change_line(results, VIOLATED_1, engine="", **NO_WITNESS)
    code, out = audit(data=False)
    assert (code, f"{certificate(results, 1)}: no line of {results / 'results.jsonl'} names it" in out) == (20, True)
    certificate(results, 1).unlink()
    assert audit(data=False)[0] == 5
    code, out = audit()
    assert (code, "says verdict 'MISCLASSIFIED', the network and the sample 'UNKNOWN'" in out) == (20, True)


def test_violated_turned_into_unknown(audit, results):
    change_line(results, VIOLATED_1, verdict="UNKNOWN", reason="timeout")
    code, out = audit()
    assert (code, "says UNKNOWN with a certificate" in out) == (20, True)
    change_line(results, VIOLATED_1, engine="", **NO_WITNESS)
    assert audit()[0] == 20
    certificate(results, 1).unlink()
    code, out = audit()
    assert code == 5
    assert re.search(r"^unknown .* sample 1 .* timeout$", out, re.MULTILINE)
    assert "3 accepted (2 HOLDS, 1 MISCLASSIFIED), 0 refused, 0 unreadable, 1 unknown" in out


def test_misclassified_turned_into_unknown(audit, results):
    change_line(results, MISCLASSIFIED_3, verdict="UNKNOWN", reason="timeout")
    code, out = audit()
    assert (code, "says verdict 'UNKNOWN', the network and the sample 'MISCLASSIFIED'" in out) == (20, True)


@pytest.mark.parametrize("sample", range(4))
def test_deleted_line(audit, results, sample):
    put(results, [entry for entry in entries(results) if entry["sample"] != sample])
    wanted = ("--eps", "1")
    if sample != MISCLASSIFIED_3:
        assert audit()[0] == 20
        certificate(results, sample).unlink()
    code, out = audit(*wanted)
    assert (code, f"has no line of sample {sample}, eps 1" in out) == (20, True)
    assert f"{results}: eps 1: samples {['1:4', '0,2:4', '0:2,3', '0:3'][sample]}" in out


def test_missing_lines_of_one_eps_are_one_refusal(audit, results):
    code, out = audit("--eps", "1,2,3")
    assert (code, len(re.findall("has no line of", out))) == (20, 2)
    assert all(f"has no line of samples 0:4, eps {eps}\n" in out for eps in (2, 3))
    assert re.findall(r"eps \d: samples .*", out) == ["eps 1: samples 0:4"]
    assert "2 refused" in out


def test_wanted_samples(audit, results):
    assert audit("--eps", "1", "--samples", "0:2")[0] == 0
    assert audit("--eps", "1,2", "--samples", "0:2")[0] == 20


@pytest.mark.parametrize("more", [["--samples", "0"], ["--eps", "1"], ["--target", "1"], ["--labels", "x"], ["--bits", "6"]])
def test_options_that_need_others(audit, more):
    assert audit(*more, data=False)[0] == 2


def test_cake_lpr_is_there_although_no_proof_needs_it(audit, tmp_path, capsys):
    (tmp_path / "text").write_text("no program")
    for name in ("none", "text", "."):
        assert audit("--cake-lpr", str(tmp_path / name))[0] == 2
    assert audit("--cake-lpr", "true")[0] == 0


def test_emptied(audit, results):
    put(results, [])
    assert audit()[0] == 20
    shutil.rmtree(results / "certificates")
    code, out = audit()
    assert (code, "0 results" in out) == (5, True)
    assert audit(data=False)[0] == 5


def test_results_taken_away(audit, results, files, capsys):
    """Certificates alone prove what they prove; what was asked for is not among it."""
    (results / "results.jsonl").unlink()
    assert audit()[0] == 0
    code, out = audit("--eps", "1")
    assert (code, f"{results}: has no results.jsonl" in out) == (2, True)
    assert main(["check", str(certificate(results, 0)), *files.data(network=True), "--eps", "1", "--samples", "0"]) == 2


@pytest.mark.parametrize("make", [lambda path: path.symlink_to("nowhere"), lambda path: path.mkdir(), os.mkfifo])
def test_results_that_are_no_file(audit, results, make):
    (results / "results.jsonl").unlink()
    make(results / "results.jsonl")
    assert audit()[0] == 2


def test_results_without_their_folder(results, capsys):
    assert main(["check", str(results / "results.jsonl")]) == 2
    assert f"results.jsonl: results are checked with their folder, expected {results}" in capsys.readouterr().out


def test_certificates_without_lines_are_found_below_and_anywhere(audit, results):
    (results / "more" / "deep").mkdir(parents=True)
    shutil.copy(certificate(results, 0), results / "more" / "deep" / "other.cert")
    code, out = audit()
    assert (code, "other.cert: no line of" in out) == (20, True)


@pytest.mark.parametrize("sample", [HOLDS_0, VIOLATED_1, MISCLASSIFIED_3])
@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("witness", [4, 6]), ("witness", [4]), ("witness_outputs", [4, 7]), ("witness_class", 0), ("engine", "magic"),
        ("reason", "because"), ("input_sha256", "0" * 64), ("network_sha256", "0" * 64), ("sample", 9), ("eps", 2), ("label", 1),
        ("target", 1), ("verdict", "HOLDS"),
    ],
)  # fmt: skip
def test_every_recomputed_key_changed(audit, results, sample, key, value):
    before = next(entry[key] for entry in entries(results) if entry["sample"] == sample)
    # Eps and target of a misclassified sample decide nothing; whether that was asked is what --eps finds out.
    wanted = ("--eps", "1") if sample == MISCLASSIFIED_3 and key in ("eps", "target") else ()
    change_line(results, sample, **{key: value})
    assert audit(*wanted)[0] == (0 if before == value else 20)


@pytest.mark.parametrize("key", ["sample", "eps", "label", "verdict", "reason", "engine", "network_sha256", "input_sha256"])
@pytest.mark.parametrize("value", [None, True, 1.0, [1], {"a": 1}, "1\n", -1])
def test_keys_of_other_types(audit, results, key, value):
    change_line(results, HOLDS_0, **{key: value})
    # A string may be any string, and a label any number.
    expected = 20 if (key, value) == ("label", -1) else 2
    code, out = audit()
    assert (code, f"3 accepted (1 HOLDS, 1 VIOLATED, 1 MISCLASSIFIED), {int(expected == 20)} refused" in out) == (expected, True)


@pytest.mark.parametrize("witness", [[True, 1], [4.0, 6], ["4", 6], [[4], 6], {"0": 4}])
def test_witness_of_other_types(audit, results, witness):
    change_line(results, VIOLATED_1, witness=witness)
    assert audit()[0] == 2


@pytest.mark.parametrize("word", ["holds", "Holds", " HOLDS", "", "PROVED"])
def test_verdicts_in_other_words(audit, results, word):
    change_line(results, HOLDS_0, verdict=word)
    code, out = audit()
    assert (code, "is unknown; expected HOLDS, VIOLATED, UNKNOWN, MISCLASSIFIED, SKIPPED" in out) == (2, True)


@pytest.mark.parametrize(
    "line",
    [b"{", b"3", b"[" * 9999, b'{"verdict": NaN}', b'{"verdict": Infinity}', b'{"verdict": 1e9999}', b'{"verdict": ' + b"9" * 5000 + b"}",
     b'{"verdict": "HOLDS", "verdict": ""}', b"\xff\xfe", b"\0", b"", b"\xef\xbb\xbf{}", b"{}", json.dumps({"a": 1}).encode("utf-16")],
    ids=lambda line: repr(line[:20]),
)  # fmt: skip
def test_damaged_line_costs_that_line(audit, results, line):
    path = results / "results.jsonl"
    path.write_bytes(line + b"\n" + path.read_bytes())
    code, out = audit()
    assert code == 2
    assert re.search(r"^unreadable   \S+results.jsonl: line 1: ", out, re.MULTILINE)
    assert "4 accepted (2 HOLDS, 1 VIOLATED, 1 MISCLASSIFIED), 0 refused, 1 unreadable" in out


def test_line_that_is_too_long(audit, results, monkeypatch):
    monkeypatch.setattr("qbitsat.certificate.folder.MAX_LINE", 4000)
    path = results / "results.jsonl"
    path.write_bytes(b'{"a": "' + b"x" * 20000 + b'"}\n' + path.read_bytes())
    code, out = audit()
    assert code == 2
    assert "line 1: longer than 4000 bytes" in out
    assert "4 accepted" in out


def test_half_a_line_at_the_end(audit, results):
    path = results / "results.jsonl"
    path.write_bytes(path.read_bytes()[:-20])
    code, out = audit()
    assert (code, "0 refused, 2 unreadable" in out) == (2, True)
    assert "names it, of those that can be read" in out


def test_lines_twice(audit, results):
    put(results, entries(results) * 2)
    code, out = audit()
    assert (code, out.count("asks the question of line")) == (20, 4)


def test_swapped_certificates(audit, results):
    named = {HOLDS_0: "certificates/sample2_eps1.cert", HOLDS_2: "certificates/sample0_eps1.cert"}
    rewrite(results, lambda entry: entry.update(certificate=named.get(entry["sample"], entry["certificate"])))
    code, out = audit(data=False)
    assert (code, out.count("the certificate ")) == (20, 2)


def test_one_certificate_for_two_lines(audit, results):
    change_line(results, HOLDS_2, certificate="certificates/./sample0_eps1.cert")
    code, out = audit(data=False)
    assert (code, "names the certificate of line 2 again" in out) == (20, True)


def test_links(audit, results, tmp_path):
    """One inside the folder is another name for a certificate, one that leads out of it is refused."""
    certificate(results, 2).unlink()
    certificate(results, 2).symlink_to(certificate(results, 0))
    assert audit()[0] == 20
    certificate(results, 2).unlink()
    outside = tmp_path / "outside.cert"
    shutil.copy(certificate(results, 0), outside)
    certificate(results, 2).symlink_to(outside)
    code, out = audit()
    assert (code, "expected a file in" in out) == (20, True)
    certificate(results, 2).unlink()
    certificate(results, 2).symlink_to(certificate(results, 2))
    assert audit()[0] in (2, 20)


@pytest.mark.parametrize("name", ["/etc/passwd", "../x.cert", "certificates/../../x", "certificates/../certificates/sample0_eps1.cert"])
def test_certificate_outside_the_folder(audit, results, name):
    change_line(results, HOLDS_0, certificate=name)
    code, out = audit(data=False)
    assert (code, "expected a file in" in out) == (20, True)


@pytest.mark.parametrize("name", [3, "\x1b[2J", [[]], "", "nowhere.cert", "x" * 5000, "results.jsonl", "certificates"])
def test_certificate_that_is_none(audit, results, name):
    change_line(results, HOLDS_0, certificate=name)
    certificate(results, HOLDS_0).unlink()
    code, out = audit()
    assert code == 2
    assert "0 refused, 1 unreadable" in out
    assert "\x1b" not in out


def test_verdict_without_a_certificate(audit, results):
    change_line(results, HOLDS_0, certificate=None)
    code, out = audit()
    assert (code, "the verdict has no certificate" in out) == (20, True)


def test_results_of_another_network(audit, results):
    """The network that a certificate names is its own choice; that of the results is not."""
    rewrite(results, lambda entry: entry.update(network_sha256="f" * 64))
    code, out = audit(data=False)
    assert (code, out.count("says network_sha256"), "line 1: needs --network FILE" in out) == (20, 3, True)
    assert audit()[1].count("says network_sha256") == 4


def test_deep_results_are_told_in_short(audit, results):
    rewrite(results, lambda entry: entry.update(label=json.loads("[" * 400 + "]" * 400)))
    code, out = audit("--jobs", "2")
    assert (code, out.count("label: a list, expected an integer")) == (2, 4)


def test_misclassified_sold_as_violated(audit, results, files):
    """A true certificate of a question that nobody would ask: the network's own class is another."""
    main(
        [
            "verify",
            str(files.network),
            "--inputs",
            str(files.inputs),
            "--samples",
            "3",
            "--eps",
            "1",
            "--out",
            str(results / "own"),
            "--certificates",
        ]
    )
    forged = Parts(results / "own" / "certificates" / "sample3_eps1.cert")
    shutil.rmtree(results / "own")
    forged.header["query"]["label"], forged.header["verdict"], forged.header["proof"] = (
        0,
        "VIOLATED",
        {"kind": "witness", "true_atoms": [0]},
    )
    forged.arrays = {"x": np.array([3, 9]), "inputs.0": np.array([3, 9]), "outputs.0": np.array([3, 9])}
    forged.save(certificate(results, 3))
    name = "certificates/sample3_eps1.cert"
    change_line(results, 3, verdict="VIOLATED", reason="", witness=[3, 9], witness_outputs=[3, 9], witness_class=1, certificate=name)
    engine = forged.header["engine"]
    change_line(results, 3, engine=engine)
    for data in (True, False):
        code, out = audit(data=data)
        assert (code, "says verdict 'VIOLATED', the certificate 'MISCLASSIFIED'" in out) == (20, True)
    os.unlink(certificate(results, 3))
