"""`check` of results and certificates against the data set that they are of."""

import numpy as np
from campaigned import certificate, entries, put
from forge import Parts

from qbitsat.cli.main import main

HOLDS_0, VIOLATED_1, HOLDS_2, MISCLASSIFIED_3 = range(4)


def test_sample_of_another_number(audit, results):
    """The certificate is about sample 0, and says that it is about sample 1."""
    parts = Parts(certificate(results, HOLDS_0))
    parts.header["query"]["sample"] = 2
    parts.save(certificate(results, HOLDS_0))
    lines = [entry for entry in entries(results) if entry["sample"] in (HOLDS_0, VIOLATED_1)]
    lines[0]["sample"] = 2
    put(results, lines)
    certificate(results, HOLDS_2).unlink()
    assert audit(data=False)[0] == 0
    code, out = audit()
    assert (code, "element 0 of the input is 10, of sample 2 in" in out) == (20, True)


def test_certificates_alone_are_tied_to_the_data_set(results, files, capsys):
    assert main(["check", str(certificate(results, 0)), *files.data()]) == 0
    other = np.load(files.inputs)
    other[0, 1] += 1
    np.save(files.inputs, other)
    assert main(["check", str(certificate(results, 0)), *files.data()]) == 20
    assert "element 1 of the input is 2, of sample 0 in" in capsys.readouterr().out


def test_other_labels(audit, results, files):
    np.save(files.labels, np.array([1, 0, 1, 0]))
    code, out = audit()
    assert (code, "the label is 0, that of sample 0 in" in out) == (20, True)


def test_sample_beyond_the_data_set(audit, files):
    np.save(files.inputs, np.load(files.inputs)[:2])
    np.save(files.labels, np.load(files.labels)[:2])
    code, out = audit()
    assert (code, "which has 2" in out) == (20, True)


def test_data_set_that_does_not_fit(audit, files):
    np.save(files.inputs, np.zeros((4, 3), int))
    assert audit()[0] == 2


def test_data_set_of_real_values(results, files, capsys):
    """As `verify` reads it."""
    np.save(files.inputs, np.load(files.inputs) * 0.5)
    assert main(["check", str(results), *files.data(network=True), "--scale", "network"]) == 0
    assert main(["check", str(results), *files.data(network=True), "--scale", "1"]) in (2, 20)


def test_certificate_of_no_sample(results, files, capsys):
    parts = Parts(certificate(results, 0))
    del parts.header["query"]["sample"]
    parts.save(certificate(results, 0))
    assert main(["check", str(certificate(results, 0)), *files.data()]) == 20
    assert "names no sample of" in capsys.readouterr().out
